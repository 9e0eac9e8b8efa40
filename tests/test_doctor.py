"""The doctor: every kind of finding, its layout, and that it survives a check that breaks."""

import json
import os
import signal
import sys
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from cnncourse import data, doctor
from cnncourse.doctor import Finding

SOUND = {
    "tensorflow": "2.21.0",
    "keras": "3.15.1",
    "backend": "tensorflow",
    "gpus": [],
    "convolution": "37, 47, 67, 77",
}
VARIABLES = ("CUDA_VISIBLE_DEVICES", "CNNCOURSE_DATA", "CNNCOURSE_SOURCE", *doctor.THREAD_VARIABLES)


@pytest.fixture(autouse=True)
def plain_machine(monkeypatch, tmp_path):
    """No variable and no container limit of the machine that tests."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(doctor, "CONTAINER_LIMITS", tmp_path)


@pytest.fixture
def quick(monkeypatch):
    """Spare the child process that imports TensorFlow; test_cli.py has one that does."""
    monkeypatch.setattr(doctor, "run_probe", lambda: dict(SOUND))


def only(findings):
    """The one finding of a check; where it is not OK it must say what to do."""
    (finding,) = findings
    assert bool(finding.remedy) == (finding.status != "OK")
    return finding


# The whole


def test_every_subject_in_a_fixed_order_with_a_remedy_where_it_is_not_ok(quick):
    findings = doctor.examine()
    known = ["course", "python", "packages", "tensorflow", "keras", "memory", "gpu", "processor"]
    known += ["threads", "data mnist", "data cifar10", "cache folder", "this folder", "temp folder"]
    known += ["kernel", "jupyterlab", "widgets", "environment"]
    assert [finding.subject for finding in findings if finding.subject in known] == known
    for finding in findings:
        assert bool(finding.remedy) == (finding.status != "OK"), finding


@pytest.mark.parametrize("error", [RuntimeError("two\nlines"), SystemExit(3)])
def test_a_check_that_breaks_becomes_a_fail_line_that_names_it(quick, monkeypatch, error):
    def breaks():
        raise error

    monkeypatch.setattr(doctor, "check_memory", breaks)
    findings = doctor.examine()
    finding = only(f for f in findings if f.subject == "memory")
    assert finding.status == "FAIL"
    assert f"{type(error).__name__}: {str(error)[:3]}" in finding.detail
    assert "\n" not in finding.detail
    assert findings[-1].subject == "environment"  # the others were made all the same


def test_a_package_that_is_not_there_costs_only_the_checks_that_need_it(quick, monkeypatch):
    for name in ("packaging.specifiers", "psutil", "jupyterlab.labapp"):
        monkeypatch.setitem(sys.modules, name, None)
    failed = [f.subject for f in doctor.examine() if f.status == "FAIL"]
    assert failed == ["python", "packages", "memory", "jupyterlab"]


def test_exit_status_counts_fails_only():
    ok, warn = Finding("OK", "a", "b"), Finding("WARN", "a", "b", "c")
    assert doctor.exit_status([ok, warn]) == 0
    assert doctor.exit_status([ok, warn, Finding("FAIL", "a", "b", "c")]) == 1


def test_report_is_aligned_plain_text():
    text = doctor.report(
        [
            Finding("OK", "first", "all is well"),
            Finding("WARN", "second one", "word " * 30, "do this"),
            Finding("FAIL", "x", "/a" * 60, "do that"),
        ]
    )
    assert text.splitlines() == [
        "[OK]   first       all is well",
        "[WARN] second one  " + "word " * 14 + "word",
        " " * 19 + "word " * 14 + "word",
        "                   -> do this",
        "[FAIL] x           " + "/a" * 60,
        "                   -> do that",
        "",
        "Not ready: do what the arrows say, then run this again.",
    ]
    assert doctor.report([Finding("OK", "first", "well")]).endswith("\n\nReady.")


@pytest.mark.skipif(os.name == "nt", reason="these are paths of Linux and macOS")
@pytest.mark.parametrize(
    ("home", "text", "hidden"),
    [
        ("/home/al", "/home/al/x, /home/al", "~/x, ~"),
        ("/home/al", "/home/alice", "/home/alice"),
        ("/", "/x/", "/x/"),
    ],
)
def test_the_home_folder_is_hidden_in_every_finding(monkeypatch, home, text, hidden):
    monkeypatch.setenv("HOME", home)
    finding = only(doctor.run_check("x", lambda: [Finding("WARN", "x", text, text)]))
    assert finding == Finding("WARN", "x", hidden, hidden)


# The course, Python and the packages


def test_a_course_that_is_not_installed(monkeypatch):
    monkeypatch.setattr(doctor, "COURSE", "a-course-that-is-not-installed")
    finding = only(doctor.run_check("course", doctor.check_course))
    assert finding.status == "FAIL"
    assert "pip install -e ." in finding.remedy


@pytest.mark.parametrize(
    ("tested", "status"), [("<4,>=3.10", "OK"), (">=3.90", "FAIL"), ("<3.5,>=3.1", "WARN")]
)
def test_python_against_the_declared_range(monkeypatch, tested, status):
    monkeypatch.setattr(doctor.metadata, "metadata", lambda name: {"Requires-Python": tested})
    assert only(doctor.check_python()).status == status


@pytest.mark.parametrize(
    ("version", "status", "detail"),
    [
        ("2.20", "OK", "2.20"),
        ("2.21.0rc0", "OK", "2.21.0rc0"),
        ("2.19.1", "FAIL", "2.19.1 is too old (tested: >=2.20,<2.22)"),
        ("2.22.0", "WARN", "2.22.0 is newer than tested (>=2.20,<2.22)"),
        ("2.22.0rc1", "WARN", "2.22.0rc1 is newer than tested (>=2.20,<2.22)"),
        (None, "FAIL", "missing (tested: >=2.20,<2.22)"),
    ],
)
def test_a_version_against_its_range(version, status, detail):
    finding = doctor.against_range("thing", version, "<2.22,>=2.20", "do this")
    assert (finding.status, finding.detail) == (status, detail)


def test_packages_that_fit_share_a_line_and_each_other_one_has_its_own(monkeypatch):
    stated = ["fits>=1,<2", "old>=2,<3", "gone>=1", 'tool>=1; extra == "dev"']
    versions = {"fits": "1.5", "old": "1.9"}

    def version(name):
        if name not in versions:
            raise metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(doctor.metadata, "requires", lambda name: stated)
    monkeypatch.setattr(doctor.metadata, "version", version)
    summary, *problems = doctor.check_packages()
    assert (summary.status, summary.detail) == ("OK", "1 of 3 in their tested range: fits 1.5")
    assert [(f.subject, f.status) for f in problems] == [("old", "FAIL"), ("gone", "FAIL")]
    assert problems[1].remedy.endswith('-m pip install "gone>=1"')


# TensorFlow, Keras and GPUs


def test_a_sound_probe():
    tensorflow, keras = doctor.check_tensorflow(SOUND)
    assert (tensorflow.subject, tensorflow.status) == ("tensorflow", "OK")
    assert (keras.subject, keras.status) == ("keras", "OK")


def test_a_wrong_answer_of_tensorflow_fails():
    finding, _ = doctor.check_tensorflow({**SOUND, "convolution": "1, 2, 3, 4"})
    assert finding.status == "FAIL"
    assert "1, 2, 3, 4 where 37, 47, 67, 77" in finding.detail


def test_keras_that_computes_with_something_else_warns():
    _, finding = doctor.check_tensorflow({**SOUND, "backend": "jax"})
    assert finding.status == "WARN"
    assert "keras.json" in finding.remedy


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("raise ImportError('libfoo.so is missing')", "libfoo.so is missing (exit status 1)"),
        ("import time; time.sleep(60)", "no answer within 1 seconds"),
        pytest.param(
            f"import os; os.kill(os.getpid(), {int(signal.SIGILL)})",
            f"it crashed (exit status {-signal.SIGILL})",
            marks=pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals"),
        ),
    ],
)
def test_a_tensorflow_that_fails(tmp_path, monkeypatch, module, words):
    for name in ("keras", "tensorflow"):
        (tmp_path / f"{name}.py").write_text(module, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    probe = doctor.run_probe(seconds=1 if "sleep" in module else 60)
    finding = only(doctor.check_tensorflow(probe))
    assert finding.status == "FAIL"
    assert words in finding.detail


T4 = "Tesla T4, 15360 MiB, 14950 MiB free"


@pytest.mark.parametrize(
    ("used", "cards", "status", "detail"),
    [
        ([], [], "OK", "none, and the course needs none"),
        (["Tesla T4"], [T4], "OK", f"TensorFlow uses Tesla T4 ({T4})"),
        (["METAL"], [], "OK", "TensorFlow uses METAL"),
        ([], [T4], "WARN", f"TensorFlow does not use the one that is here ({T4})"),
    ],
)
def test_gpu(monkeypatch, used, cards, status, detail):
    monkeypatch.setattr(doctor, "nvidia_cards", lambda: cards)
    finding = only(doctor.check_gpu({**SOUND, "gpus": used}))
    assert (finding.status, finding.detail) == (status, detail)


@pytest.mark.skipif(os.name == "nt", reason="the made-up program is a shell script")
def test_what_the_nvidia_driver_says(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert doctor.nvidia_cards() == []
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'Tesla T4, 15360 MiB, 14950 MiB'\n")
    program.chmod(0o755)
    assert doctor.nvidia_cards() == [T4]


# The machine


@pytest.mark.parametrize(
    ("available", "limit", "status", "detail"),
    [
        (5, None, "OK", "8.0 GiB, 5.0 GiB available"),
        (5, "max\n", "OK", "8.0 GiB, 5.0 GiB available"),
        (1, None, "WARN", "8.0 GiB, 1.0 GiB available"),
        (5, f"{2**30}\n", "WARN", "8.0 GiB, 5.0 GiB available; this container may use 1.0 GiB"),
    ],
)
def test_memory(monkeypatch, tmp_path, available, limit, status, detail):
    memory = SimpleNamespace(total=8 * doctor.GIB, available=available * doctor.GIB)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    if limit:
        (tmp_path / "memory.max").write_text(limit)
    finding = only(doctor.check_memory())
    assert (finding.status, finding.detail) == (status, detail)


@pytest.mark.parametrize(
    ("flags", "status", "words"),
    [
        ("sse2", "WARN", "no AVX"),
        ("avx", "OK", "slow"),
        ("avx avx2", "OK", "8 numbers at a time (AVX2); float32 is the fast choice"),
        ("avx avx2 avx512f avx512_bf16", "OK", "(AVX-512); bfloat16 can be fast here (AVX512_BF16"),
        ("asimd bf16", "OK", "(NEON); bfloat16 can be fast here (BF16)"),
        ("", "OK", "unknown"),
    ],
)
def test_processor(monkeypatch, flags, status, words):
    monkeypatch.setattr(doctor, "processor", lambda: ("A chip", set(flags.split())))
    finding = only(doctor.check_processor())
    assert finding.status == status
    assert words in finding.detail


@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux' /proc/cpuinfo")
def test_this_processor_has_a_name_and_features():
    model, flags = doctor.processor()
    assert model
    assert flags & set(doctor.VECTOR_UNITS)


@pytest.mark.parametrize(
    ("allowed", "limit", "environ", "status", "detail"),
    [
        (8, None, {}, "OK", "8 of 8 cores"),
        (2, "max 100000", {}, "OK", "2 of 8 cores"),
        (8, "250000 100000", {}, "OK", "2.5 of 8 cores"),
        (1, None, {}, "WARN", "1 of 8 cores"),
        (4, None, {"OMP_NUM_THREADS": "1"}, "WARN", "4 of 8 cores; OMP_NUM_THREADS=1"),
        (4, None, {"OMP_NUM_THREADS": "4"}, "OK", "4 of 8 cores; OMP_NUM_THREADS=4"),
    ],
)
def test_threads(monkeypatch, tmp_path, allowed, limit, environ, status, detail):
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(allowed)), raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    if limit:
        (tmp_path / "cpu.max").write_text(limit)
    finding = only(doctor.check_threads())
    assert (finding.status, finding.detail) == (status, detail)


# Data and folders


@pytest.mark.parametrize(
    ("official", "offline", "source", "status", "words"),
    [
        ("a.npz", "b.npz", "", "OK", "official files: a.npz"),
        ("a.npz", "b.npz", "offline", "OK", "offline stand-in: b.npz"),
        (None, "b.npz", "auto", "OK", "offline stand-in: b.npz"),
        (None, "b.npz", "official", "WARN", "no official files"),
        (None, None, "", "OK", "none yet"),
    ],
)
def test_data(monkeypatch, official, offline, source, status, words):
    monkeypatch.setenv("CNNCOURSE_SOURCE", source)
    monkeypatch.setattr(data, "collections", lambda: ["mnist"])
    monkeypatch.setattr(data, "where", lambda name: {"official": official, "offline": offline})
    finding = only(doctor.check_data())
    assert (finding.subject, finding.status) == ("data mnist", status)
    assert words in finding.detail


def test_data_of_both_sets(monkeypatch, tmp_path):
    """An archive of CIFAR-10 is found by its name, beside MNIST's file."""
    monkeypatch.setenv("CNNCOURSE_DATA", str(tmp_path))
    monkeypatch.delenv("CNNCOURSE_SOURCE", raising=False)
    (tmp_path / "mnist.npz").touch()
    (tmp_path / "cifar-10-python.tar.gz").touch()
    mnist, cifar10 = doctor.check_data()
    assert (mnist.subject, cifar10.subject) == ("data mnist", "data cifar10")
    assert mnist.detail == f"official files: {tmp_path / 'mnist.npz'}"
    assert cifar10.detail == f"official files: {tmp_path / 'cifar-10-python.tar.gz'}"


