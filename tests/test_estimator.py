"""The Estimator: it learns, resumes and keeps checkpoints; its numbers against NumPy's."""

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from cnncourse.builders import build, initial_params
from cnncourse.builders.estimator import (
    Estimator,
    EstimatorSpec,
    ModeKeys,
    model_fn_for,
    numpy_input_fn,
)
from cnncourse.networks import NETWORKS, Conv, Dense, Dropout, Flatten, MaxPool, Recipe

tf1 = tf.compat.v1
TRAIN, EVAL, PREDICT = ModeKeys.TRAIN, ModeKeys.EVAL, ModeKeys.PREDICT

SMALL = replace(
    NETWORKS["mnist-estimator"],
    name="small",
    layers=(Conv(4, 5), MaxPool(4, 4), Flatten(), Dropout(0.4), Dense(10, None)),
    recipe=Recipe("adam", 1e-2, 20, steps=60),
)


def stripes(images: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images whose class is the place of a bright stripe."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 10, images)
    pixels = random.integers(0, 100, (images, 28, 28, 1)).astype(np.uint8)
    for image, label in zip(pixels, labels, strict=True):
        image[2 + 2 * label : 4 + 2 * label] = 255
    return pixels, labels


X, Y = stripes(330, seed=0)
TEST_X, TEST_Y = stripes(110, seed=1)  # three batches of 50: the last holds 10
ENDLESS = numpy_input_fn(X, Y, batch_size=20, num_epochs=None, shuffle=True, seed=0)
TEST = numpy_input_fn(TEST_X, TEST_Y, batch_size=50, shuffle=False)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Estimator:
    estimator = Estimator(
        model_fn_for(SMALL),
        tmp_path_factory.mktemp("models") / "stripes",
        save_checkpoints_steps=20,
        keep_checkpoint_max=None,
    )
    return estimator.train(ENDLESS, steps=60)


def numpy_results(params: dict[str, np.ndarray]) -> tuple[np.ndarray, float, float]:
    """Probabilities, mean loss and accuracy on the test images, by the NumPy build."""
    logits = build(SMALL, "numpy", params=params).logits(TEST_X).astype(np.float64)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    chosen = probabilities[np.arange(len(TEST_Y)), TEST_Y]
    return probabilities, -np.log(chosen).mean(), (logits.argmax(axis=1) == TEST_Y).mean()


def line(features, labels, mode, params=None):
    """y = slope * x from 0, by momentum: a model small enough to follow by hand."""
    slope = tf1.get_variable("line/kernel", [], initializer=tf1.zeros_initializer())
    if mode == PREDICT:
        return EstimatorSpec(mode, {"y": slope * features})
    loss = tf.reduce_mean((slope * features - labels) ** 2)
    optimizer = tf1.train.MomentumOptimizer((params or {}).get("rate", 0.05), 0.9)
    train_op = optimizer.minimize(loss, tf1.train.get_global_step())
    metrics = {"mean_y": tf1.metrics.mean(labels)}
    return EstimatorSpec(mode, None, loss, train_op, metrics)


NUMBERS = np.float32([1, 2, 3, 4])
LINE = numpy_input_fn(NUMBERS, 2 * NUMBERS, batch_size=4, num_epochs=None, shuffle=False)


def slope_by_hand(steps: int, rate: float = 0.05) -> float:
    slope = momentum = 0.0
    for _ in range(steps):
        gradient = 2 * np.mean((slope * NUMBERS - 2 * NUMBERS) * NUMBERS)
        momentum = 0.9 * momentum + gradient
        slope -= rate * momentum
    return slope


# Training, stopping, resuming


def test_it_learns_and_eager_mode_stays_on(trained):
    first = trained.evaluate(TEST, checkpoint_path=trained.checkpoints()[0])
    last = trained.evaluate(TEST)
    assert (first["global_step"], last["global_step"]) == (0, 60)
    assert last["accuracy"] > 0.9 > 0.5 > first["accuracy"]
    assert last["loss"] < 0.5 * first["loss"]
    assert tf.executing_eagerly()
    assert float(tf.Variable(1.0) + 1) == 2


def test_it_starts_as_every_other_build_does(trained):
    start = trained.params(trained.checkpoints()[0])
    expected = initial_params(SMALL, seed=0)
    assert set(start) == set(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(start[name], array)


def test_given_params_are_the_start():
    params = initial_params(SMALL, seed=7)
    estimator = Estimator(model_fn_for(SMALL, params=params)).train(ENDLESS, steps=1)
    start = estimator.params(estimator.checkpoints()[0])
    np.testing.assert_array_equal(start["conv1/kernel"], params["conv1/kernel"])


@pytest.mark.parametrize("legs", [[12], [5, 7], [4, 4, 4]])
def test_variables_momentum_and_global_step_resume(legs):
    """Each batch is alike here, so that only what resumes could make a difference."""
    estimator = Estimator(line)
    for steps in legs:
        estimator.train(LINE, steps=steps)
    assert estimator.variable_value("line/kernel") == pytest.approx(slope_by_hand(12), rel=1e-5)
    assert estimator.variable_value("global_step") == 12


def test_a_new_object_resumes_and_max_steps_counts_from_the_beginning(tmp_path):
    Estimator(line, tmp_path).train(LINE, steps=5)
    later = Estimator(line, tmp_path).train(LINE, max_steps=12)
    assert later.variable_value("line/kernel") == pytest.approx(slope_by_hand(12), rel=1e-5)
    calls = []
    later.train(lambda: calls.append("input_fn"), max_steps=12)
    assert calls == []


def test_the_input_begins_anew_and_so_does_dropout():
    """With a fixed order and seed, the second leg sees the first leg's batches and masks."""

    def seen(features, labels, mode):
        mask = tf.nn.dropout(tf.ones([8]), rate=0.5)
        train_op = tf1.assign_add(tf1.train.get_global_step(), 1)
        log = tf.numpy_function(lambda *arrays: legs[-1].append(arrays), [features, mask], [])
        with tf.control_dependencies([log]):
            return EstimatorSpec(mode, loss=tf.reduce_sum(mask), train_op=tf.group(train_op, log))

    legs: list[list] = []
    estimator = Estimator(seen)
    shuffled = numpy_input_fn(np.arange(20), np.arange(20), batch_size=4, shuffle=True, seed=3)
    for _ in range(2):
        legs.append([])
        estimator.train(shuffled, steps=3)
    assert len(legs[0]) == 3
    assert (legs[0][0][1] != legs[0][1][1]).any()
    for first, second in zip(*legs, strict=True):
        np.testing.assert_array_equal(first[0], second[0])
        np.testing.assert_array_equal(first[1], second[1])


def test_training_ends_with_its_input():
    three = numpy_input_fn(NUMBERS, NUMBERS, batch_size=2, num_epochs=2, shuffle=False)
    assert Estimator(line).train(three).variable_value("global_step") == 4


def test_the_same_seed_trains_to_the_same_bytes(trained):
    again = Estimator(model_fn_for(SMALL)).train(ENDLESS, steps=60)
    other = Estimator(model_fn_for(SMALL), seed=1).train(ENDLESS, steps=60)  # other dropout
    kernel = trained.variable_value("dense1/kernel")
    np.testing.assert_array_equal(again.variable_value("dense1/kernel"), kernel)
    assert (other.variable_value("dense1/kernel") != kernel).any()


def test_params_reach_a_model_function_that_asks_for_them():
    estimator = Estimator(line, params={"rate": 0.01}).train(LINE, steps=3)
    expected = slope_by_hand(3, rate=0.01)
    assert estimator.variable_value("line/kernel") == pytest.approx(expected, rel=1e-5)


class Recorder(tf1.train.SessionRunHook):
    def __init__(self):
        self.calls = []

    def begin(self):
        self.calls.append("begin")

    def after_run(self, run_context, run_values):
        self.calls.append("run")

    def end(self, session):
        self.calls.append("end")


def test_hooks_are_called_for_each_step_and_no_other():
    recorder = Recorder()
    estimator = Estimator(line).train(LINE, steps=3, hooks=[recorder])
    assert recorder.calls == ["begin", "run", "run", "run", "end"]
    recorder = Recorder()
    estimator.evaluate(LINE, steps=2, hooks=[recorder])
    assert recorder.calls == ["begin", "run", "run", "end"]


def test_a_hook_can_stop_training():
    class StopAtOnce(tf1.train.SessionRunHook):
        def after_run(self, run_context, run_values):
            run_context.request_stop()

    estimator = Estimator(line).train(LINE, steps=10, hooks=[StopAtOnce()])
    assert estimator.variable_value("global_step") == 1


def test_an_exception_ends_training_without_saving():
    class PowerFailure(Recorder):
        def after_run(self, run_context, run_values):
            super().after_run(run_context, run_values)
            if len(self.calls) == 8:  # "begin", then seven steps
                raise RuntimeError("power failure")

    estimator = Estimator(line, save_checkpoints_steps=5)
    with pytest.raises(RuntimeError, match="power failure"):
        estimator.train(LINE, max_steps=20, hooks=[PowerFailure()])
    assert steps_of(estimator) == [0, 5]
    estimator.train(LINE, max_steps=12)
    assert estimator.variable_value("line/kernel") == pytest.approx(slope_by_hand(12), rel=1e-5)


# Evaluating and predicting


def test_metrics_and_mean_loss_are_numpys(trained):
    """The last batch holds 10 of 110 images; a mean over batches would weigh it like the others."""
    result = trained.evaluate(TEST)
    _, loss, accuracy = numpy_results(trained.params())
    assert result["loss"] == pytest.approx(loss, rel=1e-5)
    assert result["accuracy"] == pytest.approx(accuracy, rel=1e-6)
    assert list(result) == ["loss", "global_step", "accuracy"]
    batches = [
        build(SMALL, "numpy", params=trained.params()).logits(TEST_X[start : start + 50])
        for start in (0, 50, 100)
    ]
    means = [
        np.mean(np.log(np.exp(b).sum(1)) - b[np.arange(len(b)), TEST_Y[50 * i :][: len(b)]])
        for i, b in enumerate(batches)
    ]
    assert np.mean(means) != pytest.approx(loss, rel=1e-3)


def test_steps_limit_an_evaluation():
    estimator = Estimator(line).train(LINE, steps=1)
    numbers = numpy_input_fn(NUMBERS, NUMBERS, batch_size=1, shuffle=False)
    assert estimator.evaluate(numbers, steps=3)["mean_y"] == 2
    assert estimator.evaluate(numbers)["mean_y"] == 2.5


def test_predictions_are_the_eager_builds_softmax(trained):
    rows = list(trained.predict(TEST))
    logits = build(SMALL, "eager", params=trained.params()).logits(TEST_X)
    probabilities = np.array([row["probabilities"] for row in rows])
    np.testing.assert_allclose(probabilities, tf.nn.softmax(logits), atol=1e-5)
    np.testing.assert_array_equal([row["classes"] for row in rows], logits.argmax(axis=1))
    assert list(next(trained.predict(TEST, predict_keys=["classes"]))) == ["classes"]


def test_an_older_checkpoint_gives_its_own_numbers(trained):
    older = trained.checkpoints()[1]
    result = trained.evaluate(TEST, checkpoint_path=older)
    probabilities, loss, accuracy = numpy_results(trained.params(older))
    assert result["global_step"] == 20
    assert result["loss"] == pytest.approx(loss, rel=1e-5)
    assert result["accuracy"] == pytest.approx(accuracy, rel=1e-6)
    assert result["loss"] != pytest.approx(trained.evaluate(TEST)["loss"], rel=0.01)
    row = next(trained.predict(TEST, checkpoint_path=older))
    np.testing.assert_allclose(row["probabilities"], probabilities[0], atol=1e-5)


def test_predicting_leaves_the_callers_graph_alone_and_closes_its_session(trained, monkeypatch):
    closed = []
    close = tf1.train.MonitoredSession.close
    monkeypatch.setattr(
        tf1.train.MonitoredSession, "close", lambda self: (closed.append(self), close(self))
    )
    rows = trained.predict(TEST)
    next(rows)
    assert tf.executing_eagerly()
    assert closed == []
    rows.close()
    assert len(closed) == 1
    assert len(list(trained.predict(TEST))) == 110
    assert len(closed) == 2


# Checkpoints


def steps_of(estimator: Estimator) -> list[int]:
    return [int(path.rpartition("-")[2]) for path in estimator.checkpoints()]


def test_checkpoints_are_kept_and_the_oldest_go():
    estimator = Estimator(line, save_checkpoints_steps=10, keep_checkpoint_max=3)
    assert estimator.latest_checkpoint() is None
    assert steps_of(estimator.train(LINE, steps=25)) == [10, 20, 25]
    assert steps_of(estimator.train(LINE, steps=10)) == [20, 25, 35]
    assert estimator.latest_checkpoint() == estimator.checkpoints()[-1]
    assert estimator.variable_names() == ["global_step", "line/kernel", "line/kernel/Momentum"]
    assert list(estimator.params()) == ["line/kernel"]


def test_a_directory_that_moved_and_lost_its_newest_checkpoint_still_resumes(tmp_path):
    Estimator(line, tmp_path / "here").train(LINE, steps=5)
    shutil.move(tmp_path / "here", tmp_path / "there")
    moved = Estimator(line, tmp_path / "there").train(LINE, steps=2)
    assert steps_of(moved) == [0, 5, 7]
    for path in (tmp_path / "there").glob("model.ckpt-7.*"):
        path.unlink()
    moved.train(LINE, steps=1)
    assert moved.variable_value("line/kernel") == pytest.approx(slope_by_hand(6), rel=1e-5)


def test_a_temporary_model_dir_goes_with_its_estimator():
    estimator = Estimator(line).train(LINE, steps=1)
    where = estimator.model_dir
    assert where.exists()
    del estimator
    assert not where.exists()


def test_neither_images_nor_starting_weights_are_in_the_graph():
    """The network's arrays take 13 MB, the images 259 KB."""
    estimator = Estimator(model_fn_for("mnist-estimator")).train(ENDLESS, steps=1)
    sizes = [path.stat().st_size for path in estimator.model_dir.glob("*.meta")]
    assert len(sizes) == 2
    assert max(sizes) < 200_000 < X.nbytes


# Input functions


def batches_of(input_fn, runs: int) -> list:
    with tf.Graph().as_default():
        tensors = input_fn()
        with tf1.train.MonitoredSession() as session:
            return [session.run(tensors) for _ in range(runs)]


def test_numpy_input_fn_gives_every_row_once_an_epoch():
    input_fn = numpy_input_fn(
        np.arange(10), -np.arange(10), batch_size=4, num_epochs=2, shuffle=True, seed=1
    )
    batches = batches_of(input_fn, 6)
    assert [len(features) for features, _ in batches] == [4, 4, 2, 4, 4, 2]
    first, second = (np.concatenate([x for x, _ in batches[i : i + 3]]) for i in (0, 3))
    assert sorted(first) == sorted(second) == list(range(10))
    assert list(first) != list(second)
    assert list(first) != list(range(10))
    for features, labels in batches:
        np.testing.assert_array_equal(features, -labels)
    np.testing.assert_array_equal(batches_of(input_fn, 1)[0][0], batches[0][0])


def test_numpy_input_fn_without_labels_or_with_named_features():
    (features,) = batches_of(numpy_input_fn(np.arange(3), shuffle=False), 1)
    np.testing.assert_array_equal(features, [0, 1, 2])
    named = numpy_input_fn({"x": np.arange(3)}, np.ones(3), shuffle=False)
    ((features, labels),) = batches_of(named, 1)
    np.testing.assert_array_equal(features["x"], [0, 1, 2])
    np.testing.assert_array_equal(labels, [1, 1, 1])


def test_an_input_function_may_give_a_dataset(trained):
    def dataset():
        return tf.data.Dataset.range(1).map(lambda _: (TEST_X, TEST_Y))

    assert trained.evaluate(dataset)["loss"] == pytest.approx(trained.evaluate(TEST)["loss"])


# What goes wrong


def spec_of(**arguments):
    """Make a model function that gives this EstimatorSpec, its loss a mean of the features."""

    def model_fn(features, labels, mode):
        weight = tf1.get_variable("weight", [])
        loss = weight * tf.reduce_mean(tf.cast(features, tf.float32))
        step = tf1.assign_add(tf1.train.get_global_step(), 1)
        given = {"mode": mode, "loss": loss, "train_op": step, "predictions": {"x": features}}
        return EstimatorSpec(**(given | arguments))

    return model_fn


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"train_op": None}, "train_op is None; mode 'train' needs it"),
        ({"loss": None}, "loss is None; mode 'train' needs it"),
        ({"loss": tf.zeros([3])}, r"loss has shape \(3,\); give its mean"),
        ({"predictions": 3}, "predictions is 3; give a dict"),
        ({"mode": "test"}, "mode is 'test'; hand on the mode"),
        ({"mode": EVAL}, "give EstimatorSpec.* for 'train'"),
        ({"eval_metric_ops": {"loss": ()}}, "eval_metric_ops has {'loss'}"),
    ],
)
def test_specs_that_lack_something(arguments, message):
    with pytest.raises(ValueError, match=message):
        Estimator(spec_of(**arguments)).train(LINE, steps=1)


