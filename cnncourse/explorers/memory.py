"""`MemoryExplorer`: what a step of a network holds, operation by operation, against a card."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate, groupby
from math import floor, log10
from numbers import Integral, Real
from textwrap import wrap
from typing import Any

import ipywidgets

from cnncourse.explorers import svg
from cnncourse.explorers.compute import changed
from cnncourse.explorers.svg import (
    BLUE,
    GREEN,
    GREY,
    INK,
    LEFT,
    ORANGE,
    PALE,
    PAPER,
    PURPLE,
    VERMILLION,
    Picture,
    box,
    label,
    mix,
    path,
    plain,
    small,
    text,
)
from cnncourse.explorers.widgets import STYLE, Explorer, choice, rows
from cnncourse.memory import Plan, largest_batch, plan
from cnncourse.networks import NETWORKS, Network

# Powers of two, and the batches of the course's texts.
BATCHES = tuple(sorted({2**n for n in range(16)} | {50, 100, 10_000, 55_000, 60_000}))
CARDS = (2, 4, 8, 12, 16, 24, 80)
GB = 1_000_000_000
MODES = (("training", True), ("predicting", False))
OPTIMIZERS = (("SGD", "sgd"), ("momentum", "momentum"), ("Adam", "adam"))
POLICIES = (("float32", "float32"), ("bfloat16", "mixed_bfloat16"))
PEAK = "at the peak"

# The parts as they lie on each other, what stays longest at the bottom.
COLOURS = {
    "parameters": BLUE,
    "optimizer": PURPLE,
    "input": "#8a949e",
    "activations": GREEN,
    "gradients": ORANGE,
    "workspace": VERMILLION,
}

# The picture: the step on the left, the table, the card and the largest batch on the right.
WIDTH, TOP, PLOT_LEFT, PLOT_WIDTH, PLOT_HEIGHT = 844, 116, 70, 436, 270
SIDE, SIDE_WIDTH = 532, 288
BOTTOM = TOP + PLOT_HEIGHT
LINE_UP_TO = 2.0  # a card of more peaks than these is not drawn as a line, but in words


class Planner:
    """The networks that can be planned by name: the published ones, and one of the caller's."""

    def __init__(self, network: Any) -> None:
        """Take a name, a `Network` or a built Keras model; ``chosen`` is its name here."""
        self.networks: dict[str, Any] = dict(NETWORKS)
        if isinstance(network, str):
            self.chosen = network
        else:
            name = getattr(network, "name", None)
            if name is None:
                raise ValueError(
                    f"network is {network!r}; give a name, a Network or a built Keras model"
                )
            known = self.networks.get(name, network) == network
            self.chosen = name if known else f"{name} (yours)"
            self.networks[self.chosen] = network
        self.largest = lru_cache(maxsize=None)(self._largest)

    def has_own_types(self, name: str) -> bool:
        """Whether the network's layers say themselves what they compute in."""
        return not isinstance(self.networks[name], Network)

    def _largest(self, name: str, budget: int, **settings: Any) -> int | None:
        try:
            return int(largest_batch(self.networks[name], budget, confirm=False, **settings))
        except ValueError:  # not one image fits: the plan itself was made before
            return None


@dataclass(frozen=True, eq=False)
class StepMemory:
    """One step of a network on a card of ``card`` GB (1,000,000,000 bytes), looked at once.

    ``operation`` is the operation to look at; empty, it is that of the peak. The other settings
    are those of `cnncourse.memory.plan`, ``network`` by its name.
    """

    planner: Planner
    network: str
    batch_size: int = 100
    training: bool = True
    optimizer: str = "adam"
    policy: str = "float32"
    card: float = 8
    operation: str = ""

    def settled(self) -> "StepMemory":
        """Return this state; ValueError for a setting that cannot be."""
        if self.network not in self.planner.networks:
            names = ", ".join(self.planner.networks)
            raise ValueError(
                f"network is {self.network!r}; use one of {names}, or give a Network or a built "
                "Keras model when you make the explorer"
            )
        if not isinstance(self.batch_size, Integral) or self.batch_size < 1:
            raise ValueError(f"batch_size is {self.batch_size!r}; give a whole number from 1 on")
        if self.training not in (True, False):
            raise ValueError(f"training is {self.training!r}; use True or False")
        if not isinstance(self.card, Real) or not 0 < self.card < float("inf"):
            raise ValueError(
                f"card is {self.card!r}; give its size in GB, such as 8, or 0.15 for 150 MB"
            )
        names = ("", *self.operations)  # plans, and so checks the other settings
        if self.operation not in names:
            raise ValueError(
                f"operation is {self.operation!r}; use '' for the peak, or one of "
                f"{', '.join(self.operations)}"
            )
        return self

    @property
    def _settings(self) -> dict[str, Any]:
        return {"training": self.training, "optimizer": self.optimizer, "policy": self.policy}

    @cached_property
    def plan(self) -> Plan:
        """The plan of the step."""
        return plan(self.planner.networks[self.network], int(self.batch_size), **self._settings)

    @property
    def operations(self) -> tuple[str, ...]:
        """The step's operations in order."""
        return tuple(name for name, _ in self.plan.moments)

    @property
    def at(self) -> str:
        """The operation that is looked at."""
        return self.operation or self.plan.at

    @property
    def alive(self) -> Mapping[str, int]:
        """Bytes by part while that operation runs."""
        return self.plan.moments[self.operations.index(self.at)][1]

    @property
    def budget(self) -> int:
        """The card's bytes."""
        return round(self.card * GB)

    @property
    def fits(self) -> bool:
        """Whether the peak fits into the card, by plan."""
        return self.plan.total <= self.budget

    @property
    def largest(self) -> int | None:
        """The largest batch that fits, by plan; None if not one image does."""
        return self.planner.largest(self.network, self.budget, **self._settings)