def test_a_data_folder_that_does_not_exist(monkeypatch, tmp_path):
    monkeypatch.setenv("CNNCOURSE_DATA", str(tmp_path / "missing"))
    finding = only(doctor.check_data())
    assert finding.status == "FAIL"
    assert "CNNCOURSE_DATA" in finding.detail


def test_a_folder_that_can_be_written_to_is_left_as_it_was(tmp_path):
    folder = tmp_path / "not" / "made" / "yet"
    finding = only([doctor.folder_finding("x", folder, "WARN", "move it")])
    assert finding.detail.startswith(f"{folder}, ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("status", ["WARN", "FAIL"])
def test_a_folder_below_a_file_cannot_be_written_to(tmp_path, status):
    (tmp_path / "file").write_text("")
    finding = only([doctor.folder_finding("x", tmp_path / "file" / "folder", status, "move it")])
    assert finding.status == status
    assert "cannot write" in finding.detail


def test_a_full_disk_warns(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor, "LEAST_DISK", 10**18)
    finding = only([doctor.folder_finding("x", tmp_path, "FAIL", "move it")])
    assert finding.status == "WARN"
    assert "make room" in finding.remedy


# Jupyter and the environment


@pytest.mark.parametrize(
    ("program", "status"),
    [("python", "OK"), (sys.executable, "OK"), ("/elsewhere/bin/python", "FAIL")],
)
def test_kernel(monkeypatch, tmp_path, program, status):
    folder = tmp_path / "kernels" / "python3"
    folder.mkdir(parents=True)
    spec = {"argv": [program, "-m", "ipykernel_launcher"], "display_name": "x", "language": "x"}
    (folder / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    finding = only(doctor.check_kernel())
    assert finding.status == status
    if status == "FAIL":
        assert str(Path(program)) in finding.detail
        assert str(folder) in finding.remedy


def test_widgets(monkeypatch, tmp_path):
    extension = tmp_path / "@jupyter-widgets" / "jupyterlab-manager"
    monkeypatch.setattr("jupyter_core.paths.jupyter_path", lambda *subfolders: [str(extension)])
    _, finding = doctor.check_jupyterlab()
    assert (finding.subject, finding.status) == ("widgets", "FAIL")
    extension.mkdir(parents=True)
    (extension / "package.json").write_text("{}")
    assert doctor.check_jupyterlab()[1].status == "OK"


def test_variables_that_matter_are_shown_and_no_other(monkeypatch):
    environ = {"PYTHONPATH": "/a", "TF_TOKEN_x": "s3cret", "CUDA_VISIBLE_DEVICES": ""}
    monkeypatch.setattr(os, "environ", environ)
    finding = only(doctor.check_environment())
    assert finding.detail == "CUDA_VISIBLE_DEVICES='', PYTHONPATH=/a"
    monkeypatch.setattr(os, "environ", {})
    assert only(doctor.check_environment()).detail == "no variable that matters is set"


def test_a_source_that_does_not_exist_fails(monkeypatch):
    monkeypatch.setenv("CNNCOURSE_SOURCE", "web")
    finding = only(doctor.check_environment())
    assert finding.status == "FAIL"
    assert "auto, official or offline" in finding.remedy
