"""The networks of the course's five teaching texts, each described once, as data.

A `Network` holds no weights and runs nothing. The layer table, the parameter counts, every build
and every reproduction are read off it. The texts:

A  a lab note: MNIST in low-level TensorFlow and in Keras
B  a long article: graphs and sessions, and what became of them
C  a book chapter: LeNet on MNIST and CIFAR-10
D  a lab note: memory, and looking inside
E  a lab course: the Estimator
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod
from types import MappingProxyType
from typing import Literal, NamedTuple

from cnncourse import arithmetic

Activation = Literal["relu", "softmax"] | None


@dataclass(frozen=True)
class Conv:
    """A convolution with square kernels: [batch, height, width, channels] to the same order."""

    filters: int
    kernel: int
    stride: int = 1
    padding: str = "same"
    activation: Activation = "relu"


@dataclass(frozen=True)
class MaxPool:
    """The largest value in each window."""

    window: int = 2
    stride: int = 2
    padding: str = "same"


@dataclass(frozen=True)
class Flatten:
    """[batch, height, width, channels] to [batch, height * width * channels]."""


@dataclass(frozen=True)
class Dense:
    """Every input with every unit. Softmax belongs to the last layer, after the logits."""

    units: int
    activation: Activation = "relu"


@dataclass(frozen=True)
class Dropout:
    """Sets a share ``rate`` of its inputs to 0 while training, and does nothing otherwise."""

    rate: float


Layer = Conv | MaxPool | Flatten | Dense | Dropout


@dataclass(frozen=True)
class Initializer:
    """How weights and biases start.

    ``weights`` is "truncated_normal" (redrawn beyond two ``stddev``), "normal" or
    "glorot_uniform" (within ``sqrt(6 / (inputs + outputs))``; ``stddev`` is not used).
    """

    weights: Literal["truncated_normal", "normal", "glorot_uniform"]
    stddev: float = 0.1
    bias: float = 0.0


@dataclass(frozen=True)
class Recipe:
    """How a text trained its network: either a number of epochs or a number of steps."""

    optimizer: Literal["adam", "sgd"]
    learning_rate: float
    batch_size: int
    epochs: int | None = None
    steps: int | None = None
    train_images: int = 60_000
    loss_reduction: Literal["mean", "sum"] = "mean"

    def __post_init__(self) -> None:
        """Refuse a recipe that says both, or neither."""
        if (self.epochs is None) == (self.steps is None):
            raise ValueError(
                f"epochs is {self.epochs} and steps is {self.steps}; give exactly one of them"
            )

    @property
    def total_steps(self) -> int:
        """Optimizer steps in all; the last batch of an epoch may be smaller."""
        if self.steps is not None:
            return self.steps
        assert self.epochs is not None
        return self.epochs * -(-self.train_images // self.batch_size)


@dataclass(frozen=True)
class Published:
    """A figure that a text gives: accuracy and loss on the test set, after so many steps."""

    accuracy: float
    loss: float | None = None
    steps: int | None = None
    about: bool = False


class LayerRow(NamedTuple):
    """One line of a layer table. Shapes leave out the batch axis."""

    name: str
    layer: str
    output_shape: tuple[int, ...]
    parameters: int
    multiply_adds: int


class LayerTable(tuple[LayerRow, ...]):
    """The rows, one for each layer; printed with their totals."""

    def __str__(self) -> str:
        """Lay the rows out as text, right-aligned numbers and totals below."""
        lines = [("name", "layer", "output shape", "parameters", "multiply-adds")]
        for row in self:
            shape = " × ".join(str(side) for side in row.output_shape)
            lines.append(
                (row.name, row.layer, shape, f"{row.parameters:,}", f"{row.multiply_adds:,}")
            )
        parameters = sum(row.parameters for row in self)
        multiply_adds = sum(row.multiply_adds for row in self)
        lines.append(("total", "", "", f"{parameters:,}", f"{multiply_adds:,}"))
        widths = [max(len(line[column]) for line in lines) for column in range(5)]
        text = [
            "  ".join(
                cell.rjust(width) if column >= 3 else cell.ljust(width)
                for column, (cell, width) in enumerate(zip(line, widths, strict=True))
            )
            for line in lines
        ]
        return "\n".join([text[0], "-" * len(text[0]), *text[1:-1], "-" * len(text[0]), text[-1]])

    __repr__ = __str__


@dataclass(frozen=True)
class Network:
    """A published network: its input, its layers, how it was trained and what it reached.

    ``input_shape`` is (height, width, channels); all layers are NHWC. ``text`` is the letter of
    the teaching text. Lesson 03 reads the table, lessons 05 to 12 build the networks.
    """

    name: str
    text: str
    dataset: Literal["mnist", "cifar10"]
    input_shape: tuple[int, int, int]
    layers: tuple[Layer, ...]
    initializer: Initializer
    recipe: Recipe
    published: tuple[Published, ...]
    note: str = ""

    @cached_property
    def named_layers(self) -> tuple[tuple[str, Layer], ...]:
        """(name, layer) pairs; names count each kind from 1: conv1, pool1, conv2, ..."""
        kinds = {Conv: "conv", MaxPool: "pool", Flatten: "flatten", Dense: "dense"}
        counts: dict[str, int] = {}
        named = []
        for layer in self.layers:
            kind = kinds.get(type(layer), "dropout")
            counts[kind] = counts.get(kind, 0) + 1
            named.append((f"{kind}{counts[kind]}", layer))
        return tuple(named)

    @cached_property
    def parameter_shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Shape of every learnt array under its common name, ``conv1/kernel`` to ``dense2/bias``.

        Convolution kernels are [height, width, in_channels, out_channels], dense ones
        [inputs, units].
        """
        shapes: dict[str, tuple[int, ...]] = {}
        for name, layer, before, _ in self._walk():
            if isinstance(layer, Conv):
                shapes[f"{name}/kernel"] = (layer.kernel, layer.kernel, before[-1], layer.filters)
                shapes[f"{name}/bias"] = (layer.filters,)
            elif isinstance(layer, Dense):
                shapes[f"{name}/kernel"] = (before[0], layer.units)
                shapes[f"{name}/bias"] = (layer.units,)
        return MappingProxyType(shapes)

    @property
    def parameters(self) -> int:
        """Numbers that the whole network learns."""
        return sum(row.parameters for row in self.table())

    @property
    def classes(self) -> int:
        """Units of the last layer."""
        last = self.layers[-1]
        assert isinstance(last, Dense)
        return last.units

    def table(self) -> LayerTable:
        """Shape, parameters and multiply-adds of every layer, for one image."""
        rows = []
        for name, layer, before, after in self._walk():
            parameters = multiply_adds = 0
            if isinstance(layer, Conv):
                channels = (before[-1], layer.filters)
                parameters = arithmetic.conv_parameters(layer.kernel, *channels)
                multiply_adds = arithmetic.conv_multiply_adds(
                    after[0], after[1], layer.kernel, *channels
                )
            elif isinstance(layer, Dense):
                parameters = arithmetic.dense_parameters(before[0], layer.units)
                multiply_adds = arithmetic.dense_parameters(before[0], layer.units, bias=False)
            rows.append(LayerRow(name, _describe(layer), after, parameters, multiply_adds))
        return LayerTable(rows)

    def _walk(self) -> Iterator[tuple[str, Layer, tuple[int, ...], tuple[int, ...]]]:
        """Yield (name, layer, shape before, shape after) from the input to the output."""
        shape: tuple[int, ...] = self.input_shape
        for name, layer in self.named_layers:
            after = _output_shape(layer, shape)
            yield name, layer, shape, after
            shape = after


