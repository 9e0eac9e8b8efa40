"""``ImageDataset``: the training and the test set, and the ways of handing them to a network."""

import operator
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    import tensorflow as tf

Layout = Literal["NHWC", "NCHW"]
Split = Literal["train", "test"]

# to_tf hands images to TensorFlow in blocks of about so many: the step from Python into
# TensorFlow costs 0.1 ms whatever it carries, and a block this size stays below 26 MB.
IMAGES_PER_BLOCK = 2048


@dataclass(frozen=True, eq=False, repr=False)
class ImageDataset:
    """Images with labels, divided into a training and a test set. It never changes.

    Every method that alters something returns a new ``ImageDataset``; the arrays themselves are
    read-only views of what was given (copy one to write into it: ``data.x_train.copy()``).

    x_train, x_test
        Images, uint8 from 0 to 255, or float32 from 0 to 1 after ``scaled()``; axes
        [image, height, width, channels], or [image, channels, height, width] in layout "NCHW".
    y_train, y_test
        Labels, uint8 of shape (n,), or float32 of shape (n, classes) after ``one_hot()``.
    class_names
        What each label stands for, in order.
    name
        Of the data set, as "mnist".
    source
        "official" for the published data, "offline" for the stand-in made on this machine.
    layout
        "NHWC" (TensorFlow's habit) or "NCHW".
    note
        What is to be said beside ``source``, as "not the published bytes"; mostly nothing.

    Arrays that do not belong together raise a ValueError. Lesson 00_start_here looks around in one.
    """

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    class_names: tuple[str, ...]
    name: str
    source: str
    layout: Layout = "NHWC"
    note: str = ""

    def __post_init__(self) -> None:
        """Check the parts and make the arrays read-only."""
        if self.source not in ("official", "offline"):
            raise ValueError(f"source is {self.source!r}; use 'official' or 'offline'")
        _check_layout(self.layout)
        names = self.class_names
        if isinstance(names, str) or not names or not all(isinstance(n, str) for n in names):
            raise ValueError(f"class_names is {names!r}; give one name for each class, in order")
        object.__setattr__(self, "class_names", tuple(names))
        for part in ("x_train", "y_train", "x_test", "y_test"):
            # Contiguous, because gathering from anything else copies the whole set for each batch.
            # The view leaves the caller's own array as writable as it was.
            array = np.ascontiguousarray(getattr(self, part)).view()
            array.flags.writeable = False
            object.__setattr__(self, part, array)
        for split in ("train", "test"):
            self._check_images(f"x_{split}")
            self._check_labels(f"y_{split}")
            n_images, n_labels = (len(array) for array in self._arrays(split))
            if n_images != n_labels:
                raise ValueError(
                    f"x_{split} has {n_images} images but y_{split} has {n_labels} labels; "
                    "give one label for each image"
                )
        for x_or_y in "xy":
            train, test = getattr(self, f"{x_or_y}_train"), getattr(self, f"{x_or_y}_test")
            if train.shape[1:] != test.shape[1:] or train.dtype != test.dtype:
                raise ValueError(
                    f"{x_or_y}_test has items {test.shape[1:]} {test.dtype}, but {x_or_y}_train "
                    f"{train.shape[1:]} {train.dtype}; prepare both sets alike"
                )

    def _check_images(self, part: str) -> None:
        images = getattr(self, part)
        if images.dtype not in (np.uint8, np.float32):
            raise ValueError(
                f"{part} has dtype {images.dtype}; use uint8 (0 to 255) or float32 (0 to 1)"
            )
        axes = (
            "[image, height, width, channels]"
            if self.layout == "NHWC"
            else "[image, channels, height, width]"
        )
        if images.ndim != 4 or 0 in images.shape[1:]:
            raise ValueError(
                f"{part} has shape {images.shape}; {self.layout} images have the axes {axes}; "
                "grey images get their channel axis by images[..., np.newaxis]"
            )
        channels = images.shape[self.layout.index("C")]
        if channels > 4:
            raise ValueError(
                f"{part} has shape {images.shape}, so {channels} channels in layout "
                f"{self.layout} {axes}; move the axis, or name the other layout"
            )

    def _check_labels(self, part: str) -> None:
        labels, classes = getattr(self, part), len(self.class_names)
        if labels.dtype == np.uint8 and labels.ndim == 1:
            if len(labels) and labels.max() >= classes:
                raise ValueError(
                    f"{part} goes up to {labels.max()}, but class_names has only {classes} "
                    "names; labels start at 0"
                )
        elif labels.dtype == np.float32 and labels.shape[1:] == (classes,):
            if not ((labels == labels.astype(bool)).all() and (labels.sum(1) == 1).all()):
                raise ValueError(f"{part} is not one-hot: each row has a single 1 and else 0")
        else:
            raise ValueError(
                f"{part} has dtype {labels.dtype} and shape {labels.shape}; use uint8 of shape "
                f"(n,), or float32 of shape (n, {classes}) for one-hot labels"
            )

    def __repr__(self) -> str:
        """Name, origin and note, shapes and classes, in four lines."""
        origin = "official" if self.source == "official" else "offline stand-in"
        origin += f"; {self.note}" if self.note else ""
        sets = (
            f"  {split + ':':6} images {images.shape} {images.dtype} {self.layout}, "
            f"labels {labels.shape} {labels.dtype}"
            for split in ("train", "test")
            for images, labels in [self._arrays(split)]
        )
        classes = f"  {len(self.class_names)} classes: {', '.join(self.class_names)}"
        return "\n".join([f"ImageDataset {self.name} ({origin})", *sets, classes])

    def scaled(self) -> "ImageDataset":
        """Return the set with float32 images from 0 to 1: each pixel divided by 255.

        Images that are float32 already stay as they are, so a cell may be run twice.
        """
        if self.x_train.dtype == np.float32:
            return self
        byte = np.float32(255)
        return replace(
            self,
            x_train=np.divide(self.x_train, byte, dtype=np.float32),
            x_test=np.divide(self.x_test, byte, dtype=np.float32),
        )

    def one_hot(self) -> "ImageDataset":
        """Return the set with labels as float32 rows of shape (n, classes): 1 at the label, else 0.

        Labels that are one-hot already stay as they are.
        """
        if self.y_train.ndim == 2:
            return self
        rows = np.eye(len(self.class_names), dtype=np.float32)
        return replace(self, y_train=rows[self.y_train], y_test=rows[self.y_test])

    def subset(self, n_train: int, n_test: int) -> "ImageDataset":
        """Return the first ``n_train`` and ``n_test`` images with their labels, without copying.

        Asking for more than there are, or for less than none, raises a ValueError.
        """
        n_train = _whole("n_train", n_train, at_least=0, at_most=len(self.x_train))
        n_test = _whole("n_test", n_test, at_least=0, at_most=len(self.x_test))
        return replace(
            self,
            x_train=self.x_train[:n_train],
            y_train=self.y_train[:n_train],
            x_test=self.x_test[:n_test],
            y_test=self.y_test[:n_test],
        )

    def to_layout(self, layout: Layout) -> "ImageDataset":
        """Return the set with image axes in the order ``layout``, "NHWC" or "NCHW"."""
        _check_layout(layout)
        if layout == self.layout:
            return self
        order = [self.layout.index(axis) for axis in layout]
        return replace(
            self,
            x_train=self.x_train.transpose(order),
            x_test=self.x_test.transpose(order),
            layout=layout,
        )

    def batches(
        self,
        batch_size: int,
        *,
        split: Split = "train",
        shuffle: bool = True,
        seed: int | None = None,
        epochs: int | None = 1,
        drop_last: bool = False,
        first: int = 0,
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Return an iterator of (images, labels), ``batch_size`` of them at a time.

        An epoch holds every image of ``split`` once; with ``shuffle`` each has an order of its own,
        and ``seed`` fixes them all. The last batch of an epoch is smaller where the number does not
        divide, unless ``drop_last`` leaves it out. ``epochs=None`` goes on without end: then
        ``next(iterator)`` is what ``next_batch`` was in older tutorials, and it may begin at batch
        ``first``, counted from 0: that is where a stopped training run goes on. The batches are
        copies, yours to change. Arguments are checked here, not at the first batch.
        """
        images, labels = self._arrays(_check_split(split))
        plan = _Plan.checked(len(images), batch_size, shuffle, seed, epochs, drop_last, first)
        return (
            (images.take(rows[0], axis=0), labels.take(rows[0], axis=0))
            for rows in plan.blocks(iteration=0, batches_per_block=1)
        )

    def to_tf(
        self,
        batch_size: int,
        *,
        split: Split = "train",
        shuffle: bool = True,
        seed: int | None = None,
        epochs: int | None = 1,
        drop_last: bool = False,
        first: int = 0,
    ) -> "tf.data.Dataset":
        """Return a ``tf.data.Dataset`` with the very batches of ``batches``, made ahead of use.

        Arguments are as there. Iterating over it again goes on with the next epochs' orders, so
        ``model.fit(data.to_tf(64, seed=0), epochs=6, shuffle=False)`` sees six of them; ``shuffle``
        there is about arrays, and Keras warns unless it is off.

        The images stay in this object: TensorFlow holds neither a copy of the set nor a constant
        in a graph, which may not exceed 2 GB. ``benchmarks/data.py`` compares its speed with
        ``from_tensor_slices(...).shuffle(...).batch(...)``. As the batches come from Python, the
        dataset cannot be saved or sent to another process; build one in each.
        """
        images, labels = self._arrays(_check_split(split))
        plan = _Plan.checked(len(images), batch_size, shuffle, seed, epochs, drop_last, first)
        import tensorflow as tf  # takes seconds, so after the arguments have been checked

        batches_per_block = max(1, IMAGES_PER_BLOCK // plan.batch_size)
        iteration = 0

        def blocks() -> Iterator[tuple[np.ndarray, np.ndarray]]:
            nonlocal iteration
            # Counted, not drawn from one running generator: how far prefetching ran ahead in an
            # abandoned iteration must not change the order of the next.
            this, iteration = iteration, iteration + 1
            for rows in plan.blocks(this, batches_per_block):
                yield images.take(rows, axis=0), labels.take(rows, axis=0)

        # Only with drop_last is the size of every batch known beforehand.
        size = plan.batch_size if drop_last else None
        signature = tuple(
            tf.TensorSpec((None, size, *array.shape[1:]), array.dtype) for array in (images, labels)
        )
        dataset = tf.data.Dataset.from_generator(blocks, output_signature=signature).unbatch()
        length = tf.data.INFINITE_CARDINALITY if epochs is None else plan.batches_per_epoch * epochs
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(length))
        # The thread that tunes tf.data sleeps for up to some seconds at a time, and whoever ends an
        # iteration, as every training does, waits until it wakes: benchmarks/data.py measures it.
        options = tf.data.Options()
        options.autotune.enabled = False
        return dataset.prefetch(2).with_options(options)

    def _arrays(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        return getattr(self, f"x_{split}"), getattr(self, f"y_{split}")


@dataclass(frozen=True)
class _Plan:
    """Which rows make up which batch: all that ``batches`` and ``to_tf`` have in common."""

    n: int
    batch_size: int
    shuffle: bool
    seed: int
    epochs: int | None
    drop_last: bool
    first: int

    @classmethod
    def checked(
        cls,
        n: int,
        batch_size: Any,
        shuffle: bool,
        seed: Any,
        epochs: Any,
        drop_last: bool,
        first: Any,
    ) -> "_Plan":
        batch_size = _whole("batch_size", batch_size, at_least=1)
        if n == 0:
            raise ValueError("split has no images; take a larger subset")
        if drop_last and batch_size > n:
            raise ValueError(
                f"batch_size is {batch_size} with drop_last, but there are only {n} images, so "
                "that no batch is left; use a smaller one"
            )
        if epochs is not None:
            epochs = _whole("epochs", epochs, at_least=1)
        first = _whole("first", first, at_least=0)
        if first and epochs is not None:
            raise ValueError(
                f"first is {first} with epochs {epochs}; batches are counted on without end, so "
                "use epochs=None"
            )
        # Without a seed, one is drawn here, so that the epochs of one iterator still hang together.
        drawn = np.random.SeedSequence().entropy if seed is None else seed
        seed = _whole("seed", drawn, at_least=0)
        return cls(n, batch_size, shuffle, seed, epochs, drop_last, first)

    @property
    def batches_per_epoch(self) -> int:
        return self.n // self.batch_size if self.drop_last else -(-self.n // self.batch_size)

    def blocks(self, iteration: int, batches_per_block: int) -> Iterator[np.ndarray]:
        """Yield row numbers of shape (batches, batch): full batches in blocks, a rest alone.

        Each further ``iteration`` begins where the one before ends, or an epoch later if it has no
        end.
        """
        full = self.n // self.batch_size * self.batch_size
        skipped_epochs, skipped = divmod(self.first, self.batches_per_epoch)
        epoch = iteration * (self.epochs or 1) + skipped_epochs
        end = None if self.epochs is None else epoch + self.epochs
        while epoch != end:
            # An epoch's order follows from its number alone.
            order = (
                np.random.default_rng((self.seed, epoch)).permutation(self.n)
                if self.shuffle
                else np.arange(self.n)
            )
            batches = order[:full].reshape(-1, self.batch_size)
            for start in range(skipped, len(batches), batches_per_block):
                yield batches[start : start + batches_per_block]
            if full < self.n and not self.drop_last:
                yield order[np.newaxis, full:]
            epoch, skipped = epoch + 1, 0


def _check_layout(layout: str) -> None:
    if layout not in ("NHWC", "NCHW"):
        raise ValueError(f"layout is {layout!r}; use 'NHWC' or 'NCHW'")


def _check_split(split: str) -> str:
    if split not in ("train", "test"):
        raise ValueError(f"split is {split!r}; use 'train' or 'test'")
    return split


def _whole(argument: str, value: Any, *, at_least: int, at_most: int | None = None) -> int:
    """Return ``value`` as an int, or say which argument is none or lies outside."""
    span = f"of at least {at_least}" if at_most is None else f"from {at_least} to {at_most}"
    try:
        number = operator.index(value)
    except TypeError:
        number = at_least - 1
    if isinstance(value, bool) or number < at_least or (at_most is not None and number > at_most):
        raise ValueError(f"{argument} is {value!r}; use a whole number {span}")
    return number
