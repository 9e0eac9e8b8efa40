"""What a grading leaves: a table, pages, and a course root for nbgrader's own view.

The folder it writes into is claimed by a hidden folder in it, which also keeps the result of every
hand-in, so that a grading that was broken off goes on where it was.
"""

import contextlib
import csv
import gzip
import hashlib
import json
import os
import shutil
import sqlite3
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import filelock
import nbformat
from nbgrader.api import Comment, Grade, Gradebook

from cnncourse.classroom import feedback
from cnncourse.classroom.assignment import Assignment, released_cells
from cnncourse.classroom.handins import HandIn
from cnncourse.classroom.marking import Result

OWN = ".cnncourse"
TABLE = "grades.csv"
Scores = dict[str, float | None]

_CONFIG = """\
# Written by cnncourse grade: run `jupyter lab` in this folder to review hand-ins in nbgrader.
c = get_config()  # noqa
c.CourseDirectory.course_id = {name!r}
c.CourseDirectory.source_directory = {solutions!r}  # else nbgrader's view lists nothing
c.CourseDirectory.db_url = "sqlite:///" + {database!r}
c.CourseDirectory.feedback_directory = ".cnncourse/nbgrader"  # its pages show hidden tests
# What a hand-in wrote must not run in your browser: it could do all that you can do in JupyterLab.
c.HTMLExporter.sanitize_html = True
c.HTMLExporter.filters = {{"markdown2html": "cnncourse.classroom.feedback.markdown"}}
"""


class Store:
    """The results so far, in a folder that is this command's own; one command at a time."""

    def __init__(self, out: Path, assignment: str) -> None:
        """Claim ``out``. ValueError where it holds anything else, or another assignment."""
        self.out, self._own = out, out / OWN
        claim = self._own / "assignment"
        if out.exists() and not out.is_dir():
            raise ValueError(f"out is {out}, a file; give a folder")
        if not claim.exists():
            if out.exists() and any(out.iterdir()):
                raise ValueError(f"out is {out}, which holds other files; give a new folder")
            self._own.mkdir(parents=True)
            claim.write_text(assignment, encoding="utf-8")
        elif claim.read_text(encoding="utf-8") != assignment:
            held = claim.read_text(encoding="utf-8")
            raise ValueError(f"out is {out}, which holds grades of {held}; give a folder for each")
        self._lock = filelock.FileLock(self._own / "lock")
        try:
            self._lock.acquire(timeout=0)
        except filelock.Timeout:
            raise ValueError(f"out is {out}, where another cnncourse grade is at work") from None

    def close(self) -> None:
        """Let another command at the folder."""
        self._lock.release()

    def get(self, key: str, seconds: float) -> Result | None:
        """A result that still counts: not of a fault, nor of a time limit that is another now."""
        path = self._path(key)
        try:
            stored = json.loads(gzip.decompress(path.read_bytes()))
        except (OSError, ValueError, EOFError):
            return None
        result = Result(**stored)
        if result.status == "stopped" and result.limit != seconds:
            return None
        return result

    def put(self, key: str, result: Result) -> None:
        """Keep a result; one that failed is tried again next time."""
        if result.status != "failed":
            self._path(key).parent.mkdir(exist_ok=True)
            stored = gzip.compress(json.dumps(asdict(result)).encode(), 3)
            _write(self._path(key), stored)

    def _path(self, key: str) -> Path:
        return self._own / "results" / f"{key}.json.gz"


def key(assignment: Assignment, hand_in: HandIn) -> str:
    """What a result depends on: the assignment and the bytes handed in."""
    return hashlib.sha256(assignment.digest.encode() + hand_in.content).hexdigest()[:32]


def publish(
    out: Path,
    folder: Path,
    solution: Path,
    assignment: Assignment,
    found: Sequence[tuple[HandIn, Result]],
) -> list[dict[str, Any]]:
    """Write gradebook, notebooks, pages and table; return the table's rows.

    Points and comments that a person gave in nbgrader's view are kept, and count. ``folder`` is
    what ``assignment.prepare`` wrote for the folder ``solution``.
    """
    counts = _gradebook(out, folder, assignment, found)
    database = str((out / "gradebook.db").resolve())
    names = {"name": assignment.name, "solutions": str(solution.parent), "database": database}
    _write(out / "nbgrader_config.py", _CONFIG.format(**names).encode())
    released = released_cells(folder)
    rows = []
    for hand_in, result in found:
        scores, comments = counts[hand_in.student]
        place = Path(hand_in.student, assignment.name, assignment.notebook)
        places = {"submitted": ".ipynb", "autograded": ".ipynb", "feedback": ".html"}
        if not result.autograded:
            for kind, ending in places.items():  # of an earlier run, if there was one
                Path(out, kind, f"{place}{ending}").unlink(missing_ok=True)
        else:
            _write(_submitted(out, assignment, hand_in.student), hand_in.content)
            _write(out / "autograded" / f"{place}.ipynb", result.autograded.encode())
            html = result.feedback
            if scores != result.scores or comments:
                graded = nbformat.reads(result.autograded, as_version=4)
                html = feedback.page(graded, assignment, released, scores, comments)
            _write(out / "feedback" / f"{place}.html", html.encode())
        rows.append(_row(assignment, hand_in, result, scores))
    _table(out / TABLE, rows)
    return rows


