"""The ladder of lesson 13: from the text's network towards 94 % on CIFAR-10, one idea a rung.

A `Rung` says how a network is made, trained and asked, as data; a rung differs from the one below
it in one idea. `climb` trains one. All of it is backend-neutral Keras: the same lines run on
TensorFlow, JAX and PyTorch, with or without a GPU.

Sources of the ideas: batch normalisation, Ioffe and Szegedy 2015; residuals, He et al. 2016; label
smoothing, Szegedy et al. 2016; cutout, DeVries and Taylor 2017; one cycle of the learning rate,
Smith 2018; whitening and identity start in a fast CIFAR-10 network, Page 2018 and Jordan 2024
(airbench); orthogonal steps, Jordan et al. 2024 (Muon); small images first, Howard 2018 (fast.ai);
leaving out easy images, Qin et al. 2024 (InfoBatch).
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import keras
import numpy as np
from keras import layers, ops

from cnncourse.data import ImageDataset

WARM_UP = 0.25  # share of the steps
DRAWN = 0.3  # of the images that an epoch of hard images shows: those that are there by chance


@dataclass(frozen=True)
class Rung:
    """One rung: what is trained, how, and how it is asked.

    below
        Name of the rung to which this one adds an idea.
    widths
        Filters in each of the blocks; a block halves the maps' height and width.
    activation
        What follows each convolution: "relu", or "silu", x * sigmoid(x), its smooth relative.
    batch_norm, residual
        What stands beside the two convolutions of a block.
    whiten, directions
        A first layer whose kernels are computed from the images, not learnt, and convolutions
        that start by handing their input on. It looks in the loudest ``directions``
        (of 12; of grey images' 4).
    dropout
        Share of the features dropped before the last layer.
    flip, shift, cutout
        How training images are altered: mirrored at random; moved by up to ``shift`` pixels; a
        square of ``cutout`` pixels a side made grey.
    label_smoothing
        Share of the label's weight that all classes share.
    optimizer, learning_rate, warm_up
        The step. With "adam", ``warm_up`` raises the learning rate over the first quarter and
        lowers it to 0 by the end; with "muon" it falls on a line to 0 from the first step on.
    crops, shares
        For each epoch: the side of the window of each image that is shown, at a random place (the
        image's own side for all of it), and the share of the images that is shown, the hard ones
        first, as `hard_images` chooses them. None: whole images, and all of them.
    averaging
        Decay of the average over the weights of all steps, which then answers; 0 for none.
    views
        Test images are asked as they are (1), mirrored too (2), or shifted by a pixel too (6).
    """

    name: str
    below: str = ""
    widths: tuple[int, ...] = (24, 48, 96)
    activation: Literal["relu", "silu"] = "relu"
    batch_norm: bool = False
    residual: bool = False
    whiten: bool = False
    directions: int = 12
    dropout: float = 0.0
    flip: bool = False
    shift: int = 0
    cutout: int = 0
    label_smoothing: float = 0.0
    optimizer: Literal["adam", "muon"] = "adam"
    learning_rate: float = 1e-3
    warm_up: bool = False
    crops: tuple[int, ...] = ()
    shares: tuple[float, ...] = ()
    averaging: float = 0.0
    views: Literal[1, 2, 6] = 1
    batch_size: int = 100
    epochs: int = 4
    policy: str = "float32"

    def __post_init__(self) -> None:
        """Refuse crops and shares that do not fit the epochs, or averaging over such epochs."""
        for name in ("crops", "shares"):
            given = getattr(self, name)
            if given and len(given) != self.epochs:
                raise ValueError(
                    f"{name} is {given} for {self.epochs} epochs; give one for each epoch, or none"
                )
            if given and self.averaging:  # each epoch is a fit, and a fit ends with the average
                raise ValueError(f"averaging is {self.averaging} beside {name}; leave one out")
        if self.shares and not (min(self.shares) > 0 and max(self.shares) <= self.shares[0] == 1):
            raise ValueError(
                f"shares is {self.shares}; give numbers above 0 and up to 1, the first of them 1: "
                "which images are hard is known only when all were seen"
            )


# ---- the network


def network(rung: Rung, images: np.ndarray, classes: int = 10) -> keras.Model:
    """The rung's network for standardised ``images`` [n, height, width, channels]; gives logits.

    The images are looked at only where the first layer whitens.
    """
    side = (None, None) if rung.crops else images.shape[1:3]
    inputs = keras.Input((*side, images.shape[3]))
    maps = inputs
    if rung.whiten:
        kernel = whitening_kernel(images, directions=rung.directions)
        whitening = layers.Conv2D(kernel.shape[-1], kernel.shape[0], name="whitening")
        maps = layers.Activation(rung.activation)(whitening(maps))
        whitening.kernel.assign(kernel)
        whitening.kernel.trainable = False
    for width in rung.widths:
        maps = layers.MaxPooling2D()(_convolution(rung, maps, width))
        maps = shortcut = _normalised(rung, maps)
        maps = _normalised(rung, _convolution(rung, maps, width))
        if rung.residual:
            maps = layers.Add()([maps, shortcut])
    features = layers.GlobalMaxPooling2D()(maps)
    if rung.dropout:
        features = layers.Dropout(rung.dropout)(features)
    logits = layers.Dense(classes, dtype="float32", name="head")(features)
    return keras.Model(inputs, logits)


def _convolution(rung: Rung, maps: Any, width: int) -> Any:
    start = IdentityStart() if rung.whiten else "he_normal"
    return layers.Conv2D(
        width, 3, padding="same", use_bias=not rung.batch_norm, kernel_initializer=start
    )(maps)


def _normalised(rung: Rung, maps: Any) -> Any:
    if rung.batch_norm:
        momentum = 0.6 if rung.whiten else 0.9
        maps = layers.BatchNormalization(momentum=momentum, epsilon=1e-5, scale=not rung.whiten)(
            maps
        )
    return layers.Activation(rung.activation)(maps)


class IdentityStart(keras.initializers.Initializer):
    """Kernels [height, width, in, out] whose first filters hand the input channels on.

    Filter c starts as a 1 in the centre of channel c, for as many filters as there are channels;
    the remaining ones start random, uniform within 1 / sqrt(height * width * in).
    """

    def __init__(self, seed: int | None = None) -> None:
        self.random = keras.random.SeedGenerator(seed)

    def __call__(self, shape: tuple[int, ...], dtype: str | None = None) -> Any:
        """A kernel of this shape."""
        height, width, before, after = shape
        bound = 1 / math.sqrt(height * width * before)
        kernel = np.array(keras.random.uniform(shape, -bound, bound, seed=self.random))
        handed_on = min(before, after)
        kernel[..., :handed_on] = 0
        kernel[height // 2, width // 2, range(handed_on), range(handed_on)] = 1
        return ops.convert_to_tensor(kernel, dtype)


def whitening_kernel(
    images: np.ndarray, size: int = 2, epsilon: float = 5e-4, directions: int | None = None
) -> np.ndarray:
    """Kernel [size, size, channels, 2 * directions] that decorrelates patches.

    Each filter is an eigenvector of the patches' covariance divided by the root of its
    eigenvalue: over the images, the maps have about variance 1 and no correlation. The
    ``directions`` are those with the largest eigenvalues, faintest first; without a number, all.
    Every filter comes with its negative, because the activation that follows cuts off one side.
    """
    patches = np.lib.stride_tricks.sliding_window_view(images[:5_000], (size, size), axis=(1, 2))
    patches = np.moveaxis(patches, 3, 5).reshape(-1, size * size * images.shape[-1])
    values, vectors = np.linalg.eigh(patches.T @ patches / len(patches))
    loudest = slice(-min(directions or len(values), len(values)), None)
    filters = (vectors / np.sqrt(values + epsilon))[:, loudest]
    kernel = filters.reshape(size, size, images.shape[-1], -1)
    return np.concatenate([kernel, -kernel], axis=-1).astype("float32")


# ---- the images


def standardised(images: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Float32 images with mean 0 and variance 1 in each channel of ``like``, the training set."""
    mean = like.mean(axis=(0, 1, 2), dtype="float64")
    deviation = like.std(axis=(0, 1, 2), dtype="float64")
    return ((images - mean.astype("float32")) / deviation.astype("float32")).astype("float32")


def mirrored(images: np.ndarray, which: np.ndarray) -> np.ndarray:
    """Images [n, height, width, channels], those that ``which`` (n booleans) marks mirrored."""
    return np.where(which[:, None, None, None], images[:, :, ::-1], images)


def shifted(images: np.ndarray, by: int, random: np.random.Generator) -> np.ndarray:
    """Each image moved by -``by`` to ``by`` pixels along both axes, its edge mirrored outwards."""
    padded = np.pad(images, ((0, 0), (by, by), (by, by), (0, 0)), "reflect")
    height, width = images.shape[1:3]
    return cropped(padded, height, width, random)


def cropped(images: np.ndarray, height: int, width: int, random: np.random.Generator) -> np.ndarray:
    """A window [height, width] of each image, at a random place."""
    room = np.subtract(images.shape[1:3], (height, width))
    corners = random.integers(0, room + 1, (len(images), 2))
    windows = [
        image[down : down + height, right : right + width]
        for image, (down, right) in zip(images, corners, strict=True)
    ]
    return np.stack(windows)


def cut_out(images: np.ndarray, size: int, random: np.random.Generator) -> np.ndarray:
    """Each image with a square of ``size`` pixels set to 0, the mean; it may hang over the edge."""
    rows, columns = (np.arange(side) for side in images.shape[1:3])
    centre = random.integers(0, images.shape[1:3], (len(images), 2))
    low, high = centre - size // 2, centre - size // 2 + size
    inside = ((rows >= low[:, :1]) & (rows < high[:, :1]))[:, :, None] & (
        (columns >= low[:, 1:]) & (columns < high[:, 1:])
    )[:, None, :]
    return np.where(inside[..., None], np.float32(0), images)


def hard_images(losses: np.ndarray, share: float, random: np.random.Generator) -> np.ndarray:
    """Places of a ``share`` of the images: most of them those with the highest losses [n].

    The rest, `DRAWN` of them, is drawn from the other images, lest these be forgotten.
    """
    count = round(share * len(losses))
    hard = round((1 - DRAWN) * count)
    order = np.argsort(-losses)
    return np.concatenate([order[:hard], random.permutation(order[hard:])[: count - hard]])


class Batches(keras.utils.PyDataset):
    """Batches of a training set in a new order each epoch, altered as a rung says.

    An epoch leaves out the last images that do not fill a batch. Mirroring takes turns: a random
    half of the images is mirrored in the first epoch, the other half in the next, and so on, so
    that no image is seen twice the same way in a row. ``last`` knows each image's last loss; it
    is asked where a rung shows a share of them.
    """

    def __init__(
        self,
        rung: Rung,
        images: np.ndarray,
        labels: np.ndarray,
        seed: int,
        last: "LastLosses | None" = None,
    ) -> None:
        super().__init__()
        self.rung, self.images, self.labels, self.seed, self.last = rung, images, labels, seed, last
        self.mirrored_first = np.random.default_rng((seed, 0, 0)).random(len(images)) < 0.5
        self.begin(0)

    def begin(self, epoch: int) -> None:
        """Choose an epoch's images, draw their order, and mirror the other half."""
        self.epoch = epoch
        random = np.random.default_rng((self.seed, epoch + 1, 0))
        self.mirror = self.mirrored_first ^ bool(epoch % 2)
        self.side = self.rung.crops[epoch] if self.rung.crops else self.images.shape[1]
        share = self.rung.shares[epoch] if self.rung.shares else 1.0
        shown = np.arange(len(self.images))
        if share < 1 and self.last:
            shown = hard_images(self.last.losses(), share, random)
        self.order = random.permutation(shown)

    def __len__(self) -> int:
        """Batches in the epoch."""
        return len(self.order) // self.rung.batch_size

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """One batch: images [batch, height, width, channels] and targets [batch, 2].

        A target is an image's label and its place in the training set.
        """
        random = np.random.default_rng((self.seed, self.epoch + 1, index + 1))
        size = self.rung.batch_size
        chosen = self.order[index * size : (index + 1) * size]
        images = self.images[chosen]
        if self.rung.flip:
            images = mirrored(images, self.mirror[chosen])
        if self.side < images.shape[1]:
            images = cropped(images, self.side, self.side, random)
        elif self.rung.shift:
            images = shifted(images, self.rung.shift, random)
        if self.rung.cutout:
            images = cut_out(images, self.rung.cutout, random)
        return images, targets(self.labels[chosen], chosen)


def targets(labels: np.ndarray, places: np.ndarray | int) -> np.ndarray:
    """Targets [n, 2], int32: each image's label and its place in the training set."""
    return np.stack([labels, np.broadcast_to(places, labels.shape)], axis=1).astype("int32")


# ---- the step


class Muon(keras.optimizers.Optimizer):
    """Momentum for convolutions made orthogonal; Adam for everything else.

    A kernel is read as a matrix [height * width * in, out]. Of its momentum only the directions
    are kept: `orthogonal` brings all singular values near 1, so that a direction that the gradient
    shows rarely is walked as far as one it shows always. The kernel itself keeps the length
    root(out), so that ``learning_rate`` is a share of its length. Keras' own Muon does this for
    matrices, and not for the kernels of convolutions.

    ``adam_rate`` is Adam's learning rate for the rest over ``learning_rate``.
    """

    def __init__(
        self, learning_rate: Any, momentum: float = 0.6, adam_rate: float = 0.1, **keywords: Any
    ) -> None:
        super().__init__(learning_rate=learning_rate, **keywords)
        self.momentum, self.adam_rate = momentum, adam_rate

    def build(self, variables: list[keras.Variable]) -> None:
        """Make the moments: one of each kernel's gradient, two of everything else's."""
        if self.built:
            return
        super().build(variables)
        self.first, self.second = (
            [self.add_variable_from_reference(variable, name=name) for variable in variables]
            for name in ("momentum", "velocity")
        )

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Move one variable."""
        index = self._get_variable_index(variable)
        first, second = self.first[index], self.second[index]
        if len(variable.shape) == 4:
            self.assign(first, self.momentum * first + gradient)
            direction = ops.reshape(gradient + self.momentum * first, (-1, variable.shape[-1]))
            step = ops.reshape(orthogonal(direction), variable.shape)
            length = math.sqrt(variable.shape[-1])
            kernel = variable * (length / ops.sqrt(ops.sum(ops.square(variable))))
            self.assign(variable, kernel - learning_rate * step)
        else:
            past, past_squares = 0.9, 0.95
            count = ops.cast(self.iterations + 1, variable.dtype)
            self.assign(first, past * first + (1 - past) * gradient)
            squares = past_squares * second + (1 - past_squares) * ops.square(gradient)
            self.assign(second, squares)
            size = ops.sqrt(second / (1 - past_squares**count)) + 1e-8
            step = first / (1 - past**count) / size
            self.assign(variable, variable - self.adam_rate * learning_rate * step)


def orthogonal(matrix: Any, iterations: int = 3) -> Any:
    """Roughly the nearest matrix with orthogonal rows or columns: singular values near 1.

    Newton-Schulz iteration with Jordan's coefficients: each round maps every singular value s to
    3.4445 s - 4.775 s**3 + 2.0315 s**5, which drives them all into 0.7 to 1.2, without an SVD.
    """
    tall = matrix.shape[0] > matrix.shape[1]
    x = ops.transpose(matrix) if tall else matrix
    x = x / (ops.norm(x) + 1e-7)
    for _ in range(iterations):
        square = ops.matmul(x, ops.transpose(x))
        x = 3.4445 * x + ops.matmul(-4.7750 * square + 2.0315 * ops.matmul(square, square), x)
    return ops.transpose(x) if tall else x


# ---- the training


@dataclass(frozen=True)
class Climb:
    """What a rung reached: one entry an epoch, and the answer at the end.

    ``seconds`` is training time alone, from the first step's compilation on, without evaluation.
    """

    rung: Rung
    model: keras.Model = field(repr=False)
    losses: list[float]
    train_accuracies: list[float]
    test_accuracies: list[float]
    seconds: list[float]
    accuracy: float


def climb(
    rung: Rung,
    data: ImageDataset,
    *,
    seed: int = 0,
    report: Callable[[str], None] | None = None,
) -> Climb:
    """Train a rung on ``data`` (uint8 images) and evaluate it on the test set after each epoch.

    ``report`` gets a line an epoch. Raises ValueError where an epoch has not one whole batch.
    """
    fewest = round(min(rung.shares, default=1) * len(data.x_train))
    if fewest < rung.batch_size:
        raise ValueError(
            f"batch_size is {rung.batch_size}, but an epoch has only {fewest} training images; "
            "take a rung with smaller batches: dataclasses.replace(rung, batch_size=...)"
        )
    side = min(data.x_train.shape[1:3])
    if max(rung.crops, default=0) > side:
        raise ValueError(
            f"crops is {rung.crops}, but the images have {side} pixels a side; give no more"
        )
    keras.utils.set_random_seed(seed)
    images, test_images = (standardised(x, data.x_train) for x in (data.x_train, data.x_test))
    loss = smoothed_cross_entropy(rung.label_smoothing)
    last = LastLosses(loss, len(images), len(data.class_names)) if rung.shares else None
    batches = Batches(rung, images, data.y_train, seed, last)
    with policy(rung.policy):
        model = network(rung, images, len(data.class_names))
    steps = sum(round(s * len(images)) // rung.batch_size for s in rung.shares or rung.epochs * [1])
    model.compile(
        step_of(rung, steps),
        loss,
        metrics=[Accuracy(name="accuracy"), *([last] if last else [])],
        # On a CPU TensorFlow's own kernels are several times as fast as its compiled ones.
        jit_compile=keras.backend.backend() == "jax",
    )
    watch = Watch(rung, batches, report)
    callbacks = [keras.callbacks.SwapEMAWeights(), watch] if rung.averaging else [watch]
    history: dict[str, list[float]] = {}
    # Keras wants all batches of one fit to be of one shape.
    ends = range(1, rung.epochs + 1) if rung.crops or rung.shares else [rung.epochs]
    for start, end in zip([0, *ends], ends, strict=False):
        batches.begin(start)
        fitted = model.fit(
            batches,
            initial_epoch=start,
            epochs=end,
            # A test image has no place in the training set: theirs is the one after it.
            validation_data=(test_images, targets(data.y_test, len(images))),
            validation_batch_size=500,
            callbacks=callbacks,
            verbose=0,
        ).history
        for name, values in fitted.items():
            history.setdefault(name, []).extend(values)
    test_labels = data.y_test
    return Climb(
        rung,
        model,
        history["loss"],
        history["accuracy"],
        history["val_accuracy"],
        watch.seconds,
        float((predictions(model, test_images, rung.views).argmax(axis=1) == test_labels).mean()),
    )


def predictions(model: keras.Model, images: np.ndarray, views: Literal[1, 2, 6] = 1) -> np.ndarray:
    """Logits [n, classes], the mean over ``views`` of each standardised image.

    1 is the image itself; 2 adds its mirror image; 6 adds both, moved by a pixel to the upper
    left and to the lower right, which together count as much as the two in place.
    """
    if views == 1:
        return model.predict(images, batch_size=500, verbose=0)
    in_place = (predictions(model, images) + predictions(model, images[:, :, ::-1])) / 2
    if views == 2:
        return in_place
    side, width = images.shape[1:3]
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), "reflect")
    corners = (padded[:, :side, :width], padded[:, 2:, 2:])
    return in_place / 2 + sum(predictions(model, corner, 2) for corner in corners) / 4


def step_of(rung: Rung, steps: int) -> keras.optimizers.Optimizer:
    """The rung's optimizer for a run of so many steps."""
    rate: Any = rung.learning_rate
    if rung.optimizer == "muon":
        return Muon(keras.optimizers.schedules.PolynomialDecay(rate, steps, 0.0))
    if rung.warm_up:
        first = round(WARM_UP * steps)
        rate = keras.optimizers.schedules.CosineDecay(
            rate / 10, steps - first, warmup_target=rate, warmup_steps=first
        )
    averaged: dict[str, Any] = {"use_ema": True, "ema_momentum": rung.averaging}
    return keras.optimizers.Adam(rate, **(averaged if rung.averaging else {}))


def smoothed_cross_entropy(smoothing: float) -> Callable[[Any, Any], Any]:
    """Cross-entropy of logits with labels that keep ``1 - smoothing`` of their weight.

    The rest is shared by all classes alike. Labels are the first column of targets [batch, ...].
    """

    def loss(targets: Any, logits: Any) -> Any:
        one_hot = ops.one_hot(targets[:, 0], logits.shape[-1])
        return keras.losses.categorical_crossentropy(
            one_hot, logits, from_logits=True, label_smoothing=smoothing
        )

    return loss


class Accuracy(keras.metrics.SparseCategoricalAccuracy):
    """Accuracy where targets [batch, 2] hold more than the labels."""

    def update_state(self, targets: Any, logits: Any, sample_weight: Any = None) -> None:
        """Look at the labels alone."""
        super().update_state(targets[:, :1], logits, sample_weight)


class LastLosses(keras.metrics.Metric):
    """The loss that each training image had when it was last seen; epochs do not reset it."""

    def __init__(self, loss: Callable[[Any, Any], Any], images: int, classes: int) -> None:
        super().__init__(name="last_losses")
        self.loss = loss
        unseen = keras.initializers.Constant(math.log(classes))  # as if all were equally likely
        self.each = self.add_variable((images + 1,), unseen, name="each")

    def losses(self) -> np.ndarray:
        """One number an image of the training set."""
        return ops.convert_to_numpy(self.each)[:-1]

    def update_state(self, targets: Any, logits: Any, sample_weight: Any = None) -> None:
        """Note the losses of a batch."""
        losses = ops.cast(self.loss(targets, logits), self.dtype)
        self.each.assign(ops.scatter_update(self.each, targets[:, 1:], losses))

    def reset_state(self) -> None:
        """Remember."""

    def result(self) -> Any:
        """Mean over the training set."""
        return ops.mean(self.each[:-1])


class Watch(keras.callbacks.Callback):
    """Begins each epoch, adds up the seconds of training without those of evaluation, reports."""

    def __init__(self, rung: Rung, batches: Batches, report: Callable[[str], None] | None) -> None:
        super().__init__()
        self.rung, self.batches, self.report = rung, batches, report
        self.seconds: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Start the watch and choose the images."""
        self.started = time.perf_counter()
        self.batches.begin(epoch)

    def on_test_begin(self, logs: Any = None) -> None:
        """Stop it before the test set is evaluated."""
        before = self.seconds[-1] if self.seconds else 0.0
        self.seconds.append(before + time.perf_counter() - self.started)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Say how far it is."""
        if self.report:
            self.report(
                f"{self.rung.name}: epoch {epoch + 1} of {self.rung.epochs}, "
                f"{self.seconds[-1]:.0f} s, loss {logs['loss']:.4f}, "
                f"test accuracy {logs['val_accuracy']:.4f}"
            )


@contextmanager
def policy(name: str) -> Iterator[None]:
    """Make layers under this policy of number formats ("float32", "mixed_bfloat16")."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


# ---- the ladder


def _above(below: Rung, name: str, **changes: Any) -> Rung:
    return replace(below, name=name, below=below.name, **changes)


_DEPTH = Rung("smaller kernels, more depth")
_NORMALISED = _above(_DEPTH, "batch normalisation", batch_norm=True)
_SCHEDULE = _above(_NORMALISED, "a schedule with warm-up", warm_up=True, learning_rate=5e-3)
_RESIDUAL = _above(_SCHEDULE, "residuals", residual=True)
_MOVED = _above(_SCHEDULE, "mirrored and shifted images", flip=True, shift=2)
_CUTOUT = _above(_MOVED, "cutout", cutout=8)
_DROPOUT = _above(_MOVED, "dropout before the last layer", dropout=0.2)
_SMOOTHED = _above(_MOVED, "label smoothing", label_smoothing=0.1)
_AVERAGED = _above(_MOVED, "averaged weights", averaging=0.998)
_VIEWS = _above(_MOVED, "six views of each test image", views=6)
_WHITENED = _above(_VIEWS, "whitened patches", whiten=True)
_MUON = _above(
    _WHITENED, "Muon", optimizer="muon", learning_rate=0.12, warm_up=False, batch_size=500
)
_WIDER = _above(
    _MUON,
    "wider and longer, in bfloat16",
    widths=(64, 256, 256),
    activation="silu",
    label_smoothing=0.2,
    epochs=8,
    policy="mixed_bfloat16",
)

_HARD = _above(
    _WIDER,
    "small windows and hard images",
    directions=6,
    crops=(20, 24, *7 * [28], 32),
    shares=(1.0, 1.0, *7 * [0.5], 0.8),
    epochs=10,
)

LADDER: tuple[Rung, ...] = (
    *(_DEPTH, _NORMALISED, _SCHEDULE, _RESIDUAL, _MOVED),
    *(_CUTOUT, _DROPOUT, _SMOOTHED, _AVERAGED, _VIEWS),
    *(_WHITENED, _MUON, _WIDER, _HARD),
)

SHORT = replace(_MUON, name="Muon, two epochs", below="", epochs=2)

_DIGITS = replace(_MUON, name="MNIST in 10 s", below="", flip=False, views=1, epochs=1)
MNIST_LADDER: tuple[Rung, ...] = (
    replace(_DIGITS, widths=(8, 16, 48)),
    replace(_DIGITS, name="MNIST in 40 s", widths=(8, 24, 64), epochs=4),
)
