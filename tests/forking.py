"""An interpreter that has imported TensorFlow, run no operation, and forks for each order.

A test module that is also the program: it reads an order a line (JSON) and answers with one.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def interpreter(program: str) -> Iterator[Callable[..., Any]]:
    """Start ``program``, a test module's file; gives the function that sends it an order."""
    # cnncourse comes first, as it keeps TensorFlow's start-up lines off the page.
    code = (
        f"import cnncourse, runpy, sys; sys.path.insert(0, {str(Path(program).parent)!r}); "
        f"runpy.run_path({program!r}, run_name='__main__')"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", code], **pipes) as process:

        def order(**what: Any) -> Any:
            process.stdin.write(json.dumps(what) + "\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())

        try:
            yield order
        finally:
            process.kill()
