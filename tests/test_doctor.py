"""The doctor: every kind of finding, its layout, and that it survives a check that breaks."""

import json
import os
import re
import signal
import sys
from importlib import metadata
from pathlib import Path

import pytest

from cnncourse import doctor
from cnncourse.doctor import Finding

SOUND = {
    "tensorflow": "2.21.0",
    "keras": "3.15.1",
    "backend": "tensorflow",
    "gpus": [],
    "convolution": [37.0, 47.0, 67.0, 77.0],
}


def only(findings):
    """The one finding of a check; where it is not OK it must say what to do."""
    (finding,) = findings
    assert bool(finding.remedy) == (finding.status != "OK")
    return finding


@pytest.fixture
def quick(monkeypatch):
    """Spare the child process that imports TensorFlow."""
    monkeypatch.setattr(doctor, "run_probe", lambda: dict(SOUND))


@pytest.fixture
def installed(monkeypatch):
    """Pretend that the course states some requirements and that some versions are installed."""

    def pretend(requires, versions):
        def version(name):
            if name not in versions:
                raise metadata.PackageNotFoundError(name)
            return versions[name]

        monkeypatch.setattr(doctor.metadata, "requires", lambda name: requires)
        monkeypatch.setattr(doctor.metadata, "version", version)

    return pretend


# The whole


def test_examine_on_this_machine_and_its_report():
    findings = doctor.examine()
    text = doctor.report(findings)
    by_subject = {finding.subject: finding for finding in findings}
    assert by_subject["tensorflow"].status == "OK", text
    assert "37, 47, 67, 77" in by_subject["tensorflow"].detail
    assert by_subject["python"].status != "FAIL", text
    for finding in findings:
        assert bool(finding.remedy) == (finding.status != "OK"), finding
    assert max(map(len, text.splitlines())) <= 140  # long paths are not broken
    assert "\x1b" not in text
    home = str(Path.home())
    assert home == "/" or not re.search(re.escape(home) + r"(?![\w.-])", text)


def test_the_order_is_fixed_and_does_not_depend_on_which_check_was_ready_first(quick):
    subjects = [finding.subject for finding in doctor.examine()]
    anchors = ["course", "python", "tensorflow", "keras", "memory", "gpu", "processor", "threads"]
    anchors += ["cache folder", "this folder", "temp folder", "kernel", "jupyterlab", "widgets"]
    anchors += ["environment"]
    assert [subject for subject in subjects if subject in anchors] == anchors


@pytest.mark.parametrize("error", [RuntimeError("two\nlines"), SystemExit(3), KeyError("x")])
@pytest.mark.parametrize("name", ["python", "tensorflow", "threads", "data", "kernel"])
def test_a_check_that_breaks_becomes_a_fail_line_that_names_it(quick, monkeypatch, name, error):
    def breaks(*args):
        raise error

    monkeypatch.setattr(doctor, f"check_{name}", breaks)
    broken = [f for f in doctor.examine() if f.subject == name]
    finding = only(broken)
    assert finding.status == "FAIL"
    assert type(error).__name__ in finding.detail
    assert "\n" not in finding.detail


def test_a_probe_that_breaks_costs_only_the_checks_that_need_it(monkeypatch):
    def breaks():
        raise OSError("no process can be started")

    monkeypatch.setattr(doctor, "run_probe", breaks)
    findings = {f.subject: f for f in doctor.examine()}
    assert {findings[name].status for name in ("tensorflow", "keras", "gpu")} == {"FAIL"}
    assert findings["kernel"].status in ("OK", "FAIL")


def test_exit_status_counts_fails_only():
    ok, warn = Finding("OK", "a", "b"), Finding("WARN", "a", "b", "c")
    assert doctor.exit_status([ok, warn]) == 0
    assert doctor.exit_status([ok, warn, Finding("FAIL", "a", "b", "c")]) == 1


def test_report_is_aligned_plain_text():
    text = doctor.report(
        [
            Finding("OK", "first", "all is well"),
            Finding("WARN", "second one", "word " * 30, "do this"),
            Finding("FAIL", "x", "wrong", "do that"),
        ]
    )
    assert text.splitlines() == [
        "[OK]   first       all is well",
        "[WARN] second one  " + "word " * 14 + "word",
        " " * 19 + "word " * 14 + "word",
        "                   -> do this",
        "[FAIL] x           wrong",
        "                   -> do that",
        "",
        "Not ready: 1 failed and 1 warning. Do what the arrows say, then run this again.",
    ]
    assert doctor.report([Finding("OK", "first", "well")]).endswith("\n\nReady.")


