"""A small made-up MNIST with checksums of its own: the real code path without the real data.

Run as a program it loads that data set in a process of its own:
``python fake_mnist.py URL LOG SOURCE...``
"""

import hashlib
import io
import json
import struct
import sys
import threading
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np

from cnncourse.data import mnist
from cnncourse.data.official import Known, npz_form
from cnncourse.data.offline import StandIn

# As published in 1998, one spelling of each.
IDX_NAMES = {
    "x_train": "train-images-idx3-ubyte",
    "y_train": "train-labels-idx1-ubyte",
    "x_test": "t10k-images-idx3-ubyte",
    "y_test": "t10k-labels-idx1-ubyte",
}


def make_arrays(seed=0, n_train=200, n_test=50):
    """Noise, so that nothing compresses; uint8 in MNIST's axes."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for split, n in (("train", n_train), ("test", n_test)):
        arrays[f"x_{split}"] = rng.integers(0, 256, (n, 28, 28), dtype=np.uint8)
        arrays[f"y_{split}"] = rng.integers(0, 10, n, dtype=np.uint8)
    return arrays


ARRAYS = make_arrays()


def idx_bytes(array):
    """An IDX file, written out by hand."""
    lengths = b"".join(struct.pack(">I", length) for length in array.shape)
    return bytes([0, 0, 8, array.ndim]) + lengths + array.tobytes()


def npz_bytes(arrays=None, save=np.savez):
    file = io.BytesIO()
    save(file, **(ARRAYS if arrays is None else arrays))
    return file.getvalue()


PUBLISHED = npz_bytes()


def make_collection(url="http://127.0.0.1:9/mnist.npz", log=None, seconds=0.0, arrays=None):
    """MNIST with the made-up arrays, their checksums, a URL, and a stand-in that logs each make."""
    arrays = ARRAYS if arrays is None else arrays
    sha256 = hashlib.sha256(npz_bytes(arrays)).hexdigest()

    def make(seed):
        if log is not None:
            with open(log, "a") as file:
                file.write("made\n")
        time.sleep(seconds)
        made = {name: 255 - array for name, array in arrays.items() if name[0] == "x"}
        return made | {name: 9 - array for name, array in arrays.items() if name[0] == "y"}

    return replace(
        mnist.MNIST,
        table={
            name: Known(array.shape, hashlib.sha256(idx_bytes(array)).hexdigest())
            for name, array in arrays.items()
        },
        forms=(npz_form("mnist.npz", sha256), *mnist.MNIST.forms[1:]),
        url=url,
        sha256=sha256,
        stand_in=StandIn(make, ("cnncourse.data.dataset",), "the offline digits", 20),
    )


class Server:
    """Serves ``body`` on loopback; ``how`` says in which way. Counts requests by method."""

    def __init__(self, body=PUBLISHED, how="whole"):
        self.body, self.how = body, how
        self.count = {"HEAD": 0, "GET": 0}
        self.released = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self):
                server.count["HEAD"] += 1
                if server.how == "silent":
                    server.released.wait(60)
                    return
                self.send_response(403 if server.how == "forbidden" else 200)
                self.end_headers()

            def do_GET(self):
                server.count["GET"] += 1
                self.send_response(200)
                self.send_header("Content-Length", str(len(server.body)))
                self.end_headers()
                if server.how == "whole":
                    self.wfile.write(server.body)
                    return
                self.wfile.write(server.body[: len(server.body) // 2])
                self.wfile.flush()
                if server.how == "stall":
                    server.released.wait(60)

            def log_message(self, *args):
                pass

        class Listener(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

        self.listener = Listener(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.listener.server_port}/mnist.npz"
        threading.Thread(target=self.listener.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self.released.set()
        self.listener.shutdown()
        self.listener.server_close()


def main():
    url, log, *sources = sys.argv[1:]
    mnist.MNIST = make_collection(url, Path(log), seconds=0.3)
    for source in sources:
        data = mnist.load_mnist(source)
        digest = hashlib.sha256(data.x_train.tobytes() + data.y_test.tobytes()).hexdigest()
        print(json.dumps([data.source, digest]))


if __name__ == "__main__":
    main()
