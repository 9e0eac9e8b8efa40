"""The Estimator's shape on today's TensorFlow: one model function, three modes.

``tf.estimator`` is gone; what it stood on is not. Each call here builds a graph of its own from
``input_fn`` and ``model_fn``, takes the variables from the newest checkpoint in ``model_dir`` and
runs a monitored session. Between two calls only the checkpoint lives on. Eager mode is never
switched off. Lesson 08 builds it.
"""

import inspect
import logging
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from cnncourse.builders.in_session import forward, optimizer_of
from cnncourse.builders.params import checked_params, initial_params
from cnncourse.layers import cross_entropy
from cnncourse.networks import NETWORKS, Network

tf1 = tf.compat.v1


class ModeKeys:
    """What a model function is asked for."""

    TRAIN = "train"
    EVAL = "eval"
    PREDICT = "infer"


@dataclass(frozen=True)
class EstimatorSpec:
    """What a model function gives back: nodes of the graph that it has just built.

    ``predictions`` maps names to tensors [batch, ...] (PREDICT needs it). ``loss`` is a single
    number, the mean over the batch (TRAIN and EVAL). ``train_op`` moves the variables and raises
    the global step by 1 (TRAIN). ``eval_metric_ops`` maps names to pairs (value, update) as
    ``tf.compat.v1.metrics`` makes them. Raises ValueError when what the mode needs is missing.
    Lesson 08 builds it.
    """

    mode: str
    predictions: Mapping[str, Any] | None = None
    loss: Any = None
    train_op: Any = None
    eval_metric_ops: Mapping[str, tuple[Any, Any]] | None = None

    def __post_init__(self) -> None:
        """Say what the mode lacks."""
        needs = {"train": ("loss", "train_op"), "eval": ("loss",), "infer": ("predictions",)}
        if self.mode not in needs:
            raise ValueError(f"mode is {self.mode!r}; hand on the mode that model_fn was given")
        for name in needs[self.mode]:
            if getattr(self, name) is None:
                raise ValueError(f"{name} is None; mode {self.mode!r} needs it in EstimatorSpec")
        if self.predictions is not None and not isinstance(self.predictions, Mapping):
            raise ValueError(f"predictions is {self.predictions!r}; give a dict of tensors")
        if self.loss is not None and self.loss.shape.rank != 0:
            raise ValueError(
                f"loss has shape {self.loss.shape}; give its mean over the batch, tf.reduce_mean"
            )
        if taken := {"loss", "global_step"} & set(self.eval_metric_ops or ()):
            raise ValueError(f"eval_metric_ops has {taken}, which evaluate reports; rename it")


InputFn = Callable[[], Any]
ModelFn = Callable[..., EstimatorSpec]


