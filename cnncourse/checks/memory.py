"""Checks of problem set 9: bytes by hand, one pass, few trials, blocks, a network for a budget."""

import tracemalloc
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np

from cnncourse.checks.core import Check, Complaint, Inputs, Target
from cnncourse.checks.tensorflow import called, through

__all__ = [
    "alive_in_blocks",
    "best_blocks",
    "channel_statistics",
    "largest_fitting",
    "lean_network",
    "step_bytes",
]

Array = np.ndarray[Any, np.dtype[Any]]
Row = tuple[str, int, int]


# step_bytes(layers, batch, optimizer, policy): what a step keeps, by hand

SLOTS = {"sgd": 0, "momentum": 1, "adam": 2}


def _bytes_with(
    *,
    slots: Mapping[str, int] = SLOTS,
    number: int = 4,
    images: Callable[[int], int] = lambda batch: batch,
    flatten: bool = False,
    places: int = 1,
    half: int = 2,
    last: int = 4,
    copies: bool = True,
    all_copied: bool = False,
    halved_weights: bool = False,
    halved_slots: bool = False,
    copied_gradients: bool = False,
    copied_slots: bool = False,
) -> Callable[..., dict[str, int]]:
    """Return `step_bytes`; the arguments are places for a mistake."""

    def count(layers: Sequence[Row], batch: int, optimizer: str, policy: str) -> dict[str, int]:
        mixed = policy == "mixed_bfloat16"
        weights = sum(parameters for _, _, parameters in layers)
        hidden = weights if all_copied else weights - layers[-1][2]
        activations = 0
        for place, (kind, outputs, _) in enumerate(layers):
            if kind == "flatten" and not flatten:
                continue
            size = number if not mixed else (last if place == len(layers) - 1 else half)
            activations += outputs * (size + (places if kind == "pool" else 0))
        weight = 2 if mixed and halved_weights else number
        copied = 2 * hidden if mixed and copies else 0
        slot = weights * (2 if mixed and halved_slots else number) + copied * copied_slots
        return {
            "parameters": weight * weights + copied,
            "gradients": weight * weights + copied * copied_gradients,
            "optimizer": slots[optimizer] * slot,
            "activations": images(batch) * activations,
        }

    return count


def _bytes_cases() -> Iterator[Inputs]:
    small = [("dense", 3, 9)]
    deep = [("conv", 8, 20), ("pool", 2, 0), ("flatten", 2, 0), ("dense", 3, 9)]
    deeper = [("conv", 12, 30), ("conv", 20, 70), ("pool", 5, 0), ("flatten", 5, 0)]
    deeper += [("dense", 7, 42), ("dense", 3, 24)]
    for layers, batch, optimizer, policy in (
        (small, 1, "sgd", "float32"),
        (small, 10, "sgd", "float32"),
        (small, 10, "momentum", "float32"),
        (small, 10, "adam", "float32"),
        (deep[:1] + small, 10, "adam", "float32"),
        (deep, 10, "adam", "float32"),
        (deep[:1] + small, 10, "adam", "mixed_bfloat16"),
        (deeper, 100, "momentum", "mixed_bfloat16"),
    ):
        yield {"layers": layers, "batch": batch, "optimizer": optimizer, "policy": policy}


def _bytes_more(rng: np.random.Generator) -> Iterator[Inputs]:
    for optimizer in SLOTS:
        for policy in ("float32", "mixed_bfloat16"):
            outputs = [int(size) for size in rng.integers(5, 500, 5)]
            parameters = [int(size) for size in rng.integers(5, 5_000, 3)]
            yield {
                "layers": [
                    ("conv", outputs[0], parameters[0]),
                    ("pool", outputs[1], 0),
                    ("conv", outputs[2], parameters[1]),
                    ("flatten", outputs[2], 0),
                    ("dense", 10, parameters[2]),
                ],
                "batch": int(rng.integers(2, 600)),
                "optimizer": optimizer,
                "policy": policy,
            }


