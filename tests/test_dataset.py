"""ImageDataset against NumPy, hand-made cases and TensorFlow."""

import itertools
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnncourse.data import ImageDataset

NAMES = ("cat", "dog", "owl")


def make(n_train=7, n_test=3, channels=1, **changes):
    rng = np.random.default_rng(0)
    parts = {
        "x_train": rng.integers(0, 256, (n_train, 4, 5, channels), dtype=np.uint8),
        "y_train": (np.arange(n_train) % 3).astype(np.uint8),
        "x_test": rng.integers(0, 256, (n_test, 4, 5, channels), dtype=np.uint8),
        "y_test": (np.arange(n_test) % 3).astype(np.uint8),
        "class_names": NAMES,
        "name": "pets",
        "source": "offline",
    }
    return ImageDataset(**(parts | changes))


def numbered(n_train, n_test=4):
    """Images that all differ and say their own number, up to 65,535 of them."""
    x = np.arange(n_train + n_test)
    x = np.stack([x % 256, x // 256], axis=1).astype(np.uint8).reshape(-1, 1, 2, 1)
    y = (np.arange(n_train + n_test) % 3).astype(np.uint8)
    return ImageDataset(
        x[:n_train], y[:n_train], x[n_train:], y[n_train:], NAMES, "numbered", "offline"
    )


def numbers(images):
    return (images[:, 0, 0, 0] + 256 * images[:, 0, 1, 0].astype(int)).tolist()


def test_keeps_the_arrays_without_copying_and_without_touching_the_callers_flag():
    x = np.zeros((7, 4, 5, 1), np.uint8)
    data = make(x_train=x)
    assert np.shares_memory(data.x_train, x)
    assert x.flags.writeable
    for name in ("x_train", "y_train", "x_test", "y_test"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(data, name)[0] = 1
    with pytest.raises(AttributeError):
        data.name = "other"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x_train": np.zeros((7, 4, 5), np.uint8)}, r"x_train has shape \(7, 4, 5\).*newaxis"),
        ({"x_test": np.zeros((3, 1, 4, 5), np.uint8)}, r"x_test has shape .* 5 channels"),
        ({"layout": "NCHW"}, r"x_train has shape .* 4x?|x_test has items|channels"),
        ({"x_train": np.zeros((7, 4, 5, 1))}, "x_train has dtype float64; use uint8"),
        ({"x_train": np.zeros((6, 4, 5, 1), np.uint8)}, "6 images but y_train has 7 labels"),
        ({"x_test": np.zeros((3, 4, 4, 1), np.uint8)}, r"x_test has items \(4, 4, 1\)"),
        ({"y_train": np.full(7, 3, np.uint8)}, "y_train goes up to 3.*only 3 names"),
        ({"y_train": np.zeros(7, np.int64)}, "y_train has dtype int64"),
        ({"y_test": np.zeros((3, 2), np.float32)}, r"y_test has .*\(n, 3\) for one-hot"),
        ({"y_test": np.zeros((3, 3), np.float32)}, "y_test is not one-hot"),
        ({"y_test": np.eye(3, dtype=np.float32)}, "y_test has items"),
        ({"class_names": "cat"}, "class_names is 'cat'"),
        ({"class_names": ()}, "class_names"),
        ({"source": "web"}, "source is 'web'; use 'official' or 'offline'"),
        ({"layout": "HWC"}, "layout is 'HWC'"),
    ],
)
def test_refuses_parts_that_do_not_belong_together(changes, message):
    if changes == {"layout": "NCHW"}:  # 4 "channels" would pass for RGBA; 5 do not
        changes = changes | {
            "x_train": np.zeros((7, 5, 4, 1), np.uint8),
            "x_test": np.zeros((3, 5, 4, 1), np.uint8),
        }
    with pytest.raises(ValueError, match=message):
        make(**changes)


def test_repr_is_short_and_says_where_the_data_came_from():
    assert repr(make()) == (
        "ImageDataset pets (offline stand-in)\n"
        "  train: images (7, 4, 5, 1) uint8 NHWC, labels (7,) uint8\n"
        "  test:  images (3, 4, 5, 1) uint8 NHWC, labels (3,) uint8\n"
        "  3 classes: cat, dog, owl"
    )
    assert "pets (official)" in repr(make(source="official"))


def test_a_note_is_shown_and_stays_with_the_data():
    data = make(source="official", note="from a loft")
    for other in (
        data,
        data.scaled(),
        data.one_hot(),
        data.subset(4, 2),
        data.to_layout("NCHW"),
        data.subset(4, 2).to_layout("NCHW").scaled().one_hot(),
    ):
        assert other.note == "from a loft"
        assert repr(other).splitlines()[0] == "ImageDataset pets (official; from a loft)"
    assert make().note == ""


def test_scaled_divides_by_255_once():
    data = make(n_train=7)
    scaled = data.scaled()
    assert scaled.x_train.dtype == np.float32
    np.testing.assert_array_equal(scaled.x_train, data.x_train.astype("float32") / 255)
    np.testing.assert_array_equal(scaled.x_test, data.x_test.astype("float32") / 255)
    assert scaled.scaled() is scaled
    assert data.x_train.dtype == np.uint8
    ends = make(x_train=np.array([0, 255] * 70, np.uint8).reshape(7, 4, 5, 1)).scaled()
    assert set(ends.x_train.ravel().tolist()) == {0.0, 1.0}


def test_one_hot_has_its_one_at_the_label():
    data = make()
    rows = data.one_hot()
    assert rows.y_train.shape == (7, 3)
    assert rows.y_train.dtype == np.float32
    np.testing.assert_array_equal(rows.y_train.argmax(1), data.y_train)
    np.testing.assert_array_equal(rows.y_train.sum(1), np.ones(7))
    assert rows.one_hot() is rows
    assert rows.x_train is not None
    assert np.shares_memory(rows.x_train, data.x_train)


def test_subset_is_a_prefix_without_a_copy():
    data = make()
    part = data.subset(4, 0)
    np.testing.assert_array_equal(part.x_train, data.x_train[:4])
    np.testing.assert_array_equal(part.y_train, data.y_train[:4])
    assert len(part.x_test) == len(part.y_test) == 0
    assert np.shares_memory(part.x_train, data.x_train)
    with pytest.raises(ValueError, match="n_train is 8; use a whole number from 0 to 7"):
        data.subset(8, 1)
    with pytest.raises(ValueError, match="n_test is -1"):
        data.subset(1, -1)
    with pytest.raises(ValueError, match=r"n_test is 1\.0"):
        data.subset(1, 1.0)


def test_layouts_go_there_and_back():
    data = make(channels=3)
    first = data.to_layout("NCHW")
    assert first.layout == "NCHW"
    np.testing.assert_array_equal(first.x_train, np.moveaxis(data.x_train, 3, 1))
    np.testing.assert_array_equal(first.to_layout("NHWC").x_test, data.x_test)
    assert first.to_layout("NCHW") is first
    assert "NCHW" in repr(first)
    # Not a strided view, from which every gathered batch would copy the whole set.
    assert first.x_train.flags.c_contiguous
    with pytest.raises(ValueError, match="layout is 'CHWN'; use 'NHWC' or 'NCHW'"):
        data.to_layout("CHWN")


@given(n=st.integers(1, 40), batch_size=st.integers(1, 45), seed=st.integers(0, 2**40))
@settings(max_examples=60, deadline=None)
def test_every_epoch_holds_every_image_once_with_its_label(n, batch_size, seed):
    data = numbered(n)
    got = list(data.batches(batch_size, seed=seed, epochs=3))
    per_epoch = -(-n // batch_size)
    assert len(got) == 3 * per_epoch
    for epoch in range(3):
        part = got[epoch * per_epoch : (epoch + 1) * per_epoch]
        sizes = [len(images) for images, _ in part]
        assert sizes == [batch_size] * (n // batch_size) + [n % batch_size] * (n % batch_size > 0)
        seen = [number for images, _ in part for number in numbers(images)]
        assert sorted(seen) == list(range(n))
        assert [label for _, labels in part for label in labels] == [i % 3 for i in seen]


def test_epochs_are_shuffled_anew_and_a_seed_fixes_them():
    data = numbered(1000)
    orders = [numbers(images) for images, _ in data.batches(1000, seed=5, epochs=3)]
    assert len({tuple(order) for order in orders}) == 3
    assert orders == [numbers(images) for images, _ in data.batches(1000, seed=5, epochs=3)]
    assert orders[0] != numbers(next(data.batches(1000, seed=6))[0])
    assert numbers(next(data.batches(1000))[0]) != numbers(next(data.batches(1000))[0])
    # No image stays near its place: a full shuffle, not one through a small buffer.
    assert np.abs(np.array(orders[0]) - np.arange(1000)).mean() == pytest.approx(1000 / 3, rel=0.1)


def test_unshuffled_batches_come_in_order_from_either_split():
    data = numbered(5, 4)
    assert [numbers(x) for x, _ in data.batches(2, shuffle=False)] == [[0, 1], [2, 3], [4]]
    assert [numbers(x) for x, _ in data.batches(2, shuffle=False, drop_last=True)] == [
        [0, 1],
        [2, 3],
    ]
    assert [numbers(x) for x, _ in data.batches(9, split="test", shuffle=False)] == [[5, 6, 7, 8]]


def test_endless_batches_are_next_batch():
    batches = numbered(5).batches(3, epochs=None, seed=0)
    sizes = [len(next(batches)[0]) for _ in range(7)]
    assert sizes == [3, 2, 3, 2, 3, 2, 3]


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("method", ["batches", "to_tf"])
def test_a_later_first_batch_leaves_out_those_before(method, drop_last):
    data = numbered(5000)
    options = {"seed": 4, "epochs": None, "drop_last": drop_last}
    expected = list(itertools.islice(data.batches(600, **options), 40))
    per_epoch = 8 if drop_last else 9
    for first in (0, 1, per_epoch - 1, per_epoch, 2 * per_epoch + 3):
        batches = itertools.islice(getattr(data, method)(600, first=first, **options), 10)
        for (images, labels), (x, y) in zip(batches, expected[first : first + 10], strict=True):
            np.testing.assert_array_equal(images, x)
            np.testing.assert_array_equal(labels, y)


def test_batches_left_out_are_not_made():
    """Counting through a billion epochs would take years."""
    images, _ = next(numbered(10).batches(1, seed=4, epochs=None, first=10**10 + 3))
    assert numbers(images) == [np.random.default_rng((4, 10**9)).permutation(10)[3]]


def test_a_batch_is_the_readers_own():
    data = numbered(5)
    for shuffle in (True, False):
        images, labels = next(data.batches(5, shuffle=shuffle))
        images[:] = 0
        labels[:] = 0
    assert numbers(data.x_train) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("method", ["batches", "to_tf"])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 0}, "batch_size is 0; use a whole number of at least 1"),
        ({"batch_size": 2.0}, r"batch_size is 2\.0"),
        ({"batch_size": True}, "batch_size is True"),
        ({"batch_size": 8, "drop_last": True}, "batch_size is 8 with drop_last.*only 7"),
        ({"split": "val"}, "split is 'val'; use 'train' or 'test'"),
        ({"split": "test"}, "split has no images"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": "a"}, "seed is 'a'"),
        ({"epochs": 0}, "epochs is 0"),
        ({"first": -1}, "first is -1"),
        ({"first": 3}, "first is 3 with epochs 1.*use epochs=None"),
    ],
)
def test_arguments_are_checked_at_the_call(method, changes, message):
    data = make(n_test=0)
    with pytest.raises(ValueError, match=message):
        getattr(data, method)(**({"batch_size": 2} | changes))


