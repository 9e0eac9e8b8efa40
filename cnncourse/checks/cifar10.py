"""Checks of problem set 8: planes, mixed images, the best epoch, mix-ups, a small network."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from cnncourse.checks.core import Check, Complaint, Inputs, Target, shown
from cnncourse.checks.tensorflow import called, through

__all__ = ["cut_and_paste", "decode_records", "most_confused", "small_photo_network", "train_until"]

Array = np.ndarray[Any, np.dtype[Any]]


# decode_records(content, height, width, label_bytes): a file of labels and planes


def _parts(content: Array, height: int, width: int, label_bytes: int) -> tuple[Array, Array]:
    """Return labels [n, label_bytes] and planes [n, 3, height, width]."""
    records = content.reshape(-1, label_bytes + 3 * height * width)
    return records[:, :label_bytes], records[:, label_bytes:].reshape(-1, 3, height, width)


def _decode_with(
    pixels: Callable[[Array], Array] = lambda planes: planes.transpose(0, 2, 3, 1),
    label: int | slice = -1,
) -> Callable[..., tuple[Array, Array]]:
    """Return `decode_records` with other pixels made of the planes, or another byte as label."""

    def decode(content: Array, height: int, width: int, label_bytes: int) -> tuple[Array, Array]:
        labels, planes = _parts(content, height, width, label_bytes)
        return pixels(planes), labels[:, label].astype(int)

    return decode


def _by_columns(planes: Array) -> Array:
    n, _, height, width = planes.shape
    return planes.reshape(n, 3, width, height).transpose(0, 3, 2, 1)


def _labels_in_front(
    content: Array, height: int, width: int, label_bytes: int
) -> tuple[Array, Array]:
    """Decode as if the file began with all its labels."""
    count = len(content) // (label_bytes + 3 * height * width)
    labels, planes = np.split(content, [count * label_bytes])
    images = planes.reshape(count, 3, height, width).transpose(0, 2, 3, 1)
    return images, labels.reshape(count, label_bytes)[:, -1].astype(int)


def _records_advice(trouble: str, inputs: Inputs) -> str | None:
    return RECORD if "reshape" in trouble or "broadcast" in trouble else None


RECORD = "A record has label_bytes + 3 · height · width bytes, its labels in front."


def _records_case(records: int, height: int, width: int, label_bytes: int) -> Inputs:
    """Return a file whose pixels are 11, 12, 13 ... and whose labels are 1, 2, 3 ..."""
    pixels = np.arange(records * 3 * height * width).reshape(records, -1) + 11
    labels = np.arange(records * label_bytes).reshape(records, -1) + 1
    content = np.concatenate([labels, pixels], axis=1).astype(np.uint8).ravel()
    return {"content": content, "height": height, "width": width, "label_bytes": label_bytes}


def _records_cases() -> Iterator[Inputs]:
    for sizes in ((1, 1, 2, 1), (2, 1, 1, 1), (1, 2, 3, 1), (2, 1, 2, 2), (3, 3, 2, 2)):
        yield _records_case(*sizes)


def _records_more(rng: np.random.Generator) -> Iterator[Inputs]:
    for label_bytes in (1, 2, 3):
        records, height, width = (int(size) for size in rng.integers(2, 8, 3))
        length = records * (label_bytes + 3 * height * width)
        yield {
            "content": rng.integers(0, 256, length).astype(np.uint8),
            "height": height,
            "width": width,
            "label_bytes": label_bytes,
        }


decode_records = Check(
    name="decode_records",
    expected=_decode_with(),
    cases=_records_cases,
    more=_records_more,
    advice=_records_advice,
    slips={
        "Images first, then labels.": lambda *inputs: _decode_with()(*inputs)[::-1],
        "labels are [n], one for each image.": _decode_with(label=slice(-1, None)),
        "labels are [n]: of an image's label bytes only the last.": _decode_with(label=slice(None)),
        RECORD: _labels_in_front,
        "The pictures are torn: `reshape` alone counts the planes' numbers off anew. Let reshape "
        "name the axes as they are stored, then move them with transpose.": _decode_with(
            lambda planes: planes.reshape(len(planes), *planes.shape[2:], 3)
        ),
        "The planes are still apart, [image, channel, height, width]; the channel belongs last.": (
            _decode_with(lambda planes: planes)
        ),
        "Height and width have changed places: the pictures are mirrored along the diagonal.": (
            _decode_with(lambda planes: planes.transpose(0, 3, 2, 1))
        ),
        "A plane is stored row by row, so the width changes fastest: reshape to height, width.": (
            _decode_with(_by_columns)
        ),
        "Red and blue have changed places: red is stored first.": _decode_with(
            lambda planes: planes.transpose(0, 2, 3, 1)[..., ::-1]
        ),
        "The pixels are scaled. Decoding gives the bytes as they are stored, 0 to 255.": (
            _decode_with(lambda planes: planes.transpose(0, 2, 3, 1) / 255)
        ),
        "Of several label bytes the last one is wanted; this is the first.": _decode_with(label=0),
    },
)


# cut_and_paste(images, labels, size, classes, random): judged by its properties

PLACES = 1_000  # more than any test image has pixels and channels


def numbered(count: int, height: int, width: int) -> Array:
    """Return images in which every number says whose it is, and where it stood."""
    places = np.arange(height * width * 3).reshape(height, width, 3)
    return (np.arange(count)[:, None, None, None] * PLACES + places).astype(np.float64)


class _Batches(list[Any]):
    """The results of several calls; a message shows the first one's shapes."""

    def __repr__(self) -> str:
        first = self[0] if self else None
        if not isinstance(first, tuple | list):
            return shown(first)
        return "\n".join(
            f"{name}: {np.asarray(part).dtype}, shape {np.shape(part)}"
            for name, part in zip(("images", "targets"), first, strict=False)
        )


