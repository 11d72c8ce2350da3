"""A simulated study with known true statistics: normal qualities, sizes and noise of seeds."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

Array = np.ndarray[Any, Any]


def spearman(pearson: float) -> float:
    """Spearman's rho of two normal variables with this Pearson correlation (Pearson 1907)."""
    return 6 / np.pi * np.arcsin(pearson / 2)


@dataclass(frozen=True)
class Known:
    """Architectures with a size and a quality of which size is a part; tasks that measure the quality, each with
    something of its own; trainings that measure a task's score with noise.

    quality = in_size * size + ..., score of a task = in_quality[task] * quality + ..., all of variance 1; one training
    adds noise of deviation `noise`, and at epoch e of `epochs` more noise of deviation `rough` * (epochs - e).
    """

    in_quality: tuple[float, ...] = (0.9, 0.95)  # of tasks rot and cls, then more
    in_size: float = 0.6
    macs_like_params: float = 0.8
    noise: float = 0.5
    seeds: int = 3
    epochs: int = 5
    rough: float = 0.4
    tasks: tuple[str, ...] = ("rot", "cls", "jig")

    def draw(self, n: int, rng: np.random.Generator) -> tuple[Array, Array]:
        """Scores of trainings (tasks, n, seeds), and the logarithms of params and MACs (n, 2)."""
        size, others = rng.normal(size=n), rng.normal(size=(2 + len(self.in_quality), n))
        quality = self.in_size * size + np.sqrt(1 - self.in_size**2) * others[0]
        macs = self.macs_like_params * size + np.sqrt(1 - self.macs_like_params**2) * others[1]
        share = np.array(self.in_quality)[:, None]
        scores = share * quality + np.sqrt(1 - share**2) * others[2:]
        noise = self.noise * rng.normal(size=(*scores.shape, self.seeds))
        return scores[..., None] + noise, np.column_stack([size, macs])

    def rows(self, n: int, rng: np.random.Generator) -> pd.DataFrame:
        """One line a training."""
        trained, sizes = self.draw(n, rng)
        left = self.epochs - np.arange(1, self.epochs + 1)
        parts = []
        for t, s in np.ndindex(len(trained), self.seeds):
            scores = trained[t, :, s]
            curves = scores[:, None] + self.rough * left * rng.normal(size=(n, self.epochs))
            columns = {
                "space": "known",
                "arch": [f"a{k:05d}" for k in range(n)],
                "dataset": "made-up",
                "task": self.tasks[t],
                "seed": s + 1,
                "metric": "top1",
                "score_best": scores,
                "score_final": scores,
                "params": (np.exp(13 + sizes[:, 0]) * 1000).astype(np.int64),
                "macs": (np.exp(17 + sizes[:, 1]) * 1000).astype(np.int64),
                "curve_test_score": list(curves),
                "curve_seconds": [np.full(self.epochs, 2.0)] * n,
            }
            parts.append(pd.DataFrame(columns))
        return pd.concat(parts, ignore_index=True)

    def between(self, x: int, y: int, x_seeds: int | None = None, y_seeds: int | None = None) -> float:
        """Pearson correlation of two tasks' means over seeds; of the scores without noise for 0 seeds."""
        true = self.in_quality[x] * self.in_quality[y] if x != y else 1.0
        return true * self.share(x_seeds) * self.share(y_seeds)

    def share(self, seeds: int | None = None) -> float:
        """Correlation of a mean over seeds with the score without noise."""
        seeds = self.seeds if seeds is None else seeds
        return 1.0 if seeds == 0 else 1 / np.sqrt(1 + self.noise**2 / seeds)

    def reliability(self, k: int) -> float:
        """Spearman's rho between two means over k seeds of one task."""
        return spearman(self.share(k) ** 2)

    def matrix(self, x: int, y: int) -> Array:
        """(4, 4) Spearman's rho between two tasks' means over seeds, params and MACs."""
        seen = self.share()
        to_size = [self.in_quality[t] * self.in_size * seen for t in (x, y)]
        to_macs = [r * self.macs_like_params for r in to_size]
        pearson = np.array(
            [
                [1, self.between(x, y), to_size[0], to_macs[0]],
                [self.between(x, y), 1, to_size[1], to_macs[1]],
                [to_size[0], to_size[1], 1, self.macs_like_params],
                [to_macs[0], to_macs[1], self.macs_like_params, 1],
            ]
        )
        return 6 / np.pi * np.arcsin(pearson / 2)

    def partial(self, x: int, y: int, given: list[int]) -> float:
        """Partial Spearman correlation of two tasks given params (2), MACs (3) or both."""
        inverse = np.linalg.inv(self.matrix(x, y)[np.ix_([0, 1, *given], [0, 1, *given])])
        return float(-inverse[0, 1] / np.sqrt(inverse[0, 0] * inverse[1, 1]))

    def at_epoch(self, x: int, y: int, epoch: int) -> float:
        """Spearman's rho of task x after an epoch (its last evaluation) with the final means of y."""
        noise = (self.noise**2 + (self.rough * (self.epochs - epoch)) ** 2) / self.seeds
        return spearman(self.between(x, y, 0) / np.sqrt(1 + noise))
