"""Train ONE network on one task: datasets, tasks, recipes, the loop.

Knows neither Ray nor studies. `import workers` stays light; torch is imported when a network is built or trained.

    r = workers.recipe("unnas", space="darts", dataset="cifar10", task="rot")
    t = workers.Trial(space="darts", arch=..., dataset="cifar10", task="rot", seed=1, recipe=r)
    row = workers.run(t, data_root="~/data")
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workers.attempt import attempt
    from workers.loop import Interrupted
    from workers.network import build_network, cost
    from workers.recipes import Recipe, recipe
    from workers.run import run
    from workers.trial import PROTOCOL, Trial

__all__ = [
    "PROTOCOL",
    "Interrupted",
    "Recipe",
    "Trial",
    "attempt",
    "build_network",
    "cost",
    "recipe",
    "run",
]

_HOME = {
    "PROTOCOL": "workers.trial",
    "Interrupted": "workers.loop",
    "Recipe": "workers.recipes",
    "Trial": "workers.trial",
    "attempt": "workers.attempt",
    "build_network": "workers.network",
    "cost": "workers.network",
    "recipe": "workers.recipes",
    "run": "workers.run",
}


class _Package(ModuleType):
    """`workers.run` is the function, also after the module of the same name was imported."""

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, getattr(value, name) if name in _HOME and isinstance(value, ModuleType) else value)

    def __reduce__(self) -> tuple[Any, ...]:
        """Like any other module: a function that uses it may be sent to another process, such as one of Ray's."""
        return import_module, (self.__name__,)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    """Import a public name from its module when it is first asked for."""
    if name not in _HOME:
        raise AttributeError(f"module 'workers' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value
