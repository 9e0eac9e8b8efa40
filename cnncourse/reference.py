"""The layers in NumPy, forward and backward: the definition that all the rest is tested against.

Images are [batch, height, width, channels], kernels [height, width, in_channels, out_channels].
Stride, dilation and window are one number or (height, width); ``padding`` is "valid", "same", a
number of zeros on every side, or ((top, bottom), (left, right)), placed as TensorFlow does.

A backward function takes ``gradient``, which is d loss / d output and shaped like the output, then
what its layer took (but the bias, which no gradient depends on), and returns d loss / d input.

Floating types are kept, the wider one where two meet; whole numbers are computed as float64.
Arguments are never changed. What cannot work is a ValueError that says why. Lesson 01 builds
`conv2d`, lesson 02 the pools, lesson 04 every backward function.
"""

from collections.abc import Iterator, Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike

from cnncourse import arithmetic

Array = np.ndarray[Any, np.dtype[Any]]
Pair = int | tuple[int, int]
Padding = str | int | tuple[tuple[int, int], tuple[int, int]]

CHUNK_BYTES = 4 * 2**20
"""Bytes of windows that are copied at a time; one image's windows, where they are more."""


class Gradients(NamedTuple):
    """d loss / d input, kernel and bias of a convolution or a dense layer, each in its shape."""

    x: Array
    kernel: Array
    bias: Array


# Convolution


def conv2d(
    x: ArrayLike,
    kernel: ArrayLike,
    bias: ArrayLike | None = None,
    stride: Pair = 1,
    padding: Padding = "valid",
    dilation: Pair = 1,
    groups: int = 1,
) -> Array:
    """Slide every filter over every image: multiply, add, move on.

    ``y[n, r, c, f] = bias[f] + sum over i, j, k of
    x[n, r * stride + i * dilation, c * stride + j * dilation, k] * kernel[i, j, k, f]``
    where ``x`` is padded. Each window becomes a row of a matrix, each filter a column; one product
    does the rest. With ``groups``, the filters are split into that many equal groups, and each
    group sees its own equal share of the channels.

    Shapes: x [batch, height, width, in_channels], kernel [height, width, in_channels / groups,
    out_channels], bias [out_channels] or None, result [batch, out_height, out_width, out_channels].
    Raises ValueError for wrong ranks, channels that do not match, groups that do not divide them,
    and a kernel that does not fit. Memory besides the result: `CHUNK_BYTES` of windows (or those of
    one image, if they are more) and the images they are cut from, padded. Lesson 01 builds it.
    """
    x, kernel, bias = _conv_arguments(x, kernel, bias, groups)
    sliding = _Sliding.plan(x.shape[1:3], kernel.shape[:2], stride, padding, dilation)
    matrix = _kernel_matrix(kernel, groups)
    y = np.empty((len(x), *sliding.out, kernel.shape[3]), x.dtype)
    for part in _chunks(x, sliding):
        columns = _columns(sliding.windows(x[part]), groups)
        np.matmul(columns, matrix, out=_group(y[part], groups))
    return y if bias is None else np.add(y, bias, out=y)


def conv2d_naive(
    x: ArrayLike,
    kernel: ArrayLike,
    bias: ArrayLike | None = None,
    stride: Pair = 1,
    padding: Padding = "valid",
    dilation: Pair = 1,
    groups: int = 1,
) -> Array:
    """The same as `conv2d`, written as its formula: loops, one multiplication at a time.

    Slow, and the plainest statement of what a convolution is. Lesson 01 shows it.
    """
    x, kernel, bias = _conv_arguments(x, kernel, bias, groups)
    sliding = _Sliding.plan(x.shape[1:3], kernel.shape[:2], stride, padding, dilation)
    (down, right), (row_gap, column_gap) = sliding.stride, sliding.dilation
    height, width, channels, filters = kernel.shape
    padded = sliding.pad(x)
    y = np.zeros((len(x), *sliding.out, filters), x.dtype)
    for n, row, column, f in np.ndindex(y.shape):
        first = f // (filters // groups) * channels  # the first channel that this filter sees
        for i, j, k in np.ndindex(height, width, channels):
            pixel = padded[n, row * down + i * row_gap, column * right + j * column_gap, first + k]
            y[n, row, column, f] += pixel * kernel[i, j, k, f]
    return y if bias is None else y + bias


