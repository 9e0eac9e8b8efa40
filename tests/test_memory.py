"""The memory plan against numbers worked by hand, and against what it must be by nature."""

from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from cnncourse import memory
from cnncourse.builders import build
from cnncourse.memory import largest_batch, plan
from cnncourse.memory.program import Operation, Tensor, walk
from cnncourse.networks import NETWORKS, Conv, Dense, Dropout, Flatten, MaxPool

layers = keras.layers
SMALL = replace(
    NETWORKS["mnist-tf"],
    name="small",
    input_shape=(8, 8, 1),
    layers=(Conv(4, 3), MaxPool(), Flatten(), Dense(10, None)),
)


def test_a_prediction_worked_by_hand():
    """Ten images: 2,560 bytes. Weights: 40 + 650 numbers. At the pool both maps are alive."""
    found = plan(SMALL, 10, training=False)
    conv, pool, places = 10 * 8 * 8 * 4 * 4, 10 * 4 * 4 * 4 * 4, 10 * 4 * 4 * 4
    assert found.at == "pool1"
    assert dict(found) == {
        "parameters": 690 * 4,
        "optimizer": 0,
        "activations": conv + pool + places,
        "gradients": 0,
        "workspace": 0,
        "input": 2_560,
    }
    assert found.total == 18_760


def test_a_training_step_worked_by_hand():
    """Going back through the pool, its gradient is made while dense1's weights are still moved.

    So the logits' gradient (400 bytes), the weights' gradient and Adam's copy are alive as well.
    """
    found = plan(SMALL, 10)
    conv, pool, places = 10_240, 2_560, 640
    assert found.at == "pool1 backward"
    assert dict(found) == {
        "parameters": 2_760,
        "optimizer": 2 * 2_760,
        "activations": conv + pool + places,
        "gradients": pool + conv + 650 * 4 + 400,
        "workspace": 640 * 4,  # Adam's copy of the dense kernel's gradient
        "input": 2_560 + 10,  # labels are bytes
    }
    assert found.total == 42_650
    kept = {row.name: row.kept for row in found.layers}
    assert kept == {"conv1": conv, "pool1": pool + places, "flatten1": 0, "dense1": 400}


def test_dropout_keeps_a_mask_and_needs_random_numbers_for_a_moment():
    dropped = replace(SMALL, layers=(*SMALL.layers[:2], Dropout(0.5), *SMALL.layers[2:]))
    found = plan(dropped, 10)
    row = {row.name: row for row in found.layers}["dropout1"]
    assert row.kept == 2_560 + 640  # what dense1 reads, and a byte for each place
    moment = dict(found.moments)["dropout1"]
    assert moment["workspace"] == 2_560
    assert plan(dropped, 10, training=False).total == plan(SMALL, 10, training=False).total


def test_bfloat16_halves_maps_and_copies_weights():
    found = plan(SMALL, 10, training=False, policy="mixed_bfloat16")
    assert found.at == "pool1"
    assert found["activations"] == (10_240 + 2_560) / 2 + 640
    # The convolution reads copies of the batch and of its own weights; the last layer needs none.
    moment = dict(found.moments)["conv1"]
    assert moment["activations"] == (10_240 + 2_560) / 2
    assert moment["parameters"] == 4 * 690 + 2 * 40


def test_optimizers_keep_what_they_keep():
    kept = {name: plan(SMALL, 10, optimizer=name)["optimizer"] for name in ("sgd", "momentum")}
    assert kept == {"sgd": 0, "momentum": 4 * 690}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("training", [True, False])
