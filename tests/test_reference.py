"""The NumPy layers against TensorFlow, against differences, and against their own loops."""

import tracemalloc

import numpy as np
import pytest
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from cnncourse import reference

EXACT = {"rtol": 1e-10, "atol": 1e-10}
seeds = st.integers(0, 2**32 - 1)
pairs = st.tuples(st.integers(0, 3), st.integers(0, 3))
paddings = st.sampled_from(["same", "valid", "SAME"]) | st.integers(0, 3) | st.tuples(pairs, pairs)


@st.composite
def numbers_or_pairs(draw, most):
    number = st.integers(1, most)
    return draw(number | st.tuples(number, number))


@st.composite
def convolutions(draw, plain=False):
    """(x, kernel, bias, how), where ``how`` is (stride, padding, dilation, groups).

    ``plain`` ones have no dilation and no groups: TensorFlow has their gradients without XLA.
    """
    groups = 1 if plain else draw(st.integers(1, 3))
    dilation = 1 if plain else draw(numbers_or_pairs(2))
    random = np.random.default_rng(draw(seeds))
    batch = draw(st.integers(1, 3))
    height, width = draw(st.tuples(st.integers(5, 9), st.integers(5, 9)))
    kernel_height, kernel_width = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    channels, filters = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    x = random.normal(size=(batch, height, width, channels * groups))
    kernel = random.normal(size=(kernel_height, kernel_width, channels, filters * groups))
    how = (draw(numbers_or_pairs(3)), draw(paddings), dilation, groups)
    return frozen(x), frozen(kernel), frozen(random.normal(size=filters * groups)), how


@st.composite
def pools(draw):
    """(x, window, stride, padding); small whole numbers, so that windows hold ties."""
    random = np.random.default_rng(draw(seeds))
    shape = draw(st.tuples(st.integers(1, 3), st.integers(4, 8), st.integers(4, 8), st.just(2)))
    x = random.integers(-2, 3, shape).astype(np.float64)
    window = draw(st.integers(1, 4) | st.tuples(st.integers(1, 4), st.integers(1, 4)))
    return frozen(x), window, draw(numbers_or_pairs(3)), draw(st.sampled_from(["same", "VALID"]))


def frozen(array):
    """Make an array that cannot be changed: a function that tried would raise."""
    array.setflags(write=False)
    return array


def for_tensorflow(padding):
    if isinstance(padding, str):
        return padding.upper()
    rows, columns = padding if isinstance(padding, tuple) else ((padding, padding),) * 2
    return [[0, 0], list(rows), list(columns), [0, 0]]


def taped(function, gradient, *arrays):
    """Output of a TensorFlow function, and d loss / d array for each of ``arrays``."""
    import tensorflow as tf

    tensors = [tf.constant(array) for array in arrays]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        output = function(*tensors)
    return [output, *tape.gradient(output, tensors, output_gradients=tf.constant(gradient))]


def compiled(function, *arguments):
    """Run through XLA: on a CPU, only it has the gradients of dilation and groups."""
    import tensorflow as tf

    return tf.function(lambda: function(*arguments), jit_compile=True, autograph=False)()


def differences(function, array, gradient, step=1e-4):
    """Gradient of ``(function(array) * gradient).sum()`` by central differences."""
    result = np.zeros_like(array)
    for place in np.ndindex(array.shape):
        changed = array.copy()
        changed[place] += step
        above = (function(changed) * gradient).sum()
        changed[place] -= 2 * step
        result[place] = (above - (function(changed) * gradient).sum()) / (2 * step)
    return result


def like(output, seed=0):
    return frozen(np.random.default_rng(seed).normal(size=output.shape))


# Convolution


@settings(max_examples=300, deadline=None)
@given(convolutions())
def test_conv2d_is_tensorflows(setting):
    import tensorflow as tf

    x, kernel, bias, (stride, padding, dilation, groups) = setting
    theirs = tf.nn.conv2d(x, kernel, stride, for_tensorflow(padding), dilations=dilation) + bias
    ours = reference.conv2d(x, kernel, bias, stride, padding, dilation, groups)
    assert_allclose(ours, theirs, **EXACT)