step_bytes = Check(
    name="step_bytes",
    expected=_bytes_with(),
    cases=_bytes_cases,
    more=_bytes_more,
    slips={
        "The activations are those of one image; every image of the batch has its own.": (
            _bytes_with(images=lambda batch: 1)
        ),
        "These are numbers. A float32 has 4 bytes.": _bytes_with(number=1),
        "A float32 has 4 bytes, not 8.": _bytes_with(number=8),
        "Flatten makes no new numbers: it reads those of the layer before in another shape.": (
            _bytes_with(flatten=True)
        ),
        "A pooling keeps one more byte for each of its outputs, whatever the policy: where in the "
        "window the largest was.": _bytes_with(places=0),
        "Adam keeps two running means for each parameter.": _bytes_with(
            slots={"sgd": 0, "momentum": 1, "adam": 1}
        ),
        "The optimizer's slots do not contain the parameters: these have a row of their own.": (
            _bytes_with(slots={"sgd": 1, "momentum": 2, "adam": 3})
        ),
        "Plain SGD keeps nothing.": _bytes_with(slots={"sgd": 1, "momentum": 1, "adam": 2}),
        "Under mixed_bfloat16 activations have 2 bytes.": _bytes_with(half=4),
        "The last layer computes in float32, under mixed_bfloat16 too: 4 bytes for its outputs.": (
            _bytes_with(last=2)
        ),
        "Under mixed_bfloat16 the weights stay in float32, and are there once more, as copies of "
        "2 bytes.": _bytes_with(copies=False),
        "The last layer has no copy: it computes with its float32 weights.": (
            _bytes_with(all_copied=True)
        ),
        "Weights and their gradients stay in float32: a short step would not move a bfloat16.": (
            _bytes_with(halved_weights=True, copies=False)
        ),
        "The optimizer's slots stay in float32.": _bytes_with(halved_slots=True),
        "Copies in bfloat16 have no gradients and no slots: both go by the float32 parameters.": (
            _bytes_with(copied_gradients=True, copied_slots=True)
        ),
        "Copies in bfloat16 have no gradients: these go by the float32 parameters.": (
            _bytes_with(copied_gradients=True)
        ),
        "Copies in bfloat16 have no slots: these go by the float32 parameters.": (
            _bytes_with(copied_slots=True)
        ),
        "Momentum keeps one number per parameter.": _bytes_with(
            slots={"sgd": 0, "momentum": 0, "adam": 2}
        ),
    },
)


# channel_statistics(batches): mean and standard deviation in one pass


class _OneArray:
    """Hands images out in batches, once, all of them in the same array.

    ``grown`` is by how many bytes the memory grew from the second batch to the end, if it is
    traced.
    """

    def __init__(self, images: Array, size: int) -> None:
        self.shared = np.empty((size, *images.shape[1:]), images.dtype)
        self.images, self.size, self.start = images, size, 0
        self.before = self.grown = 0

    def __iter__(self) -> "_OneArray":
        if self.start >= len(self.images):
            raise Complaint(
                "The batches come once; a second loop over them finds nothing. Carry both sums in "
                "the first"
            )
        return self

    def __next__(self) -> Array:
        if self.start == self.size:
            self.before = tracemalloc.get_traced_memory()[0]
        few = self.images[self.start : self.start + self.size]
        if not len(few):
            self.grown = tracemalloc.get_traced_memory()[0] - self.before
            raise StopIteration
        self.start += self.size
        self.shared[: len(few)] = few
        return self.shared[: len(few)]


MANY = 100_000  # bytes from which on it is seen whether batches are kept


def _through_one_array(answer: Callable[..., Any], images: Array, size: int) -> Any:
    batches = _OneArray(images, size)
    traced = images.nbytes >= MANY and not tracemalloc.is_tracing()
    if traced:
        tracemalloc.start()
    try:
        found = called(answer, batches, call="channel_statistics(batches)")
    finally:
        if traced:
            tracemalloc.stop()
    if traced and batches.grown > images.nbytes / 2:
        raise Complaint(
            "it keeps all batches, and so the whole set is in memory: keep sums of them instead"
        )
    return found


Few = Sequence[Array]


