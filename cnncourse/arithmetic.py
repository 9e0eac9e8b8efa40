"""The whole-number arithmetic of convolution: sizes, padding, parameters, multiply-adds.

Sizes are along one axis; a layer applies the same rule to height and to width. ``padding`` is
``"valid"`` (no padding), ``"same"`` (TensorFlow's rule: the output has ``ceil(size / stride)``
elements) in any capitals, or a whole number of zeros added on both sides.
"""

from math import prod

Padding = str | int


def _whole(name: str, value: int, least: int, remedy: str) -> int:
    """Return ``value`` as an int, or say what is wrong with the argument ``name``."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise ValueError(f"{name} is {value!r}, not a whole number; {remedy}")
    if value < least:
        raise ValueError(f"{name} is {value}, less than {least}; {remedy}")
    return value.__index__()


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
    stride = _whole("stride", stride, 1, "1 moves the kernel by one element at a time")
    span = dilated_kernel(kernel, dilation)
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
    both = _whole("padding", padding, 0, "give the zeros added on each side, or 'valid', 'same'")
    return both, both


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
    sides = (kernel, kernel) if not isinstance(kernel, tuple) else kernel
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
