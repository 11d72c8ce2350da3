"""Exact CIELAB lightness and colour class of 8-bit RGB pixels, on any device.

The 313 colour classes (Zhang et al. 2016) are points of a lattice with a pitch of 10 in the ab plane, and the nearest
lattice point of every colour is one of them (a test checks all 16,777,216 colours).  So the class of a pixel is
computed by rounding, without a search.  Lightness and class are functions of the 24-bit colour.  They are computed in
float64, since in float32 about five of 500,000 colours get the wrong class.
"""

from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from scipy.spatial import ConvexHull
from torch import Tensor

Floats = npt.NDArray[np.float64]

CLASSES = 313
COLOURS = 2**24
PITCH = 10
LOW, HIGH = -110, 110  # range of the lattice in a and in b: all sRGB colours lie inside
WHITE = (0.95047, 1.0, 1.08883)  # D65, 2 degree observer
# Linear RGB -> XYZ (IEC 61966-2-1), each row over the white point's coordinate below.
XYZ = (
    (0.412453, 0.357580, 0.180423),
    (0.212671, 0.715160, 0.072169),
    (0.019334, 0.119193, 0.950227),
)
LINEAR_BELOW = 0.008856  # of XYZ relative to white: CIELAB is linear below, a cube root above


def centres() -> npt.NDArray[np.int64]:
    """The colour classes as (a, b), (313, 2), ascending by a, then by b.

    They are the corners of all lattice cells whose interior overlaps the convex hull of all sRGB colours in the ab
    plane.  The hull is computed from the edges of the RGB cube.
    """
    hull = _gamut()
    low = range(LOW, HIGH, PITCH)
    cells = [(a, b) for a in low for b in low if _overlap(hull, a, b)]
    corners = {(a + da, b + db) for a, b in cells for da in (0, PITCH) for db in (0, PITCH)}
    return np.array(sorted(corners), dtype=np.int64)


def _gamut() -> Floats:
    """Corners (M, 2), counter-clockwise, of the convex hull of all sRGB colours in the ab plane."""
    ramp = np.arange(256)
    edges = []
    for axis in range(3):
        for one in (0, 255):
            for other in (0, 255):
                edge = np.empty((256, 3), dtype=np.uint8)
                edge[:, axis] = ramp
                edge[:, (axis + 1) % 3], edge[:, (axis + 2) % 3] = one, other
                edges.append(edge)
    _, a, b = _lab(torch.from_numpy(np.concatenate(edges)))
    points = torch.stack([a, b], dim=1).numpy()
    return np.asarray(points[ConvexHull(points).vertices], dtype=np.float64)


def _overlap(hull: Floats, a: int, b: int) -> bool:
    """Whether the open cell with corner (a, b) intersects the interior of a convex polygon (separating axes)."""
    if hull[:, 0].max() <= a or hull[:, 0].min() >= a + PITCH:
        return False
    if hull[:, 1].max() <= b or hull[:, 1].min() >= b + PITCH:
        return False
    cell = np.array([(a, b), (a + PITCH, b), (a + PITCH, b + PITCH), (a, b + PITCH)], dtype=np.float64)
    side = np.roll(hull, -1, axis=0) - hull
    reach = cell[None] - hull[:, None]  # (M, 4, 2)
    left_of = side[:, None, 0] * reach[..., 1] - side[:, None, 1] * reach[..., 0]
    return bool((left_of.max(axis=1) > 0).all())


