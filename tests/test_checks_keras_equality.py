"""Problem set 7's checks: right answers pass, and the usual mistakes are named."""

from collections.abc import Callable

import keras
import numpy as np
import pytest

from cnncourse import checks as check
from cnncourse.checks import keras_equality
from cnncourse.checks.core import CheckFailed

layers = keras.layers


def complaint(checked: Callable, answer: object) -> str:
    with pytest.raises(CheckFailed) as failed:
        checked(answer)
    return str(failed.value)


# moved


def move(
    conv=lambda kernel: np.transpose(kernel, (2, 3, 1, 0)),
    hidden=lambda kernel, filters, height, width: np.moveaxis(
        kernel.reshape(-1, filters, height, width), (2, 3, 1, 0), (0, 1, 2, 3)
    ).reshape(-1, len(kernel)),
    out=np.transpose,
):
    def moved(arrays, height, width):
        a = arrays
        return [
            conv(a["conv.weight"]),
            a["conv.bias"],
            hidden(a["hidden.weight"], len(a["conv.bias"]), height, width),
            a["hidden.bias"],
            out(a["out.weight"]),
            a["out.bias"],
        ]

    return moved


def test_moved_takes_a_right_answer():
    check.moved(move())
    check.moved(move(), seed=1)


def test_moved_makes_keras_compute_what_channels_first_does():
    """Convolution and flattening in the other library's layout, by NumPy, against Keras."""
    rng = np.random.default_rng(0)
    images = rng.normal(size=(3, 2, 6, 7))
    size = (4, 5)
    given = keras_equality._foreign(
        lambda *shape: rng.normal(size=shape),
        filters=3,
        channels=2,
        kernel=(3, 3),
        size=size,
        units=5,
        classes=4,
    )
    a = given["arrays"]
    windows = np.lib.stride_tricks.sliding_window_view(images, (3, 3), axis=(2, 3))
    maps = np.einsum("bcijkl,fckl->bfij", windows, a["conv.weight"])
    values = (maps + a["conv.bias"][:, None, None]).reshape(3, -1)
    values = values @ a["hidden.weight"].T + a["hidden.bias"]
    expected = values @ a["out.weight"].T + a["out.bias"]

    inputs = keras.Input((6, 7, 2))
    outputs = layers.Flatten()(layers.Conv2D(3, 3)(inputs))
    model = keras.Model(inputs, layers.Dense(4)(layers.Dense(5)(outputs)))
    model.set_weights(keras_equality._moved(**given))
    logits = model(images.transpose(0, 2, 3, 1).astype("f"))
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        (
            move(conv=lambda k: k.reshape(*k.shape[2:], k.shape[1], k.shape[0])),
            "kernel is reshaped",
        ),
        (move(conv=np.transpose), "plain .T turns all axes round"),
        (move(conv=lambda k: k.transpose(2, 3, 0, 1)), "filters before channels"),
        (move(hidden=lambda k, *rest: k.T), "still stand in the order filter, row, column"),
        (
            move(
                hidden=lambda k, f, h, w: (
                    k.reshape(-1, f, h, w).transpose(3, 2, 1, 0).reshape(-1, len(k))
                )
            ),
            "rows come first",
        ),
        (move(hidden=lambda k, *rest: k.reshape(-1, len(k))), "units are mixed with its inputs"),
        (move(out=lambda k: k), "Rows and columns of out's kernel"),
        (move(hidden=lambda k, *rest: k), "in hidden_kernel"),
    ],
)
def test_moved_names_the_mistake(wrong, hint):
    assert hint in complaint(check.moved, wrong)


# new_model


def network(
    first="relu",
    second=None,
    join=layers.Add,
    after="relu",
    pools=(layers.MaxPooling2D, layers.AveragePooling2D),
    pooling="same",
    third="relu",
    padding="valid",
    strides=2,
    last=None,
    filters=6,
    shortcut=True,
    over=layers.GlobalAveragePooling2D,
):
    def new_model(height, width, channels, classes):
        inputs = keras.Input((height, width, channels))
        a = layers.Conv2D(4, 3, padding="same", activation=first)(inputs)
        b = layers.Conv2D(4, 3, padding="same", activation=second)(a)
        c = layers.Activation(after)(join()([a, b]) if shortcut else b)
        pooled = [pool(2, padding=pooling)(c) for pool in pools]
        f = layers.Conv2D(filters, 3, strides=strides, padding=padding, activation=third)(
            layers.Concatenate()(pooled)
        )
        g = over()(f)
        return keras.Model(inputs, layers.Dense(classes, activation=last)(g))

    return new_model


