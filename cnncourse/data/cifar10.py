"""CIFAR-10: 50,000 + 10,000 colour pictures of ten classes, 32 by 32 pixels (Krizhevsky, 2009).

It was published in two packings of the same six batches: pickles of Python 2, and plain records.
Every file of both has a known checksum, and none is opened whose checksum is another.
"""

import hashlib
import io
import pickle
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np

from cnncourse.data.dataset import ImageDataset
from cnncourse.data.files import lies_there, opened, read_npz, sha256_of
from cnncourse.data.loading import Collection, load
from cnncourse.data.official import Arrays, Form, Known, Table
from cnncourse.data.offline import StandIn

PIXELS = 3 * 32 * 32  # of an image: red, green and blue, each row by row from the top
LARGEST = 1 << 25  # bytes; a batch has 31 million in both packings

TABLE: Table = {
    "x_train": Known((50_000, 32, 32, 3)),
    "y_train": Known((50_000,)),
    "x_test": Known((10_000, 32, 32, 3)),
    "y_test": Known((10_000,)),
}

# What a pickled array of Python 2 asks for.
NUMPY = {("numpy.core.multiarray", "_reconstruct"), ("numpy", "ndarray"), ("numpy", "dtype")}

Batch = tuple[np.ndarray, np.ndarray]  # labels (n,), pixels (n, PIXELS), uint8


@dataclass(frozen=True)
class Packing:
    """The six batches as published: an archive that unpacks to one folder.

    ``checksums`` has the checksum of each batch by file name: the training batches in order, then
    the test batch. ``unpack`` makes a batch of a file's content, or raises a ValueError.
    """

    archive: str
    sha256: str
    folder: str
    algorithm: str
    checksums: dict[str, str]
    unpack: Callable[[bytes], Batch]


class _Parts:
    """What a pickle says of one object: the arguments that make it, and its state.

    It stands where NumPy's functions would, so that a pickle calls nothing and reserves nothing.
    """

    __slots__ = ("arguments", "state")

    def __init__(self, *arguments: object) -> None:
        self.arguments = arguments
        self.state: object = None

    def __setstate__(self, state: object) -> None:
        self.state = state


class _ArraysOnly(pickle.Unpickler):
    """Admits plain containers, numbers, strings and the parts of NumPy arrays; nothing runs."""

    def find_class(self, module: str, name: str) -> type[_Parts]:
        if (module, name) not in NUMPY:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no array needs")
        return _Parts


def unpickled(content: bytes) -> Batch:
    """Return the batch in a pickle of Python 2; a ValueError says what else it holds."""
    try:
        batch = _ArraysOnly(io.BytesIO(content), encoding="bytes").load()
        labels = batch[b"labels"]
        _version, shape, dtype, by_column, pixels = batch[b"data"].state
        if not isinstance(labels, list):
            raise ValueError("its labels are not a list")
        if dtype.arguments[0] != b"u1":
            raise ValueError(f"its pixels have dtype {dtype.arguments[0]!r}, not uint8")
        array = np.frombuffer(pixels, np.uint8)
        array = array.reshape(shape[::-1]).T if by_column else array.reshape(shape)
        return np.frombuffer(bytes(labels), np.uint8), array
    except Exception as error:  # a garbled pickle raises whatever its reader can
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(f"not a pickled batch of images ({reason})") from error


def unrecorded(content: bytes) -> Batch:
    """Return the batch in a file of records, each a label's byte and an image's."""
    if len(content) % (1 + PIXELS):
        raise ValueError(f"{len(content)} bytes are not records of {1 + PIXELS}")
    records = np.frombuffer(content, np.uint8).reshape(-1, 1 + PIXELS)
    return records[:, 0], records[:, 1:]


# The page that published the archives gives their MD5: c58f30108f718f92721af3b95e74349a. The
# pickles in it have no other checksum in print. MD5 is good enough to know a file again: nobody
# can make another file with a given MD5, only pairs of files that share one.
PYTHON = Packing(
    archive="cifar-10-python.tar.gz",
    sha256="6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    folder="cifar-10-batches-py",
    algorithm="md5",
    checksums={
        "data_batch_1": "c99cafc152244af753f735de768cd75f",
        "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "data_batch_4": "634d18415352ddfa80567beed471001a",
        "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
        "test_batch": "40351d587109b95175f43aff81a1287e",
    },
    unpack=unpickled,
)

