"""Learnt arrays before any framework sees them: drawn, checked, and images made ready."""

from collections.abc import Mapping
from math import prod, sqrt

import numpy as np

from cnncourse.networks import Initializer, Network


def initial_params(network: Network, seed: int = 0) -> dict[str, np.ndarray]:
    """Draw a network's starting arrays (float32) from its initializer.

    The same seed gives the same bytes on every machine; each array has a random stream of its own.
    """
    streams = np.random.SeedSequence(seed).spawn(len(network.parameter_shapes))
    return {
        name: _draw(network.initializer, name, shape, np.random.default_rng(stream))
        for (name, shape), stream in zip(network.parameter_shapes.items(), streams, strict=True)
    }


def _draw(
    initializer: Initializer, name: str, shape: tuple[int, ...], random: np.random.Generator
) -> np.ndarray:
    if name.endswith("/bias"):
        return np.full(shape, initializer.bias, np.float32)
    match initializer.weights:
        case "glorot_uniform":
            positions = prod(shape[:-2])  # 1 for a dense kernel
            limit = sqrt(6 / (positions * (shape[-2] + shape[-1])))
            return random.uniform(-limit, limit, shape).astype(np.float32)
        case "normal":
            return random.normal(0, initializer.stddev, shape).astype(np.float32)
        case "truncated_normal":
            values = random.normal(size=shape)
            while (outside := np.abs(values) > 2).any():
                values[outside] = random.normal(size=outside.sum())
            return (values * initializer.stddev).astype(np.float32)


def checked_params(network: Network, params: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return params as float32 arrays in the network's order, or say which do not belong."""
    shapes = network.parameter_shapes
    if missing := [name for name in shapes if name not in params]:
        raise ValueError(f"params lack {missing}; {network.name} needs {list(shapes)}")
    if extra := [name for name in params if name not in shapes]:
        raise ValueError(f"params hold {extra}, which {network.name} lacks; leave them out")
    arrays = {name: np.asarray(params[name], np.float32) for name in shapes}
    for name, array in arrays.items():
        if array.shape != shapes[name]:
            raise ValueError(
                f"params[{name!r}] has shape {array.shape}; {network.name} needs {shapes[name]}"
            )
    return arrays


def ready_images(network: Network, images: np.ndarray) -> np.ndarray:
    """Return images as float32 [batch, height, width, channels] in the network's size.

    Whole numbers are pixels of 0 to 255 and are scaled to 0 to 1; anything else is taken as it is.
    """
    images = np.asarray(images)
    if images.shape[1:] != network.input_shape or images.ndim != 4:
        height, width, channels = network.input_shape
        raise ValueError(
            f"images have shape {images.shape}; {network.name} takes (batch, {height}, {width}, "
            f"{channels}); one image needs its batch axis: image[np.newaxis]"
        )
    if np.issubdtype(images.dtype, np.integer):
        return images.astype(np.float32) / 255
    return images.astype(np.float32, copy=False)


def ready_labels(network: Network, labels: np.ndarray, batch: int) -> np.ndarray:
    """Return labels as int32 class numbers [batch], or say why they are none."""
    labels = np.asarray(labels)
    if labels.shape != (batch,) or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            f"labels are {labels.dtype} of shape {labels.shape}; give {batch} class numbers "
            "(from one-hot labels: labels.argmax(axis=1))"
        )
    if batch and not 0 <= labels.min() <= labels.max() < network.classes:
        raise ValueError(
            f"labels go from {labels.min()} to {labels.max()}; {network.name} has the classes "
            f"0 to {network.classes - 1}"
        )
    return labels.astype(np.int32)
