"""MNIST: 60,000 + 10,000 handwritten digits, 28 by 28 grey pixels (LeCun, Cortes, Burges)."""

from os import PathLike
from pathlib import Path

import numpy as np

from cnncourse.data.dataset import ImageDataset
from cnncourse.data.files import gunzipped, lies_there, opened, read_array
from cnncourse.data.loading import Collection, load
from cnncourse.data.official import Arrays, Form, Known, Table, idx_header, npz_form, verify
from cnncourse.data.offline import StandIn

URL = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"
NPZ_SHA256 = "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"

# SHA-256 of the four IDX files as published in 1998, unpacked. Their MD5, which is what one finds
# in print, in the same order: 6bbc9ace898e44ae57da46a324031adb, a25bea736e30d166cdddb491f175f624,
# 2646ac647ad5339dbf082846283269ea, 27ae3e4e09519cfbb04c329615203637.
TABLE: Table = {
    "x_train": Known(
        (60_000, 28, 28), "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"
    ),
    "y_train": Known((60_000,), "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
    "x_test": Known(
        (10_000, 28, 28), "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"
    ),
    "y_test": Known((10_000,), "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
}

# The published names; the second spelling is what some archives unpack to.
IDX_NAMES = {
    "x_train": ("train-images-idx3-ubyte", "train-images.idx3-ubyte"),
    "y_train": ("train-labels-idx1-ubyte", "train-labels.idx1-ubyte"),
    "x_test": ("t10k-images-idx3-ubyte", "t10k-images.idx3-ubyte"),
    "y_test": ("t10k-labels-idx1-ubyte", "t10k-labels.idx1-ubyte"),
}


def read_idx(path: Path, known: Known, what: str) -> np.ndarray:
    """Read one IDX file, gzipped or not, and verify it. Returns uint8 of the known shape.

    The format: two zero bytes, the type (8 for uint8), the number of axes, the length of each axis
    as a 32-bit number with the high byte first, then the array in row-major order.
    """
    with opened(path) as file, gunzipped(file) as content:
        expected = idx_header(known.shape)
        header = content.read(len(expected))
        if header[:4] != expected[:4]:
            raise ValueError(
                f"it starts with the magic number {header[:4].hex()}, not {expected[:4].hex()}"
            )
        if header != expected:
            lengths = tuple(
                int.from_bytes(header[i : i + 4], "big") for i in range(4, len(header), 4)
            )
            raise ValueError(f"{what} has shape {lengths}, not {known.shape}")
        array = read_array(content, known.shape, what)
        verify(what, array, known)
    return array


def _idx_files(folder: Path) -> dict[str, Path | None]:
    """Return the IDX file of each array, as far as it is there."""
    candidates = {
        name: [folder / (spelling + end) for spelling in spellings for end in ("", ".gz")]
        for name, spellings in IDX_NAMES.items()
    }
    return {name: next(filter(lies_there, paths), None) for name, paths in candidates.items()}


def _find_idx(folder: Path) -> Path | None:
    files = _idx_files(folder)
    missing = [IDX_NAMES[name][0] for name, path in files.items() if path is None]
    if len(missing) == len(files):
        return None
    if missing:
        raise FileNotFoundError(
            f"{folder} holds some of the four MNIST files, but not {' and '.join(missing)} (nor "
            "with .gz). Add what is missing, or remove the others and run again."
        )
    return folder


def _read_idx_folder(folder: Path, table: Table) -> Arrays:
    files = _idx_files(folder)
    return {
        name: read_idx(path, table[name], name) for name, path in files.items() if path is not None
    }


def _make_digits(seed: int) -> Arrays:
    from cnncourse.data.offline_digits import make_digits

    return make_digits(seed=seed)


MNIST = Collection(
    name="mnist",
    title="MNIST",
    class_names=tuple("0123456789"),
    table=TABLE,
    forms=(npz_form("mnist.npz", NPZ_SHA256), Form(_find_idx, _read_idx_folder)),
    url=URL,
    sha256=NPZ_SHA256,
    stand_in=StandIn(
        make=_make_digits,
        made_by=("cnncourse.data.offline_digits", "cnncourse.data.pen_paths"),
        what="the offline digits",
        seconds=20,
    ),
)


def load_mnist(source: str = "auto", directory: str | PathLike[str] | None = None) -> ImageDataset:
    """Load MNIST: x_train (60000, 28, 28, 1), x_test (10000, 28, 28, 1), uint8, labels 0 to 9.

    source
        "auto": the official files if they can be found or downloaded, else the offline stand-in,
        with one line that says so and why. "official": never the stand-in. "offline": only the
        stand-in; nothing touches the network. Where this is "auto", the environment variable
        ``CNNCOURSE_SOURCE`` decides, if it is set.
    directory
        Folder with the official files, and for a download; ``CNNCOURSE_DATA`` where it is None.
        Behind it comes Keras' own cache (``~/.keras/datasets``).

    Official files are ``mnist.npz`` or the four IDX files, gzipped or not; each is verified
    against the published checksum. The stand-in has the same shapes, types, classes and class
    counts; it is made on this machine from a fixed seed (``cnncourse.data.offline_digits``), takes
    about 20 s the first time and is then read from the user's cache.

    A damaged file raises a ValueError that names it, whatever the source but "offline"; missing
    files raise FileNotFoundError. No file of yours is ever changed. Lesson 00_start_here.
    """
    return load(MNIST, source, directory)
