"""The command ``cnncourse``: check this machine, open the lessons, see to the data sets.

To add a command: write a function that takes the parsed arguments and returns an exit status, and
a function that describes it to the parser, and name the latter in ``COMMANDS``. Whatever is slow
to import is imported inside the function, so that ``cnncourse --help`` answers at once.

Exit status: 0 done, 1 it did not work, 2 it was asked in a way that makes no sense.
"""

import argparse
import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn, TypeAlias

import cnncourse

LESSONS = "lessons"


class Parser(argparse.ArgumentParser):
    """Says in one line what is wrong with a command line, and where to look."""

    def error(self, message: str) -> NoReturn:
        """Print the line and leave with exit status 2."""
        self.exit(2, f"{self.prog}: {message} -> {self.prog} --help\n")


Commands: TypeAlias = "argparse._SubParsersAction[Parser]"


# ---------------------------------------------------------------------------------------------
# cnncourse doctor


def describe_doctor(commands: Commands) -> None:
    """Add ``doctor`` to the parser."""
    parser = commands.add_parser(
        "doctor",
        help="check this machine, and say what to do where something is missing",
        description="Check this machine. Quote what it prints in a bug report.",
    )
    parser.set_defaults(run=run_doctor)


def run_doctor(arguments: argparse.Namespace) -> int:
    """Print what was found; 1 when something must be put right."""
    from cnncourse import doctor

    if sys.stderr.isatty():
        print("Looking at this machine, a few seconds ...", file=sys.stderr)
    findings = doctor.examine()
    print(doctor.report(findings))
    return doctor.exit_status(findings)


# ---------------------------------------------------------------------------------------------
# cnncourse lab


def describe_lab(commands: Commands) -> None:
    """Add ``lab`` to the parser."""
    parser = commands.add_parser(
        "lab",
        help="open the lessons in JupyterLab",
        description="Open the lessons in JupyterLab. What follows -- goes to JupyterLab as it is, "
        "for instance: cnncourse lab -- --port 9000",
    )
    parser.add_argument(
        "--no-browser", action="store_true", help="print the address and open no browser"
    )
    parser.set_defaults(run=run_lab)


def run_lab(arguments: argparse.Namespace) -> int:
    """Start JupyterLab on the lessons; on Linux and macOS this process becomes JupyterLab."""
    root = find_course([Path.cwd(), Path(cnncourse.__file__).resolve().parents[1]])
    if importlib.util.find_spec("jupyterlab") is None:
        raise ValueError("JupyterLab is not installed -> python -m pip install jupyterlab")
    reason = why_no_browser(os.environ, sys.platform, in_container())
    asked = arguments.no_browser or "--no-browser" in arguments.extra
    browser = not (asked or reason)
    command = lab_command(root, as_root=is_root(), browser=browser, extra=arguments.extra)
    print(lab_notice(root, browser=browser, reason=reason), flush=True)
    return become(command)


def find_course(starts: Iterable[Path]) -> Path:
    """The folder that holds ``lessons/``: at or above a start, the first that has notebooks.

    Raises FileNotFoundError, saying how to get the lessons, where no start leads to them.
    """
    for start in starts:
        for folder in (start, *start.parents):
            if any((folder / LESSONS).glob("[0-9][0-9]_*.ipynb")):
                return folder
    raise FileNotFoundError(
        f"no folder {LESSONS}/ with notebooks here -> change to the course's folder; "
        "if you have none: git clone the course's repository, then cd into it"
    )


def lab_command(
    root: Path, *, as_root: bool, browser: bool, extra: Sequence[str] = ()
) -> list[str]:
    """The command that starts JupyterLab, in this environment, with the lessons on the left.

    Jupyter serves the whole course, so that links from a lesson to its exercise work.
    """
    command = [sys.executable, "-m", "jupyterlab"]
    command += [f"--ServerApp.root_dir={root}", f"--LabApp.default_url=/lab/tree/{LESSONS}"]
    if as_root and "--allow-root" not in extra:
        command.append("--allow-root")  # Jupyter refuses without, and in a container root is usual
    if not browser and "--no-browser" not in extra:
        command.append("--no-browser")
    return [*command, *extra]


def why_no_browser(environ: Mapping[str, str], system: str, container: bool) -> str:
    """Why a browser opened here would be seen by nobody; empty when it would be seen."""
    if environ.get("SSH_CONNECTION") or environ.get("SSH_TTY"):
        return "this is an SSH session"
    if container:
        return "this is a container"
    displays = environ.get("DISPLAY"), environ.get("WAYLAND_DISPLAY")
    if system.startswith("linux") and not any(displays):
        return "there is no display"
    return ""