def _in_batches(statistics: Callable[[Few], Any]) -> Callable[[Array, int], Any]:
    """Return `channel_statistics` as a function of all the images and the batch size."""

    def of(images: Array, size: int) -> Any:
        starts = range(0, len(images), size)
        return statistics([images[start : start + size] for start in starts])

    return of


def _whole(few: Few) -> tuple[Array, Array]:
    """Return the statistics by the definition, deviation by deviation."""
    pixels = np.concatenate(few).astype(float)
    pixels = pixels.reshape(-1, pixels.shape[-1])
    mean = pixels.mean(axis=0)
    return mean, np.sqrt(((pixels - mean) ** 2).mean(axis=0))


def _means_of(few: Few) -> tuple[Array, Array]:
    means, spreads = zip(*(_whole([batch]) for batch in few), strict=True)
    return np.mean(means, axis=0), np.mean(spreads, axis=0)


def _weighted(few: Few) -> Array:
    spreads = [_whole([batch])[1] for batch in few]
    return np.average(spreads, axis=0, weights=[len(batch) for batch in few])


def _weighted_variances(few: Few) -> Array:
    variances = [_whole([batch])[1] ** 2 for batch in few]
    return np.sqrt(np.average(variances, axis=0, weights=[len(batch) for batch in few]))


def _squares_in_bytes(few: Few) -> tuple[Array, Array]:
    count = sum(batch[..., 0].size for batch in few)
    mean = _whole(few)[0]
    squares = sum((batch**2).sum(axis=(0, 1, 2), dtype=float) for batch in few)
    return mean, np.sqrt(squares / count - mean**2)


def _one_less(few: Few) -> tuple[Array, Array]:
    count = sum(batch[..., 0].size for batch in few)
    return _whole(few)[0], _whole(few)[1] * np.sqrt(count / (count - 1))


def _kept(few: Few) -> tuple[Array, Array]:
    shared = few[0].copy()
    for batch in few[1:]:
        shared[: len(batch)] = batch
    return _whole([shared[: len(batch)] for batch in few])


def _by_images(few: Few) -> tuple[Array, Array]:
    pixels = np.concatenate(few).astype(float)
    mean = pixels.sum(axis=(0, 1, 2)) / len(pixels)
    return mean, np.sqrt((pixels**2).sum(axis=(0, 1, 2)) / len(pixels) - mean**2)


def _root_less_mean(few: Few) -> tuple[Array, Array]:
    mean, spread = _whole(few)
    return mean, np.sqrt(spread**2 + mean**2) - mean


def _deviations_from_own_mean(few: Few) -> tuple[Array, Array]:
    return _whole(few)[0], _weighted_variances(few)


def _statistics_case(images: Any, size: int) -> Inputs:
    return {"images": np.array(images, np.uint8), "batch_size": size}


def _statistics_cases() -> Iterator[Inputs]:
    yield _statistics_case([[[[1, 4, 7]]], [[[3, 8, 15]]]], 2)
    yield _statistics_case([[[[1, 4, 7], [3, 5, 15]]]], 1)
    spot = np.zeros((4, 4, 3))
    spot[1, 2] = 18, 20, 22
    yield _statistics_case([spot], 1)
    yield _statistics_case([[[[1, 2, 3]]], [[[5, 8, 9]]], [[[6, 2, 11]]]], 2)
    yield _statistics_case([[[[1, 10, 100]]], [[[3, 20, 200]]]], 1)
    yield _statistics_case([[[[7], [9]]], [[[4], [5]]]], 1)  # grey images have one channel
    images = 10 * np.arange(5)[:, None, None, None] + np.arange(18).reshape(2, 3, 3) ** 2 % 7
    yield _statistics_case(images, 2)
    yield _statistics_case(3 * images, 3)
    yield _statistics_case(np.arange(403 * 16 * 16 * 3).reshape(403, 16, 16, 3) % 10, 4)


