"""Pytest's set-up for the whole repository."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

SANITIZERS = Path(__file__).resolve().parent / "tests" / "nbval_sanitize.cfg"


def pytest_configure(config: pytest.Config) -> None:
    """Give what tests start a folder to litter, and nbval the course's sanitising patterns.

    TensorFlow writes temporary files that it deletes at its end, which nbval's kernels never see:
    nbval kills them. So the processes' temporary folder goes with the test run.
    """
    litter = TemporaryDirectory(prefix="cnncourse-", ignore_cleanup_errors=True)
    config.add_cleanup(litter.cleanup)
    os.environ["TMPDIR"] = litter.name  # pytest has its own by now

    option = config.option
    validating = getattr(option, "nbval", False) or getattr(option, "nbval_lax", False)
    if not validating or option.nbval_sanitize_with or option.sanitize_with:
        return
    option.nbval_sanitize_with = str(SANITIZERS)