def test_a_spec_needs_what_its_mode_needs():
    with pytest.raises(ValueError, match="loss is None; mode 'eval'"):
        EstimatorSpec(EVAL, {"x": 1})
    with pytest.raises(ValueError, match="predictions is None; mode 'infer'"):
        EstimatorSpec(PREDICT, loss=tf.constant(1.0))
    with pytest.raises(ValueError, match="model_fn gave None"):
        Estimator(lambda features, labels, mode: None).train(LINE, steps=1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"steps": 1, "max_steps": 1}, "steps is 1 and max_steps is 1; give one"),
        ({"steps": 0}, "steps is 0; give at least 1"),
        ({"max_steps": -1}, "max_steps is -1"),
        ({"input_fn": NUMBERS}, "input_fn is array.*; give a function"),
        ({"input_fn": lambda: (NUMBERS, NUMBERS)}, "input_fn gave ndarray; for arrays: numpy_inp"),
        ({"input_fn": lambda: tf.zeros([3])}, "input_fn gave no labels; mode 'train' needs"),
        ({"input_fn": lambda: DATASET}, "dataset that was made outside"),
        ({"input_fn": lambda: DATASET_OF_NONE()}, "input_fn gave no batch"),
    ],
)
def test_training_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        Estimator(line).train(**({"input_fn": LINE} | arguments))


