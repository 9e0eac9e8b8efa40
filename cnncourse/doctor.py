"""What this machine has, and what to do where something is missing (lesson 00 reads it aloud).

``examine()`` runs every check in a fixed order; ``report()`` lays the findings out for a page, a
terminal or a bug report. A check never raises: whatever goes wrong inside it becomes a finding.
TensorFlow is tried in a process of its own, so that a crash there is a finding too, and so that
asking takes no GPU memory from the notebook that asks.

To add a check: write a function that returns findings, and name it in ``examine``.
"""

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

Status = Literal["OK", "WARN", "FAIL"]

COURSE = "cnncourse"
GIB = 2**30
LEAST_MEMORY = 2 * GIB  # the runtime takes 0.7 GiB before the first image is loaded
LEAST_DISK = GIB
PROBE_SECONDS = 90  # a first import from a cold or network disk can take a minute
PYTHON = f'"{sys.executable}"' if " " in sys.executable else sys.executable  # as a shell reads it

# Lines break at spaces only, as people copy paths and options.
wrap = partial(textwrap.wrap, width=96, break_long_words=False, break_on_hyphens=False)


@dataclass(frozen=True)
class Finding:
    """What one check found. ``remedy`` says what to do and is empty when all is well."""

    status: Status
    subject: str
    detail: str
    remedy: str = ""


# All checks, and how they are shown


def examine() -> list[Finding]:
    """Run every check, in a fixed order; takes as long as importing TensorFlow (lesson 00)."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        probe = pool.submit(run_probe)  # the slow part runs beside the checks that do without
        checks: dict[str, Callable[[], Iterable[Finding]]] = {
            "course": check_course,
            "python": check_python,
            "packages": check_packages,
            "tensorflow": lambda: check_tensorflow(probe.result()),
            "memory": check_memory,
            "gpu": lambda: check_gpu(probe.result()),
            "processor": check_processor,
            "threads": check_threads,
            "data": check_data,
            "folders": check_folders,
            "kernel": check_kernel,
            "jupyterlab": check_jupyterlab,
            "environment": check_environment,
        }
        waiting = ("tensorflow", "gpu")
        order = [name for name in checks if name not in waiting] + [*waiting]
        found = {name: run_check(name, checks[name]) for name in order}
    return [finding for name in checks for finding in found[name]]


def run_check(name: str, check: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """Run one check in isolation and hide the user's home folder in what it found."""
    try:
        findings = list(check())
    except (Exception, SystemExit) as error:  # a check that breaks is itself a finding
        detail = shorten(f"this check failed: {type(error).__name__}: {error}")
        remedy = f"in the course's folder: {PYTHON} -m pip install -e .; if it stays, report it"
        findings = [Finding("FAIL", name, detail, remedy)]
    return [replace(f, detail=hide_home(f.detail), remedy=hide_home(f.remedy)) for f in findings]


def exit_status(findings: Iterable[Finding]) -> int:
    """0 when the course can be run, 1 when something must be put right first."""
    return int(any(finding.status == "FAIL" for finding in findings))


def report(findings: Iterable[Finding]) -> str:
    """Lay findings out as aligned plain text, each remedy behind an arrow, a verdict at the end."""
    findings = list(findings)
    width = max((len(f.subject) for f in findings), default=0)
    lines = []
    for f in findings:
        label = f"[{f.status}]".ljust(7) + f.subject.ljust(width + 2)
        margin = " " * len(label)
        lines += wrap(f.detail, initial_indent=label, subsequent_indent=margin)
        lines += wrap(f.remedy, initial_indent=f"{margin}-> ", subsequent_indent=f"{margin}   ")
    failed = exit_status(findings)
    verdict = "Not ready: do what the arrows say, then run this again." if failed else "Ready."
    return "\n".join([*lines, "", verdict])


def shorten(text: str) -> str:
    """Put an error's text on one line that is short enough to read aloud."""
    return textwrap.shorten(text, 200, placeholder=" ...")


def hide_home(text: str) -> str:
    """Write the home folder as ``~``, so that a bug report does not name its author."""
    home = os.path.expanduser("~")
    if len(home) < 2:  # "/" is home in some containers, and says nothing
        return text
    return re.sub(re.escape(home) + r"(?![\w.-])", "~", text)


