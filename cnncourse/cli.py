"""The command ``cnncourse``: check this machine, open the lessons, see to the data sets.

To add a command: write a function that takes the parsed arguments and returns an exit status, and
add it in ``build_parser``. Whatever is slow to import is imported inside the function, so that
``cnncourse --help`` answers at once.

Exit status: 0 done, 1 it did not work, 2 it was asked in a way that makes no sense.
"""

import argparse
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import cnncourse

LESSONS = "lessons"


# cnncourse doctor


def run_doctor(arguments: argparse.Namespace) -> int:
    """Print what was found; 1 when something must be put right."""
    from cnncourse import doctor

    if sys.stderr.isatty():
        print("Looking at this machine, a few seconds ...", file=sys.stderr)
    findings = doctor.examine()
    print(doctor.report(findings))
    return doctor.exit_status(findings)


# cnncourse lab


def run_lab(arguments: argparse.Namespace) -> int:
    """Start JupyterLab on the lessons; on Linux and macOS this process becomes JupyterLab."""
    root = find_course([Path.cwd(), Path(cnncourse.__file__).resolve().parents[1]])
    if importlib.util.find_spec("jupyterlab") is None:
        raise ValueError("JupyterLab is not installed -> python -m pip install jupyterlab")
    reason = why_no_browser(os.environ, sys.platform, in_container())
    asked = arguments.no_browser or "--no-browser" in arguments.extra
    browser = not (asked or reason)
    as_root = hasattr(os, "geteuid") and os.geteuid() == 0
    command = lab_command(root, as_root=as_root, browser=browser, extra=arguments.extra)
    print(lab_notice(root, browser=browser, reason=reason), flush=True)
    return become(command, without_news(os.environ))


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


def without_news(environ: Mapping[str, str]) -> dict[str, str]:
    """An environment in which JupyterLab does not ask whether to show Jupyter's news.

    JupyterLab has no option for that. It reads settings from every folder that is named in
    JUPYTER_CONFIG_PATH, so one of the course's own leaves the reader's settings as they are.
    """
    import platformdirs

    folder = Path(platformdirs.user_cache_dir("cnncourse"), "jupyter")
    file = folder / "labconfig" / "page_config.json"
    setting = {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(setting), encoding="utf-8")
    except OSError:  # then it asks
        return dict(environ)
    paths = filter(None, [str(folder), environ.get("JUPYTER_CONFIG_PATH")])
    return {**environ, "JUPYTER_CONFIG_PATH": os.pathsep.join(paths)}


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


def in_container() -> bool:
    """Whether this runs in a container, as Docker, Podman, systemd and Kubernetes mark it."""
    marks = (Path("/.dockerenv"), Path("/run/.containerenv"))
    named = ("container", "KUBERNETES_SERVICE_HOST")
    return any(mark.exists() for mark in marks) or any(os.environ.get(name) for name in named)