def megabytes(size: float) -> str:
    """Write bytes as a `Plan` does, in MB of 1,000,000 bytes."""
    return f"{size / 1e6:,.1f} MB"


def card_size(card: float) -> str:
    """Write a card's size: in GB, or in MB below one GB."""
    return f"{card:,.4g} GB" if card >= 1 else f"{1000 * card:,.4g} MB"


def shortened(name: str, most: int) -> str:
    """Cut a name that is longer than ``most`` characters."""
    return name if len(name) <= most else name[: most - 1] + "…"


# In words


def memory_words(state: StepMemory) -> str:
    """Say in words what the picture shows, the title in the first line."""
    peak = state.plan
    said = [
        f"{_title(state)}\nPlanned with {_how(state)}: {megabytes(peak.total)} at the peak, during "
        f"{peak.at} (operation {state.operations.index(peak.at) + 1} of {len(state.operations)}): "
        f"{_by_part(peak)}",
        *_verdict(state),
    ]
    if state.at != peak.at:
        total = megabytes(sum(state.alive.values()))
        said.insert(1, f"During {state.at} {total}: {_by_part(state.alive)}")
    said += [f"Not known: {note}" for note in peak.notes]
    return ". ".join(said) + "."


def _title(state: StepMemory) -> str:
    doing = "training on" if state.training else "predicting"
    verdict = "fits into" if state.fits else "does not fit into"
    images = "1 image" if state.batch_size == 1 else f"a batch of {state.batch_size:,}"
    name = shortened(state.network, 19)
    return f"{name}, {doing} {images}: {verdict} {card_size(state.card)}"


def _how(state: StepMemory) -> str:
    types = "its layers' own types"
    if not state.planner.has_own_types(state.network):
        types = next(name for name, policy in POLICIES if policy == state.policy)
    if not state.training:
        return types
    return f"{next(name for name, value in OPTIMIZERS if value == state.optimizer)}, {types}"


def _by_part(parts: Mapping[str, int]) -> str:
    return ", ".join(f"{part} {megabytes(parts[part])}" for part in COLOURS)


def _verdict(state: StepMemory) -> tuple[str, str]:
    """Say whether the peak fits, and the largest batch that does."""
    peak, budget = state.plan.total, state.budget
    if not state.fits:
        verdict = f"Does not fit: {megabytes(peak - budget)} too much"
    elif peak * 100 < budget:
        verdict = "Fits: the peak takes less than 1 %"
    else:
        verdict = f"Fits: the peak takes {100 * peak / budget:.0f} % of it"
    if state.largest is None:
        return verdict, "Not one image fits"
    return verdict, f"Largest batch that fits: {state.largest:,}"


# The picture


def memory_picture(state: StepMemory) -> Picture:
    """Draw the step, the parts at the peak, the card and the largest batch."""
    words = memory_words(state)
    note = f"planned with {_how(state)}; 1 MB is 1,000,000 bytes"
    if not _near(state):
        times = state.budget / state.plan.total
        note += f"; the card, {times:,.0f} times as high, is not drawn"
    parts = [svg.heading(words.partition("\n")[0], note), *_step(state), *_table(state)]
    parts += _card(state)
    foot = BOTTOM + 48 + 5 * max(len(_shown(name.split()[0])) for name in state.operations)
    lines = [line for one in state.plan.notes for line in wrap(f"not known: {one}", 115)]
    parts += [small(LEFT, foot + 18 * i, line, 12) for i, line in enumerate(lines)]
    return svg.picture(parts, foot + 18 * len(lines), words, WIDTH)


