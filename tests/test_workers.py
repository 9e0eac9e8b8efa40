"""Many processes end as one; killed ones are missed and named; runs go on; mistakes are told.

The processes are real and speak over loopback. As importing TensorFlow takes seconds, one
interpreter imports it, runs no operation and forks for each of them: this file as a program.
"""

import json
import os
import queue
import re
import signal
import socket
import sys
import tempfile
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf
from forking import interpreter
from hypothesis import given
from hypothesis import strategies as st

from cnncourse import cli, data, networks
from cnncourse.builders import build
from cnncourse.data import ImageDataset
from cnncourse.networks import Conv, Dense, Dropout, Flatten, Initializer, MaxPool, Network, Recipe
from cnncourse.training import checkpoints, rollcall, train, workers
from cnncourse.training.resuming import Progress, Run
from cnncourse.training.rollcall import Cluster, Gone, call_roll, cluster_of

PLAIN = Network(
    name="plain",
    text="A",
    dataset="mnist",
    input_shape=(8, 8, 1),
    layers=(Conv(4, 3), MaxPool(), Flatten(), Dense(16), Dense(10, None)),
    initializer=Initializer("glorot_uniform"),
    # The last batch of an epoch has one image: one of two workers has nothing to do.
    recipe=Recipe("sgd", 0.05, 16, epochs=3, train_images=161),
    published=(),
)
DROPPING = replace(
    PLAIN,
    name="dropping",
    layers=(
        Conv(4, 3),
        MaxPool(),
        Dropout(0.2),
        Flatten(),
        Dense(16),
        Dropout(0.4),
        Dense(10, None),
    ),
    recipe=Recipe("adam", 0.01, 16, steps=60, train_images=161),
)
SUMMING = replace(
    PLAIN, name="summing", recipe=replace(PLAIN.recipe, learning_rate=0.003, loss_reduction="sum")
)
KNOWN = {network.name: network for network in (PLAIN, DROPPING, SUMMING)}
# Sums of float32 in another order; after 33 steps they were measured to differ by 6e-8.
TOLERANCE = {"rtol": 1e-5, "atol": 1e-6}
LONG = 240  # seconds, for a machine with much else to do


class Acting(ImageDataset):
    """Data that calls ``act()`` before the batch of the step ``at`` is given."""

    at, act = 0, staticmethod(lambda: None)

    def to_tf(self, batch_size, *, first=0, **options):
        for step, batch in enumerate(super().to_tf(batch_size, first=first, **options), first + 1):
            if step == self.at:
                self.act()
            yield batch


def noise() -> ImageDataset:
    """Images that say nothing about their labels."""
    numbers = np.random.default_rng(0)
    x_train, x_test = (numbers.integers(0, 256, (n, 8, 8, 1), np.uint8) for n in (170, 30))
    y_train, y_test = (numbers.integers(0, 10, n, np.uint8) for n in (170, 30))
    names = tuple("0123456789")
    return Acting(x_train, y_train, x_test, y_test, names, "noise", "offline")


# --- The interpreter that forks -----------------------------------------------------------------