@pytest.mark.skipif(os.name == "nt", reason="these are paths of Linux and macOS")
@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("/home/alice/course and /home/alice", "~/course and ~"),
        ("/home/alice2/course", "/home/alice2/course"),
        ("/scratch/alice/data, /scratch/alice", "/scratch/<user>/data, /scratch/<user>"),
        ("malice /x/alice.npz", "malice /x/alice.npz"),
    ],
)
def test_home_and_user_name_are_hidden(text, hidden):
    assert doctor.hide_home(text, Path("/home/alice")) == hidden


def test_a_home_that_is_the_root_folder_hides_nothing():
    assert doctor.hide_home("/tmp/x", Path("/")) == "/tmp/x"


def test_findings_of_a_check_come_without_the_home_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    told = Finding("WARN", "x", f"{tmp_path / 'a'} is bad", f"remove {tmp_path / 'a'}")
    (finding,) = doctor.run_check("x", lambda: [told])
    assert finding.detail == f"~{os.sep}a is bad"
    assert finding.remedy == f"remove ~{os.sep}a"


# Python and packages


@pytest.mark.parametrize(
    ("version", "specifier", "place"),
    [
        ("2.21.0", ">=2.20,<2.22", "in"),
        ("2.20", ">=2.20,<2.22", "in"),
        ("2.19.1", ">=2.20,<2.22", "below"),
        ("2.22.0", ">=2.20,<2.22", "above"),
        ("2.22.0rc1", ">=2.20,<2.22", "above"),
        ("2.21.0rc0", ">=2.20,<2.22", "in"),
        ("3.0.16", "~=3.0.17", "below"),
        ("3.1.0", "~=3.0.17", "above"),
        ("1.4", "==1.5.*", "below"),
        ("6.30.0", ">=6.5,!=6.30.0", "excluded"),
        ("0.1", "", "in"),
    ],
)
def test_place_in_range(version, specifier, place):
    assert doctor.place_in_range(version, specifier) == place


def test_packages_that_fit_share_a_line_and_each_other_one_has_its_own(installed):
    installed(
        [
            "fits>=1,<2",
            "old>=2,<3",
            "new>=1,<2",
            "gone>=1",
            'elsewhere>=1; sys_platform == "a system that is not"',
            'tool>=1; extra == "dev"',
        ],
        {"fits": "1.5", "old": "1.9", "new": "2.0"},
    )
    summary, *problems = doctor.check_packages()
    assert (summary.status, summary.detail) == ("OK", "1 of 4 in their tested range: fits 1.5")
    assert [(f.subject, f.status) for f in problems] == [
        ("old", "FAIL"),
        ("new", "WARN"),
        ("gone", "FAIL"),
    ]
    assert [f.detail for f in problems] == [
        "1.9 is too old (tested: >=2 and <3)",
        "2.0 is newer than tested (tested: >=1 and <2)",
        "missing (tested: >=1)",
    ]
    assert all("-m pip install" in f.remedy for f in problems)


def test_tensorflow_for_processors_only_counts_as_tensorflow(installed):
    installed(["tensorflow>=2.20,<2.22"], {"tensorflow-cpu": "2.21.0"})
    assert only(doctor.check_packages()).detail.endswith("tensorflow 2.21.0")


def test_a_course_that_is_not_installed(monkeypatch):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    for name in ("version", "requires", "metadata"):
        monkeypatch.setattr(doctor.metadata, name, missing)
    finding = only(doctor.check_course())
    assert finding.status == "FAIL"
    assert "pip install -e ." in finding.remedy
    assert doctor.check_packages() == []
    assert only(doctor.check_python()).status == "OK"


@pytest.mark.parametrize(
    ("tested", "status"),
    [(">=3.10,<4", "OK"), (">=3.90", "FAIL"), (">=3.1,<3.5", "WARN")],
)
def test_python_against_the_declared_range(monkeypatch, tested, status):
    monkeypatch.setattr(doctor, "tested_pythons", lambda: tested)
    assert only(doctor.check_python()).status == status


