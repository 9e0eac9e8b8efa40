"""Official MNIST files: found, verified, refused, downloaded. Made-up data, loopback only."""

import gzip
import hashlib
import io
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import tracemalloc
import zipfile
from pathlib import Path

import fake_mnist
import numpy as np
import pytest
from fake_mnist import ARRAYS, IDX_NAMES, PUBLISHED, idx_bytes, npz_bytes
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cnncourse.data import download, load_mnist, mnist, where

pytest_plugins = ("own_home",)

TESTS = Path(__file__).parent


@pytest.fixture(autouse=True)
def home(own_home, monkeypatch):
    """A home directory of the test's own, the made-up MNIST, and a URL where nobody listens."""
    monkeypatch.setattr(mnist, "MNIST", fake_mnist.make_collection())
    return own_home


@pytest.fixture
def serve(monkeypatch):
    """Start a server, and let the made-up MNIST be downloaded from it."""
    servers = []

    def start(**options):
        server = fake_mnist.Server(**options)
        servers.append(server)
        monkeypatch.setattr(mnist, "MNIST", fake_mnist.make_collection(server.url))
        return server

    yield start
    for server in servers:
        server.close()


def write_idx(folder, arrays=ARRAYS, end="", pack=lambda data: data, dotted=False):
    for name, array in arrays.items():
        filename = IDX_NAMES[name].replace("-idx", ".idx") if dotted else IDX_NAMES[name]
        (folder / (filename + end)).write_bytes(pack(idx_bytes(array)))


def is_official(data):
    assert data.source == "official"
    np.testing.assert_array_equal(data.x_train, ARRAYS["x_train"][..., None])
    np.testing.assert_array_equal(data.y_train, ARRAYS["y_train"])
    np.testing.assert_array_equal(data.x_test, ARRAYS["x_test"][..., None])
    np.testing.assert_array_equal(data.y_test, ARRAYS["y_test"])
    return True


def fortran(file, **arrays):
    np.savez(file, **{name: np.asfortranarray(array) for name, array in arrays.items()})


class TestForms:
    def test_published_npz(self, folder, capsys):
        (folder / "mnist.npz").write_bytes(PUBLISHED)
        data = load_mnist(directory=folder)
        assert is_official(data)
        assert data.name == "mnist"
        assert data.class_names == tuple("0123456789")
        assert capsys.readouterr().out == ""

    @pytest.mark.parametrize("save", [np.savez_compressed, fortran])
    def test_repackaged_npz_is_believed_for_its_content(self, folder, save):
        (folder / "mnist.npz").write_bytes(npz_bytes(ARRAYS | {"extra": np.zeros(3)}, save))
        assert is_official(load_mnist(directory=str(folder)))

    @pytest.mark.parametrize("dotted", [False, True])
    @pytest.mark.parametrize(
        ("end", "pack"),
        [("", bytes), (".gz", gzip.compress), (".gz", bytes), ("", gzip.compress)],
        ids=["plain", "gzip", "unpacked by a browser", "gzip without the ending"],
    )
    def test_idx(self, folder, end, pack, dotted):
        write_idx(folder, end=end, pack=pack, dotted=dotted)
        assert is_official(load_mnist("official", folder))
        assert where(directory=folder)["official"] == folder

    def test_the_published_table_is_mnist(self):
        """The real table's checksums, against the published size of the files and what they are."""
        sizes = {name: known.shape for name, known in mnist.TABLE.items()}
        assert sizes == {
            "x_train": (60000, 28, 28),
            "y_train": (60000,),
            "x_test": (10000, 28, 28),
            "y_test": (10000,),
        }
        assert len({known.sha256 for known in mnist.TABLE.values()}) == 4


