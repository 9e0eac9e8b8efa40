"""Problem set 8's checks: right answers pass, and the usual mistakes are named."""

from collections.abc import Callable

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from cnncourse import checks as check
from cnncourse.checks import cifar10
from cnncourse.checks.core import CheckFailed


def complaint(checked: Callable, answer: object, **setting: int) -> str:
    with pytest.raises(CheckFailed) as failed:
        checked(answer, **setting)
    return str(failed.value)


# decode_records


def test_decode_records_takes_the_librarys_own_arithmetic_and_a_loop():
    def by_loop(content, height, width, label_bytes):
        length, plane = label_bytes + 3 * height * width, height * width
        images, labels = [], []
        for start in range(0, len(content), length):
            labels.append(int(content[start + label_bytes - 1]))
            first = start + label_bytes
            planes = [content[first + c * plane : first + (c + 1) * plane] for c in range(3)]
            images.append(np.stack([p.reshape(height, width) for p in planes], axis=-1))
        return np.stack(images), labels

    check.decode_records(by_loop)
    check.decode_records(by_loop, seed=1)


def decoded(content, height, width, label_bytes):
    records = content.reshape(-1, label_bytes + 3 * height * width)
    planes = records[:, label_bytes:].reshape(-1, 3, height, width)
    return planes.transpose(0, 2, 3, 1), records[:, label_bytes - 1]


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        (lambda *inputs: decoded(*inputs)[::-1], "Images first, then labels"),
        (
            lambda *inputs: (decoded(*inputs)[0], decoded(*inputs)[1][:, None]),
            "labels are [n], one for each image",
        ),
        (lambda c, height, width, n: decoded(c, height, width, 1), "A record has label_bytes +"),
    ],
)
def test_decode_records_names_the_mistake(wrong, hint):
    assert hint in complaint(check.decode_records, wrong)


# cut_and_paste


def pasting(
    partner=lambda n, random: random.permutation(n),
    place=lambda high, random: random.integers(0, high + 1),
    cut=lambda images, result: images,
    shift=0,
    channels=slice(None),
    share=lambda size, height, width: size**2 / (height * width),
    copy=np.copy,
    one_place=False,
    own=None,
    square=None,
    targets=None,
):
    def cut_and_paste(images, labels, size, classes, random):
        random = random if own is None else own()
        n, height, width, _ = images.shape
        result, partners = copy(images), partner(n, random)
        size = square or size
        for i in range(n):
            if i == 0 or not one_place:
                top, left = place(height - size, random), place(width - size, random)
            rows, columns = slice(top, top + size), slice(left, left + size)
            moved = np.roll(cut(images, result), shift, axis=2)
            result[i, rows, columns, channels] = moved[partners[i], rows, columns, channels]
        eye, part = np.eye(classes), share(size, height, width)
        if targets:
            return result, targets(labels, partners, eye, part)
        return result, (1 - part) * eye[labels] + part * eye[labels[partners]]

    return cut_and_paste


def assigned(labels, partners, eye, part):
    result = (1 - part) * eye[labels]
    result[np.arange(len(labels)), labels[partners]] = part
    return result


def whole_numbers(labels, partners, eye, part):
    return ((1 - part) * eye[labels] + part * eye[labels[partners]]).astype(int)


