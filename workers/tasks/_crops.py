"""Crop boxes of images of any size, computed from their sizes and random draws.

A crop box is (top, left, height, width) of a box, the (rows, columns) that it is resized to, and (top, left) of the
square in the result; `workers.data.resize` applies it.  Sizes are int64 (n, 2), height and width; crop boxes are int64
(n, 8); all tensors are on the CPU.
"""

import torch
from torch import Generator, Tensor

TRIES = 10
AREA = (0.08, 1.0)  # of a random-sized crop, relative to the image
ASPECT = (3 / 4, 4 / 3)


def draw_sized(n: int, generator: Generator) -> dict[str, Tensor]:
    """Draws of random-sized crops: `area`, `aspect` and `swap` (n, TRIES), `place` (n, 2); in 0..1."""
    return {
        "area": torch.rand(n, TRIES, generator=generator),
        "aspect": torch.rand(n, TRIES, generator=generator),
        "swap": torch.randint(2, (n, TRIES), generator=generator, dtype=torch.uint8).bool(),
        "place": torch.rand(n, 2, generator=generator),
    }


def draw_zoomed(n: int, generator: Generator) -> dict[str, Tensor]:
    """Draws of crops at random scales: `zoom` (n,) in -1..1, and `place` (n, 2) in 0..1."""
    return {"zoom": 2 * torch.rand(n, generator=generator) - 1, **draw_place(n, generator)}


def draw_place(n: int, generator: Generator) -> dict[str, Tensor]:
    """Draws of crops at random positions: `place` (n, 2) in 0..1."""
    return {"place": torch.rand(n, 2, generator=generator)}


def sized(sizes: Tensor, draws: dict[str, Tensor], side: int) -> Tensor:
    """Boxes of random area and aspect ratio, resized to the side (random-sized crop, as in UnNAS).

    The first try that fits into the image is used; if none fits, the centre of the image resized to the side.
    """
    height, width = sizes.double().unbind(1)
    area = (AREA[0] + (AREA[1] - AREA[0]) * draws["area"].double()) * (height * width)[:, None]
    aspect = ASPECT[0] + (ASPECT[1] - ASPECT[0]) * draws["aspect"].double()
    across, down = (area * aspect).sqrt().round(), (area / aspect).sqrt().round()
    swap = draws["swap"]
    rows, columns = (torch.where(swap, a, b).clamp_min(1) for a, b in ((across, down), (down, across)))
    fits = (rows <= height[:, None]) & (columns <= width[:, None])
    first = fits.to(torch.uint8).argmax(dim=1, keepdim=True)  # the first maximum
    rows, columns = rows.gather(1, first)[:, 0], columns.gather(1, first)[:, 0]
    top, left = _offset(draws["place"], height - rows, width - columns)
    whole = torch.full_like(top, side), torch.full_like(top, side), torch.zeros_like(top), torch.zeros_like(top)
    boxes = torch.stack([top, left, rows, columns, *whole], dim=1).to(torch.int64)
    return torch.where(fits.any(dim=1)[:, None], boxes, centred(sizes, side, side))


def centred(sizes: Tensor, shorter: int, side: int) -> Tensor:
    """The centre square of the image, resized to this shorter side."""
    scaled = _scaled(sizes, shorter)
    return _squares(sizes, scaled, ((scaled - side) / 2).ceil())


def placed(sizes: Tensor, draws: dict[str, Tensor], shorter: int, side: int) -> Tensor:
    """A square at a random position of the image, resized to this shorter side."""
    scaled = _scaled(sizes, shorter)
    rows, columns = (scaled - side).unbind(1)
    return _squares(sizes, scaled, torch.stack(_offset(draws["place"], rows, columns), dim=1))


def zoomed(sizes: Tensor, draws: dict[str, Tensor], shorter: int, side: int) -> Tensor:
    """A square at a random position of the image, resized to half to twice this shorter side, at least the square."""
    drawn = (shorter * torch.exp2(draws["zoom"].double())).clamp_min(side).floor()
    scaled = _scaled(sizes, drawn)
    rows, columns = (scaled - side).unbind(1)
    return _squares(sizes, scaled, torch.stack(_offset(draws["place"], rows, columns), dim=1))


def _offset(place: Tensor, rows: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
    """Integer offsets in 0 .. room - 1; as in the release, the last possible offset, `room`, never occurs."""
    return (place[:, 0].double() * rows).floor(), (place[:, 1].double() * columns).floor()


def _scaled(sizes: Tensor, shorter: int | Tensor) -> Tensor:
    """Rows and columns (n, 2) after resizing the shorter side to `shorter`; the longer side is rounded down."""
    height, width = sizes.double().unbind(1)
    short = torch.as_tensor(shorter, dtype=torch.float64)
    rows = torch.where(width < height, (height / width * short).floor(), short)
    columns = torch.where(width < height, short, (width / height * short).floor())
    return torch.stack([rows, columns], dim=1)


def _squares(sizes: Tensor, scaled: Tensor, corner: Tensor) -> Tensor:
    return torch.cat([torch.zeros_like(sizes), sizes, scaled.to(torch.int64), corner.to(torch.int64)], dim=1)