DRAWS = 40  # of a batch of two: a right answer leaves a partner out once in 10 ** 12


def _thrice(answer: Callable[..., Any], *inputs: Any) -> Any:
    """Return what the answer makes with a generator, with its twin, and with another one.

    A batch of two it gets more often, until each image must have had each partner.
    """
    *given, seed = inputs
    call = "cut_and_paste(images, labels, size, classes, random)"
    results = _Batches()
    more = DRAWS if len(given[0]) == 2 else 2
    for start in (seed, *range(seed, seed + more)):
        arguments = [np.copy(value) if np.ndim(value) else value for value in given]
        random = np.random.default_rng(start)
        results.append(called(answer, *arguments, random, call=call))
        if not np.array_equal(arguments[0], given[0]):
            raise Complaint(
                "changes the images it was given. Paste into a copy, and cut from the images "
                "as they were, or an image may hand on what was pasted into it"
            )
    return results


def _paste_case(
    count: int, height: int, width: int, size: int, classes: int, seed: int = 0
) -> Inputs:
    return {
        "images": numbered(count, height, width),
        "labels": np.arange(count) % classes,
        "size": size,
        "classes": classes,
        "seed": seed,
    }


def _paste_cases() -> Iterator[Inputs]:
    yield _paste_case(6, 5, 6, 2, classes=5)
    yield _paste_case(4, 3, 3, 1, classes=3)
    yield _paste_case(6, 4, 5, 4, classes=7)
    yield _paste_case(300, 5, 7, 3, classes=10)
    yield _paste_case(2, 3, 4, 2, classes=2)


def _paste_more(rng: np.random.Generator) -> Iterator[Inputs]:
    for count in (5, 600):
        height, width = (int(side) for side in rng.integers(5, 8, 2))
        yield _paste_case(count, height, width, 3, 10, int(rng.integers(1_000)))


def _judge_paste(results: Any, inputs: Inputs) -> str | None:
    for result in results:
        if not isinstance(result, tuple | list) or len(result) != 2:
            return "does not return two things, (images, targets)"
    pairs = [(np.asarray(images), np.asarray(targets)) for images, targets in results]
    shapes = (inputs["images"].shape, (len(inputs["images"]), inputs["classes"]))
    for pair in pairs:
        for what, array, shape in zip(("images", "targets"), pair, shapes, strict=True):
            if array.shape != shape:
                return f"gives {what} of shape {array.shape}, where {shape} is wanted"
            if array.dtype.kind not in "iuf":
                return f"gives {what} that are no numbers"
    (images, targets), again, other, *_ = pairs
    partners, corners = np.zeros(len(images), int), np.zeros((len(images), 2), int)
    for number, image in enumerate(images):
        found = _pasted(image, number, inputs["images"], inputs["size"])
        if isinstance(found, str):
            return found
        partners[number], *corners[number] = found
    return (
        _judge_targets(targets, partners, inputs)
        or _judge_draws(partners, corners, inputs)
        or _judge_generators(images, again[0], other[0], inputs)
        or _judge_partners([images for images, _ in pairs], inputs)
    )