def _statistics_more(rng: np.random.Generator) -> Iterator[Inputs]:
    for size in (3, 4, 100):
        levels = rng.uniform(20, 200, (10, 1, 1, 3))
        images = np.clip(levels + rng.normal(0, 20, (10, 4, 5, 3)), 0, 255)
        yield _statistics_case(images.astype(np.uint8), size)
    yield _statistics_case(rng.integers(0, 10, (402, 16, 16, 3)), 4)


STATISTICS = Check(
    name="channel_statistics",
    expected=_in_batches(_whole),
    cases=_statistics_cases,
    more=_statistics_more,
    slips={
        "Means of batches are averaged as if all were equally large; the last one is smaller. And "
        "the spread of the whole is no mean of spreads. Carry sums over, and divide once.": (
            _in_batches(_means_of)
        ),
        "The spreads of the batches are averaged. What lies between the batches' means is lost: "
        "carry the sum of the numbers and the sum of their squares over to the end.": _in_batches(
            lambda few: (_whole(few)[0], _weighted(few))
        ),
        "The squares are taken from each batch's own mean, which is not the mean of the whole.": (
            _in_batches(_deviations_from_own_mean)
        ),
        "The numbers are bytes, and so are their squares: 16² = 256 becomes 0. Turn a batch into "
        "floats first.": _in_batches(_squares_in_bytes),
        "This is the variance; the standard deviation is its root.": _in_batches(
            lambda few: (_whole(few)[0], _whole(few)[1] ** 2)
        ),
        "Divide by the count, not by the count less one: all pixels are there, none is guessed.": (
            _in_batches(_one_less)
        ),
        "Only the last batch is counted. A loader may give out the same array again and again: "
        "what is needed of a batch has to be taken from it before the next comes.": _in_batches(
            lambda few: _whole(few[-1:])
        ),
        "The batches are kept, but all are the same array, read over again and again: what is "
        "needed of a batch has to be taken from it before the next comes.": _in_batches(_kept),
        "Only the first batch is counted.": _in_batches(lambda few: _whole(few[:1])),
        "The last batch is left out.": _in_batches(lambda few: _whole(few[:-1] or few)),
        "Divide by pixels, n · height · width.": _in_batches(_by_images),
        "The mean is subtracted behind the root: it is √(mean of the squares - mean²).": (
            _in_batches(_root_less_mean)
        ),
        "The channels are thrown together; each has its own mean and spread.": _in_batches(
            lambda few: (np.concatenate(few).mean(), np.concatenate(few).std())
        ),
    },
)

channel_statistics = through(STATISTICS, _through_one_array)


# largest_fitting(fits): as few trials as possible


def _with_trials(answer: Callable[..., Any], largest: int) -> dict[str, Any]:
    """Let the answer look for ``largest``; say what it found and what it tried."""
    trials: list[int] = []

    def fits(batch: int) -> bool:
        if isinstance(batch, bool) or int(batch) != batch or batch < 1:
            raise Complaint(f"it tries a batch of {batch!r}; batches are 1, 2, 3 ...")
        trials.append(int(batch))
        if len(trials) > 500:
            raise Complaint(f"it has made {len(trials)} trials and goes on")
        return batch <= largest

    found = called(answer, fits, call="largest_fitting(fits)")
    return {"found": found, "trials": trials}


def trials_allowed(largest: int) -> int:
    """Doubling until one fails, then halving: two trials for each binary digit."""
    return max(1, 2 * largest.bit_length())


def _judge_trials(result: Any, inputs: Inputs) -> str | None:
    largest, found, trials = inputs["largest"], result["found"], result["trials"]
    if not isinstance(found, int | np.integer | np.ndarray) or np.ndim(found):
        return f"gives {found!r}, which is no whole number"
    if found != largest:
        if found == largest + 1:
            return (
                f"gives {found}, the smallest that does not fit; {largest} is the largest that does"
            )
        if largest and found == 1 << (largest.bit_length() - 1):
            return (
                f"gives {found}, where {largest} fits: after doubling look between the last that "
                "fitted and the first that did not"
            )
        if found == largest - 1:
            return (
                f"gives {found}, where {largest} fits as well: off by one at the end of the search"
            )
        return f"gives {found}, where {largest} is the largest that fits"
    if max(trials, default=0) > max(1, 2 * largest):
        return (
            f"tries {max(trials)} though no more than {largest} fit. Such a trial stops the whole "
            "machine for minutes: never try more than twice what is known to fit"
        )
    if len(trials) > trials_allowed(largest):
        few = f"needs {len(trials)} trials to find {largest}, where {trials_allowed(largest)} are"
        if trials == list(range(1, len(trials) + 1)):
            return f"{few} enough: double while it fits, then halve what lies between"
        return f"{few} enough; ask no batch twice"
    return None


