"""A box for code that nobody has read: Linux namespaces, entered by the process that will run it.

Inside there is a file system of its own (what Python needs, read-only, and a small scratch disk),
a process table of its own, no network and no privilege. When the box's first process ends, the
operating system ends every other process in it, however it was started.

Works for an ordinary user wherever user namespaces are allowed; ``works`` tries it. The calls are
``man 2 unshare``, ``mount_setattr``, ``pivot_root``; ``man 7 user_namespaces`` explains the order.
"""

import ctypes
import os
import platform
import resource
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

FOLDER = "/hand-in"  # where the code runs, on the scratch disk
DISK = 512 * 2**20  # bytes on the scratch disk
THREADS_OWN = 64 * 2**20  # bytes that libraries reserve, and do not use, for each processor
BROKEN = 90  # exit status where the box could not be made

# man 2 unshare: user, mount, process, network, IPC and host name.
_NAMESPACES = 0x10000000 | 0x00020000 | 0x20000000 | 0x40000000 | 0x08000000 | 0x04000000
_BIND, _RECURSIVE, _PRIVATE, _DETACH, _NOSUID, _NODEV = 0x1000, 0x4000, 0x40000, 2, 2, 4
_MOUNT_SETATTR, _AT_FDCWD, _AT_RECURSIVE, _READ_ONLY = 442, -100, 0x8000, 1
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_PDEATHSIG, _DUMPABLE, _DROP_FROM_BOUNDING_SET, _NO_NEW_PRIVILEGES = 1, 4, 24, 38
_CAPABILITY_VERSION = 0x20080522

# Of the system's settings only what programs need to start; the rest may hold passwords.
_SYSTEM = (
    *("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/sys/devices/system"),
    *("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives"),
    *("/etc/localtime", "/etc/fonts", "/etc/passwd", "/etc/nsswitch.conf", "/etc/mime.types"),
    *("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"),
)


@dataclass(frozen=True)
class Box:
    """What the code inside may see and use.

    ``root`` is an empty folder of the machine that becomes the box's ``/``. ``readable`` names what
    can be read inside; folders below ``hidden`` are empty there. ``shared`` is a folder that can be
    written inside until ``ready()`` is true. A process gets no more than ``memory`` bytes, and what
    threads reserve: asking for more is a ``MemoryError`` there.
    """

    root: str
    readable: tuple[str, ...]
    hidden: tuple[str, ...] = ()
    shared: str = ""
    ready: Callable[[], bool] = lambda: True
    memory: int = 4 * 2**30


def readable_for_python() -> tuple[str, ...]:
    """Files and folders that code in a box may read: the system's, Python's, this package's."""
    own = {sys.prefix, sys.base_prefix, sys.exec_prefix, *sysconfig.get_paths().values()}
    own |= {path for path in sys.path if path.endswith(("site-packages", "dist-packages"))}
    own.add(str(Path(__file__).resolve().parents[1]))
    wanted = sorted({*_SYSTEM, *own} - {"/"}, key=len)  # a folder before what lies in it
    return tuple(path for path in wanted if os.path.exists(path))


def run(box: Box, inside: Callable[[], None]) -> NoReturn:
    """Turn this process into the keeper of a box in which ``inside`` runs; never return.

    Call it in a forked child that has one thread. SIGINT is passed on to the code inside, and its
    exit status becomes this process'; ``BROKEN`` where the box could not be made.
    """
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        user, group = os.getuid(), os.getgid()
        _check(libc.unshare(_NAMESPACES), "unshare")
        _end_with_parent(libc)
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
        first = os.fork()
        if first == 0:
            _end_with_parent(libc)
            _change_root(libc, box)
            _first_process(libc, box, inside)
        _keep(first)
    except BaseException as error:
        os.write(2, f"no box: {error!r}\n".encode())
        os._exit(BROKEN)


def works() -> bool:
    """Whether this system lets this user make such a box; found out by making one."""
    if sys.platform != "linux" or platform.machine() not in _PIVOT_ROOT:
        return False
    trial = subprocess.run([sys.executable, "-m", __name__], capture_output=True, check=False)
    return trial.returncode == 0


