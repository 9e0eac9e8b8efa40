"""The descriptions against the published counts, and against what Keras makes of them."""

import pytest

from cnncourse.networks import (
    NETWORKS,
    Conv,
    Dense,
    Dropout,
    Flatten,
    Initializer,
    MaxPool,
    Network,
    Recipe,
)

NAMES = [
    "mnist-tf",
    "mnist-keras",
    "mnist-core",
    "mnist-lenet-tf",
    "mnist-lenet-keras",
    "cifar10-lenet-tf",
    "cifar10-lenet-keras",
    "mnist-dropout",
    "mnist-estimator",
]


def test_all_nine_are_there():
    assert list(NETWORKS) == NAMES
    assert all(NETWORKS[name].name == name for name in NAMES)


@pytest.mark.parametrize(
    ("name", "by_layer", "total"),
    [
        ("mnist-lenet-keras", [544, 32_832, 3_212_288, 10_250], 3_255_914),
        ("cifar10-lenet-keras", [1_568, 32_832, 4_195_328, 10_250], 4_239_978),
    ],
)
def test_published_parameter_counts_come_out(name, by_layer, total):
    table = NETWORKS[name].table()
    assert [row.parameters for row in table if row.parameters] == by_layer
    assert NETWORKS[name].parameters == total


@pytest.mark.parametrize("name", NAMES)
def test_keras_makes_the_same_of_every_layer(name):
    from cnncourse.builders import build

    model = build(name, "keras").model
    table = NETWORKS[name].table()
    assert len(table) == len(model.layers)
    for row, layer in zip(table, model.layers, strict=True):
        assert row.name == layer.name
        assert row.output_shape == layer.output.shape[1:]
        assert row.parameters == layer.count_params()


def test_multiply_adds_by_hand():
    rows = {row.name: row.multiply_adds for row in NETWORKS["mnist-tf"].table()}
    assert rows["conv1"] == 28 * 28 * 5 * 5 * 1 * 32
    assert rows["conv2"] == 14 * 14 * 5 * 5 * 32 * 64
    assert rows["dense1"] == 7 * 7 * 64 * 128
    assert rows["pool1"] == rows["flatten1"] == 0


def test_the_table_prints_with_its_totals():
    lines = str(NETWORKS["mnist-lenet-keras"].table()).splitlines()
    assert lines[0].split() == ["name", "layer", "output", "shape", "parameters", "multiply-adds"]
    assert lines[-1].split() == ["total", "3,255,914", "10,045,440"]
    assert len({len(line) for line in lines}) == 1


def test_recipes_count_their_steps():
    assert NETWORKS["mnist-tf"].recipe.total_steps == 1_000
    assert NETWORKS["mnist-keras"].recipe.total_steps == 6 * 860  # 859 whole batches and a rest
    with pytest.raises(ValueError, match="exactly one"):
        Recipe("adam", 1e-3, 64)
    with pytest.raises(ValueError, match="exactly one"):
        Recipe("adam", 1e-3, 64, epochs=1, steps=1)


def test_an_unknown_network_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match=r"network is 'lenet'; the networks are mnist-tf, .*"):
        NETWORKS["lenet"]
    assert NETWORKS.get("lenet") is None


def test_descriptions_cannot_be_changed():
    with pytest.raises(AttributeError):
        NETWORKS["mnist-tf"].name = "mine"
    with pytest.raises(TypeError):
        NETWORKS["mine"] = NETWORKS["mnist-tf"]


def describe(*layers):
    glorot = Initializer("glorot_uniform")
    recipe = Recipe("adam", 1e-3, 64, epochs=1)
    return Network("mine", "-", "mnist", (28, 28, 1), layers, glorot, recipe, ())


def test_a_network_of_ones_own():
    mine = describe(
        Conv(4, 3, stride=2, padding="valid"), MaxPool(3, 2, "valid"), Flatten(), Dropout(0.5)
    )
    assert [row.output_shape for row in mine.table()] == [(13, 13, 4), (6, 6, 4), (144,), (144,)]
    assert "stride 2 VALID" in mine.table()[0].layer


def test_a_network_that_cannot_be_says_why():
    with pytest.raises(ValueError, match=r"put Flatten\(\) first"):
        describe(Conv(4, 3), Dense(10)).table()
    with pytest.raises(ValueError, match="does not fit"):
        describe(Conv(4, 30, padding="valid")).table()
