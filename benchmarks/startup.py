"""How long it takes to begin: ``import cnncourse`` against what it keeps you from waiting for.

    python benchmarks/startup.py

Medians of several fresh processes, less the time of an empty one.
"""

import statistics
import subprocess
import sys
import time

TURNS = 7
IMPORTS = ("cnncourse", "cnncourse.networks", "cnncourse.data", "cnncourse, tensorflow")


def seconds(code: str) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - started


def main() -> None:
    empty = statistics.median(seconds("pass") for _ in range(TURNS))
    times = {
        modules: statistics.median(seconds(f"import {modules}") for _ in range(TURNS)) - empty
        for modules in IMPORTS
    }
    whole = times["cnncourse, tensorflow"]
    for modules, taken in times.items():
        print(f"import {modules:24} {1000 * taken:7.0f} ms   {taken / whole:7.1%} of the longest")


if __name__ == "__main__":
    main()
