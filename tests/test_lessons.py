"""What lessons write out in their cells, held against the library: taken from the notebooks."""

import ast
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nbformat
import numpy as np
import pytest
import tensorflow as tf
from scipy.signal import correlate2d

from cnncourse import layers
from cnncourse.builders import build, initial_params
from cnncourse.networks import NETWORKS

LESSONS = Path(__file__).parent.parent / "lessons"
CONSTANT = re.compile(r"[A-Z][A-Z_]+\b[\w.]* = ")


def definitions(name: str, **namespace: Any) -> SimpleNamespace:
    """Run a lesson's imports, functions, classes and what it does to its CONSTANTS, and no more."""
    notebook = nbformat.read(LESSONS / f"{name}.ipynb", as_version=4)
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    kept = ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef
    nodes = [
        node
        for node in ast.parse(code).body
        if isinstance(node, kept) or CONSTANT.match(ast.unparse(node))
    ]
    exec(compile(ast.Module(nodes, []), name, "exec"), namespace)
    return SimpleNamespace(**namespace)


@pytest.fixture(scope="module")
def lesson_05() -> SimpleNamespace:
    return definitions("05_mnist_with_tensorflow")


RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.random((4, 28, 28, 1), dtype=np.float32)
LABELS = np.array([3, 1, 4, 1])


def test_lesson_05_layers_are_the_librarys(lesson_05):
    kernel, bias = RANDOM.normal(size=(5, 5, 1, 3)).astype("f"), np.float32([1, 2, 3])
    for stride in (1, 2):
        np.testing.assert_array_equal(
            lesson_05.conv2d(IMAGES, kernel, bias, stride),
            layers.conv2d(IMAGES, kernel, bias, stride),
        )
    np.testing.assert_array_equal(lesson_05.max_pool2d(IMAGES), layers.max_pool2d(IMAGES))
    rows = lesson_05.flatten(tf.constant(IMAGES))
    np.testing.assert_array_equal(rows, layers.flatten(tf.constant(IMAGES)))
    weights = RANDOM.normal(size=(784, 3)).astype("f")
    np.testing.assert_array_equal(
        lesson_05.dense(rows, weights, bias), layers.dense(rows, weights, bias)
    )
    assert lesson_05.dropout(rows, 0.5, training=False) is rows
    ones = tf.ones([10_000])
    for dropped in (lesson_05.dropout(ones, 0.2, training=True), layers.dropout(ones, 0.2, (1, 2))):
        np.testing.assert_allclose(np.unique(dropped), [0, 1.25])
        assert np.mean(dropped == 0) == pytest.approx(0.2, abs=0.02)


def test_lesson_05_network_is_mnist_tf(lesson_05):
    params = lesson_05.new_params(seed=1)
    arrays = {name: variable.numpy() for name, variable in params.items()}
    assert {name: array.shape for name, array in arrays.items()} == NETWORKS[
        "mnist-tf"
    ].parameter_shapes
    np.testing.assert_array_equal(
        lesson_05.forward(params, IMAGES),
        build("mnist-tf", "eager", params=arrays).logits(IMAGES),
    )


def test_lesson_05_weights_start_as_the_librarys(lesson_05):
    kernel = lesson_05.weight(7 * 7 * 64, 128).numpy()
    assert np.abs(kernel).max() <= 0.2
    ours = initial_params(NETWORKS["mnist-tf"])["dense1/kernel"]
    assert kernel.std() == pytest.approx(ours.std(), rel=0.01)
    np.testing.assert_array_equal(lesson_05.bias(3, 0.1), np.float32([0.1, 0.1, 0.1]))


def test_lesson_05_loss_is_the_librarys_and_the_naive_one_is_lost(lesson_05):
    logits = RANDOM.normal(size=(4, 10)).astype("f")
    expected = layers.cross_entropy(logits, LABELS)
    np.testing.assert_array_equal(lesson_05.loss_from_logits(logits, LABELS), expected)
    np.testing.assert_allclose(lesson_05.naive_loss(logits, LABELS), expected, rtol=1e-5)
    assert not np.isfinite(lesson_05.naive_loss(logits * 200, LABELS)).all()
    assert np.isfinite(lesson_05.loss_from_logits(logits * 200, LABELS)).all()


