"""The stand-in for CIFAR-10: what a lesson relies on, at small sizes."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.preprocessing import StandardScaler

from cnncourse.data import cifar10, object_shapes, offline_objects
from cnncourse.data.object_shapes import DRAWERS, Sketch
from cnncourse.data.offline_objects import HABITS, make_objects

# The order of the labels of CIFAR-10: https://www.cs.toronto.edu/~kriz/cifar.html
CIFAR10 = ["airplane", "automobile", "bird", "cat", "deer"]
CIFAR10 += ["dog", "frog", "horse", "ship", "truck"]


@pytest.fixture(scope="module")
def objects():
    return make_objects(3_000, 1_000)


def same(one, other):
    return all(np.array_equal(one[name], other[name]) for name in one)


def score(objects, features, model):
    """Test accuracy of `model` trained on what `features` makes of the images."""
    train, test = (features(objects[name] / 255) for name in ("x_train", "x_test"))
    scaler = StandardScaler().fit(train)
    model.fit(scaler.transform(train), objects["y_train"])
    return model.score(scaler.transform(test), objects["y_test"])


def test_shapes_types_and_full_range(objects):
    assert list(objects) == ["x_train", "y_train", "x_test", "y_test"]
    assert objects["x_train"].shape == (3_000, 32, 32, 3)
    assert objects["x_test"].shape == (1_000, 32, 32, 3)
    assert objects["y_train"].shape == (3_000,)
    assert objects["y_test"].shape == (1_000,)
    assert {array.dtype for array in objects.values()} == {np.dtype(np.uint8)}
    assert objects["x_train"].min() == 0
    assert objects["x_train"].max() == 255


def test_the_classes_are_cifar10s_and_each_has_its_drawer():
    assert list(cifar10.CIFAR10.class_names) == CIFAR10
    assert [drawer.__name__ for drawer in DRAWERS] == CIFAR10


def test_each_class_comes_equally_often(objects):
    assert np.bincount(objects["y_train"]).tolist() == [300] * 10
    assert np.bincount(objects["y_test"]).tolist() == [100] * 10
    odd = make_objects(13, 1)
    assert sorted(np.bincount(odd["y_train"], minlength=10)) == [1] * 7 + [2] * 3


def test_labels_are_shuffled(objects):
    labels = objects["y_train"].astype(int)
    assert 0.07 < (labels[1:] == labels[:-1]).mean() < 0.13  # by chance: 0.1


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others():
    one, other = make_objects(300, 50), make_objects(300, 50, seed=1)
    assert same(one, make_objects(300, 50))
    assert not np.array_equal(one["y_train"], other["y_train"])
    assert not np.array_equal(one["x_train"], other["x_train"])


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_do_not_matter(threads, monkeypatch):
    before = make_objects(700, 50)
    monkeypatch.setattr(offline_objects, "THREADS", threads)
    assert same(before, make_objects(700, 50))


def test_what_ran_before_or_runs_beside_does_not_matter():
    before = make_objects(300, 50)
    np.random.seed(5)
    make_objects(7, 3, seed=4)
    with ThreadPoolExecutor(2) as pool:
        for made in pool.map(lambda _: make_objects(300, 50), range(2)):
            assert same(before, made)


def test_no_image_comes_twice(objects):
    images = np.concatenate([objects["x_train"], objects["x_test"]])
    assert len(np.unique(images.reshape(len(images), -1), axis=0)) == len(images)


def test_light_and_contrast_are_those_of_photographs(objects):
    """CIFAR-10: means 125, 123, 114; deviation within an image 54 on average."""
    images = objects["x_train"].reshape(len(objects["x_train"]), -1, 3).astype(float)
    np.testing.assert_allclose(images.mean(axis=(0, 1)), (125, 123, 114), atol=15)
    within = images.reshape(len(images), -1).std(axis=1)
    assert 40 < within.mean() < 60
    assert within.min() > 3  # no empty picture


def test_every_class_is_seen_in_every_place():
    assert HABITS.min() > 0.03
    assert HABITS.max() < 0.5
    best = HABITS.max(axis=0).sum() / 10  # who knows the place and guesses the likeliest class
    assert best < 0.3


def test_mean_colour_does_not_give_the_class_away(objects):
    def mean_and_spread(images):
        flat = images.reshape(len(images), -1, 3)
        return np.concatenate([flat.mean(axis=1), flat.std(axis=1)], axis=1)

    assert score(objects, mean_and_spread, LogisticRegression(max_iter=500)) < 0.3


def test_the_background_alone_does_not_give_the_class_away(objects):
    def frame(images):  # the outermost two pixels
        inner = np.zeros((32, 32), bool)
        inner[2:-2, 2:-2] = True
        return images[:, ~inner].reshape(len(images), -1)

    assert score(objects, frame, RidgeClassifier(alpha=1_000)) < 0.3


def test_a_linear_model_learns_something_and_not_much(objects):
    def flat(images):
        return images[:, ::2, ::2].reshape(len(images), -1)

    assert 0.15 < score(objects, flat, RidgeClassifier(alpha=1_000)) < 0.5


def outline(label, n=150, seed=0):
    """Mean coverage (32, 32) of a class's objects: the drawing with every colour white on black."""
    rng = np.random.default_rng(seed)
    sketch = Sketch(n, rng)
    DRAWERS[label](sketch)
    sketch.yaw[:], sketch.roll[:], sketch.close[:] = 0, 0, 0
    sketch.parts = [part._replace(colour=np.ones((n, 3))) for part in sketch.parts]
    canvas = np.zeros((3, n, 32, 32), np.float32)
    offline_objects._draw_object(canvas, sketch, rng)
    return (canvas[0] > 0.3).mean(axis=0)


