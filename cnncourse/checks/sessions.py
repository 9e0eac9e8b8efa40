"""Checks of problem set 6: a plan, a metric, weights carried over, an old program, a model_fn."""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from cnncourse.checks.core import Check, Complaint, Inputs, Target
from cnncourse.checks.tensorflow import called, counting, floats, small_digits, through

__all__ = ["carry_over", "found_by_class", "model_fn", "new_plan", "train_and_ask"]

Array = np.ndarray[Any, np.dtype[Any]]


@contextmanager
def _session_errors() -> Iterator[Any]:
    """Give `tf.compat.v1`; keep its log quiet, and of a session's error only the telling line."""
    import tensorflow as tf

    log = tf.get_logger()
    level = log.level
    log.setLevel("ERROR")
    try:
        if not tf.executing_eagerly():
            raise Complaint(
                "eager execution is off in this kernel: remove disable_eager_execution, restart "
                "the kernel, and work in `with tf.Graph().as_default():`"
            )
        yield tf.compat.v1
        if not tf.executing_eagerly():
            raise Complaint(
                "it switches off eager execution, for the whole kernel: restart it, and work in "
                "`with tf.Graph().as_default():` instead"
            )
    except NotImplementedError as error:
        if "symbolic" not in str(error):
            raise
        raise Complaint(_NO_VALUES).with_traceback(error.__traceback__) from None
    except tf.errors.FailedPreconditionError as error:
        raise Complaint(f"a variable has no value: {_telling_line(error)[:160]}") from None
    except tf.errors.OpError as error:
        name = type(error).__name__
        raise Complaint(f"{name}: {_telling_line(error)}").with_traceback(
            error.__traceback__
        ) from None
    finally:
        log.setLevel(level)


_NO_VALUES = "NumPy wants values, but in a graph a tensor has none yet: use tf.… in place of np.…"


def _telling_line(error: Exception) -> str:
    """Return the line after "Node:", or the first, as in lesson 06."""
    lines = str(error).splitlines() or [""]
    after = [lines[place + 1] for place, line in enumerate(lines[:-1]) if line.startswith("Node:")]
    return (after or lines)[0].strip()


# new_plan(): a graph whose nodes are fetched and fed by name


def _fetched(answer: Callable[..., Any], fetch: str, feed: Mapping[str, Any]) -> Any:
    import tensorflow as tf

    with _session_errors() as tf1:
        graph = called(answer, call="new_plan()")
        if not isinstance(graph, tf.Graph):
            raise Complaint(f"new_plan returns {graph!r}; it has to return the tf.Graph")
        names = [operation.name for operation in graph.get_operations()]
        for name in (fetch, *feed):
            if name not in names:
                raise Complaint(_no_node(name, names))
        with tf1.Session(graph=graph) as session:
            feeds = {f"{name}:0": value for name, value in feed.items()}
            return session.run(f"{fetch}:0", feeds)


def _no_node(name: str, names: list[str]) -> str:
    """Say that a name is missing, and what there is at the top."""
    text = f'no node is named {name!r}. Give the operation name="{name}"'
    if any(each.lower() in (name, f"{name}_1") for each in names):
        text += " (letters large or small count as the same, and what comes second gets _1)"
    else:
        text += " (without it, a - b makes a node called sub)"
    return f"{text}. There are {[each for each in names if '/' not in each]}"


def _plan_advice(trouble: str, inputs: Inputs) -> str | None:
    if "broadcast" in trouble or "ncompatible shapes" in trouble or "must be equal" in trouble:
        return "mean is [batch]; give it two axes of size 1 before you subtract it."
    return None


def _plan(
    fetch: str,
    feed: Mapping[str, Any],
    *,
    mean_of: Callable[[Array], Array] = lambda images: images.mean((1, 2)),
    gain: float | None = None,
    hears: tuple[str, ...] = ("mean", "centred"),
) -> Any:
    """Return what a fetch gives, with feeds for inner nodes, as far as the plan ``hears`` them."""
    feed = {name: value for name, value in feed.items() if name in ("images", "gain", *hears)}
    if fetch == "mean" or ("mean" not in feed and "centred" not in feed):
        mean = mean_of(feed["images"])
    else:
        mean = feed.get("mean", np.zeros(1))
    if fetch == "mean":
        return mean
    centred = feed.get("centred")
    if centred is None:
        centred = feed["images"] - np.reshape(mean, (-1, 1, 1))
    if fetch == "centred":
        return centred
    return centred * (feed.get("gain", 1.0) if gain is None else gain)