def _output_shape(layer: Layer, shape: tuple[int, ...]) -> tuple[int, ...]:
    match layer:
        case Conv(filters=filters, kernel=kernel, stride=stride, padding=padding):
            height, width = (
                arithmetic.output_size(side, kernel, stride, padding) for side in shape[:2]
            )
            return height, width, filters
        case MaxPool(window=window, stride=stride, padding=padding):
            height, width = (
                arithmetic.output_size(side, window, stride, padding) for side in shape[:2]
            )
            return height, width, shape[2]
        case Flatten():
            return (prod(shape),)
        case Dense(units=units):
            if len(shape) != 1:
                raise ValueError(
                    f"Dense({units}) gets images of shape {shape}; put Flatten() first"
                )
            return (units,)
        case Dropout():
            return shape
    raise ValueError(f"layer is {layer!r}; use Conv, MaxPool, Flatten, Dense or Dropout")


def _describe(layer: Layer) -> str:
    """Say a layer in a few words, as in the table's second column."""
    match layer:
        case Conv(filters, kernel, stride, padding, activation):
            words = f"conv {kernel}×{kernel}×{filters}"
            words += f" stride {stride}" if stride != 1 else ""
            return f"{words} {padding.upper()}" + (f", {activation}" if activation else "")
        case MaxPool(window, stride, padding):
            return f"max-pool {window}×{window} stride {stride} {padding.upper()}"
        case Flatten():
            return "flatten"
        case Dense(units, activation):
            return f"dense {units}, {activation or 'logits'}"
        case Dropout(rate):
            return f"dropout {rate:g}"


MNIST = (28, 28, 1)
CIFAR10 = (32, 32, 3)


def _five_by_five(*top: Layer) -> tuple[Layer, ...]:
    """Two 5×5 convolutions with pooling, 32 and 64 filters (texts A, D, E), then ``top``."""
    return (Conv(32, 5), MaxPool(), Conv(64, 5), MaxPool(), Flatten(), *top)


