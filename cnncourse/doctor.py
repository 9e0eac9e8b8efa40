"""What this machine has, and what to do where something is missing (lesson 00 reads it aloud).

``examine()`` runs every check and returns one or more findings for each, in a fixed order;
``report()`` lays them out for a page, a terminal or a bug report. A check never raises: whatever
goes wrong inside it becomes a finding. TensorFlow is tried in a process of its own, so that a
crash there is a finding too, and so that asking takes no GPU memory from the notebook that asks.

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
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

Status = Literal["OK", "WARN", "FAIL"]

COURSE = "cnncourse"
GIB = 2**30
LEAST_MEMORY = 2 * GIB  # the runtime takes 0.7 GiB before the first image is loaded
LEAST_DISK = GIB
PROBE_SECONDS = 90  # a first import from a cold or network disk can take a minute
LINE_WIDTH = 96


@dataclass(frozen=True)
class Finding:
    """What one check found. ``remedy`` says what to do and is empty when all is well."""

    status: Status
    subject: str
    detail: str
    remedy: str = ""


# ---------------------------------------------------------------------------------------------
# All checks, and how they are shown


def examine() -> list[Finding]:
    """Run every check and return the findings in a fixed order; never raises.

    Takes about as long as importing TensorFlow does (lesson 00).
    """
    with ThreadPoolExecutor(max_workers=1) as pool:
        probe = pool.submit(run_probe)  # the slow part runs while the others do
        checks: list[tuple[str, Callable[[], Iterable[Finding]]]] = [
            ("course", check_course),
            ("python", check_python),
            ("packages", check_packages),
            ("tensorflow", lambda: check_tensorflow(probe.result())),
            ("keras", lambda: check_keras(probe.result())),
            ("memory", check_memory),
            ("gpu", lambda: check_gpu(probe.result())),
            ("processor", check_processor),
            ("threads", check_threads),
            ("data", check_data),
            ("folders", check_folders),
            ("kernel", check_kernel),
            ("jupyterlab", check_jupyterlab),
            ("widgets", check_widgets),
            ("environment", check_environment),
        ]
        waits_for_probe = {"tensorflow", "keras", "gpu"}
        found = {n: run_check(n, c) for n, c in checks if n not in waits_for_probe}
        found |= {n: run_check(n, c) for n, c in checks if n in waits_for_probe}
    return [finding for name, _ in checks for finding in found[name]]


def run_check(name: str, check: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """Run one check in isolation and hide the user's home folder in what it found."""
    try:
        findings = list(check())
    except (Exception, SystemExit) as error:  # a check that breaks is itself a finding
        what = " ".join(f"{type(error).__name__}: {error}".split())
        findings = [
            Finding(
                "FAIL",
                name,
                f"this check could not be made: {shorten(what, 200)}",
                "make sure that the installation is complete (python -m pip check); "
                "if it is, report this line",
            )
        ]
    return [replace(f, detail=hide_home(f.detail), remedy=hide_home(f.remedy)) for f in findings]


def exit_status(findings: Iterable[Finding]) -> int:
    """0 when the course can be run, 1 when something must be put right first."""
    return int(any(finding.status == "FAIL" for finding in findings))


def report(findings: Iterable[Finding]) -> str:
    """Lay findings out as aligned plain text, each remedy behind an arrow, a verdict at the end."""
    findings = list(findings)
    subject_width = max((len(f.subject) for f in findings), default=0)
    margin = " " * (len("[WARN] ") + subject_width + 2)
    lines = []
    for f in findings:
        label = f"[{f.status}]".ljust(len("[WARN] "))
        lines += wrap(f.detail, label + f.subject.ljust(subject_width + 2), margin)
        if f.remedy:
            lines += wrap(f.remedy, margin + "-> ", margin + "   ")
    return "\n".join([*lines, "", verdict(findings)])


def verdict(findings: Iterable[Finding]) -> str:
    """One sentence that sums the findings up."""
    statuses = [finding.status for finding in findings]
    failed, warned = statuses.count("FAIL"), statuses.count("WARN")
    warnings = f"{warned} warning{'s' if warned != 1 else ''}"
    if failed:
        also = f" and {warnings}" if warned else ""
        return f"Not ready: {failed} failed{also}. Do what the arrows say, then run this again."
    return f"Ready, with {warnings}." if warned else "Ready."


