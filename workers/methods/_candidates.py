"""Searches among single architectures by a zero-cost proxy: the controls of searches with a supernet.

Candidates are proposed one after the other, each from a random stream named by (space, task, seed, number), and scored
as by the method `score`.  An epoch is a number of candidates; the architecture that was found is the best so far, the
first of equal ones.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

import spaces
from workers.methods._found import KEPT, found_columns
from workers.methods._limits import within
from workers.methods._method import Epoch, Setting
from workers.methods.lookup import METHOD as LOOKUP
from workers.methods.lookup import cell_of
from workers.methods.score import METHOD as SCORE
from workers.recipes import Evolution, Lookup, RandomSearch
from workers.streams import seed_of


class Scored(NamedTuple):
    """A candidate and its score; NaN if it has none."""

    arch: str
    score: float

    @property
    def rank(self) -> float:
        """The score, for comparisons: without one last."""
        return self.score if math.isfinite(self.score) else -math.inf


TRIES = 1_000  # proposals of one candidate
Propose = Callable[[Sequence[Scored], np.random.Generator], str]
"""The next candidate, from all earlier ones in their order."""


def _allowed(setting: Setting, recipe: RandomSearch | Evolution) -> Callable[[str], bool]:
    """Whether an architecture is a candidate: it is within the limits, and in the table if it is looked up."""
    fits, scored = within(setting.trial, recipe), recipe.scored
    if not isinstance(scored, Lookup):
        return fits
    cell, space = cell_of(setting.trial, scored), spaces.get(setting.trial.space)
    return lambda arch: fits(arch) and bool(cell.find(arch, space.arch_id(arch), None))


class CandidatesRun:
    """A search as a run of epochs."""

    def __init__(self, setting: Setting, recipe: RandomSearch | Evolution, propose: Propose) -> None:
        self._setting, self._recipe, self._propose = setting, recipe, propose
        self._space = spaces.get(setting.trial.space)
        self._scored: list[Scored] = []
        self._curve: list[str | None] = []
        self._allowed = _allowed(setting, recipe)
        self.epochs = recipe.epochs

    def epoch(self, number: int, between: Callable[[], None]) -> Epoch:
        """Propose and score the candidates of an epoch that are left; the score is the best so far."""
        trial = self._setting.trial
        while len(self._scored) < min((number + 1) * self._recipe.generation, self._recipe.candidates):
            name = "candidate", trial.space, trial.task, trial.seed, len(self._scored)
            arch = self._proposed(np.random.default_rng(seed_of(*name)))
            self._scored.append(Scored(arch, self._score(arch)))
            between()
        best = self._best()
        self._curve.append(None if best is None else best.arch)
        return Epoch(math.nan, math.nan if best is None else best.score, diverged=False)

    def _proposed(self, rng: np.random.Generator) -> str:
        """The next candidate within the limits; ValueError if no one is found."""
        for _ in range(TRIES):
            arch = self._propose(self._scored, rng)
            if self._allowed(arch):
                return arch
        recipe = self._recipe
        limits = {"parameters": recipe.most_params, "multiply-adds": recipe.most_macs}
        what = " and ".join(f"{limit:,} {name}" for name, limit in limits.items() if limit is not None)
        raise ValueError(
            f"none of {TRIES:,} proposed architectures "
            + f"has at most {what}" * bool(what)
            + " and " * bool(what and recipe.needs_table)
            + f"is in the table {recipe.table}" * recipe.needs_table
            + f"; expected limits that more networks of width {recipe.width} and depth {recipe.depth} keep" * bool(what)
        )

    def _score(self, arch: str) -> float:
        known = next((one.score for one in self._scored if one.arch == arch), None)
        if known is not None:
            return known
        trial = self._setting.trial.model_copy(update={"arch": arch, "recipe": self._recipe.scored})
        method = LOOKUP if isinstance(trial.recipe, Lookup) else SCORE
        run = method.start(replace(self._setting, trial=trial, open_data=lambda: self._setting.data))
        try:
            return run.epoch(0, lambda: None).score
        finally:
            run.close()

    def _best(self) -> Scored | None:
        best = max(self._scored, key=lambda one: one.rank, default=None)
        return best if best is not None and math.isfinite(best.score) else None

    def _top(self) -> list[str]:
        """The best candidates, each once; of equal ones the first."""
        finite = [one for one in self._scored if math.isfinite(one.score)]
        return list(dict.fromkeys(one.arch for one in sorted(finite, key=lambda one: -one.score)))[:KEPT]

    def state(self) -> dict[str, Any]:
        """All candidates with their scores, and the curve."""
        state: dict[str, Any] = {"scored": [list(one) for one in self._scored], "curve": list(self._curve)}
        begun = len(self._scored) - len(self._curve) * self._recipe.generation
        return state | ({"within": {"candidates": begun}} if begun > 0 else {})

    def load(self, state: dict[str, Any]) -> None:
        """Continue from a state; ValueError if it has more candidates than the recipe."""
        scored = [Scored(str(arch), float(score)) for arch, score in state["scored"]]
        if len(scored) > self._recipe.candidates:
            raise ValueError(f"{len(scored)} candidates, expected at most {self._recipe.candidates}")
        self._scored, self._curve = scored, list(state["curve"])

    def columns(self) -> dict[str, Any]:
        """What was found, and the best after each epoch."""
        best = self._best()
        return {
            "train_loss": None,
            "curve_train_loss": None,
            **found_columns(self._space, best and best.arch, self._curve),
            "found_top": self._top(),
            "error_text": None if best else f"no candidate has a finite score of {self._recipe.score}",
        }

    def weights(self) -> None:
        """None: no weights are trained."""
        return

    def close(self) -> None:
        """Nothing is held between candidates."""
