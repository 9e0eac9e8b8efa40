"""Official data: the files of a data set as published, found on disk and verified.

A file is believed for its content, whatever its packing: each array, packed as an IDX file (the
format in which MNIST was published), must have the published SHA-256. ``cifar10`` has other files.
"""

import hashlib
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cnncourse.data.files import lies_there, opened, read_npz, sha256_of


@dataclass(frozen=True)
class Known:
    """A published array: its shape, and the SHA-256 of it packed as an IDX file, if it was so."""

    shape: tuple[int, ...]
    sha256: str = ""


Arrays = dict[str, np.ndarray]
Table = dict[str, Known]


@dataclass(frozen=True)
class Form:
    """One way in which the official data lies in a folder.

    ``find(folder)`` gives the file, or the folder where it takes several, or None; where only a
    part lies there it raises FileNotFoundError. ``read(path, table)`` gives the verified arrays,
    or raises a ValueError that names the file. ``is_published(arrays, table)`` is for a form whose
    ``read`` lets other arrays than the published ones pass.
    """

    find: Callable[[Path], Path | None]
    read: Callable[[Path, Table], Arrays]
    is_published: Callable[[Arrays, Table], bool] = lambda arrays, table: True


def idx_header(shape: tuple[int, ...]) -> bytes:
    """Head of an IDX file of uint8: 0, 0, the type 8, the number of axes, each axis' length."""
    return struct.pack(f">4B{len(shape)}I", 0, 0, 8, len(shape), *shape)


def verify(name: str, array: np.ndarray, known: Known) -> None:
    """Raise a ValueError unless ``array`` is the published one, to the bit."""
    digest = hashlib.sha256(idx_header(array.shape))
    digest.update(np.ascontiguousarray(array).data)
    if digest.hexdigest() != known.sha256:
        raise ValueError(
            f"{name} is not the published data: its SHA-256 is {digest.hexdigest()}, "
            f"published is {known.sha256}"
        )


def npz_form(filename: str, sha256: str) -> Form:
    """Return the form "one .npz file": the published one (SHA-256 given) or a repackaged one."""

    def find(folder: Path) -> Path | None:
        return folder / filename if lies_there(folder / filename) else None

    def read(path: Path, table: Table) -> Arrays:
        with opened(path) as file:
            # A file larger than its arrays is none that was published: do not read it all.
            largest = sum(int(np.prod(known.shape)) for known in table.values()) + (1 << 20)
            size = os.fstat(file.fileno()).st_size
            published = size <= largest and sha256_of(file) == sha256
            arrays = read_npz(file, {name: known.shape for name, known in table.items()})
            if not published:
                for name, known in table.items():
                    verify(name, arrays[name], known)
        return arrays

    return Form(find, read)


def keras_folder() -> Path:
    """Folder in which Keras keeps its data sets; it need not exist."""
    home = os.environ.get("KERAS_HOME") or os.path.join("~", ".keras")
    return Path(os.path.expanduser(home)) / "datasets"


def folders(directory: Path | None) -> list[Path]:
    """Return the folders to look in, and to download into, in order."""
    return [keras_folder()] if directory is None else [directory, keras_folder()]


def find(forms: tuple[Form, ...], directory: Path | None) -> tuple[Form, Path] | None:
    """Return the first form of the data that lies in one of the folders, and where."""
    for folder in folders(directory):
        for form in forms:
            path = form.find(folder)
            if path is not None:
                return form, path
    return None