def test_lesson_05_accuracy_counts_a_last_smaller_batch(lesson_05):
    images = tf.one_hot([0, 1, 2, 3, 4], 10).numpy()
    labels = np.array([0, 1, 2, 9, 9])
    assert lesson_05.accuracy(lambda batch: batch, images, labels, batch_size=2) == 0.6


def test_lesson_05_step_moves_downhill(lesson_05):
    import keras

    params = lesson_05.new_params(seed=0)
    step = lesson_05.new_step(params, keras.optimizers.SGD(0.001))
    # The lesson's functions call each other by name, so they share one namespace already.
    first = float(step(tf.constant(IMAGES), tf.constant(LABELS)))
    second = float(step(tf.constant(IMAGES), tf.constant(LABELS)))
    assert second < first


def test_lesson_07_models_are_mnist_keras():
    """Run the two cells that build models, and compare them with the description's build."""
    import keras

    notebook = nbformat.read(LESSONS / "07_mnist_with_keras.ipynb", as_version=4)
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    sequential = next(source for source in code if "keras.Sequential(" in source)
    functional = next(source for source in code if "keras.Model(inputs, keras" in source)
    functional = functional[: functional.index("few = ")]
    namespace: dict[str, Any] = {"keras": keras}
    exec(sequential + "\n" + functional, namespace)
    for model in (namespace["model"], namespace["functional"]):
        names = NETWORKS["mnist-keras"].parameter_shapes
        params = dict(zip(names, model.get_weights(), strict=True))
        np.testing.assert_allclose(
            model(IMAGES), build("mnist-keras", "eager", params=params).logits(IMAGES), atol=1e-6
        )


def test_lesson_01_slide_is_scipys_correlation():
    lesson = definitions("01_convolution_arithmetic")
    image, kernel = RANDOM.normal(size=(7, 6)), RANDOM.normal(size=(3, 2))
    expected = correlate2d(image, kernel, "valid")
    np.testing.assert_allclose(lesson.slide(image, kernel), expected, atol=1e-12)
    by_hand = lesson.slide(np.arange(1, 10).reshape(3, 3), -np.eye(2))
    np.testing.assert_array_equal(by_hand, [[-6, -8], [-12, -14]])


def test_lesson_02_max_pool_is_tensorflows():
    lesson = definitions("02_pooling")
    feature_map = RANDOM.normal(size=(7, 9))
    for window, stride in ((2, 2), (3, 2), (2, 1)):
        batch = tf.constant(feature_map[None, :, :, None])  # an array would be cut to float32
        expected = tf.nn.max_pool2d(batch, window, stride, "VALID")
        ours = lesson.max_pool(feature_map, window, stride)
        np.testing.assert_array_equal(ours, expected[0, :, :, 0])


def test_lesson_04_backward_steps_are_tensorflows():
    lesson = definitions("04_backpropagation_by_hand")
    image, kernel = RANDOM.normal(size=(6, 5)), RANDOM.normal(size=(3, 2))
    x, weights = RANDOM.normal(size=(4, 3)), RANDOM.normal(size=(3, 2))
    behind_map, behind_units = RANDOM.normal(size=(4, 4)), RANDOM.normal(size=(4, 2))
    tensors = [tf.constant(array) for array in (image, kernel, x, weights)]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        batch, filters = tensors[0][None, :, :, None], tensors[1][:, :, None, None]
        feature_map = tf.nn.conv2d(batch, filters, 1, "VALID")[0, :, :, 0]
        loss = tf.reduce_sum(feature_map * behind_map)
        loss += tf.reduce_sum(tensors[2] @ tensors[3] * behind_units)
    expected = tape.gradient(loss, tensors)
    ours = (
        *lesson.conv_backward(behind_map, image, kernel),
        *lesson.dense_backward(behind_units, x, weights)[:2],
    )
    for mine, theirs in zip(ours, expected, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-12)