def test_parts_and_layers_add_up(name, training):
    found = plan(name, 64, training=training)
    assert sum(found.values()) == found.total == max(sum(one.values()) for _, one in found.moments)
    for part in found:
        held = sum(row.at_peak[part] for row in found.layers)
        assert held == (found[part] if part != "input" else 0)
    assert sum(row.parameters for row in found.layers) == NETWORKS[name].parameters
    assert f"{found.total / 1e6:,.1f} MB at the peak" in str(found)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_a_keras_model_is_planned_as_its_description(name, policy):
    """Read off Keras' own layers; their names, shapes and counts come from Keras."""
    model = build(name, "keras", policy=policy).model
    for training in (True, False):
        described = plan(name, 100, training=training, policy=policy)
        read = plan(model, 100, training=training, policy=policy)
        assert dict(read) == dict(described)
        assert [row.kept for row in read.layers] == [row.kept for row in described.layers]
    assert sum(row.parameters for row in read.layers) == model.count_params()


def test_memory_grows_with_the_batch_by_the_same_for_each_image():
    """Once the maps outweigh everything else, the plan is a line in the batch size."""
    totals = [plan("mnist-core", size).total for size in (1_000, 2_000, 3_000)]
    assert totals[2] - totals[1] == totals[1] - totals[0] > 0


def test_a_residual_block_keeps_its_shortcut():
    inputs = keras.Input((8, 8, 4))
    first = layers.Conv2D(4, 3, padding="same", activation="relu")(inputs)
    second = layers.Conv2D(4, 3, padding="same", activation="relu")(first)
    joined = layers.Add(name="join")([first, second])
    logits = layers.Dense(10)(layers.GlobalAveragePooling2D()(joined))
    found = plan(keras.Model(inputs, logits), 10)
    size = 10 * 8 * 8 * 4 * 4
    # Both relus need their outputs later, so their sum is a tensor of its own, read once.
    assert [row.kept for row in found.layers][:3] == [size, size, 0]
    assert dict(found.moments)["join"]["activations"] == 3 * size


def test_batch_normalisation_and_relu_share_one_tensor():
    inputs = keras.Input((8, 8, 4))
    maps = layers.ReLU(name="relu")(layers.BatchNormalization(name="norm")(inputs))
    model = keras.Model(inputs, layers.Dense(10)(layers.Flatten()(maps)))
    found = {row.name: row for row in plan(model, 10).layers}
    assert found["relu"].kept == 10 * 8 * 8 * 4 * 4
    assert found["norm"].kept == 0
    assert found["norm"].parameters == 4 * 4


def test_a_frozen_layer_has_no_gradient_and_no_slots():
    model = keras.Sequential(
        [keras.Input((8, 8, 1)), layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(10)]
    )
    model.layers[0].trainable = False
    found = plan(model, 10)
    assert found["optimizer"] == 2 * 4 * (6 * 6 * 4 * 10 + 10)
    assert not any("conv2d" in name and "backward" in name for name, _ in found.moments)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_printed_plan_fits_on_a_page(name):
    text = str(plan(name, 1_000))
    assert max(map(len, text.splitlines())) <= 100
    assert all(f"\n{row.name} " in text for row in plan(name, 1_000).layers)


def test_what_the_plan_cannot_know_is_a_note(monkeypatch):
    model = build("mnist-tf", "keras").model
    assert not plan(model, 10).notes
    model.compile(jit_compile=True)
    assert "XLA" in plan(model, 10).notes[0]
    assert "XLA" in str(plan(model, 10))
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    assert any("'jax'" in note for note in plan(model, 10).notes)


def test_a_tensor_lives_from_its_maker_to_its_last_reader():
    def tensor(name, size):
        return Tensor(name, size, "activations", name)

    moments = walk(
        [
            Operation("a", (), (tensor("a", 10),)),
            Operation("b", ("a",), (tensor("b", 10), tensor("scratch", 3))),
            Operation("c", ("b",), (tensor("c", 10),), overwrites=("b",)),
            Operation("d", ("a", "c"), (tensor("d", 1),), overwrites=("a",)),
        ]
    )
    assert [moment.total for moment in moments] == [10, 23, 20, 21]