def wrap(text: str, first: str, rest: str) -> list[str]:
    """Wrap a line without breaking inside a path or an option, which people copy."""
    return textwrap.wrap(
        text,
        LINE_WIDTH,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )


def shorten(text: str, length: int) -> str:
    """Cut a text that is too long to read aloud."""
    return text if len(text) <= length else text[: length - 3] + "..."


def hide_home(text: str, home: Path | None = None) -> str:
    """Write the home folder as ``~`` and the user's name in any other path as ``<user>``."""
    try:
        home = home or Path.home()
    except RuntimeError:  # no home folder is known, so none can be shown
        return text
    if home == home.parent:  # "/" is home in some containers, and says nothing
        return text
    flags = re.IGNORECASE if os.name == "nt" else 0
    for path in sorted({str(home), os.path.realpath(home)}, key=len, reverse=True):
        text = re.sub(re.escape(path) + r"(?![\w.-])", "~", text, flags=flags)
    return re.sub(rf"(?<=[/\\]){re.escape(home.name)}(?![\w.-])", "<user>", text, flags=flags)


def gib(size: float) -> str:
    """Bytes in GiB, one decimal."""
    return f"{size / GIB:.1f} GiB"


# ---------------------------------------------------------------------------------------------
# The course, Python and the packages. Ranges are stated once, in pyproject.toml.


def check_course() -> list[Finding]:
    """The course itself: which version, from where."""
    place = Path(__file__).resolve().parents[1]
    try:
        version = metadata.version(COURSE)
    except metadata.PackageNotFoundError:
        return [
            Finding(
                "FAIL",
                "course",
                f"{COURSE} is not installed in this environment (found in {place})",
                f"in the course's folder: {python_command()} -m pip install -e .",
            )
        ]
    return [Finding("OK", "course", f"{COURSE} {version}, in {place}")]


def check_python() -> list[Finding]:
    """The interpreter against the range the course declares."""
    version = ".".join(str(number) for number in sys.version_info[:3])
    bits = 64 if sys.maxsize > 2**32 else 32
    detail = f"{platform.python_version()}, {bits} bit, on {platform.platform()}"
    tested = tested_pythons()
    remedy = f"make an environment with a Python in the range {in_words(tested)}"
    if bits == 32:
        return [Finding("FAIL", "python", detail, f"install a 64-bit Python; {remedy}")]
    place = place_in_range(version, tested)
    if place == "in":
        return [Finding("OK", "python", detail)]
    word = "older" if place == "below" else "newer"
    status: Status = "FAIL" if place == "below" else "WARN"
    return [Finding(status, "python", f"{detail}: {word} than tested", remedy)]


def tested_pythons() -> str:
    """The range of Python versions that the course declares; empty when it declares none."""
    try:
        return metadata.metadata(COURSE)["Requires-Python"] or ""
    except (metadata.PackageNotFoundError, KeyError):  # check_course says so
        return ""


def check_packages() -> list[Finding]:
    """Each package the course needs at run time, against its tested range.

    Those that fit share a line; each one that does not has its own.
    """
    from packaging.requirements import Requirement

    try:
        stated = metadata.requires(COURSE) or []
    except metadata.PackageNotFoundError:  # check_course says so
        return []
    requirements = [Requirement(line) for line in stated]
    needed = [r for r in requirements if r.marker is None or r.marker.evaluate({"extra": ""})]
    versions = {r.name: installed_version(r.name) for r in needed}
    problems = [
        finding
        for r in needed
        if (finding := package_finding(r.name, versions[r.name], str(r.specifier)))
    ]
    wrong = {finding.subject for finding in problems}
    fitting = [f"{name} {version}" for name, version in versions.items() if name not in wrong]
    if not fitting:
        return problems
    count = "all" if not wrong else f"{len(fitting)} of {len(needed)}"
    summary = f"{count} in their tested range: {', '.join(fitting)}"
    return [Finding("OK", "packages", summary), *problems]


def installed_version(name: str) -> str | None:
    """Version of an installed distribution, None when it is missing."""
    # The CPU-only build of TensorFlow is the same library under another name.
    for candidate in (name, f"{name}-cpu") if name == "tensorflow" else (name,):
        try:
            return metadata.version(candidate)
        except metadata.PackageNotFoundError:
            continue
    return None


