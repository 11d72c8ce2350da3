"""The architecture weights of a search: their tensors, their optimiser, and the architecture that they stand for."""

import json
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

import spaces
from spaces._edges import Supernet
from workers.methods._found import found_columns
from workers.recipes import Search
from workers.streams import stream
from workers.training.setup import load_optimizer
from workers.trial import Trial

SCALE = 1e-3  # standard deviation of the initial values
EDGES = "_edges"  # ends the name of a table with one value per edge


class Architecture:
    """A table (edges, ops) for every kind of cell and, if asked for, one value for every edge; before any softmax.

    Initial values depend on (space, seed), as those of the network.
    """

    def __init__(self, trial: Trial, recipe: Search, net: Supernet, device: torch.device, with_edges: bool) -> None:
        self.space = spaces.searchable(trial.space)
        self.choices = net.choices
        self.device = device
        self._trial, self._recipe, self._with_edges = trial, recipe, with_edges
        self.most_skips: int | None = None
        self.restart(0, None)
        self.curve_found: list[str] = []
        self.curve: list[list[float]] = []

    def restart(self, stage: int, kept: Mapping[str, Tensor] | None) -> None:
        """New values and a new optimiser; `kept` (edges, ops) are the operations that there are, by default all."""
        trial, recipe = self._trial, self._recipe
        there = {name: torch.tensor(cell.present) for name, cell in self.choices.items() if cell.missing}
        self._dropped = {name: ~flags.to(self.device) for name, flags in (there | dict(kept or {})).items()}
        self.tables: dict[str, Tensor] = {}
        for name, cell in self.choices.items():
            shapes = {name: cell.shape} | ({name + EDGES: cell.shape[:1]} if self._with_edges else {})
            for table, shape in shapes.items():
                named = ("architecture", trial.space, trial.seed, table, *([stage] if stage else []))
                drawn = torch.randn(shape, generator=stream(*named))
                self.tables[table] = (SCALE * drawn).to(self.device).requires_grad_()
        self.adam = torch.optim.Adam(
            self.tables.values(), lr=recipe.arch_lr, betas=recipe.arch_betas, weight_decay=recipe.arch_weight_decay
        )

    @property
    def alphas(self) -> dict[str, Tensor]:
        """The tables (edges, ops); minus infinity for operations that were dropped."""
        found = {name: self.tables[name] for name in self.choices}
        return found | {name: found[name].masked_fill(gone, -math.inf) for name, gone in self._dropped.items()}

    def factors(self) -> dict[str, Tensor] | None:
        """The weights of the edges: a softmax over those that enter the same node; None if there are none."""
        if not any(name + EDGES in self.tables for name in self.choices):
            return None
        return {name: shares(self.tables[name + EDGES], cell.edges) for name, cell in self.choices.items()}

    @property
    def finite(self) -> bool:
        """Whether all values are finite."""
        return all(bool(values.isfinite().all()) for values in self.tables.values())

    def probabilities(self) -> dict[str, Tensor]:
        """The softmax of the tables, in float64 on the CPU."""
        return {name: _exact(values).softmax(1) for name, values in self.alphas.items()}

    def found(self) -> str:
        """The architecture by the rule of its space, from the softmax in float64."""
        weights = {name: values.numpy() for name, values in self.probabilities().items()}
        edges = {
            name: shares(_exact(self.tables[name + EDGES]), cell.edges).numpy()
            for name, cell in self.choices.items()
            if name + EDGES in self.tables
        }
        return self.space.discretise(weights, edges or None, self.most_skips)

    def note(self) -> None:
        """Append the values and the architecture to the curves."""
        self.curve_found.append(self.found())
        values = (self.tables | self.alphas).values()
        self.curve.append([value for table in values for value in _exact(table).flatten().tolist()])

    def columns(self, diverged: bool) -> dict[str, Any]:
        """The columns of the row."""
        found = self.curve_found[-1] if self.curve_found and not diverged else None
        return {
            **found_columns(self.space, found, self.curve_found),
            "curve_arch": self.curve,
            "arch_shape": json.dumps({name: list(values.shape) for name, values in self.tables.items()}),
            "arch_ops": json.dumps(
                {name: {"edges": cell.edges, "ops": cell.names or cell.ops} for name, cell in self.choices.items()}
            ),
        }

    def state(self) -> dict[str, Any]:
        """Tensors and plain values from which another process can continue."""
        return {
            "tables": {name: values.detach() for name, values in self.tables.items()},
            "adam": self.adam.state_dict(),
            "curve_found": self.curve_found,
            "curve": self.curve,
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Continue from a state; ValueError if it is that of other tables."""
        shapes = {name: tuple(values.shape) for name, values in state["tables"].items()}
        if shapes != (wanted := {name: tuple(values.shape) for name, values in self.tables.items()}):
            raise ValueError(f"architecture weights of shapes {shapes}, expected {wanted}")
        with torch.no_grad():
            for name, values in self.tables.items():
                values.copy_(state["tables"][name])
        load_optimizer(self.adam, state["adam"])
        self.curve_found, self.curve = list(state["curve_found"]), list(state["curve"])


def shares(values: Tensor, edges: tuple[tuple[int, int], ...]) -> Tensor:
    """(edges,) -> (edges,): a softmax over the edges that enter the same node (Xu et al. 2020)."""
    nodes = [node for _, node in edges]
    counts = [nodes.count(node) for node in dict.fromkeys(nodes)]
    return torch.cat([part.softmax(0) for part in values.split(counts)])


def _exact(values: Tensor) -> Tensor:
    return values.detach().cpu().double()