def gib(size: float) -> str:
    """Bytes in GiB, one decimal."""
    return f"{size / GIB:.1f} GiB"


# The course, Python and the packages. Ranges are stated once, in pyproject.toml.


def check_course() -> list[Finding]:
    """The course itself: which version."""
    return [Finding("OK", "course", f"{COURSE} {metadata.version(COURSE)}")]


def check_python() -> list[Finding]:
    """The interpreter against the range that the course declares."""
    version = ".".join(map(str, sys.version_info[:3]))
    tested = metadata.metadata(COURSE)["Requires-Python"]
    remedy = "make an environment with a Python in that range"
    finding = against_range("python", version, tested, remedy)
    system = f"{platform.system()} {platform.machine()}"
    return [replace(finding, detail=f"{finding.detail}, on {system}")]


def check_packages() -> list[Finding]:
    """Each package against its tested range: one line for all that fit, one for each other."""
    from packaging.requirements import Requirement

    stated = [Requirement(line) for line in metadata.requires(COURSE) or []]
    needed = [r for r in stated if r.marker is None or r.marker.evaluate({"extra": ""})]
    findings = []
    for r in needed:
        remedy = f'{PYTHON} -m pip install "{r.name}{r.specifier}"'
        findings.append(against_range(r.name, installed(r.name), str(r.specifier), remedy))
    problems = [f for f in findings if f.status != "OK"]
    fitting = [f"{f.subject} {f.detail}" for f in findings if f.status == "OK"]
    count = f"{len(fitting)} of {len(needed)}" if problems else "all"
    summary = f"{count} in their tested range: {', '.join(fitting)}"
    return [Finding("OK", "packages", summary), *problems]