def test_numpy_integers_are_whole_numbers():
    assert len(list(numbered(6).batches(np.int64(3), epochs=np.uint8(2), seed=np.int32(1)))) == 4


class TestTensorFlow:
    """to_tf gives what batches gives."""

    def same(self, dataset, batches):
        got = [(x.numpy(), y.numpy()) for x, y in dataset]
        batches = list(batches)
        assert len(got) == len(batches)
        for (x, y), (images, labels) in zip(got, batches, strict=True):
            np.testing.assert_array_equal(x, images)
            np.testing.assert_array_equal(y, labels)
            assert x.dtype == images.dtype

    @pytest.mark.parametrize("n", [1, 50, 5000])  # 5000 takes several blocks
    @pytest.mark.parametrize("drop_last", [False, True])
    def test_same_batches_as_numpy(self, n, drop_last):
        data = numbered(n).scaled().one_hot()
        options = {"seed": 4, "epochs": 2, "drop_last": drop_last}
        batch_size = min(n, 32)
        dataset = data.to_tf(batch_size, **options)
        self.same(dataset, data.batches(batch_size, **options))
        assert int(dataset.cardinality()) == len(list(data.batches(batch_size, **options)))

    def test_iterating_again_goes_on_with_the_next_epochs(self):
        data = numbered(300)
        dataset = data.to_tf(32, seed=1)
        expected = list(data.batches(32, seed=1, epochs=3))
        next(iter(dataset))  # an abandoned first epoch still counts as one
        self.same(dataset, expected[10:20])
        self.same(dataset, expected[20:])

    def test_test_images_in_order(self):
        data = numbered(5, 7)
        self.same(
            data.to_tf(3, split="test", shuffle=False),
            data.batches(3, split="test", shuffle=False),
        )

    def test_endless(self):
        import tensorflow as tf

        data = numbered(40)
        dataset = data.to_tf(16, seed=2, epochs=None)
        assert int(dataset.cardinality()) == tf.data.INFINITE_CARDINALITY
        self.same(dataset.take(50), itertools.islice(data.batches(16, seed=2, epochs=None), 50))

    def test_leaving_it_waits_for_no_thread_that_tunes(self):
        assert numbered(40).to_tf(16).options().autotune.enabled is False

    def test_shapes_are_known(self):
        images, labels = make().to_tf(2).element_spec
        assert images.shape.as_list() == [None, 4, 5, 1]
        assert labels.shape.as_list() == [None]
        assert make().to_tf(2, drop_last=True).element_spec[0].shape.as_list() == [2, 4, 5, 1]

    def test_no_image_is_embedded_in_a_graph(self):
        import tensorflow as tf

        data = numbered(20_000).scaled()
        v1 = tf.compat.v1
        with tf.Graph().as_default() as graph, v1.Session() as session:
            iterator = v1.data.make_initializable_iterator(data.to_tf(100, seed=3))
            batch = iterator.get_next()
            session.run(iterator.initializer)
            images, _ = session.run(batch)
            np.testing.assert_array_equal(images, next(data.batches(100, seed=3))[0])
            assert graph.as_graph_def().ByteSize() < 20_000 < data.x_train.nbytes


def test_importing_the_room_is_light():
    heavy = ["tensorflow", "keras", "sklearn", "scipy", "pooch", "requests", "tqdm"]
    code = f"import sys, cnncourse.data; print([m for m in {heavy} if m in sys.modules])"
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert out.strip() == "[]"
