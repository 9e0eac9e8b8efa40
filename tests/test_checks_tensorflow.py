"""Problem set 5's checks: right answers pass, and the usual mistakes are named."""

from collections.abc import Callable

import numpy as np
import pytest

from cnncourse import checks as check
from cnncourse.checks import tensorflow as sets

import keras  # isort: skip  (quietened by cnncourse)
import tensorflow as tf  # isort: skip

from cnncourse.checks.core import CheckFailed


def complaint(checked: Callable, answer: object, **setting: int) -> str:
    with pytest.raises(CheckFailed) as failed:
        checked(answer, **setting)
    return str(failed.value)


# dense_everywhere


def folded(kernel, shape):
    return tf.reshape(kernel, shape)


def everywhere(maps, kernel, bias, height, width, fold=folded, stride=1, padding="VALID"):
    kernel = fold(kernel, [height, width, maps.shape[3], kernel.shape[1]])
    return tf.nn.conv2d(maps, kernel, stride, padding) + bias


def channels_first(kernel, shape):
    height, width, channels, units = shape
    return tf.transpose(tf.reshape(kernel, [channels, height, width, units]), [1, 2, 0, 3])


def width_first(kernel, shape):
    height, width, channels, units = shape
    return tf.transpose(tf.reshape(kernel, [width, height, channels, units]), [1, 0, 2, 3])


def units_first(kernel, shape):
    height, width, channels, units = shape
    return tf.transpose(tf.reshape(kernel, [units, height, width, channels]), [1, 2, 3, 0])


def on_its_side(kernel, shape):
    height, width, channels, units = shape
    return tf.reshape(kernel, [width, height, channels, units])


def test_dense_everywhere_takes_a_convolution_and_a_loop():
    def by_cutting_out(maps, kernel, bias, height, width):
        rows, columns = maps.shape[1] - height + 1, maps.shape[2] - width + 1
        answers = [
            maps[:, row : row + height, column : column + width].reshape(len(maps), -1) @ kernel
            for row in range(rows)
            for column in range(columns)
        ]
        return np.stack(answers, axis=1).reshape(len(maps), rows, columns, -1) + bias

    for answer in (everywhere, by_cutting_out):
        check.dense_everywhere(answer)
        check.dense_everywhere(answer, seed=1)


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        (lambda *a: everywhere(*a[:2], 0.0, *a[3:]), "The bias is forgotten"),
        (lambda *a: everywhere(*a, fold=channels_first), "channel change fastest"),
        (lambda *a: everywhere(*a, fold=width_first), "the height comes first"),
        (lambda *a: everywhere(*a, fold=on_its_side), "the window lies on its side"),
        (lambda *a: everywhere(*a, fold=lambda k, s: k), "kernel has four axes"),
        (lambda *a: tf.nn.relu(everywhere(*a)), "goes through a ReLU"),
        (lambda *a: everywhere(*a, fold=units_first), "The units are folded first"),
        (lambda *a: everywhere(*a, fold=lambda k, s: folded(k, s)[::-1, ::-1]), "turned by 180"),
        (lambda *a: everywhere(*a, stride=[1, a[3], a[4], 1]), "moves by its own size"),
        (lambda *a: everywhere(*a, padding="SAME"), "with VALID the window stays inside"),
        (lambda *a: everywhere(a[0][:, : a[3], : a[4]], *a[1:]), "Only the first place"),
        (
            lambda m, k, b, h, w: tf.reshape(m[:, :h, :w], [len(m), -1]) @ k + b,
            "The result lacks axes",
        ),
    ],
)
def test_dense_everywhere_names_the_mistake(wrong, hint):
    assert hint in complaint(check.dense_everywhere, wrong)


# dropout


def test_dropout_takes_random_numbers_and_not_tensorflows_own():
    check.dropout(drops())
    check.dropout(drops(), seed=2)
    own = tf.nn.dropout
    wrong = complaint(check.dropout, lambda x, keep, on: tf.nn.dropout(x, 1 - keep) if on else x)
    assert "tf.nn.dropout does the task" in wrong
    assert tf.nn.dropout is own


def drops_a_fixed_number(inputs, keep_prob, training):
    if not training or keep_prob == 1:
        return inputs
    size = int(np.prod(inputs.shape))
    places = tf.random.shuffle(tf.range(size)) < int(size * keep_prob)
    return tf.where(tf.reshape(places, inputs.shape), inputs / keep_prob, 0.0)


