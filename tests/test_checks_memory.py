"""Problem set 9's checks: right answers pass, and the usual mistakes are named."""

from collections.abc import Callable

import numpy as np
import pytest

from cnncourse import checks as check
from cnncourse.checks import memory
from cnncourse.checks.core import CheckFailed
from cnncourse.memory import plan
from cnncourse.networks import NETWORKS, Conv, Dense, Flatten, MaxPool


def complaint(checked: Callable, answer: object, **setting: int) -> str:
    with pytest.raises(CheckFailed) as failed:
        checked(answer, **setting)
    return str(failed.value)


# step_bytes


def counted(layers, batch, optimizer, policy):
    mixed = policy == "mixed_bfloat16"
    parts = dict.fromkeys(("parameters", "gradients", "optimizer", "activations"), 0)
    for number, (kind, outputs, parameters) in enumerate(layers, start=1):
        narrow = mixed and number < len(layers)
        parts["parameters"] += parameters * (6 if narrow else 4)
        parts["gradients"] += parameters * 4
        parts["optimizer"] += parameters * 4 * ["sgd", "momentum", "adam"].index(optimizer)
        if kind != "flatten":
            width = (2 if narrow else 4) + (1 if kind == "pool" else 0)
            parts["activations"] += batch * outputs * width
    return parts


def test_step_bytes_takes_a_count_layer_by_layer():
    check.step_bytes(counted)
    check.step_bytes(counted, seed=1)


@pytest.mark.parametrize("hint", memory.step_bytes.slips)
def test_each_way_of_counting_bytes_has_its_own_hint(hint):
    text = complaint(memory.step_bytes, memory.step_bytes.slips[hint])
    assert text.endswith(f"Hint\n    {hint}")


def test_step_bytes_are_those_of_the_plan():
    network = NETWORKS["mnist-lenet-keras"]
    kinds = {"c": "conv", "p": "pool", "f": "flatten", "d": "dense"}
    layers = [
        (kinds[row.name[0]], int(np.prod(row.output_shape)), row.parameters)
        for row in network.table()
    ]
    counted = memory.step_bytes.expected(layers, 100, "adam", "float32")
    planned = plan(network, 100)
    assert counted["activations"] == pytest.approx(sum(r.kept for r in planned.layers), rel=0.01)
    assert counted["parameters"] == 4 * network.parameters == planned["parameters"]
    assert counted["optimizer"] == pytest.approx(planned["optimizer"], abs=100)


# channel_statistics


def in_one_pass(batches):
    """Welford's way, batch by batch, with deviations in the place of squares."""
    count, mean, squares = 0, 0.0, 0.0
    for batch in batches:
        pixels = batch.reshape(-1, batch.shape[-1]).astype(float)
        n, own = len(pixels), pixels.mean(axis=0)
        squares = squares + ((pixels - own) ** 2).sum(axis=0)
        squares = squares + (own - mean) ** 2 * count * n / (count + n)
        mean, count = mean + (own - mean) * n / (count + n), count + n
    return mean, np.sqrt(squares / count)


def test_channel_statistics_takes_welfords_way():
    check.channel_statistics(in_one_pass)
    check.channel_statistics(in_one_pass, seed=1)


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        (lambda batches: in_one_pass([np.concatenate(list(batches))]), "the same array"),
        (lambda batches: in_one_pass([next(batches)]), "Only the first batch"),
        (lambda batches: in_one_pass([batch.copy() for batch in batches]), "keeps all batches"),
        (lambda batches: (in_one_pass(batches)[0], in_one_pass(batches)), "The batches come once"),
        (lambda batches, size: None, "called as channel_statistics(batches)"),
    ],
)
def test_channel_statistics_goes_once_through_one_array(wrong, hint):
    assert hint in complaint(check.channel_statistics, wrong)


@pytest.mark.parametrize("hint", memory.STATISTICS.slips)
def test_each_way_of_counting_has_its_own_hint(hint):
    text = complaint(memory.STATISTICS, memory.STATISTICS.slips[hint])
    assert text.endswith(f"Hint\n    {hint}")


# largest_fitting


def searched(ask_again=False, give=lambda low, high: low, halve=True, step=2):
    def largest_fitting(fits):
        high = 1
        while fits(high):
            high *= step
        low = high // step
        while halve and high - low > 1:
            middle = (low + high) // 2
            if fits(middle) and (not ask_again or fits(middle)):
                low = middle
            else:
                high = middle
        return give(low, high)

    return largest_fitting


def test_largest_fitting_takes_binary_digits():
    def by_digits(fits):
        digit, found = 1, 0
        while fits(digit):
            found, digit = digit, 2 * digit
        digit = found // 2
        while digit:
            found += digit if fits(found + digit) else 0
            digit //= 2
        return found

    for answer in (searched(), by_digits):
        check.largest_fitting(answer)
        for seed in range(5):
            check.largest_fitting(answer, seed=seed)


