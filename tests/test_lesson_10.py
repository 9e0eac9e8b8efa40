"""Lesson 10's functions, taken out of the notebook and held against something independent."""

from itertools import combinations
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import signal, stats
from test_lessons import definitions

from cnncourse import reference
from cnncourse.arithmetic import receptive_field
from cnncourse.builders import build
from cnncourse.networks import NETWORKS

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.random((6, 28, 28, 1), dtype=np.float32)
BUILT = build("mnist-keras", "keras", seed=3)
MODEL = BUILT.model
KERNEL, BIAS = MODEL.get_layer("conv1").get_weights()


@pytest.fixture(scope="module")
def lesson() -> SimpleNamespace:
    return definitions("10_inside_the_network", model=MODEL)


@pytest.fixture(scope="module")
def maps(lesson) -> dict[str, np.ndarray]:
    return lesson.activations(lesson.inside(MODEL), IMAGES)


def test_activations_are_those_of_the_numpy_layers(maps):
    values = IMAGES
    for number in (1, 2):
        layer = MODEL.get_layer(f"conv{number}")
        values = reference.relu(reference.conv2d(values, *layer.get_weights(), padding="same"))
        np.testing.assert_allclose(maps[f"conv{number}"], values, atol=1e-5)
        values = reference.max_pool2d(values, 2, 2, "same")
        np.testing.assert_allclose(maps[f"pool{number}"], values, atol=1e-5)


def test_dead_filters_are_those_whose_bias_was_sunk(lesson):
    params = BUILT.params
    params["conv1/bias"][[4, 9]] = -100
    sunk = build("mnist-keras", "keras", params=params)
    first = lesson.activations(lesson.inside(sunk.model), IMAGES)["conv1"]
    assert set(np.flatnonzero(lesson.dead_filters(first))) == {4, 9}
    slopes = sunk.gradients(IMAGES, np.arange(6))["conv1/kernel"]
    assert set(np.flatnonzero(~slopes.any(axis=(0, 1, 2)))) == {4, 9}


def test_likeness_is_the_correlation_with_each_filter(lesson, maps):
    kernel = RANDOM.normal(size=(3, 3))
    ours = lesson.map_of(kernel, IMAGES)
    for one, image in zip(ours, IMAGES, strict=True):
        expected = np.maximum(signal.correlate2d(image[..., 0], kernel, "same"), 0)
        np.testing.assert_allclose(one, expected, atol=1e-5)
    planted = maps["conv1"].copy()
    planted[..., 7] = 3 * ours + 1  # brighter, and the same picture
    planted[..., 8] = 0  # a dead filter is like nothing
    found = lesson.likeness(ours, planted)
    assert found.shape == (32,)
    assert found[7] == pytest.approx(1, abs=1e-5)
    assert found[8] == 0
    other = stats.pearsonr(ours.ravel(), planted[..., 3].ravel()).statistic
    assert found[3] == pytest.approx(other, abs=1e-5)


def brute_force_patch(image, row, column, size):
    """Copy a window pixel by pixel; what lies outside the image is 0."""
    patch = np.zeros((size, size), image.dtype)
    for i, j in np.ndindex(size, size):
        if 0 <= row + i < image.shape[0] and 0 <= column + j < image.shape[1]:
            patch[i, j] = image[row + i, column + j, 0]
    return patch


@pytest.mark.parametrize(("name", "depth"), [("conv1", 1), ("conv2", 3)])
def test_exciting_patches_are_found_by_brute_force_too(lesson, maps, name, depth):
    field = receptive_field(NETWORKS["mnist-keras"].layers[:depth], 28)
    for k in (0, 5, 11):
        best = []
        for n in range(len(IMAGES)):
            places = np.ndindex(*maps[name].shape[1:3])
            value, row, column = max((maps[name][n, r, c, k], r, c) for r, c in places)
            best.append((value, n, row, column))
        best = sorted(best, reverse=True)[:4]
        patches = lesson.exciting_patches(IMAGES, maps[name][..., k], field, count=4)
        for patch, (value, n, row, column) in zip(patches, best, strict=True):
            corner = (field.start + field.jump * row, field.start + field.jump * column)
            np.testing.assert_array_equal(patch, brute_force_patch(IMAGES[n], *corner, field.size))
            if name == "conv1":  # the patch alone gives the value
                alone = np.sum(patch * KERNEL[:, :, 0, k]) + BIAS[k]
                assert value == pytest.approx(alone, abs=1e-5)


