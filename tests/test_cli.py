"""The command ``cnncourse``: what it answers, how fast, and how it starts JupyterLab."""

import importlib.util
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

import cnncourse
from cnncourse import cli, data, doctor


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A course with one lesson, and the working directory in it."""
    lessons = tmp_path / "lessons"
    lessons.mkdir()
    notebook = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (lessons / "00_start_here.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def no_course(tmp_path, monkeypatch):
    """A machine without the course's folder, wherever the tests run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, "LESSONS", "lessons-that-are-nowhere")


# The command line


@pytest.mark.parametrize(
    "argument",
    [
        "--help",
        "--version",
        "doctor --help",
        "lab --help",
        "reproduce --help",
        "train --help",
        "grade --help",
    ],
)
def test_help_is_quick_and_imports_nothing_large(argument):
    code = (
        "import sys; from cnncourse import cli\n"
        "try: cli.main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "large = {'tensorflow', 'keras', 'numpy', 'matplotlib', 'jupyterlab', 'psutil'}\n"
        "print('LARGE', sorted(large & set(sys.modules)))"
    )
    child = subprocess.run(
        [sys.executable, "-c", code, *argument.split()], capture_output=True, text=True, timeout=60
    )
    assert child.stdout.endswith("LARGE []\n"), child.stdout + child.stderr
    assert "cnncourse" in child.stdout
    assert child.stderr == ""


def test_version(capsys):
    with pytest.raises(SystemExit, match="0"):
        cli.main(["--version"])
    assert capsys.readouterr().out == f"cnncourse {cnncourse.__version__}\n"


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ([], "which command?"),
        (["dokter"], "invalid choice: 'dokter'"),
        (["lab", "--port", "9000"], "unrecognized arguments"),
        (["doctor", "--", "x"], "only lab"),
    ],
)
def test_a_command_line_that_makes_no_sense_gets_one_line_and_status_2(capsys, argv, words):
    with pytest.raises(SystemExit, match="2"):
        cli.main(argv)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert words in err
    assert "--help" in err


@pytest.mark.parametrize("error", [ValueError("bad\n thing"), FileNotFoundError("bad thing")])
def test_an_error_raised_on_purpose_gets_one_line_and_status_1(monkeypatch, capsys, error):
    def breaks(name):
        raise error

    monkeypatch.setattr(data, "where", breaks)
    assert cli.main(["data"]) == 1
    assert capsys.readouterr().err == "cnncourse: bad thing\n"


def test_ctrl_c_leaves_without_a_traceback(monkeypatch):
    def interrupted(name):
        raise KeyboardInterrupt

    monkeypatch.setattr(data, "where", interrupted)
    assert cli.main(["data"]) == 130


# cnncourse doctor


@pytest.mark.parametrize(("status", "expected"), [("OK", 0), ("WARN", 0), ("FAIL", 1)])
def test_doctor_prints_the_report_and_fails_only_on_fail(monkeypatch, capsys, status, expected):
    finding = doctor.Finding(status, "thing", "as it is", "" if status == "OK" else "do this")
    monkeypatch.setattr(doctor, "examine", lambda: [finding])
    assert cli.main(["doctor"]) == expected
    out, err = capsys.readouterr()
    assert out.startswith(f"[{status}]".ljust(7) + "thing  as it is\n")
    assert ("-> do this" in out) == (status != "OK")
    assert err == ""


