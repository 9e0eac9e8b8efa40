"""Published figures run again: by their recipe alone, to the bit after Ctrl-C, and in a table."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from statistics import median

import keras
import numpy as np
import pytest
from test_training import stripes

from cnncourse import data, reproduce
from cnncourse.builders import build
from cnncourse.data import ImageDataset
from cnncourse.networks import (
    NETWORKS,
    Conv,
    Dense,
    Dropout,
    Flatten,
    MaxPool,
    Network,
    Published,
    Recipe,
)
from cnncourse.reproduce import runs, tables
from cnncourse.reproduce.time_left import TimeLeft
from cnncourse.training import evaluate, train

SMALL = (Conv(4, 5), MaxPool(4, 4), Flatten(), Dense(10, None))
DROPPING = (*SMALL[:3], Dropout(0.4), Dense(10, None))
# 50 images in batches of 16: three full ones and one of 2, so four steps are an epoch.
ADAM = Recipe("adam", 1e-2, 16, epochs=3, train_images=50)
BY_STEPS = Recipe("sgd", 0.05, 16, steps=20, train_images=50)
BY_ADAM = Recipe("adam", 1e-3, 16, steps=20, train_images=50)
ONE_OF_EACH = ("mnist-tf", "mnist-keras", "mnist-core", "mnist-estimator")

DIGITS = ImageDataset(
    *stripes(1_000, seed=0),
    *stripes(530, seed=1),
    class_names=tuple("0123456789"),
    name="mnist",
    source="offline",
)


def small(name: str, recipe: Recipe = ADAM, layers=DROPPING, **changes) -> Network:
    """A published network, cut down to what trains in a moment."""
    changes = {"published": (Published(0.9),)} | changes
    return replace(NETWORKS[name], layers=layers, recipe=recipe, **changes)


@pytest.fixture
def course(monkeypatch):
    """Take the given networks for all there are, and stripes for MNIST."""

    def only(*networks: Network) -> None:
        named = {network.name: network for network in networks}
        for module in (reproduce, tables):
            monkeypatch.setattr(module, "NETWORKS", named)

    monkeypatch.setattr(data, "load_mnist", lambda source: DIGITS)
    reproduce._data.cache_clear()
    yield only
    reproduce._data.cache_clear()


def job(network: Network, folder, watch: runs.Watch | None = None, seed: int = 0) -> runs.Job:
    images = DIGITS.scaled().subset(network.recipe.train_images, 530)
    return runs.Job(network, images, folder, seed, watch or runs.Watch())


def read(path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def trained(network: Network, api="eager", seed=0):
    """The same recipe by hand, without anything of `reproduce`."""
    recipe = network.recipe
    kind = {"adam": keras.optimizers.Adam, "sgd": keras.optimizers.SGD}[recipe.optimizer]
    images = DIGITS.scaled().subset(recipe.train_images, 530)
    model = build(network, api, seed=seed)
    history = train(
        model,
        images,
        optimizer=kind(recipe.learning_rate),
        batch_size=recipe.batch_size,
        epochs=recipe.epochs,
        steps=recipe.steps,
        seed=seed,
        loss_reduction=recipe.loss_reduction,
        verbose=False,
    )
    return history, evaluate(model, images.x_test, images.y_test)


# What is run


def test_every_published_network_has_a_build():
    assert runs.BUILDS.keys() == NETWORKS.keys()


@pytest.mark.parametrize(
    ("name", "recipe"),
    [("mnist-tf", replace(ADAM, loss_reduction="sum")), ("mnist-keras", BY_STEPS)],
)
def test_a_run_is_the_recipe_to_the_bit(name, recipe, tmp_path):
    network = small(name, recipe)
    history, (loss, accuracy) = trained(network, runs.BUILDS[name])
    outcome = runs.outcome(job(network, tmp_path))
    assert outcome.losses == history.losses
    assert outcome.accuracies == history.accuracies
    (figure,) = outcome.figures
    assert figure.accuracy == accuracy == history.accuracies[figure.steps]
    assert figure.loss == pytest.approx(loss, rel=1e-5)


@pytest.mark.parametrize(
    ("name", "recipe"),
    [
        ("mnist-core", replace(BY_STEPS, loss_reduction="sum", learning_rate=0.005)),
        ("mnist-core", BY_ADAM),
        ("mnist-estimator", BY_ADAM),
    ],
)
def test_sessions_and_estimators_train_as_the_courses_loop_does(name, recipe, tmp_path):
    """Without dropout all builds compute the same, over the border between legs too."""
    network = small(name, recipe, SMALL)
    outcome = runs.outcome(job(network, tmp_path))
    history, (loss, accuracy) = trained(network)
    (figure,) = outcome.figures
    assert (figure.steps, figure.images) == (20, 5 * 50)
    assert figure.loss == pytest.approx(loss, rel=1e-3)
    assert figure.accuracy == pytest.approx(accuracy, abs=0.004)
    # The loop notes tenths of the steps; these note epochs or halves. All add up to the same.
    lengths = np.diff([0, *outcome.losses])
    assert len(lengths) == (5 if name == "mnist-core" else 2)
    total = sum(lengths * list(outcome.losses.values()))
    assert total == pytest.approx(2 * sum(history.losses.values()), rel=1e-3)


def test_dropout_is_on_while_a_session_trains(tmp_path):
    recipe = Recipe("adam", 1e-2, 16, epochs=1, train_images=640)
    without, dropping = (
        runs.outcome(job(small("mnist-core", recipe, layers), tmp_path / str(len(layers))))
        for layers in (SMALL, DROPPING)
    )
    assert dropping.losses[40] > without.losses[40]
    assert without.figures[0].accuracy > 0.5


def test_several_published_steps_are_stages_of_one_run(tmp_path):
    """Batches, dropout and Adam's averages go on over the border between two stages."""
    one = small("mnist-dropout", BY_ADAM)
    two = replace(one, published=(Published(0.9, steps=20), Published(0.8, steps=10)))
    expected, (loss, accuracy) = trained(one)
    outcome = runs.outcome(job(two, tmp_path))
    early, late = outcome.figures
    assert (early.steps, early.images, late.steps, late.images) == (10, 2 * 50 + 2 * 16, 20, 250)
    assert early.seconds < late.seconds
    assert late.accuracy == accuracy
    assert late.loss == pytest.approx(loss, rel=1e-5)
    ends = [20, 18, 16]  # the loop notes tenths: every step in the stages, every other in one run
    assert [expected.losses[end] for end in ends] == pytest.approx(
        [(outcome.losses[end] + outcome.losses[end - 1]) / 2 for end in ends], rel=1e-5
    )