def test_a_patch_holds_all_that_the_value_depends_on(lesson, maps):
    field = receptive_field(NETWORKS["mnist-keras"].layers[:3], 28)
    row, column, k = 6, 8, 2
    top, left = (field.start + field.jump * place for place in (row, column))
    inner = np.s_[0, top : top + field.size, left : left + field.size]
    other = RANDOM.random((1, 28, 28, 1), dtype=np.float32)
    other[inner] = IMAGES[inner]
    value = lesson.activations(lesson.inside(MODEL), other)["conv2"][0, row, column, k]
    assert value == pytest.approx(maps["conv2"][0, row, column, k], abs=1e-5)


def test_alike_is_the_mean_correlation_of_all_pairs(lesson):
    patches = RANDOM.random((5, 4, 4))
    pairs = combinations(patches.reshape(5, -1), 2)
    expected = np.mean([stats.pearsonr(a, b).statistic for a, b in pairs])
    assert lesson.alike(patches) == pytest.approx(expected)


def test_one_step_uphill_is_the_slope_of_a_linear_network(lesson):
    """Logits = pixels · weights: the slope is the weights of the class."""
    linear = keras.Sequential([keras.Input((28, 28, 1)), keras.layers.Flatten()])
    linear.add(keras.layers.Dense(10))
    weights, _ = linear.layers[-1].get_weights()
    images = 0.3 + 0.4 * IMAGES[:2]
    slopes = weights[:, [3, 8]].T.reshape(2, 28, 28, 1)
    lengths = np.sqrt(np.mean(slopes**2, axis=(1, 2, 3), keepdims=True))
    moved = lesson.uphill(linear, tf.constant(images), tf.one_hot([3, 8], 10))
    np.testing.assert_allclose(moved, np.clip(images + 0.03 * slopes / lengths, 0, 1), atol=1e-5)


def test_made_images_convince_the_network_they_were_made_for(lesson):
    made = lesson.made_for(MODEL, [2, 7], steps=30)
    assert made.min() >= 0
    assert made.max() <= 1
    np.testing.assert_array_equal(MODEL(made).numpy().argmax(axis=1), [2, 7])
    start = lesson.made_for(MODEL, [2, 7], steps=0)
    assert (MODEL(made).numpy()[[0, 1], [2, 7]] > MODEL(start).numpy()[[0, 1], [2, 7]]).all()


def test_grad_cam_agrees_with_finite_differences(lesson):
    """The network behind conv2 once more in NumPy, in double precision, and no tape."""
    params = {name: array.astype("float64") for name, array in BUILT.params.items()}
    images, classes = IMAGES[:2].astype("float64"), [3, 8]
    values = images
    for name in ("conv1", "conv2"):
        if name == "conv2":
            values = reference.max_pool2d(values, 2, 2, "same")
        arrays = params[f"{name}/kernel"], params[f"{name}/bias"]
        values = reference.relu(reference.conv2d(values, *arrays, padding="same"))

    def scores(maps):
        rows = reference.max_pool2d(maps, 2, 2, "same").reshape(2, -1)
        hidden = reference.dense(rows, params["dense1/kernel"], params["dense1/bias"])
        hidden = reference.relu(hidden)
        logits = reference.dense(hidden, params["dense2/kernel"], params["dense2/bias"])
        return logits[[0, 1], classes]

    heat, nudge = np.zeros((2, 14, 14)), 1e-6
    for k in range(64):  # a nudge to the whole map; its mean slope is a 14 · 14th of the answer's
        step = nudge * (np.arange(64) == k)
        weight = (scores(values + step) - scores(values - step)) / (2 * nudge * 14 * 14)
        heat += weight[:, np.newaxis, np.newaxis] * values[..., k]
    expected = np.maximum(heat, 0)
    assert expected.any(axis=(1, 2)).all()
    ours = lesson.grad_cam(MODEL, IMAGES[:2], classes)
    np.testing.assert_allclose(ours, expected, atol=1e-3 * expected.max())