def test_what_lingers_is_alive_beside_the_next_that_makes_something():
    def tensor(name, size):
        return Tensor(name, size, "gradients", name)

    moments = walk(
        [
            Operation("slope", (), (tensor("w", 5), tensor("x", 2))),
            Operation("update", ("w",), (tensor("copy", 5),), lingers=True),
            Operation("in place", ("x",), (tensor("y", 2),), overwrites=("x",)),
            Operation("next", ("y",), (tensor("z", 7),)),
            Operation("after", ("z",), (tensor("end", 1),)),
        ]
    )
    assert [moment.total for moment in moments] == [7, 12, 12, 19, 8]


@pytest.mark.parametrize("training", [True, False])
def test_the_largest_batch_fits_and_one_more_image_does_not(training):
    budget = 200_000_000
    found = largest_batch("mnist-core", budget, training=training, confirm=False)
    assert plan("mnist-core", found, training=training).total <= budget
    assert plan("mnist-core", found + 1, training=training).total > budget
    assert found.measured is None
    assert f"batch {int(found)} (plan" in repr(found)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plan("lenet", 1), "network is 'lenet'"),
        (lambda: plan("mnist-tf", 0), "batch_size is 0"),
        (lambda: plan("mnist-tf", 1, optimizer="lion"), "optimizer is 'lion'; use one of 'sgd'"),
        (lambda: plan("mnist-tf", 1, policy="float16"), "policy is 'float16'"),
        (lambda: plan(keras.Sequential([layers.Dense(3)]), 1), "give a name, a Network or a built"),
        (
            lambda: plan(
                keras.Sequential([keras.Input((8, 8, 1)), layers.UpSampling2D(name="up")]), 1
            ),
            "layer 'up' is a UpSampling2D, which the plan does not know",
        ),
        (
            lambda: plan(
                keras.Sequential([keras.Input((4,)), layers.Dense(3, "gelu", name="d")]), 1
            ),
            "layer 'd' has the activation 'gelu'",
        ),
        (lambda: plan(3, 100), "network is 3; give a name, a Network or a built Keras model"),
        (lambda: largest_batch("mnist-tf", 1_000), "budget is 1,000 bytes; one image alone takes"),
    ],
)
def test_bad_requests_say_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        call()


class FakeGPUs:
    """Stands in for the GPUs that this machine may lack; notes what was asked of each."""

    def __init__(self, monkeypatch, error=None):
        self.asked, self.error = [], error
        gpu = tf.config.PhysicalDevice("/physical_device:GPU:0", "GPU")
        monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [gpu, gpu])
        monkeypatch.setattr(tf.config.experimental, "set_memory_growth", self.ask)
        monkeypatch.setattr(tf.config, "set_logical_device_configuration", self.ask)

    def ask(self, gpu, wish):
        if self.error:
            raise self.error
        self.asked.append(wish)


def test_without_a_gpu_growth_and_limits_say_so(capsys, monkeypatch):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
    assert memory.grow() == memory.limit(100) == 0
    assert capsys.readouterr().out == "no GPU here: nothing to do\n" * 2


def test_every_gpu_is_set(monkeypatch):
    fake = FakeGPUs(monkeypatch)
    assert memory.grow() == 2
    assert memory.limit(2_000) == 2
    assert fake.asked[:2] == [True, True]
    assert [share.memory_limit for (share,) in fake.asked[2:]] == [2_000, 2_000]
    with pytest.raises(ValueError, match="megabytes is 0"):
        memory.limit(0)


def test_too_late_for_a_gpu_says_what_to_do(monkeypatch):
    FakeGPUs(monkeypatch, RuntimeError("cannot be modified after being initialized"))
    with pytest.raises(RuntimeError, match=r"too late to let its memory grow.*Restart"):
        memory.grow()
    FakeGPUs(monkeypatch, ValueError("Cannot set memory growth on device when limit"))
    with pytest.raises(ValueError, match="either grows or has a limit"):
        memory.limit(100)


def test_the_room_names_what_it_has():
    assert set(memory.__all__) <= set(dir(memory))
    with pytest.raises(AttributeError, match="no attribute 'forget'; it has"):
        memory.forget  # noqa: B018
    assert np.all([hasattr(memory, name) for name in memory.__all__])
