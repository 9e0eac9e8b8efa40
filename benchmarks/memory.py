"""Hold the memory plan against TensorFlow's own count, for every network, and write the table.

    python benchmarks/memory.py            # measures what the table lacks, then plans
    python benchmarks/memory.py --again    # measures all: 252 processes
    python benchmarks/memory.py --plans    # measures nothing: plans anew beside the measurements

Each process builds one network one way and predicts or trains with one batch size and Adam: once to
warm up, then five times counted. The error is the plan's against the median of the five peaks.

The lowest and the highest stand beside it, for no two steps need quite the same. TensorFlow runs
side by side what does not wait for each other, so what is alive together depends on what ends
first. And a step moves the weights to new places among the feature maps, so that free memory falls
into pieces; the allocator hands out a free block uncut if it is less than twice as large as asked
for.

Besides the course's networks, three small relatives of lesson 13's: plain, with batch
normalisation, and with residuals as well.
"""

import argparse
import csv
import multiprocessing
import statistics
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from cnncourse import ladder
from cnncourse.builders import build
from cnncourse.memory import count_exactly, measure, plan, tasks
from cnncourse.networks import NETWORKS
from measuring import conditions_now

import keras
import numpy as np

RESULTS = Path(__file__).parent / "results"
TABLE = RESULTS / "memory.csv"
BATCHES = (32, 128, 512)
POLICIES = ("float32", "mixed_bfloat16")
APIS = ("eager", "keras")
# Lesson 13's networks by name: what they have besides convolutions.
RUNGS: dict[str, dict[str, Any]] = {
    "ladder-plain": {},
    "ladder-batch-norm": {"batch_norm": True},
    "ladder-residual": {"batch_norm": True, "residual": True},
}
CASE = ("network", "api", "policy", "mode", "batch")
CONDITIONS = ("date", "machine", "load_before", "versions")
PEAKS = ("lowest_mb", "peak_mb", "highest_mb")
COLUMNS = (*CASE, *PEAKS, "plan_mb", "error_percent", *CONDITIONS)
Row = dict[str, Any]
Case = tuple[str, str, str, str, int]


def peaks(case: Case) -> list[float]:
    """Five peaks in MB, in a process where TensorFlow has not started."""
    name, api, policy, mode, batch = case
    count_exactly()
    if name in NETWORKS:
        model: Any = build(name, api, policy=policy)
        shape = model.network.input_shape
    else:
        model, shape = rung_model(name, policy), (32, 32, 3)
        tasks.own_weights(model)
    images, labels = tasks.noise(shape, batch)
    if mode == "training":
        step = tasks.compiled_step(model, tasks.OPTIMIZERS["adam"](), shape)
        call = partial(step, images, labels)
    else:
        forward = tasks.compiled_forward(model, shape)
        call = partial(forward, images)
    call()
    return [measure(call).peak / 1e6 for _ in range(5)]


def cases() -> Iterator[Case]:
    for name in (*NETWORKS, *RUNGS):
        for api in APIS if name in NETWORKS else ("keras",):
            for policy in POLICIES:
                for mode in ("predicting", "training"):
                    for batch in BATCHES:
                        yield name, api, policy, mode, batch


def measured(case: Case) -> Row:
    """Measure in a fork: the packages are imported once, and TensorFlow starts anew."""
    processes = multiprocessing.get_context("fork")
    answers, questions = processes.Pipe(duplex=False)
    child = processes.Process(target=lambda: questions.send(peaks(case)))
    child.start()
    questions.close()  # so that a child that died is noticed
    try:
        found = sorted(answers.recv())
    except EOFError:
        sys.exit(f"measuring {case} failed")
    child.join()
    taken = [f"{peak:.2f}" for peak in (found[0], statistics.median(found), found[-1])]
    print(*case, *taken, flush=True)
    conditions = dict(zip(CONDITIONS, conditions_now({}), strict=True))
    values = (*map(str, case), *taken)
    return dict(zip((*CASE, *PEAKS), values, strict=True)) | conditions


def planned(row: Row) -> Row:
    """Add the plan and its error."""
    training = row["mode"] == "training"
    network: Any = row["network"]
    if network in RUNGS:
        network = rung_model(network, row["policy"])
    total = plan(network, int(row["batch"]), training=training, policy=row["policy"]).total / 1e6
    error = 100 * (total / float(row["peak_mb"]) - 1)
    return row | {"plan_mb": f"{total:.2f}", "error_percent": f"{error:.1f}"}


def rung_model(name: str, policy: str) -> Any:
    keras.config.set_dtype_policy(policy)
    return ladder.network(ladder.Rung(name, **RUNGS[name]), np.zeros((1, 32, 32, 3), np.float32))


def _case(row: Row) -> Case:
    return row["network"], row["api"], row["policy"], row["mode"], int(row["batch"])


def stored() -> list[Row]:
    if not TABLE.exists():
        return []
    with TABLE.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def save(rows: Iterable[Row]) -> list[Row]:
    """Write rows in the order of the cases, and return them so."""
    order = {case: number for number, case in enumerate(cases())}
    ordered = sorted(rows, key=lambda row: order[_case(row)])
    with TABLE.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(ordered)
    return ordered


def page(rows: Sequence[Row]) -> Iterator[str]:
    """The table for people, and how far off the plan is at most."""
    yield "# The memory plan against TensorFlow's own count"
    yield ""
    yield (
        "MB (1,000,000 bytes) at the peak of a compiled prediction or training step (Adam) in a "
        "fresh process: the median of five steps after a warm-up, and the lowest and the highest. "
        "The error is the plan's against the median. Made by `benchmarks/memory.py`."
    )
    for title, names in (("The course's networks", NETWORKS), ("Other Keras models", RUNGS)):
        chosen = [row for row in rows if row["network"] in names]
        if not chosen:
            continue
        worst = max(chosen, key=lambda row: abs(float(row["error_percent"])))
        within = sum(abs(float(row["error_percent"])) <= 15 for row in chosen)
        yield ""
        yield f"## {title}"
        yield ""
        yield (
            f"{within} of {len(chosen)} within 15 %. The largest error is "
            f"{worst['error_percent']} % ({', '.join(map(str, _case(worst)))})."
        )
        yield ""
        keys = (*CASE, "plan_mb", "peak_mb", "error_percent", "lowest_mb", "highest_mb")
        yield "| " + " | ".join(key.replace("_mb", "").replace("_", ", ") for key in keys) + " |"
        yield "|---|---|---|---|" + 6 * "---:|"
        for row in chosen:
            yield "| " + " | ".join(str(row[key]) for key in keys) + " |"
    yield ""
    yield "## Conditions"
    yield ""
    for conditions in sorted({(row["machine"], row["versions"]) for row in rows}):
        yield f"- {'; '.join(conditions)}"
    dates = sorted(row["date"] for row in rows)
    yield f"- measured from {dates[0]} to {dates[-1]}"


def main() -> None:
    parser = argparse.ArgumentParser(description="Memory: the plan against the measured peak")
    parser.add_argument("--again", action="store_true", help="measure what is measured already")
    parser.add_argument("--plans", action="store_true", help="measure nothing, plan anew")
    parser.add_argument("--networks", nargs="+", metavar="NAME", default=[*NETWORKS, *RUNGS])
    arguments = parser.parse_args()
    rows = {_case(row): row for row in stored()}
    for case in () if arguments.plans else cases():
        if case[0] in arguments.networks and (arguments.again or case not in rows):
            rows[case] = measured(case)
            save(rows.values())
    finished = save(planned(row) for row in rows.values())
    TABLE.with_suffix(".md").write_text("\n".join(page(finished)) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
