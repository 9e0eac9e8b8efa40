"""Killed runs go on to the bit; damaged, foreign and hostile files are noticed and do no harm.

The runs to be killed are processes of their own. As importing TensorFlow takes seconds, one
interpreter imports it, runs no operation and forks for each of them: this file as a program.
"""

import functools
import hashlib
import importlib
import itertools
import json
import os
import pickle
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import zipfile
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from forking import interpreter

from cnncourse.builders import build
from cnncourse.data import ImageDataset
from cnncourse.networks import Conv, Dense, Dropout, Flatten, Initializer, MaxPool, Network, Recipe
from cnncourse.training import History, TrainingDiverged, checkpoints, loop, train

TINY = Network(
    name="tiny",
    text="A",
    dataset="mnist",
    input_shape=(8, 8, 1),
    layers=(
        *(Conv(4, 3), MaxPool(), Dropout(0.2), Flatten()),
        *(Dense(16), Dropout(0.4), Dense(10, None)),
    ),
    initializer=Initializer("glorot_uniform"),
    recipe=Recipe("adam", 1e-2, 16, epochs=1),
    published=(),
)
STEPS_AN_EPOCH = 11  # the last batch of each has 10 images


class Watched(ImageDataset):
    """Data that calls ``at_step(n)`` as the n-th step since the start of the run begins."""

    at_step = staticmethod(lambda step: None)

    def to_tf(self, batch_size, *, first=0, **options):
        dataset = super().to_tf(batch_size, first=first, **options)
        for step, batch in enumerate(dataset, start=first + 1):
            self.at_step(step)
            yield batch


def noise(at_step=None) -> ImageDataset:
    """Images that say nothing about their labels."""
    numbers = np.random.default_rng(0)
    x_train, x_test = (numbers.random((n, 8, 8, 1), dtype=np.float32) for n in (170, 30))
    y_train, y_test = (numbers.integers(0, 10, n).astype(np.uint8) for n in (170, 30))
    names = tuple("0123456789")
    data = Watched(x_train, y_train, x_test, y_test, names, "noise", "offline")
    if at_step is not None:
        object.__setattr__(data, "at_step", at_step)
    return data


def run(directory=None, *, api="eager", model=None, data=None, optimizer=None, **changes):
    """Train; return every number that a run ends with, and its history."""
    model = build(TINY, api, seed=3) if model is None else model
    optimizer = keras.optimizers.Adam(0.01) if optimizer is None else optimizer
    options = {"batch_size": 16, "seed": 5, "checkpoint_steps": 3, "verbose": False}
    if "steps" not in changes:
        options["epochs"] = 2
    history = train(
        model,
        noise() if data is None else data,
        optimizer=optimizer,
        checkpoints=directory,
        **(options | changes),
    )
    return numbers_of(model, optimizer), history


def numbers_of(model, optimizer) -> list[np.ndarray]:
    return [variable.numpy() for variable in (*model.variables, *optimizer.variables)]


def assert_same(one: tuple[list[np.ndarray], History], other: tuple[list[np.ndarray], History]):
    """To the bit; only the time may differ."""
    for array, theirs in zip(one[0], other[0], strict=True):
        assert array.dtype == theirs.dtype
        assert array.tobytes() == theirs.tobytes()
    assert one[1].losses == other[1].losses
    assert one[1].accuracies == other[1].accuracies


# --- The interpreter that forks -----------------------------------------------------------------