# TensorFlow and Keras


def test_a_sound_probe():
    assert only(doctor.check_tensorflow(SOUND)).status == "OK"
    assert only(doctor.check_keras(SOUND, {})).status == "OK"


def test_a_wrong_answer_of_tensorflow_fails():
    finding = only(doctor.check_tensorflow({**SOUND, "convolution": [1.0, 2.0, 3.0, 4.0]}))
    assert finding.status == "FAIL"
    assert "1, 2, 3, 4 where 37, 47, 67, 77" in finding.detail


def make_fake_tensorflow(folder, text, monkeypatch):
    (folder / "tensorflow.py").write_text(text, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(folder))


def test_a_tensorflow_that_does_not_import(tmp_path, monkeypatch):
    make_fake_tensorflow(tmp_path, "raise ImportError('libfoo.so is missing')", monkeypatch)
    probe = doctor.run_probe()
    finding = only(doctor.check_tensorflow(probe))
    assert finding.status == "FAIL"
    assert "libfoo.so is missing" in finding.detail
    assert only(doctor.check_keras(probe, {})).status == "FAIL"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no signals that stop a process so")
def test_a_tensorflow_that_stops_python(tmp_path, monkeypatch):
    text = f"import os; os.kill(os.getpid(), {int(signal.SIGILL)})"
    make_fake_tensorflow(tmp_path, text, monkeypatch)
    finding = only(doctor.check_tensorflow(doctor.run_probe()))
    assert finding.status == "FAIL"
    assert f"signal {int(signal.SIGILL)}" in finding.detail
    assert "AVX" in finding.remedy


def test_a_tensorflow_that_hangs(tmp_path, monkeypatch):
    make_fake_tensorflow(tmp_path, "import time; time.sleep(60)", monkeypatch)
    finding = only(doctor.check_tensorflow(doctor.run_probe(seconds=1)))
    assert finding.status == "FAIL"
    assert "1 second" in finding.detail


@pytest.mark.parametrize(
    ("environ", "probe", "status", "word"),
    [
        ({"TF_USE_LEGACY_KERAS": "1"}, SOUND, "WARN", "unset TF_USE_LEGACY_KERAS"),
        ({"TF_USE_LEGACY_KERAS": "0"}, SOUND, "OK", ""),
        ({"KERAS_BACKEND": "torch"}, SOUND, "WARN", "unset KERAS_BACKEND"),
        ({"KERAS_BACKEND": "tensorflow"}, SOUND, "OK", ""),
        ({}, {**SOUND, "backend": "jax"}, "WARN", "keras.json"),
        ({}, {**SOUND, "keras_error": "ImportError: x"}, "FAIL", "install"),
    ],
)
def test_keras(environ, probe, status, word):
    finding = only(doctor.check_keras(probe, environ))
    assert finding.status == status
    assert word in finding.remedy


# The machine


@pytest.mark.parametrize(
    ("total", "available", "limit", "status", "word"),
    [
        (8, 5, None, "OK", "8.0 GiB, 5.0 GiB available"),
        (8, 1, None, "WARN", "1.0 GiB available"),
        (64, 50, 1, "WARN", "may use 1.0 GiB"),
        (64, 50, 8, "OK", "may use 8.0 GiB"),
        (64, 50, 2**33, "OK", "64.0 GiB, 50.0 GiB available"),  # how version 1 says "no limit"
    ],
)
def test_memory(total, available, limit, status, word):
    limit = limit and limit * doctor.GIB
    finding = only([doctor.memory_finding(total * doctor.GIB, available * doctor.GIB, limit)])
    assert finding.status == status
    assert word in finding.detail


T4 = ["Tesla T4: 15.0 GiB, 14.6 GiB free"]


