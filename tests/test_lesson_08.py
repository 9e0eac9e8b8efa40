"""What lesson 08 writes out in its cells, held against the library and against NumPy."""

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from test_lessons import definitions

from cnncourse.builders import build, initial_params
from cnncourse.builders.estimator import Estimator, EstimatorSpec, ModeKeys
from cnncourse.networks import NETWORKS

tf1 = tf.compat.v1
RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.random((30, 28, 28, 1), dtype=np.float32)
LABELS = RANDOM.integers(0, 10, 30)
PARAMS = {"learning_rate": 0.1}


@pytest.fixture(scope="module")
def lesson():
    # The lesson silences TensorFlow in a cell; its functions alone would log.
    tf1.logging.set_verbosity(tf1.logging.ERROR)
    return definitions("08_estimator_style", tf1=tf1)


def run(make, params=None):
    """Build nodes in a graph of their own, fill its variables, and fetch them."""
    with tf.Graph().as_default(), tf1.Session() as session:
        tf1.set_random_seed(0)
        tf1.train.create_global_step()
        nodes = make()
        session.run([tf1.global_variables_initializer(), tf1.local_variables_initializer()])
        for variable in tf1.global_variables():
            if params and variable.op.name in params:
                variable.load(params[variable.op.name], session)
        return session.run(nodes)


def test_the_network_is_mnist_estimator(lesson):
    params = initial_params(NETWORKS["mnist-estimator"], seed=2)
    for images in (IMAGES, IMAGES.reshape(30, 784)):
        logits = run(lambda images=images: lesson.network(tf.constant(images), False), params)
        expected = build("mnist-estimator", "eager", params=params).logits(IMAGES)
        np.testing.assert_allclose(logits, expected, atol=1e-5)


def test_dropout_is_on_while_training_only(lesson):
    def twice(training):
        with tf1.variable_scope("", reuse=tf1.AUTO_REUSE):
            return [lesson.network(tf.constant(IMAGES), training) for _ in range(2)]

    np.testing.assert_array_equal(*run(lambda: twice(False)))
    first, second = run(lambda: twice(True))
    assert (first != second).any()


def test_layers_take_their_arguments(lesson):
    inputs = np.ones((2, 8, 8, 3), "f")
    conv = run(lambda: lesson.conv_layer(tf.constant(inputs), "conv", 4, kernel_size=3))
    assert conv.shape == (2, 8, 8, 4)
    assert conv.min() >= 0
    pooled = run(lambda: lesson.pool_layer(tf.constant(inputs), pool_size=3, strides=4))
    assert pooled.shape == (2, 2, 2, 3)


def test_loss_and_predictions_are_numpys(lesson):
    logits = RANDOM.normal(size=(30, 10)).astype("f")
    loss, predictions = run(
        lambda: (
            lesson.loss_of(tf.constant(logits), tf.constant(LABELS)),
            lesson.predictions_of(tf.constant(logits)),
        )
    )
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert loss == pytest.approx(-np.log(probabilities[np.arange(30), LABELS]).mean(), rel=1e-5)
    np.testing.assert_allclose(predictions["probabilities"], probabilities, rtol=1e-5)
    np.testing.assert_array_equal(predictions["classes"], logits.argmax(axis=1))


def test_each_mode_gives_what_it_needs_and_no_more(lesson):
    def fields(mode, labels):
        with tf.Graph().as_default():
            tf1.train.create_global_step()
            spec = lesson.model_fn(tf.constant(IMAGES), labels and LABELS, mode, PARAMS)
        assert isinstance(spec, EstimatorSpec)
        names = ("predictions", "loss", "train_op", "eval_metric_ops")
        return [name for name in names if getattr(spec, name) is not None]

    assert fields(ModeKeys.TRAIN, True) == ["predictions", "loss", "train_op"]
    assert fields(ModeKeys.EVAL, True) == ["predictions", "loss", "eval_metric_ops"]
    assert fields(ModeKeys.PREDICT, None) == ["predictions"]


def test_parts_are_found_in_the_graphs(lesson):
    both = {"features", "network", "predictions"}
    expected = {
        ModeKeys.TRAIN: both | {"labels", "dropout", "loss", "step"},
        ModeKeys.EVAL: both | {"labels", "loss", "metric"},
        ModeKeys.PREDICT: both,
    }
    for mode, parts in expected.items():
        assert {part for part, there in lesson.parts_in(mode).items() if there} == parts


