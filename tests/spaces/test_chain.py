"""The chain space."""

import spaces

CHAIN = spaces.get("chain")
AT = {"in_channels": 3, "width": 8, "depth": 2, "stem": "cifar"}


def test_identities_do_not_count():
    assert CHAIN.canonical("id_c3_id_c5") == CHAIN.canonical("c3_c5") == "c3_c5"
    assert CHAIN.canonical("id_id") == CHAIN.canonical("id") == "id"
    assert CHAIN.arch_id("c3_c5") != CHAIN.arch_id("c5_c3")


def test_normal_spelling_keeps_the_identities():
    assert CHAIN.normal("id_c3_id_c5") == "id_c3_id_c5"


def test_costs_counted_by_hand():
    # Stem 3x3 from 3 to 8 channels at 32 px; then at 32 and at 16 px one 3x3 and one 5x5 convolution.
    stem, layers = 3 * 8 * 9, 8 * 8 * (9 + 25)
    cost = CHAIN.cost("c3_c5", **AT, size=32)
    assert cost.params == stem + 2 * 8 + 2 * (layers + 2 * 2 * 8)
    assert cost.macs == (stem + layers) * 32**2 + layers * 16**2
    assert (cost.channels, cost.size) == (8, 16)


def test_encode_takes_operation_names():
    assert CHAIN.encode(ops=["conv3x3", "maxpool3x3", "identity"]) == "c3_mp_id"
