"""A network in TensorFlow 1 style: a graph of its own, placeholders, and a session that runs it.

This is lesson 06's code, written for any `Network`. Nothing here switches eager mode off: the graph
is built inside ``with graph.as_default()``, and everything outside stays as it is.
"""

from typing import Any

import numpy as np
import tensorflow as tf

from cnncourse.builders.params import ready_images, ready_labels
from cnncourse.layers import cross_entropy
from cnncourse.networks import Conv, Dense, Dropout, Flatten, MaxPool, Network, Recipe

tf1 = tf.compat.v1


class Build:
    """A `Network` as nodes of ``graph``, run by ``session``.

    Nodes: the placeholders ``images`` and ``labels``, the ``prediction`` (logits without dropout)
    and the ``loss`` to train on (mean cross-entropy, with dropout). ``build(images)`` adds another
    forward pass to the graph. To train, add an optimizer's ``minimize(build.loss)``.
    """

    def __init__(self, network: Network, params: dict[str, np.ndarray], seed: int = 0) -> None:
        """Draw the graph, open the session, and fill the variables; ``seed`` is the dropout's."""
        self.network = network
        self.graph = tf.Graph()
        with self.graph.as_default():
            tf1.set_random_seed(seed)
            self.images = tf1.placeholder(tf.float32, [None, *network.input_shape], "images")
            self.labels = tf1.placeholder(tf.int32, [None], "labels")
            self.weights, starts = graph_variables(network)
            self.prediction = self(self.images)
            self.loss = mean_cross_entropy(self(self.images, training=True), self.labels)
            still = mean_cross_entropy(self.prediction, self.labels)
            slopes = tf1.gradients(still, self.trainable_variables)
            self._slopes = dict(zip(self.weights, slopes, strict=True))
            fill = tf1.global_variables_initializer()
        self.session = tf1.Session(graph=self.graph)
        self.session.run(fill, {starts[name]: array for name, array in params.items()})

    def __call__(self, images: Any, training: bool = False) -> Any:
        """Logits [batch, classes] as a new node, for a tensor of this graph."""
        return forward(self.network, self.weights, images, training)

    @property
    def trainable_variables(self) -> list[Any]:
        """The graph's variables in the params' order."""
        return list(self.weights.values())

    @property
    def params(self) -> dict[str, np.ndarray]:
        """The variables' values under their names, fetched from the session."""
        return self.session.run(self.weights)

    def logits(self, images: np.ndarray) -> np.ndarray:
        """[batch, classes] for images [batch, height, width, channels]; no dropout."""
        return self.session.run(self.prediction, {self.images: ready_images(self.network, images)})

    def gradients(self, images: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
        """Gradient of the mean cross-entropy under the params' names; no dropout."""
        images = ready_images(self.network, images)
        labels = ready_labels(self.network, labels, len(images))
        return self.session.run(self._slopes, {self.images: images, self.labels: labels})


def graph_variables(network: Network) -> tuple[dict[str, Any], dict[str, Any]]:
    """Add a network's variables to the current graph: (variables, their starts), each by name.

    The starts are placeholders to feed when the initializer runs. Constants would do as well, but
    would put a copy of every array into the graph itself, which may not exceed 2 GB.
    """
    starts = {
        name: tf1.placeholder(tf.float32, shape, f"{name}/start")
        for name, shape in network.parameter_shapes.items()
    }
    variables = {name: tf1.get_variable(name, initializer=start) for name, start in starts.items()}
    return variables, starts


def forward(network: Network, variables: dict[str, Any], images: Any, training: bool) -> Any:
    """Add a forward pass to the current graph: images to logits [batch, classes]."""
    values = images
    for name, layer in network.named_layers:
        if isinstance(layer, Conv | Dense):
            kernel, bias = variables[f"{name}/kernel"], variables[f"{name}/bias"]
        with tf1.name_scope(name):
            match layer:
                case Conv(stride=stride, padding=padding):
                    strides = [1, stride, stride, 1]
                    values = tf1.nn.conv2d(values, kernel, strides, padding.upper())
                    values = tf1.nn.bias_add(values, bias)
                case MaxPool(window, stride, padding):
                    sides, strides = [1, window, window, 1], [1, stride, stride, 1]
                    values = tf1.nn.max_pool(values, sides, strides, padding.upper())
                case Flatten():
                    values = tf1.reshape(values, [-1, np.prod(values.shape[1:])])
                case Dense():
                    values = tf1.nn.xw_plus_b(values, kernel, bias)
                case Dropout(rate) if training:
                    values = tf1.nn.dropout(values, rate=rate)
            if isinstance(layer, Conv | Dense) and layer.activation == "relu":
                values = tf1.nn.relu(values)
    return values


def mean_cross_entropy(logits: Any, labels: Any) -> Any:
    """Add the batch's mean softmax cross-entropy to the current graph: a single number."""
    return tf1.reduce_mean(cross_entropy(logits, labels), name="loss")


def optimizer_of(recipe: Recipe) -> Any:
    """Return the recipe's optimizer, for use in the current graph."""
    kinds = {"adam": tf1.train.AdamOptimizer, "sgd": tf1.train.GradientDescentOptimizer}
    return kinds[recipe.optimizer](recipe.learning_rate)
