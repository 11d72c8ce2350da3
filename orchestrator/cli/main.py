"""The command line: verbs that say what to do; the study file says what the experiment is.

The roof of the house: errors become one clear message and an exit code here, and only here.
"""

import json
import logging
import os
import sys
import traceback
from dataclasses import dataclass
from typing import Annotated

import typer

from orchestrator.cli import bench, catalogue, check, errors, hints, importing, results, status
from orchestrator.cli.streams import Stream, guarded
from orchestrator.execution import node_check
from orchestrator.execution.stopped import Stopped
from orchestrator.store import lease
from orchestrator.store.run_folder import STOP, RunStore
from orchestrator.store.trial_states import LIMITS, Ledger
from orchestrator.study import schema as studies
from orchestrator.study.selection import Selection
from orchestrator.terminal import LogHandler, LogLines, Terminal, forget_zero_sizes, printable
from workers import files

app = typer.Typer(
    name="archsweep",
    cls=hints.Verbs,
    help="Sample-based studies of neural architectures: plan, train on a cluster, correlate.",
    epilog="First steps:  archsweep run demo | archsweep report demo | archsweep plan unnas-cifar10",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
# Typer's own click, or the click package under older typers: the class above all mistakes in arguments.
_UsageError = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")
forget_zero_sizes()
out = Terminal()
err = Terminal(stderr=True)
_NARROW = 60  # columns; below them options fit in no table
# Commands whose whole result is what they print; the others have done their work, whoever reads of it.
_ANSWERS = (None, "plan", "status", "correlate", "query", "list", "show", "doctor", "bench")


@dataclass
class _Command:
    """What the command of this process is about, for messages about its errors."""

    verb: str | None = None
    store: RunStore | None = None


_command = _Command()

StudyName = Annotated[str, typer.Argument(metavar="STUDY", help="a study file, or a preset's name")]
RunName = Annotated[str, typer.Argument(metavar="RUN", help="a run's folder (or URL), a study file, or a preset")]
Only = Annotated[str, typer.Option(metavar="KEY=VALUE,...", help="only trials that match, e.g. task=rot,seed=1")]
DataRoot = Annotated[str, typer.Option(metavar="FOLDER", help="where datasets lie, instead of the study's data_root")]


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        out.print(f"archsweep {version('archsweep')}")
        raise typer.Exit


@app.callback()
def _root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    _command.verb = context.invoked_subcommand
    lines = LogHandler()
    lines.setFormatter(LogLines("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[lines])
    if context.invoked_subcommand != "doctor" and (foreign := node_check.strangers()):
        raise node_check.RefusedError("\n".join(foreign))


def _folder_of(file: str) -> str | None:
    """The run's folder, where a file is the study of a run that lies beside its plan, wherever that was moved to."""
    folder, name = os.path.split(os.path.expanduser(file))
    if name == "study.toml" and os.path.isfile(file) and os.path.isfile(os.path.join(folder, "plan.parquet")):
        return folder or "."
    return None


def store_of(run: str) -> RunStore:
    """The store that RUN names: a folder or URL with a plan, else the folder of a study.

    Where the study was edited since it was run, that is told on the side.
    """
    found = _command.store = _store_of(run)
    return found


def _store_of(run: str) -> RunStore:
    store = RunStore(_folder_of(run) or run)
    if "://" in store.url or store.exists("plan.parquet") or store.exists("study.toml"):
        return store
    if os.path.isdir(os.path.expanduser(run)):
        if store.listing("rows"):
            return store
        raise FileNotFoundError(f"{run} is no run: it holds neither plan.parquet nor study.toml nor rows")
    from orchestrator import runner

    study = studies.load(run)
    store = runner.open_run(study)
    if runner.differs(study, store):
        err.print(
            f"note: {run} was edited since the run at {store.url}, and what is shown is that run; "
            f"`archsweep plan {run}` shows what the edited study has left, `archsweep run` takes it in",
            style="yellow",
            markup=False,
            soft_wrap=True,
        )
    return store


def study_of(name: str) -> studies.Study:
    """The study that STUDY names; the folder of a run counts as its study, wherever it was moved to."""
    name = files.place(_folder_of(name) or name)
    if "://" in name or os.path.isfile(os.path.join(os.path.expanduser(name), "study.toml")):
        from orchestrator import runner

        store = RunStore(name)
        text = runner.study_text(store)
        if text is None:
            raise FileNotFoundError(f"{name} is no run: it holds no study.toml")
        return studies.parse(text, store.at("study.toml")).model_copy(update={"path": name})
    return studies.load(name)


@app.command(rich_help_panel="Sweeps")
def plan(
    study: StudyName,
    data_root: DataRoot = "",
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Dry run: trials, sizes, estimated time and disk. Touches nothing."""
    from orchestrator.cli import preview

    found = preview.preview(study_of(study).at(data_root))
    if as_json:
        out.print_json(json.dumps(found.as_json()), ensure_ascii=True)
    else:
        preview.show(found, out)


@app.command(rich_help_panel="Sweeps")
def run(
    study: StudyName,
    data_root: DataRoot = "",
    only: Only = "",
    limit: Annotated[int | None, typer.Option(min=1, help="train at most so many trials now")] = None,
    engine: Annotated[str | None, typer.Option(help="tune or inline, instead of the study's")] = None,
) -> None:
    """Train what is missing; run it again to resume."""
    chosen = study_of(study).at(data_root)
    if engine is not None:
        if engine not in ("tune", "inline"):
            raise ValueError(f"--engine {engine!r}: give tune or inline")
        chosen = chosen.model_copy(update={"execution": chosen.execution.model_copy(update={"engine": engine})})
    raise typer.Exit(_train(chosen, Selection.read(only), limit))


def _train(
    study: studies.Study,
    selection: Selection,
    limit: int | None,
    forgive: frozenset[str] | set[str] = frozenset(),
) -> int:
    """Run a study and say how it ended; gives the exit code."""
    from orchestrator import runner
    from orchestrator.cli import progress

    _command.store = RunStore(study.path)
    ended = runner.run(
        study,
        select=selection,
        check=selection.check,
        limit=limit,
        forgive=forgive,
        watch=lambda work: progress.watch(work, out),
        note=lambda text: out.print(text, style="dim", markup=False, soft_wrap=True),
    )
    out.print(
        f"{study.name}: {ended.done:,} of {ended.total:,} trials done ({ended.trained:,} trained now), "
        f"{ended.left:,} left, {len(ended.quarantined):,} quarantined"
    )
    if ended.broken:
        out.print(f"stopped: {ended.broken}", style="red", markup=False, soft_wrap=True)
        out.print(f"mend the cause, then `archsweep run {study.path}` goes on", markup=False, soft_wrap=True)
    out.print(f"rows: {study.path}/rows", soft_wrap=True)
    if ended.quarantined:
        ledger = Ledger.of(RunStore(study.path))
        for trial_id in ended.quarantined[:10]:
            failure = ledger.counting(trial_id)[-1]
            out.print(f"  {trial_id}  {failure.kind}: {(failure.text.splitlines() or [''])[0]}", soft_wrap=True)
        out.print(f"they wait for `archsweep retry {study.path} --failed`", soft_wrap=True)
        out.print(f"logs: {study.path}/trials/<id>/log.txt", soft_wrap=True)
    return ended.exit_code


status.add_to(app, store_of, out)


@app.command(rich_help_panel="Sweeps")
def stop(run: RunName) -> None:
    """Ask a run to end: its trials stop after the epoch they are in."""
    store = store_of(run)
    held = lease.current(store)
    if held is None or held.seen() is False:
        out.print("no driver is at work on this run")
        return
    store.write(b"", STOP)
    doubt = "" if held.alive() else " (by this machine's clock its lease has expired: it may be gone)"
    out.print(f"asked {held.holder} to stop{doubt}; `archsweep run` goes on from there", soft_wrap=True)


@app.command(rich_help_panel="Sweeps")
def retry(
    run: RunName,
    failed: Annotated[bool, typer.Option("--failed", help="every trial whose last attempt failed")] = False,
    kind: Annotated[str, typer.Option("--class", help="only failures of a class: oom, error, timeout, ...")] = "",
    trial: Annotated[list[str] | None, typer.Option(metavar="ID", help="this trial (may be given often)")] = None,
) -> None:
    """Train failed and quarantined trials once more. Adds attempts, deletes none."""
    if not (failed or kind or trial):
        raise ValueError("say which: --failed, --class CLASS or --trial ID")
    classes = sorted(LIMITS)
    if kind and not any(known.startswith(kind) for known in classes):
        raise ValueError(f"--class {kind!r}: classes are {', '.join(classes)}; oom means all that begin with it")
    store = store_of(run)
    held = lease.current(store)
    if held is not None and held.alive():
        raise lease.Held(f"the run is held by {held.holder}; retry when it has ended, or `archsweep stop` it")
    ledger = Ledger.of(store)
    planned = store.plan(["trial_id"])
    ids = set(planned["trial_id"].to_pylist()) if planned else set()
    open_ones = {t for t in ids & ledger.failures.keys() if ledger.state(t) in ("failed", "quarantined")}
    if strange := sorted(set(trial or []) - open_ones):
        raise LookupError(f"no failed trial {', '.join(strange)}; failed are {_some(open_ones)}")
    chosen = set(trial or []) or open_ones
    if kind:
        chosen = {t for t in chosen if ledger.counting(t)[-1].kind.startswith(kind)}
    if not chosen:
        out.print("no failed trial matches: nothing to retry")
        return
    raise typer.Exit(_train(study_of(store.url), Selection({"trial_id": chosen}), None, forgive=chosen))


def _some(trial_ids: set[str]) -> str:
    """A few ids, and how many more there are."""
    first = ", ".join(sorted(trial_ids)[:5]) or "none"
    return first + (f" and {len(trial_ids) - 5:,} more" if len(trial_ids) > 5 else "")


results.add_to(app, store_of, out, err)
importing.add_to(app, out)
catalogue.add_to(app, out)
check.add_to(app, out)
bench.add_to(app, out)


def main() -> None:
    """Run the command line; what a user did wrong is one message and exit code 2."""
    forget_zero_sizes()
    _command.verb = _command.store = None
    with guarded() as (stdout, _):
        code = _checked(_run(), stdout)
    sys.exit(code)


def _run() -> int:
    """Run the command; errors become a message and an exit code."""
    narrow = out.width < _NARROW
    app.rich_markup_mode = None if narrow else "rich"
    for group in app.registered_groups:
        if group.typer_instance is not None:
            group.typer_instance.rich_markup_mode = app.rich_markup_mode
    try:
        return app(prog_name="archsweep", standalone_mode=False, terminal_width=out.width if narrow else None) or 0
    except lease.Held as held:
        err.print(f"refused: {held}", soft_wrap=True)
        return 3
    except Stopped as stopped:
        err.print(f"stopped: {stopped}", soft_wrap=True, markup=False)
        return 3
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        return _explain(error)


def _checked(code: int, stdout: Stream) -> int:
    """The exit code of a command after all was printed; an answer that could not be printed is none."""
    stdout.flush()
    if stdout.lost is None or stdout.reader_left:
        return code
    err.print(f"not all could be written to standard output: {stdout.lost}", soft_wrap=True)
    answers = _command.verb in _ANSWERS or not {"-h", "--help"}.isdisjoint(sys.argv)
    return 2 if code == 0 and answers else code


def _explain(error: Exception) -> int:
    """Print an error; the traceback of what no user can mend is kept in a file."""
    if isinstance(error, _UsageError):
        error.show()  # type: ignore[attr-defined]
        if hint := hints.option(error):
            err.print(hint, soft_wrap=True)
        return 2
    if isinstance(error, typer.Abort):
        return 130
    if os.environ.get("ARCHSWEEP_TRACEBACK"):
        # As Python itself would show it, but for secrets and control characters.
        err.print(printable("".join(traceback.format_exception(error)), most=None).rstrip(), soft_wrap=True)
    text = printable(errors.message(error))
    if errors.is_users(error):
        err.print(f"error: {text}", style="red", soft_wrap=True)
        return 2
    kept = errors.keep(error, _command.store)
    if kept is None:
        err.print(printable("".join(traceback.format_exception(error)), most=None).rstrip(), soft_wrap=True)
    where = f"traceback: {kept}" if kept else "its traceback is above, as no file could be written"
    if errors.is_systems(error):
        err.print(f"error: {text}", style="red", soft_wrap=True)
        err.print(where, soft_wrap=True)
        return 2
    err.print(f"error: {type(error).__name__}: {text}", style="red", soft_wrap=True)
    err.print(f"this is a mistake of the program or of a library, not of the study; {where}", soft_wrap=True)
    return 1


if __name__ == "__main__":
    main()