def _lenet(dropout: float | None = None) -> tuple[Layer, ...]:
    """Text C's LeNet; ``dropout`` after each pool and after the dense layer."""
    drop = () if dropout is None else (Dropout(dropout),)
    features = (Conv(32, 4), MaxPool(), *drop, Conv(64, 4), MaxPool(), *drop)
    return (*features, Flatten(), Dense(1024), *drop, Dense(10, None))


TRUNCATED = Initializer("truncated_normal", stddev=0.1)
NORMAL = Initializer("normal", stddev=0.1)
GLOROT = Initializer("glorot_uniform")

_networks = (
    Network(
        name="mnist-tf",
        text="A",
        dataset="mnist",
        input_shape=MNIST,
        layers=_five_by_five(Dense(128), Dense(10, "softmax")),
        initializer=TRUNCATED,
        recipe=Recipe("adam", 1e-3, 64, steps=1_000, train_images=55_000, loss_reduction="sum"),
        published=(Published(0.9927),),
        note="low level; the cost printed every 100 steps",
    ),
    Network(
        name="mnist-keras",
        text="A",
        dataset="mnist",
        input_shape=MNIST,
        layers=_five_by_five(Dense(128), Dense(10, "softmax")),
        initializer=GLOROT,
        recipe=Recipe("adam", 1e-3, 64, epochs=6, train_images=55_000),
        published=(Published(0.9926),),
    ),
    Network(
        name="mnist-core",
        text="B",
        dataset="mnist",
        input_shape=MNIST,
        layers=(
            *(Conv(16, 3), Conv(16, 3), MaxPool()),
            *(Conv(32, 3), Conv(32, 3), MaxPool()),
            *(Flatten(), Dense(128), Dropout(0.2), Dense(10, None)),
        ),
        initializer=GLOROT,
        recipe=Recipe("adam", 1e-4, 128, epochs=5),
        published=(Published(0.97, about=True),),
        note="test accuracy after each epoch",
    ),
    Network(
        name="mnist-lenet-tf",
        text="C",
        dataset="mnist",
        input_shape=MNIST,
        layers=_lenet(),
        initializer=NORMAL,
        recipe=Recipe("adam", 1e-3, 100, epochs=10, train_images=55_000),
        published=(Published(0.9884),),
        note="mean loss of each epoch",
    ),
    Network(
        name="mnist-lenet-keras",
        text="C",
        dataset="mnist",
        input_shape=MNIST,
        layers=_lenet(),
        initializer=GLOROT,
        recipe=Recipe("sgd", 0.01, 100, epochs=10, train_images=55_000),
        published=(Published(0.9785, loss=0.0629),),
    ),
    Network(
        name="cifar10-lenet-tf",
        text="C",
        dataset="cifar10",
        input_shape=CIFAR10,
        layers=_lenet(dropout=0.2),
        initializer=NORMAL,
        recipe=Recipe("adam", 1e-3, 100, epochs=20, train_images=50_000),
        published=(Published(0.6361),),
        note="dropout through a keep probability that is 1 when predicting; the text leaves its "
        "value while training open: 0.8 here, as in the text's Keras version",
    ),
    Network(
        name="cifar10-lenet-keras",
        text="C",
        dataset="cifar10",
        input_shape=CIFAR10,
        layers=_lenet(dropout=0.2),
        initializer=GLOROT,
        recipe=Recipe("adam", 1e-3, 100, epochs=10, train_images=50_000),
        published=(Published(0.7414, loss=0.850),),
    ),
    Network(
        name="mnist-dropout",
        text="D",
        dataset="mnist",
        input_shape=MNIST,
        layers=_five_by_five(Dense(1024), Dropout(0.5), Dense(10, "softmax")),
        initializer=Initializer("truncated_normal", stddev=0.1, bias=0.1),
        recipe=Recipe("adam", 1e-4, 50, steps=10_000, train_images=55_000),
        published=(Published(0.9921, steps=10_000), Published(0.9854, steps=5_000)),
        note="after 5,000 steps the test set was evaluated in batches of 100",
    ),
    Network(
        name="mnist-estimator",
        text="E",
        dataset="mnist",
        input_shape=MNIST,
        layers=_five_by_five(Dense(1024), Dropout(0.4), Dense(10, None)),
        initializer=GLOROT,
        recipe=Recipe("sgd", 1e-3, 100, steps=20_000, train_images=55_000),
        published=(Published(0.9707, loss=0.1007),),
        note="one model function for training, evaluation and prediction",
    ),
)


class _Networks(dict[str, Network]):
    """The networks by name; a wrong name is answered with the right ones."""

    def __missing__(self, name: str) -> Network:
        """Name the networks that there are."""
        raise ValueError(f"network is {name!r}; the networks are {', '.join(self)}")


NETWORKS: Mapping[str, Network] = MappingProxyType(
    _Networks({network.name: network for network in _networks})
)
