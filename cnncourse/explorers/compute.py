"""What the explorers show, computed: settings in, plain numbers out.

Each state is a frozen dataclass of settings; everything else is derived from them when it is asked
for. Settings that cannot be are kept, and what depends on them raises the ValueError of
`cnncourse.arithmetic` or `cnncourse.reference`, whose numbers these are.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from cnncourse import arithmetic, reference

PRESETS = ("vertical edges", "horizontal edges", "blur", "sharpen", "identity")
OWN = "own numbers"
MOST_CHANNELS = 4
MOST_ELEMENTS = 32
Size = tuple[int, int]
Padding = str | int


def digit() -> np.ndarray:
    """Return a handwritten digit [8, 8], 0 to 16, from scikit-learn's small data set."""
    from sklearn.datasets import load_digits

    return load_digits().images[0]


def as_image(values: Any) -> np.ndarray:
    """Return an image as a read-only array [height, width, channels]."""
    image = np.array(values, dtype=float)
    if image.ndim == 2:
        image = image[:, :, np.newaxis]
    if image.ndim != 3 or image.size == 0 or max(image.shape[:2]) > MOST_ELEMENTS:
        raise ValueError(
            f"image has shape {np.shape(values)}; give (height, width) or (height, width, "
            f"channels), at most {MOST_ELEMENTS} rows and columns"
        )
    if image.shape[2] > MOST_CHANNELS:
        raise ValueError(
            f"image has {image.shape[2]} channels; the picture has room for {MOST_CHANNELS}: "
            f"image[..., :{MOST_CHANNELS}]"
        )
    return _finite("image", image)


def as_kernel(values: Any) -> np.ndarray:
    """Return a kernel as a read-only array [height, width, in_channels, out_channels]."""
    kernel = np.array(values, dtype=float)
    if kernel.ndim == 2:
        kernel = kernel[:, :, np.newaxis, np.newaxis]
    if kernel.ndim != 4 or kernel.size == 0:
        raise ValueError(
            f"kernel has shape {np.shape(values)}; give (height, width) or "
            "(height, width, in_channels, out_channels)"
        )
    return _finite("kernel", kernel)


def _finite(name: str, array: np.ndarray) -> np.ndarray:
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds values that are not finite numbers; replace them")
    array.flags.writeable = False
    return array


def _lower(padding: Padding) -> Padding:
    return padding.lower() if isinstance(padding, str) else padding


def from_text(text: str) -> np.ndarray:
    """Read rows of numbers, channels parted by an empty line, as [height, width, channels].

    >>> from_text("1 2\\n3 4").shape
    (2, 2, 1)
    """
    blocks: list[list[list[float]]] = [[]]
    for line in text.replace("−", "-").replace(",", " ").splitlines():
        if not line.strip():
            blocks += [[]] if blocks[-1] else []
            continue
        try:
            blocks[-1].append([float(word) for word in line.split()])
        except ValueError:
            raise ValueError(f"the line {line.strip()!r} holds more than numbers") from None
    blocks = [block for block in blocks if block]
    lengths = {len(row) for block in blocks for row in block}
    if len(lengths) != 1 or len({len(block) for block in blocks}) != 1:
        raise ValueError("the rows are not all as long, or the channels not all as high")
    return np.moveaxis(np.array(blocks), 0, -1)


def to_text(array: np.ndarray) -> str:
    """Write [height, width, channels] as `from_text` reads it."""
    blocks = np.moveaxis(array, -1, 0)
    return "\n\n".join("\n".join(" ".join(f"{v:.4g}" for v in row) for row in b) for b in blocks)


def preset_kernel(name: str, height: int, width: int) -> np.ndarray:
    """Return one of the `PRESETS` [height, width].

    >>> preset_kernel("vertical edges", 1, 3)
    array([[-1.,  0.,  1.]])
    """
    if name == "vertical edges":
        return np.tile(np.sign(np.arange(width) - (width - 1) / 2), (height, 1))
    if name == "horizontal edges":
        return preset_kernel("vertical edges", width, height).T
    if name == "blur":
        return np.full((height, width), 1 / (height * width))
    kernel = np.zeros((height, width))
    row, column = (height - 1) // 2, (width - 1) // 2
    if name == "sharpen":
        for y, x in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
            if 0 <= y < height and 0 <= x < width:
                kernel[y, x] = -1
    elif name != "identity":
        raise ValueError(f"preset is {name!r}; use one of {PRESETS} or give your own kernel")
    kernel[row, column] = 1 - kernel.sum()
    return kernel