def installed(name: str) -> str | None:
    """Version of an installed package, None when it is missing."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def against_range(subject: str, version: str | None, tested: str, remedy: str) -> Finding:
    """A version against its tested range, such as ``>=2.20,<2.22``: too old fails, newer warns."""
    from packaging.specifiers import SpecifierSet

    shown = ",".join(sorted(tested.split(","), reverse=True))  # the lower end first
    if version is None:
        return Finding("FAIL", subject, f"missing (tested: {shown})", remedy)
    broken = [part for part in SpecifierSet(tested) if not part.contains(version, prereleases=True)]
    if not broken:
        return Finding("OK", subject, version)
    if any(part.operator == ">=" for part in broken):
        return Finding("FAIL", subject, f"{version} is too old (tested: {shown})", remedy)
    return Finding("WARN", subject, f"{version} is newer than tested ({shown})", remedy)


# TensorFlow, Keras and GPUs, tried in a process of their own

BY_HAND = "37, 47, 67, 77"


def probe_tensorflow() -> dict[str, Any]:
    """Import TensorFlow and Keras, compute one convolution; runs in the child process.

    The image holds 1 to 9 row by row, the kernel 1 to 4. By hand, top left:
    1*1 + 2*2 + 4*3 + 5*4 = 37.
    """
    import keras
    import tensorflow as tf

    found: dict[str, Any] = {"tensorflow": tf.__version__, "gpus": []}
    for gpu in tf.config.list_physical_devices("GPU"):
        details = tf.config.experimental.get_device_details(gpu)
        found["gpus"].append(details.get("device_name", gpu.name))
        tf.config.experimental.set_memory_growth(gpu, True)  # or looking takes all its memory
    image = tf.reshape(tf.range(1.0, 10.0), [1, 3, 3, 1])
    kernel = tf.reshape(tf.range(1.0, 5.0), [2, 2, 1, 1])
    feature_map = tf.nn.conv2d(image, kernel, strides=1, padding="VALID")
    found["convolution"] = ", ".join(f"{value:g}" for value in tf.reshape(feature_map, [-1]))
    found |= {"keras": keras.__version__, "backend": keras.backend.backend()}
    return found


def run_probe(seconds: float = PROBE_SECONDS) -> dict[str, Any]:
    """Run ``probe_tensorflow`` in a child process; what went wrong is under ``"error"``."""
    code = "import json; from cnncourse import doctor; print(json.dumps(doctor.probe_tensorflow()))"
    command = [sys.executable, "-c", code]
    try:
        child = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=seconds
        )
    except subprocess.TimeoutExpired:
        return {"error": f"no answer within {seconds:.0f} seconds"}
    if child.returncode == 0:
        return json.loads(child.stdout.splitlines()[-1])
    message = (child.stderr.strip() or "it crashed").splitlines()[-1]
    return {"error": f"{shorten(message)} (exit status {child.returncode})"}


def check_tensorflow(probe: Mapping[str, Any]) -> list[Finding]:
    """TensorFlow computes what a person computes by hand, and Keras computes with TensorFlow."""
    if "error" in probe:
        detail = f"it or Keras does not work: {probe['error']}"
        remedy = f"unset KERAS_BACKEND; {PYTHON} -m pip install --force-reinstall tensorflow keras"
        return [Finding("FAIL", "tensorflow", detail, remedy)]
    computed = probe["convolution"]
    if computed == BY_HAND:
        detail = f"{probe['tensorflow']} imports; a convolution gives {computed}, as by hand"
        tensorflow = Finding("OK", "tensorflow", detail)
    else:
        detail = f"{probe['tensorflow']} computes {computed} where {BY_HAND} is right"
        remedy = "set TF_ENABLE_ONEDNN_OPTS=0 and run this again; report both answers"
        tensorflow = Finding("FAIL", "tensorflow", detail, remedy)
    if probe["backend"] == "tensorflow":
        return [tensorflow, Finding("OK", "keras", f"{probe['keras']}, computes with TensorFlow")]
    detail = f"{probe['keras']} computes with {probe['backend']}: the lessons need tensorflow"
    remedy = 'unset KERAS_BACKEND, or write "backend": "tensorflow" in ~/.keras/keras.json'
    return [tensorflow, Finding("WARN", "keras", detail, remedy)]


def check_gpu(probe: Mapping[str, Any]) -> list[Finding]:
    """GPUs that TensorFlow uses, and one that it leaves idle. The course needs none."""
    cards = "; ".join(nvidia_cards())
    if used := probe.get("gpus"):
        memory = f" ({cards})" if cards else ""
        return [Finding("OK", "gpu", f"TensorFlow uses {', '.join(used)}{memory}")]
    if not cards:
        return [Finding("OK", "gpu", "none, and the course needs none")]
    detail = f"TensorFlow does not use the one that is here ({cards})"
    remedy = (
        "the course runs without; to use it: unset CUDA_VISIBLE_DEVICES if it is set, "
        f'{PYTHON} -m pip install "tensorflow[and-cuda]" (on Windows inside WSL2)'
    )
    return [Finding("WARN", "gpu", detail, remedy)]


def nvidia_cards() -> list[str]:
    """Name and memory of each NVIDIA GPU, as its driver says; empty without a driver."""
    query = ["--query-gpu=name,memory.total,memory.free", "--format=csv,noheader"]
    try:
        child = subprocess.run(["nvidia-smi", *query], capture_output=True, text=True, timeout=15)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [f"{line} free" for line in child.stdout.splitlines()] if child.returncode == 0 else []


# The machine

# What a vector unit, by the name that Linux gives it, does at a time; the widest first.
VECTOR_UNITS = {
    "avx512f": "16 numbers at a time (AVX-512)",
    "avx2": "8 numbers at a time (AVX2)",
    "avx": "8 numbers at a time (AVX, not AVX2), so training is slow",
    "asimd": "4 numbers at a time (NEON)",
}
CONTAINER_LIMITS = Path("/sys/fs/cgroup")  # Linux control groups, version 2
THREAD_VARIABLES = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")


def container_limit(name: str) -> list[int]:
    """The numbers of a limit that a container or a notebook service sets; empty without one."""
    try:
        text = (CONTAINER_LIMITS / name).read_text()
    except OSError:
        return []
    return [] if text.startswith("max") else [int(number) for number in text.split()]


def check_memory() -> list[Finding]:
    """Main memory: all of it, what is free now, and a container's limit."""
    import psutil

    memory = psutil.virtual_memory()
    available = memory.available
    detail = f"{gib(memory.total)}, {gib(available)} available"
    for limit in container_limit("memory.max"):
        detail += f"; this container may use {gib(limit)}"
        available = min(available, limit)
    if available < LEAST_MEMORY:
        remedy = f"close programs and unused notebooks until {gib(LEAST_MEMORY)} are available"
        return [Finding("WARN", "memory", detail, remedy)]
    return [Finding("OK", "memory", detail)]


