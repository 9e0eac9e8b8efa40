"""A Jupyter kernel for code that nobody has read: in a box where there can be one, and watched."""

import contextlib
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import zmq
from jupyter_client import AsyncKernelManager
from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning import LocalProvisioner

from cnncourse.classroom import box

LOOK = 0.5  # seconds between two looks at what a hand-in uses
PROCESSES = 100  # that a hand-in may have at a time
LARGEST_MESSAGE = 64 * 2**20  # bytes that a kernel may send at once


@dataclass(frozen=True)
class Limits:
    """What a hand-in may use: seconds for one cell, bytes of memory in all its processes.

    ``threads`` is how many NumPy and TensorFlow take for one operation; 0 leaves it to them.
    """

    seconds: float = 60.0
    memory: int = 4 * 2**30
    threads: int = 0


class Boxed:
    """A kernel's process in a box, forked from this process; it starts when told its connection.

    Has what ``jupyter_client`` asks of a ``subprocess.Popen``.
    """

    stdin = stdout = stderr = None

    def __init__(self, folder: Path, files: Path, limits: Limits, hidden: tuple[str, ...]) -> None:
        """Fork at once, before this process knows anything that the code must not see."""
        self.returncode: int | None = None
        self.sockets = folder / "s"
        root = folder / "root"
        for path in (self.sockets, root):
            path.mkdir()
        readable = (*box.readable_for_python(), *data_folders(), str(files))
        sockets = str(self.sockets)
        inside = box.Box(
            *(str(root), readable, hidden, sockets),
            ready=lambda: len(list(Path(sockets).glob("k-*"))) >= 5,
            memory=limits.memory,
        )
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            box.run(inside, lambda: _be_kernel(files, Path(sockets)))

    def poll(self) -> int | None:
        """The exit status, None while it runs."""
        if self.returncode is None:
            try:
                ended, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:  # reaped by whoever killed it
                self.returncode = -signal.SIGKILL
            else:
                if ended:
                    self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end."""
        while self.poll() is None:
            time.sleep(0.005)
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        """SIGINT reaches the code; with SIGKILL everything in the box ends."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End everything in the box."""
        self.send_signal(signal.SIGKILL)

    terminate = kill


def _be_kernel(files: Path, sockets: Path) -> None:
    """In the box: copy what was handed out, wait for the connection file, be a kernel."""
    from ipykernel.kernelapp import IPKernelApp

    shutil.copytree(files, box.FOLDER, dirs_exist_ok=True)
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    sys.path.insert(0, "")
    sys.argv = ["python"]
    connection = sockets / "connection.json"
    while not connection.exists():
        time.sleep(0.002)
    IPKernelApp.launch_instance(["-f", str(connection), "--HistoryManager.enabled=False"])


class _Provisioner(LocalProvisioner):
    """Starts the kernel: the boxed one that waits, else a process of its own."""

    boxed: Boxed | None = None
    folder: Path

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        if self.boxed is None:
            kwargs.update(cwd=str(self.folder), env=dict(os.environ))
            cmd = [*cmd, "--HistoryManager.enabled=False"]
            return await super().launch_kernel(cmd, **kwargs)
        assert self.parent is not None
        written = Path(self.parent.connection_file)
        os.rename(written, self.boxed.sockets / "connection.json")  # whole, or not there
        self.process: Any = self.boxed
        self.pid = self.boxed.pid
        return self.connection_info


class Manager(AsyncKernelManager):
    """A kernel manager whose kernel is boxed, or at least runs in a folder of its own."""

    limits = Limits()

    @classmethod
    def over(cls, folder: Path, boxed: Boxed | None, limits: Limits) -> "Manager":
        """Make one; ``folder`` is where a kernel without a box runs."""
        manager = cls(connection_file=str(folder / "c.json"))
        manager.limits = limits
        if boxed is not None:
            manager.transport, manager.ip = "ipc", str(boxed.sockets / "k")
        provisioner = _Provisioner(
            kernel_id="hand-in", kernel_spec=manager.kernel_spec, parent=manager
        )
        provisioner.boxed, provisioner.folder = boxed, folder
        manager.provisioner = provisioner
        manager.context.setsockopt(zmq.MAXMSGSIZE, LARGEST_MESSAGE)
        return manager


@contextlib.contextmanager
def watched(limits: Limits, stop: Callable[[str], None]) -> Iterator[None]:
    """Call ``stop(reason)`` when this process' children use too much; end them all at the end."""
    done = threading.Event()

    def watch() -> None:
        while not done.wait(LOOK):
            reason = _excess(limits)
            if reason:
                stop(reason)
                kill_children()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()
        kill_children()


def _excess(limits: Limits) -> str:
    children = psutil.Process().children(recursive=True)
    if len(children) > PROCESSES:
        return f"more than {PROCESSES} processes"
    if sum(_memory(child, quick=True) for child in children) <= limits.memory:
        return ""
    if sum(_memory(child, quick=False) for child in children) <= limits.memory:
        return ""  # what forked processes share was counted more than once
    return f"more than {limits.memory / 2**30:.1f} GiB of memory"


def _memory(process: psutil.Process, quick: bool) -> int:
    try:
        if quick or not sys.platform.startswith("linux"):
            return process.memory_info().rss
        return process.memory_full_info().pss
    except psutil.Error:
        return 0


def kill_children() -> None:
    """End every process below this one, those that tried to get away too."""
    while True:
        children = psutil.Process().children(recursive=True)
        alive = [child for child in children if _alive(child)]
        if not alive:
            return
        for child in alive:
            with contextlib.suppress(psutil.Error):
                child.kill()
        psutil.wait_procs(alive, timeout=1)


def _alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def data_folders() -> tuple[str, ...]:
    """Where this user keeps the course's data sets; hand-ins may read them."""
    import platformdirs

    keras = os.environ.get("KERAS_HOME") or os.path.expanduser("~/.keras")
    known = (
        os.environ.get("CNNCOURSE_DATA", ""),
        platformdirs.user_cache_dir("cnncourse"),
        os.path.join(keras, "datasets"),
    )
    return tuple(os.path.abspath(path) for path in known if path and os.path.isdir(path))


def clean_environment(home: Path, threads: int = 0) -> dict[str, str]:
    """The environment that hand-ins get: where programs and data are, and nothing private."""
    import platformdirs

    kept = (
        *("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "SYSTEMROOT", "LD_LIBRARY_PATH"),
        *("TF_CPP_MIN_LOG_LEVEL", "TF_ENABLE_ONEDNN_OPTS", "CNNCOURSE_SOURCE"),
    )
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    data = os.environ.get("CNNCOURSE_DATA")
    if data:
        environment["CNNCOURSE_DATA"] = os.path.abspath(data)
    cache = Path(platformdirs.user_cache_dir("cnncourse"))
    keras = os.environ.get("KERAS_HOME") or os.path.expanduser("~/.keras")
    if threads:
        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        for name in (*names, "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
            environment[name] = str(threads)
    return environment | {
        "HOME": str(home),
        "XDG_CACHE_HOME": str(cache.parent),
        "KERAS_HOME": keras,
        "MPLCONFIGDIR": str(home / "matplotlib"),
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "IPYTHONDIR": str(home / "ipython"),
        "JUPYTER_RUNTIME_DIR": str(home),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