def test_batches_show_every_image_once_an_epoch(lesson):
    numbers = np.arange(7)
    batches = list(lesson.make_batches(numbers, -numbers, 3, epochs=2, shuffle=True))
    assert [len(images) for images, _ in batches] == [3, 3, 1] * 2
    for half in (batches[:3], batches[3:]):
        images, labels = (np.concatenate(part) for part in zip(*half, strict=True))
        assert sorted(images) == list(numbers)
        np.testing.assert_array_equal(images, -labels)
    plain = next(lesson.make_batches(numbers, numbers, 3, epochs=1, shuffle=False))
    np.testing.assert_array_equal(plain[0], [0, 1, 2])


def test_the_lessons_loop_is_the_librarys(lesson, tmp_path):
    """Same seed, same batches: the same variables to the bit, the same figures."""
    input_fn = lesson.make_input_fn(IMAGES, LABELS, batch_size=8, epochs=3, shuffle=True)
    for steps in (3, 2):
        lesson.train(lesson.model_fn, input_fn, str(tmp_path), steps, PARAMS)
    estimator = Estimator(lesson.model_fn, params=PARAMS)
    for steps in (3, 2):
        estimator.train(input_fn, steps=steps)
    theirs = tf.train.load_checkpoint(str(tmp_path))
    for name in estimator.variable_names():
        np.testing.assert_array_equal(theirs.get_tensor(name), estimator.variable_value(name))

    ordered = lesson.make_input_fn(IMAGES, LABELS, batch_size=8)
    result = lesson.evaluate(lesson.model_fn, ordered, str(tmp_path))
    expected = estimator.evaluate(ordered)
    assert result == {name: expected[name] for name in ("global_step", "accuracy")}
    answers = lesson.predict(lesson.model_fn, ordered, str(tmp_path))
    rows = list(estimator.predict(ordered))
    assert set(answers) == set(rows[0])
    for name, array in answers.items():
        np.testing.assert_array_equal(array, [row[name] for row in rows])


def test_the_lessons_loop_evaluates_random_numbers_without_a_checkpoint(lesson, tmp_path):
    ordered = lesson.make_input_fn(IMAGES, LABELS)
    assert lesson.evaluate(lesson.model_fn, ordered, str(tmp_path))["global_step"] == 0


def test_the_forgetful_function_answers_differently_each_time(lesson):
    train_input = lesson.make_input_fn(IMAGES, LABELS, batch_size=10, epochs=1)
    estimator = Estimator(lesson.model_fn, params=PARAMS).train(train_input, steps=1)
    copies = lesson.make_input_fn(np.repeat(IMAGES[:1], 5, axis=0), LABELS[:5])
    still, moving = (
        np.array([row["probabilities"] for row in each.predict(copies)])
        for each in (estimator, Estimator(lesson.forgetful_model_fn, estimator.model_dir))
    )
    np.testing.assert_allclose(still, np.repeat(still[:1], 5, axis=0), rtol=1e-5)
    assert (np.ptp(moving, axis=0) > 1e-4).all()


def test_the_still_function_moves_along_the_gradient_without_dropout(lesson):
    input_fn = lesson.make_input_fn(IMAGES, LABELS, batch_size=30)
    estimator = Estimator(lesson.still_model_fn, params=PARAMS).train(input_fn, steps=1)
    start = estimator.params(estimator.checkpoints()[0])
    gradients = build("mnist-estimator", "eager", params=start).gradients(IMAGES, LABELS)
    for name, array in estimator.params().items():
        np.testing.assert_allclose(array, start[name] - 0.1 * gradients[name], atol=1e-6)


def test_training_input_keeps_the_last_images_for_validation(lesson):
    numbers = np.arange(60_000)
    data = SimpleNamespace(x_train=numbers, y_train=numbers % 10)
    lesson.training_input.__globals__["mnist"] = data
    seen = []
    for seed in (0, 0, 1):
        with tf.Graph().as_default():
            tensors = lesson.training_input(seed)()
            with tf1.train.MonitoredSession() as session:
                seen.append(np.concatenate([session.run(tensors)[0] for _ in range(550)]))
    assert sorted(seen[0]) == list(range(55_000))
    np.testing.assert_array_equal(seen[0], seen[1])
    assert (seen[0] != seen[2]).any()


def test_the_hasty_function_cannot_predict(lesson):
    input_fn = lesson.make_input_fn(IMAGES, LABELS)
    estimator = Estimator(lesson.hasty_model_fn).train(input_fn, steps=1)
    with pytest.raises(ValueError, match="None values not supported"):
        next(estimator.predict(input_fn))
