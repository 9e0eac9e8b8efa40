"""The arithmetic against TensorFlow's own shapes, and against numbers worked by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnncourse import arithmetic, networks

PADDINGS = ("same", "SAME", "valid", "number", "pair")


@st.composite
def batches_of_settings(draw, paddings=PADDINGS):
    """100 settings (size, kernel, stride, padding, dilation); an example checks them all.

    NumPy draws them, from a seed: Hypothesis, asked for so many, repeats itself too often.
    """
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    batch = []
    for _ in range(100):
        size, kernel, stride, dilation = (int(random.integers(1, n + 1)) for n in (60, 9, 6, 4))
        padding = random.choice(paddings).item()
        if padding == "number":
            padding = int(random.integers(5))
        elif padding == "pair":
            padding = tuple(random.integers(5, size=2).tolist())
        batch.append((size, kernel, stride, padding, dilation))
    return batch


def tensorflow_convolution(row, taps, stride, padding, dilation):
    import tensorflow as tf

    if not isinstance(padding, str):
        padding = [[0, 0], [0, 0], padding, [0, 0]]
    maps = tf.nn.conv2d(
        row[None, None, :, None],
        taps[None, :, None, None],
        [1, stride],
        padding.upper() if isinstance(padding, str) else padding,
        dilations=[1, dilation],
    )
    return maps[0, 0, :, 0].numpy()


@settings(max_examples=80, deadline=None)
@given(batches_of_settings())
def test_output_size_is_tensorflows(batch):
    for size, kernel, stride, padding, dilation in batch:
        span = (kernel - 1) * dilation + 1
        numbers = {"valid": (0, 0)}.get(padding, padding)
        both = (numbers, numbers) if isinstance(numbers, int) else numbers
        if isinstance(both, tuple) and span > size + sum(both):
            with pytest.raises(ValueError, match="does not fit"):
                arithmetic.output_size(size, kernel, stride, padding, dilation)
            continue
        theirs = tensorflow_convolution(
            np.zeros(size),
            np.zeros(kernel),
            stride,
            padding if isinstance(padding, str) else both,
            dilation,
        )
        assert arithmetic.output_size(size, kernel, stride, padding, dilation) == len(theirs)


@settings(max_examples=60, deadline=None)
@given(batches_of_settings(["same"]))
def test_padding_amounts_put_the_windows_where_tensorflow_does(batch):
    for size, kernel, stride, _, dilation in batch:
        row, taps = np.arange(1.0, size + 1), 32.0 ** np.arange(kernel)
        before_and_after = arithmetic.padding_amounts(size, kernel, stride, dilation)
        padded = np.pad(row, before_and_after)
        ours = [
            padded[first : first + (kernel - 1) * dilation + 1 : dilation] @ taps
            for first in range(0, len(padded) - (kernel - 1) * dilation, stride)
        ]
        theirs = tensorflow_convolution(row, taps, stride, "same", dilation)
        np.testing.assert_array_equal(ours, theirs)


output_paddings = st.none() | st.integers(0, 3)


@settings(max_examples=30, deadline=None)
@given(batches_of_settings(["same", "valid"]), output_paddings)
def test_transposed_output_size_is_keras(batch, output_padding):
    import keras

    for size, kernel, stride, padding, dilation in batch:
        if stride > 1 and dilation > 1:
            stride = 1  # Keras refuses both at once
        extra = output_padding and min(output_padding, stride - 1)  # and refuses more than this
        layer = keras.layers.Conv2DTranspose(
            1,
            kernel,
            stride,
            padding,
            output_padding=extra,
            dilation_rate=dilation,
        )
        theirs = layer.compute_output_shape((1, size, size, 1))[1]
        setting = (size, kernel, stride, padding, extra, dilation)
        if -(-theirs // stride) != size and padding == "same":
            with pytest.raises(ValueError, match="output_padding"):
                arithmetic.transposed_output_size(*setting)
        else:
            assert arithmetic.transposed_output_size(*setting) == theirs


@settings(max_examples=20, deadline=None)
@given(batches_of_settings(), output_paddings)
def test_a_transposed_size_is_one_that_the_convolution_leads_back_from(batch, output_padding):
    for size, kernel, stride, padding, dilation in batch:
        around = (kernel, stride, padding)
        try:
            large = arithmetic.transposed_output_size(size, *around, output_padding, dilation)
        except ValueError:
            continue  # the messages are tested below
        assert large >= 1
        assert arithmetic.output_size(large, *around, dilation) == size


amounts = st.integers(0, 4)
windows = st.builds(
    arithmetic.Window,
    st.integers(1, 5),
    st.integers(1, 3),
    st.integers(1, 2),
    st.sampled_from(["same", "valid"]) | amounts | st.tuples(amounts, amounts),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(windows, min_size=1, max_size=3))
def test_receptive_fields_are_where_impulses_go(layers):
    extent = 300
    seen = np.eye(extent)  # [input element, position]: 0 where the position does not see it
    for layer, field in zip(layers, arithmetic.receptive_fields(layers, extent), strict=True):
        before, after = arithmetic.padding_amounts(
            seen.shape[1], layer.kernel, layer.stride, layer.dilation, layer.padding
        )
        padded = np.pad(seen, ((0, 0), (before, after)))
        last = padded.shape[1] - (layer.kernel - 1) * layer.dilation
        seen = sum(
            padded[:, tap * layer.dilation :][:, : last : layer.stride]
            for tap in range(layer.kernel)
        )
        middle = seen.shape[1] // 2
        elements = np.flatnonzero(seen[:, middle])
        assert elements[0] == field.start + middle * field.jump
        assert elements[-1] == elements[0] + field.size - 1
    assert field == arithmetic.receptive_field(layers, extent)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 3), st.integers(1, 2)), max_size=3))
def test_without_a_size_same_padding_is_that_of_a_size_the_strides_divide(layers):
    layers = [arithmetic.Window(*layer, "same") for layer in layers]
    divisible = 2**3 * 3**3
    assert arithmetic.receptive_field(layers) == arithmetic.receptive_field(layers, divisible)


def test_receptive_fields_by_hand():
    lenet = [(5, 1), (2, 2), (5, 1), (2, 2)]
    assert arithmetic.receptive_field([]) == (1, 1, 0)
    assert arithmetic.receptive_fields(lenet) == ((5, 1, 0), (6, 2, 0), (14, 2, 0), (16, 4, 0))
    assert arithmetic.receptive_field([(3, 1, 2), (3, 1, 4)]) == (13, 1, 0)
    field = arithmetic.receptive_field(lenet)
    assert (field.size, field.jump, field.start) == (16, 4, 0)


def test_receptive_field_of_vgg16_is_the_published_one():
    conv, pool = arithmetic.Window(3, padding="same"), arithmetic.Window(2, 2)
    layers = [layer for depth in (2, 2, 3, 3, 3) for layer in (*[conv] * depth, pool)]
    # Araujo et al. 2019, table: receptive field 212, effective stride 32, effective padding 90
    assert arithmetic.receptive_field(layers) == (212, 32, -90)


def test_receptive_field_reads_the_layers_of_a_network():
    layers = networks.NETWORKS["mnist-tf"].layers[:4]
    assert arithmetic.receptive_field(layers) == (16, 4, -6)
    assert arithmetic.receptive_field(layers, 28) == (16, 4, -6)
    with_dropout = networks.NETWORKS["cifar10-lenet-tf"].layers[:6]
    fields = arithmetic.receptive_fields(with_dropout, 32)
    assert [field.size for field in fields] == [4, 5, 5, 11, 13, 13]


def test_by_hand():
    assert arithmetic.output_size(28, 3) == 26
    assert arithmetic.output_size(7, 2, stride=2, padding="SAME") == 4
    assert arithmetic.output_size(5, 3, padding=1) == 5
    assert arithmetic.output_size(7, 3, dilation=2) == 3
    assert arithmetic.output_size(5, 3, padding=(1, 0)) == 4
    assert arithmetic.transposed_output_size(14, 5, stride=2, padding="SAME") == 28
    assert arithmetic.transposed_output_size(4, 3, stride=2) == 9
    assert arithmetic.transposed_output_size(4, 3, stride=2, output_padding=1) == 10
    assert arithmetic.transposed_output_size(4, 3, stride=2, padding=1) == 7
    assert arithmetic.transposed_output_size(4, 2, stride=3) == 12
    assert arithmetic.transposed_output_size(4, 3, dilation=2) == 8
    assert arithmetic.padding_amounts(28, 4) == (1, 2)
    assert arithmetic.conv_parameters(5, 1, 32) == 832
    assert arithmetic.conv_parameters((3, 5), 4, 8, bias=False) == 480
    assert arithmetic.conv_parameters(3, 8, 8, groups=4) == 152
    assert arithmetic.conv_multiply_adds(14, 14, 4, 32, 64) == 6_422_528
    assert arithmetic.dense_parameters(3136, 1024) == 3_212_288


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: arithmetic.output_size(3, 5), "kernel 5 does not fit into size 3 with padding"),
        (lambda: arithmetic.output_size(4, 3, dilation=2), "spans 5 with dilation 2"),
        (lambda: arithmetic.output_size(8, 3, stride=0), "stride is 0, less than 1"),
        (lambda: arithmetic.output_size(8, 0), "kernel is 0"),
        (lambda: arithmetic.output_size(0, 1), "size is 0"),
        (lambda: arithmetic.output_size(8, 3, dilation=0), "dilation is 0"),
        (lambda: arithmetic.output_size(8, 3, padding=-1), "padding is -1"),
        (lambda: arithmetic.output_size(8, 3, padding="full"), "padding is 'full'; use 'valid'"),
        (lambda: arithmetic.output_size(8.0, 3), "size is 8.0, not a whole number"),
        (lambda: arithmetic.output_size(8, 3, padding=True), "padding is True"),
        (lambda: arithmetic.output_size(8, 3, padding=(1, -1)), "padding is -1"),
        (lambda: arithmetic.output_size(8, 3, padding=(1, 1, 1)), "a pair is .before, after."),
        (lambda: arithmetic.output_size(8, 3, padding=None), "padding is None, not a whole"),
        (lambda: arithmetic.output_size(np.array([8, 8]), 3), "not a whole number"),
        (lambda: arithmetic.output_size("8", 3), "size is '8', not a whole number"),
        (lambda: arithmetic.output_size(8, 3, 1, (0, 0.5)), "padding is 0.5, not a whole"),
        (lambda: arithmetic.transposed_output_size(4, 3, 0), "stride is 0"),
        (lambda: arithmetic.transposed_output_size(0, 3), "size is 0"),
        (lambda: arithmetic.transposed_output_size(4, 3, padding=-1), "padding is -1"),
        (lambda: arithmetic.transposed_output_size(4, 3, padding="full"), "padding is 'full'"),
        (
            lambda: arithmetic.transposed_output_size(4, 3, 2, output_padding=2),
            "output_padding is 2, which makes the output 11; a convolution leads from 11 to 5",
        ),
        (
            lambda: arithmetic.transposed_output_size(4, 3, output_padding=-1),
            "output_padding is -1, less than 0",
        ),
        (lambda: arithmetic.transposed_output_size(1, 3, padding=2), "leaves an output of -1"),
        (lambda: arithmetic.receptive_field(5), "layers is 5; give a list"),
        (lambda: arithmetic.receptive_field([5]), "layer is 5, which slides no window"),
        (lambda: arithmetic.receptive_field([(3, 0)]), "stride is 0, less than 1"),
        (lambda: arithmetic.receptive_field([(0, 1)]), "kernel is 0"),
        (lambda: arithmetic.receptive_field([(3, 1, 1, "valid", 1)]), "slides no window"),
        (lambda: arithmetic.receptive_field([(5, 1)], 4), "kernel 5 does not fit into size 4"),
        (
            lambda: arithmetic.receptive_field(networks.NETWORKS["mnist-tf"].layers),
            r"layer is Flatten\(\).*stop before Flatten",
        ),
        (lambda: arithmetic.conv_parameters((3, 3, 3), 1, 1), "kernel is .3, 3, 3.; give one"),
        (lambda: arithmetic.conv_parameters(3, 8, 6, groups=4), "does not divide out_channels 6"),
        (lambda: arithmetic.conv_parameters(3, 6, 8, groups=4), "does not divide in_channels 6"),
        (lambda: arithmetic.conv_parameters(3, 0, 8), "in_channels is 0"),
        (lambda: arithmetic.dense_parameters(10, 0), "units is 0"),
    ],
)
def test_what_cannot_work_says_why(call, message):
    with pytest.raises(ValueError, match=message):
        call()