def _trials_cases() -> Iterator[Inputs]:
    for largest in (1, 0, 2, 3, 4, 5, 7, 100, 1_000, 4_096):
        yield {"largest": largest}


def _trials_more(rng: np.random.Generator) -> Iterator[Inputs]:
    yield {"largest": 0}
    for power in range(1, 16):
        yield {"largest": int(rng.integers(2**power, 2 ** (power + 1)))}


largest_fitting = through(
    Check(
        name="largest_fitting",
        expected=None,
        cases=_trials_cases,
        more=_trials_more,
        judge=_judge_trials,
    ),
    _with_trials,
)


# alive_in_blocks(sizes, lengths), best_blocks(sizes): recomputation of unequal layers


def _cut(sizes: Sequence[int], lengths: Sequence[int]) -> list[list[int]]:
    ends = np.cumsum([0, *lengths])
    return [list(sizes[start:end]) for start, end in pairwise(ends.tolist())]


def _alive(sizes: Sequence[int], lengths: Sequence[int]) -> list[int]:
    blocks = _cut(sizes, lengths)
    ends = [block[-1] for block in blocks]
    return [sum(ends[: place + 1]) + sum(block) for place, block in enumerate(blocks)]


def _alive_with(
    of: Callable[[list[list[int]], int], int],
) -> Callable[[Sequence[int], Sequence[int]], list[int]]:
    """Return `alive_in_blocks` that counts something else at each block."""

    def alive(sizes: Sequence[int], lengths: Sequence[int]) -> list[int]:
        blocks = _cut(sizes, lengths)
        return [of(blocks, place) for place in range(len(blocks))]

    return alive


def _ends(blocks: list[list[int]], which: slice, end: int = -1) -> int:
    return sum(block[end] for block in blocks[which])


def _alive_cases() -> Iterator[Inputs]:
    for sizes, lengths in (
        ([6, 4], [1, 1]),
        ([5], [1]),
        ([6, 4], [2]),
        ([6, 4, 3, 2, 5], [2, 3]),
        ([1, 10, 100, 1_000, 10_000, 100_000], [2, 2, 2]),
        ([9, 7, 5, 3, 2, 8, 1], [3, 1, 2, 1]),
    ):
        yield {"sizes": sizes, "lengths": lengths}


def _alive_more(rng: np.random.Generator) -> Iterator[Inputs]:
    for blocks in (1, 3, 6):
        lengths = [int(length) for length in rng.integers(1, 5, blocks)]
        yield {"sizes": rng.integers(1, 999, sum(lengths)).tolist(), "lengths": lengths}


alive_in_blocks = Check(
    name="alive_in_blocks",
    expected=_alive,
    cases=_alive_cases,
    more=_alive_more,
    slips={
        "The ends of all blocks are counted. When the way back reaches a block, those after it "
        "have been used and are gone.": _alive_with(
            lambda blocks, place: _ends(blocks, slice(None)) + sum(blocks[place])
        ),
        "The ends of the earlier blocks are missing: they wait for their turn.": _alive_with(
            lambda blocks, place: blocks[place][-1] + sum(blocks[place])
        ),
        "A block's own end is there twice: the one that was kept, and the one worked out again.": (
            _alive_with(lambda blocks, place: _ends(blocks, slice(place)) + sum(blocks[place]))
        ),
        "The ends alone are counted; the block that is worked out again has all its outputs.": (
            _alive_with(lambda blocks, place: _ends(blocks, slice(place + 1)))
        ),
        "Of each block the last output is kept, not the first.": _alive_with(
            lambda blocks, place: _ends(blocks, slice(place + 1), 0) + sum(blocks[place])
        ),
        "No ends are counted; those that were kept are alive too.": _alive_with(
            lambda blocks, place: sum(blocks[place])
        ),
        "Return a list, one number for each block.": lambda sizes, lengths: max(
            _alive(sizes, lengths)
        ),
        "The blocks come in the wrong order: give the first block's number first.": (
            lambda sizes, lengths: _alive(sizes, lengths)[::-1]
        ),
        "Of blocks before, everything is counted; only their ends are kept.": _alive_with(
            lambda blocks, place: sum(map(sum, blocks[: place + 1])) + blocks[place][-1]
        ),
    },
)