def _pasted(image: Array, number: int, given: Array, size: int) -> str | tuple[int, int, int]:
    """Return whose square was pasted into an image, and its corner; or what is wrong."""
    if not np.isin(image, given).all():
        return f"puts numbers into image {number} that are in none of the images"
    owner, place = np.divmod(image.astype(int), PLACES)
    if (place != np.arange(place.size).reshape(place.shape)).any():
        return (
            f"moves pixels: image {number} has some that stood at another place before. Cut at "
            "the rows and columns at which you paste, all channels alike"
        )
    foreign = owner != number
    if not foreign.any():
        return number, 0, 0  # the partner may be the image itself
    givers = np.unique(owner[foreign])
    if len(givers) > 1:
        return (
            f"puts pixels of {len(givers)} other images into image {number}. Draw one partner for "
            "it, and cut from the images as they were, not from the pasted ones"
        )
    if (foreign.all(axis=2) != foreign.any(axis=2)).any():
        return f"pastes only some of the channels into image {number}"
    rows, columns = (np.flatnonzero(foreign[..., 0].any(axis=axis)) for axis in (1, 0))
    sides = (rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1)
    if sides != (size, size) or foreign[..., 0].sum() != size**2:
        return (
            f"pastes {foreign[..., 0].sum()} pixels, {sides[0]} rows and {sides[1]} columns, into "
            f"image {number}, where a square of {size} × {size} is wanted. All of it lies inside "
            f"if it begins in row height - {size} at the latest"
        )
    return int(givers[0]), int(rows[0]), int(columns[0])


def _judge_targets(targets: Array, partners: Array, inputs: Inputs) -> str | None:
    _, height, width, _ = inputs["images"].shape
    size, labels, eye = inputs["size"], inputs["labels"], np.eye(inputs["classes"])
    mine, theirs = eye[labels], eye[labels[partners]]

    def same(share: float) -> bool:
        return bool(np.abs(targets - ((1 - share) * mine + share * theirs)).max() < 1e-5)

    share = size**2 / (height * width)
    if same(share):
        return None
    if targets.dtype.kind in "iu":
        return "gives targets that are whole numbers; make the array float"
    off = np.abs(targets - ((1 - share) * mine + share * theirs)).max(axis=1) > 1e-5
    alike = labels == labels[partners]
    if not off[~alike].any() and not alike.all():
        first = int(off.argmax())
        return (
            f"gives wrong targets for image {first}, which has class {labels[first]}, as its "
            f"partner has: {np.round(targets[first].astype(float), 3).tolist()}. Both have class "
            f"{labels[first]}, so the shares add up to 1: add to the target, do not assign"
        )
    wrong = {
        0.0: "The targets know nothing of what was pasted: give its class its share",
        1.0: "The targets give the pasted class everything, and the image's own nothing",
        0.5: "The targets share half and half, however small the square is",
        1 - share: "The two shares have changed places: the pasted class gets the square's",
        size / height: "The share is one of areas, not of sides",
        size / width: "The share is one of areas, not of sides",
        share / 3: "Both areas have three channels, or neither: the 3 cancels",
    }
    for other, hint in wrong.items():
        if same(other):
            return f"gives wrong targets. {hint}"
    first = int(np.abs(targets - ((1 - share) * mine + share * theirs)).max(axis=1).argmax())
    return (
        f"gives wrong targets: for image {first}, with class {labels[first]} and a pasted share "
        f"{share:.3f} of class {labels[partners[first]]}, they are "
        f"{np.round(targets[first].astype(float), 3).tolist()}. Do pixels and targets speak of the "
        "same partner? Cut from the images as they were, and keep the whole square inside"
    )


