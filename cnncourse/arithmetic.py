"""The whole-number arithmetic of convolution: sizes, padding, receptive field, parameters.

Sizes are along one axis; a layer applies the same rule to height and to width. ``padding`` is
``"valid"`` (no padding), ``"same"`` (TensorFlow's rule: the output has ``ceil(size / stride)``
elements) in any capitals, a whole number of zeros added on both sides, or a pair (before, after).
Lesson 01 builds sizes and parameters, lesson 03 receptive fields and multiply-adds.
"""

from collections.abc import Iterable
from math import prod
from operator import index
from typing import Any, NamedTuple

Padding = str | int | tuple[int, int]


def _whole(name: str, value: int, least: int, remedy: str) -> int:
    """Return ``value`` as an int, or say what is wrong with the argument ``name``."""
    try:
        number = index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool):
        raise ValueError(f"{name} is {value!r}, not a whole number; {remedy}")
    if number < least:
        raise ValueError(f"{name} is {number}, less than {least}; {remedy}")
    return number


def dilated_kernel(kernel: int, dilation: int = 1) -> int:
    """Elements that a kernel spans when its taps stand ``dilation`` apart.

    >>> dilated_kernel(3, dilation=2)
    5
    """
    kernel = _whole("kernel", kernel, 1, "a kernel has at least one element")
    dilation = _whole("dilation", dilation, 1, "1 means taps side by side")
    return (kernel - 1) * dilation + 1


