"""The tables: what was published, what was measured, and under which conditions."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from cnncourse.networks import NETWORKS, Published

COLUMNS = (
    *("network", "build", "steps", "published_accuracy", "measured_accuracy", "difference"),
    *("published_loss", "measured_loss", "seconds", "cpu_seconds", "images_a_second", "data"),
    *("data_note", "seed", "machine", "python", "tensorflow", "keras", "cnncourse", "date"),
)
CURVE_COLUMNS = ("network", "data", "seed", "step", "epoch", "mean_loss", "test_accuracy")
HEADINGS = (
    *("network", "build", "steps", "published", "measured", "difference", "published loss"),
    *("loss", "seconds", "CPU seconds", "images a second", "data", "seeds", "date"),
)


@dataclass(frozen=True)
class Finished:
    """A run that reached its end. The numbers are those of `runs.Outcome`, as JSON keeps them."""

    network: str
    settings: str
    build: str
    seed: int
    quick: bool
    data: str
    data_note: str
    figures: list[list[Any]]
    losses: dict[str, float]
    accuracies: dict[str, float]
    steps_an_epoch: int
    cpu_seconds: float
    machine: str
    versions: dict[str, str]
    date: str


@dataclass(frozen=True)
class Row:
    """A line of the CSV: a figure that a run measured, beside the published one."""

    run: Finished
    published: Published | None
    steps: int
    accuracy: float
    loss: float
    seconds: float
    images: int

    @property
    def last(self) -> bool:
        """Whether the run ended here; its CPU seconds are known for its end alone."""
        return self.steps == self.run.figures[-1][0]

    @property
    def images_a_second(self) -> float:
        """Training images for each second of training."""
        return self.images / self.seconds

    def cells(self) -> tuple[Any, ...]:
        """Write what stands under `COLUMNS`."""
        run, published = self.run, self.published
        goal, goal_loss = (published.accuracy, published.loss) if published else (None, None)
        return (
            *(run.network, run.build, self.steps, _four(goal), _four(self.accuracy)),
            *(_difference(self.accuracy, goal), _four(goal_loss), _four(self.loss)),
            *(f"{self.seconds:.1f}", f"{run.cpu_seconds:.1f}" if self.last else ""),
            *(f"{self.images_a_second:.0f}", run.data, run.data_note, run.seed, run.machine),
            *(run.versions[name] for name in ("python", "tensorflow", "keras", "cnncourse")),
            run.date,
        )


def rows(finished: Iterable[Finished]) -> list[Row]:
    """One row for each figure of each run, in the order of the published networks."""
    order = list(NETWORKS)
    found = [
        Row(run, _published(run, figure[0]), *figure) for run in finished for figure in run.figures
    ]
    return sorted(
        found, key=lambda row: (order.index(row.run.network), row.steps, row.run.data, row.run.seed)
    )


def as_csv(found: Sequence[Row]) -> str:
    """Write a table with every run."""
    return _csv(COLUMNS, (row.cells() for row in found))


def curves(finished: Iterable[Finished]) -> str:
    """Write the course of every run as CSV: mean loss since the line before, and test accuracy."""

    def lines() -> Iterator[tuple[Any, ...]]:
        for run in finished:
            for step in sorted(map(int, run.losses.keys() | run.accuracies.keys())):
                epoch = f"{step / run.steps_an_epoch:.2f}"
                noted = (run.losses.get(str(step)), run.accuracies.get(str(step)))
                yield (run.network, run.data, run.seed, step, epoch, *map(_four, noted))

    order = list(NETWORKS)
    return _csv(
        CURVE_COLUMNS,
        sorted(lines(), key=lambda line: (order.index(line[0]), line[1], line[2], line[3])),
    )


def as_markdown(found: Sequence[Row], quick: bool) -> str:
    """Write a page for people: runs that differ in their seed alone share a line."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in found:
        run = row.run
        groups.setdefault((run.network, row.steps, run.data, run.data_note), []).append(row)
    lines = [_line(group) for group in groups.values()]
    title = (
        "A quick check, which reproduces nothing" if quick else "The published figures, run again"
    )
    notes = QUICK_NOTES if quick else NOTES
    page = [f"# {title}", "", "Written by `cnncourse reproduce`.", "", *_table(HEADINGS, lines)]
    page += ["", *notes, ""]
    page += [f"- {line}" for line in _conditions(found)]
    return "\n".join([*page, ""])