def test_lesson_04_network_has_tensorflows_gradients():
    lesson = definitions("04_backpropagation_by_hand")
    params = lesson.new_params()
    logits, given = lesson.forward(params, IMAGES)
    slopes = lesson.backward(params, given, logits, LABELS)
    variables = {name: tf.Variable(array) for name, array in params.items()}
    with tf.GradientTape() as tape:
        values = tf.constant(IMAGES)
        for name in ("conv1", "conv2"):
            kernel, bias = variables[f"{name}/kernel"], variables[f"{name}/bias"]
            values = tf.nn.relu(layers.conv2d(values, kernel, bias, padding="VALID"))
            values = layers.max_pool2d(values)
        kernel, bias = variables["dense/kernel"], variables["dense/bias"]
        theirs = layers.dense(layers.flatten(values), kernel, bias)
        loss = tf.reduce_mean(layers.cross_entropy(theirs, LABELS))
    np.testing.assert_allclose(logits, theirs, atol=1e-5)
    for name, expected in tape.gradient(loss, variables).items():
        np.testing.assert_allclose(slopes[name], expected, atol=1e-5, rtol=1e-4)


def test_lesson_06_network_is_mnist_core():
    lesson = definitions("06_graphs_and_sessions", tf1=tf.compat.v1)
    params = initial_params(NETWORKS["mnist-core"], seed=1)
    weights = {name.split("/")[0]: array for name, array in params.items() if "kernel" in name}
    biases = {name.split("/")[0]: array for name, array in params.items() if "bias" in name}
    ours = lesson.network(tf.constant(IMAGES), weights, biases, rate=0.0)
    theirs = build("mnist-core", "numpy", params=params).logits(IMAGES)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    loss, accuracy = lesson.loss_and_accuracy(ours, tf.one_hot(LABELS, 10))
    expected = layers.cross_entropy(tf.constant(theirs), tf.constant(LABELS))
    assert float(loss) == pytest.approx(float(tf.reduce_mean(expected)), rel=1e-5)
    assert float(accuracy) == (theirs.argmax(axis=1) == LABELS).mean()


def test_lesson_06_reads_a_graph_and_the_telling_line_of_an_error():
    lesson = definitions("06_graphs_and_sessions")
    with tf.Graph().as_default() as graph:
        left = tf.compat.v1.placeholder(tf.float32, [], name="left")
        tf.multiply(left, left, name="square")
    assert lesson.plan_of(graph) == {
        "left": ("Placeholder", []),
        "square": ("Mul", ["left", "left"]),
    }
    with tf.compat.v1.Session(graph=graph) as session, pytest.raises(Exception) as caught:
        session.run("square:0")
    told = lesson.telling_line(caught.value)
    assert told == "You must feed a value for placeholder tensor 'left' with dtype float"
    assert lesson.telling_line(ValueError("first\nsecond")) == "first"


@pytest.mark.parametrize(
    ("maker", "api"),
    [
        ("step_in_numpy", "numpy"),
        ("step_in_session", "session"),
        ("step_with_tape", "eager"),
        ("step_with_keras", "keras"),
    ],
)
def test_lesson_07_steps_are_gradient_descent(maker, api):
    lesson = definitions("07_mnist_with_keras", RATE=0.05)
    built = build("mnist-tf", api, seed=1)
    start, slopes = built.params, build("mnist-tf", "eager", seed=1).gradients(IMAGES, LABELS)
    getattr(lesson, maker)(built)(IMAGES, LABELS)
    for name, array in built.params.items():
        np.testing.assert_allclose(array, start[name] - 0.05 * slopes[name], atol=1e-6)


def test_lesson_07_distance_is_the_root_of_all_squares():
    lesson = definitions("07_mnist_with_keras", shapes=("a", "b"))
    zeros = {"a": np.zeros((2, 2)), "b": np.zeros(3)}
    assert lesson.distance({"a": np.ones((2, 2)), "b": np.full(3, -2.0)}, zeros) == 4


def test_lesson_09_puts_a_digit_on_a_pad_whole():
    lesson = definitions("09_predictions_and_saving")
    for seed in range(20):
        pad = lesson.on_a_pad(IMAGES[0], np.random.default_rng(seed))
        assert pad.shape == (112, 112)
        assert pad.sum() == pytest.approx(4 * IMAGES[0].sum(), rel=1e-5)
