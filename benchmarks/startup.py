"""How long it takes to begin: ``import cnncourse`` against what it keeps you from waiting for.

    python benchmarks/startup.py

Seconds in fresh processes, less the time of an empty one; the imports take turns. The peer is the
import of TensorFlow, which the course puts off until a lesson needs it.
"""

import statistics
import subprocess
import sys
import time

from measuring import Ratio, store

TURNS = 7
PEER = "tensorflow"
IMPORTS = ("cnncourse", "cnncourse.networks", "cnncourse.data")


def seconds(code: str) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - started


def main() -> None:
    codes = {name: f"import {name}" for name in IMPORTS}
    codes[PEER] = f"import cnncourse, {PEER}"  # the first keeps the second's log lines away
    seconds(codes[PEER])  # from here on everything has been read from the disk once
    taken: dict[str, list[float]] = {name: [] for name in codes}
    for _ in range(TURNS):
        empty = seconds("pass")
        for name, code in codes.items():
            taken[name].append(seconds(code) - empty)
    found = [
        Ratio("import", name, PEER, "s", taken[name], taken[PEER], less_is_better=True)
        for name in IMPORTS
    ]
    print(f"import {PEER:20}{1000 * statistics.median(taken[PEER]):7.0f} ms")
    for ratio in found:
        ours = 1000 * statistics.median(ratio.our_values)
        print(f"import {ratio.ours:20}{ours:7.0f} ms   {ratio} times as fast")
    store("startup", found)


if __name__ == "__main__":
    main()