def test_cut_and_paste_takes_other_ways():
    def without_loop(images, labels, size, classes, random):
        n, height, width, _ = images.shape
        partners = random.integers(0, n, n)
        top = random.integers(0, height - size + 1, (n, 1, 1))
        left = random.integers(0, width - size + 1, (n, 1, 1))
        row, column = np.mgrid[:height, :width]
        inside = (row >= top) & (row < top + size) & (column >= left) & (column < left + size)
        mixed = np.where(inside[..., None], images[partners], images)
        share = inside.mean(axis=(1, 2))[:, None]
        one_hot = np.eye(classes)
        return mixed, one_hot[labels] * (1 - share) + one_hot[labels[partners]] * share

    for answer in (pasting(), without_loop):
        check.cut_and_paste(answer)
        for seed in range(5):
            check.cut_and_paste(answer, seed=seed)


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        (pasting(copy=lambda images: images), "changes the images it was given"),
        (pasting(cut=lambda images, result: result), "other images into image"),
        (pasting(shift=1), "moves pixels"),
        (pasting(channels=slice(1)), "only some of the channels"),
        (
            pasting(place=lambda high, random: max(0, random.integers(0, high + 3) - 1)),
            "All of it lies inside",
        ),
        (pasting(square=1), "where a square of 2 × 2 is wanted"),
        (pasting(share=lambda size, height, width: 0), "know nothing of what was pasted"),
        (pasting(share=lambda size, height, width: 1), "the image's own nothing"),
        (pasting(share=lambda size, height, width: 0.5), "half and half"),
        (
            pasting(share=lambda size, height, width: 1 - size**2 / (height * width)),
            "have changed places",
        ),
        (pasting(share=lambda size, height, width: size / height), "not of sides"),
        (
            pasting(share=lambda size, height, width: size**2 / (height * width * 3)),
            "the 3 cancels",
        ),
        (pasting(share=lambda size, height, width: 0.123), "gives wrong targets: for image"),
        (pasting(partner=lambda n, random: np.arange(n)), "leaves all images as they are"),
        (
            pasting(partner=lambda n, random: np.where(random.random(n) < 0.5, range(n), n - 1)),
            "pastes nothing into",
        ),
        (pasting(partner=lambda n, random: np.full(n, random.integers(n))), "of 300 images"),
        (pasting(partner=lambda n, random: np.roll(np.arange(n), 1)), "the same neighbour"),
        (pasting(targets=assigned), "add to the target, do not assign"),
        (pasting(targets=whole_numbers), "whole numbers; make the array float"),
        (
            pasting(place=lambda high, random: min(high, random.integers(0, high + 3))),
            "every place is equally likely",
        ),
        (
            pasting(partner=lambda n, random: random.integers(0, n - 1, n)),
            "image 0 of 2 never has image 1 as its partner",
        ),
        (
            pasting(partner=lambda n, random: (np.arange(n) + random.integers(1, n, n)) % n),
            "image 0 of 2 never has image 0 as its partner",
        ),
        (
            pasting(place=lambda high, random: random.integers(0, high)),
            "There is one place left, row 0: integers(height - size + 1)",
        ),
        (pasting(one_place=True), "the same place in all images"),
        (
            pasting(place=lambda high, random: random.integers(0, max(high, 1))),
            "leaves out its upper end",
        ),
        (pasting(own=np.random.default_rng), "draw from `random`"),
        (pasting(own=lambda: np.random.default_rng(0)), "whatever the generator"),
        (lambda images, labels, size, classes, random: images, "two things"),
        (lambda images, labels, size, random: (images, labels), "it is called as cut_and_paste"),
        (
            lambda images, labels, size, classes, random: (images, labels),
            "targets of shape (6,), where (6, 5) is wanted",
        ),
    ],
)
def test_cut_and_paste_names_the_mistake(wrong, hint):
    text = complaint(check.cut_and_paste, wrong)
    assert hint in text
    assert "e+00" not in text  # no long arrays


# train_until


def until(copy=lambda weights: [array.copy() for array in weights], late=0, start=np.inf, last=0):
    def train_until(weights, epoch, loss_of, patience, epochs):
        best, lowest, losses, found = copy(weights), start, [], 0
        while len(losses) < epochs:
            epoch(weights)
            losses.append(loss_of(weights))
            if len(losses) == 1 and start is None:
                lowest = losses[0]
            if losses[-1] < lowest:
                best, lowest, found = copy(weights), losses[-1], len(losses)
            if len(losses) - found >= patience + late:
                break
        return (weights if last else best), losses

    return train_until


def test_train_until_takes_another_way_of_counting():
    check.train_until(until())
    check.train_until(until(), seed=1)


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        (until(copy=lambda weights: weights), "only another name"),
        (until(copy=list), "a new list of the same arrays"),
        (until(last=1), "those of the last epoch"),
        (until(late=1), "one epoch late"),
        (until(late=99), "never stops early"),
        (lambda w, e, loss_of, p, n: (e(w), loss_of(w)), "best is not a list of arrays"),
        (lambda w, e, loss_of, p, n: loss_of(w), "before the first epoch"),
        (lambda w, e, loss_of, p, n: [e(w) for _ in range(n + 1)], "trains more than 2 epochs"),
        (lambda w, e, loss_of, p, n: e(w), "does not return two things"),
        (lambda weights, epoch: None, "it is called as train_until"),
    ],
)
def test_train_until_names_the_mistake(wrong, hint):
    assert hint in complaint(check.train_until, wrong)


def counting_with(better, counts=lambda loss: True, lowest=np.inf, none=False):
    def train_until(weights, epoch, loss_of, patience, epochs):
        best, least, losses, bad = None if none else [np.copy(a) for a in weights], lowest, [], 0
        while len(losses) < epochs and bad < patience:
            epoch(weights)
            losses.append(loss_of(weights))
            if better(losses[-1], least):
                best, least, bad = [np.copy(a) for a in weights], losses[-1], 0
            elif counts(losses[-1]):
                bad += 1
        return best, losses

    return train_until


def handed_on(weights, epoch, loss_of, patience, epochs):
    weights = epoch(weights)
    return weights, [loss_of(weights)]


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        (counting_with(lambda loss, least: not loss >= least), "nan >= best is false too"),
        (
            counting_with(lambda loss, least: loss < least, lambda loss: loss == loss),
            "An epoch with nan is one without a new best: it counts.",
        ),
        (counting_with(lambda loss, least: loss < least, lowest=100), "begin with infinity"),
        (counting_with(lambda loss, least: loss < least, none=True), "give back the start weights"),
        (lambda *inputs: (until()(*inputs)[0], 1.0), "losses is a list, every epoch's loss"),
        (handed_on, "train_until: epoch returns nothing; it changes weights in place"),
    ],
)
def test_train_until_names_a_mistake_with_nan_or_in_the_call(wrong, hint):
    text = complaint(check.train_until, wrong)
    assert hint in text
    assert "It is called as" not in text


