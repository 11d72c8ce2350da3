"""The contract of zero-cost proxies on every space and task; a new file in workers/scores is tested automatically."""

import pytest

from workers import contracts, recipes, scores

CHECKS = [
    pytest.param(check, id=f"{name}-{check}")
    for name in scores.names()
    for check in contracts.checks("score", scores.get(name))
]


@pytest.mark.parametrize("check", CHECKS)
def test_contract(check: contracts.Check) -> None:
    check()


def test_every_proxy_is_a_variant_of_the_recipes() -> None:
    assert sorted(recipes.variants("zero_cost")) == [f"zero_cost/{name}" for name in scores.names()]


def test_an_unknown_proxy_is_answered_with_the_known_ones() -> None:
    with pytest.raises(LookupError, match=r"no proxy 'magic'; have epe_nas, fisher"):
        scores.get("magic")
