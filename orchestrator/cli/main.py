"""The command line `archsweep`: its commands, and the top-level error handling.

Commands say what to do; the study file defines the experiment.  Only this module turns errors into messages and exit
codes.
"""

import logging
import os
import sys
import traceback
from functools import partial
from types import FrameType
from typing import Annotated, NoReturn

import typer

from orchestrator.cli import arguments, bench, catalogue, errors, hints, importing, results, sweeps
from orchestrator.cli.arguments import invocation
from orchestrator.cli.streams import Stream, guarded
from orchestrator.execution import node_check
from orchestrator.execution.stopped import Stopped
from orchestrator.terminal import LogHandler, LogLines, Terminal, forget_zero_sizes, printable

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
# The base class of errors in arguments, of the click inside typer or of the click package under older typers.
_UsageError = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")
forget_zero_sizes()
out = Terminal()
err = Terminal(stderr=True)
_NARROW = 60  # columns; help is not printed as tables in narrower terminals
# Commands whose only result is their output: if it cannot be written, they have failed.
_ANSWERS = (None, "plan", "status", "correlate", "query", "list", "show", "doctor", "bench")


def _version(wanted: bool) -> None:
    if wanted:
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
    invocation.verb = context.invoked_subcommand
    lines = LogHandler()
    lines.setFormatter(LogLines("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[lines])
    if context.invoked_subcommand != "doctor" and (foreign := node_check.foreign_packages()):
        raise node_check.RefusedError("\n".join(foreign))


_store_of = partial(arguments.store_of, note=err)
sweeps.add_to(app, _store_of, out)
results.add_to(app, _store_of, out, err)
importing.add_to(app, out)
catalogue.add_to(app, out)
bench.add_to(app, out)


def interrupted(number: int, frame: FrameType | None) -> NoReturn:
    """The handler of Ctrl-C where a command sets none: KeyboardInterrupt, and the note that it came.

    Libraries that are interrupted while they are imported raise other errors in its place.
    """
    invocation.interrupted = True
    raise KeyboardInterrupt


def main() -> None:
    """Run the command line; a user's mistake becomes one message and exit code 2."""
    forget_zero_sizes()
    invocation.verb = invocation.store = None
    invocation.interrupted = False
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
    except Stopped as stopped:
        err.print(f"stopped: {stopped}", soft_wrap=True, markup=False)
        return 3
    except KeyboardInterrupt:
        return 130
    except BaseException as error:
        if invocation.interrupted:
            return 130
        if isinstance(error, Exception):
            return _explain(error)
        raise


def _checked(code: int, stdout: Stream) -> int:
    """The exit code of a command, after its output was written; not 0 where an answer could not be written."""
    stdout.flush()
    if stdout.lost is None or stdout.reader_left:
        return code
    err.print(f"standard output is incomplete: {stdout.lost}", soft_wrap=True)
    answers = invocation.verb in _ANSWERS or not {"-h", "--help"}.isdisjoint(sys.argv)
    return 2 if code == 0 and answers else code


def _explain(error: Exception) -> int:
    """Print an error; the traceback of an error that the user cannot fix is written to a file."""
    if isinstance(error, _UsageError):
        error.show()  # type: ignore[attr-defined]
        if hint := hints.option(error):
            err.print(hint, soft_wrap=True)
        return 2
    if isinstance(error, typer.Abort):
        return 130
    from orchestrator.store import lease

    if isinstance(error, lease.Held):
        err.print(f"refused: {error}", soft_wrap=True)
        return 3
    if os.environ.get("ARCHSWEEP_TRACEBACK"):
        # As Python prints it, without secrets and control characters.
        err.print(printable("".join(traceback.format_exception(error)), most=None).rstrip(), soft_wrap=True)
    text = printable(errors.message(error))
    if errors.is_users(error):
        err.print(f"error: {text}", style="red", soft_wrap=True)
        return 2
    kept = errors.keep(error, invocation.store)
    if kept is None:
        err.print(printable("".join(traceback.format_exception(error)), most=None).rstrip(), soft_wrap=True)
    where = f"traceback: {kept}" if kept else "its traceback is above, as no file could be written"
    if errors.is_systems(error):
        err.print(f"error: {text}", style="red", soft_wrap=True)
        err.print(where, soft_wrap=True)
        return 2
    err.print(f"error: {type(error).__name__}: {text}", style="red", soft_wrap=True)
    err.print(f"this is a bug in the program or in a library, not an error in the study; {where}", soft_wrap=True)
    return 1


if __name__ == "__main__":
    main()
