"""The training loop: it learns, it is reproducible, it stops when the loss is lost."""

import keras
import numpy as np
import pytest

from cnncourse.builders import build
from cnncourse.data import ImageDataset
from cnncourse.training import TrainingDiverged, evaluate, predict, train


def stripes(images: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images whose class is the place of a bright stripe: easy, but not for an untrained net."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 10, images).astype(np.uint8)
    pixels = random.integers(0, 100, (images, 28, 28, 1)).astype(np.uint8)
    for image, label in zip(pixels, labels, strict=True):
        image[2 + 2 * label : 4 + 2 * label] = 255
    return pixels, labels


@pytest.fixture(scope="module")
def data() -> ImageDataset:
    return ImageDataset(
        *stripes(330, seed=0),
        *stripes(100, seed=1),
        class_names=tuple("0123456789"),
        name="stripes",
        source="offline",
    ).scaled()


def run(data, api="eager", seed=0, network="mnist-core", rate=2e-3, **arguments):
    model = build(network, api, seed=seed)
    if "steps" not in arguments:
        arguments = {"epochs": 3} | arguments
    arguments = {"batch_size": 32, "verbose": False} | arguments
    history = train(model, data, optimizer=keras.optimizers.Adam(rate), seed=seed, **arguments)
    return model, history


@pytest.mark.parametrize("api", ["eager", "keras"])
def test_it_learns_and_notes_what_happened(data, api):
    model, history = run(data, api, epochs=4)
    assert list(history.losses) == list(history.accuracies) == [11, 22, 33, 44]
    assert history.losses[44] < 0.5 * history.losses[11]
    assert history.accuracies[44] > 0.8
    assert history.accuracies[44] == evaluate(model, data.x_test, data.y_test)[1]
    assert history.seconds > 0


def test_steps_instead_of_epochs(data):
    _, history = run(data, steps=25)
    assert list(history.losses) == [3, 5, 8, 10, 13, 15, 18, 20, 23, 25]
    assert list(history.accuracies) == [25]


@pytest.mark.parametrize("api", ["eager", "keras"])
def test_the_same_seed_gives_the_same_weights_to_the_bit(data, api):
    first, second, other = (run(data, api, seed=seed, steps=3)[0].params for seed in (1, 1, 2))
    for name in first:
        np.testing.assert_array_equal(first[name], second[name])
    assert (first["conv1/kernel"] != other["conv1/kernel"]).any()


@pytest.mark.parametrize("api", ["eager", "keras"])
def test_dropout_follows_the_builds_seed_and_the_order_the_trainings(data, api):
    """Three steps with one start: only what both seeds decide can differ."""
    start = build("mnist-core", api, seed=1).params

    def ends(build_seed, train_seed):
        model = build("mnist-core", api, params=start, seed=build_seed)
        sgd, options = keras.optimizers.SGD(0.1), {"batch_size": 32, "verbose": False}
        train(model, data, optimizer=sgd, steps=3, seed=train_seed, **options)
        return model.params["dense2/kernel"]

    np.testing.assert_array_equal(ends(1, 1), ends(1, 1))
    assert (ends(1, 1) != ends(2, 1)).any()
    assert (ends(1, 1) != ends(1, 2)).any()


def test_one_step_of_plain_gradient_descent_is_the_gradient_times_the_rate(data):
    one_batch = data.subset(32, 10)
    model = build("mnist-tf", "eager")
    before, slopes = model.params, model.gradients(one_batch.x_train, one_batch.y_train)
    sgd = keras.optimizers.SGD(0.1)
    train(model, one_batch, optimizer=sgd, batch_size=32, steps=1, verbose=False)
    for name, after in model.params.items():
        np.testing.assert_allclose(after, before[name] - 0.1 * slopes[name], atol=1e-6)


def test_a_summed_loss_is_the_mean_times_the_batch(data):
    one_batch = data.subset(32, 10)
    after = []
    for reduction, rate in (("sum", 0.001), ("mean", 0.032)):
        model = build("mnist-tf", "eager")
        sgd = keras.optimizers.SGD(rate)
        arguments = {"batch_size": 32, "steps": 1, "verbose": False, "loss_reduction": reduction}
        history = train(model, one_batch, optimizer=sgd, **arguments)
        after.append((model.params, history.losses[1]))
    assert after[0][1] == pytest.approx(after[1][1], rel=1e-6)
    for name in after[0][0]:
        np.testing.assert_allclose(after[0][0][name], after[1][0][name], atol=1e-6)


def test_evaluation_in_batches_is_evaluation_at_once(data):
    model = build("mnist-core", "eager")
    for batch_size in (7, 100, 1_000):
        loss, accuracy = evaluate(model, data.x_test, data.y_test, batch_size)
        logits = model.logits(data.x_test)
        assert accuracy == (logits.argmax(axis=1) == data.y_test).mean()
        exp = np.exp(logits.astype(np.float64))
        shares = exp[np.arange(100), data.y_test] / exp.sum(axis=1)
        assert loss == pytest.approx(-np.log(shares).mean(), rel=1e-5)
    assert predict(model, data.x_test[:5], 2).shape == (5, 10)


def test_a_lost_loss_stops_the_run_and_says_what_to_try(data):
    with pytest.raises(TrainingDiverged) as caught:
        run(data, rate=1e30, epochs=30)
    message = str(caught.value)
    assert "the loss became nan by step 11" in message or "inf by step 11" in message
    assert "learning rate is too high (it is 1e+30; try 1e+29)" in message
    assert "largest value in them is 1;" in message


def test_progress_is_told_only_when_asked(data, capsys):
    run(data, epochs=1, verbose=True)
    told = capsys.readouterr()
    assert told.out.startswith("epoch 1: mean loss ≈ ")
    assert "test accuracy ≈ " in told.out
    assert "11/11" in told.err
    run(data, epochs=1)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"epochs": None}, "epochs is None and steps is None; give exactly one"),
        ({"epochs": 3, "steps": 5}, "epochs is 3 and steps is 5"),
        ({"epochs": 0}, "epochs is 0; give at least 1"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"loss_reduction": "median"}, "loss_reduction is 'median'; use 'mean' or 'sum'"),
    ],
)
def test_bad_arguments_are_named(data, arguments, message):
    with pytest.raises(ValueError, match=message):
        run(data, **arguments)


def test_unscaled_images_are_refused():
    raw = ImageDataset(
        *stripes(10, 0),
        *stripes(10, 1),
        class_names=tuple("0123456789"),
        name="stripes",
        source="offline",
    )
    with pytest.raises(ValueError, match=r"uint8 pixels up to 255; train on data.scaled\(\)"):
        run(raw)


def test_predicting_nothing_is_refused(data):
    model = build("mnist-core", "eager")
    with pytest.raises(ValueError, match="images is empty"):
        predict(model, data.x_test[:0])
    with pytest.raises(ValueError, match="batch_size is 0"):
        predict(model, data.x_test, 0)


def test_evaluating_again_and_again_warns_of_nothing(data, caplog):
    models = [build("mnist-core", api) for api in ("eager", "keras")]
    for _ in range(8):
        for model in models:
            evaluate(model, data.x_test, data.y_test)
    assert not caplog.records


def test_short_trainings_again_and_again_warn_of_nothing(data, caplog):
    model, two = build("mnist-core", "keras"), data.subset(4, 4)
    for _ in range(8):
        train(model, two, optimizer=keras.optimizers.SGD(0.01), batch_size=2, epochs=1)
    assert not caplog.records
