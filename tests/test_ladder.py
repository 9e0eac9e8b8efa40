"""The ladder's parts against independent definitions, and a climb on a few images."""

import os
import subprocess
import sys
from dataclasses import replace
from itertools import accumulate

import keras
import numpy as np
import pytest
from scipy.special import log_softmax

import cnncourse.data
from cnncourse import ladder
from cnncourse.ladder import LADDER, MNIST_LADDER, Batches, Muon, Rung, climb

SMALL = Rung("small", widths=(8, 16), batch_norm=True, batch_size=50, epochs=2)


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture(scope="module")
def objects():
    return cnncourse.data.load_cifar10(source="offline").subset(400, 100)


# the images


def test_standardised_channels_have_mean_0_and_variance_1(random):
    images = random.integers(0, 256, (50, 8, 8, 3), dtype="uint8") // np.array([1, 2, 4], "uint8")
    ready = ladder.standardised(images, images)
    assert ready.dtype == np.float32
    np.testing.assert_allclose(ready.mean((0, 1, 2)), 0, atol=1e-4)
    np.testing.assert_allclose(ready.std((0, 1, 2)), 1, atol=1e-4)


def test_the_test_set_is_standardised_by_the_training_set():
    train = np.array([[[[0.0]]], [[[2.0]]]], "float32")
    assert ladder.standardised(np.float32([[[[5.0]]]]), train).item() == 4.0


def test_only_marked_images_are_mirrored(random):
    images = random.random((3, 4, 5, 2))
    seen = ladder.mirrored(images, np.array([True, False, True]))
    np.testing.assert_array_equal(seen[0], np.flip(images[0], axis=1))
    np.testing.assert_array_equal(seen[1], images[1])


def test_shifted_images_are_the_image_moved_by_each_amount_alike(random):
    image = np.arange(64.0).reshape(8, 8, 1)
    seen = ladder.shifted(np.repeat(image[None], 2000, axis=0), 2, random)
    moves = {
        (down, right): np.roll(image, (-down, -right), axis=(0, 1))[2:6, 2:6]
        for down in range(-2, 3)
        for right in range(-2, 3)
    }
    counts = [(seen[:, 2:6, 2:6] == inside).all(axis=(1, 2, 3)).sum() for inside in moves.values()]
    assert sum(counts) == 2000
    assert 40 < min(counts) <= max(counts) < 130  # 80 each on average


def test_a_shift_mirrors_the_edge_outwards(random):
    image = np.arange(4.0).reshape(1, 1, 4, 1).repeat(4, axis=1)
    rows = {
        tuple(row) for row in ladder.shifted(image.repeat(100, 0), 1, random)[:, 0, :, 0].tolist()
    }
    assert rows == {(1, 0, 1, 2), (0, 1, 2, 3), (1, 2, 3, 2)}


def test_cut_out_sets_one_square_to_0_and_nothing_else(random):
    seen = ladder.cut_out(np.ones((300, 12, 12, 3), "float32"), 4, random)
    holes = seen[..., 0] == 0
    np.testing.assert_array_equal(holes[..., None].repeat(3, axis=-1), seen == 0)
    heights, widths = holes.any(axis=2).sum(axis=1), holes.any(axis=1).sum(axis=1)
    np.testing.assert_array_equal(heights * widths, holes.sum(axis=(1, 2)))  # rectangles
    assert heights.max() == widths.max() == 4
    assert heights.min() == 2  # half of it over the edge
    assert holes.any(axis=0).all()  # it falls everywhere


def test_an_epoch_shows_each_image_once_and_mirrors_it_every_other_time(random):
    images = random.random((60, 4, 4, 1)).astype("float32")
    rung = replace(SMALL, flip=True, batch_size=20)
    batches = Batches(rung, images, np.arange(60)[::-1], seed=0)
    epochs = []
    for epoch in range(2):
        batches.begin(epoch)
        shown = {}
        for index in range(len(batches)):
            for image, (label, place) in zip(*batches[index], strict=True):
                assert label == 59 - place
                shown[int(place)] = bool((image != images[place]).any())
        epochs.append(shown)
    assert list(epochs[0]) != list(epochs[1])  # another order
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(60))
    assert all(epochs[0][place] != epochs[1][place] for place in range(60))
    assert 15 < sum(epochs[0].values()) < 45


