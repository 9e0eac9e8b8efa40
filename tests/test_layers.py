"""The low-level layers against SciPy and against numbers worked by hand."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.signal import correlate2d
from scipy.special import log_softmax

from cnncourse import layers

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize(("padding", "mode"), [("SAME", "same"), ("valid", "valid")])
def test_conv2d_is_scipys_correlation_summed_over_channels(padding, mode):
    images = RANDOM.normal(size=(2, 9, 8, 3))
    kernel = RANDOM.normal(size=(3, 3, 3, 4))
    bias = RANDOM.normal(size=4)
    maps = layers.conv2d(images, kernel, bias, padding=padding).numpy()
    for image in range(2):
        for out in range(4):
            expected = bias[out] + sum(
                correlate2d(images[image, :, :, c], kernel[:, :, c, out], mode) for c in range(3)
            )
            np.testing.assert_allclose(maps[image, :, :, out], expected, atol=1e-12)


def test_a_stride_takes_every_second_place():
    images, kernel = RANDOM.normal(size=(1, 9, 9, 1)), RANDOM.normal(size=(3, 3, 1, 2))
    dense_map = layers.conv2d(images, kernel, np.zeros(2), padding="VALID")
    strided = layers.conv2d(images, kernel, np.zeros(2), stride=2, padding="VALID")
    np.testing.assert_array_equal(strided, dense_map[:, ::2, ::2])


def test_max_pool2d_by_hand():
    image = np.arange(1, 10, dtype=np.float32).reshape(1, 3, 3, 1)
    pooled = layers.max_pool2d(image, window=2, stride=1, padding="valid").numpy()
    np.testing.assert_array_equal(pooled[0, :, :, 0], [[5, 6], [8, 9]])
    assert layers.max_pool2d(np.zeros((1, 7, 7, 1), np.float32)).shape == (1, 4, 4, 1)


def test_flatten_keeps_the_order_and_dense_adds_the_bias():
    images = np.arange(24, dtype=np.float32).reshape(2, 2, 3, 2)
    rows = layers.flatten(tf.constant(images))
    np.testing.assert_array_equal(rows, images.reshape(2, 12))
    units = layers.dense(rows, np.eye(12, 3, dtype=np.float32), np.float32([10, 20, 30]))
    np.testing.assert_array_equal(units, [[10, 21, 32], [22, 33, 44]])


def test_dropout_drops_its_share_and_keeps_the_mean():
    ones = tf.ones([100_000])
    dropped = layers.dropout(ones, 0.2, seed=(3, 4)).numpy()
    assert set(np.unique(dropped)) == {np.float32(0), np.float32(1.25)}
    assert (dropped == 0).mean() == pytest.approx(0.2, abs=0.005)


def test_dropout_follows_from_its_seed_alone():
    ones = tf.ones([100_000])
    first, again, other = (
        layers.dropout(ones, 0.2, seed).numpy() for seed in [(1, 2)] * 2 + [(1, 3)]
    )
    np.testing.assert_array_equal(first, again)
    # Two independent draws: both drop 0.2 · 0.2 of all, and differ in 2 · 0.2 · 0.8.
    assert (first != other).mean() == pytest.approx(0.32, abs=0.01)


def test_cross_entropy_is_scipys_and_stays_finite():
    logits = RANDOM.normal(size=(6, 10)) * 5
    labels = RANDOM.integers(0, 10, 6)
    expected = -log_softmax(logits, axis=1)[np.arange(6), labels]
    np.testing.assert_allclose(layers.cross_entropy(logits, labels), expected, rtol=1e-10)
    assert float(layers.cross_entropy(tf.constant([[200.0, 0.0]]), tf.constant([1]))[0]) == 200
