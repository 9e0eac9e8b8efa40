"""The stand-in for MNIST: what a lesson relies on, at small sizes."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import RidgeClassifier

from cnncourse.data import offline_digits
from cnncourse.data.offline_digits import make_digits, source_indices
from cnncourse.data.pen_paths import PEN_PATHS, PenPaths

# How many of each digit MNIST has: http://yann.lecun.com/exdb/mnist
MNIST_TRAIN = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
MNIST_TEST = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


@pytest.fixture(scope="module")
def digits():
    return make_digits(2_000, 1_000)


def same(one, other):
    return all(np.array_equal(one[name], other[name]) for name in one)


def test_shapes_types_and_full_range(digits):
    assert list(digits) == ["x_train", "y_train", "x_test", "y_test"]
    assert digits["x_train"].shape == (2_000, 28, 28, 1)
    assert digits["x_test"].shape == (1_000, 28, 28, 1)
    assert digits["y_train"].shape == (2_000,)
    assert digits["y_test"].shape == (1_000,)
    assert {array.dtype for array in digits.values()} == {np.dtype(np.uint8)}
    assert digits["x_train"].min() == 0
    assert digits["x_train"].max() == 255


def test_each_digit_has_mnists_share(digits):
    for part, counts in (("y_train", MNIST_TRAIN), ("y_test", MNIST_TEST)):
        expected = np.array(counts) / sum(counts) * len(digits[part])
        assert np.abs(np.bincount(digits[part], minlength=10) - expected).max() < 1


@pytest.mark.parametrize("counts", [MNIST_TRAIN, MNIST_TEST])
def test_the_full_size_has_mnists_very_counts(counts):
    labels = offline_digits._shuffled_labels(sum(counts), tuple(counts), np.random.default_rng(0))
    assert np.bincount(labels).tolist() == counts


def test_labels_are_shuffled(digits):
    labels = digits["y_train"].astype(int)
    assert 0.05 < (labels[1:] == labels[:-1]).mean() < 0.15  # by chance: 0.1


def test_the_same_seed_gives_the_same_bytes(digits):
    assert same(digits, make_digits(2_000, 1_000))


def test_another_seed_gives_other_images_and_another_order(digits):
    other = make_digits(2_000, 1_000, seed=1)
    assert not np.array_equal(digits["y_train"], other["y_train"])
    assert not np.array_equal(digits["x_train"], other["x_train"])


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_do_not_matter(digits, threads, monkeypatch):
    monkeypatch.setattr(offline_digits, "THREADS", threads)
    assert same(digits, make_digits(2_000, 1_000))


def test_what_ran_before_does_not_matter(digits):
    offline_digits._trace_real_digits.cache_clear()
    np.random.seed(5)
    make_digits(7, 3, seed=4)
    with ThreadPoolExecutor(2) as pool:  # two kernels' cells, or a progress bar's thread
        for made in pool.map(lambda _: make_digits(2_000, 1_000), range(2)):
            assert same(digits, made)


def test_training_and_test_images_have_different_sources():
    train, test = source_indices(seed=0)
    assert not set(train) & set(test)
    labels = load_digits().target
    assert np.bincount(labels[train], minlength=10).min() >= 60
    assert np.bincount(labels[test], minlength=10).min() >= 12


def test_a_part_takes_only_its_own_sources(monkeypatch):
    """With nothing drawn, making the test images never looks at a training source."""
    monkeypatch.setattr(offline_digits, "DRAWN", 0.0)
    before = make_digits(10, 300)["x_test"]
    traces = offline_digits._trace_real_digits()
    spoilt = traces.points.copy()
    spoilt[np.isin(traces.source, source_indices(0)[0])] = np.nan
    monkeypatch.setattr(
        offline_digits, "_trace_real_digits", lambda: traces._replace(points=spoilt)
    )
    part = offline_digits._make_part(300, offline_digits.TEST_COUNTS, source_indices(0)[1], [0, 2])
    np.testing.assert_array_equal(part[0], before)


def test_no_image_comes_twice(digits):
    images = np.concatenate([digits["x_train"], digits["x_test"]])
    assert len(np.unique(images.reshape(len(images), -1), axis=0)) == len(images)


def test_ink_fits_into_20_pixels_and_fills_them_one_way(digits):
    ink = digits["x_train"][..., 0] > 0
    rows, columns = ink.any(axis=2), ink.any(axis=1)
    sizes = [28 - side.argmax(axis=1) - side[:, ::-1].argmax(axis=1) for side in (rows, columns)]
    assert np.max(sizes) == 20
    assert (np.max(sizes, axis=0) >= 19).mean() > 0.99


def test_ink_is_centred_by_mass_within_half_a_pixel(digits):
    """As in MNIST, where the mean row and column are within half a pixel of index 14."""
    images = digits["x_train"][..., 0].astype(float)
    mass = images.sum(axis=(1, 2))
    pixels = np.arange(28)
    for axis in (1, 2):
        centre = (images.sum(axis=axis) @ pixels) / mass
        assert abs(centre.mean() - 14) < 0.05
        assert (np.abs(centre - 14) < 0.51).mean() > 0.998
        assert np.abs(centre - 14).max() < 1.5


def test_strokes_are_as_wide_and_dark_as_mnists(digits):
    images = digits["x_train"] / 255
    assert images.mean() == pytest.approx(0.131, abs=0.01)  # MNIST: 0.1307
    assert images.std() == pytest.approx(0.308, abs=0.015)  # MNIST: 0.3081
    assert (digits["x_train"].max(axis=(1, 2, 3)) > 240).mean() > 0.99


def test_a_linear_model_learns_most_of_it_and_not_all(digits):
    def flat(images):
        return images.reshape(len(images), -1) / 255

    model = RidgeClassifier(alpha=100)
    model.fit(flat(digits["x_train"]), digits["y_train"])
    accuracy = model.score(flat(digits["x_test"]), digits["y_test"])
    assert 0.78 < accuracy < 0.95


def test_every_digit_is_drawn_in_several_ways_through_its_points():
    assert sorted(PEN_PATHS) == list(range(10))
    pens = PenPaths(64)
    for digit, ways in PEN_PATHS.items():
        assert len(ways) >= 3
        paths = pens.draw(np.full(200, digit), 0.0, np.random.default_rng(0))
        assert len(np.unique(paths.round(5), axis=0)) == len(ways)
        places = {tuple(path[0].round(3)) for path in paths}
        starts = {tuple(np.float32(strokes[0][0]).round(3)) for _, strokes in ways}
        assert places == starts


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_train": 0}, r"n_train is 0: give a whole number of at least 1"),
        ({"n_test": -3}, r"n_test is -3: give a whole number of at least 1"),
        ({"n_train": 10.0}, r"n_train is 10\.0: give a whole number"),
        ({"n_test": "5"}, r"n_test is '5': give a whole number"),
        ({"n_train": True}, r"n_train is True: give a whole number"),
        ({"seed": -1}, r"seed is -1: give a whole number of at least 0"),
        ({"seed": None}, r"seed is None: give a whole number"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_digits(**arguments)


def test_one_image_and_numpy_numbers_will_do():
    digits = make_digits(np.int64(1), np.int32(1), seed=np.int64(0))
    assert digits["x_train"].shape == digits["x_test"].shape == (1, 28, 28, 1)


def test_it_loads_neither_tensorflow_nor_matplotlib():
    code = (
        "import sys, cnncourse.data.offline_digits;"
        "assert not {'tensorflow', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
