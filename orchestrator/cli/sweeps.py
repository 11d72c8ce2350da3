"""Commands about sweeps: plan, run, status, stop, retry.

Commands import what they need when they are called, so that `archsweep --help` answers at once.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from orchestrator.cli.arguments import (
    DataRoot,
    Measured,
    Only,
    RunName,
    Runs,
    StudyName,
    Table,
    invocation,
    study_of,
)

if TYPE_CHECKING:
    from orchestrator.store.run_folder import RunStore
    from orchestrator.store.trial_states import Ledger
    from orchestrator.study.schema import Study
    from orchestrator.study.selection import Selection


def add_to(app: typer.Typer, store_of: Callable[[str], RunStore], out: Console) -> None:
    """Add the commands to the command line; `store_of` finds the run that an argument names."""

    @app.command(rich_help_panel="Sweeps")
    def plan(
        study: StudyName,
        data_root: DataRoot = "",
        lookup: Table = "",
        measured: Measured = "",
        as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
    ) -> None:
        """Dry run: trials, sizes, estimated time and disk. Touches nothing."""
        from orchestrator.cli import preview

        found = preview.preview(_changed(study, data_root, lookup, measured))
        if as_json:
            out.print_json(json.dumps(found.as_json()), ensure_ascii=True)
        else:
            preview.show(found, out)

    @app.command(rich_help_panel="Sweeps")
    def run(
        study: StudyName,
        data_root: DataRoot = "",
        lookup: Table = "",
        measured: Measured = "",
        only: Only = "",
        limit: Annotated[int | None, typer.Option(min=1, help="train at most this many trials now")] = None,
        engine: Annotated[str | None, typer.Option(help="tune or inline, instead of the study's")] = None,
    ) -> None:
        """Train what is missing; run it again to resume."""
        from orchestrator.study.selection import Selection

        chosen = _changed(study, data_root, lookup, measured)
        if engine is not None:
            if engine not in ("tune", "inline"):
                raise ValueError(f"--engine {engine!r}: give tune or inline")
            chosen = chosen.model_copy(update={"execution": chosen.execution.model_copy(update={"engine": engine})})
        raise typer.Exit(_train(chosen, Selection.read(only), limit, out))

    @app.command(rich_help_panel="Sweeps")
    def status(
        runs: Runs,
        as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
        watch: Annotated[
            bool,
            typer.Option("--watch", help="until all trials are done or no driver is at work; exit codes as of run"),
        ] = False,
        every: Annotated[float, typer.Option(min=0.1, metavar="SECONDS", help="between two updates of --watch")] = 10.0,
    ) -> None:
        """Show the state of runs, read from their files."""
        from orchestrator.cli import status_view, watching

        stores = [store_of(run) for run in runs]
        if watch:
            if as_json:
                raise ValueError("--watch and --json cannot be combined: give one of them")
            raise typer.Exit(watching.watch(stores, every, out))
        status_view.show(runs, stores, as_json, out)

    @app.command(rich_help_panel="Sweeps")
    def stop(run: RunName) -> None:
        """Ask a run to stop: its trials end after their current epoch."""
        from orchestrator.store import lease
        from orchestrator.store.run_folder import STOP

        store = store_of(run)
        held = lease.current(store)
        if held is None or held.seen() is False:
            out.print("no driver is at work on this run")
            return
        store.write(b"", STOP)
        doubt = "" if held.alive() else " (by this machine's clock its lease has expired: it may have ended)"
        out.print(f"asked {held.holder} to stop{doubt}; `archsweep run` continues it", soft_wrap=True)

    @app.command(rich_help_panel="Sweeps")
    def retry(
        run: RunName,
        failed: Annotated[bool, typer.Option("--failed", help="every trial whose last attempt failed")] = False,
        kind: Annotated[str, typer.Option("--class", help="only failures of a class: oom, error, timeout, ...")] = "",
        trial: Annotated[list[str] | None, typer.Option(metavar="ID", help="this trial (may be repeated)")] = None,
        weights: Annotated[
            bool, typer.Option("--weights", help="finished trials whose weights others need and which were not kept")
        ] = False,
    ) -> None:
        """Train failed and quarantined trials again. Adds attempts, deletes none."""
        from orchestrator.store import lease
        from orchestrator.store.trial_states import LIMITS, Ledger
        from orchestrator.study.selection import Selection

        if not (failed or kind or trial or weights):
            raise ValueError("give --failed, --class CLASS, --trial ID or --weights")
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
        study = study_of(run)
        again, followers = _for_weights(study, store, ledger, set(trial or []) & ledger.done, weights)
        if strange := sorted(set(trial or []) - open_ones - again):
            raise LookupError(f"no failed trial {', '.join(strange)}; failed are {_some(open_ones)}")
        chosen = set(trial or []) - again or (open_ones if failed or kind else set())
        if kind:
            chosen = {t for t in chosen if ledger.counting(t)[-1].kind.startswith(kind)}
        if not chosen and not again:
            out.print("no failed trial matches: nothing to retry")
            return
        selection = Selection({"trial_id": chosen | again})
        raise typer.Exit(_train(study, selection, None, out, forgive=chosen | followers & open_ones, again=again))


def _changed(study: str, data_root: str, table: str, measured: str) -> Study:
    """The study with the changes that options of the command line make."""
    if measured and not table:
        raise ValueError(f"--measured {measured!r} belongs to --lookup TABLE, and no table is given")
    return study_of(study).at(data_root).looking_up(table, measured)


def _for_weights(
    study: Study, store: RunStore, ledger: Ledger, named: set[str], missing: bool
) -> tuple[set[str], set[str]]:
    """The finished trials that are trained again for their weights, and the trials that use these weights.

    named: trials that must be among the first ones.  missing: with all whose weights others need and which were not
    kept.  LookupError where no trial uses the weights of a named one.
    """
    from orchestrator.store.waiting import Readiness, base_of, bases_of, without_weights
    from orchestrator.study import searches
    from orchestrator.study.plan import plan

    if not named and not missing:
        return set(), set()
    rows = plan(study, searches.found(study)).table.select(["trial_id", "arch", "base"]).to_pylist()
    if strange := sorted(named - bases_of(rows)):
        raise LookupError(
            f"trial {', '.join(strange)} is done, and no trial of the study uses its weights: nothing to train again. "
            "If the study was edited since, name its file in place of the run"
        )
    again = named | (without_weights(rows, Readiness.of(store, ledger, rows)) if missing else set())
    return again, {row["trial_id"] for row in rows if base_of(row) in again}


def _train(
    study: Study,
    selection: Selection,
    limit: int | None,
    out: Console,
    forgive: frozenset[str] | set[str] = frozenset(),
    again: frozenset[str] | set[str] = frozenset(),
) -> int:
    """Run a study and print a summary; returns the exit code."""
    from orchestrator import runner
    from orchestrator.cli import progress, status_view
    from orchestrator.store.run_folder import RunStore
    from orchestrator.store.trial_states import Ledger
    from orchestrator.store.waiting import Readiness

    invocation.store = RunStore(study.path)
    ended = runner.run(
        study,
        select=selection,
        check=selection.check,
        limit=limit,
        forgive=forgive,
        again=again,
        watch=lambda work: progress.watch(work, out),
        note=lambda text: out.print(text, style="dim", markup=False, soft_wrap=True),
    )
    out.print(
        f"{study.name}: {ended.done:,} of {ended.total:,} trials done ({ended.trained:,} trained now), "
        f"{ended.left:,} left, {len(ended.quarantined):,} quarantined"
        + f", {ended.waits.total:,} waiting"
        * bool(ended.waits)
    )
    # A store that cannot be read now must not change how the launch ends.
    with contextlib.suppress(OSError, ValueError):
        if (found := status_view.look(invocation.store)) is not None:
            status_view.show_scores(found, out)
    if ended.broken:
        out.print(f"stopped: {ended.broken}", style="red", markup=False, soft_wrap=True)
        out.print(f"fix the cause, then run `archsweep run {study.path}` to continue", markup=False, soft_wrap=True)
    out.print(f"rows: {study.path}/rows", soft_wrap=True)
    ledger = Ledger.of(RunStore(study.path)) if ended.quarantined or ended.waits else Ledger()
    for line in ended.waits.lines(Readiness(ledger), all_of_them=not ended.left):
        out.print(line, soft_wrap=True)
    if ended.quarantined:
        for trial_id in ended.quarantined[:10]:
            failure = ledger.counting(trial_id)[-1]
            out.print(f"  {trial_id}  {failure.kind}: {(failure.text.splitlines() or [''])[0]}", soft_wrap=True)
        out.print(f"to try them again: `archsweep retry {study.path} --failed`", soft_wrap=True)
        out.print(f"logs: {study.path}/trials/<id>/log.txt", soft_wrap=True)
    return ended.exit_code


def _some(trial_ids: set[str]) -> str:
    """Some ids, and the number of the others."""
    first = ", ".join(sorted(trial_ids)[:5]) or "none"
    return first + (f" and {len(trial_ids) - 5:,} more" if len(trial_ids) > 5 else "")
