"""Official CIFAR-10 files: found, verified, refused, downloaded. Made-up data, loopback only."""

import gzip
import os
import pickle
import re
import tarfile
import tracemalloc
from dataclasses import replace
from pathlib import Path

import fake_cifar10
import fake_mnist
import numpy as np
import pytest
from fake_cifar10 import (
    ARRAYS,
    BINARY_ARCHIVE,
    BINARY_FILES,
    PYTHON_ARCHIVE,
    PYTHON_FILES,
    make_collection,
    npz_bytes,
    pickle_of_python_2,
    tar_gz,
)

from cnncourse.data import cifar10, collections, load_cifar10, where

pytest_plugins = ("own_home",)

PY, BIN = "cifar-10-batches-py", "cifar-10-batches-bin"


@pytest.fixture(autouse=True)
def home(own_home, monkeypatch):
    """A home directory of the test's own, the made-up CIFAR-10, and a URL where nobody listens."""
    monkeypatch.setattr(cifar10, "CIFAR10", make_collection())
    return own_home


@pytest.fixture
def published(monkeypatch):
    """Let other files than the made-up ones count as published."""

    def declare(**files):
        monkeypatch.setattr(cifar10, "CIFAR10", make_collection(**files))

    return declare


def write(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


def is_official(data):
    assert (data.source, data.note) == ("official", "")
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(getattr(data, name), array)
    return True


def refuses(folder, message, named, error=ValueError):
    """Both sources raise an error that names the file and a way out; nothing is changed."""

    def state():
        return {path: path.lstat().st_mtime_ns for path in folder.parent.rglob("*")}

    before = state()
    for source in ("auto", "official"):
        with pytest.raises(error, match=message) as caught:
            load_cifar10(source, folder)
        assert str(folder / named) in str(caught.value)
        assert re.search("Delete it and run again|Add what is missing", str(caught.value))
    assert state() == before


# ---------------------------------------------------------------- what is read


FORMS = {
    "binary archive": {"cifar-10-binary.tar.gz": BINARY_ARCHIVE},
    "python archive": {"cifar-10-python.tar.gz": PYTHON_ARCHIVE},
    "binary folder": {f"{BIN}/{name}": c for name, c in BINARY_FILES.items()},
    "python folder": {f"{PY}/{name}": c for name, c in PYTHON_FILES.items()},
    "Keras' folder": {f"{PY}-target/{PY}/{name}": c for name, c in PYTHON_FILES.items()},
    "the batches themselves": PYTHON_FILES,
    "npz": {"cifar10.npz": npz_bytes()},
    "compressed npz": {"cifar10.npz": npz_bytes(save=np.savez_compressed)},
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_data_silently(folder, form, capsys):
    for name, content in FORMS[form].items():
        write((folder / name).parent, {Path(name).name: content})
    data = load_cifar10("official", folder)
    assert is_official(data)
    assert data.name == "cifar10"
    assert ", ".join(data.class_names) == (
        "airplane, automobile, bird, cat, deer, dog, frog, horse, ship, truck"
    )
    assert capsys.readouterr().out == ""
    found = where("cifar10", folder)["official"]
    assert found == (folder / next(iter(FORMS[form])) if found.is_file() else found)
    assert found.is_relative_to(folder)


@pytest.mark.filterwarnings("ignore")  # NumPy says that such pickles are old
def test_the_made_up_pickles_are_pickles_of_numpy_arrays():
    """Read by Python and NumPy themselves, as every tutorial reads the real ones."""
    batch = pickle.loads(PYTHON_FILES["data_batch_2"], encoding="latin1")
    assert batch["labels"] == ARRAYS["y_train"][20:40].tolist()
    assert batch["data"].dtype == np.uint8
    images = batch["data"].reshape(20, 3, 32, 32).transpose(0, 2, 3, 1)
    np.testing.assert_array_equal(images, ARRAYS["x_train"][20:40])


def test_pickled_array_in_the_order_of_columns():
    pixels = np.arange(2 * 3072, dtype=np.uint8).reshape(2, 3072)
    content = pickle_of_python_2([3, 1], 2, pixels.T.tobytes(), by_column=True)
    labels, found = cifar10.unpickled(content)
    assert labels.tolist() == [3, 1]
    np.testing.assert_array_equal(found, pixels)


def test_the_published_files():
    """Shapes and names as published; a checksum of its own for every file."""
    assert {name: known.shape for name, known in cifar10.TABLE.items()} == {
        "x_train": (50000, 32, 32, 3),
        "y_train": (50000,),
        "x_test": (10000, 32, 32, 3),
        "y_test": (10000,),
    }
    batches = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
    assert list(cifar10.PYTHON.checksums) == batches
    assert list(cifar10.BINARY.checksums) == [f"{name}.bin" for name in batches]
    for packing, digits in ((cifar10.PYTHON, 32), (cifar10.BINARY, 64)):
        assert len(set(packing.checksums.values())) == 6
        assert all(re.fullmatch(f"[0-9a-f]{{{digits}}}", s) for s in packing.checksums.values())
        assert re.fullmatch("[0-9a-f]{64}", packing.sha256)


def test_the_room_knows_cifar10(monkeypatch):
    monkeypatch.undo()
    assert collections()["cifar10"] is cifar10.CIFAR10
    assert cifar10.CIFAR10.url == "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"


def test_the_whole_archive_comes_before_a_part_of_the_folder(folder):
    write(folder / PY, {"data_batch_1": PYTHON_FILES["data_batch_1"]})
    refuses(folder, "but not data_batch_2 and", PY, FileNotFoundError)
    assert where("cifar10", folder)["official"] is None
    write(folder, {"cifar-10-python.tar.gz": PYTHON_ARCHIVE})
    assert is_official(load_cifar10(directory=folder))
    assert where("cifar10", folder)["official"] == folder / "cifar-10-python.tar.gz"


def test_published_files_come_before_an_npz(folder, capsys):
    write(folder, {"cifar10.npz": npz_bytes(fake_cifar10.make_arrays(7))})
    write(folder / BIN, BINARY_FILES)
    assert is_official(load_cifar10(directory=folder))
    assert capsys.readouterr().out == ""


def test_directory_before_keras_cache(home, folder, monkeypatch):
    keras = home / ".keras" / "datasets"
    write(keras / f"{PY}-target" / PY, PYTHON_FILES)
    assert is_official(load_cifar10("official"))
    assert is_official(load_cifar10("official", folder))
    write(folder, {"cifar-10-binary.tar.gz": BINARY_ARCHIVE})
    monkeypatch.setenv("CNNCOURSE_DATA", str(folder))
    assert where("cifar10")["official"] == folder / "cifar-10-binary.tar.gz"


# ---------------------------------------------------------------- an npz of one's own making


def test_an_npz_of_other_bytes_is_read_and_says_so_each_time(folder, monkeypatch, capsys):
    arrays = fake_cifar10.make_arrays(1)
    write(folder, {"cifar10.npz": npz_bytes(arrays)})
    monkeypatch.setenv("CNNCOURSE_DATA", str(folder))
    for source in ("auto", "official"):
        data = load_cifar10(source)
        assert (data.source, data.note) == ("official", "not the published bytes")
        printed = str(data.subset(50, 10).scaled()).splitlines()[0]
        assert printed == "ImageDataset cifar10 (official; not the published bytes)"
        np.testing.assert_array_equal(data.x_train, arrays["x_train"])
        out = capsys.readouterr().out
        assert out.startswith("cnncourse: cifar10.npz is NOT the published CIFAR-10")
        assert out.count("\n") == 1


@pytest.mark.parametrize("name", ARRAYS)
def test_one_value_off_is_enough_for_the_notice(folder, capsys, name):
    array = ARRAYS[name].copy()
    if name[0] == "x":
        array[-1, 31, 31, 2] ^= 1
    else:  # classes keep their counts
        array[-2:] = array[-2:][::-1] if array[-2] != array[-1] else pytest.fail("equal labels")
    write(folder, {"cifar10.npz": npz_bytes(ARRAYS | {name: array})})
    data = load_cifar10("official", folder)
    np.testing.assert_array_equal(getattr(data, name), array)
    assert data.note == "not the published bytes"
    assert "is NOT the published CIFAR-10" in capsys.readouterr().out


def labels(*changed):
    array = ARRAYS["y_test"].copy()
    array[: len(changed)] = changed
    return array


BAD_NPZ = {
    "not a zip": (b"<html>Please log in</html>", "not a zip file"),
    "truncated": (npz_bytes()[:-1000], "not a zip file"),
    "other class counts": (npz_bytes(ARRAYS | {"y_test": labels(1, 1, 1, 1)}), "labels of each"),
    "an eleventh class": (npz_bytes(ARRAYS | {"y_test": labels(10)}), "labels of each class"),
    "one class": (npz_bytes(ARRAYS | {"y_train": np.zeros(100, np.uint8)}), "y_train has .100, 0"),
    "labels of Keras' shape": (
        npz_bytes(ARRAYS | {"y_test": ARRAYS["y_test"][:, None]}),
        r"y_test has shape \(20, 1\), not \(20,\)",
    ),
    "int64": (npz_bytes(ARRAYS | {"y_test": ARRAYS["y_test"].astype(int)}), "dtype int64"),
    "channels first": (
        npz_bytes(ARRAYS | {"x_test": ARRAYS["x_test"].transpose(0, 3, 1, 2)}),
        r"x_test has shape \(20, 3, 32, 32\)",
    ),
    "objects": (
        npz_bytes(ARRAYS | {"y_test": np.array([print, None], dtype=object)}),
        "y_test has dtype object",
    ),
    "missing array": (
        npz_bytes({name: a for name, a in ARRAYS.items() if name != "x_train"}),
        "x_train is missing",
    ),
}


@pytest.mark.parametrize("bad", BAD_NPZ)
def test_bad_npz(folder, bad):
    content, message = BAD_NPZ[bad]
    write(folder, {"cifar10.npz": content})
    refuses(folder, message, "cifar10.npz")


# ---------------------------------------------------------------- files of other checksums


DAMAGE = {
    "empty": lambda content: b"",
    "truncated": lambda content: content[:-1000],
    "longer": lambda content: content + b"\0",
    "one bit off": lambda content: content[:-500] + bytes([content[-500] ^ 1]) + content[-499:],
    "log-in page": lambda content: b"<html>Please log in</html>",
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize(
    ("name", "content"),
    [("cifar-10-python.tar.gz", PYTHON_ARCHIVE), ("cifar-10-binary.tar.gz", BINARY_ARCHIVE)],
)
def test_a_damaged_archive_is_not_opened(folder, monkeypatch, name, content, damage):
    monkeypatch.setattr(tarfile, "open", lambda **options: pytest.fail("opened"))
    write(folder, {name: DAMAGE[damage](content)})
    refuses(folder, "not the published archive: its SHA-256 is", name)


def test_an_archive_packed_anew_is_not_the_published_one(folder):
    packed = gzip.compress(gzip.decompress(PYTHON_ARCHIVE), 1)
    write(folder, {"cifar-10-python.tar.gz": packed})
    refuses(folder, "not the published archive", "cifar-10-python.tar.gz")


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize(("packing", "files"), [("PYTHON", PYTHON_FILES), ("BINARY", BINARY_FILES)])
def test_a_damaged_batch_is_not_unpacked(folder, monkeypatch, packing, files, damage):
    """No pickle whose checksum is unknown is opened, be it harmless or not."""
    original, unpacked = getattr(cifar10, packing), []

    def unpack(content):
        unpacked.append(content)
        return original.unpack(content)

    monkeypatch.setattr(cifar10, packing, replace(original, unpack=unpack))
    monkeypatch.setattr(cifar10, "CIFAR10", make_collection())
    name = list(files)[-1]
    write(folder / original.folder, files | {name: DAMAGE[damage](files[name])})
    message = f"{re.escape(name)} is not the published file: its (MD5|SHA256) is"
    refuses(folder, message, f"{original.folder}/{name}")
    assert unpacked == list(files.values())[:5] * 2  # by "auto" and by "official"


@pytest.mark.parametrize(("place", "files"), [(PY, PYTHON_FILES), (BIN, BINARY_FILES)])
@pytest.mark.parametrize("index", range(6))
def test_a_missing_batch(folder, place, files, index):
    missing = list(files)[index]
    write(folder / place, {name: c for name, c in files.items() if name != missing})
    refuses(folder, f"but not {re.escape(missing)}. Add", place, FileNotFoundError)
    assert where("cifar10", folder)["official"] is None


def test_batches_in_each_others_place(folder):
    first, second, *_ = BINARY_FILES
    swapped = {first: BINARY_FILES[second], second: BINARY_FILES[first]}
    write(folder / BIN, BINARY_FILES | swapped)
    refuses(folder, f"{first} is not the published file", f"{BIN}/{first}")


def test_a_folder_or_a_broken_link_in_place_of_a_file(folder):
    (folder / "cifar-10-binary.tar.gz").symlink_to(folder / "gone")
    refuses(folder, "not a regular file", "cifar-10-binary.tar.gz")
    (folder / "cifar-10-binary.tar.gz").unlink()
    write(folder / PY, PYTHON_FILES)
    (folder / PY / "test_batch").unlink()
    (folder / PY / "test_batch").mkdir()
    refuses(folder, "not a regular file", f"{PY}/test_batch")


def test_a_batch_that_is_far_too_long_is_not_held(folder):
    write(folder / BIN, BINARY_FILES)
    with (folder / BIN / "data_batch_1.bin").open("wb") as file:
        file.truncate(1 << 40)  # takes no room on the disk
    tracemalloc.start()
    try:
        refuses(folder, "has more than 33554432 bytes", f"{BIN}/data_batch_1.bin")
        assert tracemalloc.get_traced_memory()[1] < 80_000_000
    finally:
        tracemalloc.stop()


# ---------------------------------------------------------------- hostile archives and pickles
# Each counts as published here: what guards against it must hold without the checksum.


def changed_member(change):
    """The Python archive with its test batch's member changed; also returned: its files."""

    def change_all(members):
        return [
            change(info, content) if info.name.endswith("/test_batch") else (info, content)
            for info, content in members
        ]

    return tar_gz(PY, PYTHON_FILES, change_all)


def named(name):
    def change(info, content):
        info.name = name
        return info, content

    return change


def typed(kind, target=""):
    def change(info, content):
        info.type, info.linkname = kind, target
        return info, content if kind == tarfile.REGTYPE else b""

    return change


HOSTILE_ARCHIVES = {
    "link out": (typed(tarfile.SYMTYPE, "/etc/passwd"), "test_batch is not a regular file"),
    "link to a batch": (typed(tarfile.SYMTYPE, "data_batch_1"), "is not a regular file"),
    "hard link": (typed(tarfile.LNKTYPE, f"{PY}/data_batch_1"), "is not a regular file"),
    "device": (typed(tarfile.CHRTYPE), "is not a regular file"),
    "pipe": (typed(tarfile.FIFOTYPE), "is not a regular file"),
    "folder": (typed(tarfile.DIRTYPE), "is not a regular file"),
    "above": (named(f"../{PY}/test_batch"), "test_batch is missing"),
    "absolute": (named(f"/{PY}/test_batch"), "test_batch is missing"),
    "round about": (named(f"{PY}/../{PY}/test_batch"), "test_batch is missing"),
    "shorter": (lambda info, content: (info, content[:-9]), "test_batch is not the published"),
}


@pytest.mark.parametrize("hostile", HOSTILE_ARCHIVES)
def test_hostile_archive(folder, published, hostile):
    change, message = HOSTILE_ARCHIVES[hostile]
    archive = changed_member(change)
    published(python_archive=archive)
    write(folder, {"cifar-10-python.tar.gz": archive})
    refuses(folder, message, "cifar-10-python.tar.gz")


@pytest.mark.parametrize(
    "archive",
    [b"no archive at all", gzip.compress(b"no tar" * 100), PYTHON_ARCHIVE[:-5000]],
    ids=["nothing", "gzip", "truncated"],
)
def test_archive_that_is_none(folder, published, archive):
    published(python_archive=archive)
    write(folder, {"cifar-10-python.tar.gz": archive})
    refuses(folder, "The file is damaged", "cifar-10-python.tar.gz")


class Call:
    """Pickled, it calls a function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def with_array(**options):
    options = {"n": 20, "pixels": bytes(20 * 3072)} | options
    return pickle_of_python_2([1] * 20, **options)


HARMLESS = with_array()
BATCH_ARRAY = HARMLESS[HARMLESS.index(b"cnumpy.core") : HARMLESS.index(b"U\x09filenames")]


def in_place_of_the_array(content):
    return HARMLESS.replace(BATCH_ARRAY, content)


HOSTILE_PICKLES = {
    "os.system": (b"cposix\nsystem\n(U\x0dtouch broken!tR.", "asks for posix.system"),
    "os.system, protocol 4": (
        pickle.dumps(Call(os.system, "touch broken!"), 4),
        "asks for posix.system",
    ),
    "eval": (b"c__builtin__\neval\n(U\x051 / 0tR.", "asks for __builtin__.eval"),
    "eval, protocol 4": (pickle.dumps(Call(eval, "1/0"), 4), "asks for builtins.eval"),
    "inst": (b"(U\x0dtouch broken!iposix\nsystem\n.", "asks for posix.system"),
    "inside the array": (
        in_place_of_the_array(b"cposix\nsystem\nU\x0dtouch broken!\x85R"),
        "asks for posix.system",
    ),
    "another name in NumPy": (
        b"cnumpy.core.multiarray\nscalar\n(tR.",
        "asks for numpy.core.multiarray.scalar",
    ),
    "a name behind a dot": (
        b"\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93.",
        "asks for numpy.ndarray.tofile",
    ),
    "extension": (b"\x82\x01.", "unregistered extension"),
    "persistent": (b"U\x01aQ.", "persistent"),
    "class that is changed": (b"cnumpy\ndtype\n}U\x09__slots__NsbN.", "not a pickled batch"),
    "object made without its arguments": (
        in_place_of_the_array(b"cnumpy\ndtype\n)\x81"),
        "not a pickled batch",
    ),
    "array of objects": (
        with_array(dtype=b"O8", pixels=bytes(8), n=1, width=1),
        "pixels have dtype b'O8', not uint8",
    ),
    "array of floats": (with_array(dtype=b"f4"), "dtype b'f4', not uint8"),
    "2 billion images": (with_array(n=2**31 - 1), "cannot reshape array of size 61440"),
    "too few pixels": (with_array(pixels=bytes(9)), "cannot reshape array of size 9"),
    "fewer images": (
        pickle_of_python_2([1] * 19, 19, bytes(19 * 3072)),
        r"labels \(19,\) and pixels \(19, 3072\), not 20 images",
    ),
    "fewer labels": (pickle_of_python_2([1] * 9, 20, bytes(20 * 3072)), r"labels \(9,\) and"),
    "label 256": (pickle_of_python_2([256] * 20, 20, bytes(20 * 3072)), "range"),
    "a number of labels": (
        HARMLESS.replace(b"](" + b"K\x01" * 20 + b"e", b"J\xff\xff\xff\x7f"),
        "labels are not a list",
    ),
    "other keys": (b"}U\x04dataNs.", "not a pickled batch"),
    "no dictionary": (b"].", "not a pickled batch"),
    "text": (b"<html>Please log in</html>", "not a pickled batch"),
    "empty": (b"", "not a pickled batch"),
}


@pytest.mark.parametrize("hostile", HOSTILE_PICKLES)
def test_hostile_pickle(folder, published, monkeypatch, tmp_path, hostile):
    content, message = HOSTILE_PICKLES[hostile]
    files = PYTHON_FILES | {"test_batch": content}
    write(folder / PY, files)
    published(python_files=files)
    monkeypatch.chdir(tmp_path)
    tracemalloc.start()
    try:
        refuses(folder, message, f"{PY}/test_batch")
        assert tracemalloc.get_traced_memory()[1] < 80_000_000
    finally:
        tracemalloc.stop()
    assert not (tmp_path / "broken!").exists()
    archive = tar_gz(PY, files)
    published(python_files=files, python_archive=archive)
    write(folder, {"cifar-10-python.tar.gz": archive})
    refuses(folder, message, "cifar-10-python.tar.gz")
    assert not (tmp_path / "broken!").exists()


@pytest.mark.parametrize("hostile", ["os.system", "os.system, protocol 4", "inst"])
@pytest.mark.skipif(os.name != "posix", reason="these name the system of POSIX")
def test_the_hostile_pickles_run_where_nothing_guards(monkeypatch, tmp_path, hostile):
    monkeypatch.chdir(tmp_path)
    pickle.loads(HOSTILE_PICKLES[hostile][0])
    assert (tmp_path / "broken!").exists()


def test_a_pickle_that_ends_anywhere():
    content = PYTHON_FILES["test_batch"]
    for end in [*range(700), *range(700, len(content), 997)]:
        with pytest.raises(ValueError, match="not a pickled batch of images"):
            cifar10.unpickled(content[:end])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (BINARY_FILES["test_batch.bin"][:-1], "61459 bytes are not records of 3073"),
        (BINARY_FILES["test_batch.bin"][:-3073], r"labels \(19,\) and pixels"),
        (b"", r"labels \(0,\)"),
    ],
)
def test_records_of_another_length(folder, published, content, message):
    files = BINARY_FILES | {"test_batch.bin": content}
    write(folder / BIN, files)
    published(binary_files=files)
    refuses(folder, message, f"{BIN}/test_batch.bin")


# ---------------------------------------------------------------- download and stand-in


@pytest.fixture
def serve(published):
    servers = []

    def start(body):
        servers.append(fake_mnist.Server(body))
        published(url=servers[-1].url.replace("mnist.npz", "cifar-10-binary.tar.gz"))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def test_download_then_read_from_there(folder, serve):
    server = serve(BINARY_ARCHIVE)
    assert is_official(load_cifar10(directory=folder))
    assert is_official(load_cifar10("official", folder))
    assert server.count["GET"] == 1
    assert (folder / "cifar-10-binary.tar.gz").read_bytes() == BINARY_ARCHIVE


def test_download_of_other_bytes(folder, serve, capsys):
    serve(b"<html>Please log in</html>")
    with pytest.raises(ValueError, match=r"not the published cifar-10-binary\.tar\.gz"):
        load_cifar10("official", folder)
    assert load_cifar10("auto", folder).source == "offline"
    assert "stand-in for CIFAR-10, not the published data" in capsys.readouterr().out
    assert not (folder / "cifar-10-binary.tar.gz").exists()


def test_the_stand_in_is_made_once(tmp_path, published, capsys):
    log = tmp_path / "log"
    published(log=log)
    for _ in range(2):
        data = load_cifar10("offline")
        assert data.source == "offline"
        np.testing.assert_array_equal(data.x_test, fake_cifar10.make_arrays(1)["x_test"])
    assert log.read_text() == "made\n"
    assert capsys.readouterr().out == (
        "cnncourse: making the offline objects once, about 20 s ...\n"
    )
    assert where("cifar10")["offline"].name.startswith("offline-cifar10-")


# The ordinary place of the real files, noted before any test gets a home of its own; or a folder.
REAL = Path(os.environ.get("CNNCOURSE_TEST_DATA") or Path.home() / ".keras" / "datasets")
REAL_FORMS = [form.find(REAL) for form in cifar10.CIFAR10.forms[:-1]] if REAL.is_dir() else []


@pytest.mark.skipif(
    not any(REAL_FORMS),
    reason=f"no published CIFAR-10 in {REAL}; set CNNCOURSE_TEST_DATA to a folder that has it",
)
def test_real_cifar10(monkeypatch, tmp_path):
    """Where the real data is on this machine, in every form of it; everything else does without."""
    monkeypatch.undo()
    monkeypatch.setenv("HOME", str(tmp_path))
    for form in cifar10.CIFAR10.forms[:-1]:
        if (path := form.find(REAL)) is None:
            continue
        arrays = form.read(path, cifar10.TABLE)
        assert arrays["y_train"][:10].tolist() == [6, 9, 9, 4, 1, 1, 2, 7, 8, 3]
        assert np.bincount(arrays["y_train"]).tolist() == [5000] * 10
        assert np.bincount(arrays["y_test"]).tolist() == [1000] * 10
        np.savez(tmp_path / "cifar10.npz", **arrays)
        npz = cifar10.npz_form(cifar10.BINARY)
        assert npz.is_published(npz.read(tmp_path / "cifar10.npz", cifar10.TABLE), cifar10.TABLE)
