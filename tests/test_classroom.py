"""Grading: what teachers have, going on after a break, points given by hand, no box at hand."""

import contextlib
import csv
import importlib.util
import signal
import subprocess
import sys
import time
import zipfile

import nbformat
import psutil
import pytest
import small_assignment as small
from nbconvert import HTMLExporter
from nbgrader.api import Gradebook
from traitlets.config import PyFileConfigLoader

from cnncourse import classroom, cli
from cnncourse.classroom import assignment, feedback, handins, mending, results, zygote
from cnncourse.classroom.kernel import Limits, clean_environment

NOTEBOOK = nbformat.writes(small.hand_in()).encode()
WRONG = nbformat.writes(small.hand_in(double="def double(x):\n    return 3 * x")).encode()


@pytest.fixture(scope="module")
def solution(tmp_path_factory):
    return small.course(tmp_path_factory.mktemp("course"))


@pytest.fixture(scope="module")
def prepared(solution, tmp_path_factory):
    """The assignment as graders get it: its folder and its description."""
    folder = tmp_path_factory.mktemp("prepared")
    return folder, assignment.prepare(solution, folder)


def put(folder, *names, content=NOTEBOOK):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def table(out):
    with (out / "grades.csv").open(newline="", encoding="utf-8") as file:
        return {row["student"]: row for row in csv.DictReader(file)}


# The assignment


def test_what_is_prepared_holds_the_tests_and_no_solution(prepared):
    folder, found = prepared
    assert [(task.name, task.points, task.by_hand) for task in found.tasks] == [
        ("double_test", 2, False),
        ("total_test", 3, False),
        ("shift_test", 4, False),
    ]
    assert (found.notebook, found.max, found.modules) == (small.NOTEBOOK, 9, ("numpy",))
    assert small.HIDDEN in found.hidden
    assert "assert double(2) == 4" not in found.hidden
    everything = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert b"return 2 * x" not in everything
    assert small.HIDDEN.encode() in (folder / "gradebook.db").read_bytes()
    assert small.HIDDEN not in (folder / "released.ipynb").read_text()


def test_what_the_tests_hand_in_is_what_nbgrader_hands_out(prepared):
    cells = assignment.released_cells(prepared[0])
    assert [one.source for one in cells] == [one.source for one in small.released().cells]


def test_a_packed_assignment_unpacks_to_the_same(prepared, tmp_path):
    folder, found = prepared
    assignment.unpack(assignment.pack(folder), tmp_path)
    assert assignment.load(tmp_path) == found
    assert (tmp_path / "files").is_dir()


def test_the_digest_follows_the_solution(solution, prepared, tmp_path):
    again = small.course(tmp_path)
    notebook = again / f"{small.NOTEBOOK}.ipynb"
    notebook.write_bytes((solution / notebook.name).read_bytes())
    folder = tmp_path / "one"
    folder.mkdir()
    assert assignment.prepare(again, folder).digest == prepared[1].digest
    notebook.write_text(notebook.read_text().replace("the_hidden_number = 17", "n = 3"))
    (tmp_path / "two").mkdir()
    assert assignment.prepare(again, tmp_path / "two").digest != prepared[1].digest


def test_a_notebook_that_sets_variables_is_not_imported_for(tmp_path):
    folder = small.course(tmp_path, first="import os\nos.environ['A'] = 'b'\nimport numpy as np")
    (tmp_path / "out").mkdir()
    assert assignment.prepare(folder, tmp_path / "out").modules == ()


# What teachers have


def found(folder):
    return {h.student: h for h in handins.find(folder, small.NAME, small.NOTEBOOK)}


def test_notebooks_named_by_student(tmp_path):
    assert list(found(put(tmp_path, "ada.ipynb", "Bob Ray.ipynb"))) == ["Bob Ray", "ada"]


def test_a_folder_for_each_student(tmp_path):
    put(tmp_path, "ada/warmup.ipynb", "ada/.ipynb_checkpoints/warmup-checkpoint.ipynb")
    put(tmp_path, "ada/draft.ipynb", content=WRONG)
    put(tmp_path, "bob/my solution.ipynb", "cy/report.pdf", "dee/deep/down/warmup.ipynb")
    (tmp_path / "eve").mkdir()
    hand_ins = found(tmp_path)
    assert list(hand_ins) == ["ada", "bob", "cy", "dee", "eve"]
    assert hand_ins["ada"].content == NOTEBOOK
    assert hand_ins["ada"].note == "took warmup.ipynb of 2 notebooks"
    assert hand_ins["bob"].file == "bob/my solution.ipynb"
    assert hand_ins["cy"].problem == "no notebook among report.pdf"
    assert hand_ins["dee"].content == NOTEBOOK
    assert hand_ins["eve"].problem == "nothing was handed in"


