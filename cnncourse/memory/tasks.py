"""What is measured: a compiled training step, and an evaluation in batches.

Both build the network anew, so call them in a fresh process: ``experiment(training_step, ...)``.
"""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from cnncourse.builders import build
from cnncourse.layers import cross_entropy
from cnncourse.memory.measuring import measure
from cnncourse.networks import Network

OPTIMIZERS: dict[str, Callable[[], keras.optimizers.Optimizer]] = {
    "sgd": lambda: keras.optimizers.SGD(0.01),
    "momentum": lambda: keras.optimizers.SGD(0.01, momentum=0.9),
    "adam": lambda: keras.optimizers.Adam(0.001),
}
Numbers = dict[str, float]


def training_step(
    network: Network | str | keras.Model,
    batch_size: int,
    *,
    api: str = "keras",
    optimizer: str = "adam",
    policy: str = "float32",
    parts: int = 1,
    steps: int = 3,
) -> Numbers:
    """Peak (bytes) and seconds of one training step on images of noise, after a warm-up step.

    ``parts`` cuts the batch into so many equal pieces, whose gradients are added up before the
    weights move (accumulation). Returns the largest peak and the shortest time of ``steps`` steps,
    and the bytes in use before them.
    """
    if parts < 1 or batch_size % parts:
        raise ValueError(f"parts is {parts}, which does not divide batch_size {batch_size} equally")
    if optimizer not in OPTIMIZERS:
        raise ValueError(f"optimizer is {optimizer!r}; use one of {', '.join(OPTIMIZERS)}")
    model, shape = _built(network, api, policy)
    images, labels = noise(shape, batch_size)
    step = compiled_step(model, OPTIMIZERS[optimizer](), shape, parts)
    return _repeated(lambda: step(images, labels), steps)


def evaluation(
    network: Network | str | keras.Model,
    images: int,
    batch_size: int,
    *,
    api: str = "keras",
    policy: str = "float32",
    steps: int = 1,
) -> Numbers:
    """Peak (bytes) and seconds of predicting so many images of noise, ``batch_size`` at a time.

    All images are in TensorFlow's memory only as far as a batch needs them.
    """
    model, shape = _built(network, api, policy)
    pictures = np.random.default_rng(0).random((images, *shape), dtype=np.float32)
    forward = compiled_forward(model, shape)

    def evaluate() -> None:
        for start in range(0, images, batch_size):
            forward(owned(pictures[start : start + batch_size])).numpy()

    forward(owned(pictures[:1]))
    return _repeated(evaluate, steps, warm_up=False)


def compiled_step(
    model: Any,
    optimizer: keras.optimizers.Optimizer,
    image_shape: Sequence[int],
    parts: int = 1,
) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """One step of gradient descent on the mean loss, as a graph, as `cnncourse.training` takes it.

    The graph is for any batch size that ``parts`` divides; labels are uint8.
    """
    variables = list(model.trainable_variables)
    optimizer.build(variables)

    def slopes(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(cross_entropy(model(images, training=True), labels)) / parts
        return loss, tape.gradient(loss, variables)

    # Plain Python that never looks into a tensor: there is nothing for AutoGraph to convert.
    signature = [_batch_of(image_shape), tf.TensorSpec([None], tf.uint8)]

    @tf.function(input_signature=signature, autograph=False)
    def step(images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        size = tf.shape(images)[0] // parts
        loss, total = slopes(images[:size], labels[:size]) if parts > 1 else slopes(images, labels)
        for part in range(1, parts):
            piece = slice(part * size, (part + 1) * size)
            # Without this order TensorFlow would start on all parts at once.
            with tf.control_dependencies(total):
                more, gradients = slopes(tf.identity(images[piece]), tf.identity(labels[piece]))
            loss += more
            total = [one + other for one, other in zip(total, gradients, strict=True)]
        optimizer.apply(total, variables)
        return loss

    return step.get_concrete_function()


def compiled_forward(model: Any, image_shape: Sequence[int]) -> Callable[[tf.Tensor], tf.Tensor]:
    """A model as a graph from images to logits, for any batch size, without dropout."""
    signature = [_batch_of(image_shape)]
    forward = tf.function(lambda images: model(images, training=False), signature, autograph=False)
    return forward.get_concrete_function()


def _batch_of(image_shape: Sequence[int]) -> tf.TensorSpec:
    return tf.TensorSpec([None, *image_shape], tf.float32)


def noise(image_shape: Sequence[int], batch_size: int) -> tuple[tf.Tensor, tf.Tensor]:
    """A batch as tensors: images (float32, 0 to 1) of noise, and labels (uint8)."""
    images = tf.random.stateless_uniform([batch_size, *image_shape], seed=(0, 0))
    return images, tf.cast(tf.range(batch_size) % 10, tf.uint8)


def owned(array: Any) -> tf.Tensor:
    """A copy in TensorFlow's own memory. ``tf.constant`` may go on using NumPy's on a CPU."""
    return tf.raw_ops.DeepCopy(x=tf.convert_to_tensor(array))


def own_weights(model: Any) -> None:
    """Move a model's weights into TensorFlow's own memory, where they are counted."""
    for variable in model.variables:
        variable.assign(owned(variable))


def _built(
    network: Network | str | keras.Model, api: str, policy: str
) -> tuple[Any, tuple[int, ...]]:
    """A model, and the shape of its images."""
    if isinstance(network, keras.Model):
        own_weights(network)
        return network, network.input_shape[1:]
    model = build(network, api, policy=policy)
    return model, model.network.input_shape


def _repeated(call: Callable[[], Any], times: int, warm_up: bool = True) -> Numbers:
    if warm_up:
        call()
    taken = [measure(call) for _ in range(times)]
    return {
        "peak": max(taken).peak,
        "before": taken[0].before,
        "seconds": min(one.seconds for one in taken),
    }
