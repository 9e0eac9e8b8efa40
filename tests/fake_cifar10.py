"""A small made-up CIFAR-10 in every published form, with checksums of its own."""

import hashlib
import io
import struct
import tarfile
from dataclasses import replace

import numpy as np

from cnncourse.data import cifar10
from cnncourse.data.official import Known
from cnncourse.data.offline import StandIn

TRAIN = [f"data_batch_{i}" for i in range(1, 6)]


def make_arrays(seed=0, n_train=100, n_test=20):
    """Noise, so that nothing compresses, and as many labels of each class; NHWC."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for split, n in (("train", n_train), ("test", n_test)):
        arrays[f"x_{split}"] = rng.integers(0, 256, (n, 32, 32, 3), dtype=np.uint8)
        arrays[f"y_{split}"] = rng.permutation(np.arange(n, dtype=np.uint8) % 10)
    return arrays


ARRAYS = make_arrays()


def parts(arrays):
    """Labels and images of each batch by name, in the published order."""
    n = len(arrays["y_train"]) // 5
    for i, name in enumerate(TRAIN):
        rows = slice(i * n, (i + 1) * n)
        yield name, arrays["y_train"][rows], arrays["x_train"][rows]
    yield "test_batch", arrays["y_test"], arrays["x_test"]


def planes(image):
    """One image's bytes as published: all red ones, all green ones, all blue ones."""
    return b"".join(image[:, :, channel].tobytes() for channel in range(3))


def binary_files(arrays=ARRAYS):
    return {
        f"{name}.bin": b"".join(
            bytes([label]) + planes(image) for label, image in zip(labels, images, strict=True)
        )
        for name, labels, images in parts(arrays)
    }


def python_files(arrays=ARRAYS):
    return {
        name: pickle_of_python_2(labels.tolist(), len(images), b"".join(map(planes, images)))
        for name, labels, images in parts(arrays)
    }


def pickle_of_python_2(labels, n, pixels, width=3072, dtype=b"u1", by_column=False):
    """What cPickle of Python 2 wrote for such a batch, protocol 2, operation by operation."""

    def text(content):
        return b"U" + bytes([len(content)]) + content

    def number(value):
        return b"K" + bytes([value]) if value < 256 else b"J" + struct.pack("<i", value)

    def listed(items):
        return b"](" + b"".join(items) + b"e"

    array = (
        b"cnumpy.core.multiarray\n_reconstruct\nq\x07cnumpy\nndarray\nq\x08K\x00\x85"
        + text(b"b")
        + b"\x87Rq\x09(K\x01"
        + number(n)
        + number(width)
        + b"\x86q\x0acnumpy\ndtype\nq\x0b"
        + text(dtype)
        + b"K\x00K\x01\x87Rq\x0c(K\x03"
        + text(b"|")
        + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        + (b"\x88" if by_column else b"\x89")
        + b"T"
        + struct.pack("<i", len(pixels))
        + pixels
        + b"tb"
    )
    names = listed(text(b"picture_%d.png" % i) for i in range(len(labels)))
    entries = [
        text(b"batch_label") + b"q\x02" + text(b"training batch 1 of 5"),
        text(b"labels") + b"q\x04" + listed(map(number, labels)),
        text(b"data") + b"q\x06" + array,
        text(b"filenames") + names,
    ]
    return b"\x80\x02}q\x01(" + b"".join(entries) + b"u."


def tar_gz(folder, files, change=lambda members: members):
    """The archive as published: the batches in no order, among other files.

    ``change`` may alter the members, a list of (TarInfo, content).
    """
    names = sorted(files, key=lambda name: hashlib.md5(name.encode()).digest())
    others = {"readme.html": b"<html></html>", "batches.meta": b"no batch"}
    members = [(tarfile.TarInfo(folder), b"")]
    members[0][0].type = tarfile.DIRTYPE
    for name in ["readme.html", *names, "batches.meta"]:
        members.append((tarfile.TarInfo(f"{folder}/{name}"), (files | others)[name]))
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for info, content in change(members):
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


PYTHON_FILES, BINARY_FILES = python_files(), binary_files()
PYTHON_ARCHIVE = tar_gz("cifar-10-batches-py", PYTHON_FILES)
BINARY_ARCHIVE = tar_gz("cifar-10-batches-bin", BINARY_FILES)


def npz_bytes(arrays=ARRAYS, save=np.savez):
    file = io.BytesIO()
    save(file, **arrays)
    return file.getvalue()


def known_as(packing, archive, files):
    """The packing, with this archive and these files as the published ones."""
    return replace(
        packing,
        sha256=hashlib.sha256(archive).hexdigest(),
        checksums={
            name: hashlib.new(packing.algorithm, c).hexdigest() for name, c in files.items()
        },
    )


def make_collection(
    python_archive=PYTHON_ARCHIVE,
    python_files=PYTHON_FILES,
    binary_archive=BINARY_ARCHIVE,
    binary_files=BINARY_FILES,
    url="http://127.0.0.1:9/cifar-10-binary.tar.gz",
    log=None,
):
    """CIFAR-10 of which these are the published files; a stand-in that logs each make."""
    python = known_as(cifar10.PYTHON, python_archive, python_files)
    binary = known_as(cifar10.BINARY, binary_archive, binary_files)

    def make(seed):
        if log is not None:
            with open(log, "a") as file:
                file.write("made\n")
        return make_arrays(seed + 1)

    return replace(
        cifar10.CIFAR10,
        table={name: Known(array.shape) for name, array in ARRAYS.items()},
        forms=cifar10.forms(python, binary),
        url=url,
        sha256=binary.sha256,
        stand_in=StandIn(make, ("cnncourse.data.dataset",), "the offline objects", 20),
    )