def test_doctor_as_a_person_runs_it():
    child = subprocess.run(
        [sys.executable, "-m", "cnncourse.cli", "doctor"],
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert child.returncode in (0, 1)
    assert child.stderr == ""  # no log lines of TensorFlow
    assert re.search(r"\[OK\]   tensorflow +2\.\S+ imports; a convolution gives 37,", child.stdout)
    assert str(Path.home()) == "/" or f"{Path.home()}/" not in child.stdout
    shapes = r"\[(OK|WARN|FAIL)\] |  +|Ready|Not ready|$"
    assert all(re.match(shapes, line) for line in child.stdout.splitlines()), child.stdout


# cnncourse data


@pytest.fixture
def fake_data(monkeypatch):
    """A data room with one data set, whose loads are recorded and leave files."""
    found = {"official": None, "offline": None}
    calls = []

    def load_mnist(source):
        calls.append(source)
        found[source] = Path(f"{source}.npz")

    monkeypatch.setattr(data, "collections", lambda: {"mnist": None})
    monkeypatch.setattr(data, "where", lambda name: dict(found))
    monkeypatch.setattr(data, "load_mnist", load_mnist)
    return calls


def test_data_lists_and_makes_nothing_unasked(fake_data, capsys):
    assert cli.main(["data"]) == 0
    assert fake_data == []
    assert capsys.readouterr().out.splitlines() == [
        "mnist    official  not here yet -> cnncourse data --download",
        "mnist    offline   not here yet -> made when first needed",
    ]


def test_data_fetches_and_makes_what_is_asked(fake_data, capsys):
    assert cli.main(["data", "--download", "--make-offline"]) == 0
    assert fake_data == ["official", "offline"]
    assert capsys.readouterr().out.splitlines() == [
        "mnist    official  official.npz",
        "mnist    offline   offline.npz",
    ]


def test_data_that_could_not_be_kept_is_not_a_success(fake_data, monkeypatch):
    monkeypatch.setattr(data, "load_mnist", lambda source: None)
    assert cli.main(["data", "--make-offline"]) == 1


def test_data_of_the_named_sets_only(fake_data, monkeypatch, capsys):
    monkeypatch.setattr(data, "collections", lambda: {"mnist": None, "cifar10": None})
    monkeypatch.setattr(data, "load_cifar10", lambda source: pytest.fail("not asked for"))
    assert cli.main(["data", "mnist", "--download"]) == 0
    assert fake_data == ["official"]
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["mnist"] * 2
    assert cli.main(["data"]) == 0
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert listed == ["mnist", "mnist", "cifar10", "cifar10"]


def test_data_of_a_set_that_does_not_exist(monkeypatch, capsys):
    for name in data.collections():
        monkeypatch.setattr(data, f"load_{name}", lambda source: pytest.fail("fetched"))
    assert cli.main(["data", "mnist", "cifar100", "--download"]) == 1
    assert "'cifar100'; the data sets are 'mnist', 'cifar10'" in capsys.readouterr().err


def test_data_knows_every_data_set_of_the_room():
    assert list(data.collections()) == ["mnist", "cifar10"]
    for name, collection in data.collections().items():
        assert callable(getattr(data, f"load_{name}")), collection
        assert set(data.where(name)) == {"official", "offline"}


# cnncourse lab: finding the course


def test_course_is_found_here_above_and_in_the_installation(course, tmp_path_factory):
    assert cli.find_course([course]) == course
    assert cli.find_course([course / "lessons"]) == course
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    assert cli.find_course([elsewhere, course]) == course


def test_lessons_without_numbered_notebooks_are_another_folder(tmp_path, no_course):
    (tmp_path / cli.LESSONS).mkdir()
    (tmp_path / cli.LESSONS / "piano.ipynb").write_text("{}")
    with pytest.raises(FileNotFoundError, match="git clone"):
        cli.find_course([tmp_path])


def test_lab_without_a_course_says_how_to_get_one(no_course, capsys):
    assert cli.main(["lab"]) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "git clone" in err


def test_lab_without_jupyterlab_says_how_to_get_it(course, monkeypatch, capsys):
    monkeypatch.setattr(cli.importlib.util, "find_spec", lambda name: None)
    assert cli.main(["lab"]) == 1
    assert "pip install jupyterlab" in capsys.readouterr().err


# cnncourse lab: the command


def test_command_for_a_user_at_a_display():
    root = Path("somewhere")
    assert cli.lab_command(root, as_root=False, browser=True) == [
        sys.executable,
        "-m",
        "jupyterlab",
        "--ServerApp.root_dir=somewhere",
        "--LabApp.default_url=/lab/tree/lessons",
    ]


def test_command_for_root_without_a_display():
    command = cli.lab_command(Path("x"), as_root=True, browser=False)
    assert command[5:] == ["--allow-root", "--no-browser"]


def test_arguments_for_jupyter_come_last_and_nothing_comes_twice():
    extra = ["--port", "9000", "--no-browser", "--allow-root"]
    assert cli.lab_command(Path("x"), as_root=True, browser=False, extra=extra)[5:] == extra


@pytest.mark.parametrize(
    ("environ", "system", "container", "reason"),
    [
        ({"DISPLAY": ":0"}, "linux", False, ""),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", False, ""),
        ({}, "linux", False, "there is no display"),
        ({"DISPLAY": ""}, "linux", False, "there is no display"),
        ({"DISPLAY": ":0"}, "linux", True, "this is a container"),
        ({"DISPLAY": ":10", "SSH_CONNECTION": "x"}, "linux", False, "this is an SSH session"),
        ({}, "darwin", False, ""),
        ({"SSH_TTY": "/dev/ttys0"}, "darwin", False, "this is an SSH session"),
        ({}, "win32", False, ""),
    ],
)
def test_when_a_browser_would_be_seen_by_nobody(environ, system, container, reason):
    assert cli.why_no_browser(environ, system, container) == reason


@pytest.mark.parametrize("mark", ["container", "KUBERNETES_SERVICE_HOST"])
def test_containers_are_known_by_their_marks(monkeypatch, mark):
    monkeypatch.setenv(mark, "x")
    assert cli.in_container()


@pytest.mark.parametrize(
    ("argv", "reason", "options", "words"),
    [
        ([], "", [], "Opening"),
        (["--no-browser"], "", ["--no-browser"], "No browser is opened."),
        (["--", "--no-browser"], "", ["--no-browser"], "No browser is opened."),
        (["--", "--port", "9000"], "", ["--port", "9000"], "Opening"),
        ([], "there is no display", ["--no-browser"], "(there is no display)"),
        ([], "this is an SSH session", ["--no-browser"], "ssh -L"),
        ([], "this is a container", ["--no-browser"], "--ip=0.0.0.0"),
    ],
)
def test_lab_says_one_line_and_becomes_jupyter(
    course, monkeypatch, capsys, argv, reason, options, words
):
    started = []
    monkeypatch.setattr(cli, "become", lambda command, environ: started.append(command) or 0)
    monkeypatch.setattr(cli, "without_news", dict)
    monkeypatch.setattr(cli.os, "geteuid", lambda: 1000, raising=False)
    monkeypatch.setattr(cli, "why_no_browser", lambda *arguments: reason)
    assert cli.main(["lab", *argv]) == 0
    (command,) = started
    assert command[3] == f"--ServerApp.root_dir={course}"
    assert command[5:] == options
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    assert words in out


# cnncourse reproduce


def test_reproduce_hands_its_arguments_on_and_prints_the_table(monkeypatch, capsys):
    from cnncourse import reproduce

    asked = []
    monkeypatch.setattr(
        reproduce,
        "reproduce",
        lambda *arguments, **options: asked.append((arguments, options)) or [],
    )
    assert cli.main(["reproduce"]) == 0
    command = "reproduce mnist-tf mnist-core --source official --quick --out there"
    assert cli.main([*command.split(), "--seed", "3", "--seeds", "2", "--again"]) == 0
    options = {"source": "auto", "quick": False, "out": "reproduce", "seeds": range(1)}
    assert asked[0] == (([],), options | {"again": False})
    options = {"source": "official", "quick": True, "out": "there", "seeds": range(3, 5)}
    assert asked[1] == ((["mnist-tf", "mnist-core"],), options | {"again": True})
    out = capsys.readouterr().out
    assert "network  published  measured" in out
    assert f"{Path('there', 'quick')}.csv" in out


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["lenet"], "network is 'lenet'; the networks are mnist-tf, mnist-keras"),
        (["--seeds", "0"], "seeds is 0; give the number of runs"),
        (["--seed", "-1"], "seed is -1; give a whole number from 0 on"),
    ],
)
def test_reproduce_answers_nonsense_before_tensorflow_is_loaded(argv, words):
    code = (
        "import sys; from cnncourse import cli\n"
        "status = cli.main(['reproduce', *sys.argv[1:]])\n"
        "print(status, 'tensorflow' in sys.modules)"
    )
    child = subprocess.run(
        [sys.executable, "-c", code, *argv], capture_output=True, text=True, timeout=60
    )
    assert child.stdout == "1 False\n"
    assert words in child.stderr


