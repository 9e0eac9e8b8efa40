"""Downloading one file of known SHA-256, safely where many processes share one home directory."""

import os
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

from cnncourse.data.files import lies_there, locked

# Without a network the whole load has 5 s, most of it spent here.
PROBE_SECONDS = 3.0
# A download that delivers nothing for so long has failed.
STALL_SECONDS = 10.0
# Who has waited so long for another process' failed download does not start one of his own:
# thirty processes in a row would wait for a stalled server one after the other.
PATIENCE_SECONDS = 20.0

# Hosts that this process could not reach, with the reason, so that it waits for each only once.
_unreachable: dict[str, str] = {}


class Unavailable(Exception):
    """The file could not be had; the text says why, to stand behind "because"."""


class NotAsPublished(Unavailable):
    """What came has another SHA-256."""


def download(url: str, sha256: str, folders: list[Path], *, ask_again: bool = False) -> Path:
    """Download ``url`` into the first of ``folders`` that can be written; return the file's path.

    Raises ``Unavailable`` with the reason. A host that could not be reached is not asked again by
    this process, unless ``ask_again``. The file appears under its name only once it is complete and
    has this SHA-256; a file that is there already is never touched.
    """
    host = urlsplit(url).netloc
    if ask_again:
        _unreachable.pop(host, None)
    if host not in _unreachable and (reason := _probe(url, host)):
        _unreachable[host] = reason
    if host in _unreachable:
        raise Unavailable(_unreachable[host])

    target = _writable(folders) / urlsplit(url).path.rpartition("/")[2]
    started = time.monotonic()
    with locked(target.with_name(f".{target.name}.lock")):
        if lies_there(target):  # another process was faster
            return target
        if time.monotonic() - started > PATIENCE_SECONDS:
            raise Unavailable(f"another process tried to download {target.name} and failed")
        _download(url, host, sha256, target)
    return target


def _probe(url: str, host: str) -> str | None:
    """Return why ``url`` cannot be reached, or None if it can.

    A time limit on a request does not cover the look-up of the name, which can hang for a minute:
    so it is a thread that asks, and nobody waits for it longer than the limit.
    """
    import requests

    answer: list[str | None] = []

    def ask() -> None:
        try:
            status = requests.head(url, allow_redirects=True, timeout=PROBE_SECONDS).status_code
        except (requests.RequestException, OSError, ValueError) as error:
            answer.append(f"{host} cannot be reached ({type(error).__name__})")
        else:
            # Some proxies do not know HEAD (405, 501); the download itself will tell.
            refused = status >= 400 and status not in (405, 501)
            answer.append(f"{host} answered with status {status}" if refused else None)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(PROBE_SECONDS)
    return answer[0] if answer else f"{host} did not answer within {PROBE_SECONDS:g} s"


def _writable(folders: list[Path]) -> Path:
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK | os.X_OK):
            return folder
    raise Unavailable(f"{' and '.join(map(str, folders))} cannot be written")


def _download(url: str, host: str, sha256: str, target: Path) -> None:
    """Download under a temporary name and rename. The lock must be held."""
    import pooch
    import requests

    # Always the same name: what a killed process left behind is overwritten, it does not pile up.
    partial = target.with_name(f".{target.name}.partial")
    try:
        fetch = pooch.HTTPDownloader(
            progressbar=True, chunk_size=1 << 16, timeout=(PROBE_SECONDS, STALL_SECONDS)
        )
        fetch(url, str(partial), None)
        if (found := pooch.file_hash(str(partial))) != sha256:
            raise NotAsPublished(
                f"what {host} sent is not the published {target.name} (SHA-256 {found}, published "
                f"{sha256}); a login page or a filter in between can do that"
            )
        os.replace(partial, target)
    except (requests.RequestException, OSError) as error:  # the first is an OSError today
        raise Unavailable(
            f"the download of {target.name} from {host} failed ({type(error).__name__})"
        ) from error
    finally:
        partial.unlink(missing_ok=True)