def _near(state: StepMemory) -> bool:
    """Whether the card is drawn across the step, and not only beside it."""
    return state.budget <= LINE_UP_TO * state.plan.total


def _step(state: StepMemory) -> Iterator[str]:
    """Draw what is alive, operation by operation, part upon part."""
    peak, moments = state.plan.total, state.plan.moments
    unit = PLOT_HEIGHT / (1.1 * max(peak, state.budget if _near(state) else 0))
    step = PLOT_WIDTH / len(moments)
    yield from _axis(unit)
    heaps = [list(accumulate((alive[part] for part in COLOURS), initial=0)) for _, alive in moments]
    edges = [[BOTTOM - height * unit for height in edge] for edge in zip(*heaps, strict=True)]
    bands = list(zip(COLOURS.items(), edges[:-1], edges[1:], strict=True))
    for (_, colour), lows, highs in bands:
        yield path(_band(lows, highs, step), PAPER, width=0.6, fill=mix(colour, 0.62))
    line, taken = _card_line(state, unit) if _near(state) else ("", ())
    for (part, _), lows, highs in bands:
        yield _name_within(part, lows, highs, step, taken)
    yield path(f"M{PLOT_LEFT} {BOTTOM}h{PLOT_WIDTH}", INK)
    if state.operation:
        left = PLOT_LEFT + step * state.operations.index(state.operation)
        yield box((left, TOP, step, PLOT_HEIGHT), width=1.5)
    yield line + _peak_mark(state, unit, step)
    yield from _below(state, step)
    yield svg.glass("operation", (PLOT_LEFT, TOP, PLOT_WIDTH, PLOT_HEIGHT), 1, len(moments))


def _axis(unit: float) -> Iterator[str]:
    """Draw three to seven round marks on the way up, in MB."""
    most = PLOT_HEIGHT / unit / 1e6
    tenth = 10 ** floor(log10(most / 3))
    between = next(tenth * times for times in (5, 2, 1) if most >= 3 * tenth * times)
    yield small(LEFT, TOP - 14, "MB", 12)
    for count in range(int(most / between) + 1):
        y = BOTTOM - count * between * 1e6 * unit
        yield path(f"M{PLOT_LEFT} {plain(y)}h{PLOT_WIDTH}", PALE)
        yield text(PLOT_LEFT - 8, y, f"{count * between:,g}", size=12, fill=GREY, anchor="end")


def _band(lows: Sequence[float], highs: Sequence[float], step: float) -> str:
    """Return a part's outline: along its upper edge and back along its lower one."""
    ends = [PLOT_LEFT + step * index for index in range(len(lows) + 1)]
    there = "".join(f"V{plain(y)}H{plain(x)}" for x, y in zip(ends[1:], highs, strict=True))
    back = "".join(f"V{plain(y)}H{plain(x)}" for x, y in zip(ends[-2::-1], lows[::-1], strict=True))
    return f"M{plain(PLOT_LEFT)} {plain(lows[0])}{there}{back}Z"


def _name_within(
    part: str, lows: Sequence[float], highs: Sequence[float], step: float, taken: Sequence[svg.Box]
) -> str:
    """Write a part's name where it is thick enough for it and the place is free, if anywhere."""
    wide = 7.6 * len(part) + 8
    columns = int(wide / step) + 1
    places = []
    for first in range(len(lows) - columns + 1):
        low, high = min(lows[first : first + columns]), max(highs[first : first + columns])
        x, y = PLOT_LEFT + step * (first + columns / 2), (low + high) / 2
        free = not any(_overlap((x - wide / 2, y - 8, wide, 16), other) for other in taken)
        if low - high >= 16 and free:
            places.append((low - high, -x, y))
    if not places:
        return ""
    _, x, y = max(places)
    return text(-x, y, part, anchor="middle")


def _overlap(one: svg.Box, other: svg.Box) -> bool:
    """Whether two boxes share a point."""
    (x, y, width, height), (a, b, c, d) = one, other
    return x < a + c and a < x + width and y < b + d and b < y + height


