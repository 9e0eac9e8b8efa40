"""Grading on a Dask cluster: a real scheduler, two workers, one of them killed."""

import csv
import signal
import subprocess
import sys
import time

import distributed
import nbformat
import psutil
import pytest
import small_assignment as small

from cnncourse import classroom, cli

HAND_INS = 8


def start(module, *arguments):
    command = [sys.executable, "-m", "distributed.cli." + module, *arguments]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def end(process):
    if process.poll() is None:
        process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """The address of a scheduler, and its two workers' processes."""
    folder = tmp_path_factory.mktemp("cluster")
    file = folder / "scheduler.json"
    quiet = ("--no-dashboard", "--host", "127.0.0.1")
    processes = [start("dask_scheduler", *quiet, "--port", "0", "--scheduler-file", str(file))]
    deadline = time.monotonic() + 120
    while not file.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    for name in ("first", "second"):
        own = ("--nthreads", "1", "--no-nanny", "--name", name, "--memory-limit", "0")
        place = ("--scheduler-file", str(file), "--local-directory", str(folder / name))
        processes.append(start("dask_worker", *own, *place, "--no-dashboard"))
    with distributed.Client(scheduler_file=str(file), timeout=120) as client:
        client.wait_for_workers(2, timeout=120)
        address = client.scheduler.address
    yield address, processes[1:]
    for process in processes:
        end(process)


def test_no_hand_in_is_lost_or_counted_twice_when_a_worker_is_killed(cluster, tmp_path):
    address, workers = cluster
    solution = small.course(tmp_path)
    hand_ins, out, log = tmp_path / "in", tmp_path / "out", tmp_path / "log"
    hand_ins.mkdir()
    for number in range(HAND_INS):
        notebook = small.hand_in()
        notebook.cells[0].source = f"# {number}"
        if number % 2:
            small.by_name(notebook)["shift"].source = "def shift(values):\n    return values"
        nbformat.write(notebook, hand_ins / f"student{number}.ipynb")
    command = [sys.executable, "-m", "cnncourse.cli", "grade", str(solution), str(hand_ins)]
    command += ["--out", str(out), "--scheduler", address]
    with log.open("w") as file:
        run = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
        kept = out / ".cnncourse" / "results"
        deadline = time.monotonic() + 180
        while not list(kept.glob("*.gz")) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert len(list(kept.glob("*.gz"))) < HAND_INS, "over before a worker could be killed"
        below = psutil.Process(workers[0].pid).children(recursive=True)
        assert below, "the worker grades nothing"
        end(workers[0])
        assert run.wait(timeout=240) == 0, log.read_text()
    with (out / "grades.csv").open(newline="", encoding="utf-8") as file:
        rows = [(row["student"], row["total"], row["status"]) for row in csv.DictReader(file)]
    assert rows == [
        (f"student{number}", "5" if number % 2 else "9", "graded") for number in range(HAND_INS)
    ]
    assert len(list(kept.glob("*.gz"))) == HAND_INS
    psutil.wait_procs(below, timeout=20)
    assert [process for process in below if process.is_running()] == []


def test_a_scheduler_that_does_not_answer_is_named(tmp_path, monkeypatch, capsys):
    solution = small.course(tmp_path)
    (tmp_path / "in").mkdir()
    nbformat.write(small.hand_in(), tmp_path / "in" / "ada.ipynb")
    monkeypatch.setattr("cnncourse.classroom.running.CONNECT", 1)
    command = ["grade", str(solution), str(tmp_path / "in"), "--out", str(tmp_path / "out")]
    assert cli.main([*command, "--scheduler", "tcp://127.0.0.1:9"]) == 1
    assert "no Dask scheduler answers at 'tcp://127.0.0.1:9'" in capsys.readouterr().err


def test_without_dask_the_line_that_installs_it_is_given(monkeypatch):
    present = classroom.importlib.util.find_spec
    monkeypatch.setattr(
        classroom.importlib.util,
        "find_spec",
        lambda name: None if name == "distributed" else present(name),
    )
    with pytest.raises(ValueError, match=r"cnncourse\[cluster\]"):
        classroom.grade("ps00", ".", "out", scheduler="tcp://127.0.0.1:1")