def test_covering_measures_the_fall_at_each_place(lesson):
    classes = [1, 2]
    fall = lesson.covering(IMAGES[:2], classes)
    assert fall.shape == (2, 14, 14)

    def chance(image, digit):
        exp = np.exp(BUILT.logits(image[np.newaxis])[0].astype("float64"))
        return exp[digit] / exp.sum()

    for n, row, column in ((0, 0, 0), (0, 7, 3), (1, 13, 13), (1, 5, 9)):
        covered = IMAGES[n].copy()
        for i, j in np.ndindex(28, 28):  # six pixels each way, around the middle of the place
            if abs(i + 0.5 - (2 * row + 1)) < 3 and abs(j + 0.5 - (2 * column + 1)) < 3:
                covered[i, j] = 0
        expected = chance(IMAGES[n], classes[n]) - chance(covered, classes[n])
        assert fall[n, row, column] == pytest.approx(expected, abs=1e-5)


def test_maps_move_with_the_image_as_in_the_reference_convolution(lesson):
    wide = np.pad(IMAGES[:2], ((0, 0), (14, 14), (14, 14), (0, 0)))
    still = lesson.activations(lesson.on_canvas(MODEL, 56), wide)
    np.testing.assert_allclose(
        still["conv1"],
        reference.relu(reference.conv2d(wide, KERNEL, BIAS, padding="same")),
        atol=1e-5,
    )
    by_three = reference.relu(
        reference.conv2d(np.roll(wide, 3, axis=2), KERNEL, BIAS, padding="same")
    )
    assert lesson.mismatch(still["conv1"], by_three, 3) < 1e-3
    assert lesson.mismatch(still["conv1"], by_three, 2) > 10
    # By hand: the inner quarter of 1 2 3 4 0 0 0 0, moved by one, is 2 3 4 0; found is 2 3 4 5.
    line = np.array([1, 2, 3, 4, 0, 0, 0, 0], float)
    still, moved = (np.tile(row, (8, 1))[np.newaxis, ..., np.newaxis] for row in (line, line * 0))
    moved[0, :, 2:6, 0] = [2, 3, 4, 5]
    assert lesson.mismatch(still, moved, 1) == pytest.approx(500 / np.sqrt(4 + 9 + 16 + 25))


def test_shifting_lets_black_in(lesson):
    for right in (-9, 0, 4):
        padded = np.pad(IMAGES, ((0, 0), (0, 0), (28, 28), (0, 0)))
        expected = padded[:, :, 28 - right : 56 - right]
        np.testing.assert_array_equal(lesson.shifted(IMAGES, right), expected)


def test_turning_is_anticlockwise_about_the_centre(lesson):
    """Against NumPy for quarter turns, and Keras, which takes eight numbers, for others."""
    for quarters in (1, 2, 3):
        expected = np.rot90(IMAGES, quarters, axes=(1, 2))
        np.testing.assert_allclose(lesson.rotated(IMAGES, 90 * quarters), expected, atol=1e-4)
    inner = np.pad(IMAGES[:, 6:-6, 6:-6], ((0, 0), (6, 6), (6, 6), (0, 0)))
    for degrees in (15, 130):
        cos, sin, m = np.cos(np.radians(degrees)), np.sin(np.radians(degrees)), 13.5
        eight = [cos, -sin, m - m * cos + m * sin, sin, cos, m - m * sin - m * cos, 0, 0]
        expected = keras.ops.image.affine_transform(inner, np.float32(eight))
        np.testing.assert_allclose(lesson.rotated(inner, degrees), expected, atol=1e-4)
