"""Datasets that code draws.  A new kind is a subclass of `Generated`, added to `GENERATORS` and `AnyGenerated`."""

from workers.data.generated.fractals import Fractals
from workers.data.generated.gratings import Gratings
from workers.data.generated.leaves import Leaves
from workers.data.generated.noise import Noise
from workers.data.generated.scenes import Scenes
from workers.data.generated.source import Generated

__all__ = ["GENERATORS", "AnyGenerated", "Fractals", "Generated", "Gratings", "Leaves", "Noise", "Scenes"]

# By the `kind` that a study gives.
GENERATORS: dict[str, type[Generated]] = {
    "scenes": Scenes,
    "fractals": Fractals,
    "leaves": Leaves,
    "gratings": Gratings,
    "noise": Noise,
}
AnyGenerated = Scenes | Fractals | Leaves | Gratings | Noise