def conv2d_backward(
    gradient: ArrayLike,
    x: ArrayLike,
    kernel: ArrayLike,
    stride: Pair = 1,
    padding: Padding = "valid",
    dilation: Pair = 1,
    groups: int = 1,
) -> Gradients:
    """Gradients of `conv2d`: what each pixel, each kernel element and each bias did to the loss.

    A kernel element met one pixel in every window, so its gradient is the sum of
    ``pixel * gradient`` over all windows. A pixel met some kernel elements, one in each window
    that covered it, so its gradient is the sum of ``kernel element * gradient`` over those. A bias
    was added everywhere, so its gradient is the plain sum.

    ``gradient`` has the shape of the result of `conv2d`. Lesson 04 builds it.
    """
    x, kernel, _ = _conv_arguments(x, kernel, None, groups)
    sliding = _Sliding.plan(x.shape[1:3], kernel.shape[:2], stride, padding, dilation)
    gradient = _like_output(gradient, (len(x), *sliding.out, kernel.shape[3]))
    d_matrix = np.zeros_like(_kernel_matrix(kernel, groups))
    for part in _chunks(x, sliding):
        columns = _columns(sliding.windows(x[part]), groups)
        d_matrix = d_matrix + columns.swapaxes(1, 2) @ _group(gradient[part], groups)
    d_x = _spread(gradient, kernel, sliding, x.shape, groups)
    d_kernel = d_matrix.swapaxes(0, 1).reshape(kernel.shape)
    return Gradients(d_x, d_kernel, gradient.sum((0, 1, 2)))


def conv2d_transpose(
    x: ArrayLike,
    kernel: ArrayLike,
    bias: ArrayLike | None = None,
    stride: Pair = 1,
    padding: Padding = "valid",
    output_padding: Pair | None = None,
    dilation: Pair = 1,
    groups: int = 1,
) -> Array:
    """Spread every pixel over a window, weighted by the kernel, and add where windows overlap.

    This is the gradient of `conv2d` with the same arguments, turned into a layer, so ``kernel``
    is that convolution's: [height, width, out_channels / groups, in_channels], as in
    ``tf.nn.conv2d_transpose`` and Keras. The size of the result is Keras', see
    `cnncourse.arithmetic.transposed_output_size`.

    Shapes: x [batch, height, width, in_channels], bias [out_channels] or None, result
    [batch, out_height, out_width, out_channels]. Raises ValueError as `conv2d` does, and for an
    ``output_padding`` from which that convolution would not lead back. Lesson 04 builds it, as the
    gradient that it is.
    """
    x, kernel, sliding, shape = _transposed(
        x, kernel, stride, padding, output_padding, dilation, groups
    )
    y = _spread(x, kernel, sliding, shape, groups)
    return y if bias is None else y + _bias(bias, shape[3])


def conv2d_transpose_backward(
    gradient: ArrayLike,
    x: ArrayLike,
    kernel: ArrayLike,
    stride: Pair = 1,
    padding: Padding = "valid",
    output_padding: Pair | None = None,
    dilation: Pair = 1,
    groups: int = 1,
) -> Gradients:
    """Gradients of `conv2d_transpose`: the convolution that it is the gradient of, forward again.

    The input's gradient is `conv2d` of ``gradient``. The kernel's is that of `conv2d_backward`
    with the two ends exchanged, because a kernel element joins the same pairs of pixels. Lesson 04
    builds both.
    """
    x, kernel, _, shape = _transposed(x, kernel, stride, padding, output_padding, dilation, groups)
    gradient = _like_output(gradient, shape)
    around = (stride, padding, dilation, groups)
    d_x = conv2d(gradient, kernel, None, *around)
    d_kernel = conv2d_backward(x, gradient, kernel, *around).kernel
    return Gradients(d_x, d_kernel, gradient.sum((0, 1, 2)))


# Pooling


def max_pool2d(
    x: ArrayLike, window: Pair = 2, stride: Pair | None = None, padding: Padding = "valid"
) -> Array:
    """Keep the largest value of each window, channel by channel; padding never wins.

    Windows lie side by side unless ``stride`` says otherwise. Shapes: x [batch, height, width,
    channels], result [batch, out_height, out_width, channels]. Raises ValueError for a window that
    does not fit, and for padding in which a window could lie alone. Lesson 02 builds it.
    """
    x, sliding = _pool_arguments(x, window, stride, padding)
    return sliding.windows(x, fill=-np.inf).max((3, 4))


