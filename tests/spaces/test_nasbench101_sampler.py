"""Are modules drawn uniformly from the distinct ones?"""

from collections import Counter, defaultdict
from itertools import product

import numpy as np
import pytest
from scipy.stats import chi2_contingency, chisquare

import spaces
from spaces.nasbench101 import NasBench101
from spaces.nasbench101.cell import Module, graph_hash, parse, write
from spaces.nasbench101.sampler import Sampler, automorphisms

BY_VERTICES = {2: 1, 3: 6, 4: 84, 5: 2441, 6: 62_010, 7: 359_082}
"""How many of the 423,624 distinct modules of the benchmark have 2, 3, ... vertices."""


def written_forms(vertices):
    """Every way to write a module of so many vertices from which nothing can be pruned."""
    subsets = [[s for s in product(range(2), repeat=k) if any(s)] for k in range(1, vertices)]
    for columns in product(*subsets):
        feeds = tuple(tuple(k for k, bit in enumerate(column) if bit) for column in columns)
        if {s for feed in feeds for s in feed} == set(range(vertices - 1)):
            for ops in product(("c3", "c1", "mp"), repeat=vertices - 2):
                yield Module(ops, feeds)


@pytest.fixture(scope="module")
def classes():
    """The written forms with up to 5 vertices and 9 edges, by graph hash: found without the sampler."""
    found = defaultdict(list)
    for vertices in range(2, 6):
        for module in written_forms(vertices):
            if module.edges <= 9:
                found[graph_hash(module)].append(module)
    return found


def test_the_distinct_modules_are_as_many_as_published(classes):
    counts = Counter(forms[0].vertices for forms in classes.values())
    assert counts == {v: BY_VERTICES[v] for v in range(2, 6)}


def test_canonical_forms_and_graph_hashes_divide_the_modules_alike(classes):
    space = spaces.get("nasbench101")
    canonical = [{space.canonical(write(form)) for form in forms} for forms in classes.values()]
    assert all(len(names) == 1 for names in canonical)
    assert len(set.union(*canonical)) == len(classes)


def test_ways_to_write_a_module_are_counted_right(classes):
    """Topological orders over automorphisms, against the forms found by enumeration."""
    sampler = Sampler(5, 9)
    for forms in classes.values():
        module = forms[0]
        bits = sum(1 << (y * (y - 1) // 2 + x) for y, feed in enumerate(module.feeds, start=1) for x in feed)
        (orders,) = sampler.topological_orders(np.array([module.vertices]), np.array([bits]))
        assert orders == len(forms) * automorphisms(module)


@pytest.mark.parametrize(("max_vertices", "max_edges", "draws"), [(4, 6, 2000), (5, 5, 4000)])
def test_every_module_of_a_small_space_is_as_likely(classes, max_vertices, max_edges, draws):
    inside = {
        name: len(forms)
        for name, forms in classes.items()
        if forms[0].vertices <= max_vertices and forms[0].edges <= max_edges
    }
    assert len(set(inside.values())) > 1  # some are written in several ways
    space = NasBench101(max_vertices=max_vertices, max_edges=max_edges)
    rng = np.random.default_rng(1)
    drawn = Counter(space.sample(rng) for _ in range(draws))
    counts = Counter()
    for arch, times in drawn.items():
        counts[space.arch_id(arch)] += times
    assert counts.keys() <= inside.keys()
    assert draws / len(inside) > 5  # enough for the test to apply
    assert chisquare([counts[name] for name in inside]).pvalue > 1e-3
    # Modules with many written forms are not favoured: the mean over draws is the mean over modules.
    forms = [inside[space.arch_id(arch)] for arch in drawn.elements()]
    mean, error = np.mean(list(inside.values())), np.std(list(inside.values())) / draws**0.5
    assert abs(np.mean(forms) - mean) < 4 * error


@pytest.fixture(scope="module")
def drawn():
    space, rng = spaces.get("nasbench101"), np.random.default_rng(2)
    return [parse(space.sample(rng)) for _ in range(2000)]


def test_vertices_are_distributed_as_in_the_whole_space(drawn):
    counts = Counter(max(module.vertices, 5) for module in drawn)  # the few smaller ones are pooled
    share = np.array([sum(BY_VERTICES[v] for v in range(2, 6)), BY_VERTICES[6], BY_VERTICES[7]]) / 423_624
    assert chisquare([counts[5], counts[6], counts[7]], share * len(drawn)).pvalue > 1e-3


def test_edges_and_operations_are_distributed_as_in_the_500_of_unnas(drawn):
    edges = Counter(max(module.edges, 7) for module in drawn)
    table = [[22, 73, 405], [edges[7], edges[8], edges[9]]]  # up to 7, 8 and 9 edges; Liu et al. 2020
    assert chi2_contingency(table).pvalue > 1e-3
    ops = Counter(op for module in drawn for op in module.ops)
    assert chi2_contingency([[797, 810, 818], [ops["c3"], ops["c1"], ops["mp"]]]).pvalue > 1e-3


def test_the_ways_to_write_one_module_are_as_likely():
    """Rows keep the spelling drawn, so it must not favour one order of the vertices."""
    space, rng = NasBench101(max_vertices=4, max_edges=6), np.random.default_rng(3)
    counts = Counter(arch for _ in range(4000) if space.arch_id(arch := space.sample(rng)) == PAIR)
    assert set(counts) == {"c3.0_c1.0_out.12", "c1.0_c3.0_out.12"}
    assert chisquare(list(counts.values())).pvalue > 1e-3


PAIR = spaces.get("nasbench101").arch_id("c3.0_c1.0_out.12")
