"""A network in low-level TensorFlow: variables, a forward pass, a gradient tape.

This is lesson 05's code, written for any `Network`.
"""

import numpy as np
import tensorflow as tf

from cnncourse import layers
from cnncourse.builders.params import ready_images, ready_labels
from cnncourse.networks import Conv, Dense, Dropout, Flatten, MaxPool, Network


class Build:
    """A `Network` as TensorFlow variables and the function that uses them.

    ``model(images, training=True)`` gives logits as a tensor; ``trainable_variables`` is what an
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
        """Make one variable for each array; ``seed`` decides what dropout drops.

        ``policy`` is "float32", or "mixed_bfloat16": float32 variables, and copies of them in
        bfloat16 to compute with in every layer but the last.
        """
        self.network = network
        self.computing = tf.float32 if policy == "float32" else tf.bfloat16
        self.weights = {
            name: tf.Variable(tensor(array), name=name) for name, array in params.items()
        }
        self.trainable_variables = list(self.weights.values())
        self.random = tf.random.Generator.from_seed(seed)
        self.variables = [*self.trainable_variables, self.random.state]

    # Plain Python that never looks into a tensor: there is nothing for AutoGraph to convert.
    @tf.autograph.experimental.do_not_convert
    def __call__(self, images: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Forward pass: images [batch, height, width, channels] to logits [batch, classes]."""
        last = self.network.named_layers[-1][0]
        values = images
        for name, layer in self.network.named_layers:
            values = tf.cast(values, self.computing if name != last else tf.float32)
            match layer:
                case Conv(stride=stride, padding=padding, activation=activation):
                    kernel, bias = self._learnt(name, values.dtype)
                    values = layers.conv2d(values, kernel, bias, stride, padding)
                    values = tf.nn.relu(values) if activation == "relu" else values
                case MaxPool(window=window, stride=stride, padding=padding):
                    values = layers.max_pool2d(values, window, stride, padding)
                case Flatten():
                    values = layers.flatten(values)
                case Dense(activation=activation):
                    values = layers.dense(values, *self._learnt(name, values.dtype))
                    values = tf.nn.relu(values) if activation == "relu" else values
                case Dropout(rate=rate) if training:
                    values = layers.dropout(values, rate, self.random.make_seeds()[:, 0])
        return values

    def _learnt(self, name: str, dtype: tf.DType) -> tuple[tf.Tensor, tf.Tensor]:
        """Kernel and bias of a layer; for float32 the cast does nothing."""
        kernel, bias = (self.weights[f"{name}/{kind}"] for kind in ("kernel", "bias"))
        return tf.cast(kernel, dtype), tf.cast(bias, dtype)

    @property
    def params(self) -> dict[str, np.ndarray]:
        """Copies of the variables' values under their names."""
        return {name: variable.numpy() for name, variable in self.weights.items()}

    def logits(self, images: np.ndarray) -> np.ndarray:
        """[batch, classes] for images [batch, height, width, channels]; no dropout."""
        return self(tf.constant(ready_images(self.network, images))).numpy()

    def gradients(self, images: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
        """Gradient of the mean cross-entropy under the params' names; no dropout."""
        images = ready_images(self.network, images)
        labels = ready_labels(self.network, labels, len(images))
        with tf.GradientTape() as tape:
            logits = self(tf.constant(images))
            loss = tf.reduce_mean(layers.cross_entropy(logits, labels))
        slopes = tape.gradient(loss, self.trainable_variables)
        return {name: slope.numpy() for name, slope in zip(self.weights, slopes, strict=True)}


def tensor(array: np.ndarray) -> tf.Tensor:
    """A float32 array as a tensor in memory that TensorFlow's allocator counts.

    What ``tf.constant`` makes of an array may go on using NumPy's memory.
    """
    flat = tf.io.decode_raw(np.asarray(array, np.float32).tobytes(), tf.float32)
    return tf.reshape(flat, array.shape)
