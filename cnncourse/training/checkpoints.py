"""Checkpoints: the state of a training run in a folder of files, each whole or not there at all.

A checkpoint is an ``.npz`` file: arrays, and a JSON text, ``metadata.json``, that names them. Its
zip comment, the last thing in it, is the SHA-256 of every byte before, so that no damage goes
unseen. Nothing in it is ever run: no pickle is written or read. Lesson 09 opens one.
"""

import hashlib
import json
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from io import BytesIO
from itertools import count
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeVar

import numpy as np

from cnncourse.data.files import lies_there, locked, say

FORMAT = 1
# Checkpoints kept: the newest, and two to fall back on where a disk spoils it.
KEEP = 3
DIGEST_SIZE = 64  # hex digits of a SHA-256
LARGEST_METADATA = 1 << 24
NPY_HEADER = 1 << 14

Accepted = TypeVar("Accepted")


class Damaged(ValueError):
    """A checkpoint is not what was written. The message says why."""


class Spec(NamedTuple):
    """Shape and type of an array."""

    shape: tuple[int, ...]
    dtype: np.dtype

    @classmethod
    def of(cls, array: np.ndarray) -> "Spec":
        """Take both from an array."""
        return cls(array.shape, array.dtype)

    @property
    def stored(self) -> np.dtype:
        """Type in the file: for bfloat16, which NumPy cannot name, whole numbers of its size."""
        return self.dtype if self.dtype.kind in "biufc" else np.dtype(f"u{self.dtype.itemsize}")

    def __str__(self) -> str:
        """Write ``(5, 5, 1, 32) float32``."""
        return f"{self.shape} {self.dtype}"


@contextmanager
def opened_folder(folder: Path) -> Iterator[None]:
    """Make the folder, hold it against other processes, and clear what a killed one left.

    The lock dies with the process. Raises ValueError where another one holds it.
    """
    import filelock

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(
            f"checkpoints is {os.fspath(folder)!r}, which cannot be made a directory "
            f"({error.strerror}); give another one"
        ) from None
    try:
        with locked(folder / "in_use.lock", timeout=0):
            for partial in folder.glob("step_[0-9]*.partial"):
                with suppress(OSError):
                    partial.unlink()
            yield
    except filelock.Timeout:
        raise ValueError(
            f"checkpoints is {os.fspath(folder)!r}, into which another process is training; wait "
            "for it, or give another directory"
        ) from None


def files(folder: Path) -> list[Path]:
    """Return the folder's checkpoints, oldest first."""
    return sorted(folder.glob("step_[0-9]*.npz"), key=lambda path: (len(path.name), path.name))