def _plan_cases() -> Iterator[Inputs]:
    def case(fetch: str, **feed: Any) -> Inputs:
        return {"fetch": fetch, "feed": feed}

    one, two = counting(1, 2, 2), np.stack([counting(2, 3), 10 * counting(2, 3)])
    yield case("mean", images=one)
    yield case("centred", images=one)
    yield case("result", images=one, gain=10.0)
    yield case("result", images=two, gain=2.0)
    yield case("result", images=two)
    yield case("centred", images=one, mean=floats([1]))
    yield case("result", images=two, mean=floats([1, 2]), gain=2.0)
    yield case("result", centred=one, gain=3.0)


def _plan_more(rng: np.random.Generator) -> Iterator[Inputs]:
    images = rng.normal(size=(3, *rng.integers(2, 6, 2))).astype(np.float32)
    for fetch, names in (
        ("mean", []),
        ("result", []),
        ("result", ["gain"]),
        ("result", ["gain", "mean"]),
        ("centred", ["mean"]),
    ):
        values = {"gain": np.float32(rng.normal()), "mean": rng.normal(size=3).astype(np.float32)}
        yield {"fetch": fetch, "feed": {"images": images} | {name: values[name] for name in names}}


new_plan = through(
    Check(
        name="new_plan",
        expected=_plan,
        cases=_plan_cases,
        more=_plan_more,
        advice=_plan_advice,
        slips={
            "The mean is taken over the whole batch; every image has its own.": (
                lambda fetch, feed: _plan(
                    fetch, feed, mean_of=lambda x: np.full(len(x), x.mean(), x.dtype)
                )
            ),
            "There is one mean for the whole batch; every image has its own.": (
                lambda fetch, feed: _plan(fetch, feed, mean_of=lambda x: x.mean())
            ),
            "The mean is taken of each column; take it over rows and columns, axes 1 and 2.": (
                lambda fetch, feed: _plan(fetch, feed, mean_of=lambda x: x.mean(1))
            ),
            "The gain does not reach the result.": (
                lambda fetch, feed: _plan(fetch, feed, gain=1.0)
            ),
            "A fed mean changes nothing: the plan works the mean out once more. Let `centred` take "
            "the node named mean.": lambda fetch, feed: _plan(fetch, feed, hears=("centred",)),
        },
    ),
    _fetched,
)


# found_by_class(labels, predicted, classes): (value, update), with local variables

Batches = list[tuple[Array, Array]]


def _series(answer: Callable[..., Any], series: list[Batches], classes: int) -> list[Array]:
    """Return the value after each series of batches; each begins with the local initializer."""
    import tensorflow as tf

    with _session_errors() as tf1, tf.Graph().as_default():
        labels = tf1.placeholder(tf.int64, [None], name="labels")
        predicted = tf1.placeholder(tf.int64, [None], name="predicted")
        call = "found_by_class(labels, predicted, classes)"
        pair = called(answer, labels, predicted, classes, call=call)
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise Complaint(f"it returns {pair!r}; a pair of nodes is wanted, (value, update)")
        value, update = pair
        if tf1.global_variables():
            names = [variable.op.name for variable in tf1.global_variables()]
            raise Complaint(
                f"{names} are global variables, saved and trained with the network; make them "
                "local ones"
            )
        results = []
        with tf1.Session() as session:
            for batches in series:
                session.run(tf1.local_variables_initializer())
                for truth, guess in batches:
                    session.run(update, {labels: truth, predicted: guess})
                session.run(value)  # reading must change nothing
                results.append(session.run(value))
        return results


def _shares(
    combine: Callable[[list[tuple[Array, Array]]], Array],
) -> Callable[[list[Batches], int], list[Array]]:
    """Return the answer that combines each batch's counts per class: (found, out of)."""

    def shares(series: list[Batches], classes: int) -> list[Array]:
        return [
            combine([_counts(truth, guess, classes) for truth, guess in batches])
            for batches in series
        ]

    return shares