def drops(share=lambda keep: keep, scale=lambda keep: 1 / keep, shape=None, seed=None, idle=None):
    def dropout(inputs, keep_prob, training):
        if not training:
            return inputs if idle is None else inputs * idle(keep_prob)
        drawn = tf.shape(inputs) if shape is None else shape(inputs)
        if seed is None:
            numbers = tf.random.uniform(drawn)
        else:
            numbers = tf.random.stateless_uniform(drawn, seed)
        return tf.where(numbers < share(keep_prob), inputs * scale(keep_prob), 0.0)

    return dropout


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        (drops(share=lambda keep: 1 - keep), "is what to keep, not drop"),
        (drops(share=lambda keep: keep / 2), "where about"),
        (drops(scale=lambda keep: 1), "divide by keep_prob"),
        (drops(scale=lambda keep: keep), "multiplies what stays with keep_prob"),
        (drops(scale=lambda keep: 1 / (1 - keep + 1e-9)), "share dropped"),
        (drops(seed=[1, 2]), "the same places in every call"),
        (drops(shape=lambda x: x.shape[x.ndim > 1 :]), "the same places in all images"),
        (
            drops(shape=lambda x: (*x.shape[:-1], 1) if x.ndim == 4 else x.shape),
            "in all channels",
        ),
        (drops(idle=lambda keep: keep), "the scaling belongs to training"),
        (lambda x, keep, training: drops()(x, keep, True), "though nothing is to be dropped"),
        (lambda x, keep, training: None, "gives nothing (None)"),
        (drops_a_fixed_number, "in every one of 8 calls"),
        (drops(scale=lambda keep: 1), "first call: shape (20000,)"),
        (lambda x, keep: x, "called as dropout(inputs, keep_prob, training)"),
    ],
)
def test_dropout_names_the_mistake(wrong, hint):
    assert hint in complaint(check.dropout, wrong)


# gradients_in_parts


def in_parts(
    reduce=tf.reduce_sum, divide=lambda images, parts: len(images), keep=lambda parts: parts
):
    def answer(losses_of, variables, images, labels, size):
        starts = list(range(0, len(images), size))
        parts = keep([slice(start, start + size) for start in starts])
        total, sums = 0.0, None
        for part in parts:
            with tf.GradientTape() as tape:
                loss = reduce(losses_of(images[part], labels[part]))
            slopes = tape.gradient(loss, variables)
            sums = slopes if sums is None else [a + b for a, b in zip(sums, slopes, strict=True)]
            total += loss
        by = divide(images, parts)
        return total / by, [slope / by for slope in sums]

    return answer


def outside_of_the_tape(losses_of, variables, images, labels, size):
    losses = [
        losses_of(images[s : s + size], labels[s : s + size]) for s in range(0, len(images), size)
    ]
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.concat(losses, 0))
    return loss, tape.gradient(loss, variables)


def all_at_once(losses_of, variables, images, labels, size):
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(losses_of(images, labels))
    return loss, tape.gradient(loss, variables)


def one_tape(losses_of, variables, images, labels, size):
    with tf.GradientTape() as tape:
        starts = range(0, len(images), size)
        losses = [losses_of(images[s : s + size], labels[s : s + size]) for s in starts]
        loss = tf.reduce_mean(tf.concat(losses, 0))
    return loss, tape.gradient(loss, variables)


def tapes_until_the_end(losses_of, variables, images, labels, size):
    tapes = []
    for start in range(0, len(images), size):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(
                losses_of(images[start : start + size], labels[start : start + size])
            )
        tapes.append((tape, loss))
    slopes = [tape.gradient(loss, variables) for tape, loss in tapes]
    total = sum(loss for _, loss in tapes)
    return total / len(images), [sum(each) / len(images) for each in zip(*slopes, strict=True)]


def sum_outside_of_the_tape(losses_of, variables, images, labels, size):
    with tf.GradientTape() as tape:
        losses = losses_of(images[:size], labels[:size])
    slopes = tape.gradient(tf.reduce_sum(losses), variables)
    return tf.reduce_sum(losses), [0.0 + slope for slope in slopes]


def undivided_gradients(*inputs):
    loss, slopes = in_parts()(*inputs)
    return loss, [slope * len(inputs[2]) for slope in slopes]


def gradients_of_the_last_part(losses_of, variables, images, labels, size):
    loss, _ = in_parts()(losses_of, variables, images, labels, size)
    last = (len(images) - 1) // size * size
    _, slopes = in_parts()(losses_of, variables, images[last:], labels[last:], size)
    return loss, [slope * (len(images) - last) / len(images) for slope in slopes]