# cnncourse lab: no question about news


def test_a_cache_that_cannot_be_written_to_leaves_the_environment_as_it_is(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda name: str(tmp_path / "file"))
    assert cli.without_news({"A": "b"}) == {"A": "b"}


def test_a_folder_of_settings_that_is_set_is_kept(monkeypatch, tmp_path):
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda name: str(tmp_path))
    path = cli.without_news({"JUPYTER_CONFIG_PATH": "mine"})["JUPYTER_CONFIG_PATH"]
    assert path.split(os.pathsep) == [str(tmp_path / "jupyter"), "mine"]


# cnncourse lab: for real


def free_port():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def get(url, token):
    """What a server answers, None while it does not."""
    request = urllib.request.Request(url, headers={"Authorization": f"token {token}"})
    # A proxy of this machine's environment must not come in between.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=5) as answer:
            text = answer.read().decode()
            return json.loads(text) if "json" in answer.headers["Content-Type"] else text
    except OSError:
        return None


@pytest.mark.skipif(importlib.util.find_spec("jupyterlab") is None, reason="needs JupyterLab")
@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C cannot be sent to one process on Windows")
def test_lab_starts_serves_the_lessons_and_stops_on_ctrl_c(course, tmp_path_factory):
    port, token = free_port(), "a-token-for-this-test"
    config = tmp_path_factory.mktemp("jupyter")
    names = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "XDG_CACHE_HOME")
    environ = {**os.environ, **{name: str(config) for name in names}}
    command = [sys.executable, "-m", "cnncourse.cli", "lab", "--no-browser", "--"]
    command += [f"--port={port}", "--ServerApp.port_retries=0"]
    command += [f"--IdentityProvider.token={token}"]
    log = config / "log"
    deadline = time.monotonic() + 120  # seconds are enough, but not on a machine at work
    with log.open("w") as output:
        process = subprocess.Popen(
            command,
            cwd=course,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            # A shell lets what it starts with "&" ignore Ctrl-C, and children inherit that.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
    try:
        address = f"http://127.0.0.1:{port}/api"
        while (status := get(f"{address}/status", token)) is None:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        assert status["kernels"] == 0
        lessons = get(f"{address}/contents/lessons", token)
        assert [entry["name"] for entry in lessons["content"]] == ["00_start_here.ipynb"]
        assert get(f"{address}/status", "another token") is None
        page = get(f"http://127.0.0.1:{port}/lab", token)
        disabled = re.search(r'"disabledExtensions": \[(.*?)\]', page).group(1)
        assert disabled == '"@jupyterlab/apputils-extension:announcements"'
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=max(5, deadline - time.monotonic())) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()
    text = log.read_text()
    assert text.startswith("No browser is opened")
    assert f"127.0.0.1:{port}/lab/tree/lessons" in text
    assert "Traceback" not in text