def _counts(truth: Array, guess: Array, classes: int) -> tuple[Array, Array]:
    found = np.bincount(truth[truth == guess], minlength=classes)
    return found.astype(float), np.bincount(truth, minlength=classes).astype(float)


def _ratio(found: Array, of: Array) -> Array:
    return np.where(of > 0, found / np.maximum(of, 1), 0)


def _all_batches(counts: list[tuple[Array, Array]]) -> Array:
    return _ratio(*np.sum(counts, axis=0))


def _precision(series: list[Batches], classes: int) -> list[Array]:
    turned = [[(guess, truth) for truth, guess in batches] for batches in series]
    return _shares(_all_batches)(turned, classes)


def _of_all(series: list[Batches], classes: int) -> list[Array]:
    def combine(counts: list[tuple[Array, Array]]) -> Array:
        found, of = np.sum(counts, axis=0)
        return found / of.sum()

    return _shares(combine)(series, classes)


def _going_on(series: list[Batches], classes: int) -> list[Array]:
    joined = [
        [batch for batches in series[: number + 1] for batch in batches]
        for number in range(len(series))
    ]
    return _shares(_all_batches)(joined, classes)


def _batch(truth: list[int], guess: list[int]) -> tuple[Array, Array]:
    return np.array(truth), np.array(guess)


def _metric_cases() -> Iterator[Inputs]:
    def case(classes: int, *series: Batches) -> Inputs:
        return {"series": list(series), "classes": classes}

    yield case(2, [_batch([0, 1, 1, 1], [0, 1, 0, 0])])
    yield case(3, [_batch([0, 0, 1, 1, 2], [0, 1, 1, 1, 0])])
    yield case(2, [_batch([0, 0, 1], [0, 1, 1]), _batch([0, 1], [0, 0])])
    yield case(3, [_batch([0, 1], [0, 2])])
    one, other = _batch([0, 1, 1], [0, 1, 0]), _batch([0], [1])
    yield case(2, [one], [other, one])


def _metric_more(rng: np.random.Generator) -> Iterator[Inputs]:
    for classes in (2, 5, 10):
        series = []
        for _ in range(2):
            truths = [rng.integers(0, classes, size) for size in (20, 20, 7)]
            series.append(
                [
                    (truth, np.where(rng.random(len(truth)) < 0.6, truth, (truth + 1) % classes))
                    for truth in truths
                ]
            )
        yield {"series": series, "classes": classes}


found_by_class = through(
    Check(
        name="found_by_class",
        expected=_shares(_all_batches),
        cases=_metric_cases,
        more=_metric_more,
        slips={
            "All shares are 0. Are hits and images both counted by `update`? Does `==` compare "
            "nodes? tf.equal compares values.": _shares(lambda counts: 0 * counts[0][0]),
            "Only the last batch counts: add to the variables, do not overwrite them.": _shares(
                lambda counts: _ratio(*counts[-1])
            ),
            "The batches' shares are averaged. Keep counts, and divide at the end.": _shares(
                lambda counts: np.mean([_ratio(*count) for count in counts], axis=0)
            ),
            "The batches' shares are added up. Keep counts, and divide at the end.": _shares(
                lambda counts: np.sum([_ratio(*count) for count in counts], axis=0)
            ),
            "It divides by how often a class was predicted; divide by how often it is the label.": (
                _precision
            ),
            "It divides by all images; each class has its own number of images.": _of_all,
            "Every class gets the share of all images; count the classes apart.": _shares(
                lambda counts: np.full_like(counts[0][0], np.divide(*np.sum(counts, axis=(0, 2))))
            ),
            "Those not found are counted.": _shares(lambda counts: 1 - _all_batches(counts)),
            "A new evaluation goes on from the last one: the local initializer does not reach "
            "these numbers.": _going_on,
        },
    ),
    _series,
)


# carry_over(session, path, prefix): variables from a checkpoint, by name and shape

Named = dict[str, Array]