def package_finding(name: str, version: str | None, specifier: str) -> Finding | None:
    """The finding about one package, None when its version is in the range."""
    remedy = f'{python_command()} -m pip install "{name}{specifier}"'
    tested = f"tested: {in_words(specifier)}"
    if version is None:
        return Finding("FAIL", name, f"missing ({tested})", remedy)
    place = place_in_range(version, specifier)
    if place == "below":
        return Finding("FAIL", name, f"{version} is too old ({tested})", remedy)
    if place == "excluded":
        return Finding("FAIL", name, f"{version} is known not to work ({tested})", remedy)
    if place == "above":
        return Finding("WARN", name, f"{version} is newer than tested ({tested})", remedy)
    return None


def place_in_range(version: str, specifier: str) -> Literal["in", "below", "above", "excluded"]:
    """Where a version lies: ``("2.22", ">=2.20,<2.22")`` is above."""
    from packaging.specifiers import SpecifierSet
    from packaging.version import Version

    parts = SpecifierSet(specifier)
    if parts.contains(version, prereleases=True):
        return "in"
    if any(
        part.operator in (">=", ">", "~=", "==")
        and Version(version) < Version(part.version.removesuffix(".*"))
        for part in parts
    ):
        return "below"
    if any(
        part.operator == "!=" and not part.contains(version, prereleases=True) for part in parts
    ):
        return "excluded"
    return "above"


def in_words(specifier: str) -> str:
    """A range in a stable order and readable aloud: ``>=2.20,<2.22`` → ``>=2.20 and <2.22``."""
    parts = [part.strip() for part in specifier.split(",") if part.strip()]
    return " and ".join(sorted(parts, key=lambda part: (part[0] != ">", part))) or "any"


def python_command() -> str:
    """How to call this environment's Python in a remedy: short if the shell finds it."""
    found = shutil.which("python")
    return "python" if found and same_interpreter(found) else quoted(sys.executable)


def quoted(path: str) -> str:
    """A path as a shell reads it."""
    return f'"{path}"' if " " in path else path


# ---------------------------------------------------------------------------------------------
# TensorFlow, Keras and GPUs, tried in a process of their own


def probe_tensorflow() -> dict[str, Any]:
    """Import TensorFlow and Keras, compute one convolution; runs in the child process.

    The image holds 1 to 9 row by row, the kernel 1 to 4. By hand, top left:
    1*1 + 2*2 + 4*3 + 5*4 = 37.
    """
    import tensorflow as tf

    found: dict[str, Any] = {"tensorflow": tf.__version__, "gpus": []}
    for gpu in tf.config.list_physical_devices("GPU"):
        details = tf.config.experimental.get_device_details(gpu)
        found["gpus"].append(details.get("device_name", gpu.name))
        try:  # without growth, looking at a GPU takes all its memory
            tf.config.experimental.set_memory_growth(gpu, True)
        except (RuntimeError, ValueError):
            continue
    image = tf.reshape(tf.range(1.0, 10.0), [1, 3, 3, 1])
    kernel = tf.reshape(tf.range(1.0, 5.0), [2, 2, 1, 1])
    feature_map = tf.nn.conv2d(image, kernel, strides=1, padding="VALID")
    found["convolution"] = [float(value) for value in tf.reshape(feature_map, [-1])]
    try:
        import keras

        found["keras"] = keras.__version__
        found["backend"] = keras.backend.backend()
    except Exception as error:  # TensorFlow works all the same, and says so
        found["keras_error"] = " ".join(f"{type(error).__name__}: {error}".split())
    return found


BY_HAND = [37.0, 47.0, 67.0, 77.0]
WINDOWS_CRASH = 0x80000000  # Windows reports a crash as an exit status from here on


def run_probe(python: str = sys.executable, seconds: float = PROBE_SECONDS) -> dict[str, Any]:
    """Run ``probe_tensorflow`` in a child process; what went wrong is under ``"error"``."""
    code = (
        "import json, sys; sys.path.append(sys.argv[1]); from cnncourse import doctor; "
        "print(json.dumps(doctor.probe_tensorflow()))"
    )
    command = [python, "-c", code, str(Path(__file__).resolve().parents[1])]
    try:
        child = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds
        )
    except subprocess.TimeoutExpired:
        return {"error": f"no answer within {seconds:.0f} seconds"}
    if child.returncode < 0:
        return {"error": f"Python was stopped by signal {-child.returncode}", "crashed": True}
    if child.returncode >= WINDOWS_CRASH:
        return {"error": f"Python crashed ({child.returncode:#x})", "crashed": True}
    lines = child.stdout.decode(errors="replace").splitlines()
    if child.returncode or not lines:
        said = child.stderr.decode(errors="replace").strip().splitlines()
        last = said[-1].strip() if said else f"exit status {child.returncode}"
        return {"error": shorten(last, 200)}
    return json.loads(lines[-1])