def _first_process(libc: ctypes.CDLL, box: Box, inside: Callable[[], None]) -> NoReturn:
    """Start the code, close the shared folder, then reap what ends until the code has ended."""
    os.closerange(3, 4096)
    data = box.memory + THREADS_OWN * (os.cpu_count() or 1)
    resource.setrlimit(resource.RLIMIT_DATA, (data, data))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    code = os.fork()
    if code == 0:
        os.setsid()
        os.chdir(FOLDER)
        _drop_privileges(libc)
        status = 1
        try:
            inside()
            status = 0
        except SystemExit as leaving:
            status = leaving.code if isinstance(leaving.code, int) else 1
        finally:
            os._exit(status)
    if box.shared:
        while (
            not box.ready()
            and os.waitid(os.P_PID, code, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
        ):
            time.sleep(0.005)
        _read_only(libc, box.shared)
    _keep(code)


def _keep(child: int) -> NoReturn:
    """Reap children and pass SIGINT on until ``child`` ends; then end as it did."""
    signal.signal(signal.SIGINT, lambda *_: os.kill(child, signal.SIGINT))
    while True:
        ended, status = os.wait()
        if ended == child:
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)


def _end_with_parent(libc: ctypes.CDLL) -> None:
    """Be killed when the parent ends. Dumpable: else /proc/self would belong to root."""
    _check(libc.prctl(_DUMPABLE, 1, 0, 0, 0), "prctl")
    _check(libc.prctl(_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0), "prctl")


def _change_root(libc: ctypes.CDLL, box: Box) -> None:
    """Leave the machine's file system for one that holds nothing but what is named."""

    def mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
        source_, target_, kind_, data_ = (text.encode() for text in (source, target, kind, data))
        done = libc.mount(source_, target_, kind_, ctypes.c_ulong(flags), data_)
        _check(done, f"mount {target}")

    def scratch(folder: str, data: str) -> None:
        os.makedirs(box.root + folder, exist_ok=True)
        mount("tmpfs", box.root + folder, "tmpfs", _NOSUID | _NODEV, data)

    mount("none", "/", "", _RECURSIVE | _PRIVATE)
    scratch("", f"size={DISK},mode=755")
    for path in filter(None, (*box.readable, box.shared)):
        place = box.root + path
        if os.path.exists(place):  # it lies in a folder that is there already
            continue
        if os.path.isdir(path):
            os.makedirs(place)
        else:
            os.makedirs(os.path.dirname(place), exist_ok=True)
            Path(place).touch()
        mount(path, place, "", _BIND | _RECURSIVE)
        if path != box.shared:
            _read_only(libc, place)
    for path in box.hidden:
        if os.path.isdir(box.root + path):
            mount("tmpfs", box.root + path, "tmpfs", _NOSUID | _NODEV, "size=4096,mode=000")
    scratch("/dev/shm", f"size={DISK}")
    for folder in ("/proc", "/tmp", FOLDER, "/old-root"):
        os.makedirs(box.root + folder, exist_ok=True)
    mount("proc", box.root + "/proc", "proc", _NOSUID | _NODEV)
    Path(box.root, "proc/sys/user/max_user_namespaces").write_text("0")  # no box in the box
    _read_only(libc, box.root + "/proc")  # else a box of root's could change the system's settings
    os.chdir(box.root)
    _check(libc.syscall(_PIVOT_ROOT[platform.machine()], b".", b"old-root"), "pivot_root")
    os.chdir("/")
    _check(libc.umount2(b"/old-root", _DETACH), "umount")
    os.rmdir("/old-root")


def _read_only(libc: ctypes.CDLL, path: str) -> None:
    attributes = (ctypes.c_uint64 * 4)(_READ_ONLY, 0, 0, 0)
    size = ctypes.c_size_t(ctypes.sizeof(attributes))
    place = path.encode()
    done = libc.syscall(_MOUNT_SETATTR, _AT_FDCWD, place, _AT_RECURSIVE, attributes, size)
    _check(done, f"mount_setattr {path}")


def _drop_privileges(libc: ctypes.CDLL) -> None:
    """Give up, for good, the rights that making the box took."""
    for capability in range(64):
        libc.prctl(_DROP_FROM_BOUNDING_SET, capability, 0, 0, 0)  # fails past the last: no matter
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    _check(libc.capset(header, (ctypes.c_uint32 * 6)()), "capset")
    _check(libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0), "prctl")


def _check(result: int, what: str) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        if os.fork() == 0:
            run(Box(folder, readable_for_python()), lambda: None)
        failed = os.wait()[1]
    sys.exit(1 if failed else 0)
