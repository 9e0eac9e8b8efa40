"""Who takes part in a training run of many processes, and that all of them mean the same run.

Worker 0, the chief, listens at its own address and calls the roll: each of the others says who it
is and what it was asked for. When all have come, each connection stays open, so that the end of a
process is known everywhere; see `cnncourse.training.workers`. Nothing here is secret or signed:
use a network that you trust. Lesson 15 starts such processes.
"""

import json
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any

from cnncourse.training.resuming import differences

LONGEST_HELLO = 1 << 16
SILENCE = 30.0  # seconds without a sign of life, after which a process counts as gone
PIECE = 1 << 20


@dataclass(frozen=True)
class Cluster:
    """The addresses "HOST:PORT" of all workers, in one order for all, and which one this is."""

    addresses: tuple[str, ...]
    index: int

    def __post_init__(self) -> None:
        """Refuse what cannot be a cluster."""
        for address in self.addresses:
            _parts(address)
        if twice := [address for address, times in Counter(self.addresses).items() if times > 1]:
            raise ValueError(f"workers has {twice[0]} twice; give every worker a port of its own")
        last = len(self.addresses) - 1
        if not 0 <= self.index <= last:
            raise ValueError(
                f"index is {self.index}, and there are {last + 1} workers; give a number from 0 to "
                f"{last}: the place of this process in the list"
            )

    def name(self, index: int) -> str:
        """Name a worker for people: "worker 1 (localhost:4001)"."""
        return f"worker {index} ({self.addresses[index]})"


def cluster_of(workers: str | None, index: int | None, tf_config: str | None) -> Cluster | None:
    """Read who takes part from ``--workers`` and ``--index``, or from ``TF_CONFIG``.

    ``workers`` is "HOST:PORT,HOST:PORT"; ``tf_config`` is TensorFlow's JSON text. None: this
    process is alone. Raises ValueError where either makes no sense, or both say different things.
    """
    if (workers is None) != (index is None):
        raise ValueError(
            f"workers is {workers!r} and index is {index}; give both, or neither to train alone"
        )
    given = None
    if workers is not None and index is not None:
        given = Cluster(tuple(part.strip() for part in workers.split(",")), index)
    configured = _from_tf_config(tf_config) if tf_config else None
    if given and configured and given != configured:
        raise ValueError(
            f"TF_CONFIG says {','.join(configured.addresses)} with index {configured.index}, and "
            f"--workers says {','.join(given.addresses)} with index {given.index}; unset "
            "TF_CONFIG, or leave out --workers"
        )
    return given or configured


def _from_tf_config(text: str) -> Cluster | None:
    try:
        config = json.loads(text)
        jobs, task = config["cluster"], config["task"]
        if unknown := set(jobs) - {"chief", "worker"}:
            raise ValueError(f"it names {', '.join(sorted(unknown))}, not chiefs and workers")
        chiefs, workers = (list(map(str, jobs.get(job, ()))) for job in ("chief", "worker"))
        index = int(task["index"]) + (0 if task["type"] == "chief" else len(chiefs))
        if task["type"] not in ("chief", "worker"):
            raise ValueError(f"its task is a {task['type']!r}")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"TF_CONFIG is {text!r}, which does not say which worker this is ({error}); unset it, "
            'or set it like {"cluster": {"worker": ["host:port", "host:port"]}, "task": {"type": '
            '"worker", "index": 0}}'
        ) from None
    return Cluster((*chiefs, *workers), index) if len(chiefs) + len(workers) > 1 else None