def _judge_draws(partners: Array, corners: Array, inputs: Inputs) -> str | None:
    """Say what is not random enough, in a batch so large that it cannot be chance."""
    count, height, width, _ = inputs["images"].shape
    itself = partners == np.arange(count)
    if count < 100:
        return None
    if itself.all():
        return "leaves all images as they are"
    if itself.mean() > 0.2:
        return f"pastes nothing into {itself.sum()} of {count} images, or of each into itself"
    if len(np.unique(partners)) < count / 4:
        return (
            f"takes all squares from {len(np.unique(partners))} of {count} images: draw a partner "
            "for each image"
        )
    if len(np.unique((partners - np.arange(count)) % count)) == 1:
        return "gives every image the same neighbour as partner: draw it"
    corners = corners[~itself]
    if len(np.unique(corners, axis=0)) == 1:
        return "pastes at the same place in all images: draw a place for each"
    for axis, (name, side) in enumerate((("row", height), ("column", width))):
        missing = set(range(side - inputs["size"] + 1)) - set(corners[:, axis].tolist())
        if missing:
            return (
                f"never pastes at {name} {min(missing)} in {count} images. Every place at which "
                "the square lies inside shall come up; random.integers leaves out its upper end"
            )
    places = (height - inputs["size"] + 1) * (width - inputs["size"] + 1)
    due = len(corners) / places
    found = np.zeros((height, width), int)
    np.add.at(found, tuple(corners.T), 1)
    inside = found[: height - inputs["size"] + 1, : width - inputs["size"] + 1]
    for place in (inside.argmin(), inside.argmax()):
        row, column = np.unravel_index(place, inside.shape)
        if not due / 5 < inside[row, column] < 2.25 * due:
            return (
                f"pastes {inside[row, column]} of {len(corners)} squares at row {row}, column "
                f"{column}, where about {due:.0f} are due: every place is equally likely. Draw "
                "the row and the column, each by itself, from the places that are allowed"
            )
    return None


