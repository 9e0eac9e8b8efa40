"""Importing the package is cheap and quiet, and imports point downwards only."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import cnncourse

PACKAGE = Path(cnncourse.__file__).parent


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {key: value for key, value in os.environ.items() if key != "TF_CPP_MIN_LOG_LEVEL"}
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=env | environment,
        check=False,
    )


def test_importing_the_package_loads_no_room_and_nothing_heavy():
    heavy = ("tensorflow", "keras", "numpy", "matplotlib", "sklearn")
    done = run(
        "import sys, cnncourse\n"
        f"print([name for name in {heavy!r} if name in sys.modules])\n"
        "print([name for name in sys.modules if name.startswith('cnncourse.')])"
    )
    assert done.stdout.splitlines() == ["[]", "['cnncourse._quiet']"]


def test_importing_the_package_takes_less_than_a_tenth_of_a_second():
    """Of a processor's time, which other programs do not take; benchmarks/startup.py has more."""
    code = "import time; t = time.process_time(); import cnncourse; print(time.process_time() - t)"
    times = [float(run(code).stdout) for _ in range(5)]
    assert min(times) < 0.1


def test_rooms_load_on_first_use_and_unknown_ones_are_named():
    assert cnncourse.arithmetic.output_size(28, 3) == 26
    assert set(cnncourse.ROOMS) <= set(dir(cnncourse))
    with pytest.raises(AttributeError, match="no attribute 'kitchen'"):
        cnncourse.kitchen  # noqa: B018


@pytest.mark.parametrize(
    "room", ["arithmetic", "reference", "networks", "data", "plotting", "checks", "memory"]
)
def test_the_light_rooms_never_load_tensorflow(room):
    code = f"import sys, cnncourse.{room}; print('tensorflow' in sys.modules)"
    assert run(code).stdout == "False\n"


# A room may import the rooms named with it, and no other.
BELOW = {
    "arithmetic": set(),
    "reference": {"arithmetic"},
    "networks": {"arithmetic"},
    "data": set(),
    "plotting": {"arithmetic"},
    "checks": {"arithmetic", "builders", "data", "memory", "networks", "reference"},
    "explorers": {"arithmetic", "data", "memory", "networks", "reference"},
    "layers": set(),
    "builders": {"networks", "reference", "layers"},
    "memory": {"builders", "layers", "networks"},
    "training": {"data", "layers"},
    "doctor": {"data"},
    "ladder": {"data"},
    "reproduce": {"builders", "data", "doctor", "networks", "training"},
    "classroom": set(),
    "cli": {"builders", "classroom", "data", "doctor", "networks", "reproduce", "training"},
    "_quiet": set(),
    "__init__": {"_quiet"},
}


def imported_rooms(path: Path) -> set[str]:
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        rooms |= {name.split(".")[1] for name in names if name.startswith("cnncourse.")}
    return rooms


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_imports_point_downwards_only(path):
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    assert room in BELOW, f"say in BELOW what the new room {room!r} may import"
    assert imported_rooms(path) <= BELOW[room] | {room, "__version__"}


def test_importing_tensorflow_after_the_package_writes_nothing():
    done = run("import cnncourse, tensorflow as tf; print(int(tf.constant(1) + 1))")
    assert (done.stdout, done.stderr) == ("2\n", "")


def test_a_log_level_that_the_user_set_is_respected():
    done = run("import cnncourse, tensorflow", TF_CPP_MIN_LOG_LEVEL="0")
    assert "oneDNN" in done.stderr or "InitializeLog" in done.stderr


def test_an_import_that_fails_shows_what_was_held_back(tmp_path):
    fake = tmp_path / "tensorflow.py"
    fake.write_text("import os; os.write(2, b'the reason\\n'); raise ImportError('no luck')")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import cnncourse, tensorflow"
    done = run(code)
    assert "the reason" in done.stderr
    assert "no luck" in done.stderr


def test_standard_error_works_again_after_the_import(tmp_path):
    (tmp_path / "tensorflow.py").write_text("import os; os.write(2, b'noise')")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import cnncourse, tensorflow\n"
        "sys.stderr.write('heard')"
    )
    assert run(code).stderr == "heard"
