"""Lesson 13's functions, taken out of the notebook and held against the library or by hand."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
from test_lessons import definitions

from cnncourse import ladder

RANDOM = np.random.default_rng(0)


@pytest.fixture(scope="module")
def lesson() -> SimpleNamespace:
    return definitions("13_cifar10_challenge")


def test_a_block_is_the_librarys(lesson):
    inputs = maps = keras.Input((32, 32, 3))
    for filters in ladder.LADDER[0].widths:
        maps = lesson.block(maps, filters)
    features = keras.layers.GlobalMaxPooling2D()(maps)
    theirs = keras.Model(inputs, keras.layers.Dense(10)(features))
    images = RANDOM.normal(size=(4, 32, 32, 3)).astype("float32")
    ours = ladder.network(ladder.LADDER[0], images)
    theirs.set_weights(ours.get_weights())
    np.testing.assert_allclose(
        np.array(theirs(images)), np.array(ours(images)), rtol=1e-4, atol=1e-5
    )


def test_normalised_is_keras_batch_normalisation(lesson):
    maps = RANDOM.normal(3, 2, (6, 4, 4, 5)).astype("float32")
    layer = keras.layers.BatchNormalization(epsilon=1e-5)
    theirs = np.array(layer(maps, training=True))
    np.testing.assert_allclose(np.array(lesson.normalised(maps)), theirs, atol=1e-5)


def test_images_are_altered_as_the_library_alters_them(lesson):
    images = RANDOM.random((5, 32, 32, 3), dtype=np.float32)
    which = np.array([True, False, True, False, False])
    np.testing.assert_array_equal(lesson.mirrored(images, which), ladder.mirrored(images, which))
    for function in ("shifted", "cut_out"):
        ours, theirs = (
            getattr(room, function)(images, 4, np.random.default_rng(7))
            for room in (lesson, ladder)
        )
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_the_smoothed_loss_is_the_librarys(lesson, smoothing):
    logits = RANDOM.normal(size=(6, 10)).astype("float32")
    labels = np.array([0, 9, 3, 3, 1, 5])
    theirs = np.array(ladder.smoothed_cross_entropy(smoothing)(labels[:, None], logits))
    ours = lesson.smoothed_cross_entropy(labels, logits, smoothing)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)


def test_orthogonal_is_the_librarys(lesson):
    matrix = RANDOM.normal(size=(12, 30)).astype("float32")
    np.testing.assert_allclose(
        np.array(lesson.orthogonal(matrix)), np.array(ladder.orthogonal(matrix)), atol=1e-5
    )


def test_hard_images_are_chosen_as_the_library_chooses_them(lesson):
    losses = RANDOM.random(200).astype("float32")
    ours, theirs = (
        room.hard_images(losses, 0.4, np.random.default_rng(5)) for room in (lesson, ladder)
    )
    np.testing.assert_array_equal(ours, theirs)
