"""Datasets that code draws.  A new kind is a subclass of `Generated`, added to `GENERATORS` and `AnyGenerated`."""

from workers.data.generated.scenes import Scenes
from workers.data.generated.source import Generated

__all__ = ["GENERATORS", "AnyGenerated", "Generated", "Scenes"]

# By the `kind` that a study gives.
GENERATORS: dict[str, type[Generated]] = {"scenes": Scenes}
AnyGenerated = Scenes  # the union of all kinds; the next one joins it as `| Noise`