class TestPlaces:
    def test_directory_before_keras_cache(self, home, folder, monkeypatch):
        keras = home / ".keras" / "datasets"
        keras.mkdir(parents=True)
        (keras / "mnist.npz").write_bytes(PUBLISHED)
        assert where()["official"] == keras / "mnist.npz"
        assert where(directory=folder)["official"] == keras / "mnist.npz"
        assert is_official(load_mnist("official", folder))
        write_idx(folder)
        assert where(directory=folder)["official"] == folder
        monkeypatch.setenv("CNNCOURSE_DATA", str(folder))
        assert where()["official"] == folder
        (folder / "mnist.npz").write_bytes(PUBLISHED)
        assert where()["official"] == folder / "mnist.npz"

    def test_keras_home(self, tmp_path, monkeypatch):
        monkeypatch.setenv("KERAS_HOME", str(tmp_path / "k"))
        (tmp_path / "k" / "datasets").mkdir(parents=True)
        (tmp_path / "k" / "datasets" / "mnist.npz").write_bytes(PUBLISHED)
        assert is_official(load_mnist("official"))

    def test_where_of_nothing_makes_nothing(self, home):
        assert where() == {"official": None, "offline": None}
        assert list(home.iterdir()) == []
        with pytest.raises(ValueError, match="name is 'mnits'; the data sets are 'mnist'"):
            where("mnits")

    def test_where_does_not_offer_a_part(self, folder):
        write_idx(folder)
        (folder / IDX_NAMES["y_test"]).unlink()
        assert where(directory=folder)["official"] is None

    def test_environment(self, folder, monkeypatch, capsys):
        (folder / "mnist.npz").write_bytes(PUBLISHED)
        monkeypatch.setenv("CNNCOURSE_DATA", str(folder))
        assert is_official(load_mnist())
        monkeypatch.setenv("CNNCOURSE_SOURCE", "offline")
        assert load_mnist().source == "offline"
        assert is_official(load_mnist("official"))
        monkeypatch.setenv("CNNCOURSE_SOURCE", "")
        assert is_official(load_mnist())

    def test_a_tilde_is_the_home_directory(self, home, monkeypatch):
        (home / "mnist.npz").write_bytes(PUBLISHED)
        monkeypatch.setenv("CNNCOURSE_DATA", "~")
        assert is_official(load_mnist())

    def test_bad_settings(self, tmp_path, monkeypatch):
        with pytest.raises(
            ValueError, match="source is 'web'; use 'auto', 'official' or 'offline'"
        ):
            load_mnist("web")
        with pytest.raises(ValueError, match=r"directory is '.*none', which is not a folder"):
            load_mnist(directory=tmp_path / "none")
        monkeypatch.setenv("CNNCOURSE_SOURCE", "Official")
        with pytest.raises(ValueError, match="CNNCOURSE_SOURCE is 'Official'; set it to 'auto'"):
            load_mnist()
        monkeypatch.delenv("CNNCOURSE_SOURCE")
        (tmp_path / "file").touch()
        monkeypatch.setenv("CNNCOURSE_DATA", str(tmp_path / "file"))
        with pytest.raises(ValueError, match=r"CNNCOURSE_DATA is '.*file', which is not a folder"):
            load_mnist()


def changed(name, array):
    return npz_bytes(ARRAYS | {name: array})


def one_pixel_off():
    array = ARRAYS["x_test"].copy()
    array[3, 4, 5] ^= 1
    return array


def npy_with_header(text):
    header = text.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header


