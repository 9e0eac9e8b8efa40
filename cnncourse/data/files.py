"""Reading files that may be damaged, and sharing folders with other processes.

Nothing here trusts what a file says about itself: how much is read, and so how much memory is
taken, follows from what is expected. No pickle is opened here.
"""

import gzip
import hashlib
import lzma
import os
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedIOBase, BufferedReader
from pathlib import Path
from typing import cast

import numpy as np

GZIP_MAGIC = b"\x1f\x8b"
NPY_MAGIC = b"\x93NUMPY\x01\x00"  # version 1.0, which NumPy writes for every ordinary array


def say(line: str) -> None:
    """Print one line on standard output, marked as ours so that tests of notebooks can skip it."""
    print(f"cnncourse: {line}", flush=True)


def lies_there(path: Path) -> bool:
    """Whether anything has this name, be it a broken link: what is there must be left alone."""
    return os.path.lexists(path)


@contextmanager
def locked(path: Path, timeout: float = -1) -> Iterator[None]:
    """Hold the lock file ``path``; raise ``filelock.Timeout`` after ``timeout`` seconds (-1: none).

    Where the file system cannot lock, the block runs without: two processes then do the same work
    twice, and renaming still keeps half-written files from view.
    """
    import filelock

    lock = filelock.FileLock(path, timeout=timeout)
    held = True
    try:
        lock.acquire()
    except filelock.Timeout:  # which is an OSError too
        raise
    except OSError:
        held = False
    try:
        yield
    finally:
        if held:
            lock.release()


@contextmanager
def opened(path: Path) -> Iterator[BufferedReader]:
    """Open a file for reading; every way in which it can be bad becomes one clear ValueError."""
    try:
        if not path.is_file():
            raise ValueError("this is not a regular file")
        with path.open("rb") as file:
            yield file
    except PermissionError:
        raise ValueError(
            f"{path}: you may not read this file. Change its permissions, or set CNNCOURSE_DATA to "
            "a folder with the data."
        ) from None
    except (
        ValueError,
        OSError,
        EOFError,
        RuntimeError,  # an encrypted zip
        NotImplementedError,  # an unknown way of compressing
        tarfile.TarError,
        zipfile.BadZipFile,
        zlib.error,
        lzma.LZMAError,
    ) as error:
        raise ValueError(
            f"{path}: {str(error) or type(error).__name__}. The file is damaged or is not what its "
            "name says. Delete it and run again, or set CNNCOURSE_DATA to a folder with good files."
        ) from None


@contextmanager
def gunzipped(file: BufferedReader) -> Iterator[BufferedIOBase]:
    """Give the content of a file that may be gzipped, whatever its name ends in.

    Browsers unpack a download and leave its name, so the first two bytes decide.
    """
    packed = file.read(2) == GZIP_MAGIC
    file.seek(0)
    if not packed:
        yield file
        return
    with gzip.GzipFile(fileobj=file) as content:
        yield content


def read_array(file: BufferedIOBase, shape: tuple[int, ...], what: str) -> np.ndarray:
    """Read the uint8 array of ``shape`` that is all the rest of the file. No more is ever held."""
    array = np.empty(shape, np.uint8)
    rest, missing = array.data.cast("B"), array.size
    while missing and (count := file.readinto(rest[-missing:])):
        missing -= count
    if missing:
        raise ValueError(f"{what} ends {missing} bytes too early")
    if file.read(1):
        raise ValueError(f"{what} goes on behind its {array.size} bytes")
    return array


def read_npz(file: BufferedReader, shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Read uint8 arrays of known names and shapes from an open ``.npz`` file."""
    with zipfile.ZipFile(file) as archive:
        members = {info.filename: info for info in archive.infolist()}
        arrays = {}
        for name, shape in shapes.items():
            member = members.get(f"{name}.npy")
            if member is None:
                raise ValueError(f"the array {name} is missing")
            # np.savez and np.savez_compressed use these two; the others unpack without bound.
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise ValueError(f"{name} is compressed in a way that NumPy does not use")
            with cast(BufferedIOBase, archive.open(member)) as npy:
                found, fortran, dtype = _read_npy_header(npy, name)
                if dtype != np.uint8:
                    raise ValueError(f"{name} has dtype {dtype}, not uint8")
                if found != shape:
                    raise ValueError(f"{name} has shape {found}, not {shape}")
                array = read_array(npy, shape[::-1] if fortran else shape, name)
                arrays[name] = np.ascontiguousarray(array.T) if fortran else array
        return arrays


def _read_npy_header(npy: BufferedIOBase, name: str) -> tuple[tuple[int, ...], bool, np.dtype]:
    if (magic := npy.read(len(NPY_MAGIC))) != NPY_MAGIC:
        raise ValueError(f"{name} starts with {magic!r}, not as an .npy file")
    try:
        return np.lib.format.read_array_header_1_0(npy)
    except (zipfile.BadZipFile, zlib.error, EOFError):
        raise
    except Exception as error:
        # The header is a Python dictionary in text: a garbled one raises whatever parsing can.
        raise ValueError(f"{name} has an .npy header that makes no sense") from error


def sha256_of(file: BufferedReader) -> str:
    """SHA-256 of an open file from its start; leaves it at its start."""
    digest = hashlib.sha256()
    file.seek(0)
    while piece := file.read(1 << 20):
        digest.update(piece)
    file.seek(0)
    return digest.hexdigest()