class Estimator:
    """Trains, evaluates and predicts with ``model_fn(features, labels, mode[, params])``.

    ``model_dir`` keeps the checkpoints, of which the newest ``keep_checkpoint_max`` stay (None: all
    of them); without one it is a temporary directory that goes with this object. ``params`` is
    handed to a ``model_fn`` that asks for it. ``seed`` fixes each graph's random numbers. An input
    function takes no arguments and gives a ``tf.data.Dataset``, or tensors: (features, labels) or
    features alone. Every call of a method calls it anew, inside the new graph. Lesson 08 builds it.
    """

    def __init__(
        self,
        model_fn: ModelFn,
        model_dir: str | Path | None = None,
        *,
        params: Any = None,
        seed: int = 0,
        save_checkpoints_steps: int = 500,
        keep_checkpoint_max: int | None = 5,
    ) -> None:
        """Check the arguments; nothing is built or written yet."""
        arguments = inspect.signature(model_fn).parameters
        if params is not None and "params" not in arguments:
            raise ValueError("params is given, but model_fn has no argument of that name; add it")
        _check_count("save_checkpoints_steps", save_checkpoints_steps)
        _check_count("keep_checkpoint_max", keep_checkpoint_max)
        if model_dir is None:
            self._temporary = tempfile.TemporaryDirectory()
            model_dir = self._temporary.name
        self.model_dir = Path(model_dir).absolute()
        if self.model_dir.exists() and not self.model_dir.is_dir():
            raise ValueError(f"model_dir is {str(model_dir)!r}, a file; give a directory")
        self._model_fn = model_fn
        self._arguments = {"params": params} if "params" in arguments else {}
        self._seed = seed
        self._save_steps = save_checkpoints_steps
        self._keep = keep_checkpoint_max

    def train(
        self,
        input_fn: InputFn,
        *,
        steps: int | None = None,
        max_steps: int | None = None,
        hooks: Sequence[Any] = (),
    ) -> "Estimator":
        """Train ``steps`` more, or up to global step ``max_steps``, or to the input's end.

        Saves a checkpoint before the first step, every ``save_checkpoints_steps`` and after the
        last. Goes on from the newest one: variables, the optimizer's own numbers and the global
        step resume. The input begins anew, and so do random numbers such as dropout's. Raises
        ArithmeticError when the loss is lost, and ValueError for a checkpoint of another model.
        """
        if steps is not None and max_steps is not None:
            raise ValueError(f"steps is {steps} and max_steps is {max_steps}; give one of them")
        _check_count("steps", steps)
        _check_count("max_steps", max_steps)
        newest = self._resume_from()
        done = _step_of(newest) if newest else 0
        if max_steps is not None and done >= max_steps:
            return self
        with tf.Graph().as_default(), _quiet_log():
            spec, _ = self._spec(input_fn, ModeKeys.TRAIN)
            if newest:
                _check_fits(newest)
            stop = [tf1.train.StopAtStepHook(steps, max_steps)] if steps or max_steps else []
            session = tf1.train.MonitoredTrainingSession(
                checkpoint_dir=str(self.model_dir),
                scaffold=tf1.train.Scaffold(saver=tf1.train.Saver(max_to_keep=self._keep)),
                hooks=[tf1.train.NanTensorHook(spec.loss), *stop, *hooks],
                save_checkpoint_steps=self._save_steps,
                save_summaries_steps=None,
                log_step_count_steps=None,
            )
            try:
                with session:
                    session.run(spec.train_op)
                    _check_moved(session, done)
                    while not session.should_stop():
                        session.run(spec.train_op)
            except tf1.train.NanLossDuringTrainingError:
                raise ArithmeticError(
                    "the loss became NaN: is the learning rate too high, are the images scaled, is "
                    "the loss taken from logits? To go on from an older checkpoint, delete the "
                    "files of the newer ones"
                ) from None
        if _step_of(self.checkpoints()[-1]) == done:
            raise ValueError("input_fn gave no batch, so nothing was trained; give at least one")
        return self

    def evaluate(
        self,
        input_fn: InputFn,
        *,
        steps: int | None = None,
        checkpoint_path: str | None = None,
        hooks: Sequence[Any] = (),
    ) -> dict[str, float]:
        """Return "loss", "global_step" and the metrics, over all batches or over ``steps``.

        The loss is the mean over images: each batch's mean counts as often as it has images, so
        that a smaller last batch changes nothing. Variables come from ``checkpoint_path``, by
        default the newest.
        """
        _check_count("steps", steps)
        path = self._checkpoint(checkpoint_path)
        with tf.Graph().as_default(), _quiet_log():
            spec, size = self._spec(input_fn, ModeKeys.EVAL)
            metrics = dict(spec.eval_metric_ops or {})
            updates = [update for _, update in metrics.values()]
            results = {name: value for name, (value, _) in metrics.items()}
            final = tf1.train.FinalOpsHook(results | {"global_step": tf1.train.get_global_step()})
            total, images, batches = 0.0, 0, 0
            with _restored_session(path, [final, *hooks]) as session:
                while batches != steps and not session.should_stop():
                    loss, batch, _ = session.run([spec.loss, size, updates])
                    total, images, batches = total + loss * batch, images + batch, batches + 1
        if images == 0:
            raise ValueError("input_fn gave no images; give at least one")
        values = final.final_ops_values
        result = {"loss": float(total / images), "global_step": int(values.pop("global_step"))}
        return result | {name: float(value) for name, value in values.items()}

    def predict(
        self,
        input_fn: InputFn,
        *,
        checkpoint_path: str | None = None,
        predict_keys: Sequence[str] | None = None,
    ) -> Iterator[dict[str, np.ndarray]]:
        """Yield one dict of arrays for each image, with ``predict_keys`` or all predictions.

        Labels that ``input_fn`` gives are left out. The session closes with the generator.
        """
        path = self._checkpoint(checkpoint_path)
        # The graph is nobody's default between two images: the caller's code runs there.
        graph = tf.Graph()
        with graph.as_default(), _quiet_log():
            spec, size = self._spec(input_fn, ModeKeys.PREDICT)
            predictions = dict(spec.predictions or {})
            if unknown := set(predict_keys or ()) - set(predictions):
                raise ValueError(f"predict_keys has {unknown}; model_fn gives {list(predictions)}")
            fetches = {name: predictions[name] for name in predict_keys or predictions}
            session = _restored_session(path, [])
        try:
            while True:
                try:
                    arrays, images = session.run((fetches, size))
                except tf.errors.OutOfRangeError:
                    return
                for name, array in arrays.items():
                    if array.shape[:1] != (images,):
                        raise ValueError(
                            f"predictions[{name!r}] has shape {array.shape} for {images} images; "
                            "its first axis is to be the batch"
                        )
                for row in range(images):
                    yield {name: array[row] for name, array in arrays.items()}
        finally:
            with graph.as_default():
                session.close()

    def checkpoints(self) -> list[str]:
        """Paths of all checkpoints in ``model_dir``, oldest first."""
        found = (str(path.with_suffix("")) for path in self.model_dir.glob("model.ckpt-*.index"))
        return sorted(found, key=_step_of)

    def latest_checkpoint(self) -> str | None:
        """Path of the newest checkpoint, or None before training."""
        there = self.checkpoints()
        return there[-1] if there else None

    def variable_names(self) -> list[str]:
        """Names of all that the newest checkpoint holds, the optimizer's numbers included."""
        return sorted(_stored(self._checkpoint(None)))

    def variable_value(self, name: str) -> np.ndarray:
        """Return one of ``variable_names()``, as the newest checkpoint has it."""
        stored = _stored(self._checkpoint(None))
        if name not in stored:
            raise ValueError(f"name is {name!r}; the checkpoint has {sorted(stored)}")
        return stored[name]

    def params(self, checkpoint_path: str | None = None) -> dict[str, np.ndarray]:
        """Kernels and biases of a checkpoint (the newest), to hand to ``build(params=...)``."""
        stored = _stored(self._checkpoint(checkpoint_path))
        return {name: stored[name] for name in stored if re.fullmatch(r"\w+/(kernel|bias)", name)}

    def _spec(self, input_fn: InputFn, mode: str) -> tuple[EstimatorSpec, Any]:
        """Build the graph for a mode: (what the model function gave, images in the batch)."""
        tf1.set_random_seed(self._seed)
        tf1.train.create_global_step()
        features, labels = _call(input_fn)
        if mode == ModeKeys.PREDICT:
            labels = None
        elif labels is None:
            raise ValueError(f"input_fn gave no labels; mode {mode!r} needs (features, labels)")
        spec = self._model_fn(features, labels, mode, **self._arguments)
        if not isinstance(spec, EstimatorSpec) or spec.mode != mode:
            raise ValueError(f"model_fn gave {spec!r}; give EstimatorSpec(mode, ...) for {mode!r}")
        return spec, tf.shape(tf.nest.flatten(features)[0])[0]

    def _checkpoint(self, path: str | None) -> str:
        """Return the checkpoint to read, or say that there is none."""
        there = self.checkpoints()
        if not there:
            raise ValueError(f"model_dir {self.model_dir.name!r} has no checkpoint; train first")
        if path is not None and not Path(f"{path}.index").exists():
            names = ", ".join(Path(name).name for name in there)
            raise ValueError(f"checkpoint_path is {str(path)!r}; there are {names}")
        return there[-1] if path is None else str(path)

    def _resume_from(self) -> str | None:
        """Return the newest checkpoint, and let TensorFlow's list of them say what is there."""
        there = self.checkpoints()
        if there:  # files may have been deleted by hand, or the whole directory moved
            with _quiet_log():
                tf1.train.update_checkpoint_state(str(self.model_dir), there[-1], there)
        elif (self.model_dir / "checkpoint").exists():
            raise ValueError(
                f"model_dir {self.model_dir.name!r} has a file 'checkpoint', but no model.ckpt-*; "
                "something else was saved there: give another directory"
            )
        return there[-1] if there else None


