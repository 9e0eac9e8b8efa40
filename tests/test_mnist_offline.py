"""The offline stand-in's cache, with a made-up generator; and the real digits once."""

import ast
import importlib.util
import os
import time
from dataclasses import replace

import fake_mnist
import numpy as np
import pytest

from cnncourse.data import collections, load_mnist, mnist, offline, where

pytest_plugins = ("own_home",)


@pytest.fixture
def log(own_home, monkeypatch):
    """A home of the test's own and the made-up MNIST; returns the file that logs each making."""
    log = own_home / "log"
    log.touch()
    monkeypatch.setattr(mnist, "MNIST", fake_mnist.make_collection(log=log))
    return log


def made(log):
    return len(log.read_text().splitlines())


def is_stand_in(data):
    assert data.source == "offline"
    np.testing.assert_array_equal(data.x_train[..., 0], 255 - fake_mnist.ARRAYS["x_train"])
    np.testing.assert_array_equal(data.y_test, 9 - fake_mnist.ARRAYS["y_test"])
    return True


def test_made_once_then_read(log, capsys):
    assert is_stand_in(load_mnist("offline"))
    assert capsys.readouterr().out == (
        "cnncourse: making the offline digits once, about 20 s ...\n"
    )
    assert is_stand_in(load_mnist("offline"))
    assert capsys.readouterr().out == ""
    assert made(log) == 1
    path = where()["offline"]
    assert path.is_file()
    assert path.name.startswith("offline-mnist-")
    assert not list(path.parent.glob("*.partial"))


def test_a_changed_generator_or_seed_never_reads_an_old_cache(log, monkeypatch):
    load_mnist("offline")
    first = where()["offline"]
    source = offline._source
    with monkeypatch.context() as context:
        context.setattr(offline, "_source", lambda module: source(module) + b"\n")
        assert where()["offline"] is None
        load_mnist("offline")
        assert where()["offline"] != first
    assert made(log) == 2
    assert first.exists()  # another environment may still want it
    collection = mnist.MNIST
    other = replace(collection, stand_in=replace(collection.stand_in, seed=1))
    monkeypatch.setattr(mnist, "MNIST", other)
    assert where()["offline"] is None


@pytest.mark.parametrize("damage", ["empty", "cut", "flipped", "folder"])
def test_a_damaged_cache_is_made_again(log, damage, capsys):
    load_mnist("offline")
    path = where()["offline"]
    content = bytearray(path.read_bytes())
    if damage == "empty":
        path.write_bytes(b"")
    elif damage == "cut":
        path.write_bytes(content[:-1])
    elif damage == "flipped":
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    else:  # cannot be replaced by a file: made anew, and said so
        path.unlink()
        path.mkdir()
    assert is_stand_in(load_mnist("offline"))
    assert made(log) == 2
    if damage == "folder":
        assert "cannot be kept" in capsys.readouterr().out
    else:
        assert is_stand_in(load_mnist("offline"))
        assert made(log) == 2


def test_without_a_place_to_write(log, tmp_path, monkeypatch, capsys):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert is_stand_in(load_mnist("offline"))
    assert made(log) == 1
    lines = capsys.readouterr().out.splitlines()
    assert sum("the offline digits cannot be kept in" in line for line in lines) == 1


def test_a_full_disk_loses_nothing_but_the_cache(log, monkeypatch, capsys):
    def full(*args, **arrays):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    assert is_stand_in(load_mnist("offline"))
    assert made(log) == 1
    assert "(No space left on device): made anew each time." in capsys.readouterr().out
    assert where()["offline"] is None


def test_old_and_half_written_files_of_ours_go_others_stay(log, own_home):
    cache = own_home / "cache" / "cnncourse"
    cache.mkdir(parents=True)
    ages = {
        "offline-mnist-0000-seed0.npz": 400,
        "offline-mnist-1111-seed0.npz": 300,
        "offline-mnist-2222-seed0.npz": 200,
        "offline-mnist-3333-seed0.partial": 100,
        "offline-cifar10-4444-seed0.npz": 500,
        "mine.npz": 500,
    }
    for name, age in ages.items():
        (cache / name).touch()
        os.utime(cache / name, (time.time() - age,) * 2)
    load_mnist("offline")
    gone = set(ages) - {path.name for path in cache.iterdir()}
    assert gone == {"offline-mnist-0000-seed0.npz", "offline-mnist-3333-seed0.partial"}


@pytest.mark.parametrize("name", collections())
def test_the_cache_knows_every_module_that_decides_what_the_images_are(name):
    """Whatever of ours these modules import must be among them, or a change would go unnoticed."""
    known = set(collections()[name].stand_in.made_by)
    for module in known:
        imported = set()
        for node in ast.walk(ast.parse(offline._source(module))):
            if isinstance(node, ast.ImportFrom):
                parent = "cnncourse.data" if node.level else node.module
                imported |= {parent} | {f"{parent}.{alias.name}" for alias in node.names}
            elif isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
        ours = {name for name in imported if name.startswith("cnncourse.") and is_module(name)}
        assert ours - {"cnncourse.data"} <= known, module


def is_module(name):
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def test_the_real_digits(monkeypatch):
    """In the user's own cache, so that only the first run on a machine takes half a minute."""
    for name in ("CNNCOURSE_SOURCE", "CNNCOURSE_DATA"):
        monkeypatch.delenv(name, raising=False)
    load_mnist("offline")
    start = time.process_time()
    data = load_mnist("offline")
    assert time.process_time() - start < 5  # a tenth of a second; to make them takes twenty
    assert data.x_train.shape == (60000, 28, 28, 1)
    assert data.x_test.shape == (10000, 28, 28, 1)
    assert data.x_train.dtype == data.y_train.dtype == np.uint8
    # The class counts of MNIST, as published.
    published = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(data.y_train).tolist() == published
    assert np.bincount(data.y_test).tolist() == [
        980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009,
    ]  # fmt: skip
    assert 20 < data.x_train[:1000].mean() < 50  # MNIST's mean is 33.3