def forks() -> None:
    """Read an order a line, fork a run for it, and answer how that ended."""
    for line in sys.stdin:
        order = json.loads(line)
        steps, report = os.pipe()
        if not (child := os.fork()):
            ended = 1
            try:
                signal.alarm(120)  # a run that hangs ends too
                os.dup2(2, 1)  # the answers' way is not the child's
                forked_run(order, report)
                ended = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(ended)
        os.close(report)
        begun = 0
        with open(steps, "rb") as pipe:
            for number_of_reports in itertools.count(1):
                if not (number := pipe.read(4)):
                    break
                begun = int.from_bytes(number, "big")
                if number_of_reports == order.get("steps"):
                    time.sleep(order["delay"])
                    os.kill(child, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(json.dumps({"status": status, "step": begun}), flush=True)


def forked_run(order: dict, report: int) -> None:
    """Train; be killed in a function's n-th call, or wait to be killed some steps later."""
    # What TensorFlow would tidy away at its end.
    tempfile.tempdir = os.path.dirname(order["out"])
    if "function" in order:
        dies_in(**order["function"])
    begun = itertools.count(1)

    def at_step(step):
        os.write(report, step.to_bytes(4, "big"))
        if next(begun) > order.get("steps", step) + 6:
            time.sleep(600)

    arrays, history = run(
        order["directory"], api=order["api"], data=noise(at_step), epochs=order["epochs"]
    )
    with open(order["out"], "wb") as file:
        pickle.dump((arrays, history), file)


def dies_in(module: str, name: str, call: int, after: bool) -> None:
    """Make this process kill itself before or after a function's n-th call."""
    function = getattr(importlib.import_module(module), name)
    calls = itertools.count(1)

    def deadly(*arguments, **options):
        last = next(calls) == call
        if last and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = function(*arguments, **options)
        if last:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(importlib.import_module(module), name, deadly)


@pytest.fixture(scope="module", autouse=True)
def forking():
    """The interpreter, importing while the first tests run."""
    with interpreter(__file__) as order:
        yield order


# --- Runs that go on ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def unstopped():
    """What two epochs come to without checkpoints."""
    return run()


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A directory with those two epochs."""
    folder = tmp_path_factory.mktemp("finished")
    run(folder)
    return folder


def test_a_finished_run_returns_its_end_at_once(unstopped, finished, monkeypatch, capsys):
    monkeypatch.delattr(loop, "_advance")  # no step can be taken
    other_start = build(TINY, "eager", seed=8)
    assert_same(run(finished, model=other_start, verbose=True), unstopped)
    assert capsys.readouterr().out == f"cnncourse: {finished} holds step 22 of 22\n"


def test_more_epochs_go_on_and_fewer_are_refused(tmp_path, unstopped, capsys):
    run(tmp_path, epochs=1)
    _, history = resumed = run(tmp_path, verbose=True)
    assert_same(resumed, unstopped)
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"cnncourse: {tmp_path} holds step 11 of 22: going on from there"
    assert [line.split(":")[0] for line in said[1:]] == ["epoch 2"]
    assert history.seconds > 0
    with pytest.raises(ValueError, match=r"epochs is 1, which comes to 11 steps.* taken 22; ask"):
        run(tmp_path, epochs=1)
    with pytest.raises(ValueError, match="steps is 30, and such a run looks at its loss"):
        run(tmp_path, steps=30)


@pytest.fixture(autouse=True)
def ctrl_c_counts():
    """A process that was started in the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupting(*steps):
    """Data in which Ctrl-C is pressed in these steps."""
    return noise(lambda step: os.kill(os.getpid(), signal.SIGINT) if step in steps else None)


@pytest.mark.parametrize("step", [1, 11, 17, 22])
def test_ctrl_c_waits_for_the_end_of_the_step_and_saves(tmp_path, unstopped, step):
    model, optimizer = build(TINY, "eager", seed=3), keras.optimizers.Adam(0.01)
    with pytest.raises(KeyboardInterrupt, match=f"stopped after step {step} of 22; run the same"):
        run(tmp_path, data=interrupting(step), model=model, optimizer=optimizer)
    assert checkpoints.files(tmp_path)[-1].name == f"step_000000{step:02}.npz"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    # The same objects, as in a notebook: the state that they are in must not count twice.
    assert_same(run(tmp_path, model=model, optimizer=optimizer), unstopped)


def test_a_second_ctrl_c_does_not_wait(tmp_path, unstopped):
    def twice(step):
        if step == 8:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, data=noise(twice))
    assert checkpoints.files(tmp_path)[-1].name == "step_00000006.npz"
    assert_same(run(tmp_path), unstopped)


