"""The pictures hold what they should; how they look is for people's eyes."""

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from scipy.stats import binomtest

from cnncourse import plotting


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


def test_an_image_grid_shows_every_image_under_its_title():
    images = np.random.default_rng(0).random((5, 28, 28, 1))
    assert plotting.show_images(images, titles=[7, 8, 9, 1, 2], columns=3) is None
    axes = plt.gcf().axes
    assert [axis.get_title() for axis in axes] == ["7", "8", "9", "1", "2", ""]
    for axis, image in zip(axes, images, strict=False):
        np.testing.assert_array_equal(axis.images[0].get_array(), image[:, :, 0])
    assert not axes[5].images


def test_wrong_predictions_carry_a_cross_and_not_only_a_colour():
    plotting.show_images(np.zeros((2, 8, 8, 1)), titles=[3, 5], wrong=[False, True])
    assert [axis.get_title() for axis in plt.gcf().axes] == ["3", "5 ✗"]


def test_colour_images_are_drawn_in_colour():
    plotting.show_images(np.zeros((1, 8, 8, 3)))
    assert plt.gcf().axes[0].images[0].get_array().shape == (8, 8, 3)


def test_kernels_share_one_scale_around_zero():
    kernel = np.random.default_rng(0).normal(size=(5, 5, 2, 6))
    plotting.show_kernels(kernel, channel=1, heading="first layer")
    pictures = [axis.images[0] for axis in plt.gcf().axes if axis.images]
    assert len(pictures) == 6
    assert {picture.get_clim() for picture in pictures} == {
        (-np.abs(kernel).max(), np.abs(kernel).max())
    }
    np.testing.assert_array_equal(pictures[4].get_array(), kernel[:, :, 1, 4])


def test_curves_have_names_axes_and_different_dashes():
    plotting.show_curves(
        {"Adam": ([1, 2], [0.9, 0.95]), "SGD": ([1, 2], [0.5, 0.7])}, across="epoch", up="accuracy"
    )
    axis = plt.gcf().axes[0]
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("epoch", "accuracy")
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["Adam", "SGD"]
    assert len({line.get_linestyle() for line in axis.lines}) == 2
    np.testing.assert_array_equal(axis.lines[1].get_ydata(), [0.5, 0.7])


def test_windows_stand_where_tensorflow_puts_them():
    plotting.show_windows(np.zeros((28, 28)), 5, stride=2, padding="same")
    axis = plt.gcf().axes[0]
    corners = [patch.get_xy() for patch in axis.patches[1:]]  # the first is the image's frame
    assert corners == [(-1.5, -1.5), (0.5, -1.5), (2.5, -1.5), (24.5, 24.5)]
    assert "14 places, stride 2" in axis.get_xlabel()


def drawn(index=0):
    """The array that a panel of the current figure shows."""
    return plt.gcf().axes[index].images[-1]


def test_relu_maps_share_one_scale_from_zero():
    maps = np.random.default_rng(0).random((14, 12, 5))
    assert plotting.show_maps(maps, columns=3, titles=range(5), heading="pool1") is None
    axes = [axis for axis in plt.gcf().axes if axis.images]
    assert [axis.get_title() for axis in axes] == list("01234")
    for index, axis in enumerate(axes):
        np.testing.assert_array_equal(axis.images[0].get_array(), maps[:, :, index])
        assert axis.images[0].get_clim() == (0, maps.max())
    assert plt.gcf().axes[-1].get_ylabel() == "activation"  # the colour bar


def test_signed_maps_have_white_at_zero():
    maps = np.full((4, 4, 2), -3.0)
    maps[0, 0, 0] = 1
    plotting.show_maps(maps)
    assert drawn().get_clim() == (-3, 3)
    np.testing.assert_allclose(drawn().to_rgba(0.0)[:3], 1, atol=0.04)


def test_dark_maps_are_drawn_dark_and_not_divided_by_zero():
    plotting.show_maps(np.zeros((4, 4, 1)))
    assert drawn().get_clim() == (0, 1)


