"""The contract of search spaces: valid texts, reproducible networks, and correct costs."""

import json
import re
import warnings
from collections.abc import Callable
from itertools import islice, pairwise
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

import spaces
from spaces import Cost, Enumerable, Space
from workers.contracts._check import Check, expect

_ARCHITECTURES = 4  # architectures built per check
_DRAWN = 30  # architectures sampled for checks that build nothing
_LISTED = 20_000  # architectures of a listed space that are counted
_SIZES: tuple[dict[str, Any], ...] = (
    {"in_channels": 3, "width": 16, "depth": 3, "stem": "cifar", "size": 32, "dense": False},
    {"in_channels": 1, "width": 8, "depth": 5, "stem": "cifar", "size": 33, "dense": False},
    {"in_channels": 3, "width": 16, "depth": 4, "stem": "imagenet", "size": 224, "dense": False},
    {"in_channels": 3, "width": 12, "depth": 3, "stem": "imagenet", "size": 321, "dense": True},
)


def space_checks(space: Space) -> list[Check]:
    """The checks of a space."""
    promises: list[tuple[str, Callable[[Space], None]]] = [
        ("one state of the generator gives one architecture", _sampling_is_reproducible),
        ("a larger sample begins with the smaller one, without duplicates", _samples_are_prefix_stable),
        ("architectures are short plain text in normal spelling", _spelling),
        ("the canonical form is an architecture of the same identity", _canonical_form),
        ("text that is not an architecture is rejected with a ValueError", _malformed_text_is_refused),
        ("the graph is JSON of acyclic cells", _graph),
        ("trunks map (B, in_channels, H, W) to (B, out_channels, h, w)", _shapes),
        ("the cost is that of the built network", _cost),
        ("features are finite and gradients reach the stem", _gradients),
        ("building twice from one seed gives one network", _building_is_reproducible),
        ("building and training raise no warnings", _no_warnings),
    ]
    if isinstance(space, Enumerable):
        promises.append(("the list of all architectures holds each once", lambda _: _listing(space)))
    return [Check(promise, lambda verify=verify: verify(space)) for promise, verify in promises]  # type: ignore[misc]


def _some(space: Space, n: int = _ARCHITECTURES) -> tuple[str, ...]:
    """n architectures, or fewer of a space that has fewer."""
    while n > 1:
        try:
            return spaces.sample(space, n, seed=3).archs
        except ValueError:
            n //= 2
    return spaces.sample(space, 1, seed=3).archs


def _sampling_is_reproducible(space: Space) -> None:
    first, second = np.random.default_rng(7), np.random.default_rng(7)
    one, other = ([space.sample(rng) for _ in range(5)] for rng in (first, second))
    expect(
        one == other and first.bit_generator.state == second.bit_generator.state,
        f"sample(rng) gave {one} and then {other} for equal generators; expected equal architectures that depend on "
        "`rng` alone",
    )


