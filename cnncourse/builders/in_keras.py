"""A network in Keras: a list of layers, and Keras makes the shapes and the variables.

This is lesson 07's code, written for any `Network`. The model returns logits, also where the text
put a softmax last: the loss takes logits, and ``keras.ops.softmax`` makes probabilities of them.
"""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from cnncourse import layers as low_level
from cnncourse.builders.in_tensorflow import tensor
from cnncourse.builders.params import ready_images, ready_labels
from cnncourse.networks import Conv, Dense, Dropout, Flatten, Layer, MaxPool, Network, Recipe


class Build:
    """A `Network` as a ``keras.Sequential``, which is in ``model``.

    ``build(images, training=True)`` gives logits as a tensor; ``trainable_variables`` is what an
    optimizer moves; ``variables`` is all that a checkpoint must hold, so what dropout draws from
    as well.
    """

    def __init__(
        self,
        network: Network,
        params: dict[str, np.ndarray],
        seed: int = 0,
        policy: str = "float32",
    ) -> None:
        """Stack the layers and give them the arrays; ``seed`` decides what dropout drops.

        ``policy`` is Keras' name for what every layer but the last computes in.
        """
        self.network = network
        seeds = np.random.SeedSequence(seed).generate_state(len(network.layers))
        self.model = keras.Sequential(
            [keras.Input(network.input_shape)]
            + [
                _keras_layer(
                    name,
                    layer,
                    int(layer_seed),
                    "float32" if layer is network.layers[-1] else policy,
                )
                for (name, layer), layer_seed in zip(network.named_layers, seeds, strict=True)
            ],
            name=network.name.replace("-", "_"),
        )
        for name, array in params.items():
            self._variable(name).assign(tensor(array))

    def __call__(self, images: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Forward pass: images [batch, height, width, channels] to logits [batch, classes]."""
        return self.model(images, training=training)

    @property
    def trainable_variables(self) -> list[keras.Variable]:
        """What an optimizer moves, in the params' order."""
        return [self._variable(name) for name in self.network.parameter_shapes]

    @property
    def variables(self) -> list[keras.Variable]:
        """Everything that training changes: the learnt arrays, and what dropout draws from."""
        return self.model.variables

    def _variable(self, name: str) -> keras.Variable:
        layer, kind = name.split("/")
        return getattr(self.model.get_layer(layer), kind)

    @property
    def params(self) -> dict[str, np.ndarray]:
        """Copies of the model's weights under the common names."""
        names = self.network.parameter_shapes
        return {name: self._variable(name).value.numpy() for name in names}

    def logits(self, images: np.ndarray) -> np.ndarray:
        """[batch, classes] for images [batch, height, width, channels]; no dropout."""
        return np.asarray(self(ready_images(self.network, images)))

    def gradients(self, images: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
        """Gradient of the mean cross-entropy under the params' names; no dropout."""
        images = ready_images(self.network, images)
        labels = ready_labels(self.network, labels, len(images))
        with tf.GradientTape() as tape:
            logits = self(images)
            loss = tf.reduce_mean(low_level.cross_entropy(logits, labels))
        slopes = tape.gradient(loss, self.trainable_variables)
        names = self.network.parameter_shapes
        return {name: slope.numpy() for name, slope in zip(names, slopes, strict=True)}


def _keras_layer(name: str, layer: Layer, seed: int, policy: str) -> keras.Layer:
    common: Any = {"name": name, "dtype": policy}
    match layer:
        case Conv(filters, kernel, stride, padding, activation):
            return keras.layers.Conv2D(
                filters,
                kernel,
                strides=stride,
                padding=padding,
                activation=activation,
                **common,
            )
        case MaxPool(window, stride, padding):
            return keras.layers.MaxPooling2D(window, strides=stride, padding=padding, **common)
        case Flatten():
            return keras.layers.Flatten(**common)
        case Dense(units, activation):
            hidden = activation if activation != "softmax" else None
            return keras.layers.Dense(units, activation=hidden, **common)
        case Dropout(rate):
            return keras.layers.Dropout(rate, seed=seed, **common)


def optimizer_of(recipe: Recipe) -> keras.optimizers.Optimizer:
    """Return the recipe's optimizer, new, for either TensorFlow build."""
    kinds = {"adam": keras.optimizers.Adam, "sgd": keras.optimizers.SGD}
    return kinds[recipe.optimizer](recipe.learning_rate)
