"""Problem set 6's checks: right answers pass, and the usual mistakes are named."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import tensorflow as tf

from cnncourse import checks as check
from cnncourse.builders.estimator import EstimatorSpec, ModeKeys
from cnncourse.checks.core import CheckFailed

tf1 = tf.compat.v1


def complaint(checked: Callable, answer: object) -> str:
    with pytest.raises(CheckFailed) as failed:
        checked(answer)
    return str(failed.value)


# new_plan


def plan(
    mean_of=lambda images: tf.reduce_mean(images, axis=[1, 2]),
    shape=(None, None, None),
    gain=lambda: tf1.placeholder_with_default(1.0, [], name="gain"),
    again=False,
    scale=tf.multiply,
):
    def new_plan():
        graph = tf.Graph()
        with graph.as_default():
            images = tf1.placeholder(tf.float32, shape, name="images")
            factor = gain()
            with tf.name_scope("inner"):
                means = [mean_of(images), mean_of(images)]
            mean = tf.identity(means[0], name="mean")
            used = means[1] if again else mean
            centred = tf.subtract(images, tf.reshape(used, [-1, 1, 1]), name="centred")
            tf.identity(scale(centred, factor), name="result")
        return graph

    return new_plan


def subtracts_without_axes():
    graph = tf.Graph()
    with graph.as_default():
        images = tf1.placeholder(tf.float32, [None, None, None], name="images")
        factor = tf1.placeholder_with_default(1.0, [], name="gain")
        mean = tf.reduce_mean(images, axis=[1, 2], name="mean")
        tf.multiply(tf.subtract(images, mean, name="centred"), factor, name="result")
    return graph


def outside_of_any_graph():
    tf1.placeholder(tf.float32, [None], name="images")


def test_new_plan_takes_a_right_one():
    check.new_plan(plan())
    check.new_plan(plan(), seed=1)


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        (plan(again=True), "A fed mean changes nothing"),
        (plan(scale=lambda centred, factor: centred), "The gain does not reach"),
        (plan(mean_of=tf.reduce_mean), "one mean for the whole batch"),
        (plan(mean_of=lambda x: tf.reduce_mean(x, axis=1)), "The mean is taken of each column"),
        (plan(shape=(1, 2, 2)), "Cannot feed value of shape (2, 2, 3)"),
        (
            plan(gain=lambda: tf1.placeholder(tf.float32, [], name="gain")),
            "You must feed a value for placeholder tensor 'gain'",
        ),
        (plan(gain=lambda: tf.constant(1.0)), 'Give the operation name="gain"'),
        (plan(gain=lambda: tf.constant(1.0, name="GAIN")), "letters large or small"),
        (subtracts_without_axes, "give it two axes of size 1"),
        (plan(mean_of=lambda x: np.mean(x, axis=(1, 2))), "use tf.… in place of np.…"),
        (tf.Graph, "no node is named 'mean'"),
        (outside_of_any_graph, "not compatible with eager execution"),
        (lambda: None, "it has to return the tf.Graph"),
    ],
)
def test_new_plan_names_the_mistake(wrong, hint):
    assert hint in complaint(check.new_plan, wrong)


# found_by_class


def metric(
    divide=tf.math.divide_no_nan,
    add=tf1.assign_add,
    collections=(tf1.GraphKeys.LOCAL_VARIABLES,),
    of=lambda labels, predicted: labels,
    per_batch=False,
    value_adds=False,
    equal=tf.equal,
):
    def found_by_class(labels, predicted, classes):
        def counter(name):
            zeros = tf1.zeros_initializer()
            return tf1.get_variable(
                name, [classes], initializer=zeros, trainable=False, collections=list(collections)
            )

        found, seen = counter("found"), counter("seen")
        hit = (
            tf.one_hot(labels, classes)
            * tf.cast(
                tf.fill(tf.shape(labels), value)
                if isinstance(value := equal(labels, predicted), bool)
                else value,
                tf.float32,
            )[:, None]
        )
        hits = tf.reduce_sum(hit, axis=0)
        cases = tf.reduce_sum(tf.one_hot(of(labels, predicted), classes), axis=0)
        if per_batch:
            hits, cases = divide(hits, cases), tf.ones([classes])
        update = tf.group(add(found, hits), add(seen, cases))
        if value_adds:
            with tf.control_dependencies([update]):
                return divide(found, seen), update
        return divide(found, seen), update

    return found_by_class


def test_found_by_class_takes_right_answers():
    def by_bincount(labels, predicted, classes):
        counts = tf1.get_local_variable(
            "counts", [2, classes], tf.int32, initializer=tf1.zeros_initializer()
        )
        kinds = (tf.boolean_mask(labels, tf.equal(labels, predicted)), labels)
        new = tf.stack(
            [tf.math.bincount(tf.cast(kind, tf.int32), None, classes, classes) for kind in kinds]
        )
        update = tf1.assign_add(counts, new)
        return counts[0] / tf.maximum(counts[1], 1), update

    for answer in (metric(), by_bincount):
        check.found_by_class(answer)
        check.found_by_class(answer, seed=2)


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        (metric(add=tf1.assign), "Only the last batch counts"),
        (metric(equal=lambda one, other: one is other), "All shares are 0"),
        (metric(equal=lambda one, other: np.asarray(one)), "use tf.… in place of np.…"),
        (metric(per_batch=True), "The batches' shares are averaged"),
        (metric(of=lambda labels, predicted: predicted), "divide by how often it is the label"),
        (metric(divide=tf.divide), "not finite"),
        (metric(collections=(tf1.GraphKeys.GLOBAL_VARIABLES,)), "are global variables"),
        (metric(value_adds=True), "You must feed a value for placeholder tensor"),
        (lambda labels, predicted, classes: labels, "a pair of nodes is wanted"),
        (lambda labels, predicted: None, "called as found_by_class(labels, predicted, classes)"),
    ],
)
def test_found_by_class_names_the_mistake(wrong, hint):
    assert hint in complaint(check.found_by_class, wrong)


# carry_over


def carrier(
    named=lambda name, prefix: prefix + name,
    shapes=True,
    start=True,
    late=False,
    returned=lambda name, prefix: name,
    careful=True,
    variables=tf1.global_variables,
):
    def carry_over(session, path, prefix):
        there = {name: list(shape) for name, shape in tf1.train.list_variables(path)}
        fitting = {
            named(v.op.name, prefix): v
            for v in variables()
            if named(v.op.name, prefix) in there
            and (not shapes or there[named(v.op.name, prefix)] == v.shape.as_list())
        }
        if start and not late:
            session.run(tf1.global_variables_initializer())
        if fitting or not careful:
            tf1.train.Saver(fitting).restore(session, path)
        if late:
            session.run(tf1.global_variables_initializer())
        return sorted(returned(v.op.name, prefix) for v in fitting.values())

    return carry_over


def takes_bare_names_too(session, path, prefix):
    there = {name for name, _ in tf1.train.list_variables(path)}
    return carrier(named=lambda n, p: p + n if p + n in there else n)(session, path, prefix)


def test_carry_over_takes_a_right_one():
    check.carry_over(carrier())
    check.carry_over(carrier(), seed=3)


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        (carrier(late=True), "an initializer that runs after restoring"),
        (carrier(start=False), "a variable has no value"),
        (carrier(named=lambda name, prefix: name), "begin with the prefix"),
        (carrier(returned=lambda name, prefix: f"{name}:0"), "end in ':0'"),
        (carrier(returned=lambda name, prefix: prefix + name), "return those of the graph"),
        (carrier(variables=tf1.trainable_variables), "Only the trainable variables come back"),
        (takes_bare_names_too, "only names that begin with it count"),
        (carrier(shapes=False), "The shapes have to agree, too"),
        (carrier(careful=False), "No variables to save"),
    ],
)
def test_carry_over_names_the_mistake(wrong, hint):
    assert hint in complaint(check.carry_over, wrong)


# train_and_ask


def port(
    drop=lambda values, keep: tf.nn.dropout(values, rate=1 - keep),
    activation=tf.nn.relu,
    scope="net",
    first_only=False,
    ask_again=False,
    train_bias=True,
    graph=tf.Graph,
    asking=1.0,
    reuse=True,
):
    def train_and_ask(images, labels, test_images, start, steps, batch_size, rate, keep_prob):
        def network(values, keep):
            for name in ("hidden", "logits"):
                with tf1.variable_scope(f"{scope}/{name}", reuse=tf1.AUTO_REUSE):
                    begin = tf1.constant_initializer(start[name])
                    zeros = tf1.zeros_initializer()
                    if not reuse:
                        kernel = tf.Variable(start[name], name="kernel")
                    else:
                        kernel = tf1.get_variable("kernel", start[name].shape, initializer=begin)
                    bias = tf1.get_variable("bias", start[name].shape[1:], initializer=zeros)
                values = values @ kernel + bias
                if name == "hidden":
                    values = drop(activation(values), keep)
            return values

        with graph().as_default(), tf1.Session() as session:
            data = tf.data.Dataset.from_tensor_slices((images, labels))
            if first_only:
                data = data.take(batch_size)
            data = data.repeat().batch(batch_size)
            x, y = tf1.data.make_one_shot_iterator(data).get_next()
            keep = tf1.placeholder(tf.float32, [])
            loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(y, network(x, keep)))
            trained = [v for v in tf1.trainable_variables() if train_bias or "bias" not in v.name]
            optimizer = tf1.train.GradientDescentOptimizer(rate)
            step = optimizer.minimize(loss, var_list=trained)
            answer = tf.argmax(network(tf.constant(test_images), keep), 1)
            session.run(tf1.global_variables_initializer())
            losses = [session.run([loss, step], {keep: keep_prob})[0] for _ in range(steps)]
            if ask_again:
                session.run(tf1.global_variables_initializer())
            predicted = session.run(answer, {keep: asking or keep_prob})
            names = [variable.name for variable in tf1.trainable_variables()]
        return {"losses": losses, "names": names, "predicted": predicted}

    return train_and_ask


def the_old_lines(images, labels, test_images, start, steps, batch_size, rate, keep_prob):
    data = tf.data.Dataset.from_tensor_slices((images, labels)).repeat().batch(batch_size)
    data.make_one_shot_iterator()


def test_train_and_ask_takes_a_right_port():
    check.train_and_ask(port())
    check.train_and_ask(port(), seed=4)


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        (port(drop=lambda values, keep: tf.nn.dropout(values, keep)), "everything was dropped"),
        (port(reuse=False), "made new variables"),
        (port(drop=lambda values, keep: values), "drops nothing in training"),
        (
            port(drop=lambda values, keep: tf.nn.dropout(values, rate=1 - keep) * keep),
            "does not divide by keep_prob",
        ),
        (port(asking=None), "drops units while it predicts"),
        (port(activation=tf.identity), "ReLU is missing"),
        (port(scope="network"), "names"),
        (port(first_only=True), "Every step sees the first batch"),
        (port(ask_again=True), "run no initializer again"),
        (port(train_bias=False), "The biases stay 0"),
        (the_old_lines, "make_one_shot_iterator"),
    ],
)
def test_train_and_ask_names_the_mistake(wrong, hint):
    assert hint in complaint(check.train_and_ask, wrong)


# model_fn


def linear(features, labels, mode, noisy=False, sure=lambda best: best > 0.5):
    values = tf.reshape(features, [-1, 64])
    if noisy or mode == ModeKeys.TRAIN:
        values = tf.nn.dropout(values, rate=0.1)
    logits = values @ tf1.get_variable("dense/kernel", [64, 10])
    best = tf.reduce_max(tf.nn.softmax(logits), axis=1)
    predictions = {"classes": tf.argmax(logits, axis=1), "sure": sure(best)}
    if mode == ModeKeys.PREDICT:
        return EstimatorSpec(mode, predictions)
    loss = tf1.losses.sparse_softmax_cross_entropy(tf.cast(labels, tf.int32), logits)
    step = tf1.train.GradientDescentOptimizer(0.1)
    step = step.minimize(loss, tf1.train.get_global_step())
    return EstimatorSpec(mode, predictions, loss, step)


def test_model_fn_sees_what_is_random_outside_of_training(monkeypatch):
    monkeypatch.setattr("cnncourse.checks.sessions.TRAINING_STEPS", 2)
    text = complaint(check.model_fn, partial(linear, noisy=True))
    assert "draw it for ModeKeys.TRAIN only" in text
    text = complaint(check.model_fn, linear)
    assert "random operations outside of training        0  ✓" in text
    assert "share answered" in text
    text = complaint(check.model_fn, partial(linear, sure=lambda best: best))
    assert "give True or False for each image" in text


def test_model_fn_says_what_comes_first(monkeypatch):
    monkeypatch.setattr("cnncourse.checks.sessions.TRAINING_STEPS", 2)
    text = complaint(check.model_fn, partial(linear, sure=lambda best: best < 0))
    assert text.count("First the network: 0.") == 1
    assert "lower limit" not in text

    def loss_first(features, labels, mode):
        tf1.losses.sparse_softmax_cross_entropy(labels, tf.reshape(features, [-1, 64]))
        return linear(features, labels, mode)

    text = complaint(check.model_fn, loss_first)
    assert "(mode 'infer': there are no labels; return before the loss)" in text
    assert "<function" not in text
    text = complaint(check.model_fn, lambda features, labels, mode: np.mean(features))
    assert "use tf.… in place of np.…" in text


def test_model_fn_is_a_function():
    assert "is still None" in complaint(check.model_fn, None)
    assert "called as model_fn(features, labels, mode)" in complaint(check.model_fn, lambda x: x)


def test_expected_losses_are_those_of_the_tape():
    """The reference of the old program is arithmetic; TensorFlow's gradient agrees."""
    from cnncourse.checks import sessions

    (case,) = list(sessions._ported_cases())[1:2]
    kernels = [tf.Variable(case["start"][name]) for name in ("hidden", "logits")]
    biases = [tf.Variable(tf.zeros(kernel.shape[1])) for kernel in kernels]
    losses = []
    for step in range(case["steps"]):
        rows = np.arange(case["batch_size"]) + case["batch_size"] * step
        with tf.GradientTape() as tape:
            hidden = tf.nn.relu(case["images"][rows] @ kernels[0] + biases[0])
            logits = hidden @ kernels[1] + biases[1]
            entropy = tf.nn.softmax_cross_entropy_with_logits(case["labels"][rows], logits)
            loss = tf.reduce_mean(entropy)
        variables = [*kernels, *biases]
        for variable, slope in zip(variables, tape.gradient(loss, variables), strict=True):
            variable.assign_sub(case["rate"] * slope)
        losses.append(float(loss))
    np.testing.assert_allclose(sessions._old_program(**case)["losses"], losses, rtol=1e-5)