def test_the_tree_that_nbgrader_collects(tmp_path):
    put(tmp_path, f"ada/{small.NAME}/warmup.ipynb", f"ada/{small.NAME}/timestamp.txt")
    put(tmp_path, "ada/ps09_other/warmup.ipynb", content=WRONG)
    put(tmp_path, "bob/ps09_other/warmup.ipynb")
    hand_ins = found(tmp_path)
    assert hand_ins["ada"].content == NOTEBOOK
    assert hand_ins["bob"].problem == "nothing was handed in"


@pytest.mark.parametrize("as_zip", [True, False])
def test_what_moodle_gives(tmp_path, as_zip):
    names = {
        "Ada Lovelace_101_assignsubmission_file_/warmup.ipynb": NOTEBOOK,
        "Ada Lovelace_102_assignsubmission_file_/warmup.ipynb": WRONG,
        "Bob Ray_103_assignsubmission_file_warmup.ipynb": NOTEBOOK,
        "Cy Z_104_assignsubmission_file_notes.txt": b"sorry",
        "__MACOSX/x.ipynb": b"",
    }
    submissions = tmp_path / "class"
    if as_zip:
        submissions = tmp_path / "class.zip"
        with zipfile.ZipFile(submissions, "w") as archive:
            for name, content in names.items():
                archive.writestr(name, content)
    else:
        for name, content in names.items():
            put(submissions, name, content=content)
    hand_ins = found(submissions)
    assert {name: h.content for name, h in hand_ins.items()} == {
        "Ada Lovelace_101": NOTEBOOK,
        "Ada Lovelace_102": WRONG,
        "Bob Ray_103": NOTEBOOK,
        "Cy Z_104": b"",
    }
    assert "notes.txt" in hand_ins["Cy Z_104"].problem


