"""Generated studies of scores without training beside trainings."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from made_up import population, row

PROXIES: Mapping[str, tuple[float, float]] = {  # share of the quality that a score has, and its seconds
    "params": (0.5, 0.004),
    "flops": (0.45, 0.005),
    "grad_norm": (0.4, 0.11),
    "snip": (0.4, 0.12),
    "grasp": (0.3, 0.4),
    "fisher": (0.2, 0.13),
    "synflow": (0.6, 0.09),
    "jacov": (0.55, 0.1),
    "nwot": (0.7, 0.08),
    "zen": (0.3, 0.09),
    "l2_norm": (0.5, 0.006),
    "plain": (-0.2, 0.1),
    "epe_nas": (0.35, 0.15),
}


def score_row(name: str, value: float, **known: Any) -> dict[str, Any]:
    """The row of a score: a plain number in its own units, no chance, no number of test images."""
    nothing = dict.fromkeys(("test_images", "test_targets", "chance", "train_loss"))
    score = {"recipe": f"zero_cost/{name}", "metric": name, "method": "score", "score_best": value, "epochs": 1}
    return row(**(score | {"train_s": 0.1, "best_epoch": 1, "curve_test_score": [value]} | nothing | known))


def study(
    n: int,
    *,
    proxies: Sequence[str] = ("params", "synflow", "nwot"),
    tasks: Sequence[str] = ("cls",),
    trained: Sequence[str] = ("cls", "rot"),
    seeds: Sequence[int] = (1,),
    rng: int = 0,
) -> list[dict[str, Any]]:
    """n architectures, trained on some tasks and scored under some; `params` is the size of the networks."""
    draw = np.random.default_rng(rng)
    rows = population(n, spaces=("nasbench201",), tasks=trained, seeds=seeds, rng=rng)
    first = [line for line in rows if line["task"] == trained[0] and line["seed"] == seeds[0]]
    quality = np.array([line["score_best"] for line in first])
    quality = (quality - quality.mean()) / quality.std()
    size = 0.5 * quality + np.sqrt(0.75) * draw.normal(size=n)
    params = (np.exp(13 + 0.5 * size) * 10).astype(int)
    macs = (30 * params * np.exp(0.2 * draw.normal(size=n))).astype(int)
    for line in rows:
        k = int(line["arch"][-4:])
        line |= {"params": int(params[k]), "macs": int(macs[k]), "train_s": 1200.0}
        line |= {"test_images": 10_000, "chance": 0.1}
    for task in tasks:
        for name in proxies:
            share, seconds = PROXIES[name]
            noisy = share * quality + np.sqrt(1 - share**2) * draw.normal(size=n)
            values = {"params": params.astype(float), "synflow": np.exp(20 + 8 * noisy)}.get(name, 100 + 10 * noisy)
            rows += [
                score_row(
                    name,
                    float(values[k]),
                    space="nasbench201",
                    task=task,
                    train_s=seconds,
                    **{part: first[k][part] for part in ("arch", "params", "macs")},
                )
                for k in range(n)
            ]
    return rows