def test_coarse_heat_covers_the_whole_image_and_is_strongest_at_its_maximum():
    heats = np.zeros((2, 7, 7))
    heats[0, 2, 5], heats[0, 3, 3] = 4, 2
    plotting.show_overlay(np.zeros((2, 28, 28, 1)), heats, titles=["4", "dark"])
    under, over = plt.gcf().axes[0].images
    assert under.get_extent() == over.get_extent() == [-0.5, 27.5, 27.5, -0.5]
    opacity = over.get_alpha()
    assert np.unravel_index(opacity.argmax(), opacity.shape) == (2, 5)
    assert opacity[2, 5] == 2 * opacity[3, 3] > 0 == opacity[0, 0]
    assert not drawn(1).get_alpha().any()


def test_probability_bars_name_the_true_class_in_words():
    probabilities = np.array([[0.1, 0.7, 0.2], [0.5, 0.25, 0.25]])
    names, images = ("cat", "dog", "eel"), np.zeros((2, 8, 8, 3))
    plotting.show_probabilities(probabilities, names, images=images, labels=np.array([1, 2]))
    axes = plt.gcf().axes
    assert [len(axis.images) for axis in axes] == [1, 0, 1, 0]
    for axis, values, label in ((axes[1], probabilities[0], 1), (axes[3], probabilities[1], 2)):
        assert [bar.get_width() for bar in axis.patches] == list(values)
        assert [bool(bar.get_hatch()) for bar in axis.patches] == [i == label for i in range(3)]
        written = [text.get_text() for text in axis.texts]
        assert [text.split()[0] for text in written] == [f"{value:.2f}" for value in values]
        assert ["label" in text for text in written] == [i == label for i in range(3)]
        assert [tick.get_text() for tick in axis.get_yticklabels()] == list(names)


def test_confusion_writes_every_count_and_colours_only_errors():
    confusion = np.array([[950, 3, 0], [1, 900, 7], [2, 0, 880]])
    plotting.show_confusion(confusion, ["0", "1", "2"], heading="on the test set")
    axis = plt.gcf().axes[0]
    assert (axis.get_ylabel(), axis.get_xlabel()) == ("label", "predicted")
    written = {text.get_position(): text.get_text() for text in axis.texts}  # (column, row)
    assert written == {(c, r): str(confusion[r, c]) for r in range(3) for c in range(3)}
    np.testing.assert_array_equal(drawn().get_array().mask, np.eye(3, dtype=bool))
    assert drawn().get_clim() == (0, 7)


def test_a_confusion_without_errors_can_be_drawn():
    plotting.show_confusion(np.diag([5, 5]), ["a", "b"])
    assert drawn().get_clim() == (0, 1)


def test_calibration_puts_each_image_into_its_bin():
    # Of four bins: two images in the second, none in the third, three in the last, 1.0 included.
    confidence, correct = [0.3, 0.4, 0.8, 0.9, 1.0], [True, False, True, True, True]
    plotting.show_calibration(confidence, correct, bins=4)
    upper, lower = plt.gcf().axes
    points = upper.containers[0]
    np.testing.assert_allclose(points[0].get_xydata(), [[0.35, 0.5], [0.9, 1]])
    assert [bar.get_height() for bar in lower.patches] == [0, 2, 0, 3]
    # Wilson's interval for 1 of 2 and 3 of 3, from SciPy.
    for segment, (right, n) in zip(points[2][0].get_segments(), ((1, 2), (3, 3)), strict=True):
        expected = binomtest(right, n).proportion_ci(method="wilson")
        np.testing.assert_allclose(segment[:, 1], expected, atol=1e-4)