def check_tensorflow(probe: Mapping[str, Any]) -> list[Finding]:
    """TensorFlow imports, and computes what a person computes by hand."""
    if "error" in probe:
        if probe.get("crashed"):
            remedy = (
                "TensorFlow needs a processor with AVX, or a Python made for this processor "
                "(on Apple silicon: arm64); otherwise install it again"
            )
        else:
            remedy = f"{python_command()} -m pip install --force-reinstall tensorflow"
        return [Finding("FAIL", "tensorflow", f"does not work: {probe['error']}", remedy)]
    computed = ", ".join(f"{value:g}" for value in probe["convolution"])
    if probe["convolution"] != BY_HAND:
        by_hand = ", ".join(f"{value:g}" for value in BY_HAND)
        detail = f"{probe['tensorflow']} computes {computed} where {by_hand} is right"
        remedy = "set TF_ENABLE_ONEDNN_OPTS=0 and run this again; report both answers"
        return [Finding("FAIL", "tensorflow", detail, remedy)]
    detail = f"{probe['tensorflow']} imports; a convolution gives {computed}, as by hand"
    return [Finding("OK", "tensorflow", detail)]


def check_keras(probe: Mapping[str, Any], environ: Mapping[str, str] = os.environ) -> list[Finding]:
    """Keras 3 on TensorFlow, which is what the lessons write."""
    if environ.get("TF_USE_LEGACY_KERAS", "").lower() in ("1", "true"):
        detail = "TF_USE_LEGACY_KERAS is set: tf.keras is Keras 2, the lessons use Keras 3"
        remedy = "unset TF_USE_LEGACY_KERAS, then restart Jupyter"
        return [Finding("WARN", "keras", detail, remedy)]
    chosen = environ.get("KERAS_BACKEND") or "tensorflow"
    if chosen != "tensorflow":
        detail = f"KERAS_BACKEND={chosen}: the lessons need tensorflow"
        remedy = "unset KERAS_BACKEND, then restart Jupyter"
        return [Finding("WARN", "keras", detail, remedy)]
    if "error" in probe:
        return [Finding("FAIL", "keras", "not tried, because TensorFlow fails", "see tensorflow")]
    if "keras_error" in probe:
        remedy = f"{python_command()} -m pip install --force-reinstall keras"
        detail = f"does not import: {shorten(probe['keras_error'], 200)}"
        return [Finding("FAIL", "keras", detail, remedy)]
    if probe["backend"] != "tensorflow":
        detail = f"{probe['keras']} computes with {probe['backend']}: the lessons need tensorflow"
        remedy = 'write "backend": "tensorflow" in ~/.keras/keras.json'
        return [Finding("WARN", "keras", detail, remedy)]
    return [Finding("OK", "keras", f"{probe['keras']}, computes with TensorFlow")]


def check_gpu(
    probe: Mapping[str, Any],
    environ: Mapping[str, str] = os.environ,
    cards: Callable[[], list[str]] | None = None,
) -> list[Finding]:
    """GPUs that TensorFlow uses, and one that it leaves idle. The course needs none."""
    present = (cards or nvidia_cards)()
    used = probe.get("gpus", [])
    if used:
        memory = f" ({'; '.join(present)})" if present else ""
        return [Finding("OK", "gpu", f"TensorFlow uses {', '.join(used)}{memory}")]
    if not present:
        return [Finding("OK", "gpu", "none, and the course needs none")]
    detail = f"TensorFlow does not use the one that is here ({'; '.join(present)})"
    if "error" in probe:
        remedy = "see tensorflow"
    elif "CUDA_VISIBLE_DEVICES" in environ:
        remedy = "unset CUDA_VISIBLE_DEVICES to use it; the course runs without"
    elif sys.platform == "win32":
        remedy = "on Windows TensorFlow reaches a GPU through WSL2 only; the course runs without"
    else:
        remedy = (
            f'to use it: {python_command()} -m pip install "tensorflow[and-cuda]"; '
            "the course runs without"
        )
    return [Finding("WARN", "gpu", detail, remedy)]