def zipped(npy, method=zipfile.ZIP_DEFLATED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name in ARRAYS:
            archive.writestr(f"{name}.npy", npy)
    return file.getvalue()


OBJECTS = np.array([print, None], dtype=object)
HUGE = "{'descr': '|u1', 'fortran_order': False, 'shape': (1000000000000, 28, 28)}"
BAD_NPZ = {
    "not a zip": (b"<html>Please log in</html>", "not a zip file"),
    "empty": (b"", "not a zip file"),
    "truncated": (PUBLISHED[:-1000], "not a zip file"),
    "one pixel off": (changed("x_test", one_pixel_off()), "x_test is not the published data"),
    "other labels": (changed("y_train", 9 - ARRAYS["y_train"]), "y_train is not the published"),
    "one image more": (changed("x_test", np.zeros((51, 28, 28), np.uint8)), r"shape \(51, 28, 28"),
    "flat": (changed("x_test", ARRAYS["x_test"].reshape(50, 784)), r"shape \(50, 784\), not"),
    "int64": (changed("y_test", ARRAYS["y_test"].astype(int)), "y_test has dtype int64, not uint8"),
    "objects": (changed("y_test", OBJECTS), "y_test has dtype object, not uint8"),
    "missing array": (
        npz_bytes({name: a for name, a in ARRAYS.items() if name != "y_test"}),
        "y_test is missing",
    ),
    "claims 10^12 images": (zipped(npy_with_header(HUGE)), r"shape \(1000000000000, 28, 28\)"),
    "header of nonsense": (zipped(npy_with_header("{[]: 1}")), "header that makes no sense"),
    "header that is not closed": (zipped(npy_with_header("{'descr': (")), "makes no sense"),
    "pickle": (zipped(b"cos\nsystem\n(S'false'\ntR."), "not as an .npy file"),
    "version 3": (zipped(b"\x93NUMPY\x03\x00\xff\xff\xff\xff"), "not as an .npy file"),
    "lzma": (zipped(b"", zipfile.ZIP_LZMA), "does not use"),
}


class TestBadFiles:
    def refuses(self, folder, message, name="mnist.npz", error=ValueError):
        """Both sources raise; the message names the file and a way out; nothing is changed."""
        before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
        for source in ("auto", "official"):
            with pytest.raises(error, match=message) as caught:
                load_mnist(source, folder)
            assert str(folder / name) in str(caught.value)
            assert re.search("Delete it and run again, or set CNNCOURSE_DATA", str(caught.value))
        assert before == {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}

    @pytest.mark.parametrize("bad", BAD_NPZ)
    def test_npz(self, folder, bad):
        content, message = BAD_NPZ[bad]
        (folder / "mnist.npz").write_bytes(content)
        self.refuses(folder, message)

    def test_array_that_is_too_short_or_too_long(self, folder):
        def npz(extra):
            npy = io.BytesIO()
            np.save(npy, ARRAYS["y_train"])
            file = io.BytesIO(PUBLISHED)
            with zipfile.ZipFile(file) as old, zipfile.ZipFile(folder / "mnist.npz", "w") as new:
                for name in old.namelist():
                    new.writestr(name, old.read(name)[: extra if extra < 0 else None])
                    if extra > 0:
                        new.writestr(name, old.read(name) + bytes(extra))

        npz(-1)
        self.refuses(folder, "x_train ends 1 bytes too early")
        with pytest.warns(UserWarning, match="Duplicate"):
            npz(1)
        self.refuses(folder, "x_train goes on behind its 156800 bytes")

    def test_crc(self, folder):
        content = bytearray(PUBLISHED)
        content[1000] ^= 1
        (folder / "mnist.npz").write_bytes(content)
        self.refuses(folder, "CRC-32")

    def test_folder_in_its_place(self, folder):
        (folder / "mnist.npz").mkdir()
        self.refuses(folder, "not a regular file")

    def test_broken_link_is_left_alone(self, folder, serve):
        serve()
        (folder / "mnist.npz").symlink_to(folder / "gone")
        self.refuses(folder, "not a regular file")
        assert not (folder / "gone").exists()

    def test_unreadable(self, folder, monkeypatch):
        (folder / "mnist.npz").write_bytes(PUBLISHED)

        def refuse(*args):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "open", refuse)  # chmod does not stop root, who may run this
        with pytest.raises(ValueError, match=r"mnist\.npz: you may not read this file. Change its"):
            load_mnist("auto", folder)

    @pytest.mark.parametrize(
        ("spoil", "message"),
        [
            (lambda data: data[:-1], "x_test ends 1 bytes too early"),
            (lambda data: data[:7], r"x_test has shape"),
            (lambda data: b"", "magic number , not 00000803"),
            (lambda data: data + b"\0", "x_test goes on behind its 39200 bytes"),
            (lambda data: b"\0\0\x08\x01" + data[4:], "magic number 00000801, not 00000803"),
            (lambda data: b"\0\0\x0d" + data[3:], "magic number 00000d03, not 00000803"),
            (lambda data: data[:4] + b"\xff" * 4 + data[8:], r"shape \(4294967295, 28, 28\)"),
            (lambda data: data[:99] + b"!" + data[100:], "x_test is not the published data"),
            (lambda data: gzip.compress(data)[:-3], "end-of-stream"),
            (lambda data: gzip.compress(data) + b"garbage", "[Nn]ot a gzipped file"),
            (lambda data: gzip.compress(data + b"\0"), "goes on behind"),
            (lambda data: b"\x1f\x8bnonsense", "Unknown compression|compression method"),
        ],
    )
    @pytest.mark.parametrize("end", ["", ".gz"])
    def test_idx(self, folder, spoil, message, end):
        write_idx(folder, end=end)
        name = IDX_NAMES["x_test"] + end
        (folder / name).write_bytes(spoil(idx_bytes(ARRAYS["x_test"])))
        self.refuses(folder, message, name)

    @pytest.mark.parametrize("missing", IDX_NAMES)
    def test_one_idx_file_missing(self, folder, missing):
        write_idx(folder, end=".gz", pack=gzip.compress)
        (folder / (IDX_NAMES[missing] + ".gz")).unlink()
        for source in ("auto", "official"):
            with pytest.raises(FileNotFoundError, match=IDX_NAMES[missing]) as caught:
                load_mnist(source, folder)
            assert str(folder) in str(caught.value)
            assert "Add what is missing" in str(caught.value)

    def test_bombs_take_no_memory(self, folder):
        bomb = bytes(50_000_000)
        write_idx(folder)
        zipped_bomb = zipped(npy_with_header(HUGE.replace("1000000000000", "200")) + bomb)
        (folder / "mnist.npz").write_bytes(zipped_bomb)
        idx = folder / IDX_NAMES["x_train"]
        idx.write_bytes(gzip.compress(idx_bytes(ARRAYS["x_train"]) + bomb, 1))
        tracemalloc.start()
        try:
            with pytest.raises(ValueError, match="goes on behind"):
                load_mnist("official", folder)
            (folder / "mnist.npz").unlink()
            with pytest.raises(ValueError, match="goes on behind"):
                load_mnist("official", folder)
            assert tracemalloc.get_traced_memory()[1] < 5_000_000
        finally:
            tracemalloc.stop()

    @given(data=st.data())
    @settings(
        max_examples=150,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    def test_any_damage_is_noticed_or_harmless(self, folder, monkeypatch, data):
        arrays = fake_mnist.make_arrays(1, n_train=2, n_test=1)
        monkeypatch.setattr(mnist, "MNIST", fake_mnist.make_collection(arrays=arrays))
        save = data.draw(st.sampled_from([np.savez, np.savez_compressed]))
        content = bytearray(npz_bytes(arrays, save))
        for _ in range(data.draw(st.integers(1, 4))):
            # Aimed at the ends as well, where the headers and the directory are.
            spot = data.draw(st.integers(0, 200) | st.integers(0, len(content) - 1))
            spot = data.draw(st.sampled_from([spot, len(content) - 1 - spot])) % len(content)
            content[spot] = data.draw(st.integers(0, 255))
        if data.draw(st.booleans()):
            del content[data.draw(st.integers(0, len(content))) :]
        (folder / "mnist.npz").write_bytes(content)
        try:
            loaded = load_mnist("auto", folder)
        except ValueError as error:
            message = str(error)
        else:
            message = str(folder / "mnist.npz")
            np.testing.assert_array_equal(loaded.x_train[..., 0], arrays["x_train"])
            np.testing.assert_array_equal(loaded.y_test, arrays["y_test"])
        assert str(folder / "mnist.npz") in message


class TestDownload:
    def left(self, folder):
        return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))

    def test_into_the_given_folder_then_read_from_there(self, folder, serve, capsys):
        server = serve()
        assert is_official(load_mnist(directory=folder))
        assert is_official(load_mnist("official", folder))
        assert server.count["GET"] == 1
        assert self.left(folder) == ["mnist.npz"]
        assert (folder / "mnist.npz").read_bytes() == PUBLISHED
        out, err = capsys.readouterr()
        assert out == ""
        assert "100%" in err  # the progress bar

    def test_into_keras_cache(self, home, serve):
        serve()
        assert is_official(load_mnist())
        assert self.left(home / ".keras" / "datasets") == ["mnist.npz"]

    def test_past_a_folder_that_cannot_be_written(self, home, folder, serve, monkeypatch):
        serve()
        monkeypatch.setattr(  # chmod does not stop root, who may run this
            os, "access", lambda path, mode: not (Path(path) == folder and mode & os.W_OK)
        )
        assert is_official(load_mnist("official", folder))
        assert self.left(folder) == []
        assert where()["official"] == home / ".keras" / "datasets" / "mnist.npz"

    def test_nowhere_to_write(self, tmp_path, serve, monkeypatch, capsys):
        serve()
        (tmp_path / "file").touch()
        monkeypatch.setenv("KERAS_HOME", str(tmp_path / "file"))
        with pytest.raises(FileNotFoundError, match="cannot be written"):
            load_mnist("official")
        assert load_mnist().source == "offline"
        assert "cannot be written" in capsys.readouterr().out

    def test_wrong_checksum(self, folder, serve, capsys):
        serve(body=PUBLISHED[:-1] + b"!")
        with pytest.raises(ValueError, match=r"not the published mnist\.npz \(SHA-256"):
            load_mnist("official", folder)
        assert self.left(folder) == []
        # Nobody's file is damaged, as when a hotel answers with its login page: so "auto" goes on.
        assert load_mnist("auto", folder).source == "offline"
        assert "is not the published mnist.npz" in capsys.readouterr().out.splitlines()[0]

    @pytest.mark.parametrize("how", ["half", "stall"])
    def test_interrupted_download_leaves_nothing_and_the_next_works(
        self, folder, serve, monkeypatch, how
    ):
        monkeypatch.setattr(download, "STALL_SECONDS", 0.3)
        server = serve(how=how)
        with pytest.raises(FileNotFoundError, match=r"the download of mnist\.npz.*failed"):
            load_mnist("official", folder)
        assert self.left(folder) == []
        server.how = "whole"
        assert is_official(load_mnist("auto", folder))

    def test_refused(self, folder, capsys):
        """Nobody listens at this port: one line, then the stand-in; "official" says what to do."""
        data = load_mnist(directory=folder)
        assert data.source == "offline"
        first, second = capsys.readouterr().out.splitlines()
        assert re.match(
            r"cnncourse: offline stand-in for MNIST, not the published data, because there is none "
            rf"in {folder} or .*datasets and 127.0.0.1:9 cannot be reached \(ConnectionError\)\.$",
            first,
        )
        assert "making the offline digits once" in second
        with pytest.raises(FileNotFoundError, match=r"Connect to the network.*set CNNCOURSE_DATA"):
            load_mnist("official", folder)

    def test_server_that_never_answers(self, folder, serve, capsys):
        server = serve(how="silent")
        assert load_mnist(directory=folder).source == "offline"
        assert "did not answer within 3 s" in capsys.readouterr().out
        # The same process does not wait again ...
        assert load_mnist(directory=folder).source == "offline"
        assert server.count["HEAD"] == 1
        # ... unless it is asked to, and then the network is back for "auto" too.
        server.how = "whole"
        assert is_official(load_mnist("official", folder))
        (folder / "mnist.npz").unlink()
        assert is_official(load_mnist("auto", folder))

    def test_name_look_up_that_hangs(self, folder, monkeypatch, capsys):
        released, ended_by_itself = threading.Event(), []

        def hang(*args, **options):
            ended_by_itself.append(not released.wait(60))
            raise socket.gaierror

        monkeypatch.setattr(socket, "getaddrinfo", hang)
        monkeypatch.setattr(download, "PROBE_SECONDS", 0.5)
        monkeypatch.setattr(
            mnist, "MNIST", fake_mnist.make_collection("http://data.invalid/mnist.npz")
        )
        assert load_mnist(directory=folder).source == "offline"
        assert ended_by_itself == []  # nobody waited for it
        released.set()
        assert "data.invalid did not answer" in capsys.readouterr().out

    def test_proxy_that_never_answers(self, folder, serve, monkeypatch):
        monkeypatch.setattr(download, "PROBE_SECONDS", 0.5)
        server = serve(how="silent")
        monkeypatch.setattr(
            mnist, "MNIST", fake_mnist.make_collection("http://data.invalid/mnist.npz")
        )
        monkeypatch.setenv("http_proxy", server.url.rpartition("/")[0])
        assert load_mnist(directory=folder).source == "offline"
        assert server.count["HEAD"] == 1

    def test_forbidden(self, folder, serve, capsys):
        server = serve(how="forbidden")
        assert load_mnist(directory=folder).source == "offline"
        assert "answered with status 403" in capsys.readouterr().out
        assert server.count["GET"] == 0

    def test_who_waited_for_a_failed_download_does_not_start_another(
        self, folder, serve, monkeypatch
    ):
        server = serve()
        monkeypatch.setattr(download, "PATIENCE_SECONDS", -1.0)
        with pytest.raises(FileNotFoundError, match="another process tried"):
            load_mnist("official", folder)
        assert server.count["GET"] == 0

    def test_offline_asks_nobody(self, serve):
        server = serve()
        assert load_mnist("offline").source == "offline"
        assert server.count == {"HEAD": 0, "GET": 0}