def one_by_one(fits):
    batch = 1
    while fits(batch):
        batch += 1
    return batch - 1


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        (one_by_one, "double while it fits"),
        (searched(ask_again=True), "enough; ask no batch twice"),
        (searched(step=4), "never try more than twice"),
        (searched(give=lambda low, high: high), "the smallest that does not fit"),
        (searched(give=lambda low, high: low - 1), "off by one"),
        (searched(halve=False), "look between the last that fitted"),
        (lambda fits: fits(0), "batches are 1, 2, 3"),
        (lambda fits: "many", "no whole number"),
        (lambda fits: [fits(1) for _ in range(1_000)], "and goes on"),
        (lambda: 1, "called as largest_fitting(fits)"),
    ],
)
def test_largest_fitting_names_the_mistake(wrong, hint):
    assert hint in complaint(check.largest_fitting, wrong)


# alive_in_blocks, best_blocks


def alive(sizes, lengths):
    ends = np.cumsum(lengths)
    last = np.array(sizes)[ends - 1]
    return [
        int(last[: number + 1].sum() + sum(sizes[end - length : end]))
        for number, (end, length) in enumerate(zip(ends, lengths, strict=True))
    ]


def test_alive_in_blocks_takes_running_sums():
    check.alive_in_blocks(alive)
    check.alive_in_blocks(alive, seed=1)


@pytest.mark.parametrize("hint", check.alive_in_blocks.slips)
def test_each_way_of_counting_blocks_has_its_own_hint(hint):
    text = complaint(check.alive_in_blocks, check.alive_in_blocks.slips[hint])
    assert text.endswith(f"Hint\n    {hint}")


def test_equal_layers_are_the_lessons_formula():
    for size in (1, 2, 4, 8, 16):
        assert max(alive([1] * 16, [size] * (16 // size))) == 16 // size + size


def all_cuts(count):
    if count == 0:
        return [[]]
    return [[first, *rest] for first in range(1, count + 1) for rest in all_cuts(count - first)]


def by_trying_all(sizes):
    return min(all_cuts(len(sizes)), key=lambda lengths: max(alive(sizes, lengths)))


def test_best_blocks_takes_any_of_the_best():
    check.best_blocks(by_trying_all)
    check.best_blocks(by_trying_all, seed=1)


def by_the_root(sizes):
    length = round(len(sizes) ** 0.5)
    return [length] * (len(sizes) // length) + [len(sizes) % length] * (len(sizes) % length > 0)


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        (by_the_root, "10 are possible"),
        (lambda sizes: [1] * len(sizes), "are possible"),
        (lambda sizes: [len(sizes) + 1], "add up to 2, for 1 layers"),
        (lambda sizes: [len(sizes), 0], "add up to"),
        (lambda sizes: list(np.cumsum(by_trying_all(sizes)))[:-1], "Are these places?"),
        (lambda sizes: [0.5] * 2, "whole numbers"),
        (lambda sizes: 3, "whole numbers"),
    ],
)
def test_best_blocks_names_the_mistake(wrong, hint):
    assert hint in complaint(check.best_blocks, wrong)


# lean_network

LEAN = [Conv(16, 5, 2), Conv(16, 5, 2), Conv(32, 3), Conv(64, 3), Flatten(), Dense(10, None)]


def test_lean_network_takes_another_design():
    check.lean_network(LEAN)
    check.lean_network(LEAN, batch=1_024)


def test_network_figures_by_hand():
    figures = memory.network_figures(LEAN)
    assert figures["pixels seen along a side"] == 5 + 4 * 2 + 2 * 4 + 2 * 4
    assert figures["places of the last maps"] == 8 * 8
    conv = (75 * 16 + 16) + (400 * 16 + 16) + (144 * 32 + 32) + (288 * 64 + 64)
    assert figures["parameters"] == conv + 4_096 * 10 + 10


@pytest.mark.parametrize(
    ("design", "hint"),
    [
        (NETWORKS["cifar10-lenet-keras"].layers, "A pooling keeps what it was given"),
        ([Conv(8, 3, 2), *LEAN[1:]], "What a narrow layer does not let through"),
        ([Conv(32, 4, 4), Conv(64, 3), *LEAN[4:]], "makes every later kernel reach further"),
        ([MaxPool(2, 2), *LEAN], "leaves a quarter of the places"),
        ([MaxPool(29, 4), *[Conv(64, 2)] * 4, *LEAN[4:]], "windows of 2 or 3"),
        ([Conv(16, 28, 4), *[Conv(64, 2)] * 3, *LEAN[4:]], "kernels from 2 to 7"),
        ([*LEAN[:4], Conv(64, 1), *LEAN[4:]], "kernels from 2 to 7"),
        ([Conv(16, 3, 4), *[Conv(64, 3)] * 4, *LEAN[4:]], "its stride leaves pixels out"),
        ([*LEAN[:5], Dense(1), Dense(10, None)], "10 units at least"),
        (LEAN[:4], "does not end in Dense(10, None)"),
        ([*LEAN[:4], Dense(10, None)], "do not fit together"),
        ([(16, 3, 2)], "is no list of Conv"),
        (None, "is still None"),
    ],
)
def test_lean_network_says_what_is_missing(design, hint):
    assert hint in complaint(check.lean_network, design)