def _carried(
    answer: Callable[..., Any], in_file: Named, in_graph: Named, prefix: str
) -> dict[str, Any]:
    """Write the file, draw the new graph, and look what its variables hold after the call."""
    with _session_errors() as tf1, tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "old")
        with _graph_of(in_file), tf1.Session() as session:
            session.run(tf1.global_variables_initializer())
            tf1.train.Saver().save(session, path, write_meta_graph=False)
        with _graph_of(in_graph), tf1.Session() as session:
            call = "carry_over(session, path, prefix)"
            restored = called(answer, session, path, prefix, call=call)
            values = {v.op.name: session.run(v) for v in tf1.global_variables()}
        return {"returned": restored, "variables": values}


@contextmanager
def _graph_of(values: Named) -> Iterator[None]:
    import tensorflow as tf

    with tf.Graph().as_default():
        for name, value in values.items():
            trainable = not name.endswith("global_step")
            tf.compat.v1.get_variable(name, initializer=value, trainable=trainable)
        yield


def _carry(
    in_file: Named,
    in_graph: Named,
    prefix: str,
    *,
    named: Callable[[str, str], str] = lambda name, prefix: prefix + name,
    returned: Callable[[str], str] = str,
    order: Callable[[Iterable[str]], list[str]] = sorted,
    keep: bool = True,
    shaped: bool = True,
    steps: bool = True,
) -> dict[str, Any]:
    there = {
        name: in_file.get(named(name, prefix))
        for name in in_graph
        if steps or not name.endswith("global_step")
    }
    fit = {
        name: value
        for name, value in there.items()
        if value is not None and (value.shape == in_graph[name].shape or not shaped)
    }
    values = in_graph | (fit if keep else {})
    return {"returned": order([returned(name) for name in fit]), "variables": values}


def _carry_cases() -> Iterator[Inputs]:
    def case(in_file: Named, in_graph: Named, prefix: str = "") -> Inputs:
        return {"in_file": in_file, "in_graph": in_graph, "prefix": prefix}

    kernel, new = counting(2, 3), -counting(2, 3)
    yield case({"kernel": kernel}, {"kernel": new})
    yield case({"old/kernel": kernel}, {"kernel": new}, "old/")
    yield case({"kernel": kernel, "kernel/Adam": kernel / 100}, {"kernel": new})
    yield case({"kernel": kernel}, {"kernel": new, "bias": counting(3)})
    yield case(
        {
            "net/conv/kernel": kernel,
            "net/conv/bias": counting(3),
            "net/out/kernel": counting(3, 10),
        },
        {"out/kernel": -counting(3, 4), "conv/kernel": new, "conv/bias": -counting(3)},
        "net/",
    )
    yield case({"out/kernel": counting(2, 3)}, {"out/kernel": -counting(3, 2)})
    begin, step = np.array(0), np.array(3000)
    yield case({"kernel": kernel, "global_step": step}, {"kernel": new, "global_step": begin})
    both = {"conv/kernel": 100 * kernel, "conv/bias": counting(3), "net/conv/kernel": kernel}
    yield case(both, {"conv/kernel": new, "conv/bias": -counting(3)}, "net/")


def _carry_more(rng: np.random.Generator) -> Iterator[Inputs]:
    for prefix in ("", "teacher/"):
        shapes = {
            f"{part}{number}/{name}": shape
            for part, name, shape in (("z", "kernel", (3, 2)), ("a", "bias", (4,)))
            for number in range(3)
        }
        in_graph = {name: rng.normal(size=shape) for name, shape in shapes.items()}
        in_file = {f"{prefix}{name}": rng.normal(size=shape) for name, shape in shapes.items()}
        in_file[f"{prefix}z1/kernel"] = rng.normal(size=(2, 3))
        del in_file[f"{prefix}a2/bias"]
        in_file[f"{prefix}global_step"] = np.array(rng.integers(1, 1000))
        in_graph["global_step"] = np.array(0)
        in_file["a2/bias" if prefix else "other"] = rng.normal(size=(4,))
        yield {"in_file": in_file, "in_graph": in_graph, "prefix": prefix}


