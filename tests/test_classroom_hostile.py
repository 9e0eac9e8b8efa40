"""Eighteen kinds of broken and hostile hand-ins, graded together with right ones."""

import contextlib
import copy
import csv
import os
import socket
import threading
import uuid

import nbformat
import psutil
import pytest
import small_assignment as small

from cnncourse import classroom
from cnncourse.classroom import box

SECONDS = 15.0
MARK = f"{uuid.uuid4().int % 10**6}"  # names the processes that this test leaves behind
SECRET = f"the answer of somebody else {uuid.uuid4()}"

STUBBORN = """\
import time
def total(values):
    while True:
        try:
            time.sleep(1000)
        except KeyboardInterrupt:
            pass"""

LEFT_RUNNING = f"""\
import os, subprocess
def double(x):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.execvp("sleep", ["sleep", "98765.{MARK}"])
        os._exit(0)
    subprocess.Popen(["sleep", "98766.{MARK}"], start_new_session=True)
    return 2 * x"""

READS = f"""\
import os, signal
def double(x):
    return 2 * x
print("PROCESSES", len([name for name in os.listdir("/proc") if name.isdigit()]))
print("PRIVATE", os.environ.get("A_PASSWORD"))
for place in ("../gradebook.db", "../../gradebook.db", "../../../gradebook.db"):
    if os.path.exists(place):
        print("SEEN", place)
for place in ("/proc/sys/kernel/core_pattern", "/usr/x", f"{{os.__file__}}.x"):
    try:
        os.close(os.open(place, os.O_WRONLY | os.O_CREAT))
        print("SEEN, and writable:", place)
    except OSError:
        pass
import ctypes
print("NEW USER NAMESPACE", ctypes.CDLL(None).unshare(0x10000000))
for folder, folders, names in os.walk("/"):
    if folder.startswith(("/proc", "/usr", "/sys", "/lib")) or folder.endswith("-packages"):
        folders.clear()
        continue
    for name in names:
        if name.endswith((".db", ".ipynb")):
            print("SEEN", folder, name)
        elif not name.endswith((".py", ".so", ".pyc", ".npz")):
            try:
                if {SECRET[:12]!r} + {SECRET[12:]!r} in open(os.path.join(folder, name)).read(9999):
                    print("SEEN", folder, name)
            except (OSError, UnicodeError):
                pass
print("WALKED", "ALL")
own = {{int(name) for name in os.listdir("/proc/self/task")}}
for number in range(1, 4000):
    if number not in own:
        try:
            os.kill(number, signal.SIGTERM)
        except OSError:
            pass"""

OPENS_A_SOCKET = """\
import socket
def double(x):
    try:
        socket.create_connection(("127.0.0.1", PORT), timeout=2).sendall(b"hello")
        print("CONNECTED")
    except OSError as error:
        print("NO NETWORK", error)
    return 2 * x"""


def edited(change, **answers):
    """A hand-in after ``change(cells, cells by name)``."""
    notebook = small.hand_in(**answers)
    change(notebook.cells, small.by_name(notebook))
    return notebook


def stripped():
    notebook = small.hand_in()
    for one in notebook.cells:
        one.metadata = {}
        del one["id"]
    notebook.nbformat_minor = 4
    notebook.metadata = {}
    return notebook


def copied(cells, named):
    cells.insert(3, copy.deepcopy(named["double"]))
    cells.append(copy.deepcopy(named["total_test"]))
    cells[3].id, cells[-1].id = "copy-1", "copy-2"