def test_a_batch_is_had_again_and_epochs_differ(random):
    images = random.random((40, 8, 8, 1)).astype("float32")
    rung = replace(SMALL, shift=2, cutout=3, batch_size=20)
    batches = Batches(rung, images, np.arange(40), seed=0)
    first = [batches[0][0], batches[1][0]]
    np.testing.assert_array_equal(batches[0][0], first[0])  # in whatever order they are asked for
    assert (first[0] != first[1]).any()
    batches.begin(1)
    assert (batches[0][0] != first[0]).any()
    batches.begin(0)
    np.testing.assert_array_equal(batches[1][0], first[1])


def test_crops_are_windows_of_the_image_from_everywhere(random):
    image = np.arange(36.0).reshape(6, 6, 1)
    seen = ladder.cropped(np.repeat(image[None], 900, axis=0), 4, 5, random)
    assert seen.shape == (900, 4, 5, 1)
    windows = [image[down : down + 4, right : right + 5] for down in range(3) for right in range(2)]
    counts = [(seen == window).all(axis=(1, 2, 3)).sum() for window in windows]
    assert sum(counts) == 900
    assert min(counts) > 110  # 150 each on average


def test_each_epoch_has_its_crop_and_the_last_one_shifts_whole_images(random):
    images = random.random((20, 8, 8, 3)).astype("float32")
    rung = replace(SMALL, shift=2, crops=(4, 6, 8), epochs=3, batch_size=10)
    batches = Batches(rung, images, np.arange(20), seed=0)
    sides = []
    for epoch in range(3):
        batches.begin(epoch)
        sides.append(batches[0][0].shape)
    assert sides == [(10, 4, 4, 3), (10, 6, 6, 3), (10, 8, 8, 3)]
    whole, places = batches[0][0], batches[0][1][:, 1]
    assert (whole != images[places]).any(axis=(1, 2, 3)).sum() > 5  # all but one in 25 are moved


def test_hard_images_are_the_hardest_and_some_of_the_others(random):
    losses = random.permutation(100).astype("float32")
    seen = [frozenset(ladder.hard_images(losses, 0.5, random).tolist()) for _ in range(200)]
    assert {len(places) for places in seen} == {50}
    hardest = set(np.flatnonzero(losses >= 65).tolist())  # 70 % of the 50
    assert all(hardest <= places for places in seen)
    others = [sum(place in places for places in seen) for place in set(range(100)) - hardest]
    assert 20 < min(others) <= max(others) < 80  # 200 * 15 / 65 = 46 times each on average


def test_a_share_of_the_images_is_the_hard_ones_of_the_epoch_before(objects, monkeypatch):
    asked = []
    chosen = ladder.hard_images

    def watched(losses, share, random):
        asked.append(losses.copy())
        return chosen(losses, share, random)

    monkeypatch.setattr(ladder, "hard_images", watched)
    rung = replace(SMALL, crops=(24, 32), shares=(1.0, 0.5), learning_rate=1e-9)
    climbed = climb(rung, objects)
    assert len(climbed.losses) == len(climbed.test_accuracies) == 2
    assert climbed.seconds == sorted(climbed.seconds)
    # The net has not moved: the hard half of the images has the higher loss, the losses of all
    # are known, and their mean is the first epoch's loss.
    assert climbed.losses[1] > climbed.losses[0] + 0.05
    assert (asked[-1] != np.float32(np.log(10))).all()
    assert asked[-1].mean() == pytest.approx(climbed.losses[0], rel=1e-4)
    np.testing.assert_array_equal(asked[0], asked[-1])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"crops": (8, 8, 8)}, r"crops is \(8, 8, 8\) for 2 epochs"),
        ({"shares": (1.0,)}, r"shares is \(1.0,\) for 2 epochs"),
        ({"shares": (0.5, 0.5)}, r"shares is \(0.5, 0.5\); give numbers above 0"),
        ({"shares": (1.0, 0.0)}, r"shares is \(1.0, 0.0\); give numbers above 0"),
        ({"crops": (8, 8), "averaging": 0.9}, r"averaging is 0.9 beside crops; leave one out"),
        ({"shares": (1.0, 1.5)}, r"shares is \(1.0, 1.5\); give numbers above 0"),
    ],
)
def test_crops_and_shares_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(SMALL, **changes)