def test_a_zip_of_a_student_is_opened(tmp_path):
    for place in ("ada.zip", "bob/work.zip"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        with zipfile.ZipFile(tmp_path / place, "w") as archive:
            archive.writestr("ps/warmup.ipynb", NOTEBOOK)
    put(tmp_path, "cy/broken.zip", content=b"PK\x03\x04 no zip")
    hand_ins = found(tmp_path)
    assert hand_ins["ada"].content == hand_ins["bob"].content == NOTEBOOK
    assert hand_ins["cy"].problem == "no notebook among broken.zip"


def test_names_in_a_zip_lead_nowhere_else(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("../../evil/warmup.ipynb", NOTEBOOK)
        archive.writestr("/etc/warmup.ipynb", NOTEBOOK)
    assert [(h.student, h.file) for h in found(tmp_path).values()] == [("a", "a/etc/warmup.ipynb")]


def test_a_link_is_not_followed_to_anothers_work(tmp_path):
    put(tmp_path, "ada/warmup.ipynb")
    (tmp_path / "bob").mkdir()
    (tmp_path / "bob" / "warmup.ipynb").symlink_to(tmp_path / "ada" / "warmup.ipynb")
    assert found(tmp_path)["bob"].problem == "nothing was handed in"


def test_hand_ins_that_are_nowhere_are_said_to_be(tmp_path):
    with pytest.raises(FileNotFoundError, match="no hand-ins at"):
        found(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="holds no notebook"):
        found(tmp_path)


# Cells put back in order


def mended(notebook, prepared):
    return mending.mend(notebook.cells, assignment.released_cells(prepared[0]))


def test_a_good_hand_in_is_left_as_it_is(prepared):
    notebook = small.hand_in()
    cells, notes = mended(notebook, prepared)
    assert notes == []
    assert [one.source for one in cells] == [one.source for one in notebook.cells]


def test_marks_come_from_what_was_handed_out_not_from_the_hand_in(prepared):
    notebook = small.hand_in()
    test = small.by_name(notebook)["total_test"]
    test.metadata = {"nbgrader": {"grade_id": "total_test", "points": 99}, "tags": ["x"]}
    cells, _ = mended(notebook, prepared)
    mark = next(one for one in cells if one.id == "total_test").metadata
    assert mark.nbgrader.points == 3
    assert "tags" not in mark


def test_a_moved_definition_is_found_and_its_test_follows_it(prepared):
    notebook = small.hand_in()
    named = small.by_name(notebook)
    for name in ("double", "double_test"):
        notebook.cells.remove(named[name])
    rewritten = nbformat.v4.new_code_cell("def double(number):\n    return number + number")
    notebook.cells.append(rewritten)
    cells, notes = mended(notebook, prepared)
    assert [one.source for one in cells[-2:]] == [rewritten.source, "assert double(2) == 4"]
    assert "cell put back: double_test" in notes


def test_a_hand_in_that_replaces_what_a_test_calls_is_noticed():
    sources = (
        "import numpy as np\nfrom cnncourse import checks as check",
        "check.conv2d = print\nnp.testing.assert_allclose = print\nx = 3\nx.y = 4",
        "setattr(check, 'dense', print)\nnp.random.seed(3)",
        "def broken(",
    )
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    assert mending.replaced(cells) == [
        "check.conv2d",
        "np.testing.assert_allclose",
        "check.dense",
    ]
    assert mending.replaced(small.hand_in().cells) == []


def test_whatever_a_notebook_holds_reading_it_ends_well(prepared):
    strange = (b"", b"[]", b"null", b"{}", b'{"cells": 3}', b"\xff\xfe", b'"x"', b"[" * 10**5)
    for content in strange:
        from cnncourse.classroom import marking

        with pytest.raises(ValueError, match="not a notebook"):
            marking.read(content)


# From the command line, and again


def test_a_second_run_grades_only_what_is_new_and_keeps_what_a_person_gave(
    solution, tmp_path, monkeypatch, capsys
):
    hand_ins = put(tmp_path / "in", "ada.ipynb")
    put(hand_ins, "bob.ipynb", content=WRONG)
    out = tmp_path / "out"
    command = ["grade", str(solution), str(hand_ins), "--out", str(out), "--jobs", "2"]
    assert cli.main(command) == 0
    assert "2 graded" in capsys.readouterr().out
    assert table(out)["bob"]["total"] == "7"
    with Gradebook(f"sqlite:///{out / 'gradebook.db'}") as book:
        grade = book.find_grade("double_test", small.NOTEBOOK, small.NAME, "bob")
        grade.manual_score, grade.needs_manual_grade = 1.5, False
        comment = book.find_comment("double", small.NOTEBOOK, small.NAME, "bob")
        comment.manual_comment = "Nearly: twice, not thrice."
        book.db.commit()
    put(hand_ins, "cy.ipynb", content=NOTEBOOK.replace(b"# Warm-up", b"# Mine"))
    graded, file = [], (out / "gradebook.db").stat().st_ino
    one = zygote.Grader.grade
    monkeypatch.setattr(
        zygote.Grader, "grade", lambda self, content: graded.append(content) or one(self, content)
    )
    assert cli.main(command) == 0
    assert len(graded) == 1
    rows = table(out)
    assert {name: row["total"] for name, row in rows.items()} == {
        "ada": "9",
        "bob": "8.5",
        "cy": "9",
    }
    page = (out / "feedback" / "bob" / small.NAME / "warmup.html").read_text(encoding="utf-8")
    assert "twice, not thrice" in page
    assert "Score: 8.5 / 9.0" in page
    assert (out / "gradebook.db").stat().st_ino == file  # a JupyterLab may have it open
    # What a person read has changed since: that person looks again.
    put(hand_ins, "bob.ipynb", content=WRONG.replace(b"3 * x", b"4 * x"))
    cli.main(command)
    with Gradebook(f"sqlite:///{out / 'gradebook.db'}") as book:
        grade = book.find_grade("double_test", small.NOTEBOOK, small.NAME, "bob")
        assert (grade.manual_score, grade.needs_manual_grade) == (1.5, True)


HOSTILE = """\
Ada, *nearly*: $a < b$
<script>fetch("/api/contents/x", {method: "PUT"})</script>
<img src="x" onerror="alert(1)"> [here](javascript:alert(1))

![pasted](data:image/png;base64,iVBORw0KGgo=)"""


@pytest.mark.parametrize("place", ["page", "review"])
def test_what_a_hand_in_wrote_does_not_run_in_the_teachers_browser(
    place, prepared, solution, tmp_path
):
    folder, description = prepared
    notebook = small.hand_in()
    notebook.cells[0].source = HOSTILE
    if place == "page":
        shown = feedback.page(notebook, description, assignment.released_cells(folder), {})
    else:
        hand_ins, out = put(tmp_path / "in", "ada.ipynb", content=b"{"), tmp_path / "out"
        classroom.grade(str(solution), hand_ins, out)
        settings = PyFileConfigLoader("nbgrader_config.py", path=str(out)).load_config()
        assert settings.CourseDirectory.feedback_directory != "feedback"
        shown = HTMLExporter(config=settings).from_notebook_node(notebook)[0]
    assert "fetch(" in shown  # as text
    for harm in ('<script>fetch("', "onerror=", 'href="javascript'):
        assert harm not in shown
    assert 'src="data:image/png;base64,iVBORw0KGgo="' in shown
    assert "<em>nearly</em>" in shown


def test_a_killed_run_goes_on_where_it_was(solution, tmp_path):
    hand_ins = tmp_path / "in"
    for number in range(6):
        text = NOTEBOOK.replace(b"# Warm-up", b"# %d" % number)
        put(hand_ins, f"student{number}.ipynb", content=text)
    slow = "import time\ndef double(x):\n    time.sleep(20)\n    return 2 * x"
    put(hand_ins, "zz.ipynb", content=nbformat.writes(small.hand_in(double=slow)).encode())
    out = tmp_path / "out"
    command = [sys.executable, "-m", "cnncourse.cli", "grade", str(solution), str(hand_ins)]
    command += ["--out", str(out), "--jobs", "1"]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    kept = out / ".cnncourse" / "results"
    deadline = time.monotonic() + 120
    while len(list(kept.glob("*.gz"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    below = psutil.Process(child.pid).children(recursive=True)
    child.kill()
    child.wait()
    assert not (out / "grades.csv").exists()
    psutil.wait_procs(below, timeout=20)
    assert [process for process in below if process.is_running()] == []
    before = {path: path.stat().st_mtime_ns for path in kept.glob("*.gz")}
    assert 2 <= len(before) < 7
    (hand_ins / "zz.ipynb").unlink()
    assert cli.main(command[3:]) == 0
    assert {name: row["total"] for name, row in table(out).items()} == {
        f"student{number}": "9" for number in range(6)
    }
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in before.items())


def test_ctrl_c_ends_at_once_and_leaves_nothing_running(solution, tmp_path):
    slow = "import time\ndef double(x):\n    time.sleep(100)\n    return 2 * x"
    put(tmp_path / "in", "a.ipynb", content=nbformat.writes(small.hand_in(double=slow)).encode())
    command = [sys.executable, "-m", "cnncourse.cli", "grade", str(solution)]
    command += [str(tmp_path / "in"), "--out", str(tmp_path / "out")]
    child = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # A shell that starts the tests with "&" has them ignore it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    process = psutil.Process(child.pid)
    deadline = time.monotonic() + 120
    while len(process.children(recursive=True)) < 4 and time.monotonic() < deadline:
        time.sleep(0.1)
    below = process.children(recursive=True)
    assert len(below) >= 4
    child.send_signal(signal.SIGINT)
    assert child.wait(timeout=30) == 130
    psutil.wait_procs(below, timeout=20)
    assert [one for one in below if one.is_running()] == []


def test_a_mended_test_grades_all_again_and_keeps_what_a_person_gave(tmp_path):
    solution = small.course(tmp_path)
    hand_ins, out = put(tmp_path / "in", "ada.ipynb"), tmp_path / "out"
    classroom.grade(str(solution), hand_ins, out)
    with Gradebook(f"sqlite:///{out / 'gradebook.db'}") as book:
        grade = book.find_grade("total_test", small.NOTEBOOK, small.NAME, "ada")
        grade.manual_score, grade.needs_manual_grade = 1.0, False
        book.db.commit()
    path = solution / f"{small.NOTEBOOK}.ipynb"
    path.write_text(path.read_text().replace("the_hidden_number) == 34", "17) == 35"))
    classroom.grade(str(solution), hand_ins, out)
    row = table(out)["ada"]
    scores = {task: row[task] for task in ("double_test", "total_test", "shift_test")}
    assert scores == {"double_test": "0", "total_test": "1", "shift_test": "4"}


# What makes no sense


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"jobs": 0}, "jobs is 0"),
        ({"timeout": 0.0}, "timeout is 0.0"),
        ({"assignment": "ps77_nothing"}, "no solution 'ps77_nothing'"),
    ],
)
def test_bad_arguments_are_named(solution, tmp_path, change, message):
    put(tmp_path / "in", "ada.ipynb")
    given = {"assignment": str(solution), "submissions": tmp_path / "in", "out": tmp_path / "out"}
    with pytest.raises((ValueError, OSError), match=message):
        classroom.grade(**{**given, **change})
    assert not (tmp_path / "out").exists()