def class_of(port):
    """File name of each hand-in, with its notebook."""
    wrong = "def double(x):\n    return 3 * x"
    return {
        "ada.ipynb": small.hand_in(),
        "wrong.ipynb": small.hand_in(double=wrong),
        "syntax.ipynb": small.hand_in(double="def double(x:\n    return 2 * x"),
        "endless.ipynb": small.hand_in(double="def double(x):\n    while True:\n        pass"),
        "stubborn.ipynb": small.hand_in(total=STUBBORN),
        "hard_exit.ipynb": small.hand_in(total="import os\ndef total(values):\n    os._exit(0)"),
        "exit.ipynb": small.hand_in(double="import sys\ndef double(x):\n    sys.exit()"),
        "children.ipynb": small.hand_in(double=LEFT_RUNNING),
        "memory.ipynb": small.hand_in(
            total="def total(values):\n    return np.ones(10 * 2**30 // 8).sum()"
        ),
        # Two calls in its test: 200,000 lines.
        "lines.ipynb": small.hand_in(
            double="def double(x):\n    for i in range(100_000):\n        print('line', i)\n"
            "    return 2 * x"
        ),
        "deleted.ipynb": edited(lambda cells, named: cells.remove(named["double_test"])),
        "deleted_wrong.ipynb": edited(
            lambda cells, named: cells.remove(named["double_test"]), double=wrong
        ),
        "edited.ipynb": edited(
            lambda cells, named: named["double_test"].update(source="pass"), double=wrong
        ),
        "copied.ipynb": edited(copied),
        "stripped.ipynb": stripped(),
        "not_json.ipynb": "This is not JSON {",
        "renamed/Homework final (2).ipynb": small.hand_in(),
        "reads.ipynb": small.hand_in(double=READS),
        "stderr.ipynb": small.hand_in(
            double="import sys, warnings\ndef double(x):\n    print('note', file=sys.stderr)\n"
            "    warnings.warn('old')\n    return 2 * x"
        ),
        "socket.ipynb": small.hand_in(double=OPENS_A_SOCKET.replace("PORT", str(port))),
        # Ways to be given points that were not earned.
        "untested.ipynb": edited(
            lambda cells, named: named["double_test"].metadata.update(tags=["skip-execution"]),
            double=wrong,
        ),
        "shows_points.ipynb": small.hand_in(
            double="def double(x):\n    get_ipython().displayhook(2)\n    return 3 * x"
        ),
        "unmarked.ipynb": edited(
            lambda cells, named: named["double_test"].metadata.nbgrader.update(
                grade=False, solution=True, points=100
            ),
            double=wrong,
        ),
        "zoe.ipynb": small.hand_in(),
    }


def write(folder, files):
    for name, notebook in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = notebook if isinstance(notebook, str) else nbformat.writes(notebook)
        path.write_text(text, encoding="utf-8")
    (folder / "ada.ipynb").write_text(
        (folder / "ada.ipynb").read_text().replace("# Warm-up", f"# {SECRET}")
    )


def state(folder):
    """Bytes and times of every file below a folder."""
    paths = sorted(folder.rglob("*"))
    return {
        str(path): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in paths
    }


@contextlib.contextmanager
def listening():
    """A server on loopback; a list that grows with what connects."""
    connected = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept():
            with contextlib.suppress(OSError):
                while True:
                    connected.append(server.accept()[1])

        threading.Thread(target=accept, daemon=True).start()
        yield server.getsockname()[1], connected


def processes_left():
    command_lines = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            command_lines.append(" ".join(process.cmdline()))
    return [line for line in command_lines if line.endswith(f".{MARK}")]


class Grading:
    """What came of one run: rows by student, pages, what the run touched."""

    def __init__(self, out):
        with (out / "grades.csv").open(newline="", encoding="utf-8") as file:
            self.rows = {row["student"]: row for row in csv.DictReader(file)}
        self.out = out

    def page(self, student):
        path = self.out / "feedback" / student / small.NAME / f"{small.NOTEBOOK}.html"
        return path.read_text(encoding="utf-8")

    def notebook(self, student):
        path = self.out / "autograded" / student / small.NAME / f"{small.NOTEBOOK}.ipynb"
        return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def grading(tmp_path_factory):
    root = tmp_path_factory.mktemp("hostile")
    solution = small.course(root)
    hand_ins, out = root / "hand-ins", root / "grades"
    os.environ["A_PASSWORD"] = "secret"
    with listening() as (port, connected):
        write(hand_ins, class_of(port))
        before = state(hand_ins), state(solution)
        for path in (*hand_ins.rglob("*"), hand_ins):
            path.chmod(0o555 if path.is_dir() else 0o444)
        classroom.grade(str(solution), hand_ins, out, timeout=SECONDS, jobs=os.cpu_count())
    del os.environ["A_PASSWORD"]
    found = Grading(out)
    found.connected, found.untouched = connected, before == (state(hand_ins), state(solution))
    found.left = processes_left()
    return found


