"""kind scenes: objects of up to ten kinds in lit scenes; see `drawing`."""

from typing import ClassVar, Literal

from pydantic import Field

from workers.data.generated.drawing import scenes
from workers.data.generated.integers import Words
from workers.data.generated.silhouettes import SILHOUETTES
from workers.data.generated.source import Generated
from workers.data.image_types import Images, Labels


class Scenes(Generated):
    """The numbers that scenes are drawn from."""

    VERSION: ClassVar[int] = 1

    kind: Literal["scenes"] = "scenes"
    classes: int = Field(len(SILHOUETTES), ge=2, le=len(SILHOUETTES), description="the first of the ten kinds")
    difficulty: float = Field(
        0.3,
        ge=0,
        le=1,
        description="higher: smaller objects, more lean, clutter and noise, fewer horizons, less usual places",
    )

    @property
    def names(self) -> tuple[str, ...]:
        """The kinds of objects."""
        return tuple(SILHOUETTES)[: self.classes]

    def paint(self, items: Words, labels: Labels) -> Images:
        """One scene for each key and kind."""
        return scenes(items, labels, self.size, round(self.difficulty * 1000))
