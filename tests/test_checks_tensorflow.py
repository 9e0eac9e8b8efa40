"""Problem set 5's checks: right answers pass, and the usual mistakes are named."""

from collections.abc import Callable

import numpy as np
import pytest

from cnncourse import checks as check

import tensorflow as tf  # isort: skip  (quietened by cnncourse)

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


def test_dropout_takes_tensorflows_own():
    def answer(inputs, keep_prob, training):
        return tf.nn.dropout(inputs, 1 - keep_prob) if training else inputs

    check.dropout(answer)
    check.dropout(answer, seed=2)


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
        (lambda x, keep, training: tf.nn.dropout(x, 1 - keep), "though nothing is to be dropped"),
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


def test_gradients_in_parts_takes_right_answers():
    def one_tape(losses_of, variables, images, labels, size):
        with tf.GradientTape() as tape:
            starts = range(0, len(images), size)
            losses = [losses_of(images[s : s + size], labels[s : s + size]) for s in starts]
            loss = tf.reduce_mean(tf.concat(losses, 0))
        return loss, tape.gradient(loss, variables)

    for answer in (in_parts(), one_tape):
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


def adam(correct=(1, 1), count="variable", decay=(0.9, 0.999), root=tf.sqrt, power=2, assign=True):
    class Adam:
        def __init__(self, variables, rate):
            self.variables, self.rate = variables, rate
            self.steps, self.counted = tf.Variable(0.0), 0
            self.means = [tf.Variable(tf.zeros_like(variable)) for variable in variables]
            self.squares = [tf.Variable(tf.zeros_like(variable)) for variable in variables]

        def apply(self, slopes):
            self.steps.assign_add(1)
            self.counted += 1
            for place, slope in enumerate(slopes):
                if count == "inner" and place:
                    self.steps.assign_add(1)
                choice = {"python": self.counted, "late": self.steps + 1, "one": 1.0}
                t = choice.get(count, self.steps)
                variable, mean, square = (
                    self.variables[place],
                    self.means[place],
                    self.squares[place],
                )
                mean.assign(decay[0] * mean + (1 - decay[0]) * slope)
                square.assign(decay[1] * square + (1 - decay[1]) * slope**power)
                m = mean / (1 - decay[0] ** t) if correct[0] else mean
                s = square / (1 - decay[1] ** t) if correct[1] else square
                move = self.rate * m / (root(s) + 1e-7)
                if assign:
                    variable.assign_sub(move)
                else:
                    variable = variable - move

    return Adam


def test_adam_is_keras_adam_to_the_digit():
    check.adam(adam())
    check.adam(adam(), seed=4)


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        (adam(correct=(0, 0)), "Both running means begin at 0"),
        (adam(correct=(1, 0)), "the mean of the squares begins at 0 too"),
        (adam(correct=(0, 1)), "the mean of the slopes begins at 0 too"),
        (adam(count="python"), "t stays 1 when the function is compiled"),
        (adam(count="inner"), "t grows with every variable"),
        (adam(count="late"), "t is 2 in the first step"),
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
