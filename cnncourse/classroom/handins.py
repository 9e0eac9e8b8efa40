"""Finding the hand-ins in what a teacher has: folders, nbgrader's tree, a learning platform's zip.

Everything is read into memory; nothing is written beside the hand-ins.
"""

import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

LARGEST = 100 * 2**20  # bytes of one notebook
# Moodle: "Ada Lovelace_12345_assignsubmission_file_", a folder or the beginning of a file's name.
_MOODLE = re.compile(r"^(?P<student>.+_\d+)_assignsubmission_[a-z]+_?(?P<rest>.*)$")
_SKIPPED = ("__MACOSX", ".ipynb_checkpoints")
_ARCHIVE = ".zip"


@dataclass(frozen=True)
class HandIn:
    """What one student handed in. ``file`` says where; ``problem`` why there is no notebook."""

    student: str
    file: str
    content: bytes = b""
    problem: str = ""
    note: str = ""


@dataclass(frozen=True)
class _File:
    """One file below the folder of hand-ins, or in an archive there."""

    parts: tuple[str, ...]
    path: Path
    member: str = ""  # in the archive ``path``

    def read(self) -> bytes:
        if not self.member:
            if self.path.stat().st_size > LARGEST:
                raise ValueError(f"larger than {LARGEST // 2**20} MiB")
            return self.path.read_bytes()
        with zipfile.ZipFile(self.path) as archive:
            if archive.getinfo(self.member).file_size > LARGEST:
                raise ValueError(f"larger than {LARGEST // 2**20} MiB")
            return archive.read(self.member)


def find(submissions: Path, assignment: str, notebook: str) -> list[HandIn]:
    """Every hand-in below a folder or in a zip, one for each student, in order of their names.

    Understood are: notebooks named by student; a folder for each student; nbgrader's
    ``STUDENT/ASSIGNMENT/``; Moodle's folders and files; and a student's zip in any of these.
    """
    if not submissions.exists():
        raise FileNotFoundError(f"no hand-ins at {submissions} -> give a folder or a zip file")
    files, empty = _files(submissions)
    by_student: dict[str, list[_File]] = {name: [] for name in empty}
    tree = any(len(file.parts) > 2 and file.parts[1] == assignment for file in files)
    for file in files:
        mine = by_student.setdefault(_student(file.parts[0], len(file.parts) == 1), [])
        if not tree or file.parts[1:2] == (assignment,):  # else: handed in for another assignment
            mine.append(file)
    found = [_choose(student, by_student[student], notebook) for student in sorted(by_student)]
    if not found:
        raise ValueError(f"{submissions} holds no notebook, no student's folder and no zip")
    return found


def _files(submissions: Path) -> tuple[list[_File], set[str]]:
    """All files, archives opened, and the names of top folders that hold nothing."""
    if submissions.is_file():
        return _in_archive(submissions, ()), set()
    files: list[_File] = []
    for path in sorted(submissions.rglob("*")):
        parts = path.relative_to(submissions).parts
        if path.is_file() and not path.is_symlink() and _wanted(parts):
            archive = path.suffix.lower() == _ARCHIVE
            files += _in_archive(path, parts) if archive else [_File(parts, path)]
    full = {file.parts[0] for file in files}
    tops = {path.name for path in submissions.iterdir() if path.is_dir() and _wanted((path.name,))}
    return files, {_student(name, False) for name in tops - full}


def _in_archive(path: Path, parts: tuple[str, ...]) -> list[_File]:
    """The files in a zip, as if it were the folder it lies in; itself where it is none."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [info.filename for info in archive.infolist() if not info.is_dir()]
    except (zipfile.BadZipFile, OSError):
        return [_File(parts or (path.name,), path)]
    inner = [(name, PurePosixPath("/", name).parts[1:]) for name in names]
    # ada.zip among the hand-ins is a student's; the zip of the whole class is nobody's.
    before = (*parts[:-1], PurePosixPath(parts[-1]).stem) if len(parts) == 1 else parts[:-1]
    return [_File((*before, *own), path, name) for name, own in inner if own and _wanted(own)]


def _wanted(parts: Sequence[str]) -> bool:
    return not any(part in _SKIPPED or part.startswith(("._", ".")) for part in parts)


def _student(top: str, is_file: bool) -> str:
    """Whose folder or file it is, from its name."""
    moodle = _MOODLE.match(top)
    name = moodle["student"] if moodle else PurePosixPath(top).stem if is_file else top
    return name.strip().encode("utf-8", "replace").decode() or "?"


def _choose(student: str, files: Sequence[_File], notebook: str) -> HandIn:
    """The one notebook that counts; a note says so where there was a choice."""
    notebooks = [file for file in files if ".ipynb" in file.parts[-1].lower()]
    notebooks = notebooks or [file for file in files if file.parts[-1].lower().endswith(".json")]
    if not notebooks:
        names = ", ".join(file.parts[-1] for file in files[:5])
        why = f"no notebook among {names}" if files else "nothing was handed in"
        return HandIn(student, "", problem=why)
    expected = [file for file in notebooks if _plain_name(file) == notebook]
    chosen = min(expected or notebooks, key=lambda file: (len(file.parts), file.parts))
    note = f"took {chosen.parts[-1]} of {len(notebooks)} notebooks" if len(notebooks) > 1 else ""
    where = "/".join(chosen.parts)
    try:
        return HandIn(student, where, chosen.read(), note=note)
    except (OSError, ValueError, zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        return HandIn(student, where, problem=f"cannot be read: {error}")


def _plain_name(file: _File) -> str:
    name = file.parts[-1]
    moodle = _MOODLE.match(name)
    return PurePosixPath(moodle["rest"] if moodle else name).stem