carry_over = through(
    Check(
        name="carry_over",
        expected=_carry,
        cases=_carry_cases,
        more=_carry_more,
        slips={
            "Every variable has its starting value: an initializer that runs after restoring "
            "overwrites what was restored.": lambda f, g, p: _carry(f, g, p, keep=False),
            "The shapes have to agree, too. A Saver fills a variable [3, 4] with [3, 10] and says "
            "nothing.": lambda f, g, p: _carry(f, g, p, shaped=False),
            "Nothing is found where the file's names begin with the prefix.": (
                lambda f, g, p: _carry(f, g, p, named=lambda name, prefix: name)
            ),
            "With a prefix, only names that begin with it count; what has the bare name is of "
            "another network.": lambda f, g, p: _carry({p + n: v for n, v in f.items()} | f, g, p),
            "Only the trainable variables come back. The global step is one that is not: "
            "tf1.global_variables().": lambda f, g, p: _carry(f, g, p, steps=False),
            "The names end in ':0', which is a tensor's name; a variable's is variable.op.name.": (
                lambda f, g, p: _carry(f, g, p, returned=lambda name: f"{name}:0")
            ),
            "The names returned are those in the file; return those of the graph.": (
                lambda f, g, p: _carry(f, g, p, returned=lambda name: p + name)
            ),
            "The names are not in alphabetical order: return sorted(...).": (
                lambda f, g, p: _carry(f, g, p, order=list)
            ),
        },
    ),
    _carried,
)


# train_and_ask(images, labels, test_images, start, steps, batch_size, rate, keep_prob)

_ASK = "train_and_ask(images, labels, test_images, start, steps, batch_size, rate, keep_prob)"


def _ported(answer: Callable[..., Any], *inputs: Any) -> Any:
    with _session_errors():
        result = called(answer, *inputs, call=_ASK)
    names = result.get("names") if isinstance(result, Mapping) else None
    if isinstance(names, list) and any("_1" in str(name) for name in names):
        raise Complaint(
            f"it returns the names {names}; with _1 the second call of the network made new "
            "variables. get_variable in a scope with reuse=tf1.AUTO_REUSE finds the old ones"
        )
    return result


def _softmax(logits: Array) -> Array:
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def _old_program(
    images: Array,
    labels: Array,
    test_images: Array,
    start: Named,
    steps: int,
    batch_size: int,
    rate: float,
    keep_prob: float,
    *,
    activation: Callable[[Array], Array] = lambda values: np.maximum(values, 0),
    draw: Callable[[int], int] = lambda step: step,
    learns_biases: bool = True,
    asks: str = "trained",
) -> dict[str, Any]:
    """Return what the old program gave with keep_prob 1, its steps worked out by hand."""
    first, second = start["hidden"].astype(float), start["logits"].astype(float)
    biases = [np.zeros(first.shape[1]), np.zeros(second.shape[1])]
    losses = []
    for step in range(steps):
        rows = (draw(step) * batch_size + np.arange(batch_size)) % len(images)
        x, y = images[rows], labels[rows]
        hidden = activation(x @ first + biases[0])
        probabilities = _softmax(hidden @ second + biases[1])
        losses.append(-np.log((probabilities * y).sum(axis=1)).mean())
        slope = (probabilities - y) / batch_size
        through_relu = (slope @ second.T) * (activation(x @ first + biases[0]) != 0)
        second = second - rate * hidden.T @ slope
        first = first - rate * x.T @ through_relu
        if learns_biases:
            biases[1] = biases[1] - rate * slope.sum(axis=0)
            biases[0] = biases[0] - rate * through_relu.sum(axis=0)
    if asks == "started":
        first, second, biases = start["hidden"], start["logits"], [0 * bias for bias in biases]
    logits = activation(test_images @ first + biases[0]) @ second + biases[1]
    names = [f"net/{layer}/{part}:0" for layer in ("hidden", "logits") for part in _PARTS]
    return {"losses": losses, "names": names, "predicted": logits.argmax(axis=1)}


_PARTS = ("kernel", "bias")


def _ported_case(rng: np.random.Generator, number: int, batch_size: int, steps: int) -> Inputs:
    pixels, units, classes = (int(size) for size in rng.integers(3, 6, 3))
    return {
        "images": rng.normal(size=(number, pixels)).astype(np.float32),
        "labels": np.eye(classes, dtype=np.float32)[rng.integers(0, classes, number)],
        "test_images": rng.normal(size=(20, pixels)).astype(np.float32),
        "start": {
            "hidden": rng.normal(size=(pixels, units)).astype(np.float32),
            "logits": rng.normal(size=(units, classes)).astype(np.float32),
        },
        "steps": steps,
        "batch_size": batch_size,
        "rate": 0.5,
        "keep_prob": 1.0,
    }