def _row(assignment: Assignment, hand_in: HandIn, result: Result, scores: Scores) -> dict[str, Any]:
    waiting = [name for name, score in scores.items() if score is None]
    status = result.status
    if waiting and status == "graded":
        status = "to review"
    why = [result.reason, hand_in.note]
    if waiting and status != "failed":
        why.append("to be read by a person: " + ", ".join(waiting))
    given = {name: "" if score is None else f"{score:g}" for name, score in scores.items()}
    return {
        "student": hand_in.student,
        "file": hand_in.file,
        **given,
        "total": f"{sum(score or 0.0 for score in scores.values()):g}",
        "max": f"{assignment.max:g}",
        "status": status,
        "reason": " ".join("; ".join(filter(None, why)).split()),
    }


def _table(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    fresh = path.with_name(path.name + ".new")
    with fresh.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    os.replace(fresh, path)


def _gradebook(
    out: Path, folder: Path, assignment: Assignment, found: Sequence[tuple[HandIn, Result]]
) -> dict[str, tuple[Scores, dict[str, str]]]:
    """Build the gradebook anew, with what people entered in the last one; return what counts."""
    path, fresh = out / "gradebook.db", out / OWN / "gradebook.db"
    shutil.copy(folder / "gradebook.db", fresh)
    grades, comments = _entered(path)
    counts = {}
    with warnings.catch_warnings(), Gradebook(_url(fresh)) as book:
        warnings.simplefilter("ignore")  # nbgrader's, about its own queries
        for hand_in, result in found:
            student = hand_in.student
            before = _submitted(out, assignment, student)
            changed = before.exists() and before.read_bytes() != hand_in.content
            book.update_or_create_student(student)
            submission = book.update_or_create_submission(assignment.name, student)
            scores, said = dict(result.scores), {}
            for grade in submission.notebooks[0].grades:
                grade.auto_score = result.scores.get(grade.name)
                entered = grades.get((student, grade.name))
                if entered is None:
                    grade.needs_manual_grade = grade.auto_score is None
                    continue
                grade.manual_score, grade.extra_credit, again = entered
                grade.needs_manual_grade = again or changed  # read by a person before it changed
                points = grade.auto_score if grade.manual_score is None else grade.manual_score
                if not grade.needs_manual_grade and points is not None:
                    scores[grade.name] = points + (grade.extra_credit or 0.0)
            for comment in submission.notebooks[0].comments:
                text = comments.get((student, comment.name))
                if text:
                    comment.manual_comment = said[comment.name] = text
            counts[student] = scores, said
        book.db.commit()
    # Into the same file: a JupyterLab that has it open would go on with the one that was.
    with (
        contextlib.closing(sqlite3.connect(fresh)) as new,
        contextlib.closing(sqlite3.connect(path, timeout=60)) as old,
    ):
        new.backup(old)
    fresh.unlink()
    return counts


def _entered(path: Path) -> tuple[dict[Any, tuple[float | None, float | None, bool]], dict]:
    """Points (with extra credit, and whether they wait again) and comments given by people."""
    if not path.exists():
        return {}, {}
    with Gradebook(_url(path)) as book:
        grades = {
            (grade.student.id, grade.name): (
                *(grade.manual_score, grade.extra_credit),
                grade.needs_manual_grade,
            )
            for grade in book.db.query(Grade)
            if grade.manual_score is not None or grade.extra_credit is not None
        }
        comments = {
            (comment.student.id, comment.name): comment.manual_comment
            for comment in book.db.query(Comment)
            if comment.manual_comment
        }
    return grades, comments


def _submitted(out: Path, assignment: Assignment, student: str) -> Path:
    return out / "submitted" / student / assignment.name / f"{assignment.notebook}.ipynb"


def _url(gradebook: Path) -> str:
    return f"sqlite:///{gradebook.resolve()}?timeout=60"


def _write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; leave one alone that says the same."""
    with contextlib.suppress(OSError):
        if path.read_bytes() == content:
            return
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".new")
    fresh.write_bytes(content)
    os.replace(fresh, path)