def nvidia_cards() -> list[str]:
    """Name and memory of each NVIDIA GPU, as its driver says; empty without a driver."""
    tool = shutil.which("nvidia-smi")
    if not tool:
        return []
    query = ["--query-gpu=name,memory.total,memory.free", "--format=csv,noheader,nounits"]
    try:
        child = subprocess.run([tool, *query], capture_output=True, text=True, timeout=15)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return parse_cards(child.stdout) if child.returncode == 0 else []


def parse_cards(csv: str) -> list[str]:
    """``NVIDIA T4, 15360, 15000`` (MiB) → ``NVIDIA T4: 15.0 GiB, 14.6 GiB free``."""
    cards = []
    for line in csv.splitlines():
        name, *numbers = [cell.strip() for cell in line.rsplit(",", 2)]
        if len(numbers) == 2 and all(number.isdigit() for number in numbers):
            total, free = (int(number) * 2**20 for number in numbers)
            cards.append(f"{name}: {gib(total)}, {gib(free)} free")
        elif name:  # some cards do not tell their memory
            cards.append(f"{name}: memory unknown")
    return cards


# ---------------------------------------------------------------------------------------------
# The machine


def check_memory() -> list[Finding]:
    """Main memory: all of it, what is free now, and a container's limit."""
    import psutil

    memory = psutil.virtual_memory()
    limit = control_group_memory()
    return [memory_finding(memory.total, memory.available, limit)]


def memory_finding(total: int, available: int, limit: int | None) -> Finding:
    """The finding about main memory, sizes in bytes."""
    detail = f"{gib(total)}, {gib(available)} available"
    if limit is not None and limit < total:
        detail += f"; this process may use {gib(limit)}"
        available = min(available, limit)
    if available < LEAST_MEMORY:
        remedy = f"close programs and unused notebooks until {gib(LEAST_MEMORY)} are available"
        return Finding("WARN", "memory", detail, remedy)
    return Finding("OK", "memory", detail)


def check_processor() -> list[Finding]:
    """The processor's vector units, in words."""
    model, features = processor_features()
    return [processor_finding(model, features)]


def processor_finding(model: str, features: frozenset[str] | None) -> Finding:
    """The finding about a processor; ``features`` are lower-case flag names, None if unknown."""
    if features is None:
        return Finding("OK", "processor", f"{model}; its features are unknown here")
    arm = "asimd" in features
    if not arm and "avx" not in features:
        return Finding(
            "WARN",
            "processor",
            f"{model}; no AVX, which TensorFlow's ready-made packages need",
            "use another machine, or a notebook service",
        )
    if arm:
        width = "4 numbers at a time (NEON)"
    elif "avx512f" in features:
        width = "16 numbers at a time (AVX-512)"
    elif "avx2" in features:
        width = "8 numbers at a time (AVX2)"
    else:
        width = "8 numbers at a time (AVX, not AVX2), so training is slow"
    units = [name for name in ("amx_bf16", "avx512_bf16", "bf16") if name in features]
    if units:
        bfloat16 = f"bfloat16 can be fast here ({units[0].upper()})"
    else:
        bfloat16 = "no bfloat16 unit, so float32 is the fast choice"
    return Finding("OK", "processor", f"{model}; {width}; {bfloat16}")


def processor_features() -> tuple[str, frozenset[str] | None]:
    """Model name and feature flags (lower case, Linux spelling), None where unknown."""
    fallback = platform.processor() or platform.machine() or "unknown model"
    if sys.platform == "linux":
        return parse_cpuinfo(Path("/proc/cpuinfo").read_text(errors="replace"), fallback)
    if sys.platform == "darwin":
        model = sysctl("machdep.cpu.brand_string") or fallback
        if platform.machine() == "arm64":
            bf16 = {"bf16"} if sysctl("hw.optional.arm.FEAT_BF16") == "1" else set()
            return model, frozenset({"asimd"} | bf16)
        flags = f"{sysctl('machdep.cpu.features')} {sysctl('machdep.cpu.leaf7_features')}"
        names = flags.lower().replace("avx1.0", "avx").split()
        return model, frozenset(names) if names else None
    return fallback, None


def parse_cpuinfo(text: str, fallback: str) -> tuple[str, frozenset[str] | None]:
    """Model name and flags of the first processor in Linux' /proc/cpuinfo."""
    fields: dict[str, str] = {}
    for line in text.splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip().lower(), value.strip())
    flags = fields.get("flags") or fields.get("features")  # x86 and Arm
    model = fields.get("model name") or fallback
    return model, frozenset(flags.lower().split()) if flags else None