def _ported_cases() -> Iterator[Inputs]:
    yield {
        "images": floats([[1.0]]),
        "labels": floats([[1, 0]]),
        "test_images": floats([[1], [-1]]),
        "start": {"hidden": floats([[1]]), "logits": floats([[0, 1]])},
        "steps": 3,
        "batch_size": 1,
        "rate": 1.0,
        "keep_prob": 1.0,
    }
    yield _ported_case(np.random.default_rng(6), number=6, batch_size=2, steps=3)
    yield _ported_case(np.random.default_rng(7), number=6, batch_size=4, steps=12)


def _ported_more(rng: np.random.Generator) -> Iterator[Inputs]:
    for number, batch_size, steps in ((8, 4, 2), (9, 4, 15), (5, 5, 10)):
        yield _ported_case(rng, number, batch_size, steps)


_port = through(
    Check(
        name="train_and_ask",
        expected=_old_program,
        cases=_ported_cases,
        more=_ported_more,
        slips={
            "The hidden layer's ReLU is missing.": lambda *inputs: _old_program(
                *inputs, activation=lambda values: values
            ),
            "The first loss is that of logits that are all 0: everything was dropped. What is the "
            "second argument of tf.nn.dropout today?": lambda *inputs: _old_program(
                *inputs, activation=lambda values: 0 * values
            ),
            "Every step sees the first batch; draw the next one in each run.": (
                lambda *inputs: _old_program(*inputs, draw=lambda step: 0)
            ),
            "The biases stay 0: tf.layers.dense had one, and trained it.": (
                lambda *inputs: _old_program(*inputs, learns_biases=False)
            ),
            "It predicts with the starting values: ask in the session that has trained, and run "
            "no initializer again.": lambda *inputs: _old_program(*inputs, asks="started"),
        },
    ),
    _ported,
)

_DROPS = {
    "images": floats([[1.0]]),
    "labels": floats([[0, 0, 1]]),
    "test_images": np.ones((200, 1), np.float32),
    "start": {"hidden": floats([[1]]), "logits": floats([[-2, 0, 2]])},
    "steps": 400,
    "batch_size": 1,
    "rate": 0.0,
}


def _judge_port_drops(result: Any, inputs: Inputs) -> str | None:
    """With the one hidden unit dropped the loss is ln 3; kept, it follows from logits / keep."""
    keep = inputs["keep_prob"]
    kept = -np.log(_softmax(np.array([[-2, 0, 2]]) / keep)[0, 2])
    losses = np.array(result["losses"])
    dropped = np.isclose(losses, np.log(3), atol=1e-4)
    share = dropped.mean()
    if not dropped.any():
        return "drops nothing in training, whatever keep_prob is"
    if abs(share - (1 - keep)) > 6 * np.sqrt(keep * (1 - keep) / len(losses)):
        return (
            f"drops the hidden unit in {share:.0%} of all steps with keep_prob {keep}: the second "
            "argument of today's tf.nn.dropout is the share to drop"
        )
    if not np.isclose(losses[~dropped], kept, atol=1e-4).all():
        return "does not divide by keep_prob what stays, as tf.nn.dropout did"
    if not (np.array(result["predicted"]) == 2).all():
        return "drops units while it predicts; the old program fed keep_prob 1 there"
    return None


_port_drops = through(
    Check(
        name="train_and_ask",
        expected=None,
        cases=lambda: [_DROPS | {"keep_prob": 0.9}],
        more=lambda rng: [_DROPS | {"keep_prob": float(rng.uniform(0.6, 0.8))}],
        judge=_judge_port_drops,
    ),
    _ported,
)


def train_and_ask(answer: Any, *, seed: int | None = None) -> None:
    """Check the ported program: its numbers without dropout, then what it drops."""
    _port(answer, seed=seed)
    _port_drops(answer, seed=seed)


# model_fn: three modes, and an answer that may be left open