@pytest.mark.parametrize(
    ("probe", "environ", "cards", "status", "word"),
    [
        (SOUND, {}, [], "OK", "needs none"),
        ({**SOUND, "gpus": ["Tesla T4"]}, {}, T4, "OK", "uses Tesla T4 (Tesla T4: 15.0 GiB"),
        ({**SOUND, "gpus": ["METAL"]}, {}, [], "OK", "uses METAL"),
        (SOUND, {}, T4, "WARN", "does not use"),
        (SOUND, {"CUDA_VISIBLE_DEVICES": ""}, T4, "WARN", "does not use"),
        ({"error": "x"}, {}, T4, "WARN", "does not use"),
    ],
)
def test_gpu(probe, environ, cards, status, word):
    finding = only(doctor.check_gpu(probe, environ, lambda: cards))
    assert finding.status == status
    assert word in finding.detail
    if environ:
        assert "unset CUDA_VISIBLE_DEVICES" in finding.remedy


def test_what_the_nvidia_driver_says():
    said = "Tesla T4, 15360, 14950\nNVIDIA GB10, [N/A], [N/A]\n"
    assert doctor.parse_cards(said) == [*T4, "NVIDIA GB10: memory unknown"]


@pytest.mark.parametrize(
    ("features", "status", "words"),
    [
        ("sse2", "WARN", "no AVX"),
        ("avx", "OK", "slow"),
        ("avx avx2", "OK", "8 numbers at a time (AVX2); no bfloat16"),
        ("avx avx2 avx512f", "OK", "16 numbers at a time (AVX-512); no bfloat16"),
        ("avx avx2 avx512f avx512_bf16", "OK", "bfloat16 can be fast here (AVX512_BF16)"),
        ("avx avx2 avx512f avx512_bf16 amx_bf16", "OK", "fast here (AMX_BF16)"),
        ("asimd bf16", "OK", "(NEON); bfloat16 can be fast here"),
        (None, "OK", "unknown"),
    ],
)
def test_processor(features, status, words):
    known = None if features is None else frozenset(features.split())
    finding = only([doctor.processor_finding("A chip", known)])
    assert finding.status == status
    assert words in finding.detail


@pytest.mark.parametrize(
    ("text", "model", "flags"),
    [
        ("processor: 0\nmodel name\t: X 1\nflags\t\t: avx AVX2\n", "X 1", {"avx", "avx2"}),
        ("processor: 0\nFeatures\t: fp asimd\n", "fallback", {"asimd", "fp"}),
        ("", "fallback", None),
    ],
)
def test_cpuinfo(text, model, flags):
    expected = None if flags is None else frozenset(flags)
    assert doctor.parse_cpuinfo(text, "fallback") == (model, expected)


@pytest.mark.parametrize(
    ("total", "allowed", "limit", "environ", "status", "detail"),
    [
        (8, 8, None, {}, "OK", "8 of 8 cores"),
        (8, 2, None, {}, "OK", "2 of 8 cores (limited for this process)"),
        (8, 8, 2.5, {}, "OK", "2.5 of 8 cores (a container's or service's limit)"),
        (8, 8, 16.0, {}, "OK", "8 of 8 cores"),
        (1, 1, None, {}, "WARN", "1 of 1 core"),
        (8, 8, 0.5, {}, "WARN", "0.5 of 8 cores (a container's or service's limit)"),
        (
            4,
            4,
            None,
            {"OMP_NUM_THREADS": "1"},
            "WARN",
            "4 of 4 cores; OMP_NUM_THREADS=1 limits NumPy and SciPy",
        ),
        (
            4,
            4,
            None,
            {"TF_NUM_INTRAOP_THREADS": "2"},
            "WARN",
            "4 of 4 cores; TF_NUM_INTRAOP_THREADS=2 limits TensorFlow",
        ),
        (4, 4, None, {"OMP_NUM_THREADS": "4"}, "OK", "4 of 4 cores; OMP_NUM_THREADS=4"),
        (4, 4, None, {"OMP_NUM_THREADS": "4,2"}, "OK", "4 of 4 cores; OMP_NUM_THREADS=4,2"),
    ],
)
def test_threads(total, allowed, limit, environ, status, detail):
    finding = only([doctor.threads_finding(total, allowed, limit, environ)])
    assert (finding.status, finding.detail) == (status, detail)


@pytest.fixture
def control_groups(monkeypatch, tmp_path):
    """A made-up tree of control groups: ``(groups, {file: content})``."""

    def make(groups, files):
        (tmp_path / "own").write_text(groups)
        for name, content in files.items():
            file = tmp_path / "tree" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)
        monkeypatch.setattr(doctor, "OWN_GROUPS", tmp_path / "own")
        monkeypatch.setattr(doctor, "CONTROL_GROUPS", tmp_path / "tree")

    return make