def asked(name: str, function: Callable[[Any], Any], images: np.ndarray) -> Any:
    """Return what a learner's own function makes of images; what it raises, as a ValueError."""
    try:
        return function(images)
    except Exception as error:  # whatever it is belongs on the page, not into the kernel's log
        line = next(iter(str(error).strip().splitlines()), "")
        raise ValueError(f"{name} raised {type(error).__name__}: {line[:300]}") from error


def changed(state: Any, **changes: Any) -> Any:
    """Return the state with other settings; a position that no longer exists becomes the last.

    Raises ValueError for a setting that there is not, or an array of a wrong shape.
    """
    names = [field.name for field in fields(state)]
    for name in changes:
        if name not in names:
            raise ValueError(f"{name!r} is no setting; use one of {names}")
    return replace(state, **changes).settled()


def size_formula(size: int, kernel: int, stride: int, padding: Padding, dilation: int = 1) -> str:
    """Write ``(size + before + after - span) / stride + 1`` with its numbers.

    >>> size_formula(7, 3, 2, "same")
    '(7 + 1 + 1 − 3) / 2 + 1 = 4'
    """
    before, after = arithmetic.padding_amounts(size, kernel, stride, dilation, padding)
    span = arithmetic.dilated_kernel(kernel, dilation)
    output = arithmetic.output_size(size, kernel, stride, padding, dilation)
    fraction = f"({size} + {before} + {after} − {span}) / {stride}"
    left = (size + before + after - span) % stride
    return f"⌊{fraction}⌋ + 1 = {output}" if left else f"{fraction} + 1 = {output}"


def _both(formulas: Iterable[str]) -> str:
    height, width = formulas
    return height if height == width else f"height {height}; width {width}"


class _Sliding:
    """What slides from position to position, row by row."""

    position: int
    stride: int
    grid: Any

    @property
    def positions(self) -> int:
        """How many positions there are."""
        return self.grid[0] * self.grid[1]

    @property
    def cell(self) -> Size:
        """Row and column of the position."""
        return divmod(self.position, self.grid[1])

    @property
    def corner(self) -> Size:
        """First row and column of the window in `padded` (transposed: of the stamp in `canvas`)."""
        return self.cell[0] * self.stride, self.cell[1] * self.stride

    def existing_position(self) -> int:
        """Return the position, or the last; as it was, where the settings cannot be."""
        try:
            return max(0, min(self.position, self.positions - 1))
        except ValueError:
            return self.position