def test_a_recipe_that_changes_is_run_anew(course, tmp_path):
    network = small("mnist-tf")
    course(network)
    (before,) = reproduce.reproduce(out=tmp_path / "out")
    changed = replace(network, recipe=replace(ADAM, learning_rate=1e-3))
    course(changed)
    (after,) = reproduce.reproduce(out=tmp_path / "out")
    assert before.loss == pytest.approx(trained(network)[1][0], rel=1e-5)
    assert after.loss == pytest.approx(trained(changed)[1][0], rel=1e-5)
    assert after.loss > before.loss
    assert len(read(tmp_path / "out" / "reproduce.csv")) == 1  # the old recipe's run is left out


# Going on


class Stopper(runs.Watch):
    """Presses Ctrl-C as a step begins; notes where runs begin."""

    def __init__(self, step: int) -> None:
        self.stop, self.steps, self.begun = step, 0, []

    def begin(self, steps):
        self.begun.append(steps)
        self.steps = steps

    def step(self):
        self.steps += 1
        if self.steps == self.stop:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture
def ctrl_c():
    """Let Ctrl-C interrupt, even where a shell started the tests with "&"."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def without_seconds(outcome: runs.Outcome):
    return outcome._replace(figures=[figure._replace(seconds=0) for figure in outcome.figures])


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_a_stopped_run_goes_on_and_ends_as_one_that_was_not(name, tmp_path, ctrl_c):
    network = small(name, BY_ADAM)
    whole = runs.outcome(job(network, tmp_path / "whole"))
    with pytest.raises(KeyboardInterrupt):
        runs.outcome(job(network, tmp_path / "stopped", Stopper(14)))
    watch = Stopper(0)
    stopped = runs.outcome(job(network, tmp_path / "stopped", watch))
    # Checkpoints of the loop are to the step; a session has its last epoch, an Estimator its half.
    first = {"mnist-core": 12, "mnist-estimator": 10}.get(name, 14)
    assert watch.begun[0] == first
    assert without_seconds(stopped) == without_seconds(whole)
    assert stopped.figures[0].seconds > 0


def test_a_run_stopped_in_its_second_stage_goes_on_there(tmp_path, ctrl_c):
    published = (Published(0.9, steps=20), Published(0.8, steps=8))
    network = small("mnist-dropout", BY_ADAM, published=published)
    whole = runs.outcome(job(network, tmp_path / "whole"))
    for stop in (5, 13, 18):
        with pytest.raises(KeyboardInterrupt):
            runs.outcome(job(network, tmp_path / "stopped", Stopper(stop)))
    watch = Stopper(0)
    stopped = runs.outcome(job(network, tmp_path / "stopped", watch))
    assert watch.begun == [18]
    assert without_seconds(stopped) == without_seconds(whole)


@pytest.mark.parametrize("name", ["mnist-core", "mnist-estimator"])
def test_a_leg_that_was_saved_but_not_noted_is_done_again(name, tmp_path, monkeypatch):
    network = small(name, BY_ADAM)
    whole = runs.outcome(job(network, tmp_path / "whole"))
    write, written = runs.write_json, []

    def dies_at_the_second(path, content):
        written.append(content)
        if len(written) == 2:
            raise KeyboardInterrupt
        write(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(runs, "write_json", dies_at_the_second)
        with pytest.raises(KeyboardInterrupt):
            runs.outcome(job(network, tmp_path / "stopped"))
    stopped = runs.outcome(job(network, tmp_path / "stopped"))
    assert without_seconds(stopped) == without_seconds(whole)


def test_finished_runs_are_not_done_again_unless_asked(course, tmp_path, monkeypatch):
    course(small("mnist-tf"), small("mnist-core"))
    done = []
    outcome = runs.outcome

    def noted(job):
        done.append(job.network.name)
        return outcome(job)

    monkeypatch.setattr(reproduce, "outcome", noted)
    out = tmp_path / "out"
    first = reproduce.reproduce(["mnist-tf"], out=out)
    both = reproduce.reproduce(out=out)
    assert done == ["mnist-tf", "mnist-core"]
    assert both[0] == first[0]
    reproduce.reproduce(["mnist-core"], out=out, again=True)
    next(out.glob("runs/mnist-tf*/finished.json")).write_text('{"network": "mnist-tf"')
    assert reproduce.reproduce(out=out)[0].accuracy == first[0].accuracy
    assert done == ["mnist-tf", "mnist-core", "mnist-core", "mnist-tf"]


def test_ctrl_c_leaves_a_table_of_what_is_finished(course, tmp_path, monkeypatch, ctrl_c, capsys):
    course(small("mnist-tf"), small("mnist-core", replace(ADAM, epochs=4)))
    outcome = runs.outcome

    def stopped(job):
        if job.network.name == "mnist-core":
            job = replace(job, watch=Stopper(6))
        return outcome(job)

    with monkeypatch.context() as patch:
        patch.setattr(reproduce, "outcome", stopped)
        with pytest.raises(KeyboardInterrupt):
            reproduce.reproduce(out=tmp_path)
    assert [row["network"] for row in read(tmp_path / "reproduce.csv")] == ["mnist-tf"]
    assert "stopped in mnist-core, 1 of 2 done; the same command goes on" in capsys.readouterr().out
    spent = json.loads(next(tmp_path.glob("runs/mnist-core*/spent.json")).read_text())
    second = reproduce.reproduce(out=tmp_path)[1]
    assert second.run.network == "mnist-core"
    assert second.run.cpu_seconds > spent > 0
    assert not list(tmp_path.glob("runs/*/state"))


def test_a_lost_loss_does_not_stop_the_other_runs(course, tmp_path):
    hopeless = replace(ADAM, optimizer="sgd", learning_rate=1e30)
    course(small("mnist-tf", hopeless), small("mnist-core", hopeless), small("mnist-keras"))
    with pytest.raises(ValueError, match=r"mnist-tf: the loss became .*mnist-core: the loss"):
        reproduce.reproduce(out=tmp_path)
    assert [row["network"] for row in read(tmp_path / "reproduce.csv")] == ["mnist-keras"]


# The tables


def test_the_table_says_what_was_published_and_what_history_said(course, tmp_path):
    published = (Published(0.75, loss=0.5, about=True),)
    network = small("mnist-keras", published=published)
    course(network)
    reproduce.reproduce(out=tmp_path, seeds=[3])
    history, (loss, accuracy) = trained(network, "keras", seed=3)
    (row,) = read(tmp_path / "reproduce.csv")
    assert tuple(row) == tables.COLUMNS
    assert row["measured_accuracy"] == f"{accuracy:.4f}"
    assert row["published_accuracy"] == "0.7500"
    assert float(row["difference"]) == pytest.approx(accuracy - 0.75, abs=6e-5)
    assert (row["published_loss"], row["measured_loss"]) == ("0.5000", f"{loss:.4f}")
    assert (row["build"], row["steps"], row["seed"], row["data"]) == ("keras", "12", "3", "offline")
    assert float(row["seconds"]) > 0
    assert float(row["cpu_seconds"]) > 0
    speed = 3 * 50 / float(row["seconds"])
    assert float(row["images_a_second"]) == pytest.approx(speed, rel=0.6)  # seconds are rounded
    assert row["keras"] == keras.__version__
    assert "cores" in row["machine"]
    curve = read(tmp_path / "reproduce_curves.csv")
    assert [(line["step"], line["epoch"]) for line in curve] == [
        ("4", "1.00"),
        ("8", "2.00"),
        ("12", "3.00"),
    ]
    for line in curve:
        assert line["mean_loss"] == f"{history.losses[int(line['step'])]:.4f}"
        assert line["test_accuracy"] == f"{history.accuracies[int(line['step'])]:.4f}"


def cells(markdown: str) -> list[dict[str, str]]:
    """The lines of a Markdown table by their headings."""
    lines = [line for line in markdown.splitlines() if line.startswith("|")]
    split = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [dict(zip(split[0], line, strict=True)) for line in split[2:]]


def test_seeds_share_a_line_that_gives_median_and_range(course, tmp_path):
    course(small("mnist-tf", published=(Published(0.5, about=True),)))
    found = reproduce.reproduce(out=tmp_path, seeds=range(3))
    accuracies = sorted(row.accuracy for row in found)
    assert len(set(accuracies)) == 3
    assert len(read(tmp_path / "reproduce.csv")) == 3
    (line,) = cells((tmp_path / "reproduce.md").read_text(encoding="utf-8"))
    low, middle, high = accuracies
    assert line["measured"] == f"{middle:.4f} ({low:.4f} to {high:.4f})"
    assert line["published"] == "about 0.5000"
    assert float(line["difference"]) == pytest.approx(middle - 0.5, abs=6e-5)
    assert line["seeds"] == "0, 1, 2"
    assert float(line["seconds"]) == pytest.approx(median(row.seconds for row in found), abs=0.06)


def test_a_note_about_the_data_stands_beside_the_figure(course, tmp_path):
    course(small("mnist-tf"))
    (row,) = reproduce.reproduce(out=tmp_path)
    noted = replace(row, run=replace(row.run, data="official", data_note="another encoding"))
    first, second = cells(tables.as_markdown([row, noted], quick=False))
    assert (first["data"], second["data"]) == ("offline", "official: another encoding")
    assert tables.as_csv([noted]).count("another encoding") == 1


def test_quick_is_marked_and_compares_nothing(course, tmp_path, capsys):
    course(*(small(name, NETWORKS[name].recipe) for name in ("mnist-tf", "mnist-lenet-tf")))
    found = reproduce.reproduce(quick=True, out=tmp_path)
    assert {path.name for path in tmp_path.glob("*.*") if "lock" not in path.name} == {
        *("quick.csv", "quick.md", "quick_curves.csv", reproduce.MARK)
    }
    for row, line in zip(found, read(tmp_path / "quick.csv"), strict=True):
        assert row.steps == 20
        assert line["published_accuracy"] == line["difference"] == ""
    page = (tmp_path / "quick.md").read_text(encoding="utf-8")
    assert "reproduces nothing" in page.splitlines()[0]
    assert "published 0." not in capsys.readouterr().out


@pytest.mark.parametrize("name", NETWORKS)
def test_quick_changes_the_amount_and_nothing_else(name):
    network = NETWORKS[name]
    quick = reproduce._quick(network)
    assert quick.recipe.total_steps == 20
    amount = {"epochs", "steps", "train_images"}
    kept = {field: getattr(network.recipe, field) for field in vars(network.recipe)}
    for field, value in kept.items():
        if field not in amount:
            assert getattr(quick.recipe, field) == value
    assert (quick.layers, quick.initializer) == (network.layers, network.initializer)
    assert len(runs.stages(quick)) == len(runs.stages(network))


# The folder


def test_an_unknown_network_is_answered_with_the_known_before_anything_is_written(tmp_path):
    with pytest.raises(ValueError, match=r"network is 'lenet'; the networks are mnist-tf, mnist-"):
        reproduce.reproduce(["lenet"], out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_with_other_things_is_left_alone(course, tmp_path):
    course(small("mnist-tf"))
    (tmp_path / "thesis.md").write_text("years")
    with pytest.raises(ValueError, match=r"which holds other things \(thesis.md\); give a new"):
        reproduce.reproduce(out=tmp_path)
    with pytest.raises(ValueError, match="a file; give a folder"):
        reproduce.reproduce(out=tmp_path / "thesis.md")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.md"]


def test_two_processes_do_not_share_a_folder(course, tmp_path):
    course(small("mnist-tf"))
    with (
        reproduce._held(reproduce._claimed(tmp_path)),
        pytest.raises(ValueError, match="into which another process is writing"),
    ):
        reproduce.reproduce(out=tmp_path)


# Time left


def test_the_time_left_is_work_left_at_the_speed_so_far(monkeypatch):
    now = [0.0]
    with TimeLeft(work=3 * 100 * 7) as clock:
        monkeypatch.setattr(clock._bar, "_time", lambda: now[0])
        clock._bar.start_t = clock._bar.last_print_t = 0.0
        clock.start("first", steps=100, work_a_step=7)
        clock.begin(60)  # taken up again after 60 steps, which cost nothing today
        for _ in range(40):
            clock.step()
        clock.finish()
        now[0] = 40.0  # a second a step, and two runs of 100 are left
        assert clock.left() == "03:20"
        clock.start("second", steps=100, work_a_step=7)
        for _ in range(100):
            clock.step()
        now[0] = 140.0
        assert clock.left() == "01:40"


# For real


@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C cannot be sent to one process on Windows")
def test_quick_runs_every_network_and_goes_on_after_ctrl_c(tmp_path):
    command = [sys.executable, "-m", "cnncourse.cli", "reproduce", "--quick"]
    command += ["--source", "offline", "--out", str(tmp_path / "out")]
    log = tmp_path / "log"
    with log.open("w") as output:
        child = subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.DEVNULL,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
    try:
        deadline = time.monotonic() + 300
        while "2 of 9 done" not in log.read_text():
            assert child.poll() is None, log.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        child.send_signal(signal.SIGINT)
        assert child.wait(timeout=100) == 130, log.read_text()
    finally:
        child.kill()
        child.wait()
    text = log.read_text()
    assert "the same command goes on from here" in text
    assert "Traceback" not in text
    early = read(tmp_path / "out" / "quick.csv")
    done = {row["network"] for row in early}
    assert 2 <= len(done) < 9
    second = subprocess.run(command, capture_output=True, text=True, timeout=500)
    assert second.returncode == 0, second.stderr
    assert f"{9 - len(done)} of {9 - len(done)} done" in second.stdout
    found = read(tmp_path / "out" / "quick.csv")
    assert {row["network"] for row in found} == NETWORKS.keys()
    assert len(found) == 10  # one network has two published figures
    assert [row for row in found if row["network"] in done] == early
