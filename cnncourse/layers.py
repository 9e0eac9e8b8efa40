"""Low-level TensorFlow layers: each is a few operations that one can read.

Images are [batch, height, width, channels], kernels [height, width, in_channels, out_channels].
Nothing here holds state: weights and biases are arguments. Lesson 05 builds every function.
"""

import tensorflow as tf


def conv2d(
    images: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor, stride: int = 1, padding: str = "SAME"
) -> tf.Tensor:
    """Slide every filter over every image and add its bias.

    Returns [batch, out_height, out_width, out_channels]. ``strides`` has one number for each axis
    of the images: never skip an image or a channel, so the first and the last are 1.
    """
    maps = tf.nn.conv2d(images, kernel, strides=[1, stride, stride, 1], padding=padding.upper())
    return tf.nn.bias_add(maps, bias)


def max_pool2d(
    images: tf.Tensor, window: int = 2, stride: int = 2, padding: str = "SAME"
) -> tf.Tensor:
    """Keep the largest value of each window, channel by channel."""
    return tf.nn.max_pool2d(
        images,
        ksize=[1, window, window, 1],
        strides=[1, stride, stride, 1],
        padding=padding.upper(),
    )


def flatten(images: tf.Tensor) -> tf.Tensor:
    """[batch, height, width, channels] to [batch, height * width * channels]."""
    return tf.reshape(images, [-1, images.shape[1] * images.shape[2] * images.shape[3]])


def dense(inputs: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
    """Every input times every unit's weight, plus its bias: [batch, inputs] to [batch, units]."""
    return tf.matmul(inputs, kernel) + bias


def dropout(inputs: tf.Tensor, rate: float, seed: tf.Tensor) -> tf.Tensor:
    """Set a share ``rate`` of the inputs to 0, and scale the rest up to make up: for training only.

    The scaling by ``1 / (1 - rate)`` keeps the expected sum, so predicting needs no change.
    ``seed`` is two whole numbers, [2]; the same two drop the same places. ``tf.nn.dropout`` draws
    from a state that TensorFlow hides, so a stopped training run could not go on with it.
    """
    return tf.nn.experimental.stateless_dropout(inputs, rate, seed)


def cross_entropy(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Softmax cross-entropy of each image, [batch], computed from the logits.

    ``labels`` are class numbers, [batch]. Taking logits rather than probabilities is what keeps it
    finite: ``log(softmax)`` is worked out as one formula and never sees ``log(0)``.
    """
    return tf.nn.sparse_softmax_cross_entropy_with_logits(
        labels=tf.cast(labels, tf.int32), logits=logits
    )
