"""Side by side: this package's data path and training step against a plain implementation of the same experiment.

    data    batches of augmented images, against one image at a time
    step    forward, backward and optimiser, against plain modules and against nasbench_pytorch's own

The baselines are what a competent user writes from the papers and the public release (Liu et al. 2020); nothing
else uses them.  No ratio is measured before both sides gave the same numbers for the same draws and weights.
"""


class GateFailed(Exception):
    """The two sides do not compute the same thing, so a ratio of their times would mean nothing."""
