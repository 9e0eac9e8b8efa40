"""Lesson 11's functions, taken out of the notebook and held against something independent."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.metrics import log_loss
from sklearn.preprocessing import minmax_scale
from test_lessons import definitions

from cnncourse import layers
from cnncourse.builders import build, initial_params
from cnncourse.data import ImageDataset
from cnncourse.networks import NETWORKS

RANDOM = np.random.default_rng(0)
NETWORK = NETWORKS["cifar10-lenet-tf"]
IMAGES = RANDOM.random((7, 32, 32, 3), dtype=np.float32)
PARAMS = initial_params(NETWORK, seed=2)


@pytest.fixture(scope="module")
def lesson() -> SimpleNamespace:
    return definitions("11_cifar10_with_tensorflow")


def test_planes_add_up_to_the_image(lesson):
    planes = [lesson.plane(IMAGES[0], channel) for channel in range(3)]
    np.testing.assert_array_equal(sum(planes), IMAGES[0])
    for channel, plane in enumerate(planes):
        assert set(np.flatnonzero(plane.any(axis=(0, 1)))) == {channel}


def test_torn_images_are_stored_bytes_counted_off_anew(lesson):
    images = RANDOM.integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    torn = lesson.tear(images)
    for row, column, channel in ((0, 0, 0), (0, 11, 1), (10, 21, 2), (20, 5, 0), (31, 31, 2)):
        stored = 96 * row + 3 * column + channel  # its place in the record, after the label
        plane, place = divmod(stored, 1_024)
        expected = images[:, place // 32, place % 32, plane]
        np.testing.assert_array_equal(torn[:, row, column, channel], expected)


def test_min_max_is_sklearns(lesson):
    values = RANDOM.integers(0, 256, 50).astype("uint8")
    expected = minmax_scale(values.astype("float64"))
    scaled = lesson.min_max(values, values.min(), values.max())
    np.testing.assert_allclose(scaled, expected, atol=1e-6)


@pytest.mark.parametrize("keep_prob", [0.5, 0.8])
def test_dropout_keeps_the_librarys_share_and_size(lesson, keep_prob):
    ones = tf.ones([200_000])
    ours = lesson.dropout(ones, keep_prob).numpy()
    theirs = layers.dropout(ones, 1 - keep_prob, (1, 2)).numpy()
    np.testing.assert_allclose(np.unique(ours), np.unique(theirs), rtol=1e-6)
    assert np.mean(ours > 0) == pytest.approx(keep_prob, abs=0.005)
    assert ours.mean() == pytest.approx(1, abs=0.01)
    two_rows = lesson.dropout(tf.ones([2, 1_000]), keep_prob).numpy()
    assert (two_rows[0] != two_rows[1]).any()  # every number has dice of its own


def test_dropout_that_keeps_all_changes_nothing(lesson):
    values = RANDOM.normal(size=100_000).astype("f")
    np.testing.assert_array_equal(lesson.dropout(values, 1.0), values)


def test_params_are_those_of_the_description(lesson):
    params = {name: variable.numpy() for name, variable in lesson.new_params(seed=1).items()}
    assert {name: array.shape for name, array in params.items()} == dict(NETWORK.parameter_shapes)
    kernel = params["dense1/kernel"]
    assert kernel.std() == pytest.approx(NETWORK.initializer.stddev, rel=0.01)
    assert np.abs(kernel).max() > 0.4  # normal, not truncated at two standard deviations
    assert not any(array.any() for name, array in params.items() if name.endswith("bias"))


def test_forward_is_the_librarys_network(lesson):
    expected = build(NETWORK, "eager", params=PARAMS).logits(IMAGES)
    np.testing.assert_allclose(lesson.forward(PARAMS, IMAGES, 1.0), expected, atol=1e-4)
    np.testing.assert_allclose(lesson.predict(PARAMS, IMAGES), expected, atol=1e-4)


def test_dropout_stands_where_the_description_has_it(lesson, monkeypatch):
    """With something in dropout's place that is not random, the logits are the library's."""
    seen = []

    def ours(values, keep_prob):
        seen.append(keep_prob)
        return 1 + values * keep_prob

    monkeypatch.setitem(lesson.forward.__globals__, "dropout", ours)
    monkeypatch.setattr(layers, "dropout", lambda values, rate, seed: 1 + values * (1 - rate))
    model = build(NETWORK, "eager", params=PARAMS)
    expected = model(tf.constant(IMAGES), training=True)
    np.testing.assert_allclose(lesson.forward(PARAMS, IMAGES, 0.8), expected, rtol=1e-4, atol=1e-3)
    assert seen == [0.8] * 3


def test_predict_joins_its_batches(lesson, monkeypatch):
    def echo(params, batch, keep_prob):
        return batch * keep_prob

    monkeypatch.setitem(lesson.predict.__globals__, "forward", echo)
    rows = np.arange(1_203, dtype="float32")[:, np.newaxis]
    np.testing.assert_array_equal(lesson.predict({}, rows), rows)
    np.testing.assert_allclose(lesson.predict({}, rows, keep_prob=0.5), rows / 2)


def test_scores_are_sklearns(lesson):
    logits = RANDOM.normal(size=(50, 10)).astype("f")
    labels = RANDOM.integers(0, 10, 50).astype("uint8")
    loss, accuracy = lesson.scores(logits, labels)
    chances = lesson.softmax(logits)
    np.testing.assert_allclose(chances.sum(axis=1), 1, rtol=1e-5)
    assert loss == pytest.approx(log_loss(labels, chances, labels=range(10)), rel=1e-4)
    assert accuracy == sum(logits[n].argmax() == labels[n] for n in range(50)) / 50


def coloured_set(n: int) -> ImageDataset:
    """Make noise whose brightest channel is the class, of 3."""
    labels = RANDOM.integers(0, 3, n).astype("uint8")
    images = RANDOM.integers(0, 200, (n, 32, 32, 3)).astype("uint8")
    images[np.arange(n), :, :, labels] += 55
    halves = (images[: n // 2], labels[: n // 2], images[n // 2 :], labels[n // 2 :])
    return ImageDataset(*halves, class_names=tuple("abcdefghij"), name="noise", source="offline")


def test_linear_model_finds_colours(lesson):
    assert lesson.linear_accuracy(coloured_set(800), epochs=4) > 0.9


def test_a_step_moves_along_the_gradient(lesson):
    images, labels = IMAGES, np.arange(7)
    params = {name: tf.Variable(array) for name, array in PARAMS.items()}
    step = lesson.new_step(
        lambda batch: lesson.forward(params, batch, 1.0),
        list(params.values()),
        keras.optimizers.SGD(0.001),
    )
    step(tf.constant(images), tf.constant(labels))
    slopes = build(NETWORK, "eager", params=PARAMS).gradients(images, labels)
    for name, array in PARAMS.items():
        expected = array - 0.001 * slopes[name]
        np.testing.assert_allclose(params[name], expected, atol=1e-5)


def test_a_run_learns_and_measures_without_dropout(lesson):
    data = coloured_set(400).scaled()
    params, points = lesson.run(0.8, data, epochs=3)
    assert points.shape == (3, 4)
    assert points[-1, 0] < points[0, 0]
    kept = {name: variable.numpy() for name, variable in params.items()}
    model = build(NETWORK, "eager", params=kept)
    test_loss, test_accuracy = lesson.scores(model.logits(data.x_test), data.y_test)
    assert points[-1, 2] == pytest.approx(test_loss, rel=1e-3)
    assert points[-1, 3] == pytest.approx(test_accuracy)