def check_processor() -> list[Finding]:
    """The processor's vector units, in words."""
    model, flags = processor()
    if not flags:
        return [Finding("OK", "processor", f"{model}; its features are unknown here")]
    vectors = next((words for unit, words in VECTOR_UNITS.items() if unit in flags), None)
    if vectors is None:
        detail = f"{model}; no AVX, which TensorFlow's ready-made packages need"
        remedy = "use another machine, or a notebook service"
        return [Finding("WARN", "processor", detail, remedy)]
    units = ", ".join(sorted(flag.upper() for flag in flags if flag.endswith("bf16")))
    fast = f"bfloat16 can be fast here ({units})" if units else "float32 is the fast choice"
    return [Finding("OK", "processor", f"{model}; {vectors}; {fast}")]


def processor() -> tuple[str, set[str]]:
    """Model name and features, as Linux names them; no features where the system hides them."""
    model = platform.processor() or platform.machine()
    if sys.platform == "linux":
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
        pairs = (line.partition(":") for line in lines)
        fields = {key.strip().lower(): value.strip() for key, _, value in pairs}
        flags = fields.get("flags") or fields.get("features", "")  # x86 or Arm
        return fields.get("model name", model), set(flags.split())
    if sys.platform == "darwin":  # Apple silicon: TensorFlow has no package for other Macs
        return "Apple silicon", {"asimd"}
    return model, set()


def check_threads() -> list[Finding]:
    """Processor cores that this process may use, and settings that leave some idle."""
    total = os.cpu_count() or 1
    cores: float = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else total
    if limit := container_limit("cpu.max"):  # so much processor time in each period of so much
        cores = min(cores, limit[0] / limit[1])
    settings = {n: int(os.environ[n]) for n in THREAD_VARIABLES if os.environ.get(n, "").isdigit()}
    shown = [f"{name}={value}" for name, value in settings.items()]
    detail = "; ".join([f"{cores:g} of {total} cores", *shown])
    if any(0 < value < int(cores) for value in settings.values()):
        remedy = f"unset {' and '.join(settings)} to use every core, then restart Jupyter"
        return [Finding("WARN", "threads", detail, remedy)]
    if cores < 2:
        remedy = "give this machine or container two cores, or take stated times twice"
        return [Finding("WARN", "threads", detail, remedy)]
    return [Finding("OK", "threads", detail)]


# Data and folders


def check_data() -> list[Finding]:
    """What a load of each data set would read. Only names are looked at: nothing is verified."""
    from cnncourse import data

    try:
        found = {name: data.where(name) for name in data.collections()}
    except ValueError as error:  # CNNCOURSE_DATA is no folder
        remedy = "set CNNCOURSE_DATA to the folder that holds the data, or unset it"
        return [Finding("FAIL", "data", str(error).partition(";")[0], remedy)]
    source = os.environ.get("CNNCOURSE_SOURCE") or "auto"
    return [data_finding(f"data {name}", places, source) for name, places in found.items()]


def data_finding(subject: str, found: Mapping[str, Path | None], source: str) -> Finding:
    """The finding about one data set, given its files and the source that is asked for."""
    if found["official"] and source != "offline":
        return Finding("OK", subject, f"official files: {found['official']}")
    if source == "official":
        detail = "no official files yet, and CNNCOURSE_SOURCE=official allows nothing else"
        remedy = "cnncourse data --download, or unset CNNCOURSE_SOURCE"
        return Finding("WARN", subject, detail, remedy)
    if found["offline"]:
        return Finding("OK", subject, f"offline stand-in: {found['offline']}")
    detail = "none yet; the first load downloads them, or makes the offline stand-in"
    return Finding("OK", subject, detail)


