"""Parameters and multiply-adds of a DARTS trunk, computed without building it."""

from spaces._space import Cost, Stem
from spaces.darts.genotype import Cell, Genotype
from spaces.darts.network import STEM_MULTIPLIER, stages

Count = tuple[int, int]  # weights of convolutions and BN; multiply-adds


def cost(
    genotype: Genotype, in_channels: int, width: int, depth: int, stem: Stem, size: int, dense: bool = False
) -> Cost:
    """The cost of the trunk for one image of `size` x `size` pixels."""
    stack = stages(width, depth, stem, dense)
    if stem == "cifar":
        counts = [_conv(in_channels, STEM_MULTIPLIER * width, 3, size)]
        before_last = last = size
    else:
        half, before_last = _half(size), _half(_half(size))
        last = _half(before_last)
        counts = [
            _conv(in_channels, width // 2, 3, half),
            _conv(width // 2, width, 3, before_last),
            _conv(width, width, 3, last),
        ]
    seen: dict[tuple[bool, int, int], Count] = {}  # computed once: most cells of a stack have the same cost
    for stage in stack:
        counts.append(_conv(stage.before_last, stage.width, 1, last))
        counts.append(_conv(stage.last, stage.width, 1, last))
        key = (stage.reduces, stage.width, last)
        if key not in seen:
            cell = genotype.reduce if stage.reduces else genotype.normal
            seen[key] = _nodes(cell, stage.width, stage.reduces, last)
        counts.append(seen[key])
        last = _half(last) if stage.reduces else last
    return Cost(sum(c[0] for c in counts), sum(c[1] for c in counts), 4 * stack[-1].width, last)


def _half(size: int) -> int:
    """The side after a stride-2 operation, which rounds up."""
    return (size + 1) // 2


def _conv(inputs: int, outputs: int, kernel: int, size: int) -> Count:
    """A convolution with an output of `size`, and its BN.  Also the two halves of a factorised reduction."""
    weights = inputs * outputs * kernel**2
    return weights + 2 * outputs, weights * size**2


def _nodes(cell: Cell, width: int, reduces: bool, size: int) -> Count:
    """All operations between the preprocessed inputs (feature maps of `size`) and the cell's output."""
    out = _half(size) if reduces else size
    params = macs = 0
    for node in cell:
        for code, source in node:
            if code in ("s3", "s5", "d3", "d5"):
                weights = width * int(code[1]) ** 2 + width**2  # depthwise and pointwise
                times = 2 if code[0] == "s" else 1
                params += times * (weights + 2 * width)
                macs += times * weights * out**2
            elif code == "sk" and reduces and source < 2:
                conv = _conv(width, width, 1, out)
                params, macs = params + conv[0], macs + conv[1]
    return params, macs
