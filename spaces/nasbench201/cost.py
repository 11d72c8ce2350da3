"""Parameters and multiply-adds of a NAS-Bench-201 trunk, computed without building it."""

from spaces._space import Cost, Stem
from spaces.nasbench201.cell import Cell
from spaces.nasbench201.network import KERNELS, STAGES, check_size, stem_layers


def cost(cell: Cell, in_channels: int, width: int, depth: int, stem: Stem, size: int, dense: bool = False) -> Cost:
    """The cost of the trunk for one image of `size` x `size` pixels."""
    check_size(width, depth)
    params = macs = 0
    side = size

    def add(inputs: int, outputs: int, kernel: int, times: int = 1, normed: bool = True) -> None:
        nonlocal params, macs
        weights = inputs * outputs * kernel**2
        params += times * (weights + (2 * outputs if normed else 0))
        macs += times * weights * side**2

    for inputs, outputs, stride in stem_layers(in_channels, width, stem):
        side = -(-side // stride)
        add(inputs, outputs, 3)
    for stage in range(STAGES):
        if stage:
            side = -(-side // 2) if stage == 1 or not dense else side
            add(width, 2 * width, 3)
            add(2 * width, 2 * width, 3)
            add(width, 2 * width, 1, normed=False)
            width *= 2
        for op in cell:
            if op in KERNELS:
                add(width, width, KERNELS[op], times=depth)
    return Cost(params + 2 * width, macs, width, side)  # the last BN
