"""Lesson 12's functions and callbacks, taken out of the notebook, against something independent."""

from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.metrics import precision_recall_fscore_support, top_k_accuracy_score
from test_lessons import LESSONS, definitions

from cnncourse.builders import build
from cnncourse.networks import NETWORKS, Dropout

NETWORK = NETWORKS["cifar10-lenet-keras"]
RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.random((40, 6, 6, 3), dtype=np.float32)
LABELS = RANDOM.integers(0, 10, 40)


@pytest.fixture(scope="module")
def lesson() -> SimpleNamespace:
    return definitions("12_cifar10_with_keras")


def test_model_is_the_published_network(lesson):
    model = lesson.new_model()
    params = dict(zip(NETWORK.parameter_shapes, model.get_weights(), strict=True))
    images = RANDOM.random((3, 32, 32, 3), dtype=np.float32)
    np.testing.assert_allclose(
        model(images), build(NETWORK, "eager", params=params).logits(images), atol=1e-5
    )
    rates = [getattr(layer, "rate", None) for layer in model.layers]
    assert rates == [layer.rate if isinstance(layer, Dropout) else None for layer in NETWORK.layers]


def test_compiled_takes_logits_and_the_recipes_optimizer(lesson):
    model = lesson.compiled(lesson.new_model(rate=0))
    images = RANDOM.random((3, 32, 32, 3), dtype=np.float32)
    expected = tf.nn.sparse_softmax_cross_entropy_with_logits(LABELS[:3], model(images))
    loss, _ = model.evaluate(images, LABELS[:3], verbose=0)
    assert loss == pytest.approx(float(tf.reduce_mean(expected)), rel=1e-5)
    assert type(model.optimizer).__name__.lower() == NETWORK.recipe.optimizer
    assert float(model.optimizer.learning_rate) == pytest.approx(NETWORK.recipe.learning_rate)


def test_split_shares_out_every_image_once_with_its_label(lesson):
    numbers = np.arange(1_000)
    parts = lesson.split(numbers[:, np.newaxis], numbers % 10, share=0.2)
    (kept, kept_labels), (aside, aside_labels) = parts
    assert (len(kept), len(aside)) == (800, 200)
    np.testing.assert_array_equal(np.sort(np.concatenate([kept, aside])[:, 0]), numbers)
    np.testing.assert_array_equal(kept[:, 0] % 10, kept_labels)
    np.testing.assert_array_equal(aside[:, 0] % 10, aside_labels)
    assert aside.std() > 200  # from everywhere: the last fifth alone would have 58


def test_stop_is_what_early_stopping_does(lesson):
    for _ in range(300):
        losses = RANDOM.integers(0, 12, RANDOM.integers(1, 15)) / 4  # few values, so equal ones too
        patience = int(RANDOM.integers(1, 5))
        callback = keras.callbacks.EarlyStopping(patience=patience)
        callback.set_model(SimpleNamespace(stop_training=False))
        callback.on_train_begin()
        for epoch, loss in enumerate(losses):
            callback.on_epoch_end(epoch, {"val_loss": float(loss)})
            if callback.model.stop_training:
                break
        assert lesson.stop(losses, patience) == (epoch + 1, callback.best_epoch + 1)


def test_stop_after_ends_in_the_step_that_passes_the_limit(lesson, monkeypatch):
    clock = iter([100.0, 103.0, 105.0, 105.1])
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    callback = lesson.StopAfter(5)
    callback.set_model(SimpleNamespace(stop_training=False))
    callback.on_train_begin()
    stopped = []
    for batch in range(3):
        callback.on_train_batch_end(batch)
        stopped.append(callback.model.stop_training)
    assert stopped == [False, False, True]


def small_run(lesson: SimpleNamespace, folder: Path) -> dict[str, list[float]]:
    layers = [keras.Input((6, 6, 3)), keras.layers.Flatten(), keras.layers.Dense(10)]
    model = lesson.compiled(keras.Sequential(layers))
    callbacks = [lesson.Scalars(folder)]
    fitted = model.fit(
        IMAGES, LABELS, validation_split=0.5, epochs=3, verbose=0, callbacks=callbacks
    )
    return fitted.history


def test_log_holds_the_history_as_tensorboard_reads_it(lesson, tmp_path):
    history = small_run(lesson, tmp_path)
    found: dict[str, list[float]] = {}
    for part, prefix in (("train", ""), ("validation", "val_")):
        (path,) = (tmp_path / part).iterdir()
        assert ".tfevents." in path.name
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            for value in event.summary.value:
                assert value.metadata.plugin_data.plugin_name == "scalars"
                assert value.tensor.dtype == tf.float32.as_datatype_enum
                name = prefix + value.tag.removeprefix("epoch_")
                assert event.step == len(found.setdefault(name, []))
                found[name].append(float(tf.make_ndarray(value.tensor)))
    assert found.keys() == history.keys()
    for name, values in history.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-6)


def test_recall_precision_and_top_k_are_scikit_learns(lesson):
    logits = RANDOM.normal(size=(500, 10))
    labels = RANDOM.integers(0, 10, 500)
    answers = logits.argmax(axis=1)
    answers[answers == 7] = 2  # a class that is never the answer
    confusion = np.zeros((10, 10), int)
    np.add.at(confusion, (labels, answers), 1)
    precision, recall, _, _ = precision_recall_fscore_support(labels, answers, zero_division=0)
    ours = lesson.recall_and_precision(confusion)
    np.testing.assert_allclose(ours, (recall, precision))
    for k in range(1, 10):
        expected = top_k_accuracy_score(labels, logits, k=k, labels=range(10))
        assert lesson.top_k_accuracy(logits, labels, k) == pytest.approx(expected)


def test_noted_run_is_the_recipes_to_its_end(lesson, monkeypatch):
    monkeypatch.chdir(LESSONS)
    curve, (end,) = lesson.noted("reproduce_curves"), lesson.noted("reproduce")
    epochs = [float(row["epoch"]) for row in curve]
    assert epochs == [float(epoch) for epoch in range(1, 11)]
    assert curve[-1]["step"] == end["steps"] == "5000"  # 10 epochs of 50,000 in batches of 100
    assert curve[-1]["test_accuracy"] == end["measured_accuracy"]
    assert float(end["published_accuracy"]) == NETWORK.published[0].accuracy