def _judge_partners(draws: Sequence[Array], inputs: Inputs) -> str | None:
    """Say which image of a batch of two never has which as its partner."""
    if len(draws) < DRAWS:
        return None
    for number in range(2):
        for partner in range(2):
            if all((images[number] // PLACES != partner).all() for images in draws) or (
                number == partner
                and all((images[number] // PLACES != partner).any() for images in draws)
            ):
                return (
                    f"draws {len(draws)} times, and image {number} of 2 never has image {partner} "
                    "as its partner. Every image may come up, the last one and the image itself: "
                    "random.integers(n), or random.permutation(n)"
                )
    return None


def _paste_advice(trouble: str, inputs: Inputs) -> str | None:
    if "high <= 0" not in trouble and "low >= high" not in trouble:
        return None
    height, width = inputs["images"].shape[1:3]
    size = inputs["size"]
    for name, side, place in (("height", height, "row"), ("width", width, "column")):
        if side == size:
            return f"There is one place left, {place} 0: integers({name} - size + 1)."
    return None


def _judge_generators(first: Array, again: Array, other: Array, inputs: Inputs) -> str | None:
    if not np.array_equal(first, again):
        return (
            "gives other images when it gets a generator with the same seed: draw from `random`, "
            "the argument, and from nothing else"
        )
    if len(first) >= 100 and np.array_equal(first, other):
        return "gives the same images whatever the generator: draw from `random`, the argument"
    return None


cut_and_paste = through(
    Check(
        name="cut_and_paste",
        expected=None,
        cases=_paste_cases,
        more=_paste_more,
        judge=_judge_paste,
        advice=_paste_advice,
    ),
    _thrice,
)


# train_until(weights, epoch, loss_of, patience, epochs): the best epoch's weights


NOTHING = "epoch returns nothing; it changes weights in place"
NO_BEST = "If no epoch was a best, give back the start weights: copy them before the loop."
START = "A loss may be larger than any number you begin with: begin with infinity."


def _trained(
    answer: Callable[..., Any], losses: Sequence[float], patience: int, epochs: int
) -> Mapping[str, Any]:
    """Let the answer train something whose losses are known; say what it comes back with.

    Every weight is the number of epochs trained, so what comes back names its epoch.
    """
    weights = [np.zeros(2), np.zeros((2, 1))]

    def done(arrays: Any) -> list[int]:
        return [int(np.ravel(array)[0]) for array in arrays]

    def epoch(arrays: list[Array]) -> None:
        if arrays is None:
            raise Complaint(NOTHING)
        if done(weights)[0] == epochs:
            raise Complaint(f"trains more than {epochs} epochs")
        for array in arrays:
            array += 1

    def loss_of(arrays: list[Array]) -> float:
        if arrays is None:
            raise Complaint(NOTHING)
        number = done(arrays)[0]
        if number == 0:
            raise Complaint("asks for the loss before the first epoch")
        return losses[number - 1]

    call = "train_until(weights, epoch, loss_of, patience, epochs)"
    result = called(answer, weights, epoch, loss_of, patience, epochs, call=call)
    if not isinstance(result, tuple | list) or len(result) != 2:
        raise Complaint("does not return two things, (best, losses)")
    best, seen = result
    if best is None and not losses[0] < 10:  # no new best was found where others find one
        raise Complaint(f"gives None as best. {NO_BEST if np.isnan(losses[0]) else START}")
    if not isinstance(best, tuple | list) or [np.shape(array) for array in best] != [
        array.shape for array in weights
    ]:
        raise Complaint("best is not a list of arrays with the shapes of weights")
    if not isinstance(seen, tuple | list | np.ndarray) or np.ndim(seen) != 1:
        raise Complaint("losses is no list; losses is a list, every epoch's loss")
    return {
        "epochs trained": done(weights)[0],
        "best is of epoch": done(best)[0] if len(set(done(best))) == 1 else done(best),
        "losses": _as_texts(list(seen)),
    }


def _as_texts(losses: Sequence[float]) -> list[str]:
    """Return losses in a form in which nan is equal to nan."""
    return [f"{float(loss):g}" for loss in losses]


def _stopping(
    *,
    better: Callable[[float, list[float], float], bool] = lambda loss, seen, best: loss < best,
    late: int = 0,
    start: float = np.inf,
    counts: Callable[[float], bool] = lambda loss: True,
    in_a_row: bool = True,
    from_the_first: bool = False,
    give: Callable[[int, int], int] = lambda best, last: best,
    noted: Callable[[int, int], int] = lambda best, last: last,
) -> Callable[..., Mapping[str, Any]]:
    """Return what `train_until` comes back with; the arguments are places for a mistake."""

    def stop(losses: Sequence[float], patience: int, epochs: int) -> Mapping[str, Any]:
        best, lowest, waited, last = 0, start, 0, 0
        for last in range(1, epochs + 1):
            loss, seen = losses[last - 1], list(losses[: last - 1])
            if better(loss, seen, lowest) or (from_the_first and last == 1):
                best, lowest = last, loss
                waited = 0 if in_a_row else waited
            elif counts(loss):
                waited += 1
            if waited == patience + late:
                break
        return {
            "epochs trained": last,
            "best is of epoch": give(best, last),
            "losses": _as_texts(losses[: noted(best, last)]),
        }

    return stop


def _until(losses: Sequence[float], patience: int) -> Inputs:
    return {"losses": list(losses), "patience": patience, "epochs": len(losses)}


def _until_cases() -> Iterator[Inputs]:
    yield _until([2.0, 1.0], 1)
    yield _until([2.0, 1.0, 1.5, 1.4, 0.5], 1)
    yield _until([2.0, 1.0, 1.5, 1.2, 0.5, 0.4], 2)
    yield _until([2.0, 2.5, 1.0, 1.5, 0.5, 0.8, 0.7, 0.2], 2)
    yield _until([3.0, 2.0, 2.0, 2.0, 1.0], 2)
    yield _until([2.0, 1.0, 1.9, 1.6, 1.2, 0.9, 1.1], 3)
    yield _until([1000.0, 900.0, 950.0], 2)
    yield _until([np.nan, 2.0, np.nan, 1.0, 1.3], 3)
    yield _until([1.0, np.nan, np.nan, 0.5], 2)
    yield _until([1.0, np.nan, np.nan, 1.5], 2)  # tells the two mistakes with nan apart
    yield _until([np.nan, np.nan, 1.0], 2)


def _until_more(rng: np.random.Generator) -> Iterator[Inputs]:
    for patience in (1, 2, 3, 4):
        losses = 1 / np.arange(1, 16) + rng.uniform(0, 0.3, 15)
        yield _until(losses.round(3).tolist(), patience)
    losses[[0, 4]] = np.nan
    yield _until(losses.round(3).tolist(), 3)
    yield _until([np.nan] * int(rng.integers(3, 6)), 3)


def _until_advice(trouble: str, inputs: Inputs) -> str | None:
    if "UnboundLocalError" not in trouble and "NameError" not in trouble:
        return None
    return NO_BEST if np.isnan(inputs["losses"]).any() else START


ENDINGS = Check(
    name="train_until",
    expected=_stopping(),
    cases=_until_cases,
    more=_until_more,
    advice=_until_advice,
    slips={
        "The weights are those of the last epoch. `best = weights` is only another name for "
        "the same arrays, and weights.copy() a new list of the same arrays, which the next "
        "epoch changes: copy every array.": _stopping(give=lambda best, last: last),
        "It stops one epoch late: after `patience` epochs in a row without a new best.": (
            _stopping(late=1)
        ),
        "It never stops early.": _stopping(late=1_000),
        "The count of epochs without a new best goes back to 0 with every new best.": (
            _stopping(in_a_row=False)
        ),
        "A loss is compared with the one before. It is a new best only below all before.": (
            _stopping(better=lambda loss, seen, best: not seen or loss < seen[-1])
        ),
        "An equal loss is no new best.": _stopping(better=lambda loss, seen, best: loss <= best),
        "nan >= best is false too, so `else` takes it for a new best: ask for l < best.": (
            _stopping(better=lambda loss, seen, best: not loss >= best)
        ),
        "An epoch with nan is one without a new best: it counts.": _stopping(
            counts=lambda loss: not np.isnan(loss)
        ),
        START: _stopping(start=100.0),
        NO_BEST: _stopping(give=lambda best, last: best or last),
        "Nothing is below nan: if the first loss is one and counts as best, none is ever "
        "better. Begin with infinity.": _stopping(from_the_first=True),
        "It keeps the epoch with the highest loss.": _stopping(
            better=lambda loss, seen, best: not seen or loss > max(seen)
        ),
        "All losses are wanted, those after the best epoch as well.": _stopping(
            noted=lambda best, last: best
        ),
    },
)

train_until = through(ENDINGS, _trained)


# most_confused(labels, answers, classes): by shares, not by counts


def _counts(labels: Array, answers: Array, classes: int) -> Array:
    confusion = np.zeros((classes, classes))
    np.add.at(confusion, (labels, answers), 1)
    return confusion


def _errors(confusion: Array) -> Array:
    return confusion * (1 - np.eye(len(confusion)))


def _of_each(confusion: Array, axis: int = 1) -> Array:
    """Return the errors as shares of each row (or column), 0 where there is nothing."""
    return _errors(confusion) / np.maximum(confusion.sum(axis=axis, keepdims=True), 1)


def _place(table: Array) -> tuple[int, int]:
    one, other = np.unravel_index(table.argmax(), table.shape)
    return int(one), int(other)


def _pair(table: Callable[[Array], Array]) -> Callable[..., tuple[int, int]]:
    """Return `most_confused` by another table, both of whose directions are added."""

    def pair(labels: Array, answers: Array, classes: int) -> tuple[int, int]:
        shares = table(_counts(labels, answers, classes))
        return _place(np.triu(shares + shares.T))

    return pair


def _one_way(labels: Array, answers: Array, classes: int) -> tuple[int, int]:
    one, other = _place(_of_each(_counts(labels, answers, classes)))
    return min(one, other), max(one, other)


def _larger_first(labels: Array, answers: Array, classes: int) -> tuple[int, int]:
    one, other = _pair(_of_each)(labels, answers, classes)
    return other, one


def _zero_by_zero(confusion: Array) -> Array:
    return _errors(confusion) / confusion.sum(axis=1, keepdims=True)


def _zero_by_zero_beside(confusion: Array) -> Array:
    """Return the same without nan on the diagonal."""
    return np.where(np.eye(len(confusion)), 0, _zero_by_zero(confusion))


def _without_empty(confusion: Array) -> Array:
    """Return shares that rule out every pair with a class without images."""
    return np.where(confusion.sum(axis=1, keepdims=True), _of_each(confusion), -2)


def _of_both(confusion: Array) -> Array:
    images = confusion.sum(axis=1)
    return _errors(confusion) / np.maximum(images + images[:, None], 1)


def _confusion_case(*rows: Sequence[int]) -> Inputs:
    """Return labels and answers with this confusion matrix."""
    places = np.argwhere(np.array(rows) >= 0)
    labels, answers = np.repeat(places, np.ravel(rows), axis=0).T
    return {"labels": labels, "answers": answers, "classes": len(rows)}


def _confusion_cases() -> Iterator[Inputs]:
    yield _confusion_case([3, 1, 0], [0, 4, 0], [0, 0, 4])
    yield _confusion_case([2, 0, 2], [0, 1, 0], [1, 0, 3])
    yield _confusion_case([9, 0, 5, 0], [0, 2, 0, 2], [5, 0, 10, 0], [0, 1, 0, 3])
    yield _confusion_case([4, 6, 0, 0], [0, 10, 0, 0], [0, 0, 6, 4], [0, 0, 4, 6])
    yield _confusion_case([1, 1, 0], [0, 9, 0], [0, 2, 6])
    yield _confusion_case([0, 0, 0], [0, 8, 2], [0, 3, 7])
    yield _confusion_case([40, 4, 0, 0], [3, 5, 0, 0], [0, 0, 10, 3], [0, 0, 3, 5])
    yield _confusion_case([1, 0, 3, 3], [3, 9, 3, 2], [0, 0, 12, 4], [2, 4, 0, 11])
    yield _confusion_case([5, 4, 2, 1], [1, 4, 2, 4], [4, 4, 12, 0], [3, 0, 1, 7])
    yield _confusion_case([0, 0, 0], [5, 3, 2], [0, 0, 10])
    yield _confusion_case([100, 0, 0], [1, 1, 0], [0, 2, 8])
    yield _confusion_case([98, 2, 0, 0], [0, 100, 0, 0], [0, 0, 50, 9], [0, 0, 9, 50])


def _confusion_more(rng: np.random.Generator) -> Iterator[Inputs]:
    for classes in (4, 7, 10):
        sizes = rng.integers(20, 400, classes)
        chances = rng.dirichlet(np.full(classes, 0.3), classes) + 2 * np.eye(classes)
        chances /= chances.sum(axis=1, keepdims=True)
        yield _confusion_case(
            *(rng.multinomial(n, row).tolist() for n, row in zip(sizes, chances, strict=True))
        )


most_confused = Check(
    name="most_confused",
    expected=_pair(_of_each),
    cases=_confusion_cases,
    more=_confusion_more,
    slips={
        "Counts are compared. A large class has more errors just because it is large: divide each "
        "row by its number of images.": _pair(_errors),
        "Only one direction counts: add the share of one taken for the other and the share of the "
        "other taken for the one.": _one_way,
        "The shares are those of the answers, down the columns; divide by how many images of the "
        "class there are, along the row.": _pair(lambda confusion: _of_each(confusion, axis=0)),
        "The shares are those of a class's errors; those of its images are wanted.": _pair(
            lambda confusion: _of_each(_errors(confusion))
        ),
        "Right answers are no mix-up: leave the diagonal out.": lambda labels, answers, classes: (
            _place(_counts(labels, answers, classes))
        ),
        "The smaller class number comes first.": _larger_first,
        "The two shares are added; you divide the errors of both by the images of both.": (
            _pair(_of_both)
        ),
        "`+=` with index arrays counts a repeated pair once: np.add.at.": _pair(
            lambda confusion: _of_each(np.minimum(confusion, 1))
        ),
        "m.sum(axis=1) divides the columns; keepdims=True divides the rows.": _pair(
            lambda confusion: _errors(confusion / confusion.sum(axis=1))
        ),
        "A pair counts although one of its classes has no images: others may be called it.": (
            _pair(_without_empty)
        ),
        "A class has no images: 0 / 0 is nan, and argmax takes nan for the largest.": (
            _pair(_zero_by_zero_beside)
        ),
        "A class without images makes 0 / 0, which is nan, and argmax takes nan for the largest.": (
            _pair(_zero_by_zero)
        ),
    },
)


# small_photo_network: (new_model, learning_rate), vehicle or animal, 2,000 pictures, five epochs

IMAGES, OTHERS, EPOCHS, BATCH = 2_000, 1_000, 5, 50
PARAMETERS = 8_000


VEHICLES = ("airplane", "automobile", "ship", "truck")


class Photographs(NamedTuple):
    """Images [n, 32, 32, 3], 0 to 1, with labels: 1 for a vehicle, 0 for an animal."""

    images: Array
    labels: Array
    test_images: Array
    test_labels: Array
    source: str


def photographs(part: int = 0) -> Photographs:
    """Return 2,000 images of CIFAR-10 to learn from and 1,000 to test with; part 1 has others.

    They are the official ones or the offline stand-in, whichever `load_cifar10` finds.
    """
    return _parts_of_cifar10()[part]


@cache
def _parts_of_cifar10() -> tuple[Photographs, ...]:
    """Return both parts: one load for all tests, and nothing of the rest stays in memory."""
    from cnncourse.data import load_cifar10

    data = load_cifar10()
    vehicle = np.isin(data.class_names, VEHICLES).astype(int)
    parts = []
    for part in range(2):
        learn = slice(part * IMAGES, (part + 1) * IMAGES)
        test = slice(part * OTHERS, (part + 1) * OTHERS)
        parts.append(
            Photographs(
                data.x_train[learn] / np.float32(255),
                vehicle[data.y_train[learn]],
                data.x_test[test] / np.float32(255),
                vehicle[data.y_test[test]],
                data.source,
            )
        )
    return tuple(parts)


def _network_figures(design: Any, data: Photographs) -> Mapping[str, float]:
    import keras

    try:
        new_model, learning_rate = design
    except (TypeError, ValueError):
        raise Complaint("is not (new_model, learning_rate)") from None
    if not callable(new_model):
        raise Complaint("new_model is no function: give its name, without brackets")
    if learning_rate is None:
        raise Complaint("learning_rate is still None; set a number such as 0.001")
    earlier = new_model()
    keras.utils.set_random_seed(0)  # for both parts: the start is no part of the difference
    model = new_model()
    if not isinstance(model, keras.Model):
        raise Complaint(f"new_model returns {type(model).__name__}, which is no Keras model")
    if model is earlier:
        raise Complaint("new_model returns the same model twice: build it inside the function")
    shape = tuple(model(data.images[:3]).shape)
    if shape != (3, 2):
        raise Complaint(f"the model gives shape {shape} for 3 images; logits of (3, 2) are due")
    parameters = model.count_params()
    if parameters > 10 * PARAMETERS:  # its training would take long, and is not worth it
        raise Complaint(
            f"the model has {parameters:,} parameters; at most {PARAMETERS:,} are allowed"
        )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = keras.optimizers.Adam(learning_rate)
    model.compile(optimizer, loss, metrics=["accuracy"], jit_compile=False)
    history = model.fit(
        data.images, data.labels, batch_size=BATCH, epochs=EPOCHS, verbose=0
    ).history
    _, right = model.evaluate(data.test_images, data.test_labels, batch_size=500, verbose=0)
    figures = {
        "parameters": parameters,
        "training accuracy, last epoch": float(history["accuracy"][-1]),
        "test accuracy": float(right),
    }
    momenta = [
        layer.momentum for layer in _layers(model) if type(layer).__name__ == "BatchNormalization"
    ]
    return figures | ({MOMENTUM: float(max(momenta))} if momenta else {})


MOMENTUM = "momentum of batch normalisation"


def _layers(model: Any) -> Iterator[Any]:
    """Yield a model's layers, those of models in it as well."""
    for layer in model.layers:
        yield from _layers(layer) if hasattr(layer, "layers") else (layer,)


def _accuracy_hint(figures: Mapping[str, Any]) -> str:
    gap = figures["training accuracy, last epoch"] - figures["test accuracy"]
    if gap > 0.05 and figures.get(MOMENTUM, 0) > 0.95:
        return (
            "With batch normalisation such a gap has another cause: after 200 steps the running "
            "mean is still on its way. Lesson 13, section 3."
        )
    return (
        "Look at the training accuracy. If it is as low, the network has not learnt enough in its "
        "200 steps: what makes training faster brings most. If it is far higher, the network "
        "learns by heart."
    )


_NETWORK_HINTS: Mapping[str, str | Callable[[Mapping[str, Any]], str]] = {
    "parameters": "Which layer has most of them? Shrink the maps before the dense layer.",
    "test accuracy": _accuracy_hint,
}


TO_REACH = {"official": (0.86, 0.83), "offline": (0.73, 0.70)}


def small_photo_network(design: Any, *, part: int = 0) -> None:
    """Check task 5's (new_model, learning_rate); ``part`` 1 takes other images of both kinds."""
    data = photographs(part)  # here: loading them may take longer than training
    goals = {
        "parameters": ("at most", PARAMETERS),
        "test accuracy": ("at least", TO_REACH[data.source][part]),
    }
    target = Target("small_photo_network", _network_figures, goals, _NETWORK_HINTS, seconds=60)
    target(design, data=data)