def test_a_graph_stands_below_its_inputs():
    plan = {"x": ("In", []), "w": ("In", []), "y": ("Mul", ["x", "w"]), "z": ("Add", ["y", "x"])}
    plotting.show_graph(plan)
    axes = plt.gcf().axes[0]
    height = {text.get_text().split("\n")[0]: text.get_position()[1] for text in axes.texts}
    assert [height[name] for name in "xwyz"] == [0, 0, -1, -2]
    arrows = [text for text in axes.texts if text.get_text() == ""]
    assert len(arrows) == 4


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plotting.show_images(np.zeros((28, 28, 1))), r"give \(n, height, width, 1 or 3\)"),
        (lambda: plotting.show_images(np.zeros((0, 8, 8, 1))), "n at least 1"),
        (lambda: plotting.show_images(np.zeros((2, 8, 8, 1)), [1]), "titles has 1 entries for 2"),
        (lambda: plotting.show_kernels(np.zeros((5, 5))), r"kernel has shape \(5, 5\)"),
        (lambda: plotting.show_kernels(np.zeros((5, 5, 1, 2)), channel=1), "channel is 1"),
        (lambda: plotting.show_maps(np.zeros((1, 8, 8, 4))), r"maps have shape \(1, 8, 8, 4\)"),
        (lambda: plotting.show_maps(np.zeros((8, 8, 4)), titles=[1]), "titles has 1 entries for 4"),
        (
            lambda: plotting.show_overlay(np.zeros((1, 8, 8, 1)), np.full((1, 8, 8), -1.0)),
            "nothing negative",
        ),
        (
            lambda: plotting.show_overlay(np.zeros((2, 8, 8, 1)), np.zeros((1, 8, 8))),
            r"heats have shape \(1, 8, 8\) for 2 images",
        ),
        (lambda: plotting.show_probabilities(np.zeros(3), "abc"), r"probabilities\[np.newaxis\]"),
        (lambda: plotting.show_probabilities(np.full((1, 3), 4.2), "abc"), "the softmax of the"),
        (lambda: plotting.show_probabilities(np.zeros((1, 3)), "ab"), "class_names has 2 entries"),
        (
            lambda: plotting.show_probabilities(np.zeros((1, 3)), "abc", labels=[3]),
            "class numbers from 0 to 2",
        ),
        (lambda: plotting.show_confusion(np.zeros((2, 2)), "ab"), "holds float64; give whole"),
        (lambda: plotting.show_confusion(np.ones((2, 3), int), "ab"), r"shape \(2, 3\)"),
        (lambda: plotting.show_confusion(np.ones((2, 2), int), "abc"), "class_names has 3 entries"),
        (lambda: plotting.show_calibration([0.5], [True, False]), r"shape \(1,\) and correct \(2,"),
        (lambda: plotting.show_calibration([7.5], [True]), r"probabilities.max\(axis=1\)"),
        (lambda: plotting.show_calibration([0.5], [True], bins=0), "bins is 0"),
        (lambda: plotting.show_graph({}), "plan is empty"),
        (lambda: plotting.show_graph({"y": ("Mul", ["x"])}), r"plan\['y'\] takes in \['x'\], not"),
        (lambda: plotting.show_curves({}, across="x", up="y"), "curves is empty"),
        (lambda: plotting.show_curves({"a": ([1], [])}, across="x", up="y"), "1 x values and 0"),
        (lambda: plotting.show_windows(np.zeros((8, 8, 1)), 3), r"image has shape \(8, 8, 1\)"),
        (lambda: plotting.show_windows(np.zeros((2, 2)), 3, padding="valid"), "does not fit"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_memory_plan_is_drawn_layer_by_layer_and_adds_up():
    from cnncourse.memory import plan

    planned = plan("mnist-core", 64)
    assert plotting.show_memory_plan(planned) is None
    axis = plt.gcf().axes[0]
    assert [label.get_text() for label in axis.get_yticklabels()] == [
        *(row.name for row in planned.layers),
        "batch",
    ]
    assert {text.get_text() for text in axis.get_legend().get_texts()} == set(planned)
    drawn = sum(bar.get_width() for bar in axis.patches)
    assert drawn == pytest.approx(planned.total / 1e6)


def test_the_moments_of_a_plan_rise_to_its_peak_beside_the_measurement():
    from cnncourse.memory import plan

    planned = plan("mnist-core", 64)
    plotting.show_memory_moments(planned, measured=planned.total / 0.9)
    axis = plt.gcf().axes[0]
    tops = [bar.get_y() + bar.get_height() for bar in axis.patches]
    assert max(tops) == pytest.approx(planned.total / 1e6)
    assert len(axis.get_xticklabels()) == len(planned.moments)
    assert axis.lines[0].get_ydata()[0] == pytest.approx(planned.total / 0.9e6)
    assert any("plan -10.0 %" in text.get_text() for text in axis.get_legend().get_texts())