def numpy_input_fn(
    x: Any,
    y: np.ndarray | None = None,
    *,
    batch_size: int = 128,
    num_epochs: int | None = 1,
    shuffle: bool,
    seed: int | None = None,
) -> InputFn:
    """Make an input function of arrays: it gives tensors (features, labels), or features alone.

    ``x`` is an array [images, ...] or a dict of such. ``num_epochs=None`` goes on without end. The
    last batch of an epoch may be smaller. With ``shuffle`` each epoch has an order of its own;
    ``seed`` fixes them all, and then every call of the input function begins with the same one.
    The arrays stay outside the graph. Lesson 08 builds it.
    """
    _check_count("batch_size", batch_size)
    _check_count("num_epochs", num_epochs)
    images = {key: np.asarray(x[key]) for key in x} if isinstance(x, Mapping) else np.asarray(x)
    parts = images if y is None else (images, np.asarray(y))
    lengths = [len(array) for array in tf.nest.flatten(parts)]
    rows = lengths[0]
    if set(lengths) != {rows} or rows == 0:
        raise ValueError(f"x and y have {lengths} rows; give one label for each image")

    def batches() -> Iterator[Any]:
        random = np.random.default_rng(seed)
        epoch = 0
        while num_epochs is None or epoch < num_epochs:
            order = random.permutation(rows) if shuffle else np.arange(rows)
            for start in range(0, rows, batch_size):
                chosen = order[start : start + batch_size]
                yield tf.nest.map_structure(lambda array, chosen=chosen: array[chosen], parts)
            epoch += 1

    def input_fn() -> Any:
        signature = tf.nest.map_structure(
            lambda array: tf.TensorSpec((None, *array.shape[1:]), array.dtype), parts
        )
        dataset = tf.data.Dataset.from_generator(batches, output_signature=signature)
        options = tf.data.Options()
        options.autotune.enabled = False  # as in `ImageDataset.to_tf`: who leaves would wait for it
        return _next_of(dataset.prefetch(2).with_options(options))

    return input_fn


