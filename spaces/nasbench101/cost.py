"""Parameters and multiply-adds of a NAS-Bench-101 trunk, computed without building it."""

from spaces._space import Cost, Stem
from spaces.nasbench101.cell import Module
from spaces.nasbench101.network import KERNELS, STACKS, check_size, stem_layers, vertex_channels

Count = tuple[int, int]  # weights of convolutions; channels of BN


def cost(module: Module, in_channels: int, width: int, depth: int, stem: Stem, size: int, dense: bool = False) -> Cost:
    """The cost of the trunk for one image of `size` x `size` pixels. ValueError if no pixel would be left."""
    check_size(width, depth)
    params = macs = 0
    side = size

    def add(weights: int, channels: int, times: int = 1) -> None:
        nonlocal params, macs
        params += times * (weights + 2 * channels)
        macs += times * weights * side**2

    for inputs, outputs, stride in stem_layers(in_channels, width, stem):
        side = (side + stride - 1) // stride
        add(inputs * outputs * 9, outputs)
    inputs = outputs = width
    for stack in range(STACKS):
        if stack:
            side, outputs = (side // 2 if stack == 1 or not dense else side), 2 * outputs
        add(*_module(module, inputs, outputs))
        add(*_module(module, outputs, outputs), times=depth - 1)
        inputs = outputs
    if side < 1:
        raise ValueError(f"images of {size} pixels are too small for a NAS-Bench-101 network with the {stem} stem")
    return Cost(params, macs, outputs, side)


def _module(module: Module, inputs: int, outputs: int) -> Count:
    """All convolutions of one module."""
    channels = vertex_channels(module, outputs)
    weights = normed = 0
    for width, feed in zip(channels, module.feeds, strict=True):
        if 0 in feed:
            weights, normed = weights + inputs * width, normed + width
    for width, op in zip(channels, module.ops, strict=False):
        if op in KERNELS:
            weights, normed = weights + width**2 * KERNELS[op] ** 2, normed + width
    return weights, normed
