"""The options of a comparison: which architectures it uses, by which score, and how its intervals are drawn."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Common = Literal["all", "pair"]
Diverged = Literal["worst", "drop"]
Chance = float | Mapping[str, float] | None  # a score, for all tasks or by task


@dataclass(frozen=True)
class Resampling:
    """How intervals are drawn: the number of resamples, the coverage, the seed.

    `expanded` widens the percentiles as Student's t widens a normal interval (Hesterberg 2015), since bootstrap
    intervals of few architectures are too short.
    """

    resamples: int = 2000
    confidence: float = 0.95
    seed: int = 0
    expanded: bool = False

    def __post_init__(self) -> None:
        if self.resamples < 0:
            raise ValueError(f"resamples must be 0 (no intervals) or more, not {self.resamples}")
        if not 0 < self.confidence < 1:
            raise ValueError(f"confidence must lie between 0 and 1, not {self.confidence}; 0.95, say")


@dataclass(frozen=True)
class Options:
    """The options that every statistic takes as keywords; docs/statistics.md explains them."""

    common: Common = "all"
    score: str = "score_best"
    diverged: Diverged = "worst"
    chance: Chance = None
    resamples: int = 2000
    confidence: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        self.resampling()
        if self.common not in ("all", "pair"):
            raise ValueError(f'common is "all" or "pair", not {self.common!r}')
        if self.diverged not in ("worst", "drop"):
            raise ValueError(f'diverged is "worst" or "drop", not {self.diverged!r}')

    def resampling(self, *, expanded: bool = False) -> Resampling:
        """How the intervals are drawn."""
        return Resampling(self.resamples, self.confidence, self.seed, expanded)

    @property
    def levels(self) -> Mapping[str, float]:
        """The level of chance by task, for all of them as "any task"; empty without one."""
        if self.chance is None:
            return {}
        return self.chance if isinstance(self.chance, Mapping) else {"any task": self.chance}

    def rule(self, *, trainings: bool = True, scores: bool = False) -> str:
        """Which architectures are compared, and by what: the words of column `rule`; whether the space has trainings
        and scores without training."""
        where = "every cell of the space" if self.common == "all" else "both cells"
        if self.common == "all" and scores:
            where = "every training of the space and in the scores compared" if trainings else "the scores compared"
        worst = "diverged ones rank last" if self.diverged == "worst" else "diverged ones are left out"
        words = f"{self.score}; every seed succeeded in {where}; {worst}"
        words += "; a score that is not finite is missing" * scores
        if self.chance is None:
            return words
        levels = ", ".join(f"{level:g} ({task})" for task, level in self.levels.items())
        return f"{words}; diverged if not above {levels}"