def padding_amounts(
    size: int, kernel: int, stride: int = 1, dilation: int = 1, padding: Padding = "same"
) -> tuple[int, int]:
    """Zeros added (before, after) one axis; as in TensorFlow an odd one goes after.

    >>> padding_amounts(28, kernel=4)
    (1, 2)

    Raises ValueError for a size, kernel, stride or dilation below 1 and for an unknown padding.
    Source: TensorFlow's documentation of ``tf.nn.convolution``.
    """
    size = _whole("size", size, 1, "an image has at least one row and one column")
    span = dilated_kernel(kernel, dilation)
    stride = _whole("stride", stride, 1, "1 moves the kernel by one element at a time")
    if isinstance(padding, str):
        match padding.lower():
            case "valid":
                return 0, 0
            case "same":
                outputs = -(-size // stride)
                total = max((outputs - 1) * stride + span - size, 0)
                return total // 2, total - total // 2
            case _:
                raise ValueError(f"padding is {padding!r}; use 'valid', 'same' or a whole number")
    sides = padding if isinstance(padding, tuple | list) else (padding, padding)
    if len(sides) != 2:
        raise ValueError(f"padding is {padding!r}; a pair is (before, after)")
    remedy = "give the zeros added on each side, or 'valid', 'same'"
    before, after = (_whole("padding", side, 0, remedy) for side in sides)
    return before, after


def output_size(
    size: int, kernel: int, stride: int = 1, padding: Padding = "valid", dilation: int = 1
) -> int:
    """Elements along one axis of the feature map: ``(size + padding - span) // stride + 1``.

    Works for convolution and for pooling (the window is the kernel).

    >>> output_size(28, kernel=3)
    26
    >>> output_size(7, kernel=2, stride=2, padding="same")
    4

    Raises ValueError for impossible arguments, and when the kernel does not fit.
    """
    before, after = padding_amounts(size, kernel, stride, dilation, padding)
    span = dilated_kernel(kernel, dilation)
    room = size + before + after
    if span > room:
        spans = f" (it spans {span} with dilation {dilation})" if dilation > 1 else ""
        raise ValueError(
            f"kernel {kernel}{spans} does not fit into size {size} with padding {padding!r}; "
            "use a smaller kernel, a larger image or padding 'same'"
        )
    return (room - span) // stride + 1


def transposed_output_size(
    size: int,
    kernel: int,
    stride: int = 1,
    padding: Padding = "valid",
    output_padding: int | None = None,
    dilation: int = 1,
) -> int:
    """Elements along one axis after a transposed convolution.

    A transposed convolution is the gradient of a convolution (``tf.nn.conv2d_transpose``), so its
    output is as large as that convolution's input. With a stride, ``stride`` such sizes lead to
    the same ``size``; ``output_padding`` chooses one. The rule is that of Keras' Conv2DTranspose,
    dilation included, with ``span = (kernel - 1) * dilation + 1``:

    - "valid": ``(size - 1) * stride + span + output_padding``; left out, it is
      ``max(stride - span, 0)``, so that a stride beyond the kernel leaves no gap at the end.
    - "same": ``(size - 1) * stride + span % 2 + output_padding``; left out, ``size * stride``.
    - a number or a pair: ``(size - 1) * stride + span - before - after + output_padding``, which
      Keras does not offer; left out, it is 0.

    >>> transposed_output_size(14, kernel=5, stride=2, padding="same")
    28
    >>> transposed_output_size(4, kernel=3, stride=2)
    9

    Raises ValueError for impossible arguments, and when no convolution leads from the output back
    to ``size``.
    """
    size = _whole("size", size, 1, "an image has at least one row and one column")
    span = dilated_kernel(kernel, dilation)
    stride = _whole("stride", stride, 1, "1 moves the kernel by one element at a time")
    extra = 0
    if output_padding is not None:
        extra = _whole("output_padding", output_padding, 0, "leave it out, or add 0 or more")
    reach = (size - 1) * stride
    if isinstance(padding, str) and padding.lower() == "same":
        output = size * stride if output_padding is None else reach + span % 2 + extra
    else:
        before, after = padding_amounts(size, kernel, stride, dilation, padding)
        if isinstance(padding, str) and output_padding is None:
            extra = max(stride - span, 0)
        output = reach + span - before - after + extra
    if output < 1:
        raise ValueError(
            f"size {size} with kernel {kernel}, stride {stride} and padding {padding!r} leaves an "
            f"output of {output} elements; use less padding, a larger kernel or output_padding"
        )
    back = output_size(output, kernel, stride, padding, dilation)
    if back != size:
        raise ValueError(
            f"output_padding is {output_padding}, which makes the output {output}; a convolution "
            f"leads from {output} to {back}, not to size {size}; leave output_padding out"
        )
    return output


class Window(NamedTuple):
    """What slides over an axis: a convolution's kernel or a pool's window."""

    kernel: int
    stride: int = 1
    dilation: int = 1
    padding: Padding = "valid"


class ReceptiveField(NamedTuple):
    """Which elements of the input one output sees, along one axis.

    Output ``n`` sees ``size`` elements beginning with ``start + n * jump``. ``start`` is negative
    where the first output looks at padding.
    """

    size: int
    jump: int
    start: int


def _as_window(layer: Any) -> Window | None:
    """Read a layer's window off a tuple or an object; None where the layer keeps every element."""
    if isinstance(layer, tuple | list) and 1 <= len(layer) <= 4:
        return Window(*layer)
    kernel = getattr(layer, "kernel", getattr(layer, "window", None))
    if kernel is not None:
        padding = getattr(layer, "padding", "valid")
        return Window(kernel, getattr(layer, "stride", 1), getattr(layer, "dilation", 1), padding)
    if hasattr(layer, "rate"):  # dropout
        return None
    raise ValueError(
        f"layer is {layer!r}, which slides no window; give (kernel, stride), (kernel, stride, "
        "dilation), a Window, or an object with kernel or window, and stop before Flatten"
    )


def receptive_fields(
    layers: Iterable[Any], input_size: int | None = None
) -> tuple[ReceptiveField, ...]:
    """Receptive field after each of the ``layers``, which are given as for `receptive_field`."""
    if not isinstance(layers, Iterable):
        raise ValueError(f"layers is {layers!r}; give a list with one (kernel, stride) per layer")
    size, jump, start = 1, 1, 0
    extent = input_size
    fields = []
    for layer in layers:
        window = _as_window(layer)
        if window is not None:
            kernel, stride, dilation, padding = window
            stride = _whole("stride", stride, 1, "1 moves the kernel by one element at a time")
            # One stride's length is the shortest size that the stride divides.
            length = stride if extent is None else extent
            before, _ = padding_amounts(length, kernel, stride, dilation, padding)
            if extent is not None:
                extent = output_size(extent, kernel, stride, padding, dilation)
            start -= before * jump
            size += (dilated_kernel(kernel, dilation) - 1) * jump
            jump *= stride
        fields.append(ReceptiveField(size, jump, start))
    return tuple(fields)


def receptive_field(layers: Iterable[Any], input_size: int | None = None) -> ReceptiveField:
    """Elements of the input that one element behind the last of the ``layers`` sees.

    Each layer is (kernel, stride), (kernel, stride, dilation), a `Window`, or an object with
    ``kernel`` or ``window``, such as the layers of ``cnncourse.networks`` before Flatten. Layer
    after layer, beginning with size 1, jump 1 and start 0::

        size  = size + (span - 1) * jump        span = (kernel - 1) * dilation + 1
        start = start - padding_before * jump
        jump  = jump * stride

    SAME padding depends on the input: with ``input_size`` it is exact, and without it every size
    counts as one that the stride divides. Taps that stand apart (dilation, or a stride beyond
    the kernel) leave gaps; ``size`` reaches from the first element to the last.

    >>> receptive_field([(5, 1), (2, 2), (5, 1), (2, 2)])
    ReceptiveField(size=16, jump=4, start=0)

    Raises ValueError for a layer without a window, and for impossible numbers.
    Source: Araujo, Norris and Sim, "Computing receptive fields of convolutional neural networks",
    Distill, 2019. Lesson 03 reads it off every layer of LeNet.
    """
    return (ReceptiveField(1, 1, 0), *receptive_fields(layers, input_size))[-1]


def conv_parameters(
    kernel: int | tuple[int, int],
    in_channels: int,
    out_channels: int,
    bias: bool = True,
    groups: int = 1,
) -> int:
    """Numbers that a convolution learns: kernel elements, and one bias for each filter.

    ``kernel`` is one number for a square kernel or (height, width). With ``groups``, a filter sees
    only ``in_channels / groups`` channels.

    >>> conv_parameters(5, in_channels=1, out_channels=32)
    832
    """
    sides = kernel if isinstance(kernel, tuple | list) else (kernel, kernel)
    if len(sides) != 2:
        raise ValueError(f"kernel is {kernel!r}; give one number or (height, width)")
    height, width = (
        _whole("kernel", side, 1, "a kernel has at least one element") for side in sides
    )
    in_channels = _whole("in_channels", in_channels, 1, "a grey image has 1, a colour image 3")
    out_channels = _whole("out_channels", out_channels, 1, "a layer has at least one filter")
    groups = _whole("groups", groups, 1, "1 is the ordinary convolution")
    for name, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
        if channels % groups:
            raise ValueError(
                f"groups {groups} does not divide {name} {channels}; choose a divisor of both"
            )
    return height * width * (in_channels // groups) * out_channels + bias * out_channels


def conv_multiply_adds(
    out_height: int,
    out_width: int,
    kernel: int | tuple[int, int],
    in_channels: int,
    out_channels: int,
    groups: int = 1,
) -> int:
    """Multiply-adds for one image: every output position uses every kernel element once.

    >>> conv_multiply_adds(28, 28, 5, in_channels=1, out_channels=32)
    627200
    """
    positions = prod(
        _whole(name, side, 1, "take it from output_size")
        for name, side in (("out_height", out_height), ("out_width", out_width))
    )
    return positions * conv_parameters(kernel, in_channels, out_channels, False, groups)


def dense_parameters(inputs: int, units: int, bias: bool = True) -> int:
    """Numbers that a dense layer learns: one weight for each pair, and one bias for each unit.

    >>> dense_parameters(3136, 1024)
    3212288
    """
    inputs = _whole("inputs", inputs, 1, "count the elements of one image")
    units = _whole("units", units, 1, "a layer has at least one unit")
    return inputs * units + bias * units