TRAINING_STEPS = 150


def _random_behind(tensors: Iterable[Any]) -> set[str]:
    """Return the names of all random operations that a session runs to fetch these tensors."""
    waiting, seen = [tensor.op for tensor in tensors], set()
    while waiting:
        operation = waiting.pop()
        if operation not in seen:
            seen.add(operation)
            waiting += [tensor.op for tensor in operation.inputs] + operation.control_inputs
    return {operation.name for operation in seen if "Random" in operation.type}


def _model_figures(design: Any, data: tuple[Array, ...]) -> Mapping[str, float]:
    from cnncourse.builders.estimator import Estimator, EstimatorSpec, ModeKeys, numpy_input_fn

    if not callable(design):
        raise Complaint(f"is {design!r}; give the function, model_fn(features, labels, mode)")
    images, labels, test_images, test_labels = data
    random: set[str] = set()

    def watched(features: Any, labels: Any, mode: str) -> EstimatorSpec:
        call = "model_fn(features, labels, mode)"
        try:
            spec = called(design, features, labels, mode, call=call)
        except (TypeError, ValueError) as error:
            if mode != ModeKeys.PREDICT or "None" not in str(error):
                raise
            raise Complaint(
                f"{error} (mode {mode!r}: there are no labels; return before the loss)"
            ).with_traceback(error.__traceback__) from None
        if mode != ModeKeys.TRAIN and isinstance(spec, EstimatorSpec):
            wanted = (spec.predictions or {}).values() if spec.loss is None else [spec.loss]
            random.update(_random_behind(wanted))
        return spec

    with _session_errors():
        estimator = Estimator(watched, seed=0, save_checkpoints_steps=TRAINING_STEPS)
        batches = numpy_input_fn(
            images, labels, batch_size=32, num_epochs=None, shuffle=True, seed=0
        )
        estimator.train(batches, steps=TRAINING_STEPS)
        tests = numpy_input_fn(test_images, test_labels, batch_size=300, shuffle=False)
        loss = estimator.evaluate(tests)["loss"]
        answers = list(estimator.predict(tests))
    if not {"classes", "sure"} <= set(answers[0]):
        raise Complaint(f"predictions are {sorted(answers[0])}; 'classes' and 'sure' are wanted")
    sure = np.array([answer["sure"] for answer in answers])
    if sure.shape != test_labels.shape or sure.dtype != bool:
        raise Complaint(f"'sure' is {sure.dtype} {sure.shape}; give True or False for each image")
    right = np.array([answer["classes"] for answer in answers]) == test_labels
    return {
        "random operations outside of training": len(random),
        "loss of all, evaluated": loss,
        "right of all": float(right.mean()),
        "share answered": float(sure.mean()),
        "right of the answered": float(right[sure].mean()) if sure.any() else 0.0,
    }


def _unless_weak(hint: str) -> Callable[[Mapping[str, Any]], str]:
    """Return a hint at the limit that is silent about it while the network is weak."""

    def say(figures: Mapping[str, Any]) -> str:
        right = figures["right of all"]
        if right >= 0.9:
            return hint
        return f"First the network: {right:.2f} of all are right. Leave the limit as it is."

    return say


_MODEL_HINTS: Mapping[str, Any] = {
    "random operations outside of training": "Something random, such as dropout, runs when it "
    "evaluates or predicts: draw it for ModeKeys.TRAIN only.",
    "share answered": _unless_weak(
        "Too many are left open. A lower limit answers more; a better network is surer of what it "
        "knows."
    ),
    "right of the answered": _unless_weak(
        "Too many of the sure answers are wrong. A higher limit leaves more open; if both goals "
        "cannot be met, the network needs to learn more in its 150 steps."
    ),
}


def model_fn(design: Any, *, half: int = 0) -> None:
    """Check task 5's model function; ``half`` 1 exchanges the halves of the digits."""
    goals = {
        "random operations outside of training": ("at most", 0),
        "share answered": ("at least", (0.82, 0.75)[half]),
        "right of the answered": ("at least", (0.98, 0.97)[half]),
    }
    target = Target("model_fn", _model_figures, goals, _MODEL_HINTS, seconds=90)
    target(design, data=small_digits(half))
