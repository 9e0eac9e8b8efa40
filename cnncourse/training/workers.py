"""Training in many processes: each takes its share of every batch, and all add up their gradients.

TensorFlow's MultiWorkerMirroredStrategy opens the connections and adds up. Every process holds
variables of its own, which begin equal and are moved by equal gradients, so they stay equal. Beside
that, each worker keeps a line to the chief, worker 0, on which both give signs of life: TensorFlow
alone would wait for a long time for one that is frozen, and does not say who is missing.

A run in one process is a team of one. Lesson 15 builds the sum, starts a team and kills a worker.
"""

import json
import os
import queue
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import Any, NoReturn

import numpy as np
import tensorflow as tf
from tqdm.auto import tqdm

from cnncourse.training.resuming import Progress, Run
from cnncourse.training.rollcall import SILENCE, Cluster, Gone, Link, call_roll

BEAT = 2.0  # seconds between signs of life
FAREWELL = 10.0  # seconds that the chief waits, at the end, for the others to leave

# Kinds of messages: a sign of life, part of a run's state, an end too early, the end.
ALIVE, STATE, ENDED, DONE = b"A", b"S", b"E", b"D"


class Team:
    """The processes of a run, of which this is number ``index`` of ``size``. Here: it alone."""

    index, size = 0, 1

    def share(self, count: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the first image of this worker's share of a batch, and the first after it."""
        return self.index * count // self.size, (self.index + 1) * count // self.size

    def total(self, tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Add up what each worker gives, element by element; all get the sums."""
        return list(tensors)

    def begin(self, run: Run, variables: Mapping[str, Any]) -> None:
        """Let everybody begin where the chief's run does."""

    def tell_kept(self) -> None:
        """Let everybody know which checkpoint is the newest."""


class Workers(Team):
    """A team of many processes; `joined` makes it."""

    def __init__(self, cluster: Cluster, links: Sequence[Link]) -> None:
        """Connect TensorFlow to the others. It must not have run any operation yet."""
        self.index, self.size = cluster.index, len(cluster.addresses)
        self._cluster, self._links = cluster, links
        self._run = Run()
        self._kept: int | None = None  # step of the chief's newest checkpoint, as it said
        self._states: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._done = threading.Event()
        self._left = {link.index: threading.Event() for link in links}
        self._leaving = False
        self._ending = threading.Lock()
        for link in links:
            link.patience(SILENCE)
            threading.Thread(target=self._hear, args=[link], daemon=True).start()
        threading.Thread(target=self._give_signs, daemon=True).start()
        self._strategy = _strategy(cluster)

    def total(self, tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Add up what each worker gives, element by element; all get the same sums."""

        def added() -> Any:
            here = [tf.identity(tensor) for tensor in tensors]  # on the replica's own device
            return tf.distribute.get_replica_context().all_reduce("sum", here)

        sums = self._strategy.run(added)
        return [self._strategy.experimental_local_results(one)[0] for one in sums]

    def begin(self, run: Run, variables: Mapping[str, Any]) -> None:
        """Let everybody begin where the chief's run does, with its variables.

        Only what dropout draws from becomes each worker's own, in a way that depends on nothing
        but its number: so a run that goes on draws as one that was never stopped.
        """
        self._run = run
        if self.index == 0:
            states = [json.dumps(asdict(run.progress)).encode()]
            states += [np.asarray(variable).tobytes() for variable in variables.values()]
            for link in self._links:
                for state in states:
                    link.send(STATE, state)
            return
        run.progress = Progress.from_json(json.loads(self._states.get()))
        for variable in variables.values():
            now = np.asarray(variable)
            array = np.frombuffer(self._states.get(), now.dtype).reshape(now.shape)
            variable.assign(own_stream(array, self.index))

    def tell_kept(self) -> None:
        """Give a sign of life, with the step of the newest checkpoint."""
        for link in self._links:
            with suppress(Gone):  # then `_hear` hears nothing either
                link.send(ALIVE, json.dumps(self._run.kept_step).encode())

    def finish(self) -> None:
        """Wait until the chief has done everything, then part."""
        for link in self._links:
            with suppress(Gone):
                link.send(DONE)
        if self.index:
            self._done.wait()
        else:  # TensorFlow's own farewell needs the chief
            until = time.monotonic() + FAREWELL
            for left in self._left.values():
                left.wait(max(0, until - time.monotonic()))

    def fail(self, error: BaseException) -> None:
        """Tell the others how this process ends. For an error in TensorFlow, find its cause."""
        if isinstance(error, tf.errors.OpError):
            # Most likely the sum failed as somebody has gone; who it was is about to be heard.
            time.sleep(SILENCE + 2 * BEAT)
        self._leaving = True  # from here on, that the others go is an answer
        said = " ".join(str(error).split()) or type(error).__name__
        self._tell(f"{self._cluster.name(self.index)} ended {self._when()}: {said}")

    def _when(self) -> str:
        return f"at step {self._run.progress.step:,}"

    def _give_signs(self) -> None:
        while True:
            self.tell_kept()
            time.sleep(BEAT)

    def _hear(self, link: Link) -> None:
        """Listen to another worker until it leaves; where it leaves too early, end this process."""
        done = False
        while True:
            try:
                kind, content = link.receive()
            except Gone:
                self._left[link.index].set()
                if done or self._leaving:
                    return
                self._end(f"{self._cluster.name(link.index)} stopped answering {self._when()}")
            if kind == ALIVE and self.index:
                self._kept = json.loads(content)
            elif kind == STATE:
                self._states.put(content)
            elif kind == ENDED:
                self._end(content.decode())
            elif kind == DONE:
                done = True
                self._done.set()

    def _tell(self, message: str) -> None:
        self.tell_kept()
        for link in self._links:
            with suppress(Gone):
                link.send(ENDED, message.encode())

    def _end(self, message: str) -> NoReturn:
        """End this process: it can wait for nothing but a sum that never comes."""
        with self._ending:  # never let go: the first to come here ends the process
            if self.index == 0:
                self._tell(message)
            kept = self._run.kept_step if self.index == 0 else self._kept
            then = "the run begins anew, as it keeps no checkpoints"
            if kept is not None:
                then = f"the run goes on from step {kept:,}"
            # Not print: there may be a progress bar on the line.
            tqdm.write(
                f"cnncourse: {message}; start all again with the same command: {then}",
                file=sys.stderr,
            )
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(1)


@contextmanager
def joined(
    cluster: Cluster | None, asked: Mapping[str, Any], wait: float = 120.0
) -> Iterator[Team]:
    """Be part of a team while this is open; without a cluster, of a team of one.

    Must be opened before TensorFlow runs its first operation. ``asked`` is what everybody must have
    been asked for alike, as JSON has it. Raises ValueError where two were asked for different
    things, and OSError where an address is taken or somebody has not come after ``wait`` seconds.
    Where another worker goes while this is open, the process says who it was and ends with status
    1, wherever it is: it may be waiting inside TensorFlow, where no exception reaches it.
    """
    if cluster is None or len(cluster.addresses) == 1:
        yield Team()
        return
    links = call_roll(cluster, asked, wait)
    team = Workers(cluster, links)
    try:
        yield team
    except BaseException as error:
        team.fail(error)
        raise
    team.finish()


def own_stream(array: np.ndarray, index: int) -> np.ndarray:
    """Make the state of a random generator that of worker ``index``; leave all else as it is.

    The key of the generator becomes another; how far it has drawn stays. Of the three numbers of a
    ``tf.random.Generator`` the key is the last, of the two of a ``keras.random.SeedGenerator`` the
    first.
    """
    if array.dtype.kind not in "iu" or array.shape not in ((2,), (3,)):
        return array
    changed = array.copy()
    changed[0 if len(array) == 2 else -1] += index
    return changed


def _strategy(cluster: Cluster) -> tf.distribute.Strategy:
    spec = tf.train.ClusterSpec({"worker": list(cluster.addresses)})
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        spec, task_type="worker", task_id=cluster.index, rpc_layer="grpc"
    )
    try:
        strategy = tf.distribute.MultiWorkerMirroredStrategy(resolver)
    except (RuntimeError, tf.errors.OpError) as error:
        raise OSError(f"TensorFlow cannot connect the workers: {error}") from None
    if strategy.num_replicas_in_sync != len(cluster.addresses):
        raise ValueError(
            f"workers has {len(cluster.addresses)} addresses, but TensorFlow would use "
            f"{strategy.num_replicas_in_sync} devices; start one worker for each GPU, each with "
            "CUDA_VISIBLE_DEVICES=NUMBER before its command"
        )
    return strategy