def test_crops_larger_than_the_images_are_refused(objects):
    with pytest.raises(ValueError, match=r"crops is \(32, 40\), but the images have 32 pixels"):
        climb(replace(SMALL, crops=(32, 40)), objects)


# the first layer, and how convolutions start


def test_the_whitening_layer_gives_uncorrelated_maps_of_variance_1(random):
    smooth = random.normal(size=(400, 12, 12, 3))
    smooth = (smooth + np.roll(smooth, 1, 1) + np.roll(smooth, 1, 2) + smooth[..., :1]) / 2
    images = (smooth - smooth.mean((0, 1, 2))).astype("float32")
    kernel = ladder.whitening_kernel(images, epsilon=0.0)
    maps = np.array(keras.ops.conv(images, kernel, padding="valid"))
    half = maps[..., :12].reshape(-1, 12)
    np.testing.assert_allclose(np.cov(half.T), np.eye(12), atol=0.01)
    np.testing.assert_allclose(maps[..., 12:], -maps[..., :12], atol=1e-4)
    loudest = ladder.whitening_kernel(images, epsilon=0.0, directions=5)
    np.testing.assert_array_equal(loudest, kernel[..., [*range(7, 12), *range(19, 24)]])
    # Divided by the root of its eigenvalue, a loud direction's filter is short.
    lengths = np.linalg.norm(kernel.reshape(12, 24), axis=0)[:12]
    assert (np.diff(lengths) < 0).all()


@pytest.mark.parametrize("channels", [(3, 5), (5, 3)])
def test_a_convolution_that_starts_as_identity_hands_its_channels_on(random, channels):
    before, after = channels
    images = random.random((2, 6, 6, before)).astype("float32")
    kernel = ladder.IdentityStart(seed=1)((3, 3, before, after))
    maps = np.array(keras.ops.conv(images, kernel, padding="same"))
    handed_on = min(channels)
    np.testing.assert_allclose(maps[..., :handed_on], images[..., :handed_on], atol=1e-6)
    assert maps.shape[-1] == after
    assert (maps.std(axis=(0, 1, 2)) > 0.01).all()  # the others do something too


# the step


@pytest.mark.parametrize("shape", [(72, 16), (16, 72), (144, 144)])
def test_orthogonal_keeps_the_directions_and_evens_out_the_lengths(random, shape):
    matrix = random.normal(size=shape).astype("float32")
    u, _, v = np.linalg.svd(matrix, full_matrices=False)
    lengths = np.diag(u.T @ np.array(ladder.orthogonal(matrix, 5)) @ v.T)
    cross = u.T @ np.array(ladder.orthogonal(matrix, 5)) @ v.T - np.diag(lengths)
    assert np.abs(cross).max() < 1e-3
    assert np.median(lengths) == pytest.approx(0.95, abs=0.25)
    assert lengths.max() < 1.25