@settings(max_examples=50, deadline=None)
@given(convolutions())
def test_conv2d_naive_is_conv2d(setting):
    x, kernel, bias, how = setting
    x = x[:1]
    naive = reference.conv2d_naive(x, kernel, bias, *how)
    assert_allclose(naive, reference.conv2d(x, kernel, bias, *how), **EXACT)


def test_conv2d_by_hand():
    x = np.arange(16.0).reshape(1, 4, 4, 1)
    corners = np.array([[1.0, 0.0], [0.0, -1.0]])[:, :, None, None]
    for convolve in (reference.conv2d, reference.conv2d_naive):
        assert_array_equal(convolve(x, corners), np.full((1, 3, 3, 1), -5))
        assert_array_equal(convolve(x, corners, [2.0], stride=3), [[[[-3.0]]]])
        assert_array_equal(convolve(x, corners, dilation=2)[0, :, :, 0], np.full((2, 2), -10))
        same = convolve(x, corners, padding="same")[0, :, :, 0]
        assert_array_equal(same[3], x[0, 3, :, 0])  # the zeros go below and to the right
        assert_array_equal(convolve(x, corners, padding=1)[0, 0, :, 0], [0, -1, -2, -3, 0])


def test_groups_are_convolutions_side_by_side():
    random = np.random.default_rng(0)
    x, kernel = random.normal(size=(2, 6, 6, 6)), random.normal(size=(3, 3, 2, 9))
    parts = [
        reference.conv2d(x[..., 2 * g : 2 * g + 2], kernel[..., 3 * g : 3 * g + 3])
        for g in range(3)
    ]
    assert_allclose(reference.conv2d(x, kernel, groups=3), np.concatenate(parts, -1), **EXACT)


@settings(max_examples=100, deadline=None)
@given(convolutions())
def test_conv2d_backward_is_compiled_tensorflows(setting):
    import tensorflow as tf

    x, kernel, bias, how = setting
    stride, padding, dilation, _ = how
    gradient = like(reference.conv2d(x, kernel, bias, *how))

    def layer(x, kernel, bias):
        maps = tf.nn.conv2d(x, kernel, stride, for_tensorflow(padding), dilations=dilation)
        return maps + bias

    _, *theirs = compiled(taped, layer, gradient, x, kernel, bias)
    ours = reference.conv2d_backward(gradient, x, kernel, *how)
    for our, their in zip(ours, theirs, strict=True):
        assert_allclose(our, their, **EXACT)


@settings(max_examples=150, deadline=None)
@given(convolutions(plain=True))
def test_conv2d_backward_is_the_gradient_tapes(setting):
    import tensorflow as tf

    x, kernel, bias, how = setting
    gradient = like(reference.conv2d(x, kernel, bias, *how))

    def layer(x, kernel, bias):
        return tf.nn.conv2d(x, kernel, how[0], for_tensorflow(how[1])) + bias

    _, *theirs = taped(layer, gradient, x, kernel, bias)
    for our, their in zip(
        reference.conv2d_backward(gradient, x, kernel, *how), theirs, strict=True
    ):
        assert_allclose(our, their, **EXACT)


@settings(max_examples=15, deadline=None)
@given(convolutions())
def test_conv2d_backward_is_that_of_differences(setting):
    x, kernel, bias, how = setting
    x = x[:1]
    gradient = like(reference.conv2d(x, kernel, bias, *how))
    ours = reference.conv2d_backward(gradient, x, kernel, *how)
    for our, theirs in (
        (ours.x, differences(lambda x: reference.conv2d(x, kernel, bias, *how), x, gradient)),
        (ours.kernel, differences(lambda k: reference.conv2d(x, k, bias, *how), kernel, gradient)),
        (ours.bias, differences(lambda b: reference.conv2d(x, kernel, b, *how), bias, gradient)),
    ):
        assert_allclose(our, theirs, rtol=1e-7, atol=1e-7)


@settings(max_examples=150, deadline=None)
@given(convolutions(plain=True))
def test_conv2d_transpose_is_tensorflows(setting):
    import tensorflow as tf

    large, kernel, _, (stride, padding, _, _) = setting
    maps = like(reference.conv2d(large, kernel, None, stride, padding))
    ours, bias, output_padding = back_to(large, maps, kernel, stride, padding)
    if ours is None:
        return
    gradient = like(ours, 1)

    def layer(maps, kernel, bias):
        where = for_tensorflow(padding)
        return tf.nn.conv2d_transpose(maps, kernel, large.shape, stride, where) + bias

    output, *theirs = taped(layer, gradient, maps, kernel, bias)
    assert_allclose(ours, output, **EXACT)
    backward = reference.conv2d_transpose_backward(
        gradient, maps, kernel, stride, padding, output_padding
    )
    for our, their in zip(backward, theirs, strict=True):
        assert_allclose(our, their, **EXACT)