@pytest.mark.parametrize("hint", cifar10.ENDINGS.slips)
def test_each_way_of_ending_has_its_own_hint(hint):
    text = complaint(cifar10.ENDINGS, cifar10.ENDINGS.slips[hint])
    assert text.endswith(f"Hint\n    {hint}")


# most_confused


def test_most_confused_takes_sklearns_matrix():
    def answer(labels, answers, classes):
        matrix = confusion_matrix(labels, answers, labels=range(classes))
        found = {}
        for one in range(classes):
            for other in range(one + 1, classes):
                shares = [
                    matrix[a, b] / matrix[a].sum() if matrix[a].sum() else 0
                    for a, b in ((one, other), (other, one))
                ]
                found[one, other] = sum(shares)
        return max(found, key=found.get)

    check.most_confused(answer)
    for seed in range(5):
        check.most_confused(answer, seed=seed)


def by_table(table):
    def answer(labels, answers, classes):
        shares = table(confusion_matrix(labels, answers, labels=range(classes)).astype(float))
        return np.unravel_index(np.triu(shares + shares.T, 1).argmax(), shares.shape)

    return answer


@pytest.mark.parametrize(
    ("table", "hint"),
    [
        (
            lambda m: (m + m.T) / np.maximum(m.sum(1) + m.sum(1)[:, None], 1),
            "by the images of both",
        ),
        (lambda m: m / m.sum(1, keepdims=True), "0 / 0 is nan"),
        (lambda m: m / m.sum(1), "keepdims=True divides the rows"),
        (
            lambda m: np.minimum(m, 1) / np.maximum(np.minimum(m, 1).sum(1, keepdims=True), 1),
            "counts a repeated pair once: np.add.at",
        ),
        (
            lambda m: np.where(m.sum(1) * m.sum(1)[:, None], m, -9) / m.sum(1).clip(1)[:, None],
            "others may be called it",
        ),
    ],
)
def test_most_confused_names_the_mistake(table, hint):
    text = complaint(check.most_confused, by_table(table))
    assert hint in text
    assert "array(" not in text.split("Result")[1]


# small_photo_network


def flat():
    import keras

    layers = [keras.layers.Flatten(), keras.layers.Dense(10), keras.layers.Dense(2)]
    return keras.Sequential([keras.Input((32, 32, 3)), *layers])


@pytest.fixture
def few_photographs(monkeypatch):
    """Two hundred noisy pictures in the place of CIFAR-10, one class brighter than the other."""
    random = np.random.default_rng(0)
    labels = np.arange(200) % 2
    images = labels[:, None, None, None] + random.normal(0, 0.01, (200, 32, 32, 3))
    few = cifar10.Photographs(*(images.astype(np.float32), labels) * 2, "official")
    monkeypatch.setattr(cifar10, "photographs", lambda part: few)


def test_small_photo_network_measures(few_photographs):
    text = complaint(check.small_photo_network, (flat, 1e-9))
    assert "30,752  ✗ at most 8,000" in text
    assert "Shrink the maps" in text
    assert "has not learnt enough" in text


def test_small_photo_network_asks_less_of_the_offline_pictures():
    for official, offline in zip(*cifar10.TO_REACH.values(), strict=True):
        assert 0.6 < offline < official  # 0.6 is the share of animals


@pytest.mark.parametrize(
    ("design", "hint"),
    [
        (None, "is still None"),
        ((flat, None), "learning_rate is still None; set a number such as 0.001"),
        ((lambda kept=[]: kept[0] if kept else kept.append(flat()) or kept[0], 0.1), "twice"),
        (flat, "is not (new_model, learning_rate)"),
        ((3, 0.1), "new_model is no function"),
        ((lambda: 3, 0.1), "returns int, which is no Keras model"),
    ],
)
def test_small_photo_network_says_what_it_wants(few_photographs, design, hint):
    assert hint in complaint(check.small_photo_network, design)


def test_small_photo_network_blames_the_running_mean_only_where_it_is_slow():
    for momentum, where in ((0.99, "Lesson 13, section 3"), (0.9, "learns by heart")):
        figures = {"training accuracy, last epoch": 0.93, "test accuracy": 0.69}
        assert where in cifar10._accuracy_hint(figures | {cifar10.MOMENTUM: momentum})
    assert "learns by heart" in cifar10._accuracy_hint(figures)


def test_small_photo_network_shows_the_momentum(few_photographs):
    import keras

    def normalised():
        inner = keras.Sequential([keras.layers.Flatten(), keras.layers.BatchNormalization()])
        return keras.Sequential([keras.Input((32, 32, 3)), inner, keras.layers.Dense(2)])

    text = complaint(check.small_photo_network, (normalised, 1e-9))
    assert "momentum of batch normalisation  ≈ 0.990" in text