def keras_model(width=16, policy="float32"):
    """Nothing here has a seed or a name of its own; the variables have three types."""
    inputs = keras.Input((8, 8, 1))
    values = keras.layers.RandomCrop(8, 8)(keras.layers.RandomBrightness(0.2, (0, 1))(inputs))
    values = keras.layers.Conv2D(4, 3, dtype=policy)(values)
    values = keras.layers.BatchNormalization()(values)
    values = keras.layers.Flatten()(keras.layers.GaussianNoise(0.1)(values))
    values = keras.layers.Dense(width, "relu", dtype="bfloat16")(values)
    values = keras.layers.Dropout(0.5)(values)
    return keras.Model(inputs, keras.layers.Dense(10, dtype="float32")(values))


def test_any_keras_model_goes_on(tmp_path):
    rate = keras.optimizers.schedules.CosineDecay(0.05, 22)
    keras.utils.set_random_seed(1)
    whole = keras_model()
    expected = run(model=whole, optimizer=keras.optimizers.SGD(rate, momentum=0.9))
    assert whole.layers[4].moving_mean.numpy().all()  # the statistics of BatchNormalization
    keras.utils.set_random_seed(1)
    with pytest.raises(KeyboardInterrupt):
        run(
            tmp_path,
            data=interrupting(13),
            model=keras_model(),
            optimizer=keras.optimizers.SGD(rate, momentum=0.9),
        )
    keras.utils.set_random_seed(2)  # other weights, and other names: dense_5
    again = keras.optimizers.SGD(rate, momentum=0.9)
    assert_same(run(tmp_path, model=keras_model(), optimizer=again), expected)
    with pytest.raises(ValueError, match="network differs; variables differs"):
        run(tmp_path, model=keras_model(width=17), optimizer=again)
    with pytest.raises(ValueError, match=r"another run: network differs\. Give"):
        run(tmp_path, model=keras_model(policy="mixed_bfloat16"), optimizer=again)


# --- Runs that must not go on -------------------------------------------------------------------


def other_labels():
    data = noise()
    return replace(data, y_train=(data.y_train + 1) % 10)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 17}, "batch_size is 17 here and 16 there"),
        ({"seed": 6}, "seed is 6 here and 5 there"),
        ({"loss_reduction": "sum"}, "loss_reduction is 'sum' here and 'mean' there"),
        (
            {"optimizer": lambda: keras.optimizers.Adam(0.02)},
            r"optimizer learning_rate is 0\.02 here and 0\.01 there",
        ),
        (
            {"optimizer": lambda: keras.optimizers.SGD(0.01)},
            "optimizer class is 'SGD' here and 'Adam' there",
        ),
        ({"data": other_labels}, "data content differs"),
        ({"data": lambda: noise().subset(169, 30)}, r"data train is '\(169, .* and '\(170,"),
        (
            {"model": lambda: build(replace(TINY, layers=TINY.layers[2:]), "eager")},
            "network differs; variables differs",
        ),
        (
            {"model": lambda: build(replace(TINY, layers=drop_less()), "eager")},
            r"another run: network differs\. Give this run another directory",
        ),
    ],
)
def test_another_run_is_refused_and_nothing_is_touched(finished, changes, message):
    before = {path.name: path.read_bytes() for path in finished.iterdir()}
    made = {name: value() if callable(value) else value for name, value in changes.items()}
    model = made.setdefault("model", build(TINY, "eager", seed=8))
    start = [variable.numpy() for variable in model.variables]
    with pytest.raises(ValueError, match=message):
        run(finished, **made)
    assert {path.name: path.read_bytes() for path in finished.iterdir()} == before
    for array, variable in zip(start, model.variables, strict=True):
        np.testing.assert_array_equal(array, variable.numpy())