def cuts(count: int) -> Iterator[list[int]]:
    """Return every way to cut ``count`` layers into blocks, as the blocks' lengths."""
    for chosen in range(2 ** (count - 1)):
        places = [place + 1 for place in range(count - 1) if chosen >> place & 1]
        yield [end - start for start, end in pairwise([0, *places, count])]


def least_peak(sizes: Sequence[int]) -> int:
    """Return the least peak of all ways to cut, by trying them block after block.

    With a bound on the peak the only question at each cut is how small the kept ends can be.
    """

    def possible(peak: int) -> bool:
        kept = {0: 0}  # layers done: the least sum of ends with which one gets there
        for done in range(len(sizes)):
            if done not in kept:
                continue
            for end in range(done + 1, len(sizes) + 1):
                ends = kept[done] + sizes[end - 1]
                if ends + sum(sizes[done:end]) <= peak:
                    kept[end] = min(ends, kept.get(end, ends))
        return len(sizes) in kept

    low, high = max(sizes), 2 * sum(sizes)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if possible(middle) else (middle + 1, high)
    return low


def _judge_blocks(result: Any, inputs: Inputs) -> str | None:
    sizes = inputs["sizes"]
    try:
        lengths = [int(length) for length in result]
        whole = all(one == other for one, other in zip(lengths, result, strict=True))
    except (TypeError, ValueError):
        whole = False
    if not whole:
        return "does not return a list of whole numbers, the blocks' lengths"
    if min(lengths, default=0) < 1 or sum(lengths) != len(sizes):
        ascending = all(one < other for one, other in pairwise(lengths))
        places = ascending and max(lengths, default=0) <= len(sizes)
        return (
            f"gives the lengths {lengths}, which add up to {sum(lengths)}, for {len(sizes)} layers"
            + (". Are these places? Lengths are wanted" if places else "")
        )
    peak, least = max(_alive(sizes, lengths)), least_peak(sizes)
    if peak == least:
        return None
    worst = int(np.argmax(_alive(sizes, lengths))) + 1
    return (
        f"cuts so that {peak:,} numbers are alive, in block {worst}; {least:,} are possible. "
        f"Yours, block by block: {_alive(sizes, lengths)}"
    )


def _blocks_cases() -> Iterator[Inputs]:
    yield {"sizes": [3]}
    yield {"sizes": [4, 4, 4, 4]}
    yield {"sizes": [2] * 9}
    yield {"sizes": [8, 1, 8, 1, 8, 1]}
    yield {"sizes": [64, 64, 64, 32, 32, 32, 16, 16, 16, 8, 8, 8]}


def _blocks_more(rng: np.random.Generator) -> Iterator[Inputs]:
    for count in (5, 8, 12):
        yield {"sizes": rng.integers(1, 100, count).tolist()}
        yield {"sizes": sorted(rng.integers(1, 100, count).tolist(), reverse=True)}


best_blocks = Check(
    name="best_blocks",
    expected=None,
    cases=_blocks_cases,
    more=_blocks_more,
    judge=_judge_blocks,
)


# lean_network: layers for CIFAR-10 that train with a large batch within a budget