def max_pool2d_backward(
    gradient: ArrayLike,
    x: ArrayLike,
    window: Pair = 2,
    stride: Pair | None = None,
    padding: Padding = "valid",
) -> Array:
    """Gradient of `max_pool2d`: all of it to the pixel that won, nothing to the others.

    Of equal pixels the first of the window wins, in reading order, as in TensorFlow. A pixel that
    won several windows collects from each. Lesson 04 builds it.
    """
    x, sliding = _pool_arguments(x, window, stride, padding)
    gradient = _like_output(gradient, (len(x), *sliding.out, x.shape[3]))
    windows = sliding.windows(x, fill=-np.inf)
    winner = windows.reshape(*gradient.shape[:3], -1, x.shape[3]).argmax(3)
    taps = np.arange(windows.shape[3] * windows.shape[4])[:, None]
    d_windows = np.where(winner[..., None, :] == taps, gradient[..., None, :], 0)
    return sliding.add_back(d_windows.reshape(windows.shape), x.shape)


def avg_pool2d(
    x: ArrayLike, window: Pair = 2, stride: Pair | None = None, padding: Padding = "valid"
) -> Array:
    """Average each window, channel by channel; padding is not counted, as in TensorFlow.

    Windows lie side by side unless ``stride`` says otherwise. Shapes: x [batch, height, width,
    channels], result [batch, out_height, out_width, channels]. Raises ValueError for a window that
    does not fit, and for padding in which a window could lie alone. Lesson 02 builds it.
    """
    x, sliding = _pool_arguments(x, window, stride, padding)
    return sliding.windows(x).sum((3, 4)) / _pixels_in_window(x, sliding)


def avg_pool2d_backward(
    gradient: ArrayLike,
    x: ArrayLike,
    window: Pair = 2,
    stride: Pair | None = None,
    padding: Padding = "valid",
) -> Array:
    """Gradient of `avg_pool2d`: each window shares its gradient out evenly among its pixels.

    Lesson 04 builds it.
    """
    x, sliding = _pool_arguments(x, window, stride, padding)
    gradient = _like_output(gradient, (len(x), *sliding.out, x.shape[3]))
    share = (gradient / _pixels_in_window(x, sliding))[:, :, :, None, None]
    shape = (*gradient.shape[:3], *sliding.kernel, x.shape[3])
    return sliding.add_back(np.broadcast_to(share, shape), x.shape)


# Dense, activation and loss


def dense(x: ArrayLike, kernel: ArrayLike, bias: ArrayLike | None = None) -> Array:
    """Every input with every unit: ``y = x @ kernel + bias``.

    Shapes: x [batch, inputs], kernel [inputs, units], bias [units] or None, result [batch, units].
    Raises ValueError where they do not match. Lesson 04 builds it.
    """
    x, kernel = _dense_arguments(x, kernel)
    y = x @ kernel
    return y if bias is None else y + _bias(bias, kernel.shape[1])


def dense_backward(gradient: ArrayLike, x: ArrayLike, kernel: ArrayLike) -> Gradients:
    """Gradients of `dense`: ``gradient @ kernel.T``, ``x.T @ gradient`` and the sum over images.

    Lesson 04 builds it.
    """
    x, kernel = _dense_arguments(x, kernel)
    gradient = _like_output(gradient, (len(x), kernel.shape[1]))
    return Gradients(gradient @ kernel.T, x.T @ gradient, gradient.sum(0))


def relu(x: ArrayLike) -> Array:
    """Keep what is above 0, and make the rest 0: ``max(x, 0)``. Any shape. Lesson 04 builds it."""
    return np.maximum(_floats("x", x), 0)


def relu_backward(gradient: ArrayLike, x: ArrayLike) -> Array:
    """Gradient of `relu`: let through where ``x`` is above 0. At 0 it is 0, as in TensorFlow.

    Lesson 04 builds it.
    """
    x = _floats("x", x)
    return np.where(x > 0, _like_output(gradient, x.shape), 0)


def softmax(logits: ArrayLike) -> Array:
    """Probabilities from logits, over the last axis: ``exp(logits) / sum(exp(logits))``.

    The largest logit is taken off first. That changes nothing in the ratio, and no exponential
    can overflow. Shape: [..., classes]. Lesson 04 builds it.
    """
    return np.exp(_log_softmax(_floats("logits", logits)))