# cnncourse train; tests/test_workers.py runs it in many processes


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["lenet"], "network is 'lenet'; the networks are mnist-tf, mnist-keras"),
        (["mnist-tf", "--steps", "1", "--epochs", "1"], "steps and epochs are both given"),
    ],
)
def test_train_answers_nonsense_before_tensorflow_is_loaded(argv, words):
    code = (
        "import sys; from cnncourse import cli\n"
        "status = cli.main(['train', *sys.argv[1:]])\n"
        "print(status, 'tensorflow' in sys.modules)"
    )
    child = subprocess.run(
        [sys.executable, "-c", code, *argv], capture_output=True, text=True, timeout=60
    )
    assert child.stdout == "1 False\n"
    assert words in child.stderr


def train_asked(monkeypatch, *argv, diverges=False):
    """What the command asks the training loop for; nothing is trained."""
    from fake_mnist import make_arrays

    from cnncourse import training

    arrays = make_arrays(n_train=60_000, n_test=5)
    images = {name: array[..., None] if name[0] == "x" else array for name, array in arrays.items()}
    names = tuple("0123456789")
    found = data.ImageDataset(**images, class_names=names, name="mnist", source="offline")
    monkeypatch.setattr(data, "load_mnist", lambda source: found)
    monkeypatch.delenv("TF_CONFIG", raising=False)
    asked = {}

    def train(model, images, **options):
        asked.update(options, model=model, images=images)
        if diverges:
            raise training.TrainingDiverged("the loss became nan by step 3")
        return training.History({7: 1.0}, {7: 0.5}, 2.0)

    monkeypatch.setattr(training, "train", train)
    assert cli.main(["train", *argv]) == diverges
    return asked


def test_train_follows_the_recipe(monkeypatch, capsys):
    import keras

    asked = train_asked(monkeypatch, "mnist-tf", "--build", "eager", "--checkpoints", "there")
    assert (asked["steps"], asked["epochs"], asked["batch_size"]) == (1_000, None, 64)
    assert (asked["loss_reduction"], asked["seed"], asked["checkpoints"]) == ("sum", 0, "there")
    assert asked["images"].x_train.shape == (55_000, 28, 28, 1)
    assert asked["images"].x_train.dtype == "float32"
    assert type(asked["optimizer"]) is keras.optimizers.Adam
    assert float(asked["optimizer"].learning_rate) == pytest.approx(1e-3)
    assert type(asked["model"]).__module__ == "cnncourse.builders.in_tensorflow"
    said = "mnist-tf, offline data, one process: 7 steps, test accuracy ≈ 0.5000, 2.0 s of training"
    assert capsys.readouterr().out == f"{said}\n"


def test_train_may_be_shorter_than_the_recipe(monkeypatch):
    asked = train_asked(monkeypatch, "mnist-core", "--epochs", "2", "--seed", "3")
    assert (asked["steps"], asked["epochs"], asked["seed"]) == (None, 2, 3)
    assert asked["checkpoints"] is None
    asked = train_asked(monkeypatch, "mnist-core", "--steps", "9")
    assert (asked["steps"], asked["epochs"]) == (9, None)


def test_train_says_in_one_line_that_the_loss_is_lost(monkeypatch, capsys):
    train_asked(monkeypatch, "mnist-tf", diverges=True)
    assert capsys.readouterr().err == "cnncourse: the loss became nan by step 3\n"


def test_train_with_half_an_address_is_refused(monkeypatch, capsys):
    assert cli.main(["train", "mnist-tf", "--workers", "a:1,b:2"]) == 1
    assert "workers is 'a:1,b:2' and index is None; give both" in capsys.readouterr().err
    monkeypatch.setenv("TF_CONFIG", "nonsense")
    assert cli.main(["train", "mnist-tf"]) == 1
    assert "TF_CONFIG is 'nonsense', which does not say which worker" in capsys.readouterr().err