def forks() -> None:
    """Read an order a line and answer it: fork and tell the number, or how a fork has ended."""
    for line in sys.stdin:
        order = json.loads(line)
        if "argv" in order:
            answer = os.fork()
            if not answer:
                forked(order)
        else:
            number, status = os.waitpid(order["wait"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if number else None
        print(json.dumps(answer), flush=True)


def forked(order: dict) -> None:
    """Run the command with networks and data of our own; its output goes to a file."""
    ended = 99
    try:
        signal.alarm(LONG)  # a run that hangs ends too
        signal.signal(signal.SIGINT, signal.default_int_handler)
        out = os.open(order["out"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(out, 1)
        os.dup2(out, 2)
        tempfile.tempdir = os.path.dirname(order["out"])  # what TensorFlow would tidy at its end
        os.environ.pop("TF_CONFIG", None)
        os.environ.update(order["environment"])
        networks.NETWORKS = KNOWN
        data.load_mnist = lambda source: noise()
        workers.SILENCE = order["silence"]
        Acting.at = order["at"]
        Acting.act = staticmethod(lambda: os.kill(os.getpid(), order["signal"]))
        ended = cli.main(order["argv"])
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(ended)


@pytest.fixture(scope="module")
def ask():
    """Ask the interpreter that forks."""
    with interpreter(__file__) as ask:
        yield ask


def free_addresses(number):
    """Addresses on loopback that nobody listens at, now."""
    taken = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    addresses = [f"127.0.0.1:{one.getsockname()[1]}" for one in taken]
    for one in taken:
        one.close()
    return addresses


class Processes:
    """Commands that run at the same time."""

    def __init__(self, ask, folder):
        self.ask, self.folder = ask, folder
        self.numbers = []

    def start(self, *argv, at=0, act=signal.SIGKILL, silence=rollcall.SILENCE, **environment):
        out = str(self.folder / f"out{len(self.numbers)}.txt")
        order = {"argv": argv, "out": out, "at": at, "signal": int(act), "silence": silence}
        self.numbers.append(self.ask(**order, environment=environment))

    def end(self):
        """Wait for all. How each ended, and what it said."""
        deadline, ended = time.monotonic() + LONG, {}
        while len(ended) < len(self.numbers):
            assert time.monotonic() < deadline, self.said()
            for number in self.numbers:
                if number not in ended and (status := self.ask(wait=number)) is not None:
                    ended[number] = status
            if any(ended.values()):
                for number in set(self.numbers) - set(ended):
                    os.kill(number, signal.SIGCONT)  # else a stopped one stays
            time.sleep(0.05)
        return [ended[number] for number in self.numbers], self.said()

    def said(self):
        return [(self.folder / f"out{place}.txt").read_text() for place in range(len(self.numbers))]


@pytest.fixture
def alone(ask, tmp_path):
    """Train in one process; return the folder with its checkpoints, and what it said."""

    def train(network, *options, kept="alone", **changes):
        processes = Processes(ask, tmp_path)
        argv = ["train", network, *options, "--checkpoints", str(tmp_path / kept)]
        processes.start(*argv, "--checkpoint-steps", "10", **changes)
        [status], [said] = processes.end()
        assert status == 0, said
        return tmp_path / kept, said

    return train


def flags(addresses, index):
    """Say on the command line who takes part."""
    return ["--workers", ",".join(addresses), "--index", str(index)], {}


def tf_config(addresses, index):
    """Say it in the environment, as what starts jobs on a cluster does."""
    task = {"type": "worker" if index else "chief", "index": max(0, index - 1)}
    jobs = {"chief": addresses[:1], "worker": addresses[1:]}
    return [], {"TF_CONFIG": json.dumps({"cluster": jobs, "task": task})}


@pytest.fixture
def together(ask, tmp_path):
    """Train in many processes; return how each ended, and what it said, without the ports."""

    def train(network, *options, size=2, kept="together", told=flags, changes=(), **everybody):
        for _ in range(3):  # a free port may be taken before it is used
            addresses = free_addresses(size)
            processes = Processes(ask, tmp_path)
            for index in range(size):
                arguments, environment = told(addresses, index)
                mine = dict(changes).get(index, {}) | environment
                argv = ["train", network, *options, *arguments, "--wait", str(LONG)]
                if index == 0:
                    argv += ["--checkpoints", str(tmp_path / kept), "--checkpoint-steps", "10"]
                processes.start(*argv, **(everybody | mine))
            statuses, said = processes.end()
            if not any("cannot be used on this machine" in text for text in said):
                break
        for address in addresses:
            said = [text.replace(address, "HERE") for text in said]
        return statuses, said

    return train


def end_of(folder):
    """Arrays and progress of a folder's newest checkpoint; the time taken does not count."""
    with np.load(checkpoints.files(folder)[-1], allow_pickle=False) as file:
        metadata = json.loads(bytes(file.zip.read("metadata.json")))
        progress = metadata["progress"]
        del progress["seconds"]
        return {item["name"]: file[item["name"]] for item in metadata["arrays"]}, progress


def assert_close(one, other):
    """As near as sums in another order are."""
    for name, array in one[0].items():
        np.testing.assert_allclose(array, other[0][name], **TOLERANCE, err_msg=name)
    assert one[1]["step"] == other[1]["step"]
    assert one[1]["accuracies"] == other[1]["accuracies"]
    for step, loss in one[1]["losses"].items():
        assert other[1]["losses"][step] == pytest.approx(loss, rel=1e-4)


def assert_same(one, other):
    """To the bit."""
    for name, array in one[0].items():
        assert array.tobytes() == other[0][name].tobytes(), name
    assert one[1] == other[1]


# --- Training -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "size", "build", "told"),
    [("plain", 2, "keras", flags), ("summing", 3, "eager", tf_config)],
)
def test_many_processes_end_as_one(alone, together, name, size, build, told):
    folder, _ = alone(name, "--build", build)
    statuses, said = together(name, "--build", build, size=size, told=told)
    assert statuses == [0] * size, said
    assert_close(end_of(folder), end_of(folder.with_name("together")))
    lines = said[0].splitlines()
    assert [line.split(":")[0] for line in lines[:-1]] == ["epoch 1", "epoch 2", "epoch 3"]
    assert f"{name}, offline data, {size} processes: 33 steps, test accuracy" in lines[-1]
    assert said[1:] == [""] * (size - 1)


def test_killed_and_interrupted_runs_go_on_to_the_bit(together, tmp_path):
    """With dropout, which each worker draws for itself."""
    statuses, said = together("dropping", kept="undisturbed")
    assert statuses == [0, 0], said
    again = "start all again with the same command: the run goes on from step"

    statuses, said = together("dropping", changes={1: {"at": 25}})
    assert statuses == [1, -signal.SIGKILL]
    told = f"cnncourse: worker 1 (HERE) stopped answering at step 24; {again} 20"
    assert said[0].splitlines()[-1] == told

    statuses, said = together("dropping", changes={0: {"at": 33, "act": signal.SIGINT}})
    assert statuses == [130, 1]
    assert said[0].startswith(
        f"cnncourse: {tmp_path / 'together'} holds step 20 of 60: going on from there\n"
    )
    assert said[1].startswith("cnncourse: worker 0 (HERE) ended at step 33: stopped after step 33")
    assert said[1].endswith(f"{again} 33\n")

    statuses, said = together("dropping", changes={0: {"at": 45}})
    assert statuses == [-signal.SIGKILL, 1]
    assert said[1] == f"cnncourse: worker 0 (HERE) stopped answering at step 44; {again} 40\n"

    statuses, said = together("dropping")
    assert statuses == [0, 0], said
    assert_same(end_of(tmp_path / "undisturbed"), end_of(tmp_path / "together"))


def test_a_frozen_worker_is_missed_and_one_process_goes_on_without_it(alone, together):
    frozen = {1: {"at": 25, "act": signal.SIGSTOP}}
    statuses, said = together("plain", changes=frozen, silence=10, kept="parted")
    assert statuses == [1, 1]
    for text in said:  # the frozen one is woken when the other has ended, and finds its message
        line = "cnncourse: worker 1 (HERE) stopped answering at step 24; start all again"
        assert text.splitlines()[-1].startswith(line)
    _, said = alone("plain", kept="parted")
    assert "parted holds step 20 of 33: going on from there" in said
    folder, _ = alone("plain")
    assert_close(end_of(folder), end_of(folder.with_name("parted")))


def test_a_mistake_of_one_is_told_to_all(together, tmp_path):
    (tmp_path / "together").write_text("no folder")
    statuses, said = together("plain")
    assert statuses == [1, 1]
    why = "which cannot be made a directory (File exists); give another one"
    assert said[0].endswith(f"{why}\n")
    assert said[1].startswith("cnncourse: worker 0 (HERE) ended at step 0: checkpoints is")
    assert "the run begins anew, as it keeps no checkpoints" in said[1]


# --- Its parts ----------------------------------------------------------------------------------


@given(count=st.integers(0, 300), size=st.integers(1, 40))
def test_shares_are_all_of_a_batch_and_differ_by_one_image_at_most(count, size):
    team = workers.Team()
    team.size, ends = size, []
    for team.index in range(size):
        ends.append(team.share(count))
    assert [first for first, _ in ends] == [0, *(after for _, after in ends[:-1])]
    assert ends[-1][1] == count
    shares = [after - first for first, after in ends]
    assert max(shares) - min(shares) <= 1


def test_each_worker_has_random_numbers_of_its_own():
    states = tf.random.Generator.from_seed(7).state, keras.random.SeedGenerator(7).state
    for state in states:
        array = np.asarray(state)
        draws = []
        for index in range(3):
            own = workers.own_stream(array, index)
            assert own.dtype == array.dtype
            if len(array) == 3:
                generator = tf.random.Generator.from_state(tf.constant(own), alg="philox")
                draws.append(generator.uniform([1_000]).numpy())
            else:
                generator = keras.random.SeedGenerator(0)
                generator.state.assign(own)
                draws.append(np.asarray(keras.random.uniform([1_000], seed=generator)))
        np.testing.assert_array_equal(array, workers.own_stream(array, 0))
        for one, other in ((0, 1), (0, 2), (1, 2)):
            assert abs(np.corrcoef(draws[one], draws[other])[0, 1]) < 0.15  # 5 standard deviations


@pytest.mark.parametrize("array", [np.ones(3, np.float32), np.int64(5), np.ones((2, 2), np.uint8)])
def test_whatever_is_no_random_state_stays(array):
    array = np.asarray(array)
    np.testing.assert_array_equal(workers.own_stream(array, 3), array)


def test_a_worker_begins_where_the_chief_does_but_for_its_random_numbers():
    here, there = (rollcall.Link(end, 0) for end in socket.socketpair())
    chief, worker = (object.__new__(workers.Workers) for _ in range(2))  # without TensorFlow's part
    chief.index, chief._links = 0, [here]
    worker.index, worker._states = 1, queue.SimpleQueue()
    run = Run()
    run.progress = Progress(7, 0.5, 3.0, {5: 2.0}, {})
    theirs = {"weight": tf.Variable([1.5, -0.0]), "state": tf.Variable([3, 4, 5], dtype=tf.int64)}
    ours = {"weight": tf.Variable([9.0, 9.0]), "state": tf.Variable([9, 9, 9], dtype=tf.int64)}
    chief.begin(run, theirs)
    for _ in range(3):
        worker._states.put(there.receive()[1])
    begun = Run()
    worker.begin(begun, ours)
    assert begun.progress == run.progress
    assert ours["weight"].numpy().tobytes() == theirs["weight"].numpy().tobytes()
    assert ours["state"].numpy().tolist() == [3, 4, 6]


def test_a_batch_too_small_to_share_is_refused():
    team = workers.Team()
    team.size = 17
    model = build(PLAIN, "keras")
    with pytest.raises(ValueError, match="batch_size is 16, which 17 workers cannot share"):
        train(
            model,
            noise().scaled(),
            optimizer=keras.optimizers.SGD(0.1),
            batch_size=16,
            steps=1,
            team=team,
        )


# --- Who takes part -----------------------------------------------------------------------------

BOTH = "a:1,b:2"


def config(cluster, job="worker", index=0):
    return json.dumps({"cluster": cluster, "task": {"type": job, "index": index}})


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((None, None, None), None),
        ((BOTH, 1, None), (("a:1", "b:2"), 1)),
        (("[::1]:1, b.example:2", 0, None), (("[::1]:1", "b.example:2"), 0)),
        ((None, None, config({"worker": ["a:1", "b:2"]}, index=1)), (("a:1", "b:2"), 1)),
        (
            (None, None, config({"chief": ["a:1"], "worker": ["b:2", "c:3"]}, index=1)),
            (("a:1", "b:2", "c:3"), 2),
        ),
        ((None, None, config({"chief": ["a:1"], "worker": ["b:2"]}, "chief")), (("a:1", "b:2"), 0)),
        ((None, None, config({"worker": ["a:1"]})), None),
        ((BOTH, 1, config({"worker": ["a:1", "b:2"]}, index=1)), (("a:1", "b:2"), 1)),
    ],
)
def test_who_takes_part(arguments, expected):
    cluster = cluster_of(*arguments)
    assert expected == (cluster and (cluster.addresses, cluster.index))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((BOTH, None, None), "workers is 'a:1,b:2' and index is None; give both, or neither"),
        ((None, 1, None), "workers is None and index is 1; give both"),
        ((BOTH, 2, None), "index is 2, and there are 2 workers; give a number from 0 to 1"),
        ((BOTH, -1, None), "index is -1, and there are 2 workers"),
        (("a:1,b:2,a:1", 0, None), "workers has a:1 twice; give every worker a port of its own"),
        (("a:1,b", 0, None), "workers has 'b'; give HOST:PORT, such as localhost:4000"),
        (("a:1,", 0, None), "workers has ''; give HOST:PORT"),
        (("a:0,b:1", 0, None), "workers has 'a:0'"),
        (("a:65536,b:1", 0, None), "workers has 'a:65536'"),
        ((BOTH, 0, config({"worker": ["a:1", "c:2"]})), "TF_CONFIG says a:1,c:2 with index 0, and"),
        (
            (BOTH, 0, config({"worker": ["a:1", "b:2"]}, index=1)),
            "with index 1, and --workers says",
        ),
        ((None, None, "{"), "TF_CONFIG is '{', which does not say which worker this is"),
        ((None, None, config({"worker": ["a:1", "b:2"]}, index=2)), "index is 2, and there are 2"),
        ((None, None, config({"worker": ["a:1"], "ps": ["b:2"]})), "it names ps, not chiefs and"),
        ((None, None, config({"worker": ["a:1", "b:2"]}, "evaluator")), "task is a 'evaluator'"),
        ((None, None, "[]"), "does not say which worker"),
    ],
)
def test_who_takes_part_must_make_sense(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        cluster_of(*arguments)


def roll(addresses, *calls, wait=30.0):
    """Call the roll in threads: what came of ``(index, asked)``, links or an error, for each."""

    def one(index, asked):
        try:
            links = call_roll(Cluster(tuple(addresses), index), asked, wait)
        except (ValueError, OSError) as error:
            return error
        for link in links:
            link.close()
        return [link.index for link in links]

    with ThreadPoolExecutor() as pool:
        return [ended.result() for ended in [pool.submit(one, *call) for call in calls]]


def test_all_come_in_any_order():
    addresses = free_addresses(4)
    calls = [(index, {"steps": 3}) for index in (3, 1, 0, 2)]
    assert roll(addresses, *calls) == [[0], [0], [1, 2, 3], [0]]


def test_whoever_does_not_come_is_named():
    addresses = free_addresses(3)
    chief, worker = roll(addresses, (0, {}), (2, {}), wait=1.5)
    assert isinstance(chief, TimeoutError)
    message = f"worker 1 ({addresses[1]}) did not come within 1.5 seconds; start all workers"
    assert str(chief).startswith(message)
    assert str(worker).startswith(message)
    [alone] = roll(addresses, (1, {}), wait=0.5)
    assert str(alone).startswith(f"worker 0 ({addresses[0]}) did not answer within 0.5 seconds")


def test_different_arguments_are_told_to_both():
    asked = {"network": "plain", "steps": 60}
    ends = roll(free_addresses(2), (0, asked), (1, asked | {"steps": 50}))
    for error in ends:
        assert isinstance(error, ValueError)
        assert "steps is 60 for worker 0 and 50 for worker 1. Give all workers the same" in str(
            error
        )


def test_two_with_the_same_number_are_told():
    addresses = free_addresses(3)
    # As from another machine, where the port is free: this one only says hello.
    with ThreadPoolExecutor() as pool:
        chief = pool.submit(roll, addresses, (0, {}))
        cluster = Cluster(tuple(addresses), 1)
        hello = {"workers": addresses}
        options = (cluster, hello, time.monotonic() + 30, 30)
        twins = [pool.submit(rollcall._worker, *options) for _ in range(2)]
        message = f"two processes say that they are worker 1 ({addresses[1]}); give each its own"
        assert str(chief.result()[0]).startswith(message)
        for twin in twins:
            with pytest.raises(ValueError, match=re.escape(message)):
                twin.result()


def test_a_port_in_use_is_named():
    addresses = free_addresses(2)
    host, port = addresses[1].split(":")
    with socket.create_server((host, int(port))):
        [error] = roll(addresses, (1, {}))
    assert f"port {port} of worker 1 ({addresses[1]}) cannot be used on this machine" in str(error)


def test_strangers_are_not_let_in():
    addresses = free_addresses(2)
    host, port = addresses[0].split(":")
    with ThreadPoolExecutor() as pool:
        chief = pool.submit(roll, addresses, (0, {}))
        for words in (b"GET / HTTP/1.1\r\n\r\n", b"H" + (9).to_bytes(8, "big") + b"[1, 2, 3]"):
            until = time.monotonic() + 30
            while True:
                try:
                    stranger = socket.create_connection((host, int(port)), timeout=30)
                    break
                except OSError:
                    assert time.monotonic() < until
                    time.sleep(0.05)
            with stranger:
                stranger.sendall(words)
                with suppress(ConnectionResetError):
                    assert stranger.recv(1) == b""
        assert roll(addresses, (1, {})) == [[0]]
        assert chief.result() == [[1]]


def test_a_message_larger_than_a_buffer_arrives_and_a_closed_line_is_noticed():
    here, there = (rollcall.Link(end, 0) for end in socket.socketpair())
    content = np.random.default_rng(0).bytes(5_000_000)
    with ThreadPoolExecutor() as pool:
        pool.submit(here.send, b"S", content)
        assert there.receive() == (b"S", content)
    here.close()
    with pytest.raises(Gone, match="closed"):
        there.receive()
    there.patience(0.05)
    with pytest.raises(Gone):
        there.send(b"S", content)


if __name__ == "__main__":
    forks()