@pytest.fixture(scope="module")
def boxed():
    if not box.works():
        pytest.skip("this system allows no user namespaces")


FULL = ("graded", 2, 3, 4)
NOT_FIRST = ("graded", 0, 3, 4)
EXPECTED = {
    "ada": (*FULL, ""),
    "zoe": (*FULL, ""),
    "wrong": (*NOT_FIRST, "double_test: AssertionError"),
    "syntax": (*NOT_FIRST, "double_test: NameError"),
    "endless": (*NOT_FIRST, "double_test: ran out of time"),
    "stubborn": ("stopped", 2, 0, 0, "cell total_test ran out of time and could not be stopped"),
    "hard_exit": ("stopped", 2, 0, 0, "the kernel ended in cell total_test"),
    "exit": (*NOT_FIRST, "double_test: SystemExit"),
    "children": (*FULL, ""),
    "lines": (*FULL, ""),
    "deleted": (*FULL, "cell put back: double_test"),
    "deleted_wrong": (*NOT_FIRST, "cell put back: double_test"),
    "edited": (*NOT_FIRST, "test restored: double_test"),
    "copied": (*FULL, "cell copied, the last counts: double"),
    "stripped": (*FULL, "metadata restored: "),
    "not_json": ("unreadable", 0, 0, 0, "not a notebook: "),
    "renamed": (*FULL, ""),
    "reads": (*FULL, ""),
    "stderr": (*FULL, ""),
    "socket": (*FULL, ""),
    "untested": (*NOT_FIRST, "double_test: AssertionError"),
    "shows_points": (*NOT_FIRST, "double_test: AssertionError"),
    "unmarked": (*NOT_FIRST, "double_test: AssertionError"),
}


@pytest.mark.parametrize("student", EXPECTED)
def test_every_hand_in_gets_what_it_deserves(grading, student):
    status, *points, reason = EXPECTED[student]
    row = grading.rows[student]
    scores = [float(row[f"{name}_test"]) for name in small.RIGHT]
    assert (row["status"], scores) == (status, points), row
    assert (float(row["total"]), float(row["max"])) == (sum(points), 9)
    if reason:
        assert reason in row["reason"]
    else:
        assert row["reason"] == ""


def test_every_hand_in_has_one_row(grading):
    assert set(grading.rows) == {*EXPECTED, "memory"}


def test_ten_gigabytes_cost_the_task_that_wants_them(grading, boxed):
    row = grading.rows["memory"]
    assert (row["status"], row["total"]) == ("graded", "6"), row
    assert "total_test: " in row["reason"]
    assert "MemoryError" in row["reason"]


def test_what_a_hand_in_leaves_running_is_ended(grading):
    assert grading.left == []


def test_a_page_stays_small_whatever_is_printed(grading):
    assert len(grading.page("lines")) < len(grading.page("ada")) + 100_000
    assert "line 17" in grading.page("lines")


def test_no_hand_in_sees_another_the_gradebook_or_the_solution(grading, boxed):
    printed = grading.notebook("reads")
    assert "SEEN" not in printed.replace('print(\\"SEEN', "")
    assert "WALKED ALL" in printed
    assert "PRIVATE None" in printed
    assert "NEW USER NAMESPACE -1" in printed
    assert "PROCESSES 2" in printed


def test_no_hand_in_reaches_the_network(grading, boxed):
    assert "NO NETWORK" in grading.notebook("socket")
    assert grading.connected == []


def test_nothing_among_the_hand_ins_or_the_solution_is_touched(grading):
    assert grading.untouched


@pytest.mark.parametrize("student", sorted(set(EXPECTED) - {"not_json"}))
def test_no_page_shows_a_hidden_test(grading, student):
    page = grading.page(student)
    assert "the_hidden_number" not in page
    assert "== 34" not in page
    assert "Hidden tests follow here" in page


def test_a_page_gives_the_points_and_what_failed(grading):
    page = grading.page("wrong")
    assert "Score: 7.0 / 9.0" in page
    assert "AssertionError" in page