def summary(found: Sequence[Row]) -> str:
    """Lay out the columns that fit into a terminal, one line for each row."""
    headings = ("network", "published", "measured", "difference", "seconds", "images a second")
    lines = []
    for row in found:
        cells = dict(zip(COLUMNS, row.cells(), strict=True))
        name = cells["network"] if row.last else f"{cells['network']}, step {row.steps:,}"
        keys = ("published_accuracy", "measured_accuracy", "difference", "seconds")
        lines.append((name, *(cells[key] for key in keys), cells["images_a_second"]))
    widths = [max(map(len, column)) for column in zip(headings, *lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if number else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in (headings, *lines)
    )


NOTES = (
    "Accuracy and loss are those of the 10,000 test images. Where there are several seeds, every",
    "number is the median of their runs, and the accuracy's range follows it. Seconds are training",
    "alone, by the clock on the wall. CPU seconds are all that the process used, in all its",
    "threads and for evaluation too: they can be compared where other work shared the machine.",
)
QUICK_NOTES = (
    "A few steps on a few images: it shows that every row runs, and how the page looks. Nothing",
    "here may be held against a published figure.",
)


def _published(run: Finished, steps: int) -> Published | None:
    if run.quick:
        return None
    network = NETWORKS[run.network]
    last = network.recipe.total_steps
    return next((p for p in network.published if (p.steps or last) == steps), None)


def _line(group: Sequence[Row]) -> tuple[str, ...]:
    """Bring a group of runs, all alike but for their seeds, into one line of the page."""
    row, published = group[0], group[0].published
    accuracies = [each.accuracy for each in group]
    middle = median(accuracies)
    measured = _four(middle)
    if len(group) > 1:
        measured += f" ({min(accuracies):.4f} to {max(accuracies):.4f})"
    goal = published.accuracy if published else None
    about = "about " if published and published.about else ""
    dates = sorted({each.run.date[:10] for each in group})
    spent = [each.run.cpu_seconds for each in group]
    return (
        *(row.run.network, row.run.build, f"{row.steps:,}"),
        *(f"{about}{_four(goal)}", measured, _difference(middle, goal)),
        *(_four(published.loss if published else None), _four(median(r.loss for r in group))),
        f"{median(each.seconds for each in group):.1f}",
        f"{median(spent):.1f}" if row.last else "",
        f"{median(each.images_a_second for each in group):,.0f}",
        row.run.data + (f": {row.run.data_note}" if row.run.data_note else ""),
        ", ".join(str(each.run.seed) for each in group),
        dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}",
    )


def _conditions(found: Sequence[Row]) -> Iterator[str]:
    """Say on what the rows were measured, each machine and set of versions once."""
    seen: dict[str, dict[str, None]] = {}
    for row in found:
        versions = ", ".join(f"{name} {version}" for name, version in row.run.versions.items())
        seen.setdefault(f"{row.run.machine}; {versions}", {})[row.run.network] = None
    for conditions, networks in seen.items():
        yield conditions + (f" ({', '.join(networks)})" if len(seen) > 1 else "")


def _table(headings: Sequence[str], lines: Sequence[Sequence[str]]) -> list[str]:
    """Lay out a Markdown table whose columns also line up as text."""
    widths = [max(map(len, column)) for column in zip(headings, *lines, strict=True)]
    ruled = [headings, ["-" * width for width in widths], *lines]
    return [
        "| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |"
        for line in ruled
    ]


def _csv(columns: Sequence[str], lines: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(lines)
    return text.getvalue()


def _four(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _difference(measured: float, published: float | None) -> str:
    return "" if published is None else f"{measured - published:+.4f}"