def model_fn_for(
    network: Network | str, params: Mapping[str, np.ndarray] | None = None, seed: int = 0
) -> ModelFn:
    """Make a model function of a described network, with the optimizer of its recipe.

    Variables have the network's common names and start as ``build(network, api, params, seed)``
    does. Features are images [batch, height, width, channels] (whole numbers are scaled to 0 to 1),
    labels class numbers. Predictions: "classes" and "probabilities"; metric: "accuracy".
    """
    network = NETWORKS[network] if isinstance(network, str) else network
    recipe = network.recipe
    start = initial_params(network, seed) if params is None else checked_params(network, params)

    def variable(name: str) -> Any:
        # Fetched when a session starts: a constant would put the array into the graph.
        value = tf.numpy_function(lambda: start[name], [], tf.float32)
        return tf1.get_variable(name, initializer=tf.ensure_shape(value, start[name].shape))

    def model_fn(features: Any, labels: Any, mode: str) -> EstimatorSpec:
        images = tf.cast(features, tf.float32)
        images = images / 255 if features.dtype.is_integer else images
        variables = {name: variable(name) for name in start}
        logits = forward(network, variables, images, training=mode == ModeKeys.TRAIN)
        predictions = {"classes": tf.argmax(logits, axis=1), "probabilities": tf.nn.softmax(logits)}
        if mode == ModeKeys.PREDICT:
            return EstimatorSpec(mode, predictions)
        losses = cross_entropy(logits, labels)
        loss = tf.reduce_mean(losses)
        if mode == ModeKeys.EVAL:
            metrics = {"accuracy": tf1.metrics.accuracy(labels, predictions["classes"])}
            return EstimatorSpec(mode, predictions, loss, eval_metric_ops=metrics)
        objective = loss if recipe.loss_reduction == "mean" else tf.reduce_sum(losses)
        train_op = optimizer_of(recipe).minimize(objective, tf1.train.get_global_step())
        return EstimatorSpec(mode, predictions, loss, train_op)

    return model_fn