def sysctl(name: str) -> str:
    """One value from macOS' sysctl, empty when it has none."""
    child = subprocess.run(["sysctl", "-n", name], capture_output=True, text=True, timeout=5)
    return child.stdout.strip() if child.returncode == 0 else ""


def check_threads(environ: Mapping[str, str] = os.environ) -> list[Finding]:
    """Processor cores that this process may use, and settings that leave some idle."""
    total = os.cpu_count() or 1
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else total
    return [threads_finding(total, allowed, control_group_cores(), environ)]


def threads_finding(
    total: int, allowed: int, limit: float | None, environ: Mapping[str, str]
) -> Finding:
    """The finding about cores: the machine's, this process', and the container's limit."""
    usable = float(allowed) if limit is None else min(limit, allowed)
    detail = f"{usable:g} of {total} core{'s' if total != 1 else ''}"
    if limit is not None and limit < allowed:
        detail += " (a container's or service's limit)"
    elif allowed < total:
        detail += " (limited for this process)"
    users = {
        "OMP_NUM_THREADS": "NumPy and SciPy",
        "TF_NUM_INTRAOP_THREADS": "TensorFlow",
    }
    tight = {
        name: user for name, user in users.items() if 0 < whole(environ.get(name)) < int(usable)
    }
    if tight:
        held = "; ".join(f"{name}={environ[name]} limits {user}" for name, user in tight.items())
        remedy = f"unset {' and '.join(tight)} to use every core, then restart Jupyter"
        return Finding("WARN", "threads", f"{detail}; {held}", remedy)
    if usable < 2:
        remedy = "give this machine or container two cores, or take stated times twice"
        return Finding("WARN", "threads", detail, remedy)
    shown = [f"{name}={environ[name]}" for name in THREAD_VARIABLES if environ.get(name)]
    return Finding("OK", "threads", "; ".join([detail, *shown]))


THREAD_VARIABLES = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")


def whole(text: str | None) -> int:
    """A whole number from a variable, 0 when it holds none."""
    try:
        return int(text or 0)
    except ValueError:
        return 0


# Linux control groups: what a container or a notebook service allows. The libraries do not look.

CONTROL_GROUPS = Path("/sys/fs/cgroup")
OWN_GROUPS = Path("/proc/self/cgroup")


def control_group_folders(controller: str) -> Iterator[Path]:
    """Folders that may hold this process' limits: its group and every group around it."""
    try:
        lines = OWN_GROUPS.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:  # version 2 has one tree for all controllers
            base = CONTROL_GROUPS
        elif controller in controllers.split(","):
            base = CONTROL_GROUPS / controller
        else:
            continue
        group = base / path.strip("/")
        yield group
        yield from (parent for parent in group.parents if parent.is_relative_to(base))


def first_line(path: Path) -> str:
    """First line of a file, empty when there is none to read."""
    try:
        return path.read_text().strip().partition("\n")[0]
    except OSError:
        return ""


def control_group_cores() -> float | None:
    """Cores that the control groups allow, None without a limit."""
    limits = []
    for folder in control_group_folders("cpu"):
        quota, _, period = first_line(folder / "cpu.max").partition(" ")
        if not quota:
            quota = first_line(folder / "cpu.cfs_quota_us")
            period = first_line(folder / "cpu.cfs_period_us")
        if whole_or_none(quota) and whole_or_none(period):
            limits.append(int(quota) / int(period))
    return min(limits, default=None)