def test_one_step_of_muon_by_hand(random):
    kernel = random.normal(size=(3, 3, 4, 8)).astype("float32")
    slope = random.normal(size=kernel.shape).astype("float32")
    variable = keras.Variable(kernel)
    Muon(0.1, momentum=0.5).apply([keras.ops.convert_to_tensor(slope)], [variable])
    u, lengths, v = np.linalg.svd(1.5 * slope.reshape(-1, 8), full_matrices=False)
    lengths = lengths / np.sqrt((lengths**2).sum())
    for _ in range(3):
        lengths = 3.4445 * lengths - 4.775 * lengths**3 + 2.0315 * lengths**5
    expected = kernel * np.sqrt(8 / (kernel**2).sum()) - 0.1 * ((u * lengths) @ v).reshape(
        kernel.shape
    )
    np.testing.assert_allclose(variable.numpy(), expected, atol=1e-4)


def test_muon_moves_what_is_no_kernel_as_adam_does():
    ours, theirs = keras.Variable([1.0, -2.0]), keras.Variable([1.0, -2.0])
    muon = Muon(0.1, adam_rate=3.0)
    peer = keras.optimizers.Adam(0.3, beta_2=0.95, epsilon=1e-8)
    for slope in ([1.0, 0.5], [-0.2, 0.1], [0.3, 0.3]):
        muon.apply([keras.ops.convert_to_tensor(slope)], [ours])
        peer.apply([keras.ops.convert_to_tensor(slope)], [theirs])
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-4)


def test_the_learning_rate_rises_then_falls_to_0():
    optimizer = ladder.step_of(replace(SMALL, warm_up=True, learning_rate=0.01), 100)
    schedule = optimizer._learning_rate
    rates = [float(schedule(step)) for step in range(101)]
    assert max(rates) == pytest.approx(0.01, rel=1e-3)
    assert rates.index(max(rates)) == 25
    assert rates[0] < 0.0011
    assert rates[-1] < 1e-6


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_smoothed_cross_entropy_is_its_formula(random, smoothing):
    logits = random.normal(size=(5, 10)).astype("float32")
    labels = random.integers(0, 10, 5)
    target = (1 - smoothing) * np.eye(10)[labels] + smoothing / 10
    expected = -(target * log_softmax(logits, axis=1)).sum(axis=1)
    ours = np.array(ladder.smoothed_cross_entropy(smoothing)(labels[:, None], logits))
    np.testing.assert_allclose(ours, expected, rtol=1e-5)


# the climb


def test_a_climb_learns_reports_and_is_had_again():
    lines: list[str] = []
    rung = replace(SMALL, epochs=6, warm_up=True, learning_rate=5e-3, residual=True, flip=True)
    objects = cnncourse.data.load_cifar10(source="offline").subset(1500, 200)
    first = climb(rung, objects, report=lines.append)
    assert len(lines) == len(first.losses) == len(first.seconds) == 6
    assert "epoch 6 of 6" in lines[-1]
    assert first.train_accuracies[-1] > 0.2
    assert first.losses[-1] < 0.9 * first.losses[0]
    assert first.accuracy == pytest.approx(first.test_accuracies[-1])
    assert first.seconds == sorted(first.seconds)
    again = climb(rung, objects)
    assert again.losses == first.losses
    assert again.accuracy == first.accuracy


def test_muon_with_whitened_patches_learns(objects):
    rung = replace(SMALL, whiten=True, optimizer="muon", learning_rate=0.24, epochs=4)
    climbed = climb(rung, objects)
    assert climbed.losses[-1] < 0.9 * climbed.losses[0]
    whitening = climbed.model.get_layer("whitening").kernel
    expected = ladder.whitening_kernel(ladder.standardised(objects.x_train, objects.x_train))
    np.testing.assert_array_equal(whitening.numpy(), expected)  # it was not learnt


def test_averaged_weights_are_what_answers_at_the_end(objects):
    plain = climb(replace(SMALL, epochs=1), objects)
    averaged = climb(replace(SMALL, epochs=1, averaging=0.999), objects)
    kernels = [c.model.trainable_variables[0].numpy() for c in (plain, averaged)]
    keras.utils.set_random_seed(0)
    start = ladder.network(SMALL, plain_images(objects)).trainable_variables[0].numpy()
    # Keras' average begins with the weights after the first step, of Adam's 0.001; the seven steps
    # that follow hardly move it at a decay of 0.999.
    moved = [np.abs(kernel - start).max() for kernel in kernels]
    assert moved[1] == pytest.approx(0.001, abs=1e-4)
    assert moved[0] > 0.004