def become(command: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run a command in place of this process, so that Ctrl-C and the exit status are its own."""
    if os.name != "nt":
        os.execve(command[0], list(command), dict(environ))
    with subprocess.Popen(command, env=environ) as child:  # Windows cannot replace a process
        while True:
            try:
                return child.wait()
            except KeyboardInterrupt:  # the child has heard it too
                continue


# cnncourse data


def run_data(arguments: argparse.Namespace) -> int:
    """Fetch or make what is asked, then list what there is: of the named data sets, or of all."""
    from cnncourse import data
    from cnncourse.doctor import hide_home

    asked = ["official"] * arguments.download + ["offline"] * arguments.make_offline
    missing = {"official": "cnncourse data --download", "offline": "made when first needed"}
    kept = True
    names = arguments.names or list(data.collections())
    for name in names:
        data.where(name)  # raises before anything is fetched where there is no such data set
    for name in names:
        for source in asked:
            getattr(data, f"load_{name}")(source=source)
        found = data.where(name)
        for source, place in found.items():
            shown = hide_home(str(place)) if place else f"not here yet -> {missing[source]}"
            print(f"{name:<8} {source:<8}  {shown}")
        kept = kept and all(found[source] for source in asked)
    return 0 if kept else 1  # what was made but could not be kept is not what was asked for


# cnncourse reproduce


def run_reproduce(arguments: argparse.Namespace) -> int:
    """Run published networks again by their recipes, and say where the tables are."""
    from cnncourse.networks import NETWORKS

    for name in arguments.names:
        NETWORKS[name]  # raises where there is no such network, before TensorFlow is loaded
    if arguments.seeds < 1:
        raise ValueError(f"seeds is {arguments.seeds}; give the number of runs, at least 1")
    if arguments.seed < 0:
        raise ValueError(f"seed is {arguments.seed}; give a whole number from 0 on")
    from cnncourse.reproduce import reproduce, tables

    found = reproduce(
        arguments.names,
        source=arguments.source,
        quick=arguments.quick,
        out=arguments.out,
        seeds=range(arguments.seed, arguments.seed + arguments.seeds),
        again=arguments.again,
    )
    print(tables.summary(found))
    name = "quick" if arguments.quick else "reproduce"
    print(f"{Path(arguments.out) / name}.csv, .md and {name}_curves.csv hold more")
    return 0


# cnncourse train


def run_train(arguments: argparse.Namespace) -> int:
    """Train a network by its recipe, in this process alone or together with others."""
    from cnncourse.networks import NETWORKS

    network = NETWORKS[arguments.network]  # raises before TensorFlow is loaded
    recipe = network.recipe
    if arguments.steps is not None and arguments.epochs is not None:
        raise ValueError("steps and epochs are both given; give one of them")
    from cnncourse import data, training
    from cnncourse.builders import build, in_keras
    from cnncourse.training import resuming, rollcall, workers

    tf_config = os.environ.get("TF_CONFIG")
    cluster = rollcall.cluster_of(arguments.workers, arguments.index, tf_config)
    images = getattr(data, f"load_{network.dataset}")(source=arguments.source)
    images = images.subset(recipe.train_images, len(images.x_test)).scaled()
    length = {"steps": arguments.steps, "epochs": arguments.epochs}
    if arguments.steps is None and arguments.epochs is None:
        length = {"steps": recipe.steps, "epochs": recipe.epochs}
    asked = {
        **{"network": network.name, "build": arguments.build, "seed": arguments.seed, **length},
        **{"data": resuming.digest_of(images), "cnncourse": cnncourse.__version__},
    }
    with workers.joined(cluster, asked, arguments.wait) as team:
        model = build(network, arguments.build, seed=arguments.seed)
        try:
            history = training.train(
                model,
                images,
                optimizer=in_keras.optimizer_of(recipe),
                batch_size=recipe.batch_size,
                **length,
                seed=arguments.seed,
                loss_reduction=recipe.loss_reduction,
                checkpoints=arguments.checkpoints,
                checkpoint_steps=arguments.checkpoint_steps,
                team=team,
            )
        except training.TrainingDiverged as error:
            raise ValueError(str(error)) from None
        if team.index == 0:
            processes = f"{team.size} processes" if team.size > 1 else "one process"
            steps, accuracy = list(history.accuracies.items())[-1]
            print(
                f"{network.name}, {images.source} data, {processes}: {steps:,} steps, "
                f"test accuracy ≈ {accuracy:.4f}, {history.seconds:.1f} s of training"
            )
    return 0


# cnncourse grade


def run_grade(arguments: argparse.Namespace) -> int:
    """Grade hand-ins; 1 when one of them could not be graded and has to be looked at."""
    from cnncourse import classroom

    done = classroom.grade(
        arguments.assignment,
        arguments.submissions,
        arguments.out,
        jobs=arguments.jobs,
        timeout=arguments.timeout,
        scheduler=arguments.scheduler,
    )
    print(", ".join(f"{number} {status}" for status, number in done.statuses.items()))
    print(f"{done.table} and feedback/ beside it hold more")
    if not done.boxed:
        print(
            "This system gave the hand-ins no box of their own: they could read what you can read, "
            "and use the network -> grade on Linux with user namespaces, or in a container",
            file=sys.stderr,
        )
    return 1 if "failed" in done.statuses else 0


# The command line


class Parser(argparse.ArgumentParser):
    """Says in one line what is wrong with a command line, and where to look."""

    def error(self, message: str) -> NoReturn:
        """Print the line and leave with exit status 2."""
        self.exit(2, f"{self.prog}: {message} -> {self.prog} --help\n")


def build_parser() -> Parser:
    """The parser with every command."""
    parser = Parser(prog="cnncourse", description="A course on convolutional networks that runs.")
    parser.add_argument("--version", action="version", version=f"cnncourse {cnncourse.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")

    help_ = "check this machine, and say what to do where something is missing"
    doctor = commands.add_parser("doctor", help=help_, epilog="Quote its lines in a bug report.")
    doctor.set_defaults(run=run_doctor)

    rest = "What follows -- goes to JupyterLab as it is: cnncourse lab -- --port 9000"
    lab = commands.add_parser("lab", help="open the lessons in JupyterLab", epilog=rest)
    lab.add_argument("--no-browser", action="store_true", help="print the address only")
    lab.set_defaults(run=run_lab)

    data = commands.add_parser("data", help="list the data sets here; fetch or make them")
    data.add_argument("names", nargs="*", metavar="NAME", help="mnist or cifar10; both where none")
    data.add_argument("--download", action="store_true", help="fetch the official files now")
    data.add_argument("--make-offline", action="store_true", help="make the offline stand-in now")
    data.set_defaults(run=run_data)

    help_ = "run the published networks again, by their recipes, and compare"
    kept = "Ctrl-C loses nothing: the same command goes on. A finished run is not done again."
    again = commands.add_parser("reproduce", help=help_, epilog=kept)
    again.add_argument("names", nargs="*", metavar="NAME", help="networks; all where none")
    again.add_argument("--source", choices=("auto", "official", "offline"), default="auto")
    again.add_argument("--quick", action="store_true", help="a minute for all: a check, no figures")
    again.add_argument("--out", metavar="DIRECTORY", default="reproduce", help="default: reproduce")
    again.add_argument("--seed", type=int, default=0, metavar="N", help="of the first run")
    again.add_argument("--seeds", type=int, default=1, metavar="N", help="runs of each network")
    again.add_argument("--again", action="store_true", help="do finished runs again")
    again.set_defaults(run=run_reproduce)

    help_ = "train a network, in one process or in many at once"
    many = (
        "In many: run the same command once for each worker, each with its own --index. Worker 0 "
        "prints, evaluates and keeps the checkpoints. TF_CONFIG says the same as --workers and "
        "--index. Whoever reaches the ports can join: use a network that you trust."
    )
    train = commands.add_parser("train", help=help_, epilog=many)
    train.add_argument("network", metavar="NETWORK", help="such as mnist-keras")
    train.add_argument("--build", choices=("keras", "eager"), default="keras")
    train.add_argument("--steps", type=int, metavar="N", help="default: as in the recipe")
    train.add_argument("--epochs", type=int, metavar="N", help="default: as in the recipe")
    train.add_argument("--source", choices=("auto", "official", "offline"), default="auto")
    train.add_argument("--seed", type=int, default=0, metavar="N")
    train.add_argument("--checkpoints", metavar="DIRECTORY", help="of this run; go on from there")
    train.add_argument(
        "--checkpoint-steps", type=int, default=100, metavar="N", help="default: 100"
    )
    train.add_argument("--workers", metavar="HOST:PORT,HOST:PORT", help="all, the same for all")
    train.add_argument(
        "--index", type=int, metavar="I", help="which of the workers this is, from 0"
    )
    help_ = "how long to wait for the other workers at the start; default: 120"
    train.add_argument("--wait", type=float, default=120, metavar="SECONDS", help=help_)
    train.set_defaults(run=run_train)

    help_ = "grade hand-ins, each shut off from the others"
    on = "Ctrl-C loses nothing: the same command goes on. SUBMISSIONS is only read."
    grade = commands.add_parser("grade", help=help_, epilog=on)
    grade.add_argument("assignment", metavar="ASSIGNMENT", help="ps01_convolution, or its folder")
    grade.add_argument("submissions", metavar="SUBMISSIONS", help="a folder, or a zip from Moodle")
    grade.add_argument("--out", metavar="DIRECTORY", required=True, help="for grades and feedback")
    grade.add_argument("--jobs", type=int, metavar="N", help="at a time; default: one a processor")
    grade.add_argument(
        "--timeout", type=float, default=60.0, metavar="S", help="seconds for a cell; default: 60"
    )
    grade.add_argument(
        "--scheduler", metavar="ADDRESS", help="of a Dask cluster that does the work"
    )
    grade.set_defaults(run=run_grade)
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
        print(f"cnncourse: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
