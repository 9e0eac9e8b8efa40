"""Grading TensorFlow hand-ins: ``cnncourse grade`` against plain ``nbgrader autograde``.

The peer runs one hand-in after the other, as nbgrader does, without boxes and without feedback
pages; ours includes both. Run it with: .venv/bin/python benchmarks/grading.py [NUMBER] [SOLUTION]
NUMBER of hand-ins (60), made from a solution's folder (a small one with a convolution, trained).
"""

import csv
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_notebook

from measuring import Ratio, store

BIN = Path(sys.executable).parent
JOBS = 2
FIRST = "import cnncourse\nimport keras\nimport numpy as np\nimport tensorflow as tf"
WORK = """\
def trained(images, labels):
    ### BEGIN SOLUTION
    layers = [keras.layers.Conv2D(8, 3, activation="relu"), keras.layers.GlobalAveragePooling2D()]
    model = keras.Sequential([*layers, keras.layers.Dense(2)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss)
    model.fit(images, labels, epochs=3, verbose=0)
    return model
    ### END SOLUTION"""
TEST = """\
images = np.linspace(0, 1, 64 * 14 * 14, dtype="float32").reshape(64, 14, 14, 1)
model = trained(images, np.arange(64) // 32)
assert model.count_params() == 98
### BEGIN HIDDEN TESTS
assert tf.nn.conv2d(images, tf.ones([3, 3, 1, 1]), 1, "VALID").shape == (64, 12, 12, 1)
### END HIDDEN TESTS"""


def small_solution(root: Path) -> Path:
    """Write an assignment with one task."""
    plain = {"schema_version": 3, "grade": False, "solution": False, "locked": False, "task": False}
    work, test = new_code_cell(WORK), new_code_cell(TEST)
    work.metadata["nbgrader"] = {**plain, "solution": True, "grade_id": "trained"}
    marks = {"grade": True, "locked": True, "points": 5, "grade_id": "trained_test"}
    test.metadata["nbgrader"] = {**plain, **marks}
    notebook = new_notebook(cells=[new_code_cell(FIRST), work, test])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
    folder = root / "solutions" / "ps00_training"
    folder.mkdir(parents=True)
    nbformat.write(notebook, folder / "training.ipynb")
    return folder


def hand_ins(solution: Path, into: Path, number: int) -> None:
    """Hand in the solution, each time with another first line, in nbgrader's layout."""
    path = next(solution.glob("*.ipynb"))
    for student in range(number):
        notebook = nbformat.read(path, as_version=4)
        notebook.cells.insert(0, new_code_cell(f"student = {student}"))
        folder = into / f"student{student:03}" / solution.name
        folder.mkdir(parents=True)
        nbformat.write(notebook, folder / path.name)


def seconds(*command: str | Path, cwd: Path) -> float:
    started = time.perf_counter()
    done = subprocess.run(list(map(str, command)), cwd=cwd, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    return time.perf_counter() - started


def main() -> None:
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        solution = Path(sys.argv[2]).resolve() if len(sys.argv) > 2 else small_solution(root)
        peer = root / "peer"
        shutil.copytree(solution, peer / "source" / solution.name)
        hand_ins(solution, peer / "submitted", number)
        command = (BIN / "cnncourse", "grade", solution, peer / "submitted", "--out", root / "out")
        ours = seconds(*command, "--jobs", str(JOBS), cwd=root)
        with (root / "out" / "grades.csv").open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == number, rows
        assert all(row["status"] in ("graded", "to review") for row in rows), rows
        environment = ("env", f"PATH={BIN}:/usr/bin:/bin")  # nbgrader calls alembic by name
        nbgrader = (*environment, BIN / "nbgrader")
        seconds(*nbgrader, "generate_assignment", solution.name, cwd=peer)
        slow = ("--Execute.timeout=600", "--Execute.iopub_timeout=60")
        theirs = seconds(*nbgrader, "autograde", solution.name, *slow, cwd=peer)
    ratio = Ratio(
        case=f"{number} hand-ins, {solution.name}",
        ours=f"cnncourse grade --jobs {JOBS}",
        peer="nbgrader autograde",
        unit="s",
        our_values=[ours],
        peer_values=[theirs],
        less_is_better=True,
    )
    print(f"{ratio.case}: ours {ours:.1f} s, plain nbgrader {theirs:.1f} s: {ratio} times as fast")
    store("grading", [ratio])


if __name__ == "__main__":
    main()