def control_group_memory() -> int | None:
    """Bytes that the control groups allow, None without a limit."""
    limits = []
    for folder in control_group_folders("memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            if limit := whole_or_none(first_line(folder / name)):
                limits.append(limit)
    return min(limits, default=None)


def whole_or_none(text: str) -> int | None:
    """``"max"``, ``"-1"`` and an empty file all mean that there is no limit."""
    return int(text) if text.isdigit() else None


# ---------------------------------------------------------------------------------------------
# Data and folders


def check_data() -> list[Finding]:
    """Where each data set was found."""
    from cnncourse import data

    return [data_finding(name, data.where) for name in data.collections()]


def data_finding(
    name: str,
    where: Callable[[str], Mapping[str, Path | None]],
    environ: Mapping[str, str] = os.environ,
) -> Finding:
    """The finding about one data set; ``where`` as in ``cnncourse.data.where``."""
    try:
        found = where(name)
    except (ValueError, OSError) as error:
        why = " ".join(str(error).split()).partition(";")[0]
        remedy = "set CNNCOURSE_DATA to the folder that holds the data, or unset it"
        return Finding("FAIL", f"data {name}", why, remedy)
    if found["official"]:
        return Finding("OK", f"data {name}", f"official files: {found['official']}")
    if environ.get("CNNCOURSE_SOURCE") == "official":
        detail = "no official files yet, and CNNCOURSE_SOURCE=official allows nothing else"
        remedy = "cnncourse data --download, or unset CNNCOURSE_SOURCE"
        return Finding("WARN", f"data {name}", detail, remedy)
    if found["offline"]:
        detail = f"offline stand-in: {found['offline']}; no official files yet"
        return Finding("OK", f"data {name}", detail)
    remedy = (
        "nothing to do: the offline stand-in is made when it is first needed (about 20 s). "
        "For the official files: cnncourse data --download, or put them into a folder and set "
        "CNNCOURSE_DATA to it"
    )
    return Finding("WARN", f"data {name}", "nothing on this machine yet", remedy)


def check_folders() -> list[Finding]:
    """Folders that the course writes to, and the space left in them."""
    import platformdirs

    cache = Path(platformdirs.user_cache_dir(COURSE))
    temporary = "TEMP" if os.name == "nt" else "TMPDIR"
    return [
        folder_finding(
            "cache folder",
            cache,
            "make it yours to write to, or offline data are made anew each time",
            status="WARN",
        ),
        folder_finding(
            "this folder",
            Path.cwd(),
            "keep the course in a folder that is yours to write to, and start there",
            status="WARN",
        ),
        folder_finding(
            "temp folder",
            Path(tempfile.gettempdir()),
            f"set {temporary} to a folder that is yours to write to",
            status="FAIL",
        ),
    ]


def folder_finding(subject: str, folder: Path, remedy: str, status: Status) -> Finding:
    """The finding about one folder: may files be made there (else ``status``), and is there room.

    What does not exist yet is made in the nearest folder that does, so that one is tried.
    """
    existing = next((path for path in (folder, *folder.parents) if path.exists()), folder)
    try:
        with tempfile.TemporaryFile(dir=existing) as file:
            file.write(b"cnncourse")
        free = shutil.disk_usage(existing).free
    except OSError as error:
        why = error.strerror or type(error).__name__
        return Finding(status, subject, f"{folder} cannot be written to ({why})", remedy)
    detail = f"{folder}, {gib(free)} free"
    if free < LEAST_DISK:
        return Finding("WARN", subject, detail, f"make room: {gib(LEAST_DISK)} is enough")
    return Finding("OK", subject, detail)


# ---------------------------------------------------------------------------------------------
# Jupyter


def check_kernel() -> list[Finding]:
    """The kernel that notebooks name, ``python3``, runs in this environment."""
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    install = f"{python_command()} -m ipykernel install --sys-prefix"
    try:
        spec = KernelSpecManager().get_kernel_spec("python3")
    except NoSuchKernel:
        return [Finding("FAIL", "kernel", "Jupyter knows no kernel python3", install)]
    named = spec.argv[0] if spec.argv else ""
    interpreter = kernel_interpreter(named)
    if interpreter and same_interpreter(interpreter):
        return [Finding("OK", "kernel", "python3 runs in this environment")]
    detail = f"python3 runs {interpreter or named or 'nothing'}, not {sys.executable}"
    here = Path(spec.resource_dir).resolve().is_relative_to(Path(sys.prefix).resolve())
    remedy = install if here else f"remove the folder {spec.resource_dir}"
    return [Finding("FAIL", "kernel", detail, remedy)]


def kernel_interpreter(named: str) -> str | None:
    """The program that Jupyter starts for a kernel's first word."""
    major, minor = sys.version_info[:2]
    # Jupyter itself replaces these by the interpreter that it runs in.
    if named in ("python", f"python{major}", f"python{major}.{minor}"):
        return sys.executable
    return shutil.which(named) if named else None


def same_interpreter(program: str, other: str = sys.executable) -> bool:
    """Whether two programs are one environment's Python.

    Every virtual environment's program may be a link to the same file, so the folder counts too.
    """
    one, two = Path(program), Path(other)
    try:
        return one.parent.resolve() == two.parent.resolve() and one.samefile(two)
    except OSError:
        return False


def check_jupyterlab() -> list[Finding]:
    """JupyterLab imports."""
    try:
        import jupyterlab.labapp
    except ImportError as error:
        remedy = f"{python_command()} -m pip install jupyterlab"
        return [Finding("FAIL", "jupyterlab", f"does not import: {error}", remedy)]
    return [Finding("OK", "jupyterlab", f"{jupyterlab.__version__} imports")]


WIDGET_MANAGER = Path("@jupyter-widgets", "jupyterlab-manager", "package.json")
MANAGER_FOR_IPYWIDGETS = {"7": "3", "8": "5"}  # major versions that speak to each other


def check_widgets() -> list[Finding]:
    """Sliders work only if ipywidgets and JupyterLab's side of it fit together."""
    from jupyter_core.paths import jupyter_path

    version = installed_version("ipywidgets")
    manager = manager_version(Path(folder) for folder in jupyter_path("labextensions"))
    return [widgets_finding(version, manager)]


def manager_version(folders: Iterable[Path]) -> tuple[str, Path] | None:
    """Version and place of the widget extension that JupyterLab takes: the first it finds."""
    for folder in folders:
        file = folder / WIDGET_MANAGER
        if file.exists():
            return json.loads(file.read_text(encoding="utf-8"))["version"], file.parent
    return None


def widgets_finding(version: str | None, manager: tuple[str, Path] | None) -> Finding:
    """The finding about the two halves of the widgets."""
    install = f"{python_command()} -m pip install --force-reinstall --no-deps"
    if version is None:
        remedy = f"{python_command()} -m pip install ipywidgets"
        return Finding("FAIL", "widgets", "ipywidgets is missing, so no slider works", remedy)
    if manager is None:
        detail = f"ipywidgets {version}, but JupyterLab's extension for it is missing"
        return Finding("FAIL", "widgets", detail, f"{install} jupyterlab_widgets")
    extension, place = manager
    wanted = MANAGER_FOR_IPYWIDGETS.get(version.split(".")[0])
    if wanted and extension.split(".")[0] != wanted:
        detail = f"ipywidgets {version} needs extension {wanted}.x, but {extension} is in {place}"
        return Finding(
            "FAIL", "widgets", detail, f"remove that folder; {install} jupyterlab_widgets"
        )
    return Finding("OK", "widgets", f"ipywidgets {version} and its extension {extension} fit")


# ---------------------------------------------------------------------------------------------
# Environment variables

VARIABLES = (
    "CNNCOURSE_DATA",
    "CNNCOURSE_SOURCE",
    "KERAS_BACKEND",
    "KERAS_HOME",
    "TF_USE_LEGACY_KERAS",
    "TF_CPP_MIN_LOG_LEVEL",
    "TF_ENABLE_ONEDNN_OPTS",
    "TF_CPU_ALLOCATOR_USE_BFC",
    "TF_CPU_BFC_MEM_LIMIT_IN_MB",
    "TF_FORCE_GPU_ALLOW_GROWTH",
    "TF_GPU_ALLOCATOR",
    "TF_DETERMINISTIC_OPS",
    "TF_XLA_FLAGS",
    "XLA_FLAGS",
    "CUDA_VISIBLE_DEVICES",
    "PYTHONPATH",
    "PYTHONHOME",
    "JUPYTER_PATH",
    "JUPYTER_CONFIG_DIR",
    "JUPYTER_DATA_DIR",
    "JUPYTER_PREFER_ENV_PATH",
    "XDG_CACHE_HOME",
)
SOURCES = ("auto", "official", "offline")


def check_environment(environ: Mapping[str, str] = os.environ) -> list[Finding]:
    """Variables that change how the course runs, and are set."""
    usual = {"TF_CPP_MIN_LOG_LEVEL": "3"}  # `import cnncourse` itself sets it
    shown = [
        f"{name}={shorten(environ[name], 60) or repr('')}"
        for name in VARIABLES
        if name in environ and environ[name] != usual.get(name)
    ]
    detail = ", ".join(shown) or "no variable that matters is set"
    source = environ.get("CNNCOURSE_SOURCE")
    if source and source not in SOURCES:
        remedy = f"set CNNCOURSE_SOURCE to one of {', '.join(SOURCES)}, or unset it"
        return [Finding("FAIL", "environment", detail, remedy)]
    return [Finding("OK", "environment", detail)]