DATASET = tf.data.Dataset.from_tensors((NUMBERS, NUMBERS))


def DATASET_OF_NONE():
    return tf.data.Dataset.from_tensors((NUMBERS, NUMBERS)).take(0)


def test_a_train_op_that_forgets_the_global_step_is_stopped_at_once():
    def model_fn(features, labels, mode):
        slope = tf1.get_variable("slope", [])
        loss = tf.reduce_mean(slope * features)
        train_op = tf1.train.GradientDescentOptimizer(0.1).minimize(loss)
        return EstimatorSpec(mode, loss=loss, train_op=train_op)

    with pytest.raises(ValueError, match="train_op does not raise the global step"):
        Estimator(model_fn).train(LINE, steps=3)


def test_a_loss_that_is_lost_stops_training():
    with pytest.raises(ArithmeticError, match="loss became NaN: is the learning rate too high"):
        Estimator(line, params={"rate": 1e20}).train(LINE, steps=50)


def test_reading_needs_a_checkpoint_first(tmp_path):
    estimator = Estimator(line, tmp_path / "line")
    for read in (
        lambda: estimator.evaluate(LINE),
        lambda: next(estimator.predict(LINE)),
        estimator.params,
        estimator.variable_names,
    ):
        with pytest.raises(ValueError, match="model_dir 'line' has no checkpoint; train first"):
            read()