@pytest.mark.parametrize(
    ("groups", "files", "cores", "memory"),
    [
        ("0::/\n", {"cpu.max": "150000 100000\n", "memory.max": "1024\n"}, 1.5, 1024),
        ("0::/\n", {"cpu.max": "max 100000\n", "memory.max": "max\n"}, None, None),
        # The limit of a group around counts as well, and the smallest is what is left.
        (
            "0::/user/me\n",
            {"user/cpu.max": "200000 100000", "user/me/cpu.max": "400000 100000"},
            2.0,
            None,
        ),
        (
            "4:cpu,cpuacct:/box\n5:memory:/box\n",
            {
                "cpu/cpu.cfs_quota_us": "50000",
                "cpu/cpu.cfs_period_us": "100000",
                "memory/box/memory.limit_in_bytes": "2048",
            },
            0.5,
            2048,
        ),
        (
            "4:cpu:/\n",
            {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"},
            None,
            None,
        ),
        ("", {}, None, None),
    ],
)
def test_limits_of_control_groups(control_groups, groups, files, cores, memory):
    control_groups(groups, files)
    assert doctor.control_group_cores() == cores
    assert doctor.control_group_memory() == memory


def test_a_system_without_control_groups(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor, "OWN_GROUPS", tmp_path / "missing")
    assert doctor.control_group_cores() is None


# Data and folders


@pytest.mark.parametrize(
    ("official", "offline", "environ", "status", "words"),
    [
        ("a.npz", "b.npz", {}, "OK", "official files: a.npz"),
        (None, "b.npz", {}, "OK", "offline stand-in: b.npz"),
        (None, None, {}, "WARN", "nothing on this machine yet"),
        (None, "b.npz", {"CNNCOURSE_SOURCE": "official"}, "WARN", "no official files"),
        ("a.npz", None, {"CNNCOURSE_SOURCE": "official"}, "OK", "official files"),
    ],
)
def test_data(official, offline, environ, status, words):
    found = {"official": official and Path(official), "offline": offline and Path(offline)}
    finding = only([doctor.data_finding("mnist", lambda name: found, environ)])
    assert finding.status == status
    assert words in finding.detail


def test_no_data_in_an_empty_home(monkeypatch, tmp_path):
    for name in ("HOME", "USERPROFILE", "LOCALAPPDATA", "KERAS_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.delenv("CNNCOURSE_DATA", raising=False)
    monkeypatch.delenv("CNNCOURSE_SOURCE", raising=False)
    mnist = next(f for f in doctor.check_data() if f.subject == "data mnist")
    assert mnist.status == "WARN"
    assert "about 20 s" in mnist.remedy
    assert "CNNCOURSE_DATA" in mnist.remedy


def test_a_data_folder_that_does_not_exist(monkeypatch, tmp_path):
    monkeypatch.setenv("CNNCOURSE_DATA", str(tmp_path / "missing"))
    for finding in doctor.check_data():
        assert finding.status == "FAIL"
        assert "CNNCOURSE_DATA" in finding.remedy


def test_a_folder_that_can_be_written_to_is_left_as_it_was(tmp_path):
    folder = tmp_path / "not" / "made" / "yet"
    finding = only([doctor.folder_finding("cache folder", folder, "x", "WARN")])
    assert str(folder) in finding.detail
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("status", ["WARN", "FAIL"])
def test_a_folder_below_a_file_cannot_be_written_to(tmp_path, status):
    (tmp_path / "file").write_text("")
    finding = only([doctor.folder_finding("x", tmp_path / "file" / "folder", "move it", status)])
    assert finding.status == status
    assert "cannot be written to" in finding.detail


@pytest.mark.skipif(
    os.name == "nt" or (hasattr(os, "geteuid") and os.geteuid() == 0),
    reason="root writes to any folder, and Windows has other permissions",
)
def test_a_read_only_folder_cannot_be_written_to(tmp_path):
    tmp_path.chmod(0o500)
    finding = only([doctor.folder_finding("x", tmp_path, "move it", "FAIL")])
    tmp_path.chmod(0o700)
    assert "Permission denied" in finding.detail


def test_a_full_disk_warns(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor, "LEAST_DISK", 10**18)
    finding = only([doctor.folder_finding("x", tmp_path, "move it", "FAIL")])
    assert finding.status == "WARN"
    assert "make room" in finding.remedy


# Jupyter


@pytest.fixture
def kernelspec(monkeypatch, tmp_path):
    """Put a kernel ``python3`` before every other one."""

    def put(program):
        folder = tmp_path / "kernels" / "python3"
        folder.mkdir(parents=True)
        argv = [program, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        spec = {"argv": argv, "display_name": "Python 3", "language": "python"}
        (folder / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")
        monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
        return folder

    return put


def test_a_kernel_of_another_environment_fails(kernelspec, tmp_path):
    other = tmp_path / "bin" / "python"
    other.parent.mkdir()
    other.write_text("")
    other.chmod(0o755)
    folder = kernelspec(str(other))
    finding = only(doctor.check_kernel())
    assert finding.status == "FAIL"
    assert str(other) in finding.detail
    assert str(folder) in finding.remedy


@pytest.mark.parametrize("program", ["python", sys.executable])
def test_a_kernel_of_this_environment(kernelspec, program):
    kernelspec(program)
    assert only(doctor.check_kernel()).status == "OK"


def test_a_kernel_whose_program_is_gone(kernelspec, tmp_path):
    kernelspec(str(tmp_path / "gone" / "python"))
    assert only(doctor.check_kernel()).status == "FAIL"


@pytest.mark.skipif(os.name == "nt", reason="making links needs a right on Windows")
def test_two_environments_on_one_interpreter_are_two(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "python").symlink_to(sys.executable)
        (tmp_path / name / "python3").symlink_to(sys.executable)
    one = str(tmp_path / "one" / "python")
    assert doctor.same_interpreter(one, str(tmp_path / "one" / "python3"))
    assert not doctor.same_interpreter(one, str(tmp_path / "two" / "python"))
    assert not doctor.same_interpreter(one, str(tmp_path / "three" / "python"))


@pytest.mark.parametrize(
    ("version", "extension", "status", "words"),
    [
        ("8.1.9", "5.0.16", "OK", "fit"),
        ("8.1.9", "3.1.1", "FAIL", "needs extension 5.x, but 3.1.1"),
        ("8.1.9", None, "FAIL", "extension for it is missing"),
        (None, "5.0.16", "FAIL", "ipywidgets is missing"),
        ("99.0", "98.0", "OK", "fit"),  # what is not known is not judged
    ],
)
def test_widgets(version, extension, status, words):
    manager = extension and (extension, Path("somewhere"))
    finding = only([doctor.widgets_finding(version, manager)])
    assert finding.status == status
    assert words in finding.detail


def test_an_old_widget_extension_before_the_right_one(monkeypatch, tmp_path):
    pytest.importorskip("ipywidgets")
    file = tmp_path / "labextensions" / doctor.WIDGET_MANAGER
    file.parent.mkdir(parents=True)
    file.write_text('{"version": "3.1.1"}', encoding="utf-8")
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    finding = only(doctor.check_widgets())
    assert finding.status == "FAIL"
    assert str(file.parent) in finding.detail


def test_jupyterlab_that_does_not_import(monkeypatch):
    monkeypatch.setitem(sys.modules, "jupyterlab.labapp", None)
    assert only(doctor.check_jupyterlab()).status == "FAIL"


# Environment variables


def test_variables_that_matter_are_shown():
    environ = {
        "PYTHONPATH": "/a",
        "SECRET": "s3cret",
        "CUDA_VISIBLE_DEVICES": "",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "XLA_FLAGS": "-" * 100,
    }
    finding = only(doctor.check_environment(environ))
    assert finding.detail == f"XLA_FLAGS={'-' * 57}..., CUDA_VISIBLE_DEVICES='', PYTHONPATH=/a"
    assert only(doctor.check_environment({})).detail == "no variable that matters is set"


def test_a_source_that_does_not_exist_fails():
    finding = only(doctor.check_environment({"CNNCOURSE_SOURCE": "web"}))
    assert finding.status == "FAIL"
    assert "auto, official, offline" in finding.remedy
