"""Lesson 14's functions, taken out of the notebook and held against something independent."""

import json
import subprocess
import sys
from math import log2
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.metrics import accuracy_score
from test_lessons import definitions

from cnncourse.builders import build
from cnncourse.memory import experiment

NAME = "14_gpu_memory"
RANDOM = np.random.default_rng(0)
MAP = 64 * 32 * 32 * 16 * 4  # bytes

# What TensorFlow takes from the system for tensors of so many MiB, seen from outside: the growth of
# the process' address space. The first tensor is small; so the first region is taken before.
REGIONS = """
import json, sys
import cnncourse, psutil
import tensorflow as tf

process, kept, grown = psutil.Process(), [], []
with tf.device("CPU:0"):
    kept.append(tf.raw_ops.Empty(shape=[1], dtype=tf.uint8))
    for size in json.loads(sys.argv[1]):
        before = process.memory_info().vms
        kept.append(tf.raw_ops.Empty(shape=[size, 2**20], dtype=tf.uint8))
        grown.append((process.memory_info().vms - before) // 2**20)
print(json.dumps(grown))
"""


@pytest.fixture(scope="module")
def lesson() -> SimpleNamespace:
    return definitions(NAME)


def metered() -> dict:
    """What the lesson's meters say in a fresh process."""
    lesson = definitions(NAME)
    found = {"first two layers": lesson.first_two_layers(100)}
    maps, layers = tf.random.normal([64, 32, 32, 16]), lesson.stack(16)
    for block in (None, 2, 4, 8):
        step = lesson.stack_step(layers, block)
        step(maps)
        taken = lesson.measure(lambda step=step: step(maps))
        found[f"blocks of {block}"] = (taken - taken.before) / MAP
    images = tf.random.normal([100, 8, 8, 3])
    layers = [keras.layers.Conv2D(50, 1), keras.layers.Flatten(), keras.layers.Dense(20)]
    with tf.GradientTape():
        found["training"] = lesson.walk(layers, images)
    found["predicting"] = lesson.walk(layers, images)
    return found


@pytest.fixture(scope="module")
def meters() -> dict:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parent))
        outcome = experiment(metered)
    assert outcome.done, outcome.error
    return outcome.value


def test_walk_counts_outputs_and_not_weights(meters):
    conv, dense = 100 * 8 * 8 * 50 * 4, 100 * 20 * 4
    np.testing.assert_allclose(meters["predicting"], [conv, conv, dense], atol=1_024)
    np.testing.assert_allclose(meters["training"], [conv, conv, conv + dense], rtol=0.01)


def test_first_two_layers_hold_two_outputs_and_the_images(meters):
    by_hand = 100 * 4 * (28 * 28 * 32 + 14 * 14 * 32 + 28 * 28)
    places = 100 * 14 * 14 * 32  # a pooling may note where its maxima stood
    assert by_hand <= meters["first two layers"] <= 1.05 * (by_hand + places)


def test_recomputation_holds_the_ends_and_one_block(meters):
    assert meters["blocks of None"] >= 16
    for block in (2, 4, 8):
        by_hand = 16 / block + block  # operations that run side by side hold a few maps more
        assert by_hand - 1 < meters[f"blocks of {block}"] < by_hand + 5


@pytest.mark.parametrize("block", [None, 1, 2, 3, 5])
def test_recomputation_changes_no_number(lesson, block):
    layers = lesson.stack(5, channels=2)
    maps = tf.constant(RANDOM.normal(size=(3, 6, 6, 2)).astype("f"))
    loss, *slopes = lesson.stack_step(layers, block)(maps)
    model = keras.Sequential([keras.Input((6, 6, 2)), *layers])
    with tf.GradientTape() as tape:
        expected = tf.reduce_mean(tf.square(model(maps)))
    assert float(loss) == pytest.approx(float(expected), rel=1e-5)
    expected_slopes = tape.gradient(expected, model.trainable_weights)
    assert len(slopes) == len(expected_slopes) == 10
    for slope, expected_slope in zip(slopes, expected_slopes, strict=True):
        np.testing.assert_allclose(slope, expected_slope, rtol=1e-4, atol=1e-7)


def test_regions_by_hand(lesson):
    assert lesson.regions([]) == []
    assert lesson.regions([1, 1, 1]) == [2, 4]
    assert lesson.regions([3] * 5) == [4, 4, 8, 16]
    assert lesson.regions([100, 28, 100]) == [128, 128]


def test_regions_are_those_of_the_real_allocator(lesson, monkeypatch):
    monkeypatch.setenv("TF_CPU_ALLOCATOR_USE_BFC", "1")
    tensors = [3, 3, 3, 3, 3, 20, 20, 100, 3, 40, 300]
    command = [sys.executable, "-c", REGIONS, json.dumps(tensors)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    grown = json.loads(done.stdout.splitlines()[-1])
    # Threads that start meanwhile take a few MiB of their own.
    taken = [2 ** round(log2(size)) for size in grown if size >= 3]
    assert lesson.regions([1, *tensors])[1:] == taken


def test_running_accuracy_is_sklearns(lesson):
    answers, labels = RANDOM.integers(0, 3, (2, 103))
    cuts = [10, 20, 21, 64]
    batches = zip(np.split(answers, cuts), np.split(labels, cuts), strict=True)
    running = list(lesson.running_accuracy(batches))
    ends = [*cuts, 103]
    assert running == [accuracy_score(labels[:end], answers[:end]) for end in ends]


def test_answers_join_their_batches(lesson, monkeypatch):
    monkeypatch.setitem(lesson.answers.__globals__, "forward", lambda images: images)
    logits = RANDOM.normal(size=(11, 10)).astype("f")
    for batch_size in (1, 4, 11, 20):
        np.testing.assert_array_equal(lesson.answers(logits, batch_size), logits.argmax(axis=1))


@pytest.mark.parametrize("size", [3, 4, 10])
def test_accumulated_gradients_are_the_librarys(lesson, size):
    images = RANDOM.random((10, 28, 28, 1), dtype=np.float32)
    labels = RANDOM.integers(0, 10, 10).astype("int32")
    model = build("mnist-keras", "keras", seed=1)
    slopes = lesson.accumulated(model.model, images, labels, size)
    expected = model.gradients(images, labels)
    for slope, name in zip(slopes, expected, strict=True):
        np.testing.assert_allclose(slope, expected[name], rtol=1e-3, atol=1e-6, err_msg=name)


def test_try_batches_returns_the_loss_of_a_step(lesson):
    """Black images and biases of 0 make every logit 0, and the loss the logarithm of 10."""
    (loss,) = lesson.try_batches([2]).values()
    assert loss == pytest.approx(np.log(10), rel=1e-5)