# MD5 of this archive: c32a1d4ab5d03f1284b67883e8d87530.
BINARY = Packing(
    archive="cifar-10-binary.tar.gz",
    sha256="c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    folder="cifar-10-batches-bin",
    algorithm="sha256",
    checksums={
        "data_batch_1.bin": "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
        "data_batch_2.bin": "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
        "data_batch_3.bin": "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
        "data_batch_4.bin": "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
        "data_batch_5.bin": "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
        "test_batch.bin": "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
    },
    unpack=unrecorded,
)


def rows_of_batches(packing: Packing, table: Table) -> dict[str, tuple[str, slice]]:
    """Return for each batch the set that it belongs to, "train" or "test", and its rows there."""
    *train, test = packing.checksums
    n = table["y_train"].shape[0] // len(train)
    rows = {name: ("train", slice(i * n, (i + 1) * n)) for i, name in enumerate(train)}
    return rows | {test: ("test", slice(0, table["y_test"].shape[0]))}


def _put(arrays: Arrays, table: Table, packing: Packing, name: str, content: bytes) -> None:
    """Verify one batch, only then unpack it, and write it into its rows of ``arrays``."""
    if len(content) > LARGEST:
        raise ValueError(f"{name} has more than {LARGEST} bytes")
    found = hashlib.new(packing.algorithm, content, usedforsecurity=False).hexdigest()
    if found != packing.checksums[name]:
        raise ValueError(
            f"{name} is not the published file: its {packing.algorithm.upper()} is {found}, "
            f"published is {packing.checksums[name]}"
        )
    try:
        labels, pixels = packing.unpack(content)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    split, rows = rows_of_batches(packing, table)[name]
    n = rows.stop - rows.start
    if labels.shape != (n,) or pixels.shape != (n, PIXELS):
        raise ValueError(
            f"{name} has labels {labels.shape} and pixels {pixels.shape}, not {n} images"
        )
    arrays[f"y_{split}"][rows] = labels
    arrays[f"x_{split}"][rows] = pixels.reshape(n, 3, 32, 32).transpose(0, 2, 3, 1)


def _empty(table: Table) -> Arrays:
    return {name: np.empty(known.shape, np.uint8) for name, known in table.items()}


def archive_form(packing: Packing) -> Form:
    """Return the form "one archive". It is not opened before its checksum is verified."""

    def find(folder: Path) -> Path | None:
        return folder / packing.archive if lies_there(folder / packing.archive) else None

    def read(path: Path, table: Table) -> Arrays:
        wanted = {f"{packing.folder}/{name}": name for name in packing.checksums}
        arrays = _empty(table)
        with opened(path) as file:
            if (found := sha256_of(file)) != packing.sha256:
                raise ValueError(
                    f"this is not the published archive: its SHA-256 is {found}, published is "
                    f"{packing.sha256}"
                )
            # Read as a stream, member by member, into memory: nothing is ever written to disk.
            with tarfile.open(fileobj=file, mode="r|gz") as archive:
                for member in archive:
                    name = wanted.pop(member.name, None)
                    if name is None:
                        continue
                    content = archive.extractfile(member) if member.isreg() else None
                    if content is None:
                        raise ValueError(f"{member.name} is not a regular file")
                    _put(arrays, table, packing, name, content.read(LARGEST + 1))
            if wanted:
                raise ValueError(f"{' and '.join(wanted)} is missing")
        return arrays

    return Form(find, read)


def folder_form(packing: Packing) -> Form:
    """Return the form "the folder that the archive unpacks to", or one that holds its files."""
    # Keras puts the folder into one of its own.
    places = (packing.folder, f"{packing.folder}-target/{packing.folder}", ".")

    def find(folder: Path) -> Path | None:
        for place in places:
            missing = [n for n in packing.checksums if not lies_there(folder / place / n)]
            if not missing:
                return folder / place
            if len(missing) < len(packing.checksums):
                raise FileNotFoundError(
                    f"{folder / place} holds some of the CIFAR-10 batches, but not "
                    f"{' and '.join(missing)}. Add what is missing, or remove the others and run "
                    "again."
                )
        return None

    def read(path: Path, table: Table) -> Arrays:
        arrays = _empty(table)
        for name in packing.checksums:
            with opened(path / name) as file:
                _put(arrays, table, packing, name, file.read(LARGEST + 1))
        return arrays

    return Form(find, read)