def check_folders() -> list[Finding]:
    """Folders that the course writes to, and the space left in them."""
    import platformdirs

    cache, temporary = Path(platformdirs.user_cache_dir(COURSE)), Path(tempfile.gettempdir())
    kept = "make it yours to write to, or offline data are made anew each time"
    moved = "keep the course in a folder that is yours to write to, and start there"
    elsewhere = "set TMPDIR (on Windows TEMP) to a folder that is yours to write to"
    return [
        folder_finding("cache folder", cache, "WARN", kept),
        folder_finding("this folder", Path.cwd(), "WARN", moved),
        folder_finding("temp folder", temporary, "FAIL", elsewhere),
    ]


def folder_finding(subject: str, folder: Path, status: Status, remedy: str) -> Finding:
    """Whether files can be made in a folder, ``status`` if not, and whether there is room."""
    # What does not exist yet is made in the nearest folder that does, so that one is tried.
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=existing) as file:
            file.write(b"cnncourse")
    except OSError as error:
        return Finding(status, subject, f"{folder}: cannot write ({error.strerror})", remedy)
    free = shutil.disk_usage(existing).free
    detail = f"{folder}, {gib(free)} free"
    if free < LEAST_DISK:
        return Finding("WARN", subject, detail, f"make room: {gib(LEAST_DISK)} is enough")
    return Finding("OK", subject, detail)


# Jupyter and the environment

# Variables that change how the course runs. No other is shown: it may hold a secret.
VARIABLES = re.compile(
    r"(CNNCOURSE|KERAS|XLA)_\w+|TF_(ENABLE|FORCE|GPU|NUM|USE|XLA)_\w+|CUDA_VISIBLE_DEVICES"
    r"|PYTHONPATH|JUPYTER_(CONFIG_DIR|PATH)|XDG_CACHE_HOME"
)


def check_kernel() -> list[Finding]:
    """The kernel that notebooks name, ``python3``, runs in this environment."""
    from jupyter_client.kernelspec import KernelSpecManager

    spec = KernelSpecManager().get_kernel_spec("python3")
    program = Path(spec.argv[0])
    bare = program.name == spec.argv[0]  # such as "python", for which Jupyter takes its own
    if bare or program.parent.resolve() == Path(sys.executable).parent.resolve():
        return [Finding("OK", "kernel", "python3 runs in this environment")]
    detail = f"python3 runs {program}, not {sys.executable}"
    install = f"{PYTHON} -m ipykernel install --sys-prefix"
    remedy = f"remove the folder {spec.resource_dir}, then {install}"
    return [Finding("FAIL", "kernel", detail, remedy)]


def check_jupyterlab() -> list[Finding]:
    """JupyterLab imports, and its extension for sliders, a package of its own, is there."""
    import jupyterlab.labapp
    from jupyter_core.paths import jupyter_path

    lab = Finding("OK", "jupyterlab", f"{jupyterlab.__version__} imports")
    folders = jupyter_path("labextensions", "@jupyter-widgets", "jupyterlab-manager")
    if any(Path(folder, "package.json").exists() for folder in folders):
        return [lab, Finding("OK", "widgets", "JupyterLab's extension for sliders is here")]
    remedy = f"{PYTHON} -m pip install --force-reinstall --no-deps jupyterlab_widgets"
    detail = "JupyterLab's extension for sliders is missing"
    return [lab, Finding("FAIL", "widgets", detail, remedy)]


def check_environment() -> list[Finding]:
    """Variables that change how the course runs, and are set."""
    environ = {name: value for name, value in os.environ.items() if VARIABLES.fullmatch(name)}
    shown = [f"{name}={value or repr('')}" for name, value in sorted(environ.items())]
    detail = ", ".join(shown) or "no variable that matters is set"
    if environ.get("CNNCOURSE_SOURCE", "") not in ("", "auto", "official", "offline"):
        remedy = "set CNNCOURSE_SOURCE to auto, official or offline, or unset it"
        return [Finding("FAIL", "environment", detail, remedy)]
    return [Finding("OK", "environment", detail)]
