"""What the benchmarks share: ratios, and the file that keeps them with their conditions.

A ratio is how many times as fast, or as good, as the peer: above 1 is in our favour. It is taken
within a turn, in which both sides ran one after the other under the same conditions; the median
over the turns counts.
"""

import csv
import os
import platform
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import cnncourse
import numpy as np

RESULTS = Path(__file__).parent / "results" / "bench.csv"
KEYS = ("benchmark", "case", "ours", "peer", "unit")
COLUMNS = (
    *KEYS,
    *("our_value", "peer_value", "ratio", "lowest", "highest", "turns"),
    *("date", "machine", "load_before", "versions"),
)
PACKAGES = ("tensorflow", "keras", "numpy")
# How busy other work kept the machine in the last minute; read before the benchmark adds its own.
LOAD_BEFORE = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")


class Trainee(NamedTuple):
    """A network in some framework, at its start: what ``builds.py`` asks of every way to train.

    ``logits(images)`` gives [batch, classes]; ``train(images, labels)`` goes through the images
    once, in the network's batch size, and returns None, or when the last step had ended (as
    ``time.perf_counter``); ``setting`` says what was chosen for it, if anything was.
    Images are float32 [image, height, width, channels], labels uint8 [image], all in NumPy.
    """

    logits: Callable[[np.ndarray], np.ndarray]
    train: Callable[[np.ndarray, np.ndarray], float | None]
    setting: str = ""


@dataclass(frozen=True)
class Ratio:
    """Ours against a peer in one case: a value of each for each turn, in ``unit``."""

    case: str
    ours: str
    peer: str
    unit: str
    our_values: Sequence[float]
    peer_values: Sequence[float]
    less_is_better: bool = False

    @property
    def by_turn(self) -> list[float]:
        """One ratio for each turn."""
        pairs = zip(self.our_values, self.peer_values, strict=True)
        return [peer / our if self.less_is_better else our / peer for our, peer in pairs]

    @property
    def median(self) -> float:
        """The ratio that counts."""
        return statistics.median(self.by_turn)

    def __str__(self) -> str:
        """Say the median, and between which the turns lay."""
        return f"{self.median:.2f} ({min(self.by_turn):.2f} to {max(self.by_turn):.2f})"


def store(
    benchmark: str, ratios: Iterable[Ratio], versions: Mapping[str, str] | None = None
) -> None:
    """Write ratios into the file, each in place of the same benchmark's earlier one.

    Rows that were not measured now stay as they are, with their date. ``versions`` are those of
    peers that the project does not install.
    """
    conditions = conditions_now(versions or {})
    rows = []
    for ratio in ratios:
        keys = (benchmark, ratio.case, ratio.ours, ratio.peer, ratio.unit)
        by_turn = ratio.by_turn
        values = [statistics.median(side) for side in (ratio.our_values, ratio.peer_values)]
        shares = (ratio.median, min(by_turn), max(by_turn))
        cells = [f"{value:.4g}" for value in values] + [f"{share:.3g}" for share in shares]
        row = (*keys, *cells, str(len(by_turn)), *conditions)
        rows.append(dict(zip(COLUMNS, row, strict=True)))
    replace_rows(RESULTS, rows, KEYS, lambda row: tuple(row[key] for key in KEYS))
    print("wrote", RESULTS.relative_to(RESULTS.parents[2]))


def replace_rows(
    path: Path,
    rows: Sequence[Mapping[str, str]],
    keys: Sequence[str],
    order: Callable[[Mapping[str, str]], Any],
) -> None:
    """Write rows into a CSV file, in place of all its rows with the same ``keys``, and sort it."""
    kept: list[Mapping[str, str]] = []
    if path.exists():
        with path.open(newline="", encoding="utf-8") as file:
            kept = list(csv.DictReader(file))
    new = {tuple(row[key] for key in keys) for row in rows}
    kept = [row for row in kept if tuple(row[key] for key in keys) not in new]
    path.parent.mkdir(exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(sorted([*kept, *rows], key=order))


def conditions_now(versions: Mapping[str, str]) -> tuple[str, ...]:
    from cnncourse import doctor  # needs packages that an environment for a peer may lack

    found = {"cnncourse": cnncourse.__version__, "python": platform.python_version()}
    found |= {name: metadata.version(name) for name in PACKAGES} | dict(versions)
    return (
        datetime.now(timezone.utc).isoformat(timespec="minutes"),
        f"{doctor.processor()[0]}, {doctor.check_threads()[0].detail}",
        f"{LOAD_BEFORE:.1f}",
        ", ".join(f"{name} {version}" for name, version in found.items()),
    )
