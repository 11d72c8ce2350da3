"""Parameters and multiply-adds of a MobileNet-like trunk, computed without building it."""

from spaces._space import Cost, Stem
from spaces.mobilenet.blocks import OPS, SKIP, Ops
from spaces.mobilenet.layout import layout


def cost(ops: Ops, in_channels: int, width: int, depth: int, stem: Stem, size: int, dense: bool = False) -> Cost:
    """The cost of the trunk for one image of `size` x `size` pixels."""
    of = layout(width, depth, stem, dense)
    params = macs = 0
    side = size

    def conv(inputs: int, outputs: int, kernel: int = 1, times: int = 1) -> None:
        """A convolution that gives maps of `side`, with its BN; a depthwise one has one input per output."""
        nonlocal params, macs
        weights = inputs * outputs * kernel**2
        params += times * (weights + 2 * outputs)
        macs += times * weights * side**2

    side = -(-side // of.stride)
    conv(in_channels, of.stem, 3)
    conv(1, of.stem, 3)
    conv(of.stem, of.first)
    for op, place in zip(ops, of.blocks, strict=True):
        if op == SKIP:
            continue
        kernel, expansion = OPS[op]
        hidden = expansion * place.inputs
        conv(place.inputs, hidden, times=place.times)
        side = -(-side // place.stride)
        conv(1, hidden, kernel, place.times)
        conv(hidden, place.outputs, times=place.times)
    conv(of.blocks[-1].outputs, of.last)
    return Cost(params, macs, of.last, side)
