"""Draws scenes: an object that stands in a lit scene with ground, sky, shadow, clutter and noise.

Everything is integer arithmetic on arrays of all images of a part at once, so every machine draws the same bytes.
Shapes: N images, S their side in pixels.  Lengths are in units of 1/4096 of the side, colours 0..255, opacities 0..256,
hues 0..1535.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from workers.data.generated.integers import Draws, Ints, Words
from workers.data.generated.silhouettes import CELLS, COLOURS, raster

SIDE = 4096  # units
HUES = 1536
_SOLID = 256  # opacity
_FINE = 2  # sub-pixels along each side of a pixel, for the edges of objects


@dataclass(frozen=True)
class Place:
    """A kind of scene: hue, saturation and value of sky and ground, and the texture of the ground."""

    sky: tuple[int, int, int]
    ground: tuple[int, int, int]
    grain: int  # amplitude of irregular texture, 0..255
    stripes: int  # amplitude of stripes
    period: int  # of the stripes, a power of two


# Meadow, street, shore, room, sand.  The brightness of sky and ground overlaps in all of them.
PLACES = (
    Place((870, 150, 165), (470, 150, 130), 60, 0, 512),
    Place((870, 130, 165), (1090, 60, 120), 16, 44, 1024),
    Place((870, 140, 165), (740, 160, 140), 20, 40, 512),
    Place((190, 100, 165), (110, 150, 125), 10, 60, 1024),
    Place((870, 140, 165), (215, 130, 165), 34, 16, 256),
)
DUSK = 770  # what is added to the hue of a dark sky: about the opposite side of the circle
# For each kind of object the place where it is found most often, and its most frequent hue.
USUAL_PLACE = (4, 0, 1, 2, 3, 1, 2, 0, 3, 4)
USUAL_HUE = (40, 400, 1480, 0, 980, 1240, 700, 130, 300, 1130)


def scenes(keys: Words, kinds: npt.NDArray[np.int64], size: int, difficulty: int) -> npt.NDArray[np.uint8]:
    """Images (N, S, S, 3) of objects of the given kinds (N,); `difficulty` is 0..1000."""
    draws = Draws(keys)
    usual = draws.chance(600 - difficulty // 5)
    place = np.where(usual, np.array(USUAL_PLACE, np.int32)[kinds], draws.below(len(PLACES)))
    light = draws.between(-64, 64)  # from the left if negative
    x, y = _grid(size)
    canvas, ground = _background(draws, place, x, y, difficulty)
    for _ in range(2):
        _blob(canvas, draws, x, y, 300 + difficulty // 2)
    pose = _Pose.drawn(draws, difficulty)
    _shadow(canvas, draws, pose, kinds, light, ground, x, y)
    _object(canvas, draws, pose, kinds, light, size)
    for _ in range(2):
        _blob(canvas, draws, x, y, 200 + difficulty // 2)
    _light(canvas, draws, light, x, y)
    _noise(canvas, draws, difficulty)
    np.clip(canvas, 0, 255, out=canvas)
    return np.ascontiguousarray(canvas.transpose(0, 2, 3, 1).astype(np.uint8))


def _grid(size: int, fine: int = 1) -> tuple[Ints, Ints]:
    """The x and y of the centres of pixels (or sub-pixels), (1, 1, S) and (1, S, 1)."""
    n = size * fine
    centres = ((2 * np.arange(n, dtype=np.int32) + 1) * SIDE // (2 * n)).astype(np.int32)
    return centres[None, None, :], centres[None, :, None]


def _at(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """(N,) -> (N, 1, 1)."""
    return values[:, None, None]


def colour(hue: Ints, saturation: Ints, value: Ints) -> Ints:
    """R, G, B (N, 3) of a hue (in cyclic units of 1/1536), saturation and value 0..255."""
    # The distance to each primary colour's hue, on the circle: up to 256 full, from 512 on none.
    primaries = np.array((0, 512, 1024), np.int32)
    apart = np.abs((hue[:, None] - primaries + HUES // 2) % HUES - HUES // 2)
    full = np.clip(512 - apart, 0, 256)
    # value * (1 - saturation * (1 - full))
    white = np.clip(saturation, 0, 255)[:, None] * (256 - full)
    rgb: Ints = np.clip(value, 0, 255)[:, None] * (65280 - white) // 65280
    return rgb


def _over(canvas: Ints, rgb: Ints, opacity: Ints) -> None:
    """Paint a colour (N, 3) on the canvas (N, 3, S, S) with an opacity (N, S, S)."""
    canvas += ((rgb[:, :, None, None] - canvas) * opacity[:, None]) >> 8


def _background(draws: Draws, place: Ints, x: Ints, y: Ints, difficulty: int) -> tuple[Ints, Ints]:
    """Sky and ground (N, 3, S, S), and the opacity of the ground (N, S, S)."""
    n = len(place)
    facts = np.array([(*p.sky, *p.ground, p.grain, p.stripes, p.period) for p in PLACES], np.int32)[place]
    # Day or dusk: either of sky and ground may be the brighter one, and either the bluer one.
    value = facts[:, 2] + draws.between(-80, 75)
    dusk = value < 150
    sky = colour(
        facts[:, 0] + np.where(dusk, DUSK, 0) + draws.between(-16, 16),
        facts[:, 1] + draws.between(-12, 12),
        value,
    )
    ground = colour(
        facts[:, 3] + draws.between(-16, 16),
        facts[:, 4] + draws.between(-12, 12),
        facts[:, 5] + draws.between(-60, 70),
    )
    tilted, missing = draws.chance(450 + difficulty // 4), draws.chance(250 + difficulty // 4)
    slope = np.where(tilted, draws.between(-350, 350), 0)
    height = draws.between(SIDE // 5, SIDE * 4 // 5)
    height = np.where(missing, np.where(draws.chance(500), -2 * SIDE, 3 * SIDE), height)
    below = y - _at(height) + ((x - SIDE // 2) * _at(slope) >> 8)
    cover = np.clip((below * (SIDE // _scale(x)) >> 4) + _SOLID // 2, 0, _SOLID).astype(np.int32)
    canvas = np.empty((n, 3, y.shape[1], x.shape[2]), np.int32)
    canvas[:] = sky[:, :, None, None]
    _over(canvas, ground, cover)
    cloud = _lattice(draws, x, y, 3) * 28 >> 7
    grain = _lattice(draws, x, y, 9) * _at(facts[:, 6]) >> 7
    # Stripes in a random direction: their direction must not tell which way is up.
    across, along = draws.between(-256, 256), draws.between(-256, 256)
    phase = draws.below(SIDE)
    period = _at(facts[:, 8])
    wave = ((x * _at(across) + y * _at(along)) >> 7) + _at(phase)
    wave = np.abs((wave & (period - 1)) * 256 // period - 128) - 64
    stripes = wave * _at(facts[:, 7]) >> 7
    canvas += (cloud + ((grain + stripes - cloud) * cover >> 8))[:, None]
    return canvas, cover


def _scale(x: Ints) -> int:
    """Units of one pixel."""
    return SIDE // int(x.shape[2])


def _lattice(draws: Draws, x: Ints, y: Ints, cells: int) -> Ints:
    """Smooth noise of -128..127 (N, S, S): random numbers on a lattice, interpolated linearly."""
    corners = (draws.grid(cells + 1, cells + 1) >> np.uint64(56)).astype(np.int32) - 128
    at_x, at_y = x.ravel() * cells, y.ravel() * cells
    column, row = at_x // SIDE, at_y // SIDE
    across, down = at_x % SIDE >> 4, (at_y % SIDE >> 4)[:, None]
    rows = corners[:, row] + ((corners[:, row + 1] - corners[:, row]) * down >> 8)
    left, right = rows[:, :, column], rows[:, :, column + 1]
    smooth: Ints = left + ((right - left) * across >> 8)
    return smooth


def _blob(canvas: Ints, draws: Draws, x: Ints, y: Ints, mille: int) -> None:
    """Clutter: an ellipse of any colour, in `mille` thousandths of the images."""
    shown = draws.chance(mille)
    left, top = draws.below(SIDE), draws.below(SIDE)
    wide, high, lean = draws.between(150, 480), draws.between(150, 480), draws.between(-160, 160)
    rgb = colour(draws.below(HUES), draws.between(20, 170), draws.between(40, 230))
    dx, dy = x - _at(left), y - _at(top)
    across = (dx + (dy * _at(lean) >> 8)) * 256 // _at(wide)
    down = dy * 256 // _at(high)
    # Clipped, so that the squares fit 32 bits.
    distance = np.clip(across, -1024, 1024) ** 2 + np.clip(down, -1024, 1024) ** 2
    opacity = np.clip((65536 * 5 // 4 - distance) >> 7, 0, _SOLID)
    _over(canvas, rgb, np.where(_at(shown), opacity, 0).astype(np.int32))


@dataclass(frozen=True)
class _Pose:
    """Where an object stands, how large it is, whether mirrored, and how much it leans."""

    x: Ints  # the middle of the object
    y: Ints
    height: Ints
    width: Ints
    mirrored: npt.NDArray[np.bool_]
    tangent: Ints  # of half the angle of lean, times 256

    @classmethod
    def drawn(cls, draws: Draws, difficulty: int) -> "_Pose":
        """A pose for each image."""
        largest, smallest = 3900 - difficulty * 3 // 10, 3000 - difficulty * 8 // 10
        height = draws.between(smallest, largest)
        width = height * draws.between(230, 282) >> 8
        room = (SIDE - height) // 2 + 120 + difficulty * 3 // 10
        x = SIDE // 2 + (draws.between(-256, 256) * room >> 8)
        y = SIDE // 2 + (draws.between(-256, 256) * room >> 8)
        most = 12 + difficulty * 40 // 1000
        return cls(x, y, height, width, draws.chance(500), draws.between(-most, most))


def _cells(kinds: npt.NDArray[np.int64], across: Ints, down: Ints) -> npt.NDArray[np.uint8]:
    """The colour numbers of silhouettes at cells; 0 outside of the grid."""
    outside = (across < 0) | (across >= CELLS) | (down < 0) | (down >= CELLS)
    place = (kinds.astype(np.int32)[:, None, None] * CELLS + np.clip(down, 0, CELLS - 1)) * CELLS
    found = raster().ravel()[place + np.clip(across, 0, CELLS - 1)]
    found[outside] = 0
    return found


def _object(canvas: Ints, draws: Draws, pose: _Pose, kinds: npt.NDArray[np.int64], light: Ints, size: int) -> None:
    """Paint the object, with smooth edges, brighter on the side of the light."""
    x, y = _grid(size, _FINE)
    dx, dy = x - _at(pose.x), y - _at(pose.y)
    # cos and sin of the lean, times 256, from the tangent of half the angle.
    square = pose.tangent**2
    cos, sin = 256 * (65536 - square) // (65536 + square), 131072 * pose.tangent // (65536 + square)
    turned_x, turned_y = dx * _at(cos) + dy * _at(sin) >> 8, dy * _at(cos) - dx * _at(sin) >> 8
    side = np.where(pose.mirrored, -1, 1).astype(np.int32)
    across = turned_x * _at(side * (CELLS * 4096 // pose.width)) // 4096 + CELLS // 2
    down = turned_y * _at(CELLS * 4096 // pose.height) // 4096 + CELLS // 2
    found = _cells(kinds, across, down)
    hues, saturations, values = _paint(draws, kinds)
    shade = _lit(x, pose, light)[:, :, ::_FINE]
    for number in range(COLOURS):
        parts = (found == number + 1).view(np.uint8)
        rows = parts[:, 0::2] + parts[:, 1::2]
        opacity = (rows[:, :, 0::2] + rows[:, :, 1::2]).astype(np.int32) * (_SOLID // _FINE**2)
        rgb = colour(hues[number], saturations[number], values[number])
        canvas += ((rgb[:, :, None, None] + shade[:, None] - canvas) * opacity[:, None]) >> 8


def _lit(x: Ints, pose: _Pose, light: Ints) -> Ints:
    """What the light adds across an object, (N, 1, S): brighter on the side that it comes from."""
    added: Ints = np.clip((x - _at(pose.x)) * _at(light) >> 11, -60, 60).astype(np.int32)
    return added


def _paint(draws: Draws, kinds: npt.NDArray[np.int64]) -> tuple[list[Ints], list[Ints], list[Ints]]:
    """Hues, saturations and values of the colours of each object."""
    usual = np.array(USUAL_HUE, np.int32)[kinds] + draws.between(-90, 90)
    hue = np.where(draws.chance(400), usual, draws.below(HUES)).astype(np.int32)
    value = draws.between(70, 225)
    # The second colour is much darker or brighter than the first, so that parts can be told apart without colours.
    step = draws.between(45, 90)
    second = np.where(value > 145, value - step, value + step)
    third = np.where(value > 145, value - step // 2 - 70, value + step // 2 + 70)
    saturation = draws.between(90, 210)
    return (
        [hue, hue + draws.between(-120, 120), hue + HUES // 3 + draws.between(-120, 120)],
        [saturation, saturation * 3 // 4, saturation // 2],
        [value, second, third],
    )


def _shadow(
    canvas: Ints, draws: Draws, pose: _Pose, kinds: npt.NDArray[np.int64], light: Ints, ground: Ints, x: Ints, y: Ints
) -> None:
    """Darken the ground where the object's shadow lies: the silhouette, flat and away from the light."""
    foot = pose.y + pose.height // 2
    up = _at(foot) - y  # above the foot
    length = draws.between(300, 640)  # height of the object by that of its shadow, times 256
    tall = up * _at(length) >> 8
    away = x - _at(pose.x) - (tall * _at(np.where(light < 0, 1, -1) * draws.between(120, 300)) >> 8)
    side = np.where(pose.mirrored, -1, 1).astype(np.int32)
    across = away * _at(side * (CELLS * 4096 // pose.width)) // 4096 + CELLS // 2
    down = CELLS - 1 - tall * CELLS // _at(pose.height)
    cast = _cells(kinds, across.astype(np.int32), down.astype(np.int32)) > 0
    opacity = np.where(cast, ground * _at(draws.between(70, 150)) >> 8, 0).astype(np.int32)
    _over(canvas, np.full((len(kinds), 3), 16, np.int32), opacity)


def _light(canvas: Ints, draws: Draws, light: Ints, x: Ints, y: Ints) -> None:
    """The whole scene in a light that falls off from one side, and from above or below."""
    tall = draws.between(-40, 40)
    gain = 256 + draws.between(-30, 40)
    gains = _at(gain) + ((x - SIDE // 2) * _at(light) >> 11) + ((y - SIDE // 2) * _at(tall) >> 11)
    canvas *= gains[:, None].astype(np.int32)
    canvas >>= 8


def _noise(canvas: Ints, draws: Draws, difficulty: int) -> None:
    """Noise of every pixel: of its brightness, a sum of two random bytes times an amplitude of the image, and a little
    of each channel.
    """
    height, width = canvas.shape[2:]
    amplitude = _at(draws.between(4, 12 + difficulty * 16 // 1000))
    bits = draws.grid(height, width)

    def byte(number: int) -> Ints:
        found: Ints = (bits >> np.uint64(8 * number) & np.uint64(255)).astype(np.int32)
        return found

    canvas += ((byte(0) + byte(1) - 255) * amplitude >> 8)[:, None]
    for channel in range(3):
        canvas[:, channel] += (byte(2 + channel) - 128) * 6 >> 8