def test_every_class_has_its_own_outline_and_lies_within_the_picture():
    outlines = [outline(label) for label in range(10)]
    for label, shape in enumerate(outlines):
        assert 0.08 < shape.mean() < 0.5, CIFAR10[label]
        rows, columns = shape.sum(axis=1), shape.sum(axis=0)
        assert abs(rows @ np.arange(32) / rows.sum() - 15.5) < 4, CIFAR10[label]
        assert abs(columns @ np.arange(32) / columns.sum() - 15.5) < 1.5, CIFAR10[label]
        again = outline(label, seed=1)
        others = [np.abs(again - other).mean() for other in outlines]
        assert np.argmin(others) == label, CIFAR10[label]


def test_a_limb_is_a_rod_with_round_ends():
    """Coverage sums to the area of a capsule: 2 r l + pi r²."""
    canvas = np.zeros((3, 1, 32, 32), np.float32)
    ends, radii = np.array([[[9.3, 12.0]], [[20.1, 17.5]]]), np.array([[4.0, 4.0]])
    white, seen = np.ones((1, 3)), np.ones(1)
    offline_objects._limb(canvas, *ends, radii, white / 0.95, seen, np.zeros((1, 2)))
    length = np.hypot(*(ends[1] - ends[0])[0])
    assert canvas[0].sum() == pytest.approx(8 * length + np.pi * 16, rel=0.01)


@pytest.mark.parametrize(("flat", "taper", "area"), [(1, 0.0, 4), (1, 0.5, 4), (0, 0.0, np.pi)])
def test_a_plate_has_the_area_of_its_half_axes(flat, taper, area):
    """A parallelogram and a trapezium cover 4 |u x v|, an ellipse pi |u x v|."""
    canvas = np.zeros((3, 1, 32, 32), np.float32)
    u, v = np.array([[9.0, 2.0]]), np.array([[-3.0, 7.0]])
    one = np.ones(1)
    arguments = np.array([[16.2, 15.9]]), u, v, taper * one, flat == 1, np.ones((1, 3)), one
    offline_objects._plate(canvas, *arguments)
    assert canvas[0].sum() == pytest.approx(area * (9 * 7 + 3 * 2), rel=0.02)


def test_the_nearer_part_hides_the_farther_one():
    sketch = Sketch(1, np.random.default_rng(0))
    sketch.yaw[:], sketch.pitch[:], sketch.roll[:] = 0, 0, 0
    for z, colour in ((0.5, (1, 0, 0)), (-0.5, (0, 0, 1))):  # the far one is added last
        at = sketch.point(0, 0, z)
        sketch.limb(at, at, 1.0, 1.0, colour)
    canvas = np.zeros((3, 1, 32, 32), np.float32)
    offline_objects._draw_object(canvas, sketch, np.random.default_rng(0))
    assert canvas[0].sum() > 50
    assert canvas[2].max() < 0.6 * canvas[0].max()


def test_parts_that_are_not_there_leave_no_trace():
    sketch = Sketch(4, np.random.default_rng(0))
    at = sketch.point(0, 0)
    sketch.limb(at, at, 1.0, 1.0, (1, 1, 1), np.array([1, 0, 1, 0]))
    canvas = np.zeros((3, 4, 32, 32), np.float32)
    offline_objects._draw_object(canvas, sketch, np.random.default_rng(0))
    # A shadow is darker than that.
    assert (canvas.max(axis=(0, 2, 3)) > 0.2).tolist() == [True, False, True, False]


@pytest.mark.parametrize("drawer", DRAWERS, ids=CIFAR10)
@pytest.mark.parametrize("n", [1, 3])
def test_few_objects_can_be_sketched(drawer, n):
    """Three is the number that colours have too: arrays must not be taken for colours."""
    sketch = Sketch(n, np.random.default_rng(0))
    drawer(sketch)
    for part in sketch.parts:
        assert part.kind in (object_shapes.LIMB, object_shapes.ROUND, object_shapes.FLAT)
        for array in (part.a, part.b, part.c, part.colour):
            assert array.shape == (n, 3)
            assert np.isfinite(array).all()
        assert part.seen.shape == part.taper.shape == (n,)
        assert ((part.seen >= 0) & (part.seen <= 1)).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_train": 0}, r"n_train is 0: give a whole number of at least 1"),
        ({"n_test": -3}, r"n_test is -3: give a whole number of at least 1"),
        ({"n_train": 10.0}, r"n_train is 10\.0: give a whole number"),
        ({"n_train": True}, r"n_train is True: give a whole number"),
        ({"seed": -1}, r"seed is -1: give a whole number of at least 0"),
        ({"seed": None}, r"seed is None: give a whole number"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_objects(**arguments)


def test_one_image_and_numpy_numbers_will_do():
    objects = make_objects(np.int64(1), np.int32(1), seed=np.int64(0))
    assert objects["x_train"].shape == objects["x_test"].shape == (1, 32, 32, 3)


def test_it_loads_neither_tensorflow_nor_matplotlib_nor_scikit_learn():
    code = (
        "import sys, cnncourse.data.offline_objects;"
        "assert not {'tensorflow', 'matplotlib', 'sklearn', 'PIL'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
