"""The arithmetic against TensorFlow's own shapes, and against numbers worked by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnncourse import arithmetic

sizes = st.integers(1, 20)
kernels = st.integers(1, 7)
strides = st.integers(1, 4)
dilations = st.integers(1, 3)


def tensorflow_size(size, kernel, stride, padding, dilation):
    import tensorflow as tf

    row = tf.zeros([1, size, 1])
    taps = tf.ones([kernel, 1, 1])
    return tf.nn.convolution(row, taps, stride, padding.upper(), dilations=dilation).shape[1]


@settings(max_examples=300, deadline=None)
@given(sizes, kernels, strides, st.sampled_from(["same", "valid"]), dilations)
def test_output_size_is_tensorflows(size, kernel, stride, padding, dilation):
    if stride > 1 and dilation > 1:
        return  # TensorFlow refuses both at once
    span = (kernel - 1) * dilation + 1
    if padding == "valid" and span > size:
        with pytest.raises(ValueError, match="does not fit"):
            arithmetic.output_size(size, kernel, stride, padding, dilation)
        return
    ours = arithmetic.output_size(size, kernel, stride, padding, dilation)
    assert ours == tensorflow_size(size, kernel, stride, padding, dilation)


@settings(max_examples=200, deadline=None)
@given(sizes, kernels, strides)
def test_padding_amounts_put_the_windows_where_tensorflow_does(size, kernel, stride):
    import tensorflow as tf

    row = np.random.default_rng(0).normal(size=(1, size, 1))
    taps = np.random.default_rng(1).normal(size=(kernel, 1, 1))
    padded = np.pad(row, ((0, 0), arithmetic.padding_amounts(size, kernel, stride), (0, 0)))
    ours = tf.nn.convolution(padded, taps, stride, "VALID")
    np.testing.assert_allclose(ours, tf.nn.convolution(row, taps, stride, "SAME"), atol=1e-12)


def test_by_hand():
    assert arithmetic.output_size(28, 3) == 26
    assert arithmetic.output_size(7, 2, stride=2, padding="SAME") == 4
    assert arithmetic.output_size(5, 3, padding=1) == 5
    assert arithmetic.output_size(7, 3, dilation=2) == 3
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
        (lambda: arithmetic.conv_parameters(3, 8, 6, groups=4), "does not divide out_channels 6"),
        (lambda: arithmetic.conv_parameters(3, 6, 8, groups=4), "does not divide in_channels 6"),
        (lambda: arithmetic.conv_parameters(3, 0, 8), "in_channels is 0"),
        (lambda: arithmetic.dense_parameters(10, 0), "units is 0"),
    ],
)
def test_what_cannot_work_says_why(call, message):
    with pytest.raises(ValueError, match=message):
        call()
