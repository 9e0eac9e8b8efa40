"""Fixtures for tests that look for data: `own_home` and `folder`, both empty.

A test module takes them with ``pytest_plugins = ("own_home",)``.
"""

import pytest

from cnncourse.data import download

SETTINGS = ("CNNCOURSE_SOURCE", "CNNCOURSE_DATA", "KERAS_HOME", "HTTP_PROXY", "http_proxy")


@pytest.fixture
def own_home(tmp_path, monkeypatch):
    """A home directory of the test's own, with a cache in it; no setting, no memory of a server."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(download, "_unreachable", {})
    return home


@pytest.fixture
def folder(tmp_path):
    """A folder for official files."""
    folder = tmp_path / "data"
    folder.mkdir()
    return folder