def test_requests_for_what_is_not_there(trained):
    with pytest.raises(ValueError, match=r"checkpoint_path is 'x'; there are model.ckpt-0, "):
        trained.evaluate(TEST, checkpoint_path="x")
    with pytest.raises(ValueError, match=r"predict_keys has {'logits'}; model_fn gives"):
        next(trained.predict(TEST, predict_keys=["logits"]))
    with pytest.raises(ValueError, match=r"name is 'conv9/bias'; the checkpoint has \['beta1"):
        trained.variable_value("conv9/bias")
    with pytest.raises(ValueError, match="input_fn gave no images"):
        trained.evaluate(lambda: tf.data.Dataset.from_tensors((TEST_X, TEST_Y)).take(0))
    unlabelled = numpy_input_fn(TEST_X, shuffle=False)
    with pytest.raises(ValueError, match="input_fn gave no labels; mode 'eval' needs"):
        trained.evaluate(unlabelled)
    assert len(list(trained.predict(unlabelled))) == 110


def test_predictions_need_their_batch_axis():
    def model_fn(features, labels, mode):
        return spec_of(predictions={"mean": tf.reduce_mean(features)})(features, labels, mode)

    estimator = Estimator(model_fn).train(LINE, steps=1)
    with pytest.raises(ValueError, match=r"predictions\['mean'\] has shape \(\) for 4 images"):
        next(estimator.predict(LINE))