def _parts(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 1 << 16:
        raise ValueError(f"workers has {address!r}; give HOST:PORT, such as localhost:4000")
    return host, int(port)


class Gone(ConnectionError):
    """The process at the other end has ended, or says nothing any more."""


class Link:
    """A connection to another worker that carries messages: a kind, one byte, and a content."""

    HEAD = struct.Struct(">cQ")

    def __init__(self, connection: socket.socket, index: int) -> None:
        """Take over a connection to worker ``index``."""
        self.index = index
        self._connection = connection
        self._sending = threading.Lock()

    def send(self, kind: bytes, content: bytes = b"") -> None:
        """Send a message. Raises `Gone` where nobody takes it."""
        whole = self.HEAD.pack(kind, len(content)) + content
        try:
            with self._sending:  # in pieces, as each must be taken in time
                for start in range(0, len(whole), PIECE):
                    self._connection.sendall(whole[start : start + PIECE])
        except OSError as error:
            raise Gone(str(error)) from None

    def receive(self, longest: int = 1 << 40) -> tuple[bytes, bytes]:
        """Wait for the next message. Raises `Gone` when none can come any more."""
        kind, length = self.HEAD.unpack(self._exactly(self.HEAD.size))
        if length > longest:
            raise Gone(f"a message of {length} bytes")
        return kind, self._exactly(length)

    def _exactly(self, size: int) -> bytes:
        """Receive so many bytes, none of which may be long in coming."""
        content = bytearray()
        while len(content) < size:
            try:
                piece = self._connection.recv(min(PIECE, size - len(content)))
            except OSError as error:
                raise Gone(str(error)) from None
            if not piece:
                raise Gone("the connection was closed")
            content += piece
        return bytes(content)

    def patience(self, seconds: float) -> None:
        """Set how long a message may take to come, or to be taken."""
        self._connection.settimeout(seconds)

    def close(self) -> None:
        """Close the connection, whatever state it is in."""
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()


def call_roll(cluster: Cluster, asked: Mapping[str, Any], wait: float) -> list[Link]:
    """Wait until all workers have come; return links to all of them (chief) or to the chief.

    ``asked`` is what all must have been asked for alike, as JSON has it. Raises ValueError where
    two were asked for different things, and OSError where the own port is taken or somebody has
    not come after ``wait`` seconds.
    """
    _, port = _parts(cluster.addresses[cluster.index])
    try:
        # Not at the host's own address: behind a router or in a container it is another one.
        listening = socket.create_server(("", port), backlog=len(cluster.addresses))
    except OSError as error:
        raise OSError(
            f"port {port} of {cluster.name(cluster.index)} cannot be used on this machine "
            f"({error.strerror}); is another process running there, or is another --index meant?"
        ) from None
    hello = {"workers": list(cluster.addresses), **asked}
    deadline = time.monotonic() + wait
    with listening:
        if cluster.index == 0:
            return _chief(listening, cluster, hello, deadline, wait)
        return [_worker(cluster, hello, deadline, wait)]


def _chief(
    listening: socket.socket,
    cluster: Cluster,
    hello: Mapping[str, Any],
    deadline: float,
    wait: float,
) -> list[Link]:
    """Take every worker's hello, then tell all of them to begin, or what is wrong."""
    came: list[Link] = []
    with ExitStack() as stack:
        while missing := set(range(1, len(cluster.addresses))) - {link.index for link in came}:
            listening.settimeout(max(0.01, deadline - time.monotonic()))
            try:
                connection, _ = listening.accept()
            except TimeoutError:
                late = TimeoutError(
                    f"{' and '.join(map(cluster.name, sorted(missing)))} did not come within "
                    f"{wait:g} seconds; start all workers with the same command, each with its own "
                    "--index, or --wait longer"
                )
                _refuse(came, late)
                raise late from None
            link = Link(connection, -1)
            stack.callback(link.close)
            link.patience(5)
            try:
                said = json.loads(link.receive(LONGEST_HELLO)[1])
                link.index, theirs = int(said["index"]), dict(said["asked"])
            except (Gone, ValueError, KeyError, TypeError):  # whoever it was, it is none of ours
                link.close()
                continue
            wrong = _wrong(cluster, link.index, missing, hello, theirs)
            came.append(link)
            if wrong:
                _refuse(came, wrong)
                raise wrong
        for link in came:
            link.send(b"Y")
        stack.pop_all()
    return sorted(came, key=lambda link: link.index)


def _wrong(
    cluster: Cluster,
    index: int,
    missing: Collection[int],
    hello: Mapping[str, Any],
    theirs: Mapping[str, Any],
) -> ValueError | None:
    """Say what is wrong with a worker that has come."""
    where = "for worker 0", f"for worker {index}"
    if said := "; ".join(differences(hello, theirs, where=where)):
        return ValueError(
            f"workers 0 and {index} were asked for different things: {said}. Give all workers the "
            "same command, but for --index"
        )
    if index not in missing:
        return ValueError(
            f"two processes say that they are {cluster.name(index)}; give each its own --index"
        )
    return None


def _refuse(came: Iterable[Link], error: Exception) -> None:
    for link in came:
        with suppress(Gone):
            link.send(b"N", str(error).encode())


def _worker(cluster: Cluster, hello: Mapping[str, Any], deadline: float, wait: float) -> Link:
    """Say hello to the chief until it answers."""
    host, port = _parts(cluster.addresses[0])
    said = json.dumps({"index": cluster.index, "asked": hello}).encode()
    while (left := deadline - time.monotonic()) > 0:
        with ExitStack() as stack:
            try:
                connection = socket.create_connection((host, port), timeout=max(0.1, min(5, left)))
                link = Link(connection, 0)
                stack.callback(link.close)
                link.send(b"H", said)
                # The chief waits for the others in its own time, and may have begun after us.
                link.patience(wait + left)
                kind, content = link.receive(LONGEST_HELLO)
            except OSError:  # not there yet, or a run before this one that is about to end
                kind = b""
            if kind == b"N":
                raise ValueError(content.decode())
            if kind == b"Y":
                stack.pop_all()
                return link
        time.sleep(0.2)
    raise TimeoutError(
        f"{cluster.name(0)} did not answer within {wait:g} seconds; start it with the same command "
        "and --index 0, see that its port can be reached from here, or --wait longer"
    )