def plain_images(data):
    return ladder.standardised(data.x_train, data.x_train)


def test_views_are_averaged_over_mirrored_and_shifted_images():
    class Corner(keras.Model):
        """Answers with the upper left pixel."""

        def call(self, images):
            return images[:, 0, 0]

    images = np.arange(2 * 5 * 5, dtype="float32").reshape(2, 5, 5, 1)
    model = Corner()
    first = images[:, 0, 0]
    np.testing.assert_allclose(ladder.predictions(model, images), first)
    np.testing.assert_allclose(ladder.predictions(model, images, 2), first + 2)
    # In place (0, 4), moved to the upper left (6, 6: the edge is mirrored) and lower right (0, 4).
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), "reflect")
    moved = [padded[:, 0, 0], padded[:, 0, 4], padded[:, 2, 2], padded[:, 2, 6]]
    np.testing.assert_allclose(
        ladder.predictions(model, images, 6), (first + 2) / 2 + sum(moved) / 8
    )


def test_the_policy_is_the_rungs_own_and_left_as_it_was(objects):
    before = keras.config.dtype_policy().name
    model = climb(replace(SMALL, policy="mixed_bfloat16", epochs=1), objects).model
    assert {layer.compute_dtype for layer in model.layers} == {"bfloat16", "float32"}
    assert model.get_layer("head").compute_dtype == "float32"
    assert keras.config.dtype_policy().name == before


def test_a_set_smaller_than_a_batch_is_refused(objects):
    with pytest.raises(ValueError, match="batch_size is 500, but an epoch has only 400 tr"):
        climb(replace(SMALL, batch_size=500), objects)
    with pytest.raises(ValueError, match="batch_size is 300, but an epoch has only 200"):
        climb(replace(SMALL, batch_size=300, shares=(1.0, 0.5)), objects)


def test_each_rung_says_to_which_it_adds_what():
    rungs = {rung.name: rung for rung in LADDER}
    assert len(rungs) == len(LADDER)
    assert len({rung.name for rung in MNIST_LADDER} | set(rungs)) == len(LADDER) + len(MNIST_LADDER)
    for rung, earlier in zip(LADDER[1:], accumulate([[r.name] for r in LADDER]), strict=False):
        assert rung.below in earlier
        assert replace(rung, name="", below="") != replace(rungs[rung.below], name="", below="")


def test_the_ladder_needs_no_tensorflow():
    code = (
        "import sys, importlib.util\n"
        "if importlib.util.find_spec('jax') is None: print('no jax'); raise SystemExit\n"
        "sys.modules['tensorflow'] = None  # importing it raises ImportError\n"
        "import cnncourse.ladder as ladder\n"
        "import numpy as np\n"
        "from cnncourse.data import ImageDataset\n"
        "x = np.random.default_rng(0).integers(0, 256, (80, 8, 8, 3), dtype='uint8')\n"
        "y = (x[:, 0, 0, 0] > 127).astype('uint8')\n"
        "names = ('dark', 'bright')\n"
        "data = ImageDataset(x, y, x, y, names, 'noise', 'offline')\n"
        "rung = ladder.Rung('r', widths=(8,), batch_norm=True, whiten=True, optimizer='muon',\n"
        "    learning_rate=0.2, batch_size=40, epochs=2, views=6, crops=(6, 8), shares=(1, 0.5))\n"
        "print(len(ladder.climb(rung, data).losses))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=os.environ | {"KERAS_BACKEND": "jax"},
        check=False,
    )
    if done.stdout == "no jax\n":
        pytest.skip("JAX is not installed")
    assert done.stdout == "2\n", done.stderr