def _samples_are_prefix_stable(space: Space) -> None:
    most = len(_some(space, _DRAWN))
    small, large = (spaces.sample(space, n, seed=2).archs for n in (max(1, most // 2), most))
    expect(
        large[: len(small)] == small,
        f"the first {len(small)} of {len(large)} sampled architectures are not the sample of {len(small)}",
    )
    ids = {space.arch_id(arch) for arch in large}
    expect(len(ids) == len(large), f"{len(large)} different architectures have {len(ids)} different arch_ids")


def _spelling(space: Space) -> None:
    for arch in _some(space, _DRAWN):
        expect(
            bool(re.fullmatch(r"[A-Za-z0-9.+:_|~-]{1,1000}", arch)),
            f"architecture {arch!r} has characters that are not letters, digits or . + : _ | ~ -, or more than 1,000",
        )
        expect(space.normal(arch) == arch, f"normal({arch!r}) is {space.normal(arch)!r}; expected the same text")


def _canonical_form(space: Space) -> None:
    for arch in _some(space, _DRAWN):
        canonical = space.canonical(arch)
        expect(
            space.normal(canonical) == canonical and space.canonical(canonical) == canonical,
            f"canonical({arch!r}) is {canonical!r}, which is not in normal spelling or not its own canonical form",
        )
        ids = space.arch_id(arch), space.arch_id(canonical)
        expect(ids[0] == ids[1], f"arch_id is {ids[0]} for {arch!r} and {ids[1]} for its canonical form {canonical!r}")
        expect(bool(re.fullmatch(r"[0-9a-f]{8,32}", ids[0])), f"arch_id {ids[0]!r} is not 8 to 32 hexadecimal digits")


def _listing(space: Any) -> None:
    listed = list(islice(space.archs(), min(space.n_archs, _LISTED) + 1))
    distinct, stated = len(set(listed)), min(space.n_archs, _LISTED + 1)
    expect(
        len(listed) == distinct == stated,
        f"archs() gives {len(listed)} architectures, {distinct} distinct; expected n_archs = {stated} distinct ones",
    )
    again = list(islice(space.archs(), len(listed)))
    expect(listed == again, "archs() gives another order when it is called again; expected the same one")
    for arch in listed[:_DRAWN]:
        expect(
            space.normal(arch) == arch, f"archs() gives {arch!r}; expected the normal spelling {space.normal(arch)!r}"
        )


def _malformed_text_is_refused(space: Space) -> None:
    for text in ("", " ", "no such architecture, really"):
        for method in ("normal", "canonical", "arch_id", "graph"):
            try:
                answer = getattr(space, method)(text)
            except ValueError:
                continue
            expect(False, f"{method}({text!r}) gave {answer!r}; expected a ValueError, as this is not an architecture")


def _graph(space: Space) -> None:
    for arch in _some(space):
        graph = space.graph(arch)
        expect(json.loads(json.dumps(graph)) == graph, f"the graph of {arch!r} changes when it is written as JSON")
        for cell in graph["cells"]:
            nodes = len(cell["nodes"])
            expect(
                all(0 <= source < target < nodes for source, target, _ in cell["edges"]),
                f"the graph of {arch!r} has edges {cell['edges']} between {nodes} nodes; expected 0 <= source < target",
            )
            labels = [*cell["nodes"], *(op for *_, op in cell["edges"]), cell["name"]]
            expect(
                all(isinstance(label, str) for label in labels), f"the graph of {arch!r} has labels that are not text"
            )


def _built(space: Space, arch: str, where: dict[str, Any]) -> Cost:
    """The cost of a trunk, counted on the network, built on the meta device."""
    side = where["size"]
    build = {key: value for key, value in where.items() if key != "size"}
    with torch.device("meta"):
        trunk = space.trunk(arch, **build).eval()  # norms of a training cost twice the time and count nothing either
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            out = trunk(torch.empty(2, where["in_channels"], side, side))
    channels = getattr(trunk, "out_channels", None)
    expect(
        isinstance(channels, int),
        f"the trunk of {arch!r} has out_channels {channels!r}; expected the number of channels of its last map",
    )
    expect(
        out.ndim == 4 and out.shape[:2] == (2, channels) and out.shape[2] == out.shape[3],
        f"the trunk of {arch!r} gives {tuple(out.shape)} for 2 images of {side} px; expected (2, {channels}, h, h)",
    )
    # The counter counts two operations per multiply-add, here over two images.
    flops = sum(counter.get_flop_counts()["Global"].values())
    return Cost(sum(p.numel() for p in trunk.parameters()), flops // 4, out.shape[1], out.shape[2])


def _shapes(space: Space) -> None:
    archs = _some(space, 2)
    for k, where in enumerate(_SIZES):
        _built(space, archs[k % len(archs)], where)


def _cost(space: Space) -> None:
    for arch, where in [*zip(_some(space), _SIZES, strict=False), (_some(space)[0], _SIZES[2])]:
        stated, built = space.cost(arch, **where), _built(space, arch, where)
        expect(stated == built, f"cost({arch!r}, {where}) is {stated}; the built network has {built}")


def _gradients(space: Space) -> None:
    for arch in _some(space):
        for stem, side in (("cifar", 16), ("imagenet", 66)):
            torch.manual_seed(0)
            trunk = space.trunk(arch, in_channels=3, width=8, depth=2, stem=stem)  # type: ignore[arg-type]
            out = trunk(torch.randn(2, 3, side, side + 3))
            expect(bool(out.isfinite().all()), f"the trunk of {arch!r} gives features that are not finite")
            (out * torch.randn(out.shape)).sum().backward()
            first = next(trunk.parameters()).grad
            expect(
                first is not None and bool(first.isfinite().all()) and bool(first.abs().sum() > 0),
                f"the first layer of the trunk of {arch!r} gets no finite gradient other than zero",
            )


def _building_is_reproducible(space: Space) -> None:
    for arch in _some(space, 2):
        outs = []
        for _ in range(2):
            torch.manual_seed(5)
            trunk = space.trunk(arch, in_channels=3, width=8, depth=2, stem="cifar").eval()
            outs.append(trunk(torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))))
        expect(
            all(torch.equal(one, other) for one, other in pairwise(outs)),
            f"two networks of {arch!r}, built after the same torch.manual_seed, differ",
        )


def _no_warnings(space: Space) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trunk = space.trunk(_some(space)[0], in_channels=3, width=8, depth=2, stem="cifar")
        trunk(torch.randn(2, 3, 16, 16)).sum().backward()