def _card_line(state: StepMemory, unit: float) -> tuple[str, list[svg.Box]]:
    """Draw the card's size across the step; return it, and what of the picture it takes."""
    size, y = f"card: {megabytes(state.budget)}", BOTTOM - state.budget * unit
    plate = (PLOT_LEFT + 4, y - 20, 7.8 * len(size) + 12, 18)
    drawn = (
        path(f"M{PLOT_LEFT} {plain(y)}h{PLOT_WIDTH}", INK, width=2)
        + box(plate, stroke="none", fill=PAPER, width=0, radius=4)
        + text(PLOT_LEFT + 10, y - 11, size, size=12, bold=True)
    )
    return drawn, [plate, (PLOT_LEFT, y - 2, PLOT_WIDTH, 4)]


def _peak_mark(state: StepMemory, unit: float, step: float) -> str:
    """Point at the peak, and say its operation and its size."""
    x = PLOT_LEFT + step * (state.operations.index(state.plan.at) + 0.5)
    y = BOTTOM - state.plan.total * unit
    words = f"peak {megabytes(state.plan.total)}: {shortened(state.plan.at, 34)}"
    half = 4.3 * len(words)
    middle = min(max(x, PLOT_LEFT + half), PLOT_LEFT + PLOT_WIDTH - half)
    tip = f"M{plain(x - 5)} {plain(y - 9)}h10L{plain(x)} {plain(y - 1)}Z"
    return (
        text(middle, TOP - 32, words, size=13, anchor="middle", bold=True)
        + path(svg.line((x, TOP - 22), (x, y - 9)), INK, width=1.2)
        + path(tip, "none", fill=INK)
    )


def _below(state: StepMemory, step: float) -> Iterator[str]:
    """Write the layers' names under their operations, and which pass is which."""
    names = state.operations
    right, index = -1e9, 0
    for layer, run in groupby(name.split()[0] for name in names):
        count = len(list(run))
        x = PLOT_LEFT + step * index
        yield path(f"M{plain(x)} {BOTTOM}v5", GREY)
        x += step * count / 2
        if x - right >= 13:  # else the names would lie on each other
            yield _slanted(x + 4, BOTTOM + 30, _shown(layer))
            right = x
        index += count
    passes = [("forward pass", 0, len(names))]
    if state.training:
        loss = names.index("loss")
        passes = [("forward pass", 0, loss + 1), ("backward pass, updates", loss + 1, len(names))]
    for words, start, end in passes:
        a, b = PLOT_LEFT + step * start, PLOT_LEFT + step * end
        yield path(f"M{plain(a + 2)} {BOTTOM + 9}H{plain(b - 2)}", GREY, width=1.5)
        yield text((a + b) / 2, BOTTOM + 19, words, size=12, fill=GREY, anchor="middle")


def _shown(layer: str) -> str:
    """Return as much of a layer's name as there is room for."""
    return shortened(layer, 14)


def _slanted(x: float, y: float, words: str) -> str:
    """Write a line that rises to end at a place."""
    turned = text(0, 0, words, size=12, anchor="end")
    return f'<g transform="translate({plain(x)} {plain(y)}) rotate(-45)">{turned}</g>'


def _table(state: StepMemory) -> Iterator[str]:
    """Write the parts, in the order in which they lie on each other, with their MB."""
    peak: Mapping[str, int] = state.plan
    ends = [(SIDE + SIDE_WIDTH, PEAK, peak)]
    if state.at != state.plan.at:
        ends = [(SIDE + 182, PEAK, peak), (SIDE + SIDE_WIDTH, "here", state.alive)]
        yield small(SIDE, TOP - 32, f"here: {shortened(state.at, 38)}", 12)
    for right, head, _ in ends:
        yield text(right, TOP - 12, f"{head}, MB", size=12, fill=GREY, anchor="end")
    for line, part in enumerate([*reversed(COLOURS), "together"]):
        y = TOP + 10 + 22 * line
        total = part == "together"
        if total:
            yield path(f"M{SIDE} {y - 11}h{SIDE_WIDTH}", GREY)
        else:
            swatch = (SIDE, y - 7, 14, 14)
            yield box(swatch, stroke=GREY, fill=mix(COLOURS[part], 0.62), width=0.8)
        yield text(SIDE + 22, y, part, bold=total)
        for right, _, parts in ends:
            size = sum(parts.values()) if total else parts[part]
            yield text(right, y, f"{size / 1e6:,.1f}", anchor="end", bold=total)