def softmax_backward(gradient: ArrayLike, logits: ArrayLike) -> Array:
    """Gradient of `softmax`: ``p * (gradient - sum(p * gradient))``, with ``p`` the probabilities.

    Lesson 04 builds it.
    """
    p = softmax(logits)
    gradient = _like_output(gradient, p.shape)
    return p * (gradient - (p * gradient).sum(-1, keepdims=True))


def softmax_cross_entropy(logits: ArrayLike, labels: ArrayLike) -> Array:
    """Loss of each image, [batch]: ``-log(p)``, with ``p`` the probability of the right label.

    Worked out as one formula that never meets ``log(0)``; take ``.mean()`` for a batch's loss.
    Shapes: logits [batch, classes], labels [batch], class numbers from 0 to ``classes - 1``.
    Raises ValueError for a label out of range. Lesson 04 builds it.
    """
    logits, labels = _loss_arguments(logits, labels)
    return -_log_softmax(logits)[np.arange(len(labels)), labels]


def softmax_cross_entropy_backward(
    gradient: ArrayLike, logits: ArrayLike, labels: ArrayLike
) -> Array:
    """Gradient of `softmax_cross_entropy`: the probabilities, less 1 at the right label.

    ``gradient`` is [batch], one number for each image's loss: ``np.full(n, 1 / n)`` where the mean
    of ``n`` losses is what counts. Lesson 04 builds it.
    """
    logits, labels = _loss_arguments(logits, labels)
    gradient = _like_output(gradient, labels.shape)
    right = labels[:, None] == np.arange(logits.shape[1])
    return gradient[:, None] * (softmax(logits) - right)


# What the layers share: windows, their matrix, and the way back


class _Sliding(NamedTuple):
    """A window on its way over images; each field is for (height, width)."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    padding: tuple[tuple[int, int], tuple[int, int]]
    out: tuple[int, int]

    @classmethod
    def plan(
        cls,
        sides: Sequence[int],
        kernel: Sequence[int],
        stride: Pair,
        padding: Padding,
        dilation: Pair,
    ) -> "_Sliding":
        """Ask `arithmetic` where the windows lie, along the height and along the width."""
        steps, gaps = _pair("stride", stride), _pair("dilation", dilation)
        axes = zip(sides, kernel, steps, gaps, _padding_pair(padding), strict=True)
        rows, columns = (
            (arithmetic.padding_amounts(n, k, s, d, p), arithmetic.output_size(n, k, s, p, d))
            for n, k, s, d, p in axes
        )
        padding = (rows[0], columns[0])
        return cls((kernel[0], kernel[1]), steps, gaps, padding, (rows[1], columns[1]))

    def pad(self, x: Array, fill: float = 0) -> Array:
        """Put the padding around the images."""
        if not any(map(any, self.padding)):
            return x
        return np.pad(x, ((0, 0), *self.padding, (0, 0)), constant_values=fill)

    def windows(self, x: Array, fill: float = 0) -> Array:
        """[batch, out_height, out_width, kernel_height, kernel_width, channels], a view."""
        down, right = self.stride
        row_gap, column_gap = self.dilation
        spans = tuple(map(arithmetic.dilated_kernel, self.kernel, self.dilation))
        every = sliding_window_view(self.pad(x, fill), spans, axis=(1, 2))
        return np.moveaxis(every[:, ::down, ::right, :, ::row_gap, ::column_gap], 3, -1)

    def add_back(self, windows: Array, shape: tuple[int, ...]) -> Array:
        """Add every window to where it was cut from; the padding's share is dropped."""
        (top, bottom), (left, right) = self.padding
        batch, height, width, channels = shape
        total = np.zeros(
            (batch, top + height + bottom, left + width + right, channels), windows.dtype
        )
        for i, j in np.ndindex(*self.kernel):
            rows, columns = (
                slice(tap * gap, tap * gap + (count - 1) * step + 1, step)
                for tap, gap, count, step in zip(
                    (i, j), self.dilation, self.out, self.stride, strict=True
                )
            )
            total[:, rows, columns] += windows[:, :, :, i, j]
        return total[:, top : top + height, left : left + width]


