"""Figures as files: their style, their captions, and how they are written."""

import base64
import hashlib
import html
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from analysis import whole_file

STYLE: Any = {
    "font.family": ["DejaVu Sans"],
    "font.size": 7.0,
    "axes.labelsize": 7.0,
    "axes.titlesize": 7.5,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "axes.linewidth": 0.6,
    "pdf.fonttype": 42,  # text stays text in the PDF, as publishers ask
    "svg.fonttype": "none",  # and in the SVG
    "svg.hashsalt": "archsweep",  # the same ids each time
}

FORMATS = ("png", "pdf", "svg")
# Neither a date nor a version: the same figure gives the same bytes.
_METADATA: dict[str, dict[str, None]] = {
    "png": {"Software": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    "svg": {"Date": None, "Creator": None},
}


@dataclass(frozen=True)
class Drawing:
    """One figure: a name fit for a file, a sentence for the caption, how to read it, and the figure itself."""

    name: str
    caption: str
    note: str
    figure: Figure

    def _repr_png_(self) -> bytes:
        """What a notebook shows."""
        content = io.BytesIO()
        with mpl.rc_context(STYLE):
            self.figure.savefig(content, format="png", dpi=200, metadata={"Software": None})
        return content.getvalue()

    def _repr_html_(self) -> str:
        """The figure with its caption."""
        data = base64.b64encode(self._repr_png_()).decode()
        wide = round(self.figure.get_figwidth() * 120)
        words = f"<figcaption>{html.escape(f'{self.caption}. {self.note}')}</figcaption>"
        return f'<figure><img width="{wide}" src="data:image/png;base64,{data}">{words}</figure>'


class Drawings(list[Drawing]):
    """A list of figures, which a notebook shows one below the other."""

    def _repr_html_(self) -> str:
        return "".join(one._repr_html_() for one in self)


def save(figure: Figure, folder: Path, name: str, formats: Sequence[str] = FORMATS) -> list[Path]:
    """Writes name.png (200 dots per inch), name.pdf and name.svg into the folder, or those of these formats; the same
    figure gives the same bytes."""
    paths = [folder / f"{name}.{suffix}" for suffix in formats]
    with mpl.rc_context(STYLE):
        # Laid out once for all files, which is half of the time.
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        for path, suffix in zip(paths, formats, strict=True):
            content = io.BytesIO()
            dots = 200 if suffix == "png" else figure.dpi
            figure.savefig(content, format=suffix, metadata=_METADATA[suffix], dpi=dots)
            whole_file.write(path, content.getvalue())
    return paths


def file_word(word: str) -> str:
    """The word as part of a file's name; one that had to be changed gets a digest, so that two stay two."""
    plain = re.sub(r"[^A-Za-z0-9._]", "_", word)[:60]
    return plain if plain == word else f"{plain}_{hashlib.sha256(word.encode(errors='replace')).hexdigest()[:6]}"