def npz_form(packing: Packing) -> Form:
    """Return the form ``cifar10.npz``, which nobody published: each is somebody's own making.

    Where the images and labels, packed as the published records, have their checksums, the file is
    the published data. Where not, it may be an edited copy, so it must have the published shapes,
    types and class counts, and each load says that it is not the published data.
    """

    def find(folder: Path) -> Path | None:
        return folder / "cifar10.npz" if lies_there(folder / "cifar10.npz") else None

    def read(path: Path, table: Table) -> Arrays:
        with opened(path) as file:
            arrays = read_npz(file, {name: known.shape for name, known in table.items()})
            for split in ("train", "test"):
                counts = np.bincount(arrays[f"y_{split}"], minlength=10)
                if len(counts) != 10 or np.ptp(counts):
                    raise ValueError(
                        f"y_{split} has {counts.tolist()} labels of each class; CIFAR-10 has as "
                        "many of each of its ten"
                    )
        return arrays

    def is_published(arrays: Arrays, table: Table) -> bool:
        def checksum(split: str, rows: slice) -> str:
            labels, images = arrays[f"y_{split}"][rows], arrays[f"x_{split}"][rows]
            records = np.empty((len(labels), 1 + PIXELS), np.uint8)
            records[:, 0] = labels
            records[:, 1:] = images.transpose(0, 3, 1, 2).reshape(len(labels), PIXELS)
            return hashlib.new(packing.algorithm, records.data, usedforsecurity=False).hexdigest()

        batches = rows_of_batches(packing, table).items()
        return all(checksum(*place) == packing.checksums[name] for name, place in batches)

    return Form(find, read, is_published)


def forms(python: Packing, binary: Packing) -> tuple[Form, ...]:
    """Return every form to look for, the archives first: a folder may be half unpacked."""
    published = (archive_form(binary), archive_form(python), folder_form(binary))
    return (*published, folder_form(python), npz_form(binary))


def _make_objects(seed: int) -> Arrays:
    from cnncourse.data.offline_objects import make_objects

    return make_objects(seed=seed)


CIFAR10 = Collection(
    name="cifar10",
    title="CIFAR-10",
    class_names=(
        *("airplane", "automobile", "bird", "cat", "deer"),
        *("dog", "frog", "horse", "ship", "truck"),
    ),
    table=TABLE,
    forms=forms(PYTHON, BINARY),
    url=f"https://www.cs.toronto.edu/~kriz/{BINARY.archive}",
    sha256=BINARY.sha256,
    stand_in=StandIn(
        make=_make_objects,
        made_by=("cnncourse.data.offline_objects", "cnncourse.data.object_shapes"),
        what="the offline objects",
        seconds=20,
    ),
)


def load_cifar10(
    source: str = "auto", directory: str | PathLike[str] | None = None
) -> ImageDataset:
    """Load CIFAR-10: x_train (50000, 32, 32, 3), x_test (10000, 32, 32, 3), uint8, labels 0 to 9.

    ``source`` and ``directory`` are as in ``load_mnist``, and so are the errors. The classes are
    airplane, automobile, bird, cat, deer, dog, frog, horse, ship and truck, 5,000 + 1,000 of each.

    Official files are ``cifar-10-binary.tar.gz`` (170 MB, which is what gets downloaded),
    ``cifar-10-python.tar.gz``, or the folder that either unpacks to, Keras' own among them. Each
    file must have its published checksum before it is opened.

    ``cifar10.npz``, with the four arrays, was never published, so it is whatever its maker put in.
    Its ``source`` is "official" in every case: it stands for the real pictures, not the stand-in.
    Where its content is not the published one to the bit, as after a JPEG compression, every load
    prints one line that says so, and the set's ``note`` is "not the published bytes"; with other
    shapes, types or class counts it is an error.

    The stand-in (``cnncourse.data.offline_objects``) has the same shapes, types, classes and class
    counts. Lesson 11_cifar10_with_tensorflow.
    """
    return load(CIFAR10, source, directory)