def divided_by_size(losses_of, variables, images, labels, size):
    loss, slopes = in_parts()(losses_of, variables, images, labels, size)
    by = len(images) / size
    return loss * by, [slope * by for slope in slopes]


def test_gradients_in_parts_takes_right_answers():
    def compiled(losses_of, variables, images, labels, size):
        whole = tf.function(lambda: in_parts()(losses_of, variables, images, labels, size))
        return whole()

    def asks_for_losses_first(losses_of, variables, images, labels, size):
        for start in range(0, len(images), size):
            losses_of(images[start : start + size], labels[start : start + size])
        return in_parts()(losses_of, variables, images, labels, size)

    for answer in (in_parts(), compiled, asks_for_losses_first):
        check.gradients_in_parts(answer)
        check.gradients_in_parts(answer, seed=3)


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        (
            in_parts(tf.reduce_mean, lambda images, parts: len(parts)),
            "as if all parts were equally",
        ),
        (in_parts(tf.reduce_mean, lambda images, parts: 1), "means are added up"),
        (in_parts(divide=lambda images, parts: 1), "not divided by the number of images"),
        (in_parts(divide=lambda images, parts: len(parts)), "divided by the number of parts"),
        (
            in_parts(tf.reduce_mean, lambda images, parts: 1, lambda parts: parts[-1:]),
            "Only the last part counts",
        ),
        (all_at_once, "at most 2 fit"),
        (outside_of_the_tape, "outside of the tape"),
        (one_tape, "take each part's gradient before the next part"),
        (tapes_until_the_end, "take each part's gradient before the next part"),
        (sum_outside_of_the_tape, "inside the `with`"),
        (undivided_gradients, "in [0] in gradients"),
        (undivided_gradients, "its gradients are not"),
        (gradients_of_the_last_part, "those of the last part only"),
        (divided_by_size, "Every part is divided by `size`"),
        (lambda *inputs: None, "nothing (None)"),
    ],
)
def test_gradients_in_parts_names_the_mistake(wrong, hint):
    assert hint in complaint(check.gradients_in_parts, wrong)


def test_a_last_part_left_out_is_named():
    def answer(losses_of, variables, images, labels, size):
        whole = len(images) // size * size or len(images)
        return in_parts()(losses_of, variables, images[:whole], labels[:whole], size)

    assert "The last part, with fewer images" in complaint(check.gradients_in_parts, answer)


# adam


def adam(
    correct=(1, 1),
    count="variable",
    decay=(0.9, 0.999),
    root=tf.sqrt,
    power=2,
    assign=True,
    remember="assign",
):
    class Adam:
        def __init__(self, variables, rate):
            self.variables, self.rate = variables, rate
            self.steps, self.counted = tf.Variable(0 if count == "int" else 0.0), 0
            self.means = [tf.Variable(tf.zeros_like(variable)) for variable in variables]
            self.squares = [tf.Variable(tf.zeros_like(variable)) for variable in variables]

        def apply(self, slopes):
            self.steps.assign_add(1)
            self.counted += 1
            for place, slope in enumerate(slopes):
                if count == "inner" and place:
                    self.steps.assign_add(1)
                choice = {
                    "python": self.counted,
                    "late": self.steps + 1,
                    "early": self.steps - 1,
                    "one": 1.0,
                }
                t = choice.get(count, self.steps)
                variable, mean, square = (
                    self.variables[place],
                    self.means[place],
                    self.squares[place],
                )
                new_mean = decay[0] * mean + (1 - decay[0]) * slope
                new_square = decay[1] * square + (1 - decay[1]) * slope**power
                if remember == "assign":
                    mean.assign(new_mean)
                    square.assign(new_square)
                elif remember == "list":
                    self.means[place], self.squares[place] = new_mean, new_square
                mean, square = new_mean, new_square
                m = mean / (1 - decay[0] ** t) if correct[0] else mean
                s = square / (1 - decay[1] ** t) if correct[1] else square
                move = self.rate * m / (root(s) + 1e-7)
                if assign:
                    variable.assign_sub(move)
                else:
                    variable = variable - move

    return Adam