def _card(state: StepMemory) -> Iterator[str]:
    """Draw the card as a box that the peak fills, or runs out of; say which, and what would fit."""
    top, height = TOP + 202, 26
    unit = SIDE_WIDTH / max(state.plan.total, state.budget)
    yield label(SIDE, top - 14, f"a card of {card_size(state.card)}, and the peak in it")
    x = float(SIDE)
    for part, colour in COLOURS.items():
        width = state.plan[part] * unit
        yield box((x, top, width, height), stroke="none", fill=mix(colour, 0.62), width=0)
        x += width
    edge = state.budget * unit
    if not state.fits:
        over = (SIDE + edge, top, SIDE_WIDTH - edge, height)
        yield _hatched(over)
    yield box((SIDE, top, edge, height), width=2)
    verdict, largest = _verdict(state)
    yield label(SIDE, top + height + 20, verdict, 14)
    yield label(SIDE, top + height + 42, largest, 14)
    yield small(SIDE, top + height + 66, "by plan, and tensors only: a card's driver", 12)
    yield small(SIDE, top + height + 82, "and libraries need room besides", 12)


def _hatched(place: svg.Box) -> str:
    """Hatch what runs out of the card."""
    x, y, width, height = place
    lines = (
        svg.line(
            (x + at, y + height), (min(x + at + height, x + width), y + max(0, height - width + at))
        )
        for at in range(0, int(width), 7)
    )
    return path("".join(lines), INK, 0.7) + box(place, stroke=INK, width=1, dash="4 3")


class MemoryExplorer(Explorer[StepMemory]):
    """What one step of a network holds in memory, operation by operation, against a card.

    ``network`` is a name in NETWORKS, a `Network` or a built Keras model, whose layers say
    themselves what they compute in. Settings: ``network`` (by name), ``batch_size``, ``training``,
    ``optimizer`` ("sgd", "momentum" or "adam"), ``policy`` ("float32" or "mixed_bfloat16"),
    ``card`` (GB of 1,000,000,000 bytes; 0.15 is 150 MB) and ``operation`` (its name; "" is that of
    the peak). ``plan``, ``fits``, ``largest``, ``alive`` and ``operations`` hold what is shown, in
    bytes. Nothing is run or measured. Raises ValueError for a setting that cannot be, and for a
    layer that the plan does not know. Built for lesson 14.
    """

    _draw = staticmethod(memory_picture)

    def __init__(self, network: Any = "mnist-dropout", **settings: Any) -> None:
        planner = Planner(network)
        fields = {
            "network": choice("network", planner.networks),
            "training": choice("mode", MODES),
            "optimizer": choice("optimizer", OPTIMIZERS),
            "policy": choice("policy", POLICIES),
            "card": choice("card", [(card_size(card), card) for card in CARDS]),
            "operation": choice("look at", ((PEAK, ""),)),
            "batch_size": ipywidgets.SelectionSlider(
                options=_batches(BATCHES), description="batch", style=STYLE, layout={"width": "98%"}
            ),
        }
        *choices, batch = fields.values()
        area = ipywidgets.VBox([rows(choices), batch])
        super().__init__(StepMemory(planner, planner.chosen), fields, area)
        self.set(**settings)

    def static(self, step: int | None = None) -> Picture:
        """Return the picture as it is, or looking at another operation, counted from 0."""
        if step is None:
            return self._picture_of(self.state)
        names = self.state.operations
        if not 0 <= step < len(names):
            raise ValueError(f"step is {step}; the operations are 0 to {len(names) - 1}")
        return self._picture_of(changed(self.state, operation=names[step]))

    def _implied(self, changes: dict[str, Any]) -> dict[str, Any]:
        """An operation that a step of another kind does not have gives way to the peak."""
        if not self.state.operation or "operation" in changes:
            return changes
        then = changed(self.state, **changes, operation="")
        return changes if self.state.operation in then.operations else changes | {"operation": ""}

    def _meant(self, pick: str, row: int, column: int) -> dict[str, Any]:
        """A column of the picture is an operation to look at."""
        return {"operation": self.state.operations[column]}

    def _sync(self, name: str, field: Any) -> None:
        state = self.state
        if name == "batch_size":
            sizes = {size for _, size in field.options}
            if state.batch_size not in sizes:
                field.options = _batches(sizes | {state.batch_size})
        elif name == "card" and state.card not in dict(field.options).values():
            cards = sorted({*dict(field.options).values(), state.card})
            field.options = [(card_size(card), card) for card in cards]
        elif name == "operation":
            field.options = [(PEAK, ""), *((one, one) for one in state.operations)]
        elif name == "optimizer":  # what has no say is not offered
            field.disabled = not state.training
        elif name == "policy":
            field.disabled = state.planner.has_own_types(state.network)
        super()._sync(name, field)


def _batches(sizes: Any) -> list[tuple[str, int]]:
    return [(f"{size:,}", size) for size in sorted(sizes)]
