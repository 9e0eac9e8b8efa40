"""Problem set 2's checks: right answers pass, each usual mistake gets its own hint."""

from collections.abc import Callable
from itertools import product
from math import ceil
from typing import Any

import numpy as np
import pytest

from cnncourse import checks as check
from cnncourse import reference
from cnncourse.arithmetic import padding_amounts
from cnncourse.checks.core import CheckFailed
from cnncourse.checks.pooling import pool_figures


def places(size: int, window: int, stride: int, padding: str) -> list[list[int]]:
    """Which numbers of an axis each window holds, counted one by one."""
    if padding == "VALID":
        return [list(range(at, at + window)) for at in range(0, size - window + 1, stride)]
    count = ceil(size / stride)
    before = max((count - 1) * stride + window - size, 0) // 2
    starts = [stride * place - before for place in range(count)]
    return [[n for n in range(at, at + window) if 0 <= n < size] for at in starts]


def pooled_by(
    reduce: Callable[..., Any], maps: np.ndarray, window: int, stride: int, padding: str
) -> np.ndarray:
    down, right = (places(size, window, stride, padding) for size in maps.shape[1:3])
    return np.stack(
        [
            np.stack([reduce(maps[:, rows][:, :, columns], (1, 2)) for columns in right], 1)
            for rows in down
        ],
        1,
    )


def max_pool(maps, window, stride, padding):
    return pooled_by(np.max, maps, window, stride, padding)


def mean_pool(maps, window, stride, padding):
    return pooled_by(np.mean, maps, window, stride, padding)


def hand_back(shares, feature_map, window, stride):
    earned = [[0.0] * feature_map.shape[1] for _ in feature_map]
    for row, column in np.ndindex(shares.shape):
        inside = product(
            range(row * stride, row * stride + window),
            range(column * stride, column * stride + window),
        )
        best = max(inside, key=lambda place: feature_map[place])  # the first of equal ones
        earned[best[0]][best[1]] += shares[row, column]
    return earned


ANSWERS = {"max_pool": max_pool, "mean_pool": mean_pool, "hand_back": hand_back}