def drop_less():
    return tuple(Dropout(0.1) if isinstance(layer, Dropout) else layer for layer in TINY.layers)


def test_two_at_once_are_refused_and_the_lock_dies_with_its_process(finished, unstopped):
    """Held with the system's own call, by a process that ends by SIGKILL."""
    holds = (
        "import fcntl, sys, time; file = open(sys.argv[1], 'a')\n"
        "fcntl.flock(file, fcntl.LOCK_EX); print('held', flush=True); time.sleep(600)"
    )
    lock = str(finished / "in_use.lock")
    with subprocess.Popen(
        [sys.executable, "-c", holds, lock], stdout=subprocess.PIPE, text=True
    ) as other:
        try:
            assert other.stdout.readline() == "held\n"
            with pytest.raises(ValueError, match="another process is training; wait for it"):
                run(finished)
        finally:
            other.kill()
    assert_same(run(finished), unstopped)


class Hidden:
    """A model with something that its ``variables`` do not tell."""

    def __init__(self, draw):
        self.build, self.draw = build(TINY, "eager"), draw
        self.trainable_variables = self.build.trainable_variables
        self.variables = self.build.variables

    def __call__(self, images, training=False):
        return self.build(images + self.draw(), training)


@functools.cache
def count():
    """Made when first asked for: before it forks, an interpreter must not have used TensorFlow."""
    return tf.Variable(1.0, name="count")


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: tf.random.normal([]), r"draws random numbers \(RandomStandardNormal\)"),
        (
            lambda: tf.map_fn(lambda x: tf.nn.dropout(x, 0.5), tf.ones([2, 1]))[0],
            r"draws random numbers \(RandomUniform\) from a state that TensorFlow hides",
        ),
        (lambda: keras.random.normal([]), "uses seed_generator.*, which its `variables` lack"),
        (count, "uses count, which its `variables` lack"),
    ],
)
def test_a_model_with_state_that_cannot_be_saved_is_refused(tmp_path, draw, message):
    with pytest.raises(ValueError, match=message):
        run(tmp_path, model=Hidden(draw))
    assert checkpoints.files(tmp_path) == []


def test_a_model_without_variables_is_refused(tmp_path):
    model = Hidden(lambda: 0)
    del model.variables
    with pytest.raises(ValueError, match="model has no `variables`"):
        run(tmp_path, model=model)


def test_a_lost_loss_is_never_saved(tmp_path):
    with pytest.raises(TrainingDiverged):
        run(tmp_path, optimizer=keras.optimizers.SGD(1e30), checkpoint_steps=1)
    with np.load(checkpoints.files(tmp_path)[-1], allow_pickle=False) as newest:
        assert np.isfinite(json.loads(newest["metadata.json"])["progress"]["loss_sum"])


def test_checkpoints_must_be_a_directory_that_can_be_written(tmp_path):
    file = tmp_path / "file"
    file.write_text("mine")
    for place in (file, file / "below"):
        with pytest.raises(ValueError, match="which cannot be made a directory"):
            run(place)
    with pytest.raises(ValueError, match="checkpoint_steps is 0; give at least 1"):
        run(tmp_path, checkpoint_steps=0)
    assert file.read_text() == "mine"


