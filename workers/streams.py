"""Named streams of random numbers.

Every random draw of a training comes from a stream that is named by everything the draw may depend on, so that no draw
depends on earlier draws.  Data order and augmentation depend on (dataset_id, task, seed, epoch) and never on the
architecture; initial weights depend on (space, arch, seed).  All streams are drawn on the CPU, so a training on a GPU
sees the same batches.
"""

import hashlib

import torch


def seed_of(*name: object) -> int:
    """A 63-bit seed from the name of a stream."""
    text = "|".join(map(str, name))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def stream(*name: object) -> torch.Generator:
    """A new CPU generator for the named stream."""
    return torch.Generator().manual_seed(seed_of(*name))
