"""A network in NumPy alone: every layer forward, and every layer backward.

This is lesson 04's code, written for any `Network`. There is no tape and no graph: each layer
answers with its output and with a function that takes a gradient back through it.
"""

from collections.abc import Callable

import numpy as np

from cnncourse import reference
from cnncourse.builders.params import ready_images, ready_labels
from cnncourse.networks import Conv, Dense, Dropout, Flatten, Layer, MaxPool, Network

# Takes the loss's gradient by a layer's output. Gives it by the layer's input, and by what the
# layer has learnt, under the common names.
Backward = Callable[[np.ndarray], tuple[np.ndarray, dict[str, np.ndarray]]]


class Build:
    """A `Network` as a dict of arrays, ``weights``, and the layers of `cnncourse.reference`.

    ``build(images, training=True)`` gives logits with dropout; ``trainable_variables`` are the
    arrays themselves: ``variable -= learning_rate * gradient`` trains.
    """

    def __init__(self, network: Network, params: dict[str, np.ndarray], seed: int = 0) -> None:
        """Take copies of the arrays; ``seed`` starts the dropout."""
        self.network = network
        self.weights = {name: array.copy() for name, array in params.items()}
        self.random = np.random.default_rng(seed)

    def __call__(self, images: np.ndarray, training: bool = False) -> np.ndarray:
        """Forward pass: images [batch, height, width, channels] to logits [batch, classes]."""
        return self._forward(images, training)[0]

    def _forward(self, images: np.ndarray, training: bool) -> tuple[np.ndarray, list[Backward]]:
        """Return the logits, and every layer's way back."""
        values, ways_back = images, []
        for name, layer in self.network.named_layers:
            values, back = self._layer(name, layer, values, training)
            ways_back.append(back)
        return values, ways_back

    def _layer(
        self, name: str, layer: Layer, x: np.ndarray, training: bool
    ) -> tuple[np.ndarray, Backward]:
        """Return one layer's output and its way back."""
        match layer:
            case Conv(stride=stride, padding=padding, activation=activation):
                kernel, bias = self._learnt(name)
                y = reference.conv2d(x, kernel, bias, stride, padding)
                return _activated(
                    name,
                    y,
                    activation,
                    lambda g: reference.conv2d_backward(g, x, kernel, stride, padding),
                )
            case MaxPool(window, stride, padding):
                y = reference.max_pool2d(x, window, stride, padding)
                return y, lambda g: (
                    reference.max_pool2d_backward(g, x, window, stride, padding),
                    {},
                )
            case Flatten():
                return x.reshape(len(x), -1), lambda g: (g.reshape(x.shape), {})
            case Dense(activation=activation):
                kernel, bias = self._learnt(name)
                y = reference.dense(x, kernel, bias)
                return _activated(
                    name, y, activation, lambda g: reference.dense_backward(g, x, kernel)
                )
            case Dropout(rate):
                if not training:
                    return x, lambda g: (g, {})
                kept = (self.random.random(x.shape) >= rate).astype(x.dtype) / (1 - rate)
                return x * kept, lambda g: (g * kept, {})

    def _learnt(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        return self.weights[f"{name}/kernel"], self.weights[f"{name}/bias"]

    @property
    def trainable_variables(self) -> list[np.ndarray]:
        """The arrays themselves, in the params' order: change them in place."""
        return list(self.weights.values())

    @property
    def params(self) -> dict[str, np.ndarray]:
        """Copies of the arrays under their names."""
        return {name: array.copy() for name, array in self.weights.items()}

    def logits(self, images: np.ndarray) -> np.ndarray:
        """[batch, classes] for images [batch, height, width, channels]; no dropout."""
        return self(ready_images(self.network, images))

    def gradients(self, images: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
        """Gradient of the mean cross-entropy under the params' names; no dropout."""
        images = ready_images(self.network, images)
        labels = ready_labels(self.network, labels, len(images))
        return self.loss_and_gradients(images, labels)[1]

    def loss_and_gradients(
        self, images: np.ndarray, labels: np.ndarray, training: bool = False
    ) -> tuple[float, dict[str, np.ndarray]]:
        """Mean cross-entropy of a batch and its gradient; ``training`` switches dropout on."""
        logits, ways_back = self._forward(images, training)
        loss = reference.softmax_cross_entropy(logits, labels).mean()
        share = np.full(len(labels), 1 / len(labels), logits.dtype)  # each image's part in a mean
        gradient = reference.softmax_cross_entropy_backward(share, logits, labels)
        found: dict[str, np.ndarray] = {}
        for back in reversed(ways_back):
            gradient, learnt = back(gradient)
            found |= learnt
        return float(loss), {name: found[name] for name in self.weights}


def _activated(
    name: str,
    before: np.ndarray,
    activation: str | None,
    back: Callable[[np.ndarray], reference.Gradients],
) -> tuple[np.ndarray, Backward]:
    """Put the ReLU after a layer with weights, and name the gradients on the way back."""
    relu = activation == "relu"

    def named(gradient: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        through = reference.relu_backward(gradient, before) if relu else gradient
        by = back(through)
        return by.x, {f"{name}/kernel": by.kernel, f"{name}/bias": by.bias}

    return (reference.relu(before) if relu else before), named
