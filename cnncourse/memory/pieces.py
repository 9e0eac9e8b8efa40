"""A network as the planner sees it: pieces in order, read off a `Network` or a Keras model."""

from dataclasses import dataclass
from math import prod
from typing import Any

from cnncourse.networks import Conv, Dense, Dropout, Flatten, MaxPool, Network

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Piece:
    """One layer: what it is, what it takes in and gives out. Shapes leave out the batch axis.

    kind
        "conv", "dense", "max_pool", "average_pool", "global_max", "global_average", "batch_norm",
        "activation", "dropout", "flatten" or "add".
    inputs, input_size
        Names of the pieces it takes in ("input" is the batch), and numbers in the first of them.
    weights
        Numbers in each learnt array; ``fixed`` counts numbers that no optimizer moves.
    activation
        What follows in the same layer: "linear", or a function whose slope is worked out from its
        output, so that the output may overwrite the input.
    window
        Places in a pooling window.
    dtype
        What it computes in: "float32" or "bfloat16".
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    input_size: int
    output_shape: Shape
    weights: tuple[int, ...] = ()
    fixed: int = 0
    activation: str = "linear"
    window: int = 0
    dtype: str = "float32"

    @property
    def parameters(self) -> int:
        """All numbers that the layer holds."""
        return sum(self.weights) + self.fixed

    @property
    def size(self) -> int:
        """Numbers in the output for one image."""
        return prod(self.output_shape)


def of_network(network: Network, policy: str) -> tuple[Piece, ...]:
    """Read the pieces off a description; under mixed_bfloat16 the last one stays float32."""
    computing = "bfloat16" if policy == "mixed_bfloat16" else "float32"
    last = network.named_layers[-1][0]
    pieces: list[Piece] = []
    before, size = "input", prod(network.input_shape)
    for (name, layer), row in zip(network.named_layers, network.table(), strict=True):
        weights = tuple(
            prod(shape)
            for array, shape in network.parameter_shapes.items()
            if array.startswith(f"{name}/")
        )
        activation = getattr(layer, "activation", None)
        pieces.append(
            Piece(
                name=name,
                kind=_KINDS[type(layer)],
                inputs=(before,),
                input_size=size,
                output_shape=row.output_shape,
                weights=weights,
                # The builds leave a last softmax to the loss.
                activation="relu" if activation == "relu" else "linear",
                window=layer.window**2 if isinstance(layer, MaxPool) else 0,
                dtype="float32" if name == last else computing,
            )
        )
        before, size = name, prod(row.output_shape)
    return tuple(pieces)


_KINDS = {
    Conv: "conv",
    MaxPool: "max_pool",
    Flatten: "flatten",
    Dense: "dense",
    Dropout: "dropout",
}

# Keras' layers by class name, so that a plan of a `Network` never imports Keras.
_KERAS_KINDS = {
    "Conv2D": "conv",
    "DepthwiseConv2D": "conv",
    "Dense": "dense",
    "MaxPooling2D": "max_pool",
    "AveragePooling2D": "average_pool",
    "GlobalMaxPooling2D": "global_max",
    "GlobalAveragePooling2D": "global_average",
    "BatchNormalization": "batch_norm",
    "Activation": "activation",
    "ReLU": "activation",
    "Dropout": "dropout",
    "Flatten": "flatten",
    "Add": "add",
}
FROM_OUTPUT = ("linear", "relu", "relu6", "tanh", "sigmoid", "elu", "softmax")


def of_keras(model: Any) -> tuple[Piece, ...]:
    """Read the pieces off a built Keras model; ValueError for a layer that is not known here."""
    if not getattr(model, "built", False) or not hasattr(model, "layers"):
        raise ValueError(
            f"network is {model!r}; give a name, a Network or a built Keras model (one that starts "
            "with keras.Input)"
        )
    names: dict[int, str] = {}
    pieces = []
    for layer in model.layers:
        kind = type(layer).__name__
        if kind == "InputLayer":
            names[id(layer.output)] = "input"
            continue
        taken = _tensors(layer)
        if not names:  # a Sequential does not list its InputLayer
            names[id(taken[0])] = "input"
        missing = [tensor for tensor in taken if id(tensor) not in names]
        if kind not in _KERAS_KINDS or missing:
            raise ValueError(
                f"layer {layer.name!r} is a {kind}, which the plan does not know; it knows "
                f"{', '.join(_KERAS_KINDS)}"
            )
        inputs = tuple(names[id(tensor)] for tensor in taken)
        pieces.append(_of_layer(layer, inputs, prod(taken[0].shape[1:])))
        names[id(layer.output)] = layer.name
    return tuple(pieces)


def _tensors(layer: Any) -> list[Any]:
    try:
        taken = layer.input
    except (AttributeError, ValueError) as error:
        raise ValueError(
            f"layer {layer.name!r} is called more than once, or not at all; the plan knows layers "
            "that are called once"
        ) from error
    return list(taken) if isinstance(taken, list | tuple) else [taken]


def _of_layer(layer: Any, inputs: tuple[str, ...], input_size: int) -> Piece:
    kind = _KERAS_KINDS[type(layer).__name__]
    activation = "relu" if type(layer).__name__ == "ReLU" else "linear"
    if hasattr(layer, "activation"):
        activation = layer.activation.__name__
    if activation not in FROM_OUTPUT:
        raise ValueError(
            f"layer {layer.name!r} has the activation {activation!r}, which the plan does not "
            f"know; it knows {', '.join(FROM_OUTPUT)}"
        )
    return Piece(
        name=layer.name,
        kind=kind,
        inputs=inputs,
        input_size=input_size,
        output_shape=tuple(layer.output.shape[1:]),
        weights=tuple(prod(variable.shape) for variable in layer.trainable_variables),
        fixed=sum(
            prod(variable.shape)
            for variable in layer.non_trainable_variables
            if variable.dtype.startswith("float")
        ),
        activation=activation,
        window=prod(getattr(layer, "pool_size", ())) if kind == "max_pool" else 0,
        dtype=layer.compute_dtype,
    )


def sloped(pieces: tuple[Piece, ...]) -> set[str]:
    """Names of the pieces whose output's gradient is asked for: something learns at or before."""
    found: set[str] = set()
    for piece in pieces:
        if piece.weights or found & set(piece.inputs):
            found.add(piece.name)
    return found