def write(
    folder: Path, step: int, metadata: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> None:
    """Write the checkpoint after so many steps and drop the oldest beyond `KEEP`.

    It gets its name when all of it is on the disk; until then the ones before are untouched.
    Raises OSError where the disk is full or the folder cannot be written to.
    """
    path = folder / f"step_{step:08}.npz"
    partial = path.with_suffix(".partial")
    try:
        with partial.open("w+b") as file:
            _fill(file, metadata, arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
        _sync(folder)
    except OSError as error:
        with suppress(OSError):
            partial.unlink()
        raise OSError(
            error.errno,
            f"the checkpoint after step {step} cannot be written to {folder} ({error.strerror}); "
            "those before it are intact. Make room there, or give another directory",
        ) from None
    for old in files(folder)[:-KEEP]:
        with suppress(OSError):
            old.unlink()


def newest(
    folder: Path, specs: Sequence[Spec], accept: Callable[[dict[str, Any]], Accepted]
) -> tuple[Accepted, list[np.ndarray]] | None:
    """Return what ``accept`` makes of the newest whole checkpoint's metadata, and its arrays.

    ``accept`` raises ValueError for a checkpoint of another run, and `Damaged` for metadata that
    make no sense. No array is read that has not the shape and type in ``specs``. A damaged file is
    reported, renamed and passed over. None: there is no checkpoint.
    """
    paths = files(folder)
    while paths:
        path = paths.pop()
        try:
            return _read(path, specs, accept)
        except Damaged as damage:
            instead = "the one before it is used" if paths else "there is none before it"
            say(f"{path} is damaged ({damage}): kept as {_set_aside(path)}, {instead}.")
    return None


@contextmanager
def damage_named() -> Iterator[None]:
    """Turn whatever the content of a file can bring about into `Damaged`.

    A file made by a stranger can have the right SHA-256 and be nonsense all the same.
    """
    try:
        yield
    except (Damaged, PermissionError, MemoryError):
        raise
    except Exception as error:
        raise Damaged(f"{type(error).__name__}: {error}") from error


def _fill(file: BinaryIO, metadata: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    listed = [
        {"name": name, "shape": array.shape, "dtype": str(array.dtype)}
        for name, array in arrays.items()
    ]
    text = json.dumps({"format": FORMAT, **metadata, "arrays": listed})
    # Not compressed: learnt numbers hardly shrink. A ZipInfo of its own carries no time of day.
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(zipfile.ZipInfo("metadata.json"), text)
        for name, array in arrays.items():
            stored = np.asarray(array, order="C").view(Spec.of(array).stored)
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, stored, version=(1, 0), allow_pickle=False)
        archive.comment = b"0" * DIGEST_SIZE
    size = file.seek(0, os.SEEK_END) - DIGEST_SIZE
    digest = _sha256(file, size)
    file.seek(size)
    file.write(digest)


def _sha256(file: BinaryIO, size: int) -> bytes:
    """Hex digits of the SHA-256 of a file's first ``size`` bytes."""
    digest = hashlib.sha256()
    file.seek(0)
    while size > 0 and (piece := file.read(min(size, 1 << 20))):
        digest.update(piece)
        size -= len(piece)
    return digest.hexdigest().encode()


def _sync(folder: Path) -> None:
    """Put the folder's names on the disk, as far as the system can."""
    if hasattr(os, "O_DIRECTORY"):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _read(
    path: Path, specs: Sequence[Spec], accept: Callable[[dict[str, Any]], Accepted]
) -> tuple[Accepted, list[np.ndarray]]:
    with ExitStack() as stack:
        with damage_named():
            archive = stack.enter_context(_verified(path))
            metadata = _metadata(archive)
        if metadata["format"] != FORMAT:
            raise ValueError(
                f"{path} has format {metadata['format']!r}, and this program reads {FORMAT}; use "
                "the version of cnncourse that wrote it, or give another directory"
            )
        accepted = accept(metadata)
        with damage_named():
            return accepted, _arrays(archive, metadata, specs)


@contextmanager
def _verified(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a checkpoint once every byte of it has proved to be as written."""
    if not path.is_file():
        raise Damaged("it is not a regular file")
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size - DIGEST_SIZE
        digest = _sha256(file, size)
        if size <= 0 or file.read() != digest:
            raise Damaged("its last bytes are not the SHA-256 of those before")
        with zipfile.ZipFile(file) as archive:
            yield archive


def _member(archive: zipfile.ZipFile, name: str, largest: int) -> bytes:
    """Bytes of a file in the archive. Stored as they are, so a small file cannot unpack to much."""
    member = archive.getinfo(name)
    if member.compress_type != zipfile.ZIP_STORED or member.file_size > largest:
        raise Damaged(f"{name} is compressed or has more than {largest} bytes")
    return archive.read(member)


def _metadata(archive: zipfile.ZipFile) -> dict[str, Any]:
    metadata = json.loads(_member(archive, "metadata.json", LARGEST_METADATA))
    if not isinstance(metadata, dict) or "format" not in metadata:
        raise Damaged("its metadata name no format")
    return metadata


def _arrays(
    archive: zipfile.ZipFile, metadata: dict[str, Any], specs: Sequence[Spec]
) -> list[np.ndarray]:
    """Return the arrays in the order in which they were written, each as expected."""
    names = [listed["name"] for listed in metadata["arrays"]]
    if len(names) != len(specs):
        raise Damaged(f"it holds {len(names)} arrays, not {len(specs)}")
    return [_array(archive, name, spec) for name, spec in zip(names, specs, strict=True)]


def _array(archive: zipfile.ZipFile, name: str, spec: Spec) -> np.ndarray:
    size = prod(spec.shape) * spec.dtype.itemsize
    content = BytesIO(_member(archive, f"{name}.npy", size + NPY_HEADER))
    if np.lib.format.read_magic(content) != (1, 0):
        raise Damaged(f"{name} is in another version of the .npy format")
    found = np.lib.format.read_array_header_1_0(content)
    if found != (spec.shape, False, spec.stored):
        raise Damaged(f"{name} is {found[0]} {found[2]}, not {spec}")
    return np.frombuffer(content.read(), spec.dtype).reshape(spec.shape)


def _set_aside(path: Path) -> str:
    """Rename a damaged checkpoint, so that it is found no more, and return its new name."""
    name = f"{path.name}.damaged"
    for number in count(2):
        if not lies_there(path.with_name(name)):
            break
        name = f"{path.name}.damaged{number}"
    with suppress(OSError):  # a folder that cannot be written to keeps it under its own name
        path.rename(path.with_name(name))
        return name
    return path.name