def test_new_model_takes_a_right_one():
    check.new_model(network())
    check.new_model(network(), seed=2)


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        (network(first=None), "The first convolution's ReLU is missing"),
        (network(second="relu"), "the table gives it none"),
        (network(third=None), "The third convolution's ReLU is missing"),
        (network(after="linear"), "The ReLU after the sum is missing"),
        (network(shortcut=False), "The sum is missing"),
        (network(join=layers.Average), "averaged or multiplied"),
        (network(pools=(layers.AveragePooling2D, layers.MaxPooling2D)), "maximum first"),
        (network(pools=(layers.MaxPooling2D,) * 2), "Both pools take the maximum"),
        (network(pooling="valid"), "which Keras has to be told"),
        (network(padding="same"), "it is VALID"),
        (network(strides=1), "stride is 1"),
        (network(last="softmax"), "ends in a softmax"),
        (network(filters=5), "row f's kernel is (3, 3, 8, 5), (3, 3, 8, 6) is wanted"),
        (network(over=layers.Flatten), "(6, 3) is wanted: g gives 6 numbers"),
        (network(over=layers.GlobalMaxPooling2D), "Row g is the mean"),
        (lambda *sizes: network(), "return the keras.Model"),
    ],
)
def test_new_model_names_the_mistake(wrong, hint):
    assert hint in complaint(check.new_model, wrong)


# first_difference


def finder(differ, pick=0, shapes=True):
    def first_difference(ours, theirs, images):
        found = []
        given = [
            keras.Model(model.input, [layer.output for layer in model.layers])(images)
            for model in (ours, theirs)
        ]
        for layer, *outputs in zip(ours.layers, *given, strict=True):
            one, two = map(np.array, outputs)
            if (shapes and one.shape != two.shape) or differ(one, two):
                found.append(layer.name)
        return found[pick] if found else None

    return first_difference


def relative(one, two):
    return np.abs(one - two).max() > 1e-4 * np.abs(one).max()


def test_first_difference_takes_a_right_one():
    check.first_difference(finder(relative))
    check.first_difference(finder(relative), seed=3)


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        (finder(lambda one, two: np.abs(one - two).max() > 1e-5), "A fixed allowance"),
        (finder(lambda one, two: (one != two).any()), "rounding alone"),
        (finder(relative, pick=-1), "the first one is to blame"),
        (lambda ours, theirs, images: None, "Nothing is found"),
        (finder(relative, shapes=False), "Compare the shapes first"),
        (finder(lambda one, two: (one - two).max() > 1e-4 * np.abs(one).max()), "absolute value"),
        (finder(lambda one, two: np.abs(one - two).mean() > 1e-4 * np.abs(one).max()), "averaged"),
        (
            finder(lambda one, two: abs(one.sum() - two.sum()) > 1e-4 * np.abs(one).max()),
            "The sums are compared",
        ),
        (
            finder(lambda one, two: np.abs(one - two)[0].max() > 1e-4 * np.abs(one).max()),
            "Is only the first image compared",
        ),
        (
            finder(lambda one, two: np.abs(one - two).max() > 1e-4 * one.max()),
            "where all are below 0",
        ),
        (finder(lambda one, two: np.abs(one - two).max() > 1e-4 * one.std()), "too small"),
        (finder(lambda one, two: np.abs(one - two).max() > 5e-4 * np.abs(one).max()), "too large"),
        (finder(lambda one, two: not np.allclose(one, two)), "an allowance of its own"),
        (lambda ours, theirs, images: ours.layers[0](images), "it cannot be called"),
    ],
)
def test_first_difference_names_the_mistake(wrong, hint):
    assert hint in complaint(check.first_difference, wrong)


# rms_norm


