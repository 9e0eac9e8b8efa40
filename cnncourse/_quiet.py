"""Keep TensorFlow's C++ log lines off a lesson's page.

TensorFlow writes a few lines straight to file descriptor 2 while it is imported, whatever
``TF_CPP_MIN_LOG_LEVEL`` says, and more at the first operation unless that variable is 3. So the
variable is set, and the import itself runs with descriptor 2 turned away. A failing import shows
everything that was held back.
"""

import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

STDERR = 2


@contextmanager
def stderr_held_back() -> Iterator[None]:
    """Keep what is written to file descriptor 2; show it only if the block raises."""
    try:
        saved = os.dup(STDERR)
    except OSError:  # no stderr at all, as under pythonw: nothing to keep quiet
        yield
        return
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), STDERR)
        failed = True
        try:
            yield
            failed = False
        finally:
            os.dup2(saved, STDERR)
            os.close(saved)
            if failed:
                held.seek(0)
                os.write(STDERR, held.read())


class _QuietTensorFlowFinder(MetaPathFinder):
    """Answers the first ``import tensorflow`` with the ordinary module, loaded quietly."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != "tensorflow":
            return None
        sys.meta_path.remove(self)
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.loader is None:
            return None
        load = spec.loader.exec_module

        def load_quietly(module: ModuleType) -> None:
            with stderr_held_back():
                load(module)

        spec.loader.exec_module = load_quietly  # type: ignore[method-assign]
        return spec


def quieten_tensorflow() -> None:
    """Make the next ``import tensorflow`` and what follows it silent.

    A log level that the user has set is left alone, and then nothing is held back either. After
    TensorFlow has been imported it is too late; the function then only sets the log level.
    """
    if "TF_CPP_MIN_LOG_LEVEL" in os.environ:
        if os.environ["TF_CPP_MIN_LOG_LEVEL"] != "3":
            return
    else:
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    if "tensorflow" in sys.modules:
        return
    if not any(isinstance(finder, _QuietTensorFlowFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _QuietTensorFlowFinder())
