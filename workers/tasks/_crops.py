"""Which part of an image of any size a network sees: cuts, as numbers that follow from its size and its draws.

A cut is (top, left, height, width) of a box, the (rows, columns) it is resized to, and (top, left) of the square in it
(`workers.data.resize` makes it).  Sizes are int64 (n, 2), height and width; cuts int64 (n, 8); all of it is on the
CPU.
"""

import torch
from torch import Generator, Tensor

TRIES = 10
AREA = (0.08, 1.0)  # of a sized crop, as part of the image's
ASPECT = (3 / 4, 4 / 3)


def draw_sized(n: int, generator: Generator) -> dict[str, Tensor]:
    """What chance decides about a crop of any size: `area`, `aspect` and `swap` (n, TRIES), `place` (n, 2); in 0..1."""
    return {
        "area": torch.rand(n, TRIES, generator=generator),
        "aspect": torch.rand(n, TRIES, generator=generator),
        "swap": torch.randint(2, (n, TRIES), generator=generator, dtype=torch.uint8).bool(),
        "place": torch.rand(n, 2, generator=generator),
    }


def draw_zoomed(n: int, generator: Generator) -> dict[str, Tensor]:
    """How far n images are scaled, `zoom` (n,) in -1..1, and the `place` (n, 2) of a crop of a given size, in 0..1."""
    return {"zoom": 2 * torch.rand(n, generator=generator) - 1, **draw_place(n, generator)}


def draw_place(n: int, generator: Generator) -> dict[str, Tensor]:
    """`place` (n, 2) of a crop of a given size, in 0..1."""
    return {"place": torch.rand(n, 2, generator=generator)}


def sized(sizes: Tensor, draws: dict[str, Tensor], side: int) -> Tensor:
    """Boxes of a random area and shape, resized to the side (UnNAS: random sized crop).

    The first of the tries that fits into the image; where none does, the centre of the image scaled to the side.
    """
    height, width = sizes.double().unbind(1)
    area = (AREA[0] + (AREA[1] - AREA[0]) * draws["area"].double()) * (height * width)[:, None]
    aspect = ASPECT[0] + (ASPECT[1] - ASPECT[0]) * draws["aspect"].double()
    across, down = (area * aspect).sqrt().round(), (area / aspect).sqrt().round()
    swap = draws["swap"]
    rows, columns = (torch.where(swap, a, b).clamp_min(1) for a, b in ((across, down), (down, across)))
    fits = (rows <= height[:, None]) & (columns <= width[:, None])
    first = fits.to(torch.uint8).argmax(dim=1, keepdim=True)  # of several the first
    rows, columns = rows.gather(1, first)[:, 0], columns.gather(1, first)[:, 0]
    top, left = _offset(draws["place"], height - rows, width - columns)
    whole = torch.full_like(top, side), torch.full_like(top, side), torch.zeros_like(top), torch.zeros_like(top)
    boxes = torch.stack([top, left, rows, columns, *whole], dim=1).to(torch.int64)
    return torch.where(fits.any(dim=1)[:, None], boxes, centred(sizes, side, side))


def centred(sizes: Tensor, shorter: int, side: int) -> Tensor:
    """The middle of the image scaled to a shorter side."""
    scaled = _scaled(sizes, shorter)
    return _squares(sizes, scaled, ((scaled - side) / 2).ceil())


def placed(sizes: Tensor, draws: dict[str, Tensor], shorter: int, side: int) -> Tensor:
    """A square anywhere in the image scaled to a shorter side."""
    scaled = _scaled(sizes, shorter)
    rows, columns = (scaled - side).unbind(1)
    return _squares(sizes, scaled, torch.stack(_offset(draws["place"], rows, columns), dim=1))


def zoomed(sizes: Tensor, draws: dict[str, Tensor], shorter: int, side: int) -> Tensor:
    """A square anywhere in the image scaled to half to twice a shorter side, but never to less than the square."""
    drawn = (shorter * torch.exp2(draws["zoom"].double())).clamp_min(side).floor()
    scaled = _scaled(sizes, drawn)
    rows, columns = (scaled - side).unbind(1)
    return _squares(sizes, scaled, torch.stack(_offset(draws["place"], rows, columns), dim=1))


def _offset(place: Tensor, rows: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
    """Whole offsets in 0 .. room - 1; as in the release the last one, `room`, never occurs."""
    return (place[:, 0].double() * rows).floor(), (place[:, 1].double() * columns).floor()


def _scaled(sizes: Tensor, shorter: int | Tensor) -> Tensor:
    """(n, 2) rows and columns once the shorter side is `shorter`, one number or (n,); the longer is rounded down."""
    height, width = sizes.double().unbind(1)
    short = torch.as_tensor(shorter, dtype=torch.float64)
    rows = torch.where(width < height, (height / width * short).floor(), short)
    columns = torch.where(width < height, short, (width / height * short).floor())
    return torch.stack([rows, columns], dim=1)


def _squares(sizes: Tensor, scaled: Tensor, corner: Tensor) -> Tensor:
    return torch.cat([torch.zeros_like(sizes), sizes, scaled.to(torch.int64), corner.to(torch.int64)], dim=1)
