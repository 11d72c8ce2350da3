"""The memory of freed tensors is reused without system calls."""

import platform
import subprocess
import sys

import pytest

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
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 16_384