def norm(
    axis=-1,
    mean=keras.ops.mean,
    root=lambda squares, epsilon: keras.ops.sqrt(squares + epsilon),
    centre=False,
    start="ones",
    kept=True,
    trainable=True,
    default=1e-6,
    gain=True,
    passes=True,
    whole=True,
    ones=lambda shape: shape[-1:],
):
    class RMSNorm(layers.Layer):
        def __init__(self, epsilon=default, **kwargs):
            super().__init__(**kwargs if passes else {})
            self.epsilon = epsilon

        def build(self, input_shape):
            self.gain = self.add_weight(
                shape=ones(input_shape), initializer=start, trainable=trainable
            )

        def call(self, inputs):
            if centre:
                inputs = inputs - keras.ops.mean(inputs, axis=-1, keepdims=True)
            squares = mean(inputs**2, axis=axis, keepdims=True)
            normed = inputs / root(squares, self.epsilon)
            return self.gain * normed if gain else normed

        def get_config(self):
            if not whole:
                return {"epsilon": self.epsilon}
            return super().get_config() | ({"epsilon": self.epsilon} if kept else {})

    return RMSNorm


def test_rms_norm_takes_a_right_layer():
    check.rms_norm(norm())
    check.rms_norm(norm(), seed=4)


def test_rms_norm_says_which_method_is_not_written():
    class RMSNorm(norm()):
        def call(self, inputs):
            raise NotImplementedError

    assert "not written yet" in complaint(check.rms_norm, RMSNorm)
    assert "in call" in complaint(check.rms_norm, RMSNorm)


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        (norm(axis=(1, 2)), "over rows and columns"),
        (norm(axis=(1, 2, 3)), "over the whole image"),
        (norm(axis=None), "over the whole batch"),
        (norm(mean=keras.ops.sum), "The squares are added up"),
        (norm(root=lambda squares, epsilon: squares + epsilon), "The square root is missing"),
        (norm(root=lambda s, e: keras.ops.sqrt(s) + e), "outside of the root"),
        (norm(root=lambda s, e: keras.ops.sqrt(s)), "epsilon is not used"),
        (norm(centre=True), "layer normalisation"),
        (norm(start="zeros"), "The gain starts at 0"),
        (norm(kept=False), "After loading, epsilon is another"),
        (norm(trainable=False), "0 trainable weights"),
        (norm(mean=np.mean), "use keras.ops"),
        (norm(root=lambda s, e: np.sqrt(s + e)), "use keras.ops"),
        (norm(gain=False), "is it multiplied in `call`?"),
        (norm(default=1e-3), "RMSNorm() has another epsilon"),
        (norm(passes=False), "hand **kwargs on"),
        (norm(whole=False), "super().get_config()"),
        (norm(ones=lambda shape: shape[1:]), "one number per channel, (2,), is wanted"),
        (lambda epsilon=1, name="": 1, "is no layer"),
        (lambda: None, "called as RMSNorm(epsilon=0.5, name='norm')"),
    ],
)
def test_rms_norm_names_the_mistake(wrong, hint):
    assert hint in complaint(check.rms_norm, wrong)


# small_model


def test_small_model_measures_and_says_what_is_missing(monkeypatch):
    def plainest():
        return keras.Sequential([keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(10)])

    monkeypatch.setattr("cnncourse.checks.keras_equality.STEPS", 20)
    text = complaint(check.small_model, plainest)
    assert "650  ✗ at most 600" in text
    assert "It sees too little" in text
    assert "without brackets" in complaint(check.small_model, plainest())

    def dead():
        start = keras.initializers.Constant(-99)
        hidden = layers.Dense(2, "relu", True, start, start)
        return keras.Sequential(
            [keras.Input((8, 8, 1)), layers.Flatten(), hidden, layers.Dense(10)]
        )

    assert "ReLUs can die" in complaint(check.small_model, dead)

    def softmax():
        model = plainest()
        return keras.Model(model.inputs, layers.Softmax()(model.outputs[0]))

    assert "ends in softmax; logits" in complaint(check.small_model, softmax)
    assert "gives 10 logits" in complaint(check.small_model, lambda: layers.Dense(10))