def lab_notice(root: Path, *, browser: bool, reason: str) -> str:
    """The line that says, before JupyterLab's own, what will happen and what to open."""
    if browser:
        return f"Opening {root / LESSONS} in your browser. Ctrl-C twice here stops it."
    because = f" ({reason})" if reason else ""
    reach = {
        "this is an SSH session": ", after ssh -L 8888:localhost:8888 (its port) on your machine",
        "this is a container": "; from outside, publish its port and add -- --ip=0.0.0.0",
    }.get(reason, "")
    return (
        f"No browser is opened{because}. Open the address with 127.0.0.1 below{reach}. "
        "Ctrl-C twice here stops it."
    )


def is_root() -> bool:
    """Whether this is Linux' or macOS' superuser."""
    return hasattr(os, "geteuid") and os.geteuid() == 0


def in_container() -> bool:
    """Whether this runs in a container, as Docker, Podman, systemd and Kubernetes mark it."""
    marks = (Path("/.dockerenv"), Path("/run/.containerenv"))
    named = ("container", "KUBERNETES_SERVICE_HOST")
    return any(mark.exists() for mark in marks) or any(os.environ.get(name) for name in named)


def become(command: Sequence[str]) -> int:
    """Run a command in place of this process, so that Ctrl-C and the exit status are its own."""
    if os.name == "nt":  # Windows cannot replace a process: wait, and leave Ctrl-C to the child
        with subprocess.Popen(command) as child:
            while True:
                try:
                    return child.wait()
                except KeyboardInterrupt:
                    continue
    os.execv(command[0], list(command))


# ---------------------------------------------------------------------------------------------
# cnncourse data


def describe_data(commands: Commands) -> None:
    """Add ``data`` to the parser."""
    parser = commands.add_parser(
        "data",
        help="list the data sets on this machine, fetch or make them",
        description="List the data sets on this machine, after fetching or making what is asked.",
    )
    parser.add_argument("--download", action="store_true", help="fetch the official files now")
    parser.add_argument(
        "--make-offline", action="store_true", help="make the offline stand-in now (about 20 s)"
    )
    parser.set_defaults(run=run_data)


def run_data(arguments: argparse.Namespace) -> int:
    """Fetch or make what is asked, then list what there is."""
    from cnncourse import data
    from cnncourse.doctor import hide_home

    asked = ["official"] * arguments.download + ["offline"] * arguments.make_offline
    for name in data.collections():
        for source in asked:
            getattr(data, f"load_{name}")(source=source)
    found = {name: data.where(name) for name in data.collections()}
    for line in data_lines(found):
        print(hide_home(line))
    # What was made but could not be kept is not what was asked for.
    return int(any(places[source] is None for places in found.values() for source in asked))


def data_lines(found: Mapping[str, Mapping[str, Path | None]]) -> list[str]:
    """One line for each data set and source: where it is, or how to get it."""
    get = {"official": "cnncourse data --download", "offline": "made when first needed"}
    return [
        f"{name:<8} {source:<8}  {place if place else f'not here yet -> {get[source]}'}"
        for name, places in found.items()
        for source, place in places.items()
    ]


# ---------------------------------------------------------------------------------------------
# The command line

COMMANDS: tuple[Callable[[Commands], None], ...] = (
    describe_doctor,
    describe_lab,
    describe_data,
)


def build_parser() -> argparse.ArgumentParser:
    """The parser with every command."""
    parser = Parser(prog="cnncourse", description="A course on convolutional networks that runs.")
    parser.add_argument("--version", action="version", version=f"cnncourse {cnncourse.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", parser_class=Parser)
    for describe in COMMANDS:
        describe(commands)
    return parser


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Parse a command line; what follows ``--`` is kept apart, as ``extra``."""
    argv = list(argv)
    cut = argv.index("--") if "--" in argv else len(argv)
    own, extra = argv[:cut], argv[cut + 1 :]
    parser = build_parser()
    arguments = parser.parse_args(own, argparse.Namespace(run=None))
    if arguments.run is None:
        parser.error("which command?")
    if extra and arguments.run is not run_lab:
        parser.error("only lab passes arguments on after --")
    arguments.extra = extra
    return arguments


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status."""
    for stream in (sys.stdout, sys.stderr):  # a path may hold letters that a console cannot show
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    arguments = parse(sys.argv[1:] if argv is None else argv)
    try:
        return arguments.run(arguments)
    except (ValueError, OSError) as error:  # raised on purpose, with a message for a person
        message = " ".join(str(error).split()) or type(error).__name__
        print(f"cnncourse: {message}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