def test_a_full_disk_is_told_and_the_checkpoint_before_it_stays(tmp_path, unstopped):
    """The system refuses to make files longer, from one step on: writing fails half way."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill_up(step):
        if step == 8:
            resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))

    try:
        with pytest.raises(OSError, match=r"after step 9 cannot be written to .*before it are int"):
            run(tmp_path, data=noise(fill_up))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["in_use.lock", *(f"step_0000000{step}.npz" for step in (0, 3, 6))]
    assert_same(run(tmp_path), unstopped)


# --- Files --------------------------------------------------------------------------------------


ARRAYS = {
    "a": np.arange(6, dtype=np.float32).reshape(2, 3),
    "b/c": np.array(7, np.int64),
    "none": np.zeros((0, 2), np.uint8),
    "half": np.array([1.5, -2], tf.bfloat16.as_numpy_dtype),
}
SPECS = [checkpoints.Spec.of(array) for array in ARRAYS.values()]


def written(folder, step, **metadata) -> Path:
    checkpoints.write(folder, step, {"step": step, **metadata}, ARRAYS)
    return checkpoints.files(folder)[-1]


def found(folder, specs=SPECS):
    """Step of the newest checkpoint, once its arrays have proved right; None if there is none."""
    newest = checkpoints.newest(folder, specs, lambda metadata: metadata["step"])
    if newest is None:
        return None
    for array, expected in zip(newest[1], ARRAYS.values(), strict=True):
        assert array.dtype == expected.dtype
        assert array.shape == expected.shape
        assert array.tobytes() == expected.tobytes()
    return newest[0]


def test_the_newest_three_are_kept_and_numpy_reads_them(tmp_path):
    for step in (0, 5, 99_999_999, 100_000_000, 300_000_000):
        written(tmp_path, step)
    assert [path.name for path in checkpoints.files(tmp_path)] == [
        f"step_{step}.npz" for step in (99_999_999, 100_000_000, 300_000_000)
    ]
    assert found(tmp_path) == 300_000_000
    with np.load(checkpoints.files(tmp_path)[0], allow_pickle=False) as file:
        np.testing.assert_array_equal(file["a"], ARRAYS["a"])
        metadata = json.loads(file["metadata.json"])
    assert metadata["step"] == 99_999_999
    assert [(entry["name"], entry["shape"], entry["dtype"]) for entry in metadata["arrays"]] == [
        ("a", [2, 3], "float32"),
        ("b/c", [], "int64"),
        ("none", [0, 2], "uint8"),
        ("half", [2], "bfloat16"),
    ]


def damaged_in_every_way(good: bytes):
    random_bits = random.Random(0)
    for place in range(len(good)):  # every byte of the file
        yield (
            good[:place] + bytes([good[place] ^ 1 << random_bits.randrange(8)]) + good[place + 1 :]
        )
    for length in (0, 1, 63, 64, 65, len(good) // 2, len(good) - 1):
        yield good[:length]
    yield bytes(len(good))
    yield good + b"\0"
    yield good[: len(good) // 2] + bytes(len(good) - len(good) // 2)
    yield good[: len(good) // 4] + good
    yield b"I am a text."


def test_any_damage_is_noticed_told_and_kept_aside(tmp_path, capsys):
    written(tmp_path, 1)
    path = written(tmp_path, 2)
    good = path.read_bytes()
    aside = tmp_path / "step_00000002.npz.damaged"
    for bad in damaged_in_every_way(good):
        path.write_bytes(bad)
        assert found(tmp_path) == 1
        assert aside.read_bytes() == bad
        aside.unlink()
        said = capsys.readouterr().out
        assert said.startswith(f"cnncourse: {path} is damaged (")
        assert said.endswith(f"): kept as {aside.name}, the one before it is used.\n")
        assert said.count("\n") == 1


def test_damage_on_damage_overwrites_nothing(tmp_path, capsys):
    for content in (b"first", b"second", b"third"):
        (tmp_path / "step_00000001.npz").write_bytes(content)
        assert found(tmp_path) is None
    (tmp_path / "step_00000002.npz").mkdir()
    os.mkfifo(tmp_path / "step_00000003.npz")  # reading it would wait for ever
    assert found(tmp_path) is None
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == {
        "step_00000001.npz.damaged": b"first",
        "step_00000001.npz.damaged2": b"second",
        "step_00000001.npz.damaged3": b"third",
    }
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 5
    assert "there is none before it" in said[0]
    assert "it is not a regular file" in said[4]


def test_leftovers_of_a_killed_writer_go_and_other_files_stay(tmp_path):
    (tmp_path / "step_00000004.partial").write_bytes(b"half")
    (tmp_path / "step_by_step.partial").write_bytes(b"mine")
    (tmp_path / "step_by_step.npz").write_bytes(b"mine")
    with checkpoints.opened_folder(tmp_path):
        assert found(tmp_path) is None
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"in_use.lock", "step_by_step.partial", "step_by_step.npz"}


def sealed(path: Path, members: dict[str, bytes], compression=zipfile.ZIP_STORED) -> None:
    """Write a file that a stranger made, with the SHA-256 that it should have."""
    file = BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
        archive.comment = b"0" * 64
    content = file.getvalue()[:-64]
    path.write_bytes(content + hashlib.sha256(content).hexdigest().encode())


class Bomb:
    """Unpickling it makes a directory."""

    def __init__(self, place):
        self.place = place

    def __reduce__(self):
        return os.mkdir, (str(self.place),)


def npy(array, **options) -> bytes:
    file = BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def header(shape, descr="<f4") -> bytes:
    file = BytesIO()
    fields = {"shape": shape, "fortran_order": False, "descr": descr}
    np.lib.format.write_array_header_1_0(file, fields)
    return file.getvalue()


def hostile_members(place: Path):
    good = {
        "metadata.json": json.dumps({"format": 1, "step": 2, "arrays": [{"name": "a"}]}).encode(),
        "a.npy": npy(ARRAYS["a"]),
    }
    yield (
        "pickle in an array",
        good | {"a.npy": npy(np.array([[Bomb(place)] * 3] * 2, object), allow_pickle=True)},
    )
    yield "pickle alone", good | {"a.npy": pickle.dumps(Bomb(place))}
    yield "a shape of 4 TB", good | {"a.npy": header((10**12,))}
    yield "code for a header", good | {"a.npy": header((2, 3)).replace(b"False", b"exit()")}
    yield "a wrong shape", good | {"a.npy": npy(ARRAYS["a"].T.copy())}
    yield "another order", good | {"a.npy": npy(np.asfortranarray(ARRAYS["a"]))}
    yield "another type", good | {"a.npy": npy(ARRAYS["a"].astype(np.int32))}
    yield "a byte too many", good | {"a.npy": npy(ARRAYS["a"]) + b"\0"}
    yield "a number too few", good | {"a.npy": npy(ARRAYS["a"])[:-4]}
    yield "too many numbers", good | {"a.npy": npy(np.zeros(10_000, np.float32))}
    yield "no array", {"metadata.json": good["metadata.json"]}
    yield "no metadata", {"a.npy": good["a.npy"]}
    for text in ("", "[]", "3", "{}", '{"format": 1}', "[" * 100_000, '{"format": 1, "arrays": 5}'):
        yield f"metadata {text[:20]}", good | {"metadata.json": text.encode()}
    yield "no step", good | {"metadata.json": b'{"format": 1, "arrays": [{"name": "a"}]}'}


def accept(metadata) -> int:
    with checkpoints.damage_named():
        return metadata["step"]


def test_hostile_files_are_damaged_files(tmp_path, capsys):
    place = tmp_path / "made"
    path = tmp_path / "step_00000002.npz"
    specs = SPECS[:1]
    good = {
        "metadata.json": b'{"format": 1, "step": 2, "arrays": [{"name": "a"}]}',
        "a.npy": npy(ARRAYS["a"]),
    }
    sealed(path, good)  # the stranger knows the format
    step, [array] = checkpoints.newest(tmp_path, specs, accept)
    assert step == 2
    np.testing.assert_array_equal(array, ARRAYS["a"])
    for what, members in hostile_members(place):
        sealed(path, members)
        assert checkpoints.newest(tmp_path, specs, accept) is None, what
        assert "is damaged" in capsys.readouterr().out
        assert not place.exists()
    sealed(path, good | {"a.npy": bytes(10**7)}, zipfile.ZIP_DEFLATED)
    assert checkpoints.newest(tmp_path, specs, accept) is None
    assert "is compressed" in capsys.readouterr().out
    os.mkdir(place)  # so it can be made, and was not


def test_another_format_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "step_00000002.npz"
    sealed(path, {"metadata.json": b'{"format": 2}'})
    with pytest.raises(ValueError, match="has format 2, and this program reads 1; use the version"):
        checkpoints.newest(tmp_path, SPECS, accept)
    assert path.exists()


@pytest.mark.parametrize(
    "progress",
    [
        {},
        {"step": "22"},
        {"step": -1},
        {"losses": [1]},
        {"losses": {"x": 1}},
        {"accuracies": None},
        {"seconds": "long"},
    ],
)
def test_progress_that_makes_no_sense_is_damage(tmp_path, finished, unstopped, progress, capsys):
    newest = checkpoints.files(finished)[-1]
    with zipfile.ZipFile(newest) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    metadata = json.loads(members["metadata.json"])
    metadata["progress"] = metadata["progress"] | progress if progress else None
    members["metadata.json"] = json.dumps(metadata).encode()
    sealed(tmp_path / newest.name, members)
    (tmp_path / "step_00000021.npz").write_bytes(checkpoints.files(finished)[-2].read_bytes())
    assert_same(run(tmp_path), unstopped)
    assert "is damaged" in capsys.readouterr().out


# --- Runs that are killed -----------------------------------------------------------------------

KILLS_BY_CLOCK = 5
EPOCHS = 16


def kills(numbers: random.Random) -> list[dict]:
    """Ten ways to die: five at any moment, one at each place in the writer, in any order."""
    by_clock = [
        {"steps": numbers.randint(7, 16), "delay": numbers.uniform(0, 0.01)}
        for _ in range(KILLS_BY_CLOCK)
    ]
    places = [
        ("numpy.lib.format", "write_array", numbers.randint(1, 40)),
        ("os", "fsync", numbers.choice([1, 3])),  # of the file
        ("os", "fsync", numbers.choice([2, 4])),  # of the folder
        ("os", "replace", numbers.randint(1, 2)),
        ("os", "replace", numbers.randint(1, 2)),
    ]
    in_writer = [
        {"function": {"module": module, "name": name, "call": call, "after": after}}
        for (module, name, call), after in zip(
            places, [False, False, True, False, True], strict=True
        )
    ]
    drawn = by_clock + in_writer
    numbers.shuffle(drawn)
    return drawn


@pytest.mark.parametrize("api", ["eager", "keras"])
def test_a_run_killed_ten_times_ends_as_one_never_stopped(tmp_path, forking, api):
    seed = int(os.environ.get("CNNCOURSE_KILL_SEED", random.randrange(10**6)))
    print(f"to draw the same kills again: CNNCOURSE_KILL_SEED={seed}")
    folder = tmp_path / "run"
    order = {"api": api, "epochs": EPOCHS, "out": str(tmp_path / "out")}
    died_after, partials = [], 0
    for kill in kills(random.Random(seed)):
        ended = forking(directory=str(folder), **order, **kill)
        print(kill, ended)
        assert ended["status"] == -signal.SIGKILL
        died_after.append(ended["step"])
        partials += len(list(folder.glob("*.partial")))
    # Seven steps or more from a checkpoint that is at most six steps old: later each time.
    assert len(set(died_after)) >= KILLS_BY_CLOCK
    assert partials >= 3  # killed in the middle of a file, and before it got its name
    assert forking(directory=str(folder), **order)["status"] == 0
    killed = pickle.loads((tmp_path / "out").read_bytes())
    assert forking(directory=None, **order)["status"] == 0
    never_stopped = pickle.loads((tmp_path / "out").read_bytes())
    assert max(killed[1].losses) == EPOCHS * STEPS_AN_EPOCH
    assert_same(killed, never_stopped)
    assert len(list(folder.iterdir())) == checkpoints.KEEP + 1  # and the lock: nothing is left over


if __name__ == "__main__":
    forks()
