"""Networks in these tests are small: more threads than one only get in each other's way."""

import pytest
import torch
from hypothesis import settings

# The same examples every time, and no limit on their time: machines under test are busy.
settings.register_profile("archsweep", derandomize=True, deadline=None)
settings.load_profile("archsweep")


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