def test_a_folder_with_other_files_is_never_written_into(solution, tmp_path):
    put(tmp_path / "in", "ada.ipynb")
    put(tmp_path / "out", "thesis.txt", content=b"mine")
    with pytest.raises(ValueError, match="holds other files"):
        classroom.grade(str(solution), tmp_path / "in", tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.txt"]
    with pytest.raises(ValueError, match="among the hand-ins"):
        classroom.grade(str(solution), tmp_path / "in", tmp_path / "in" / "out")


def test_without_nbgrader_the_line_that_installs_it_is_given(monkeypatch, tmp_path, capsys):
    absent = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "nbgrader" else absent(name)
    )
    assert cli.main(["grade", "ps00", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    assert 'pip install "cnncourse[classroom]"' in capsys.readouterr().err


# Without a box


def test_the_environment_of_hand_ins_holds_nothing_private(monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("CNNCOURSE_DATA", str(tmp_path))
    environment = clean_environment(tmp_path)
    assert "secret" not in environment.values()
    assert environment["CNNCOURSE_DATA"] == str(tmp_path)
    assert environment["HOME"] == str(tmp_path)


def test_without_namespaces_grading_still_ends_with_the_right_points(prepared):
    escapes = (
        "import os, subprocess\ndef double(x):\n"
        "    subprocess.Popen(['sleep', '97531.5'], start_new_session=True)\n    return 2 * x"
    )
    leaves = (
        "import os, pathlib\nstartup = pathlib.Path(os.environ['IPYTHONDIR'])\n"
        "startup = startup / 'profile_default' / 'startup'\n"
        "startup.mkdir(parents=True, exist_ok=True)\n"
        "(startup / '00.py').write_text('import os; os._exit(1)')\n"
        "def double(x):\n    return 2 * x"
    )
    cases = {
        "leaves start-up files": (small.hand_in(double=leaves), "graded", 9),
        "right": (small.hand_in(), "graded", 9),
        "exit": (
            small.hand_in(total="import os\ndef total(values):\n    os._exit(3)"),
            "stopped",
            2,
        ),
        "escapes": (small.hand_in(double=escapes), "graded", 9),
    }
    with zygote.Grader(assignment.pack(prepared[0]), Limits(20.0), boxed=False) as grader:
        for name, (notebook, status, total) in cases.items():
            result = grader.grade(nbformat.writes(notebook).encode())
            assert (result.status, sum(result.scores.values())) == (status, total), (name, result)
    command_lines = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            command_lines.append(process.cmdline())
    assert ["sleep", "97531.5"] not in command_lines


def test_a_kernel_that_cannot_start_is_our_fault_and_not_the_students(prepared, tmp_path):
    with zygote.Grader(assignment.pack(prepared[0]), Limits(20.0, memory=1)) as grader:
        result = grader.grade(NOTEBOOK)
    assert (result.status, result.scores) == ("failed", {})
    store = results.Store(tmp_path / "out", small.NAME)
    store.put("key", result)
    assert store.get("key", 20.0) is None
    store.close()


def test_memory_is_counted_over_all_processes_of_a_hand_in(prepared):
    shared_out = (
        "import multiprocessing, time\nheld = []\n"
        "def hold():\n    held.append(np.ones(40 * 2**20))\n    time.sleep(60)\n"
        "def total(values):\n"
        "    fork = multiprocessing.get_context('fork')\n"
        "    children = [fork.Process(target=hold) for _ in range(3)]\n"
        "    for child in children:\n        child.start()\n"
        "    for child in children:\n        child.join()\n"
        "    return np.sum(values)"
    )
    content = nbformat.writes(small.hand_in(total=shared_out)).encode()
    # 320 MiB in each of three processes: too much for all together, not for one.
    with zygote.Grader(assignment.pack(prepared[0]), Limits(100.0, 800 * 2**20)) as grader:
        result = grader.grade(content)
    assert result.status == "stopped"
    assert result.reason.startswith("more than 0.8 GiB of memory")
    assert list(result.scores.values()) == [2, 0, 0]