def _chunks(x: Array, sliding: _Sliding) -> Iterator[slice]:
    """Slices of the batch whose windows take up to CHUNK_BYTES, and at least one image."""
    image = prod(sliding.out) * prod(sliding.kernel) * x.shape[3] * x.itemsize
    step = max(1, CHUNK_BYTES // image)
    return (slice(first, first + step) for first in range(0, len(x), step))


def _columns(windows: Array, groups: int) -> Array:
    """Copy windows into rows: [groups, positions, kernel elements of one group]."""
    *positions, height, width, channels = windows.shape
    split = windows.reshape(*positions, height, width, groups, channels // groups)
    return np.moveaxis(split, 5, 0).reshape(groups, prod(positions), -1)


def _kernel_matrix(kernel: Array, groups: int) -> Array:
    """[groups, kernel elements of one group, filters of one group]."""
    return np.moveaxis(kernel.reshape(-1, groups, kernel.shape[3] // groups), 1, 0)


def _group(maps: Array, groups: int) -> Array:
    """[..., filters] seen as [groups, positions, filters of one group]."""
    return np.moveaxis(maps.reshape(-1, groups, maps.shape[-1] // groups), 1, 0)


def _spread(
    maps: Array, kernel: Array, sliding: _Sliding, shape: tuple[int, ...], groups: int
) -> Array:
    """Send every element of ``maps`` back through the kernel into images of ``shape``."""
    matrix = _kernel_matrix(kernel, groups).swapaxes(1, 2)
    images = np.empty(shape, np.result_type(maps, kernel))
    for part in _chunks(images, sliding):
        split = (groups, -1, *sliding.out, *sliding.kernel, kernel.shape[2])
        windows = np.moveaxis((_group(maps[part], groups) @ matrix).reshape(split), 0, 5)
        images[part] = sliding.add_back(
            windows.reshape(*windows.shape[:5], shape[3]), images[part].shape
        )
    return images


def _pixels_in_window(x: Array, sliding: _Sliding) -> Array:
    """[1, out_height, out_width, 1]: how many pixels each window covers, padding left out."""
    return sliding.windows(np.ones((1, *x.shape[1:3], 1), x.dtype)).sum((3, 4))


def _log_softmax(logits: Array) -> Array:
    shifted = logits - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


# What the layers take, and what they refuse


def _floats(name: str, value: ArrayLike, *axes: str) -> Array:
    """Return ``value`` as an array of floats with the named axes, or say what is wrong with it."""
    try:
        array = np.asarray(value)
    except ValueError:
        raise ValueError(f"{name} is no array; give rows of equal length") from None
    if array.dtype.kind in "biu":
        array = array.astype(np.float64)
    if array.dtype.kind != "f":
        raise ValueError(f"{name} has dtype {array.dtype}; use floats or whole numbers")
    if axes and array.ndim != len(axes):
        raise ValueError(
            f"{name} has shape {array.shape}; it needs {len(axes)} axes: [{', '.join(axes)}]"
        )
    if axes and 0 in array.shape[1:]:
        raise ValueError(f"{name} has shape {array.shape}; no axis but the batch may be empty")
    return array


def _same_dtype(*arrays: Array) -> list[Array]:
    dtype = np.result_type(*arrays)
    return [array.astype(dtype, copy=False) for array in arrays]


def _images(name: str, value: ArrayLike) -> Array:
    return _floats(name, value, "batch", "height", "width", "channels")


def _bias(bias: ArrayLike, length: int) -> Array:
    vector = _floats("bias", bias)
    if vector.shape != (length,):
        raise ValueError(
            f"bias has shape {vector.shape}; with one number for each filter it is ({length},)"
        )
    return vector


def _like_output(gradient: ArrayLike, shape: tuple[int, ...]) -> Array:
    gradient = _floats("gradient", gradient)
    if gradient.shape != shape:
        raise ValueError(
            f"gradient has shape {gradient.shape}; it needs that of the layer's output, {shape}"
        )
    return gradient


def _pair(name: str, value: Any) -> tuple[Any, Any]:
    """Return one value for (height, width), or the two that were given."""
    pair = value if isinstance(value, tuple | list) else (value, value)
    if len(pair) != 2:
        raise ValueError(f"{name} is {value!r}; give one number or a pair (height, width)")
    return pair[0], pair[1]


def _padding_pair(padding: Any) -> tuple[Any, Any]:
    """Return the padding of (height, width)."""
    if not isinstance(padding, tuple | list):
        return padding, padding
    if len(padding) != 2 or not all(isinstance(sides, tuple | list) for sides in padding):
        raise ValueError(
            f"padding is {padding!r}; use 'valid', 'same', a number or ((top, bottom), "
            "(left, right))"
        )
    return tuple(padding[0]), tuple(padding[1])


def _kernel(kernel: ArrayLike, *channels: str) -> Array:
    return _floats("kernel", kernel, "height", "width", *channels)


def _conv_arguments(
    x: ArrayLike, kernel: ArrayLike, bias: ArrayLike | None, groups: int
) -> tuple[Array, Array, Array | None]:
    x, kernel = _images("x", x), _kernel(kernel, "in_channels / groups", "out_channels")
    height, width, channels, filters = kernel.shape
    arithmetic.conv_parameters((height, width), x.shape[3], filters, groups=groups)
    if x.shape[3] != channels * groups:
        raise ValueError(
            f"x has {x.shape[3]} channels, but kernel has shape {kernel.shape}, for "
            f"{channels} in each of {groups} groups; give a kernel of shape "
            f"{(height, width, x.shape[3] // groups, filters)}"
        )
    biases = [] if bias is None else [_bias(bias, filters)]
    x, kernel, *biases = _same_dtype(x, kernel, *biases)
    return x, kernel, biases[0] if biases else None


def _transposed(
    x: ArrayLike,
    kernel: ArrayLike,
    stride: Pair,
    padding: Padding,
    output_padding: Pair | None,
    dilation: Pair,
    groups: int,
) -> tuple[Array, Array, _Sliding, tuple[int, int, int, int]]:
    """Check the arguments, and return also the convolution that goes back and its input's shape."""
    x, kernel = _images("x", x), _kernel(kernel, "out_channels / groups", "in_channels")
    if x.shape[3] != kernel.shape[3]:
        raise ValueError(
            f"x has {x.shape[3]} channels, but kernel has shape {kernel.shape}, for "
            f"{kernel.shape[3]}; the kernel's axes are [height, width, out_channels, in_channels]"
        )
    x, kernel = _same_dtype(x, kernel)
    sides = [
        arithmetic.transposed_output_size(*axis)
        for axis in zip(
            x.shape[1:3],
            kernel.shape[:2],
            _pair("stride", stride),
            _padding_pair(padding),
            _pair("output_padding", output_padding),
            _pair("dilation", dilation),
            strict=True,
        )
    ]
    sliding = _Sliding.plan(sides, kernel.shape[:2], stride, padding, dilation)
    channels = kernel.shape[2] * groups
    arithmetic.conv_parameters(kernel.shape[:2], channels, kernel.shape[3], groups=groups)
    return x, kernel, sliding, (len(x), sides[0], sides[1], channels)


def _pool_arguments(
    x: ArrayLike, window: Pair, stride: Pair | None, padding: Padding
) -> tuple[Array, _Sliding]:
    x, sides = _images("x", x), _pair("window", window)
    try:
        sliding = _Sliding.plan(
            x.shape[1:3], sides, window if stride is None else stride, padding, 1
        )
    except ValueError as error:
        raise ValueError(str(error).replace("kernel", "window")) from None
    for side, amounts in zip(sides, sliding.padding, strict=True):
        if max(amounts) >= side:
            raise ValueError(
                f"padding is {padding!r}, so that a window {window} could lie on nothing else; "
                "add less than one window on each side"
            )
    return x, sliding


def _dense_arguments(x: ArrayLike, kernel: ArrayLike) -> tuple[Array, Array]:
    x, kernel = _floats("x", x, "batch", "inputs"), _floats("kernel", kernel, "inputs", "units")
    if x.shape[1] != kernel.shape[0]:
        raise ValueError(
            f"x has {x.shape[1]} inputs, but kernel has shape {kernel.shape}, for "
            f"{kernel.shape[0]}; give a kernel of shape {(x.shape[1], kernel.shape[1])}"
        )
    x, kernel = _same_dtype(x, kernel)
    return x, kernel


def _loss_arguments(logits: ArrayLike, labels: ArrayLike) -> tuple[Array, Array]:
    logits, labels = _floats("logits", logits, "batch", "classes"), np.asarray(labels)
    if labels.dtype.kind not in "iu" or labels.shape != logits.shape[:1]:
        raise ValueError(
            f"labels has dtype {labels.dtype} and shape {labels.shape}; give one class number, a "
            f"whole one, for each of the {len(logits)} images"
        )
    classes = logits.shape[1]
    wrong = labels[(labels < 0) | (labels >= classes)]
    if wrong.size:
        raise ValueError(f"labels holds {wrong[0]}; with {classes} classes use 0 to {classes - 1}")
    return logits, labels
