"""Pytest's set-up for the whole repository."""

from pathlib import Path

import pytest

SANITIZERS = Path(__file__).resolve().parent / "tests" / "nbval_sanitize.cfg"


def pytest_configure(config: pytest.Config) -> None:
    """Give nbval the course's sanitising patterns, wherever pytest is started from."""
    option = config.option
    validating = getattr(option, "nbval", False) or getattr(option, "nbval_lax", False)
    if not validating or option.nbval_sanitize_with or option.sanitize_with:
        return
    option.nbval_sanitize_with = str(SANITIZERS)