def test_a_network_that_changed_since_its_checkpoint_is_named(trained):
    wider = replace(SMALL, layers=(*SMALL.layers[:-1], Dense(5), Dense(10, None)))
    changed = Estimator(model_fn_for(wider), trained.model_dir)
    for use in (changed.evaluate, lambda input_fn: changed.train(input_fn, steps=1)):
        with pytest.raises(ValueError, match=r"makes dense1/kernel of shape \(196, 5\); .*-60 has"):
            use(TEST)
    with pytest.raises(ValueError, match=r"makes line/kernel of shape \(\).* not at all: the netw"):
        next(Estimator(line, trained.model_dir).predict(LINE))


def test_a_directory_of_something_else_is_refused(tmp_path):
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "lesson06"\n')
    with pytest.raises(ValueError, match=r"has a file 'checkpoint', but no model\.ckpt"):
        Estimator(line, tmp_path).train(LINE, steps=1)
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="a file; give a directory"):
        Estimator(line, tmp_path / "file")


@pytest.mark.parametrize("ending", ["index", "data-00000-of-00001"])
def test_a_damaged_checkpoint_is_named_and_deleting_it_helps(tmp_path, ending):
    estimator = Estimator(line, tmp_path).train(LINE, steps=5).train(LINE, steps=1)
    damaged = Path(f"{estimator.latest_checkpoint()}.{ending}")
    damaged.write_bytes(damaged.read_bytes()[:7])
    for use in (estimator.evaluate, lambda input_fn: estimator.train(input_fn, steps=1)):
        with pytest.raises(
            ValueError, match=r"checkpoint model\.ckpt-6 is damaged; delete its fil"
        ):
            use(LINE)
    for path in tmp_path.glob("model.ckpt-6.*"):
        path.unlink()
    assert estimator.evaluate(LINE, steps=1)["global_step"] == 5


