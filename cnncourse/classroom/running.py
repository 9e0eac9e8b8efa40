"""Doing the work: here, several hand-ins at a time, or on the workers of a Dask cluster."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from typing import Any

from tqdm.auto import tqdm

from cnncourse.classroom import box, results
from cnncourse.classroom.assignment import Assignment
from cnncourse.classroom.handins import HandIn
from cnncourse.classroom.kernel import Limits
from cnncourse.classroom.marking import Result
from cnncourse.classroom.zygote import Grader

CONNECT = 20  # seconds to wait for a scheduler


@dataclass(frozen=True)
class Work:
    """What every hand-in of one grading shares; it travels to the workers of a cluster.

    ``packed`` is the prepared assignment; what lies below the folders ``private`` no hand-in sees.
    """

    packed: bytes
    limits: Limits
    private: tuple[str, ...]


def run(
    assignment: Assignment,
    found: Sequence[HandIn],
    store: results.Store,
    work: Work,
    jobs: int,
    scheduler: str | None,
) -> tuple[list[tuple[HandIn, Result]], bool]:
    """Grade what has no result yet; return all, in order, and whether every one was in a box.

    Hand-ins with the same bytes are graded once. Each result is kept as soon as it is there.
    """
    nothing: dict[str, float | None] = {task.name: 0.0 for task in assignment.tasks}
    known: dict[str, Result] = {}
    waiting: dict[str, bytes] = {}
    for hand_in in found:
        key = results.key(assignment, hand_in)
        if hand_in.problem:
            continue
        kept = store.get(key, work.limits.seconds)
        if kept is not None:
            known[key] = kept
        else:
            waiting[key] = hand_in.content
    boxed = True
    if waiting:
        boxed = scheduler is not None or box.works()
        arriving = on_cluster(work, waiting, scheduler) if scheduler else here(work, waiting, jobs)
        bar = tqdm(
            arriving,
            total=len(known) + len(waiting),
            initial=len(known),
            unit="hand-in",
            desc=assignment.name,
            smoothing=0.1,
        )
        for key, result in bar:
            store.put(key, result)
            known[key] = result
    whole = []
    for hand_in in found:
        missing = Result("missing", hand_in.problem, nothing)
        result = missing if hand_in.problem else known[results.key(assignment, hand_in)]
        scores = {task.name: result.scores.get(task.name) for task in assignment.tasks}
        whole.append((hand_in, replace(result, scores=scores)))
    return whole, boxed


def here(work: Work, waiting: dict[str, bytes], jobs: int) -> Iterator[tuple[str, Result]]:
    """Results as they come, from this machine."""
    with Grader(work.packed, work.limits, work.private) as grader:
        pool = ThreadPoolExecutor(jobs)
        try:
            futures = {pool.submit(grader.grade, content): key for key, content in waiting.items()}
            for future in as_completed(futures):
                yield futures[future], future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def on_cluster(
    work: Work, waiting: dict[str, bytes], scheduler: str
) -> Iterator[tuple[str, Result]]:
    """Results as they come, from the workers of a Dask cluster.

    A hand-in whose worker is lost goes to another one; its result is taken once.
    """
    import distributed

    try:
        client = distributed.Client(scheduler, timeout=CONNECT, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise ValueError(
            f"no Dask scheduler answers at {scheduler!r} ({error}) -> give the address that "
            "`dask scheduler` prints, such as tcp://10.0.0.5:8786"
        ) from None
    futures: dict[Any, str] = {}
    try:
        shared = client.scatter(work, broadcast=True)
        for key, content in waiting.items():
            future = client.submit(_on_worker, shared, content, pure=False, retries=2)
            futures[future] = key
        for future in distributed.as_completed(futures, loop=client.loop):
            try:
                result = Result(**future.result())
            except Exception as error:
                result = Result("failed", f"the cluster gave up: {error!r}")
            yield futures[future], result
            future.release()
    finally:
        client.cancel(list(futures))
        client.run(_leave, work)
        client.close()


_graders: dict[Work, Grader] = {}  # on a worker
_lock = threading.Lock()


def _on_worker(work: Work, content: bytes) -> dict[str, Any]:
    """Grade one hand-in on a worker, which keeps its grader for the next one."""
    with _lock:
        if work not in _graders:
            _graders[work] = Grader(work.packed, work.limits, work.private)
        grader = _graders[work]
    return asdict(grader.grade(content))


def _leave(work: Work) -> None:
    """Let a worker forget a grading that is over."""
    with _lock:
        grader = _graders.pop(work, None)
    if grader is not None:
        grader.close()
