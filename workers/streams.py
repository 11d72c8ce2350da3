"""Named streams of random numbers.

Every draw of a training comes from a stream named by what it may depend on, so that nothing depends on what was
drawn before it: data order and augmentation on (dataset_id, task, seed, epoch) and never on the architecture;
initial weights on (space, arch, seed).  All streams are drawn on the CPU: a GPU training sees the same batches.
"""

import hashlib

import torch


def seed_of(*name: object) -> int:
    """A 63-bit seed from the name of a stream."""
    text = "|".join(map(str, name))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def stream(*name: object) -> torch.Generator:
    """A fresh CPU generator of the named stream."""
    return torch.Generator().manual_seed(seed_of(*name))