def _call(input_fn: InputFn) -> tuple[Any, Any]:
    """(features, labels) as tensors of the current graph; labels are None where there are none."""
    if not callable(input_fn):
        raise ValueError(f"input_fn is {input_fn!r}; give a function that makes the data")
    given = input_fn()
    given = _next_of(given) if isinstance(given, tf.data.Dataset) else given
    graph = tf1.get_default_graph()
    for leaf in tf.nest.flatten(given):
        if getattr(leaf, "graph", None) is not graph:
            raise ValueError(
                f"input_fn gave {type(leaf).__name__}; for arrays: numpy_input_fn(x, y, ...)"
            )
    return given if isinstance(given, tuple) and len(given) == 2 else (given, None)


def _next_of(dataset: tf.data.Dataset) -> Any:
    """Tensors that hold another batch in each run. The session's start-up starts the iterator."""
    try:
        iterator = tf1.data.make_initializable_iterator(dataset)
    except ValueError:
        raise ValueError(
            "input_fn gave a dataset that was made outside; make it inside the function"
        ) from None
    tf1.add_to_collection(tf1.GraphKeys.TABLE_INITIALIZERS, iterator.initializer)
    return iterator.get_next()


def _restored_session(path: str, hooks: Sequence[Any]) -> Any:
    _check_fits(path)
    creator = tf1.train.ChiefSessionCreator(checkpoint_filename_with_path=path)
    return tf1.train.MonitoredSession(creator, hooks)


def _step_of(path: str) -> int:
    return int(path.rpartition("-")[2])


def _stored(path: str) -> dict[str, np.ndarray]:
    """Read all arrays of a checkpoint, or say that it is damaged."""
    try:
        reader = tf.train.load_checkpoint(path)
        return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}
    except (tf.errors.OpError, ValueError, IndexError, RuntimeError) as error:
        raise ValueError(
            f"checkpoint {Path(path).name} is damaged; delete its files to go on from an older one"
        ) from error


def _check_fits(path: str) -> None:
    """Compare a checkpoint with the current graph's variables, and name what does not fit."""
    stored = {name: array.shape for name, array in _stored(path).items()}
    for variable in tf1.global_variables():
        name, shape = variable.op.name, tuple(variable.shape)
        if stored.get(name) != shape:
            has = f"of shape {stored[name]}" if name in stored else "not at all"
            raise ValueError(
                f"model_fn makes {name} of shape {shape}; checkpoint {Path(path).name} has it "
                f"{has}: the network has changed since, or model_dir is another model's; give "
                "another model_dir"
            )


def _check_moved(session: Any, before: int) -> None:
    """Stop at once where a train_op would leave the global step, and so the loop, for ever."""
    step = tf1.train.get_global_step()
    # Asked below the hooks, which are to see training steps only.
    if session.run_step_fn(lambda step_context: step_context.session.run(step)) == before:
        raise ValueError(
            "train_op does not raise the global step; write "
            "minimize(loss, global_step=tf.compat.v1.train.get_global_step())"
        )


def _check_count(name: str, value: int | None) -> None:
    if value is not None and value < 1:
        raise ValueError(f"{name} is {value}; give at least 1")


@contextmanager
def _quiet_log() -> Iterator[None]:
    """Hold back what TensorFlow logs of its own doings; what hooks and callers log passes."""
    logger, home = tf.get_logger(), Path(tf.__file__).parent

    def worth_reading(record: logging.LogRecord) -> bool:
        own = home in Path(record.pathname).parents
        return not own or record.funcName in ("_log_tensors", "_log_and_record")

    logger.addFilter(worth_reading)
    try:
        yield
    finally:
        logger.removeFilter(worth_reading)