def test_adam_takes_the_formula_and_not_keras_adam():
    class OfKeras:
        def __init__(self, variables, rate):
            self.variables = variables
            self.adam = keras.optimizers.Adam(rate)
            self.adam.build(variables)

        def apply(self, slopes):
            self.adam.apply(slopes, self.variables)

    check.adam(adam())
    check.adam(adam(), seed=4)
    assert "as Keras' own Adam does" in complaint(check.adam, OfKeras)
    with pytest.raises(CheckFailed):
        check.adam(OfKeras, seed=4)


def test_adam_is_keras_adam_where_slopes_are_large():
    for inputs in sets._adam_cases():
        if min(np.abs(slope).min() for step in inputs["slopes"] for slope in step) > 0.01:
            ours, keras_own = (
                make(*inputs.values()) for make in (sets._other_adam(), sets._keras_adam)
            )
            for one, other in zip(ours, keras_own, strict=True):
                for value, expected in zip(one, other, strict=True):
                    np.testing.assert_allclose(value, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        (adam(correct=(0, 0)), "Both running means begin at 0"),
        (adam(correct=(1, 0)), "the mean of the squares begins at 0 too"),
        (adam(correct=(0, 1)), "the mean of the slopes begins at 0 too"),
        (adam(count="python"), "t stays 1 when the function is compiled"),
        (adam(count="inner"), "t grows with every variable"),
        (adam(count="late"), "t is 2 in the first step"),
        (adam(count="early"), "t is 0 in the first step"),
        (adam(count="int"), "count in tf.Variable(0.0)"),
        (adam(remember="list"), "have to be tf.Variables"),
        (adam(remember="not"), "have to be tf.Variables"),
        (adam(remember="list", count="python"), "Every step is like the first"),
        (adam(root=lambda x: tf.sqrt(x + 1e-7)), "stands under the root"),
        (adam(root=lambda x: tf.sqrt(x) - 1e-7), "10⁻⁷ is missing"),
        (adam(count="one"), "t stays 1: every step"),
        (adam(decay=(0.999, 0.9)), "0.9 and 0.999 are swapped"),
        (adam(root=lambda x: x), "The square root is missing"),
        (adam(power=1, root=lambda x: tf.sqrt(tf.abs(x))), "of the slopes' squares"),
        (adam(assign=False), "Nothing moves"),
        (lambda variables, rate: None, "it has no method apply(slopes)"),
        (lambda variables: None, "called as Adam(variables, rate)"),
    ],
)
def test_adam_names_the_mistake(wrong, hint):
    assert hint in complaint(check.adam, wrong)


# recipe


def linear_params():
    return {"kernel": tf.Variable(tf.zeros([64, 10])), "bias": tf.Variable(tf.zeros([10]))}


def linear(params, images):
    return tf.reshape(images, [-1, 64]) @ params["kernel"] + params["bias"]


def test_recipe_measures_and_says_what_is_missing(capsys):
    text = complaint(check.recipe, (linear_params, linear, lambda step: 0.001))
    assert "650  ✓ at most 5,000" in text
    assert "≈ 2.303" in text  # ln 10 from zeros
    assert "the steps are too short" in text
    assert "<function" not in text
    assert "of 897" in text


def test_recipe_wants_more_than_one_dense_layer():
    for rate in (0.02, 0.1):
        text = complaint(check.recipe, (linear_params, linear, lambda step, rate=rate: rate))
        assert "✗ at least 830" in text
        assert "It learns well" in text


def test_recipe_names_a_signal_that_is_gone_and_a_softmax():
    def equal():
        return {"a": tf.Variable(tf.zeros([64, 20])), "b": tf.Variable(tf.zeros([20, 10]))}

    def two(params, images):
        return tf.nn.relu(tf.reshape(images, [-1, 64]) @ params["a"]) @ params["b"]

    assert "nothing gets through" in complaint(check.recipe, (equal, two, lambda step: 0.1))

    def softmax(params, images):
        return tf.nn.softmax(linear(params, images))

    text = complaint(check.recipe, (linear_params, softmax, lambda step: 0.1))
    assert "forward ends with a softmax" in text
    assert "<function" not in text


@pytest.mark.parametrize(
    ("design", "hint"),
    [
        (None, "is still None"),
        ((linear_params, linear), "is not (new_params, forward, rate)"),
        ((lambda: {}, linear, lambda step: 0.1), "a dictionary of tf.Variables"),
        (
            (linear_params, lambda params, images: linear(params, images)[:, :9], lambda step: 0.1),
            "logits of (2, 10)",
        ),
    ],
)
def test_recipe_says_what_it_wants(design, hint):
    assert hint in complaint(check.recipe, design)
