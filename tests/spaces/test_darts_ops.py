"""Decomposed dilated depthwise convolutions equal the convolution itself, for any size of the map."""

import pytest
import torch
from torch import nn

from spaces.darts.ops import SMALL, DilatedDepthwise


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (3, 3), (6, 6), (7, 4), (16, 16), (17, 17)])
def test_outputs_and_gradients_are_those_of_the_convolution(size: tuple[int, int], kernel: int, stride: int) -> None:
    torch.manual_seed(0)
    conv = DilatedDepthwise(6, kernel, stride).double()
    x = torch.randn(3, 6, *size, dtype=torch.float64).to(memory_format=torch.channels_last).requires_grad_()
    ours, expected = conv(x), nn.Conv2d.forward(conv, x)
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-12)
    outer = torch.randn_like(expected)
    gradients = [torch.autograd.grad(out, (x, conv.weight), outer) for out in (ours, expected)]
    for found, wanted in zip(*gradients, strict=True):
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)


def test_the_sizes_tested_lie_on_both_sides_of_small() -> None:
    assert 16 * 16 <= SMALL < 17 * 17


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("size", [8, 32])
def test_bfloat16_is_a_rounding_of_float32(size: int, kernel: int, stride: int) -> None:
    """The library's own kernel gives gradients of the weights that are off by their own size, or not finite."""
    torch.manual_seed(0)
    conv = DilatedDepthwise(8, kernel, stride).to(memory_format=torch.channels_last)
    x = torch.randn(32, 8, size, size).to(memory_format=torch.channels_last).requires_grad_()
    outer = torch.randn_like(conv(x))
    found = []
    for enabled in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            out = conv(x)
        found.append((out, *torch.autograd.grad(out, (x, conv.weight), outer.to(out.dtype))))
    for exact, rounded in zip(*found, strict=True):
        assert (exact - rounded).norm() <= 0.02 * exact.norm()