@dataclass(frozen=True, eq=False)
class Convolution(_Sliding):
    """One convolution, seen at one position.

    ``kernel`` holds the learner's own numbers and counts where ``preset`` is `OWN`; it is cropped,
    filled with zeros or repeated to the sizes asked for. Beyond the channels of ``image`` come its
    mirror images. ``position`` counts the cells of the feature map row by row (the cells of the
    image where ``transposed``), ``filter`` is the one whose numbers are written out.
    """

    image: np.ndarray
    kernel: np.ndarray | None = None
    preset: str = PRESETS[0]
    kernel_size: int | Size = 3
    stride: int = 1
    padding: Padding = "valid"
    dilation: int = 1
    in_channels: int = 1
    filters: int = 1
    groups: int = 1
    transposed: bool = False
    filter: int = 0
    position: int = 0

    def settled(self) -> "Convolution":
        """Return this state with arrays read and with a filter and a position that exist."""
        fixed: dict[str, Any] = {"image": as_image(self.image), "padding": _lower(self.padding)}
        if self.kernel is not None:
            fixed["kernel"] = as_kernel(self.kernel)
        elif self.preset == OWN:
            raise ValueError(f"preset is {OWN!r}; give the kernel as well")
        state = replace(self, **fixed, filter=max(0, min(self.filter, self.filters - 1)))
        return replace(state, position=state.existing_position())

    @cached_property
    def inputs(self) -> np.ndarray:
        """The image [height, width, channels] with the channels in use."""
        if not 1 <= self.in_channels <= MOST_CHANNELS:
            raise ValueError(f"in_channels is {self.in_channels}; use 1 to {MOST_CHANNELS}")
        image = self.image
        flips = (image[:, ::-1], image[::-1], image[::-1, ::-1])
        return np.concatenate([image, *flips], axis=2)[:, :, : self.in_channels]

    @cached_property
    def kernel_sides(self) -> Size:
        """Height and width of the kernel."""
        size = self.kernel_size
        height, width = size if isinstance(size, tuple) else (size, size)
        return height, width

    @cached_property
    def weights(self) -> np.ndarray:
        """The kernel in use [height, width, channels that a filter sees, filters]."""
        if not 1 <= self.filters <= MOST_CHANNELS:
            raise ValueError(f"filters is {self.filters}; use 1 to {MOST_CHANNELS}")
        self.inputs  # noqa: B018 - raises where the channels cannot be
        arithmetic.conv_parameters(
            self.kernel_sides, self.in_channels, self.filters, groups=self.groups
        )
        seen = self.in_channels // self.groups
        if self.preset == OWN and self.kernel is not None:
            return self._own(self.kernel, seen)
        first = PRESETS.index(self.preset) if self.preset in PRESETS else 0
        names = [self.preset, *PRESETS[first + 1 :], *PRESETS[:first]][: self.filters]
        kernels = [preset_kernel(name, *self.kernel_sides) for name in names]
        return np.stack([np.stack([kernel] * seen, axis=-1) for kernel in kernels], axis=-1)

    def _own(self, kernel: np.ndarray, seen: int) -> np.ndarray:
        height, width = (
            min(a, b) for a, b in zip(self.kernel_sides, kernel.shape[:2], strict=True)
        )
        weights = np.zeros((*self.kernel_sides, seen, self.filters))
        channels, filters = np.arange(seen), np.arange(self.filters)
        fitted = kernel[:, :, channels % kernel.shape[2]][..., filters % kernel.shape[3]]
        weights[:height, :width] = fitted[:height, :width]
        return weights

    @cached_property
    def seen(self) -> range:
        """The channels that the filter sees."""
        count = self.weights.shape[2]
        group = self.filter // (self.filters // self.groups)
        return range(group * count, (group + 1) * count)

    @cached_property
    def size(self) -> Size:
        """Height and width of the feature map."""
        sizes = (self._output_size(*sides) for sides in self._axes)
        height, width = sizes
        return height, width

    @property
    def _axes(self) -> list[tuple[int, int]]:
        return list(zip(self.inputs.shape[:2], self.weights.shape[:2], strict=True))

    def _output_size(self, size: int, kernel: int) -> int:
        if not self.transposed:
            return arithmetic.output_size(size, kernel, self.stride, self.padding, self.dilation)
        if self.groups != 1:
            raise ValueError(f"groups is {self.groups}; the transposed picture has groups 1")
        return arithmetic.transposed_output_size(
            size, kernel, self.stride, self.padding, dilation=self.dilation
        )

    @cached_property
    def paddings(self) -> tuple[Size, Size]:
        """Rows (above, below) and columns (left, right) of zeros; transposed: of cells cut off."""
        sizes = self.size if self.transposed else self.inputs.shape[:2]
        (top, bottom), (left, right) = (
            arithmetic.padding_amounts(size, kernel, self.stride, self.dilation, self.padding)
            for size, kernel in zip(sizes, self.weights.shape[:2], strict=True)
        )
        return (top, bottom), (left, right)

    @cached_property
    def padded(self) -> np.ndarray:
        """The image with its zeros [height, width, channels]; transposed: the image."""
        return self.inputs if self.transposed else np.pad(self.inputs, (*self.paddings, (0, 0)))

    @cached_property
    def grid(self) -> Size:
        """Rows and columns of positions."""
        rows, columns = self.inputs.shape[:2] if self.transposed else self.size
        return rows, columns

    @cached_property
    def window(self) -> np.ndarray:
        """The values under the kernel's taps [height, width, channels seen]."""
        channels = slice(self.seen.start, self.seen.stop)
        (row, column), (height, width), d = self.corner, self.weights.shape[:2], self.dilation
        if self.transposed:
            row, column = self.cell
            height = width = 1
        rows = slice(row, row + (height - 1) * d + 1, d)
        return self.padded[rows, column : column + (width - 1) * d + 1 : d, channels]

    @cached_property
    def products(self) -> np.ndarray:
        """Window times kernel [height, width, channels seen]."""
        return self.window * self.weights[..., self.filter]

    @cached_property
    def sum(self) -> Any:
        """The number that lands in the feature map; transposed: the stamp [height, width]."""
        return self.products.sum(axis=-1) if self.transposed else float(self.products.sum())

    @cached_property
    def output(self) -> np.ndarray:
        """All feature maps, finished [height, width, filters]."""
        self.size  # noqa: B018 - raises before the slower part
        if self.transposed:
            return self._transpose(self.inputs, self.padding)
        around = (self.stride, self.padding, self.dilation, self.groups)
        return reference.conv2d(self.inputs[np.newaxis], self.weights, None, *around)[0]

    @cached_property
    def canvas(self) -> np.ndarray:
        """Transposed: what is stamped up to here, before the padding is cut off."""
        done = np.arange(self.positions).reshape(self.grid) <= self.position
        whole = self._transpose(self.inputs * done[..., np.newaxis], "valid")
        height, width = (n + sum(p) for n, p in zip(self.size, self.paddings, strict=True))
        return whole[:height, :width]

    def _transpose(self, image: np.ndarray, padding: Padding) -> np.ndarray:
        kernel = self.weights.swapaxes(2, 3)  # as TensorFlow: [height, width, out, in]
        return reference.conv2d_transpose(
            image[np.newaxis], kernel, None, self.stride, padding, dilation=self.dilation
        )[0]

    @cached_property
    def formula(self) -> str:
        """The size of the feature map with the numbers put in."""
        if self.transposed:
            return _both(self._transposed_formula(axis) for axis in (0, 1))
        return _both(
            size_formula(size, kernel, self.stride, self.padding, self.dilation)
            for size, kernel in self._axes
        )

    def _transposed_formula(self, axis: int) -> str:
        (size, kernel), (before, after) = self._axes[axis], self.paddings[axis]
        span = arithmetic.dilated_kernel(kernel, self.dilation)
        if span < self.stride and isinstance(self.padding, str):
            return f"{size} × {self.stride} = {self.size[axis]}"
        start = f"({size} − 1) × {self.stride} + {span}"
        return f"{start} − {before} − {after} = {self.size[axis]}"

    @property
    def parameters(self) -> int:
        """Numbers that such a layer learns, biases included."""
        channels = (self.in_channels, self.filters)
        return arithmetic.conv_parameters(self.kernel_sides, *channels, groups=self.groups)

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds for the whole image."""
        channels = (self.in_channels, self.filters)
        return arithmetic.conv_multiply_adds(
            *self.grid, self.kernel_sides, *channels, groups=self.groups
        )


@dataclass(frozen=True, eq=False)
class Pooling(_Sliding):
    """One pooling layer, seen at one position; every channel is pooled by itself."""

    image: np.ndarray
    kind: str = "max"
    window_size: int = 2
    stride: int = 2
    padding: Padding = "valid"
    position: int = 0

    def settled(self) -> "Pooling":
        """Return this state with the image read and with a position that exists."""
        state = replace(self, image=as_image(self.image), padding=_lower(self.padding))
        return replace(state, position=state.existing_position())

    @cached_property
    def size(self) -> Size:
        """Height and width of the feature map."""
        if self.kind not in ("max", "average"):
            raise ValueError(f"kind is {self.kind!r}; use 'max' or 'average'")
        if not isinstance(self.padding, str):
            raise ValueError(f"padding is {self.padding!r}; pooling takes 'valid' or 'same'")
        height, width = (
            arithmetic.output_size(size, self.window_size, self.stride, self.padding)
            for size in self.image.shape[:2]
        )
        return height, width

    @property
    def grid(self) -> Size:
        """Rows and columns of positions."""
        return self.size

    @cached_property
    def paddings(self) -> tuple[Size, Size]:
        """Rows (above, below) and columns (left, right) that padding adds."""
        rows, columns = (
            arithmetic.padding_amounts(size, self.window_size, self.stride, padding=self.padding)
            for size in self.image.shape[:2]
        )
        return rows, columns

    @cached_property
    def padded(self) -> np.ndarray:
        """The image [height, width, channels], NaN where padding is: it never counts."""
        return np.pad(self.image, (*self.paddings, (0, 0)), constant_values=np.nan)

    @cached_property
    def window(self) -> np.ndarray:
        """The values in the window [height, width, channels], NaN where padding is."""
        row, column = self.corner
        return self.padded[row : row + self.window_size, column : column + self.window_size]

    @cached_property
    def chosen(self) -> tuple[Size, ...]:
        """For each channel, row and column in the window of its first largest value."""
        flat = self.window.reshape(-1, self.window.shape[-1])
        cells = (divmod(int(place), self.window_size) for place in np.nanargmax(flat, axis=0))
        return tuple(cells)

    @cached_property
    def result(self) -> np.ndarray:
        """What lands in the feature maps, one number for each channel."""
        return self.output[self.cell]

    @cached_property
    def output(self) -> np.ndarray:
        """The finished feature maps [height, width, channels]."""
        pool = reference.max_pool2d if self.kind == "max" else reference.avg_pool2d
        image = self.image[np.newaxis]
        return pool(image, self.window_size, stride=self.stride, padding=self.padding)[0]

    @cached_property
    def formula(self) -> str:
        """The size of the feature map with the numbers put in."""
        settings = (self.window_size, self.stride, self.padding)
        return _both(size_formula(size, *settings) for size in self.image.shape[:2])


class Layer(NamedTuple):
    """A named layer with a window, for a receptive field."""

    name: str
    kernel: int
    stride: int = 1
    dilation: int = 1
    padding: Padding = "valid"


LENET = (
    Layer("conv1", 5, 1, 1, "same"),
    Layer("pool1", 2, 2, 1, "same"),
    Layer("conv2", 5, 1, 1, "same"),
    Layer("pool2", 2, 2, 1, "same"),
)


def as_layers(layers: Any) -> tuple[Layer, ...]:
    """Read layers off text, tuples as for `arithmetic.receptive_field`, or a network's objects.

    In text, a line is ``name kernel stride dilation padding``; what is left out is 1, 1 and VALID.
    A network's layers are read up to Flatten; dropout changes nothing and is left out.

    >>> as_layers("conv 5 1 1 same")
    (Layer(name='conv', kernel=5, stride=1, dilation=1, padding='same'),)
    """
    if isinstance(layers, str):
        return tuple(_layer_from_line(line) for line in layers.splitlines() if line.strip())
    found: list[Layer] = []
    counts = {"conv": 0, "pool": 0}  # named as in a network's table: conv1, pool1, conv2, ...
    for layer in layers:
        kernel = getattr(layer, "kernel", getattr(layer, "window", None))
        if isinstance(layer, Layer):
            found.append(layer)
        elif kernel is not None:
            stride, dilation = (getattr(layer, key, 1) for key in ("stride", "dilation"))
            padding = getattr(layer, "padding", "valid")
            kind = "pool" if hasattr(layer, "window") else "conv"
            counts[kind] += 1
            found.append(Layer(f"{kind}{counts[kind]}", kernel, stride, dilation, padding))
        elif isinstance(layer, tuple | list):
            found.append(Layer(f"layer{len(found) + 1}", *layer))
        elif not hasattr(layer, "rate"):
            break
    return tuple(found)


def _layer_from_line(line: str) -> Layer:
    name, *numbers = line.split()
    padding: Padding = "valid"
    if len(numbers) == 4 or (numbers and not numbers[-1].isdigit()):
        last = numbers.pop()
        padding = int(last) if last.isdigit() else last.lower()
    if not 1 <= len(numbers) <= 3 or not all(number.isdigit() for number in numbers):
        raise ValueError(
            f"the line {line.strip()!r} is not 'name kernel stride dilation padding', "
            "such as 'conv1 5 1 1 same'"
        )
    kernel, stride, dilation = (*map(int, numbers), *(1, 1)[len(numbers) - 1 :])
    return Layer(name, kernel, stride, dilation, padding)


def layers_to_text(layers: Iterable[Layer]) -> str:
    """Write layers as `as_layers` reads them."""
    return "\n".join(" ".join(map(str, (name.replace(" ", ""), *rest))) for name, *rest in layers)


@dataclass(frozen=True, eq=False)
class ReceptiveFieldStack:
    """A stack of layers on a square image, and one output cell of one of them.

    ``level`` is the layer whose output is looked at, counted from 1; 0 means the last.
    """

    layers: tuple[Layer, ...] = LENET
    image_size: int = 28
    level: int = 0
    row: int = 3
    column: int = 3

    def settled(self) -> "ReceptiveFieldStack":
        """Return this state with layers read and with a level and a cell that exist."""
        layers = as_layers(self.layers)
        if not layers:
            raise ValueError("layers is empty; give at least one, such as (5, 1, 1, 'same')")
        level = self.level if 1 <= self.level <= len(layers) else len(layers)
        state = replace(self, layers=layers, level=level)
        try:
            last = state.sizes[level] - 1
        except ValueError:
            return state
        row, column = (max(0, min(place, last)) for place in (self.row, self.column))
        return replace(state, row=row, column=column)

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Rows of the image and of each layer's output."""
        if not 1 <= self.image_size <= 64:
            raise ValueError(f"image_size is {self.image_size}; the picture has room for 1 to 64")
        sizes = [self.image_size]
        for _, kernel, stride, dilation, padding in self.layers:
            sizes.append(arithmetic.output_size(sizes[-1], kernel, stride, padding, dilation))
        return tuple(sizes)

    @cached_property
    def fields(self) -> tuple[arithmetic.ReceptiveField, ...]:
        """Size, jump and start after each layer, the image itself first."""
        windows = [layer[1:] for layer in self.layers]
        later = arithmetic.receptive_fields(windows, self.image_size)
        return (arithmetic.ReceptiveField(1, 1, 0), *later)

    def taps(self, level: int, cell: int) -> list[int]:
        """Return the cells below ``level`` that one of its cells sees along one axis."""
        _, kernel, stride, dilation, padding = self.layers[level - 1]
        size = self.sizes[level - 1]
        before, _ = arithmetic.padding_amounts(size, kernel, stride, dilation, padding)
        places = (cell * stride - before + tap * dilation for tap in range(kernel))
        return [place for place in places if 0 <= place < size]

    def reached(self, axis: int) -> tuple[tuple[int, ...], ...]:
        """Return the cells that the output cell sees along one axis, for level 0, 1, ... ."""
        levels: list[tuple[int, ...]] = [(self.column if axis else self.row,)]
        for level in range(self.level, 0, -1):
            below = {place for cell in levels[0] for place in self.taps(level, cell)}
            levels.insert(0, tuple(sorted(below)))
        return tuple(levels)

    @property
    def window(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Rows and columns of the image that reach the output cell."""
        return self.reached(0)[0], self.reached(1)[0]

    def runs(self, axis: int) -> str:
        """Write the image's rows (axis 0) or columns (1) that are reached, such as ``6–21``."""
        cells = self.window[axis]
        starts = [0, *(i + 1 for i, (a, b) in enumerate(pairwise(cells)) if b - a > 1), len(cells)]
        runs = [(cells[a], cells[b - 1]) for a, b in pairwise(starts) if a < b]
        if len(runs) > 6:
            return f"{len(cells)} of {cells[0]}–{cells[-1]}"
        return ", ".join(f"{a}" if a == b else f"{a}–{b}" for a, b in runs) or "none"
