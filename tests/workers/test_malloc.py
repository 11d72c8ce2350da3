"""The memory of freed tensors is reused without system calls."""

import platform

import pytest

from tests.forks import program

SCRIPT = """
import resource, torch
from workers import malloc
malloc.reuse_freed_memory()
for _ in range(20):  # until there are pages beside every small thing that lies between
    torch.ones(2**24)  # 64 MB: 16,384 pages of 4 kB
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    torch.ones(2**24)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_large_tensors_are_made_of_pages_that_are_there() -> None:
    done = program(SCRIPT)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 16_384