@pytest.mark.parametrize("name", ANSWERS)
def test_right_answers_pass(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in (None, 1, 2):
        getattr(check, name)(ANSWERS[name], seed=seed)
    assert capsys.readouterr().out.count("✓") == 3


def said(name: str, answer: Any) -> str:
    with pytest.raises(CheckFailed) as failure:
        getattr(check, name)(answer)
    return str(failure.value)


def filled(
    reduce: Callable[..., Any], fill: float = 0, order: int = 1
) -> Callable[..., np.ndarray]:
    def answer(maps, window, stride, padding):
        if padding == "SAME":
            sides = []
            for size in maps.shape[1:3]:
                missing = max((ceil(size / stride) - 1) * stride + window - size, 0)
                sides.append((missing // 2, missing - missing // 2)[::order])
            maps = np.pad(maps.astype(float), ((0, 0), *sides, (0, 0)), constant_values=fill)
        return pooled_by(reduce, maps, window, stride, "VALID")

    return answer


def padded_by(
    choose: Callable[[list[tuple[int, int]]], Any], reduce: Callable[..., Any] = np.nanmax
) -> Callable[..., np.ndarray]:
    """A pooling in which ``choose`` says which axis gets which padding."""

    def answer(maps, window, stride, padding):
        if padding == "SAME":
            sides = choose([padding_amounts(size, window, stride) for size in maps.shape[1:3]])
            around = ((0, 0), *sides, (0, 0))
            maps = np.pad(maps.astype(float), around, constant_values=np.nan)
        return pooled_by(reduce, maps, window, stride, "VALID")

    return answer


def cut(reduce: Callable[..., Any], start: Callable[[int, int], int]) -> Callable[..., np.ndarray]:
    """A pooling of slices that begin at ``start(place * stride, before)``."""

    def answer(maps, window, stride, padding):
        if padding == "VALID":
            return pooled_by(reduce, maps, window, stride, padding)
        axes = [
            [
                slice(
                    at := start(stride * place, padding_amounts(size, window, stride)[0]),
                    at + window,
                )
                for place in range(ceil(size / stride))
            ]
            for size in maps.shape[1:3]
        ]
        rows, columns = axes
        lines = [
            np.stack([reduce(maps[:, row, column], (1, 2)) for column in columns], 1)
            for row in rows
        ]
        return np.stack(lines, 1)

    return answer


def rows_counted(maps, window, stride, padding):
    total = pooled_by(np.sum, maps, window, stride, padding)
    counts = [len(rows) for rows in places(maps.shape[1], window, stride, padding)]
    return total / (np.array(counts)[:, None, None] * window)


POOL_MISTAKES: dict[str, tuple[str, Callable[..., Any]]] = {
    "A 0 from the padding wins": ("max_pool", filled(np.max)),
    "The padding, -999, wins": ("max_pool", filled(np.max, -999)),
    "The padding, -1,000,000, wins": ("max_pool", filled(np.max, -1e6)),
    "A 0 that is in no window wins": ("max_pool", lambda *given: np.maximum(max_pool(*given), 0)),
    "The padding of the height is": ("max_pool", padded_by(lambda sides: (sides[0], sides[0]))),
    "The padding of one axis": ("mean_pool", padded_by(lambda sides: sides[::-1], np.nanmean)),
    "maps hold integers": (
        "max_pool",
        lambda m, *how: max_pool(
            np.pad(m, 1, constant_values=-np.inf)[1:-1, 1:-1, 1:-1, 1:-1], *how
        ),
    ),
    "A negative start counts from": ("max_pool", cut(np.max, lambda at, before: at - before)),
    "A negative start counts": ("mean_pool", cut(np.mean, lambda at, before: at - before)),
    "the end moves with it": ("mean_pool", cut(np.mean, lambda at, before: max(0, at - before))),
    "The first window begins at pixel 0": ("max_pool", cut(np.max, lambda at, before: at)),
    "The filling, -inf, got into": ("mean_pool", filled(np.mean, -np.inf)),
    "The filling, NaN, got into": ("mean_pool", filled(np.mean, np.nan)),
    "count rows × columns": ("mean_pool", rows_counted),
    "SAME every number is in some window": (
        "max_pool",
        lambda m, w, s, p: max_pool(m, w, s, "VALID"),
    ),
    "The windows stand side by side": ("max_pool", lambda m, w, s, p: max_pool(m, w, w, p)),
    "The stride is not used": ("max_pool", lambda m, w, s, p: max_pool(m, w, 1, p)),
    "compared with each other": (
        "max_pool",
        lambda m, w, s, p: max_pool(m.max(3, keepdims=True).repeat(m.shape[3], 3), w, s, p),
    ),
    "the result of the first one": (
        "max_pool",
        lambda m, w, s, p: np.stack([max_pool(m, w, s, p)[0]] * len(m)),
    ),
    "is missing after": ("max_pool", filled(np.max, -np.inf, -1)),
    "These are means": ("max_pool", mean_pool),
    "The padding is counted": ("mean_pool", filled(np.mean)),
    "The window is added up": ("mean_pool", lambda *given: pooled_by(np.sum, *given)),
    "Channels are averaged as well": (
        "mean_pool",
        lambda m, w, s, p: mean_pool(m.mean(3, keepdims=True).repeat(m.shape[3], 3), w, s, p),
    ),
}


def earned_by(rule: Callable[[np.ndarray, float], np.ndarray], add: bool = True) -> Any:
    def answer(shares, feature_map, window, stride):
        earned = np.zeros(feature_map.shape)
        for row, column in np.ndindex(shares.shape):
            at = np.s_[row * stride :, column * stride :]
            inside = feature_map[at][:window, :window]
            part = rule(inside, shares[row, column])
            view = earned[at][:window, :window]
            view[part != 0] = (view + part if add else part)[part != 0]
        return earned

    return answer


def to_first(inside, share):
    part = np.zeros(inside.shape)
    part[np.unravel_index(inside.argmax(), inside.shape)] = share
    return part


def to_last(inside, share):
    part = np.zeros(inside.size)
    part[np.flatnonzero(inside == inside.max())[-1]] = share
    return part.reshape(inside.shape)


def misplaced(shares, feature_map, window, stride):
    earned = np.zeros(feature_map.shape)
    for row, column in np.ndindex(shares.shape):
        inside = feature_map[row * stride :, column * stride :][:window, :window]
        earned[np.unravel_index(inside.argmax(), inside.shape)] += shares[row, column]
    return earned


SHARE_MISTAKES: dict[str, tuple[str, Callable[..., Any]]] = {
    "do not overwrite": ("hand_back", earned_by(to_first, add=False)),
    "each of them gets the whole share": (
        "hand_back",
        earned_by(lambda inside, share: share * (inside == inside.max())),
    ),
    "they split the share": (
        "hand_back",
        earned_by(lambda i, share: share * (i == i.max()) / (i == i.max()).sum()),
    ),
    "the last gets the share": ("hand_back", earned_by(to_last)),
    "reading order goes row by row": (
        "hand_back",
        earned_by(lambda inside, share: to_first(inside.T, share).T),
    ),
    "Every number of a window gets a part": (
        "hand_back",
        earned_by(lambda inside, share: np.full(inside.shape, share / inside.size)),
    ),
    "The winner gets its own number": (
        "hand_back",
        earned_by(lambda inside, share: to_first(inside, inside.max())),
    ),
    "The windows move on by 1": ("hand_back", lambda s, m, w, stride: hand_back(s, m, w, 1)),
    "add row * stride and column * stride": ("hand_back", misplaced),
    "also where no window reaches": (
        "hand_back",
        lambda shares, m, w, stride: np.array(hand_back(shares, m, w, stride))[
            : (len(shares) - 1) * stride + w, : (len(shares[0]) - 1) * stride + w
        ],
    ),
    "The smallest number gets": ("hand_back", lambda s, m, w, stride: hand_back(s, -m, w, stride)),
}
MISTAKES = POOL_MISTAKES | SHARE_MISTAKES


@pytest.mark.parametrize("hint", MISTAKES)
def test_each_mistake_gets_its_hint(hint: str) -> None:
    assert hint in said(*MISTAKES[hint])


def test_whole_map_s_mean_notices_no_shift_and_reads_little() -> None:
    places, numbers, change, read = pool_figures([("mean", 24, 24)]).values()
    assert (places, numbers, round(change, 5)) == (1, 4, 0)
    assert 0.1 < read < 0.5


@pytest.mark.parametrize("name", ANSWERS)
def test_ready_made_poolings_are_refused(name: str) -> None:
    for ready in (reference.max_pool2d, reference.avg_pool2d, reference.max_pool2d_backward):
        assert "this function is ready-made" in said(name, ready)


def test_pools_says_what_is_missing() -> None:
    side_by_side = said("pools", [("max", 4, 4)])
    assert "Too many places are left" in side_by_side
    assert "where windows overlap" in side_by_side
    for easy in ([("max", 8, 8)], [("max", 24, 24)]):  # few places change little by themselves
        assert "Too few places are left" in said("pools", easy)
    assert "Make a window one pixel larger" in said("pools", [("max", 7, 7)])
    assert "Take a mean first" in said("pools", [("max", 14, 6)])
    assert "pooling 2, ('sum', 2, 2)" in said("pools", [("max", 2, 2), ("sum", 2, 2)])
    assert "12 × 12 places only" in said("pools", [("max", 2, 2), ("max", 13, 2)])


@pytest.mark.parametrize(
    "design",
    [
        [("mean", 6, 2), ("max", 5, 3)],
        [("max", 8, 6)],
        [("mean", 17, 7)],
        [("max", 9, 7)],
        [("max", 7, 2), ("mean", 7, 3)],
    ],
)
def test_what_meets_the_goals_meets_the_hidden_ones(design: list[Any]) -> None:
    check.pools(design)
    check.pools(design, part=1)
