"""Hints for unknown commands and options that users know from other programs."""

from typing import Any

from typer.core import TyperGroup

_LIST = "`archsweep list` shows what can be listed"
_QUERY = '`archsweep query RUN "select ..."` queries the rows'
_WATCH = "`archsweep status RUN --watch` follows a run; `archsweep report RUN` writes a page"
VERBS = {
    "help": "`archsweep --help` names all commands, `archsweep COMMAND --help` explains one",
    "version": "`archsweep --version` prints it",
    "resume": "`archsweep run STUDY` continues where it stopped",
    "continue": "`archsweep run STUDY` continues where it stopped",
    "start": "`archsweep run STUDY` trains",
    "sweep": "`archsweep run STUDY` trains",
    "train": "`archsweep run STUDY` trains",
    "restart": "`archsweep retry RUN --failed` trains failed trials again",
    "init": "a study is a TOML file; `archsweep list presets` shows examples",
    "create": "a study is a TOML file; `archsweep list presets` shows examples",
    "logs": "the log of a trial is RUN/trials/ID/log.txt while it trains and after it failed; `archsweep status RUN`",
    "log": "the log of a trial is RUN/trials/ID/log.txt while it trains and after it failed; `archsweep status RUN`",
    "failures": "`archsweep status RUN` shows failures by class; `archsweep retry RUN --failed` trains them again",
    "delete": "a run is a folder: remove it with its files",
    "rm": "a run is a folder: remove it with its files",
    "cancel": "`archsweep stop RUN` stops a run after the current epochs",
    "kill": "`archsweep stop RUN` stops a run after the current epochs",
    "best": _QUERY,
    "sql": _QUERY,
    "trials": _QUERY,
    "results": "`archsweep correlate RUN`, `archsweep report RUN`, `archsweep query RUN SQL` read results",
    "analyze": "`archsweep correlate RUN` and `archsweep report RUN` analyse",
    "analyse": "`archsweep correlate RUN` and `archsweep report RUN` analyse",
    "compare": "`archsweep correlate RUN RUN` combines several runs",
    "plot": "`archsweep report RUN` draws",
    "ui": _WATCH,
    "dashboard": _WATCH,
    "studies": _LIST,
    "presets": _LIST,
    "spaces": _LIST,
    "datasets": _LIST,
    "tasks": _LIST,
    "recipes": _LIST,
    "tables": _LIST,
    "download": "`archsweep prepare DATASET --download --data-root FOLDER` fetches a dataset",
    "validate": "`archsweep check NAME` checks a space, task or dataset, `archsweep plan STUDY` a study",
}
_FILE = "redirect the output: `... --csv > FILE`; `archsweep export RUN FILE` writes all rows"
_STUDY = "trials are defined in the study file, not by options"
OPTIONS = {
    "--dry-run": "`archsweep plan STUDY` is the dry run",
    "--dryrun": "`archsweep plan STUDY` is the dry run",
    "--resume": "`archsweep run STUDY` resumes without an option",
    "-o": _FILE,
    "--out": _FILE,
    "--output": _FILE,
    "--format": "give --json, --csv, --latex or --markdown",
    "-f": "give --json, --csv, --latex or --markdown",
    "--seed": _STUDY,
    "--seeds": _STUDY,
    "--epochs": _STUDY,
    "--lr": _STUDY,
    "--task": f"{_STUDY}; `--only task=rot` selects among its trials",
    "--path": f"{_STUDY}: its key `path`",
    "--gpus": f"{_STUDY}: its key `gpus_per_trial` below [execution]",
    "--install-completion": "shell completion is not available",
    "--show-completion": "shell completion is not available",
}


class Verbs(TyperGroup):
    """The group of commands; unknown names that are known from other programs get a hint."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find a command; an unknown name fails with a hint if there is one."""
        if args and args[0] not in self.commands and args[0] in VERBS:
            ctx.fail(f"No such command {args[0]!r}: {VERBS[args[0]]}.")
        return super().resolve_command(ctx, args)


def option(error: Any) -> str | None:
    """The hint for an option that a command does not have."""
    return OPTIONS.get(str(getattr(error, "option_name", "")))