def network_figures(layers: Any, batch: int = 512) -> Mapping[str, float]:
    """Return what a network for 32 × 32 × 3 sees, and what a step of it takes by the plan."""
    from dataclasses import replace

    from cnncourse import arithmetic
    from cnncourse.memory import plan
    from cnncourse.networks import NETWORKS, Conv, Dense, Dropout, Flatten, MaxPool

    kinds = (Conv, MaxPool, Dropout, Flatten, Dense)
    if not isinstance(layers, Iterable) or not all(isinstance(layer, kinds) for layer in layers):
        raise Complaint("is no list of Conv, MaxPool, Dropout, Flatten and Dense layers")
    layers = tuple(layers)
    if not layers or layers[-1] != Dense(10, None):
        raise Complaint("does not end in Dense(10, None), the logits")
    _refuse_tricks(layers)
    network = replace(NETWORKS["cifar10-lenet-keras"], name="yours", layers=layers)
    try:
        rows = network.table()
        planned = plan(network, batch)
    except (TypeError, ValueError, IndexError) as error:
        raise Complaint(f"these layers do not fit together: {error}") from None
    filters = [layer.filters for layer in layers if isinstance(layer, Conv)]
    windows: list[tuple[int, int]] = []
    shape: tuple[int, ...] = (32, 32, 3)
    for layer, row in zip(layers, rows, strict=True):
        if isinstance(layer, Conv | MaxPool):
            side = layer.kernel if isinstance(layer, Conv) else layer.window
            windows.append((side, layer.stride))
            shape = row.output_shape
    return {
        "peak of a step, MB": planned.total / 1e6,
        "pixels seen along a side": arithmetic.receptive_field(windows).size,
        "convolutions": len(filters),
        "filters of the narrowest": min(filters, default=0),
        "places of the last maps": prod(shape[:2]),
        "filters of the last maps": shape[2],
        "parameters": network.parameters,
    }


def _refuse_tricks(layers: Iterable[Any]) -> None:
    """Raise Complaint for a layer that meets the goals and learns nothing by it."""
    from cnncourse.networks import Conv, Dense, MaxPool

    for layer in layers:
        side = getattr(layer, "kernel", getattr(layer, "window", 0))
        if isinstance(layer, Conv) and not 2 <= side <= 7:
            raise Complaint(f"has {layer}: kernels from 2 to 7 are wanted")
        if isinstance(layer, MaxPool) and side not in (2, 3):
            raise Complaint(f"has {layer}: windows of 2 or 3 are wanted")
        if isinstance(layer, Conv | MaxPool) and layer.stride > side:
            raise Complaint(f"has {layer}: its stride leaves pixels out that no window sees")
        if isinstance(layer, Dense) and layer.units < 10:
            raise Complaint(
                f"has {layer}: ten classes do not fit through it; 10 units at least are wanted"
            )


def _peak_hint(design: Iterable[Any]) -> str:
    from cnncourse.networks import MaxPool

    pools = any(isinstance(layer, MaxPool) for layer in design)
    return (
        "Which part is large? The line with plan above the test says. Every number of a map is "
        "there for each of the images, and its gradient as well."
    ) + (" A pooling keeps what it was given." if pools else "")


_LEAN_HINTS = {
    "pixels seen along a side": "A stride makes every later kernel reach further.",
    "places of the last maps": "Each stride of 2 leaves a quarter of the places.",
    "filters of the narrowest": "What a narrow layer does not let through, no later one gets.",
    "filters of the last maps": "Few filters early, where places are many, and many late.",
}


def lean_network(design: Any, *, batch: int = 512) -> None:
    """Check task 5's layers; the budget grows with the ``batch``."""
    goals = {
        "peak of a step, MB": ("at most", {512: 50, 1_024: 98}[batch]),
        "pixels seen along a side": ("at least", 28),
        "convolutions": ("at least", 4),
        "filters of the narrowest": ("at least", 16),
        "places of the last maps": ("at least", 64),
        "filters of the last maps": ("at least", 64),
    }
    hints: Mapping[str, Any] = {
        **_LEAN_HINTS,
        "peak of a step, MB": lambda figures: _peak_hint(design),
    }
    Target("lean_network", network_figures, goals, hints)(design, batch=batch)