@lru_cache(maxsize=8)
def _lattice(device: torch.device) -> Tensor:
    """Class of each lattice point: int64, row-major over a, then b; -1 if there is no class."""
    side = (HIGH - LOW) // PITCH + 1
    classes = np.full((side, side), -1, dtype=np.int64)
    a, b = ((centres() - LOW) // PITCH).T
    classes[a, b] = np.arange(CLASSES)
    with torch.inference_mode(False):
        return torch.from_numpy(classes.reshape(-1)).to(device)


@lru_cache(maxsize=8)
def _linear(device: torch.device) -> Tensor:
    """Linear light of each 8-bit value: float64 (256,)."""
    value = np.arange(256) / 255
    linear = np.where(value > 0.04045, ((value + 0.055) / 1.055) ** 2.4, value / 12.92)
    with torch.inference_mode(False):
        return torch.from_numpy(linear).to(device)


def _lab(pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """0..255 as any integers (..., 3) -> L, a, b, each float64 (...)."""
    red, green, blue = _linear(pixels.device)[pixels.to(torch.int64)].unbind(dim=-1)
    roots = []
    for row, white in zip(XYZ, WHITE, strict=True):
        light = (red * row[0] + green * row[1] + blue * row[2]) / white
        root = light.clamp_min(LINEAR_BELOW).pow(1 / 3)
        roots.append(torch.where(light > LINEAR_BELOW, root, 7.787 * light + 16 / 116))
    x, y, z = roots
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


class _Table:
    """Lightness and class of all 24-bit colours, 134 MB on one device, built when that saves time.

    Building it takes as long as computing 16,777,216 pixels, about one core-second; so it is built once this many
    pixels were processed.  Its values equal the computed ones bit for bit, since a resumed training may switch to the
    table at another step.

    An entry holds both values in 8 bytes, the class in the lower half and the float32 lightness in the upper half:
    access is random, so loading an entry dominates the time.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.processed = 0
        self.entries: Tensor | None = None  # int64 (2 ** 24,)

    def look_up(self, colours: Tensor) -> tuple[Tensor, Tensor] | None:
        """As `of_colours`; None if the table does not save time yet."""
        if self.entries is None:
            self.processed += colours.numel()
            # On CUDA built immediately: it must exist before the graph capture, which freezes this branch.
            if self.device.type == "cpu" and self.processed < COLOURS:
                return None
            self.entries = self.make()
        found = self.entries.index_select(0, colours.flatten())
        lightness = found.view(torch.float32)[1::2].clone()
        return lightness.view(colours.shape), found.bitwise_and_(2**32 - 1).view(colours.shape)

    def make(self) -> Tensor:
        """The entries, computed 65,536 colours at a time, which fit a core's cache."""
        with torch.inference_mode(False):
            entries = torch.empty(COLOURS, dtype=torch.int64, device=self.device)
            for part in entries.split(2**16):
                first = part.storage_offset()
                colours = torch.arange(first, first + len(part), dtype=torch.int32, device=self.device)
                lightness, part[:] = by_rule(colours)
                part.view(torch.float32)[1::2] = lightness
        return entries


@lru_cache(maxsize=8)
def _table(device: torch.device) -> _Table:
    return _Table(device)


def packed(images: Tensor) -> Tensor:
    """uint8 (..., 3) -> the 24-bit colour of each pixel, int32 (...)."""
    red, green, blue = images.unbind(dim=-1)
    return torch.add(blue, red.to(torch.int32), alpha=2**16).add_(green.to(torch.int32), alpha=2**8)


def of_colours(colours: Tensor) -> tuple[Tensor, Tensor]:
    """24-bit colours, int32 (...) -> lightness in 0..100, float32 (...), and colour class, int64 (...)."""
    return _table(colours.device).look_up(colours) or by_rule(colours)


def by_rule(colours: Tensor) -> tuple[Tensor, Tensor]:
    """As `of_colours`, computed for each pixel."""
    lightness, a, b = _lab(torch.stack([colours >> shift & 255 for shift in (16, 8, 0)], dim=-1))
    side = (HIGH - LOW) // PITCH + 1
    row, column = (((axis - LOW) / PITCH).round().to(torch.int64) for axis in (a, b))
    classes = _lattice(colours.device)[row * side + column]
    return lightness.to(torch.float32), classes


def lightness_and_class(images: Tensor) -> tuple[Tensor, Tensor]:
    """uint8 (..., 3) -> lightness and class of each pixel, as `of_colours`."""
    return of_colours(packed(images))