def start_process(url, log, *sources):
    return subprocess.Popen(
        [sys.executable, str(TESTS / "fake_mnist.py"), url, str(log), *sources],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def test_thirty_processes_download_once_and_make_once(home, tmp_path, serve):
    server = serve()
    log = tmp_path / "log"
    processes = [start_process(server.url, log, "auto", "offline") for _ in range(30)]
    outputs = [process.communicate(timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * 30
    results = [
        [json.loads(line) for line in output.splitlines() if line.startswith("[")]
        for output in outputs
    ]
    assert all(result == results[0] for result in results)
    assert [source for source, _ in results[0]] == ["official", "offline"]
    assert server.count["GET"] == 1
    assert log.read_text() == "made\n"
    assert not list(home.rglob("*.partial"))


def test_killed_in_the_middle_of_a_download(home, tmp_path, serve):
    server = serve(how="stall")
    process = start_process(server.url, tmp_path / "log", "official")
    keras = home / ".keras" / "datasets"
    deadline = time.monotonic() + 20
    while not any(path.stat().st_size for path in keras.glob(".*.partial")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=20)
    assert [path.name for path in keras.glob("[!.]*")] == []
    assert where()["official"] is None
    server.how = "whole"
    assert is_official(load_mnist("official"))
    assert sorted(path.name for path in keras.iterdir()) == [".mnist.npz.lock", "mnist.npz"]


# The ordinary place of the real file, noted before any test gets a home of its own; or a folder.
REAL = Path(os.environ.get("CNNCOURSE_TEST_DATA") or Path.home() / ".keras" / "datasets")


@pytest.mark.skipif(
    not (REAL / "mnist.npz").is_file(),
    reason=f"no real mnist.npz in {REAL}; set CNNCOURSE_TEST_DATA to a folder that has it",
)
def test_real_mnist(monkeypatch, tmp_path):
    """Where the real data is on this machine; everything else here does without."""
    monkeypatch.undo()
    monkeypatch.setenv("HOME", str(tmp_path))
    data = load_mnist("official", REAL)
    assert data.source == "official"
    assert data.y_train[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    packed = struct.pack(">4I", 2051, 60000, 28, 28) + data.x_train.tobytes()
    assert hashlib.md5(packed).hexdigest() == "6bbc9ace898e44ae57da46a324031adb"
