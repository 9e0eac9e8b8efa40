"""A process that imports once what every hand-in needs, and forks for each hand-in.

Starting Python, nbgrader and TensorFlow takes several seconds; a fork of a process that has them
takes some hundredths. No hand-in runs in this process, and it never runs an operation: a process
forked before TensorFlow's first operation is as good as a fresh one.
"""

import contextlib
import importlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

from cnncourse.classroom import assignment, box, feedback, kernel, marking
from cnncourse.classroom.marking import Result


class Grader:
    """Grades hand-ins of one assignment, each in processes of its own; any number at a time.

    ``packed`` comes from ``assignment.pack``. Use it as a context manager: leaving it ends whatever
    still runs. ``boxed`` says whether hand-ins run in boxes.
    """

    def __init__(
        self,
        packed: bytes,
        limits: kernel.Limits,
        hidden: tuple[str, ...] = (),
        boxed: bool | None = None,
    ) -> None:
        self.boxed = box.works() if boxed is None else boxed
        self._limits = limits
        self._hidden = hidden
        self._temporary = tempfile.TemporaryDirectory(
            prefix="cnncourse-", ignore_cleanup_errors=True
        )
        self.root = Path(self._temporary.name).resolve()
        for name in ("assignment", "home"):
            (self.root / name).mkdir()
        assignment.unpack(packed, self.root / "assignment")
        self._settings = {"folder": str(self.root / "assignment"), "limits": asdict(limits)}
        self._zygote: subprocess.Popen[bytes] | None = None
        self._running: list[subprocess.Popen[bytes]] = []
        self._closed = False
        self._lock = threading.Lock()

    def __enter__(self) -> "Grader":
        """Nothing is started before it is needed."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End what still runs."""
        self.close()

    def close(self) -> None:
        """End what still runs, and leave nothing behind."""
        self._closed = True  # from here on nothing is started
        for process in list(self._running):
            end(process.pid)
            process.wait()
        self._temporary.cleanup()

    def grade(self, content: bytes) -> Result:
        """Grade one notebook, given as its bytes; once more where the fault may be ours."""
        result = self._once(content)
        return self._once(content) if result.status == "failed" and not self._closed else result

    def _once(self, content: bytes) -> Result:
        try:
            stored = self._forked(content) if self.boxed else self._alone(content)
        except (OSError, EOFError, ValueError) as error:
            return Result("failed", f"the grading process ended: {error!r}")
        return Result(**{**stored, "limit": self._limits.seconds})

    def _alone(self, content: bytes) -> dict[str, Any]:
        home = Path(tempfile.mkdtemp(dir=self.root))  # else one could leave start-up files for all
        process = self._start("marking", self._settings, home)
        try:
            reply, _ = process.communicate(content)
        finally:
            self._running.remove(process)
        return json.loads(reply)  # ValueError where it ended without a word

    def _forked(self, content: bytes) -> dict[str, Any]:
        address = str(self.root / "zygote")
        with self._lock:
            if self._zygote is None or self._zygote.poll() is not None:
                modules = assignment.load(self.root / "assignment").modules
                own = {"hidden": self._hidden, "address": address, "modules": modules}
                Path(address).unlink(missing_ok=True)
                self._zygote = self._start("zygote", {**self._settings, **own}, self.root / "home")
                assert self._zygote.stdout is not None
                self._zygote.stdout.readline()  # it listens
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(address)
            line.sendall(content)
            line.shutdown(socket.SHUT_WR)
            return json.loads(_all(line))  # ValueError where it ended without a word

    def _start(self, module: str, settings: dict[str, Any], home: Path) -> subprocess.Popen[bytes]:
        if self._closed:
            raise OSError("grading has been broken off")
        environment = kernel.clean_environment(home, self._limits.threads)
        process = subprocess.Popen(
            [sys.executable, "-m", f"cnncourse.classroom.{module}", json.dumps(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment | {"TMPDIR": str(self.root)},
            cwd=self.root,
            start_new_session=True,  # Ctrl-C is for the command, which then ends this
        )
        self._running.append(process)
        return process


def end(pid: int) -> None:
    """End a process and everything below it."""
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        all_ = [*process.children(recursive=True), process]
        for one in all_:
            with contextlib.suppress(psutil.Error):
                one.kill()
        psutil.wait_procs(all_, timeout=10)


def _all(line: socket.socket) -> bytes:
    """What comes until the other side has said all."""
    return b"".join(iter(lambda: line.recv(2**16), b""))


def main() -> None:
    """Import, listen, fork for each connection, until stdin closes.

    A hand-in's code can read all that this process knows: it never reads the assignment.
    """
    settings = json.loads(sys.argv[1])
    folder = Path(settings["folder"])
    feedback.warm_up()
    importlib.import_module("ipykernel.kernelapp")
    for name in settings["modules"]:
        with contextlib.suppress(Exception):  # the hand-in itself will say what is missing
            importlib.import_module(name)
    server = socket.socket(socket.AF_UNIX)
    server.bind(settings["address"])
    server.listen(64)
    print("ready", flush=True)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the forks
    limits = kernel.Limits(**settings["limits"])
    while sys.stdin not in select.select([server, sys.stdin], [], [])[0]:
        line, _ = server.accept()
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            try:
                server.close()
                grade = marking.mark(folder, limits, tuple(settings["hidden"]), boxed=True)
                line.sendall(json.dumps(asdict(grade(_all(line)))).encode())
            finally:
                os._exit(0)
        line.close()
    kernel.kill_children()
    shutil.rmtree(folder.parent, ignore_errors=True)


if __name__ == "__main__":
    main()