def back_to(large, maps, kernel, stride, padding):
    """Transposed convolution of ``maps`` to the size of ``large``; None where it has no such."""
    bias = frozen(np.random.default_rng(2).normal(size=kernel.shape[2]))
    for output_padding in (None, *np.ndindex(3, 3)):
        try:
            y = reference.conv2d_transpose(maps, kernel, bias, stride, padding, output_padding)
        except ValueError:
            continue
        if y.shape == large.shape:
            return y, bias, output_padding
    return None, bias, None


@settings(max_examples=60, deadline=None)
@given(convolutions(plain=True), st.sampled_from(["same", "valid"]))
def test_conv2d_transpose_is_keras(setting, padding):
    import keras

    x, kernel, _, (stride, *_) = setting
    kernel = kernel.swapaxes(2, 3)
    theirs = keras.ops.conv_transpose(x, kernel, stride, padding)
    ours = reference.conv2d_transpose(x, kernel, None, stride, padding)
    assert_allclose(ours, theirs, **EXACT)


@settings(max_examples=200, deadline=None)
@given(convolutions(), st.none() | st.tuples(st.integers(0, 2), st.integers(0, 2)))
def test_conv2d_transpose_is_the_adjoint_of_conv2d(setting, output_padding):
    y, kernel, _, (stride, padding, dilation, groups) = setting
    kernel = like(np.empty((*kernel.shape[:2], kernel.shape[3] // groups, y.shape[3])))
    try:
        back = reference.conv2d_transpose(
            y, kernel, None, stride, padding, output_padding, dilation, groups
        )
    except ValueError:
        return  # an output_padding that cannot be
    x = like(back)
    there = reference.conv2d(x, kernel, None, stride, padding, dilation, groups)
    assert there.shape == y.shape
    assert_allclose((there * y).sum(), (x * back).sum(), **EXACT)


@settings(max_examples=15, deadline=None)
@given(convolutions())
def test_conv2d_transpose_backward_is_that_of_differences(setting):
    x, kernel, _, (stride, padding, dilation, groups) = setting
    x = x[:1, :4, :4]
    kernel = like(np.empty((*kernel.shape[:2], kernel.shape[3] // groups, x.shape[3])))
    bias = like(np.empty(kernel.shape[2] * groups))
    how = (stride, padding, None, dilation, groups)
    transpose = reference.conv2d_transpose
    try:
        gradient = like(transpose(x, kernel, bias, *how))
    except ValueError as error:
        assert "leaves an output of" in str(error)  # noqa: PT017
        return
    ours = reference.conv2d_transpose_backward(gradient, x, kernel, *how)
    for our, theirs in (
        (ours.x, differences(lambda x: transpose(x, kernel, bias, *how), x, gradient)),
        (ours.kernel, differences(lambda k: transpose(x, k, bias, *how), kernel, gradient)),
        (ours.bias, differences(lambda b: transpose(x, kernel, b, *how), bias, gradient)),
    ):
        assert_allclose(our, theirs, rtol=1e-7, atol=1e-7)


def test_chunks_change_nothing_but_memory(monkeypatch):
    random = np.random.default_rng(0)
    x, kernel = random.normal(size=(7, 8, 8, 4)), random.normal(size=(3, 3, 2, 6))
    how = (2, "same", 1, 2)
    whole = reference.conv2d(x, kernel, None, *how)
    gradients = reference.conv2d_backward(whole, x, kernel, *how)
    one_image = 4 * 4 * 3 * 3 * 4 * 8
    for size in (1, 2 * one_image, 3 * one_image):
        monkeypatch.setattr(reference, "CHUNK_BYTES", size)
        assert_allclose(reference.conv2d(x, kernel, None, *how), whole, **EXACT)
        for ours, theirs in zip(
            reference.conv2d_backward(whole, x, kernel, *how), gradients, strict=True
        ):
            assert_allclose(ours, theirs, **EXACT)


def test_conv2d_memory_is_the_result_and_a_chunk():
    x, kernel = np.ones((64, 28, 28, 8), np.float32), np.ones((5, 5, 8, 4), np.float32)
    reference.conv2d(x[:1], kernel)
    tracemalloc.start()
    result = reference.conv2d(x, kernel, padding="same")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    padded_chunk = reference.CHUNK_BYTES  # never more than the windows cut from it, at stride 1
    all_windows = 25 * x.nbytes
    assert peak < result.nbytes + reference.CHUNK_BYTES + padded_chunk + 2**20 < all_windows / 2


# Pooling


@settings(max_examples=200, deadline=None)
@given(pools())
def test_pools_are_tensorflows_ties_and_overlaps_included(setting):
    import tensorflow as tf

    x, window, stride, padding = setting
    for ours, ours_backward, theirs in (
        (reference.max_pool2d, reference.max_pool2d_backward, tf.nn.max_pool2d),
        (reference.avg_pool2d, reference.avg_pool2d_backward, tf.nn.avg_pool2d),
    ):
        y = ours(x, window, stride, padding)
        gradient = like(y)
        output, d_x = taped(
            lambda x, pool=theirs: pool(x, window, stride, padding.upper()), gradient, x
        )
        assert_allclose(y, output, **EXACT)
        assert_allclose(ours_backward(gradient, x, window, stride, padding), d_x, **EXACT)


@settings(max_examples=60, deadline=None)
@given(pools(), pairs, pairs)
def test_max_pool_with_numbers_of_padding_is_tensorflows(setting, rows, columns):
    import tensorflow as tf

    x, window, stride, _ = setting
    height, width = (window, window) if isinstance(window, int) else window
    padding = tuple(
        tuple(min(amount, side - 1) for amount in amounts)
        for side, amounts in ((height, rows), (width, columns))
    )
    theirs = tf.nn.max_pool2d(x, window, stride, for_tensorflow(padding))
    assert_allclose(reference.max_pool2d(x, window, stride, padding), theirs, **EXACT)
    # An average that leaves padding out is a sum over the pixels, by a count of the pixels.
    ones = np.ones((height, width, 1, 1))
    sums, counts = (
        reference.conv2d(a, np.repeat(ones, 2, 3), None, stride, padding, 1, 2)
        for a in (x, np.ones_like(x))
    )
    assert_allclose(reference.avg_pool2d(x, window, stride, padding), sums / counts, **EXACT)


@settings(max_examples=15, deadline=None)
@given(pools(), st.integers(0, 2**16))
def test_pool_gradients_are_those_of_differences(setting, seed):
    x, window, stride, padding = setting
    x = np.random.default_rng(seed).permutation(x[:1].size).reshape(x[:1].shape) / 7.0  # no ties
    how = (window, stride, padding)
    for pool, backward in (
        (reference.max_pool2d, reference.max_pool2d_backward),
        (reference.avg_pool2d, reference.avg_pool2d_backward),
    ):
        gradient = like(pool(x, *how))
        theirs = differences(lambda x, pool=pool: pool(x, *how), x, gradient)
        assert_allclose(backward(gradient, x, *how), theirs, rtol=1e-7, atol=1e-7)


def test_pools_by_hand():
    x = np.array([[1.0, 2, 0], [5, 5, 0], [0, 0, 9]])[None, :, :, None]
    assert_array_equal(reference.max_pool2d(x)[0, :, :, 0], [[5]])
    assert_array_equal(reference.max_pool2d(x, padding="same")[0, :, :, 0], [[5, 0], [0, 9]])
    assert_array_equal(reference.avg_pool2d(x, padding="same")[0, :, :, 0], [[3.25, 0], [0, 9]])
    first = reference.max_pool2d_backward(np.ones((1, 1, 1, 1)), x)[0, :, :, 0]
    assert_array_equal(first, [[0, 0, 0], [1, 0, 0], [0, 0, 0]])
    assert_array_equal(reference.max_pool2d(-x, 3, padding=1), [[[[0 - 1.0]]]])


# Dense, activation and loss


def test_dense_relu_and_softmax_are_tensorflows():
    import tensorflow as tf

    random = np.random.default_rng(0)
    x, kernel, bias = (frozen(random.normal(size=shape)) for shape in ((5, 7), (7, 3), (3,)))
    for name, ours, backward, layer, arguments in (
        (
            "dense",
            reference.dense(x, kernel, bias),
            lambda g: reference.dense_backward(g, x, kernel),
            lambda x, kernel, bias: x @ kernel + bias,
            (x, kernel, bias),
        ),
        (
            "relu",
            reference.relu(x),
            lambda g: [reference.relu_backward(g, x)],
            tf.nn.relu,
            (x,),
        ),
        (
            "softmax",
            reference.softmax(x),
            lambda g: [reference.softmax_backward(g, x)],
            tf.nn.softmax,
            (x,),
        ),
    ):
        gradient = like(ours)
        output, *theirs = taped(layer, gradient, *arguments)
        assert_allclose(ours, output, **EXACT, err_msg=name)
        for our, their in zip(backward(gradient), theirs, strict=True):
            assert_allclose(our, their, **EXACT, err_msg=name)


def test_relu_lets_nothing_through_at_zero():
    assert_array_equal(reference.relu_backward([1.0, 1.0, 1.0], [-1.0, 0.0, 1.0]), [0, 0, 1])


@pytest.mark.parametrize("scale", [1.0, 1e3, 1e300])
def test_softmax_cross_entropy_is_tensorflows_and_scipys_even_on_huge_logits(scale):
    import tensorflow as tf

    random = np.random.default_rng(0)
    logits, labels = frozen(scale * random.normal(size=(8, 10))), frozen(random.integers(0, 10, 8))
    loss = reference.softmax_cross_entropy(logits, labels)
    gradient = like(loss)
    output, d_logits = taped(
        lambda logits: tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits),
        gradient,
        logits,
    )
    log_p = scipy.special.log_softmax(logits, -1)
    assert np.isfinite(loss).all()
    assert_allclose(loss, -log_p[np.arange(8), labels], rtol=1e-10)
    assert_allclose(loss, output, rtol=1e-10)
    ours = reference.softmax_cross_entropy_backward(gradient, logits, labels)
    assert_allclose(ours, d_logits, **EXACT)
    assert_allclose(reference.softmax(logits), scipy.special.softmax(logits, -1), **EXACT)


def test_loss_by_hand():
    assert_allclose(reference.softmax_cross_entropy([[0.0, 0.0]], [1]), [np.log(2)])
    assert_allclose(reference.softmax([0.0, np.log(3)]), [0.25, 0.75])
    backward = reference.softmax_cross_entropy_backward([1.0], [[0.0, 0.0]], [1])
    assert_allclose(backward, [[0.5, -0.5]])


def test_loss_gradients_are_those_of_differences():
    random = np.random.default_rng(1)
    logits, labels = random.normal(size=(3, 4)), np.array([0, 3, 1], np.uint8)
    g = like(np.empty(3))
    theirs = differences(lambda z: reference.softmax_cross_entropy(z, labels), logits, g)
    ours = reference.softmax_cross_entropy_backward(g, logits, labels)
    assert_allclose(ours, theirs, rtol=1e-7, atol=1e-7)
    g = like(logits)
    theirs = differences(reference.softmax, logits, g)
    assert_allclose(reference.softmax_backward(g, logits), theirs, rtol=1e-7, atol=1e-7)


# Types and errors


def every_output(dtype):
    """Every function on arrays of one type, frozen: what they return, by name."""

    def ones(*shape):
        return frozen(np.ones(shape, dtype))

    x, kernel, bias, labels = ones(2, 4, 4, 2), ones(3, 3, 2, 4), ones(4), np.array([0, 1])
    maps, pooled = ones(2, 2, 2, 4), ones(2, 2, 2, 2)
    back, flat = frozen(kernel.swapaxes(2, 3)), ones(2, 4)
    return {
        "conv2d": [reference.conv2d(x, kernel, bias)],
        "conv2d_naive": [reference.conv2d_naive(x, kernel, bias)],
        "conv2d_backward": reference.conv2d_backward(maps, x, kernel),
        "conv2d_transpose": [reference.conv2d_transpose(x, back, bias)],
        "conv2d_transpose_backward": reference.conv2d_transpose_backward(ones(2, 6, 6, 4), x, back),
        "max_pool2d": [reference.max_pool2d(x)],
        "max_pool2d_backward": [reference.max_pool2d_backward(pooled, x)],
        "avg_pool2d": [reference.avg_pool2d(x)],
        "avg_pool2d_backward": [reference.avg_pool2d_backward(pooled, x)],
        "dense": [reference.dense(flat, ones(4, 3), ones(3))],
        "dense_backward": reference.dense_backward(ones(2, 3), flat, ones(4, 3)),
        "relu": [reference.relu(x)],
        "relu_backward": [reference.relu_backward(x, x)],
        "softmax": [reference.softmax(flat)],
        "softmax_backward": [reference.softmax_backward(flat, flat)],
        "softmax_cross_entropy": [reference.softmax_cross_entropy(flat, labels)],
        "softmax_cross_entropy_backward": [
            reference.softmax_cross_entropy_backward(ones(2), flat, labels)
        ],
    }


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "uint8", "int64", "bool"])
def test_floats_are_kept_and_whole_numbers_become_float64(dtype):
    expected = dtype if dtype.startswith("float") else "float64"
    for name, arrays in every_output(dtype).items():
        for array in arrays:
            assert array.dtype == expected, name


def test_where_two_types_meet_the_wider_one_wins():
    x, kernel = np.ones((1, 3, 3, 1), np.float32), np.ones((2, 2, 1, 1))
    assert reference.conv2d(x, kernel).dtype == np.float64
    assert reference.conv2d(x, kernel.astype(np.float16)).dtype == np.float32


def test_an_empty_batch_is_a_batch():
    x, kernel = np.ones((0, 4, 4, 2)), np.ones((3, 3, 2, 4))
    y = reference.conv2d(x, kernel)
    assert y.shape == (0, 2, 2, 4)
    assert_array_equal(reference.conv2d_backward(y, x, kernel).kernel, np.zeros_like(kernel))
    assert reference.max_pool2d(x).shape == reference.avg_pool2d(x).shape == (0, 2, 2, 2)


X, K = np.ones((2, 5, 5, 4)), np.ones((3, 3, 4, 6))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: reference.conv2d(X[0], K), r"x has shape \(5, 5, 4\); it needs 4 axes: \[batch"),
        (lambda: reference.conv2d(X, K[0]), r"kernel has shape \(3, 4, 6\); it needs 4 axes"),
        (lambda: reference.conv2d([[1], [1, 2]], K), "x is no array; give rows of equal length"),
        (lambda: reference.conv2d(X * 1j, K), "x has dtype complex128; use floats"),
        (lambda: reference.conv2d(np.array("x"), K), "x has dtype <U1; use floats"),
        (lambda: reference.conv2d(X[:, :0], K), "no axis but the batch may be empty"),
        (
            lambda: reference.conv2d(X[..., :3], K),
            r"x has 3 channels, but kernel has shape \(3, 3, 4, 6\), for 4 in each of 1 groups; "
            r"give a kernel of shape \(3, 3, 3, 6\)",
        ),
        (lambda: reference.conv2d(X, K, groups=2), r"give a kernel of shape \(3, 3, 2, 6\)"),
        (lambda: reference.conv2d(X, K, groups=4), "groups 4 does not divide out_channels 6"),
        (lambda: reference.conv2d(X, K, groups=3), "groups 3 does not divide in_channels 4"),
        (lambda: reference.conv2d(X, K, groups=0), "groups is 0, less than 1"),
        (lambda: reference.conv2d(X, K, np.ones(4)), r"bias has shape \(4,\); .* it is \(6,\)"),
        (lambda: reference.conv2d(X[:, :2], K), "kernel 3 does not fit into size 2 with padding"),
        (lambda: reference.conv2d(X, K, dilation=3), "spans 7 with dilation 3"),
        (lambda: reference.conv2d(X, K, stride=0), "stride is 0, less than 1"),
        (lambda: reference.conv2d(X, K, stride=(1, 1, 1)), "stride is .1, 1, 1.; give one number"),
        (lambda: reference.conv2d(X, K, dilation=(1, 0)), "dilation is 0, less than 1"),
        (lambda: reference.conv2d(X, K, dilation=1.5), "dilation is 1.5, not a whole number"),
        (lambda: reference.conv2d(X, K, padding="full"), "padding is 'full'; use 'valid'"),
        (lambda: reference.conv2d(X, K, padding=-1), "padding is -1, less than 0"),
        (lambda: reference.conv2d(X, K, padding=(1, 2)), "padding is .1, 2.; use .*top, bottom"),
        (lambda: reference.conv2d(X, K, padding=((1, 1), (1, -2))), "padding is -2"),
        (lambda: reference.conv2d(X, K, padding=((1, 1), (1,))), "a pair is .before, after."),
        (
            lambda: reference.conv2d_backward(np.ones((2, 3, 3, 5)), X, K),
            r"gradient has shape \(2, 3, 3, 5\); .* layer's output, \(2, 3, 3, 6\)",
        ),
        (lambda: reference.conv2d_transpose(X, K), "x has 4 channels, but kernel has .*, for 6"),
        (
            lambda: reference.conv2d_transpose(X, np.ones((3, 3, 1, 4)), groups=3),
            "groups 3 does not divide out_channels 4",
        ),
        (
            lambda: reference.conv2d_transpose(X, np.ones((3, 3, 1, 4)), output_padding=1),
            "output_padding is 1, which makes the output 8",
        ),
        (
            lambda: reference.conv2d_transpose(X, np.ones((3, 3, 1, 4)), np.ones(2)),
            r"bias has shape \(2,\)",
        ),
        (
            lambda: reference.conv2d_transpose_backward(X, X, np.ones((3, 3, 1, 4))),
            r"gradient has shape .* \(2, 7, 7, 1\)",
        ),
        (lambda: reference.max_pool2d(X[0]), "x has shape"),
        (lambda: reference.max_pool2d(X, 6), "window 6 does not fit into size 5"),
        (lambda: reference.max_pool2d(X, 0), "window is 0, less than 1"),
        (lambda: reference.max_pool2d(X, (2, 2, 2)), "window is .2, 2, 2.; give one number"),
        (lambda: reference.max_pool2d(X, 2, 0), "stride is 0"),
        (lambda: reference.avg_pool2d(X, 2, padding=2), "padding is 2, so that a window 2 could"),
        (
            lambda: reference.max_pool2d_backward(X, X),
            r"gradient has shape .* \(2, 2, 2, 4\)",
        ),
        (lambda: reference.avg_pool2d_backward(X, X), "gradient has shape"),
        (lambda: reference.dense(X, K), r"x has shape .*; it needs 2 axes: \[batch, inputs\]"),
        (
            lambda: reference.dense(np.ones((2, 3)), np.ones((4, 5))),
            r"x has 3 inputs, but kernel has shape \(4, 5\), for 4; give .* \(3, 5\)",
        ),
        (lambda: reference.dense(np.ones((2, 3)), np.ones((3, 5)), np.ones(1)), "bias has shape"),
        (
            lambda: reference.dense_backward(np.ones((2, 4)), np.ones((2, 3)), np.ones((3, 5))),
            r"gradient has shape \(2, 4\); .* \(2, 5\)",
        ),
        (lambda: reference.relu_backward(np.ones(3), np.ones(4)), "gradient has shape"),
        (lambda: reference.softmax_backward(np.ones(3), np.ones(4)), "gradient has shape"),
        (lambda: reference.softmax_cross_entropy(np.ones(3), [1]), r"axes: \[batch, classes\]"),
        (
            lambda: reference.softmax_cross_entropy(np.ones((2, 3)), [0, 3]),
            "labels holds 3; with 3 classes use 0 to 2",
        ),
        (lambda: reference.softmax_cross_entropy(np.ones((2, 3)), [-1, 0]), "labels holds -1"),
        (
            lambda: reference.softmax_cross_entropy(np.ones((2, 3)), np.eye(2, 3)),
            r"labels has dtype float64 and shape \(2, 3\); give one class number",
        ),
        (lambda: reference.softmax_cross_entropy(np.ones((2, 3)), [0]), r"shape \(1,\); give one"),
        (
            lambda: reference.softmax_cross_entropy_backward([1.0], np.ones((2, 3)), [0, 1]),
            r"gradient has shape \(1,\)",
        ),
    ],
)
def test_what_cannot_work_says_why(call, message):
    with pytest.raises(ValueError, match=message):
        call()
