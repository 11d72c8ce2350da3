"""Benchmarks: this package's data path and training step against a plain implementation of the same experiment.

    data    batches of augmented images, against one image at a time
    step    forward, backward and optimiser, against plain modules and against nasbench_pytorch

The baselines are implementations after the papers and the public release (Liu et al. 2020); only the benchmarks use
them.  A ratio is measured only after both sides gave the same numbers for the same draws and weights.
May import everything in `workers` except `contracts`; within `workers` nothing imports it.
"""


class GateFailed(Exception):
    """The two sides do not compute the same, so a ratio of their times would be meaningless."""