def test_wrong_arguments_say_what_is_wrong():
    with pytest.raises(ValueError, match="params is given, but model_fn has no argument"):
        Estimator(spec_of(), params={})
    for name in ("save_checkpoints_steps", "keep_checkpoint_max"):
        with pytest.raises(ValueError, match=f"{name} is 0; give at least 1"):
            Estimator(line, **{name: 0})
    for name in ("batch_size", "num_epochs"):
        with pytest.raises(ValueError, match=f"{name} is 0; give at least 1"):
            numpy_input_fn(X, Y, shuffle=False, **{name: 0})
    with pytest.raises(ValueError, match=r"have \[330, 110\] rows; give one label for each"):
        numpy_input_fn(X, TEST_Y, shuffle=False)
    with pytest.raises(ValueError, match=r"have \[0\] rows"):
        numpy_input_fn(X[:0], shuffle=False)
    with pytest.raises(ValueError, match="network is 'lenet'"):
        model_fn_for("lenet")


# Silence

NOISY = """
import cnncourse, sys
{prompt}
from cnncourse.builders.estimator import Estimator, numpy_input_fn
import tensorflow as tf
sys.path.insert(0, {tests!r})
from test_estimator import LINE, NUMBERS, line
tf1 = tf.compat.v1
hook = tf1.train.LoggingTensorHook([tf1.GraphKeys.GLOBAL_STEP + ":0"], every_n_iter=2,
                                   formatter=lambda values: "a hook speaks")
estimator = Estimator(line, save_checkpoints_steps=1, keep_checkpoint_max=1)
estimator.train(LINE, steps=3, hooks=[hook]).train(LINE, steps=1)
once = numpy_input_fn(NUMBERS, NUMBERS, shuffle=False)
estimator.evaluate(once), list(estimator.predict(once))
"""


@pytest.mark.parametrize(
    ("prompt", "expected"), [("", ""), ("sys.ps1 = '> '", "INFO:tensorflow:a hook speaks\n" * 2)]
)
def test_only_hooks_are_heard(prompt, expected):
    """In a notebook TensorFlow logs to stdout from INFO on, in a script warnings to stderr."""
    code = NOISY.format(prompt=prompt, tests=str(Path(__file__).parent))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == (expected, "")
