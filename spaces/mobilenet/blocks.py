"""The text of a MobileNet-like architecture: 21 blocks in six stages.

`k5e3_k3e3_skip_k5e3:...:k5e3`: blocks joined by `_`, stages by `:`.  `k5e3` is an inverted residual block with a
depthwise convolution of 5x5 on 3 times as many channels as its input; `skip` is the identity.
"""

from itertools import accumulate
from typing import NamedTuple

from spaces._text import quoted


class Stage(NamedTuple):
    """A stage: output channels at the published width, number of blocks, stride of the first one."""

    channels: int
    blocks: int
    stride: int


STAGES = (
    Stage(32, 4, 2), Stage(56, 4, 2), Stage(112, 4, 2), Stage(128, 4, 1), Stage(256, 4, 2), Stage(432, 1, 1)
)  # fmt: skip
BLOCKS = sum(stage.blocks for stage in STAGES)
SKIP = "skip"
OPS = {"k3e3": (3, 3), "k3e6": (3, 6), "k5e3": (5, 3), "k5e6": (5, 6), "k7e3": (7, 3), "k7e6": (7, 6)}
"""Kernel and expansion of each block but `skip`, in the order of the publication."""

FIRSTS = frozenset(accumulate((stage.blocks for stage in STAGES[:-1]), initial=0))
"""The first block of every stage, which changes the number of channels and cannot be skipped."""

NAMES = tuple(f"stage {number}" for number in range(1, len(STAGES) + 1))

Ops = tuple[str, ...]  # of the 21 blocks, in order


def allowed(block: int) -> tuple[str, ...]:
    """The operations that a block (0..20) may have."""
    return tuple(OPS) if block in FIRSTS else (*OPS, SKIP)


def parse(arch: str) -> Ops:
    """The 21 operations of a text; ValueError says which block is wrong."""
    stages = arch.split(":", len(STAGES))  # splits at most one part too many
    if len(stages) != len(STAGES):
        raise ValueError(
            f"{quoted(arch)} is not a valid MobileNet; expected {len(STAGES)} stages joined by `:`, with "
            f"{', '.join(str(stage.blocks) for stage in STAGES)} blocks"
        )
    found: list[str] = []
    for number, (text, stage) in enumerate(zip(stages, STAGES, strict=True), start=1):
        ops = text.split("_", stage.blocks)
        if len(ops) != stage.blocks:
            raise ValueError(
                f"stage {number} of the MobileNet {quoted(arch)} is {quoted(text)}; expected {stage.blocks} blocks, "
                f"like `{'_'.join(list(OPS)[: stage.blocks])}`"
            )
        for op in ops:
            if op not in allowed(len(found)):
                raise ValueError(
                    f"block {len(found)} of the MobileNet {quoted(arch)} is {quoted(op)}; expected one of "
                    f"{', '.join(allowed(len(found)))}"
                )
            found.append(op)
    return tuple(found)


def write(ops: Ops) -> str:
    """The text of 21 operations, the inverse of `parse`."""
    return ":".join("_".join(stage) for stage in staged(ops))


def named(op: str) -> str:
    """The name of an operation in graphs, `mb3_5x5` for `k5e3`."""
    return op if op == SKIP else "mb{1}_{0}x{0}".format(*OPS[op])


def staged(ops: Ops) -> list[Ops]:
    """The operations of each stage."""
    left = iter(ops)
    return [tuple(next(left) for _ in range(stage.blocks)) for stage in STAGES]


def canonical(ops: Ops) -> Ops:
    """The same network with the skips of every stage at its end: all its blocks but the first have one shape."""
    found: list[str] = []
    for stage in staged(ops):
        kept = [op for op in stage if op != SKIP]
        found += kept + [SKIP] * (len(stage) - len(kept))
    return tuple(found)
