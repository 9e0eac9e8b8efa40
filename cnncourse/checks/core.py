"""What checks are made of: run an answer safely, compare it, say what may be wrong with it.

A `Check` holds a student's function against a reference, on inputs from small to large. A `Target`
measures something that a student designed. Both are called with the answer; they print a line with
a tick, or raise `CheckFailed`, whose text shows the smallest input that fails, the answer beside
what was expected, and a hint. A hint is found by running the usual mistakes on the same input: the
one that gives the student's result is named.

An answer may raise, return anything, print, warn, change its arguments or not come to an end. What
it prints is shown when it fails, and warnings are dropped: what stands on standard error costs the
points of a test cell under nbgrader. `attempt` says what cannot be stopped.
"""

import ctypes
import io
import sys
import sysconfig
import textwrap
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from types import FunctionType
from typing import Any, NamedTuple

import numpy as np

Inputs = Mapping[str, Any]
"""A call's arguments by the names that a message gives them; they are passed by position."""

SECONDS = 10.0
TOLERANCE = 1e-5
SHOWN = 64  # the most numbers of an array that a message shows
WIDTH = 96


class CheckFailed(AssertionError):
    """The answer is not right yet; the text says for what input, and what may be the matter."""

    def _render_traceback_(self) -> list[str]:
        """Spare a notebook the way through this library: IPython asks for these lines instead.

        A page breaks long lines anywhere, these are broken between words.
        """
        lines = []
        for line in str(self).splitlines():
            if len(line) <= WIDTH:
                lines.append(line)
                continue
            indent = line[: len(line) - len(line.lstrip())] + "  "
            lines += textwrap.wrap(
                line,
                WIDTH,
                subsequent_indent=indent,
                break_long_words=False,
                break_on_hyphens=False,
            )
        return lines


class Complaint(ValueError):
    """What a check itself says while an answer runs; messages show its text as it is."""


# Running an answer


class Attempt(NamedTuple):
    """What became of a call: its result, or the trouble in words, and what it printed."""

    result: Any = None
    trouble: str | None = None
    printed: str = ""
    timed_out: bool = False


class _TimeOut(BaseException):
    """Raised inside the student's code; no ``except Exception`` catches it."""


def attempt(function: Callable[..., Any], *arguments: Any, seconds: float = SECONDS) -> Attempt:
    """Call a function that may do anything; return within ``seconds`` if it is Python code.

    Exceptions and ``sys.exit`` become ``trouble``, with the student's own line. A loop is ended by
    an exception that is raised in it, every second again (and where other programs keep the
    machine from it, only after six times as long). That cannot end a single call into
    compiled code (a huge matrix product, ``time.sleep``) before it returns, nor a loop whose bare
    ``except:`` goes on whatever happens; and nothing outlives ``os._exit``.
    """
    out = _Head()
    try:
        with (
            redirect_stdout(out),
            redirect_stderr(out),
            warnings.catch_warnings(),
            np.errstate(all="ignore"),
        ):
            warnings.simplefilter("ignore")
            result = _within(seconds, lambda: plain(function(*arguments)))
    except _TimeOut:
        trouble = f"is not done after {seconds:g} seconds; does its loop come to an end?"
        return Attempt(None, trouble, out.getvalue(), True)
    except (Exception, SystemExit) as error:
        return Attempt(None, _trouble(error), out.getvalue())
    return Attempt(result, None, out.getvalue())


def _within(seconds: float, call: Callable[[], Any]) -> Any:
    """Return what ``call`` returns; raise `_TimeOut` inside it once its time is up."""
    caller = threading.get_ident()
    over = threading.Event()
    used = time.process_time()

    def watch() -> None:
        waited, wait = 0.0, seconds
        while not over.wait(wait):
            waited, wait = waited + wait, 1
            if time.process_time() - used > seconds / 2 or waited >= 6 * seconds:
                _raise_in(caller, _TimeOut)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        return call()
    finally:
        while True:
            try:  # one may be on its way, although the call ended by itself
                over.set()
                watcher.join()
                break
            except _TimeOut:
                pass
        _raise_in(caller, None)


def _raise_in(thread: int, error: type[BaseException] | None) -> None:
    """Raise an exception in a thread, at its next line of Python; None takes it back."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread), ctypes.py_object(error) if error else None
    )


class _Head(io.StringIO):
    """Keeps the beginning of what is written and drops the rest."""

    def write(self, text: str) -> int:
        super().write(text[: max(0, 1000 - self.tell())])
        return len(text)


def _ready_made(*_: Any, **__: Any) -> Any:
    raise RuntimeError("this function is ready-made; the task is to write it yourself")


@contextmanager
def _refused(functions: Iterable[Callable[..., Any]]) -> Iterator[None]:
    """Let some functions raise for a while, under whatever names they were imported."""
    codes = {each: each.__code__ for each in functions if isinstance(each, FunctionType)}
    try:
        for each in codes:
            each.__code__ = _ready_made.__code__
        yield
    finally:
        for each, code in codes.items():
            each.__code__ = code


LIBRARIES = tuple(
    str(Path(folder).resolve())
    for folder in {*sysconfig.get_paths().values(), sys.prefix, str(Path(__file__).parents[1])}
)


def _trouble(error: BaseException) -> str:
    """Say what was raised, and in which line of the student's."""
    if isinstance(error, NotImplementedError) and (place := _unwritten(error)):
        text = "is not written yet: put your code in the place of `raise NotImplementedError`"
        return f"{text} in {place}" if place.isidentifier() else text
    said = " ".join(str(error).split())[:300]
    text = f"stops with {type(error).__name__}{': ' if said else ''}{said}"
    text = said if isinstance(error, Complaint) else text
    own = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.line and not str(Path(frame.filename).resolve()).startswith(LIBRARIES)
    ]
    return f"{text}\n    in line {own[-1].lineno}: {own[-1].line}" if own else text


def _unwritten(error: NotImplementedError) -> str | None:
    """Return the function whose own line raised this; None if a library did."""
    *_, last = traceback.extract_tb(error.__traceback__)
    theirs = str(Path(last.filename).resolve()).startswith(LIBRARIES)
    return None if theirs or not (last.line or "raise").startswith("raise") else last.name


def plain(value: Any) -> Any:
    """Return a copy of a result in which whatever turns into an array is one."""
    if isinstance(value, Mapping):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, tuple | list):
        make: Callable[..., Any] = getattr(value, "_make", type(value))  # of named tuples, and all
        return make(map(plain, value))
    if hasattr(value, "__array__"):
        return np.array(value)
    return value


def _fields(value: Any) -> tuple[str, ...]:
    """Return the names in a named tuple, otherwise nothing."""
    return getattr(value, "_fields", ()) if isinstance(value, tuple) else ()


# Comparing


class Difference(NamedTuple):
    """Where a result differs from what was expected: in what, and the two there."""

    what: str
    yours: Any
    expected: Any


def difference(yours: Any, expected: Any, tolerance: float = TOLERANCE) -> Difference | None:
    """Return the first difference of two plain results, None if there is none.

    Whole numbers, texts and truths must be equal; other numbers may differ by ``tolerance`` times
    the largest of those expected (or times 1, if that is more). Tuples may be lists.
    """
    if yours is None and expected is not None:
        return Difference("nothing (None)", yours, expected)
    if isinstance(expected, Mapping | tuple | list):
        return _difference_in_parts(yours, expected, tolerance)
    if expected is None or isinstance(expected, str):
        equal = isinstance(yours, type(expected)) and yours == expected
        return None if equal else Difference("another value", yours, expected)
    numbers, right = _numbers(yours), np.asarray(expected)
    if numbers is None:
        return Difference(f"{_kind(yours)}, where numbers are wanted", yours, expected)
    if numbers.shape != right.shape:
        what = f"shape {numbers.shape}, where {right.shape} is wanted"
        return Difference(what, numbers, right)
    wrong = _unlike(numbers, right, tolerance)
    if not wrong.any():
        return None
    if right.ndim and right.size > SHOWN:
        place = tuple(int(index) for index in np.argwhere(wrong)[0])
        what = (
            f"{wrong.sum():,} of {right.size:,} numbers, the first at {list(place)}: "
            f"{_number(numbers[place])}, where {_number(right[place])} is wanted"
        )
        return Difference(what, numbers, right)
    return Difference("another result", numbers, right)


def _difference_in_parts(yours: Any, expected: Any, tolerance: float) -> Difference | None:
    named = isinstance(expected, Mapping)
    alike = isinstance(yours, Mapping) if named else isinstance(yours, tuple | list | np.ndarray)
    if not alike or (isinstance(yours, np.ndarray) and not yours.ndim):
        several = f"{len(expected)} results are" if len(expected) != 1 else "1 result is"
        wanted = "a dictionary is" if named else several
        return Difference(f"{_kind(yours)}, where {wanted} wanted", yours, expected)
    if named:
        keys = list(expected)
        if set(yours) != set(keys):
            return Difference(f"keys {list(yours)}, where {keys} are wanted", yours, expected)
        names = [repr(key) for key in keys]
    else:
        keys = list(range(len(expected)))
        if len(yours) != len(keys):
            return Difference(
                f"{len(yours)} results, where {len(keys)} are wanted", yours, expected
            )
        names = list(_fields(expected)) or [f"[{key}]" for key in keys]
    for name, key in zip(names, keys, strict=True):
        found = difference(yours[key], expected[key], tolerance)
        if found and len(repr(expected)) <= SHOWN:
            return Difference(f"{found.what} in {name}", yours, expected)
        if found:
            return found._replace(what=f"{found.what} in {name}")
    return None


def _numbers(value: Any) -> np.ndarray | None:
    """Return a result as an array of numbers, None where it is none."""
    try:
        array = np.asarray(value)
    except ValueError:  # lists of unlike lengths
        return None
    return array if array.dtype.kind in "biufc" else None


def _unlike(yours: np.ndarray, right: np.ndarray, tolerance: float) -> np.ndarray:
    """Return where two arrays of one shape differ."""
    if right.dtype.kind in "biu":
        return yours != right
    with np.errstate(all="ignore"):
        finite = right[np.isfinite(right)]
        near = tolerance * max(1.0, np.abs(finite).max(initial=0))
        alike = (yours == right) | ((yours != yours) & (right != right))  # NaN is like NaN
        return ~((np.abs(yours - right) <= near) | alike)


def _alike(one: Any, other: Any) -> bool:
    """Say whether two plain values are the same to the last bit, NaN included.

    Of what is neither a number, a text nor made of them (a model, say) nobody can tell: True.
    """
    if isinstance(one, Mapping):
        if not isinstance(other, Mapping) or one.keys() != other.keys():
            return False
        return all(_alike(one[key], other[key]) for key in one)
    if isinstance(one, tuple | list):
        if not isinstance(other, tuple | list) or len(one) != len(other):
            return False
        return all(map(_alike, one, other))
    if isinstance(one, np.ndarray | int | float | str):
        if np.shape(one) != np.shape(other):
            return False
        return bool(np.all((one == other) | (one != one)))
    return True


# What a message is made of


def _kind(value: Any) -> str:
    name = type(value).__name__
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def _number(value: Any) -> str:
    return f"{value:.5g}" if np.asarray(value).dtype.kind in "fc" else str(value)


def shown(value: Any) -> str:
    """Return a value as a message shows it; large arrays by their shape and range."""
    if not isinstance(value, np.ndarray):
        ran = attempt(repr, _bare(value))  # an object of the student's may do anything here too
        text = ran.result or _kind(value)
        return text if len(text) <= 300 else f"{text[:300]} ..."
    if value.ndim == 0:
        return _number(value)
    label = f"shape {value.shape}"
    if value.size > SHOWN:
        return f"{label}, from {_number(value.min())} to {_number(value.max())}"
    if value.ndim > 2:
        value = value.squeeze()
    with np.printoptions(
        precision=4, suppress=True, linewidth=WIDTH // 2 - 4, floatmode="maxprec", formatter=None
    ):
        text = str(value)
    return text if label == f"shape {value.shape}" else f"{label}:\n{text}"


def _bare(value: Any) -> Any:
    """Return plain numbers for arrays without axes: (0, 1), not (array(0), array(1))."""
    if type(value) in (tuple, list):
        return type(value)(map(_bare, value))
    return value.item() if isinstance(value, np.ndarray) and not value.ndim else value


def _indented(text: str, by: int = 4) -> str:
    return "\n".join(" " * by + line for line in text.splitlines())


def _call(inputs: Inputs) -> str:
    """Return the inputs, one below the other, as an assignment each."""
    lines = []
    for name, value in inputs.items():
        text = shown(plain(value))
        head = f"{name} ="
        if "\n" in text:
            lines.append(f"{head}\n{_indented(text)}")
        else:
            lines.append(f"{head} {text}")
    return "\n".join(lines)


def side_by_side(yours: Any, expected: Any) -> str:
    """Return two values beside each other, or below each other if they are too wide."""
    left, right = (["yours", *shown(yours).split("\n")], ["expected", *shown(expected).split("\n")])
    width = max(map(len, left))
    if width + 6 + max(map(len, right)) > WIDTH:
        return "\n".join([*left, "", *right])
    pairs = zip_longest(left, right, fillvalue="")
    return "\n".join(f"{one:<{width}}      {other}".rstrip() for one, other in pairs)


def _first_lines(printed: str) -> str:
    lines = printed.strip().splitlines()
    more = ["..."] if len(lines) > 5 else []
    return "\n".join([line[:WIDTH] for line in lines[:5]] + more)


def _failure(name: str, problem: str, **parts: str | None) -> CheckFailed:
    """Return the error: a line with a cross, then each part that is there under its heading."""
    blocks = [f"✗ {name}: {problem}"]
    for heading, text in parts.items():
        if text:
            blocks.append(f"{heading.replace('_', ' ')}\n{_indented(text)}")
    return CheckFailed("\n\n".join(blocks))


# Hints that need no knowledge of the task


def general_hint(yours: Any, expected: Any, inputs: Inputs) -> str | None:
    """Say what commonly makes such a difference; None where nothing fits."""
    if yours is None:
        return "The function ends without `return`, or returns what a method like `sort` returns."
    numbers, right = _numbers(yours), _numbers(expected)
    if numbers is None or right is None:
        return None
    if numbers.shape != right.shape:
        return _shape_hint(numbers.shape, right.shape)
    return next(_number_hints(numbers, right, inputs), None)


def _shape_hint(yours: tuple[int, ...], right: tuple[int, ...]) -> str | None:
    if len(yours) != len(right):
        less = "lacks" if len(yours) < len(right) else "has too many"
        return (
            f"The result {less} axes; keep them in order, as in [batch, height, width, channels]."
        )
    if sorted(yours) == sorted(right):
        return "The sizes are right, but two axes are swapped."
    if max(abs(one - other) for one, other in zip(yours, right, strict=True)) == 1:
        return "Off by one in a size: count the places on paper for an image of 3 pixels."
    return None


def _number_hints(yours: np.ndarray, right: np.ndarray, inputs: Inputs) -> Iterator[str]:
    def same(other: np.ndarray) -> bool:
        return other.shape == yours.shape and not _unlike(yours, other, TOLERANCE).any()

    if not np.isfinite(yours).all():
        yield "Some results are not finite: look for a division by 0, log(0), exp of much."
        return
    if right.dtype.kind not in "f":
        return
    if same(np.trunc(right)) or same(np.rint(right)):
        yield "Fractions are cut off: fill np.zeros(shape), not an array of integers."
    if same(-right):
        yield "Every number has the wrong sign."
    for name, value in inputs.items():
        if (given := _numbers(value)) is not None and right.ndim and same(given):
            yield f"The result is {name}, unchanged."
    if right.ndim >= 2 and same(right.swapaxes(-1, -2)):
        yield "Rows and columns are swapped."
    large = np.abs(right) > 1e-9
    if large.sum() > 1 and same(right * (factor := float((yours[large] / right[large]).mean()))):
        yield f"Every number is {factor:.4g} times what it should be: a mean in place of a sum?"


# Checks


def _no_advice(trouble: str, inputs: Inputs) -> str | None:
    return None


def _no_slips() -> Mapping[str, Callable[..., Any]]:
    return {}


def _change(name: str, before: Any, after: Any) -> dict[str, str]:
    """Say by how much an input was changed, and what to do about it."""
    hint = f"Whoever called it still needs {name}: work on {name}.copy()."
    one, other = _numbers(before), _numbers(after)
    if one is None or other is None or one.shape != other.shape or one.dtype.kind not in "f":
        return {"Hint": hint}
    largest = np.abs(one - other).max(initial=0)
    if largest <= 1e-12 * np.abs(one).max(initial=0):
        hint = (
            "Adding and subtracting the step does not come back exactly: keep the old number and "
            f"put it back. Or work on {name}.copy()."
        )
    return {"The_largest_change": _number(largest), "Hint": hint}


@dataclass(frozen=True)
class Check:
    """A function's check: call it with the student's function.

    Attributes:
        name: what messages call the function.
        expected: the reference, called with the values of an input in their order.
        cases: returns the inputs that a student sees, from small to large; lopsided ones, so that
            each slip gives another result.
        more: returns further inputs made with a random generator, for ``seed``.
        slips: the usual mistakes: a hint, and the reference with that mistake. One that fits only
            some inputs may raise on the others.
        judge: instead of ``expected``, for results that may vary: takes the plain result and the
            inputs, returns what is wrong in words or None.
        tolerance: see `difference`.
        seconds: for each call of the function.
        may_change: names of inputs that the function is meant to change.
        advice: takes an exception's text and the inputs, returns a hint or None.
        ready_made: functions that raise while the answer runs.
        words: puts a difference in the task's own words.
    """

    name: str
    expected: Callable[..., Any] | None
    cases: Callable[[], Iterable[Inputs]]
    more: Callable[[np.random.Generator], Iterable[Inputs]]
    slips: Mapping[str, Callable[..., Any]] = field(default_factory=_no_slips)
    judge: Callable[[Any, Inputs], str | None] | None = None
    tolerance: float = TOLERANCE
    seconds: float = SECONDS
    may_change: tuple[str, ...] = ()
    advice: Callable[[str, Inputs], str | None] = _no_advice
    ready_made: tuple[Callable[..., Any], ...] = ()
    words: Callable[[str], str] = str

    def __call__(self, answer: Callable[..., Any], *, seed: int | None = None) -> None:
        """Print a tick or raise `CheckFailed`; with ``seed`` on inputs that nobody has seen."""
        if not callable(answer):
            raise _failure(
                self.name,
                f"got {shown(plain(answer))}, which is no function",
                Hint=f"Write check.{self.name}(your_function), with the function's name only.",
            )
        cases = self._cases(seed)
        for inputs in cases:
            self._hold(answer, inputs, cases)
        print(f"✓ {self.name}: {len(cases)} inputs, every result as expected")

    def _cases(self, seed: int | None) -> list[Inputs]:
        if seed is None:
            return list(self.cases())
        return list(self.more(np.random.default_rng(seed)))

    def _hold(self, answer: Callable[..., Any], inputs: Inputs, cases: list[Inputs]) -> None:
        """Raise `CheckFailed` unless the answer is right for one input."""
        given = deepcopy(dict(inputs))
        with _refused(self.ready_made):
            ran = attempt(answer, *given.values(), seconds=self.seconds)
        where = {"For": _call(inputs), "It_printed": _first_lines(ran.printed)}
        if ran.trouble:
            hint = self.advice(ran.trouble, inputs)
            if not hint and "\n" not in ran.trouble and "TypeError" in ran.trouble:
                hint = f"It is called as {self.name}({', '.join(inputs)})."
            raise _failure(self.name, ran.trouble, **where, Hint=hint)
        changed = [
            name
            for name in inputs
            if name not in self.may_change and not _alike(plain(inputs[name]), plain(given[name]))
        ]
        if changed:
            raise _failure(
                self.name,
                f"changes its input {changed[0]}",
                **where,
                Afterwards=f"{changed[0]} =\n{_indented(shown(plain(given[changed[0]])))}",
                **_change(changed[0], inputs[changed[0]], given[changed[0]]),
            )
        if self.judge:
            if complaint := self.judge(ran.result, inputs):
                raise _failure(self.name, complaint, **where, Yours=shown(ran.result))
            return
        right = self._right(inputs)
        if found := difference(ran.result, right, self.tolerance):
            raise _failure(
                self.name,
                f"gives {self.words(found.what)}",
                **where,
                Result=side_by_side(found.yours, found.expected),
                Hint=self._slip(answer, ran.result, inputs, cases)
                or general_hint(found.yours, found.expected, inputs),
            )

    def _right(self, inputs: Inputs) -> Any:
        assert self.expected is not None
        return plain(self.expected(*deepcopy(dict(inputs)).values()))

    def _slip(
        self, answer: Callable[..., Any], yours: Any, inputs: Inputs, cases: list[Inputs]
    ) -> str | None:
        """Return the mistake that gives this result; of several, the one nearest on all inputs."""
        fits = [hint for hint in self.slips if self._fits(hint, yours, inputs)]
        if len(fits) < 2:
            return fits[0] if fits else None
        scores = dict.fromkeys(fits, 0)
        for other in cases:
            ran = attempt(answer, *deepcopy(dict(other)).values(), seconds=self.seconds)
            if ran.timed_out:
                break
            for hint in fits:
                scores[hint] += not ran.trouble and self._fits(hint, ran.result, other)
        return max(fits, key=scores.__getitem__)

    def _fits(self, hint: str, yours: Any, inputs: Inputs) -> bool:
        with np.errstate(all="ignore"), suppress(Exception):
            wrong = plain(self.slips[hint](*deepcopy(dict(inputs)).values()))
            return difference(yours, wrong, self.tolerance) is None
        return False


@dataclass(frozen=True)
class Target:
    """An open task's check: measures what a student designed, and holds it against goals.

    Attributes:
        name: what messages call the design.
        measure: takes the design (and the keywords of the call) and returns numbers by name;
            raises Complaint with the remedy for a design that cannot be measured. It runs with a
            time limit, so it may call functions that the student wrote.
        goals: for each number ("at least" or "at most", bound).
        hints: for a number, what to try if it misses its goal; or a function that says so, given
            all numbers ("" for nothing).
        seconds: for the whole measurement.
        too_slow: what to say when that is over, instead of asking for an endless loop.
    """

    name: str
    measure: Callable[..., Mapping[str, float]]
    goals: Mapping[str, tuple[str, float]]
    hints: Mapping[str, str | Callable[[Mapping[str, Any]], str]] = field(default_factory=dict)
    seconds: float = SECONDS
    too_slow: str | None = None

    def __call__(self, design: Any, **setting: Any) -> None:
        """Print the figures with a tick, or raise `CheckFailed` with them."""
        if design is None:
            raise _failure(self.name, "is still None: put your design there")
        ran = attempt(lambda: self.measure(design, **setting), seconds=self.seconds)
        if ran.trouble:
            text = shown(plain(design))
            raise _failure(
                self.name,
                self.too_slow if ran.timed_out and self.too_slow else ran.trouble,
                Design=None if "<function " in text else text,
                It_printed=_first_lines(ran.printed),
            )
        figures = ran.result
        missed = [name for name in self.goals if not self._met(name, figures[name])]
        table = self._table(figures, missed)
        if missed:
            hints = dict.fromkeys(self._hint(name, figures) for name in missed)
            raise _failure(
                self.name,
                "not there yet",
                Measured=table,
                Hint="\n".join(hint for hint in hints if hint),
            )
        print(f"✓ {self.name}: every goal met\n{_indented(table, 2)}")

    def _hint(self, name: str, figures: Mapping[str, Any]) -> str:
        hint = self.hints.get(name, "")
        return hint(figures) if callable(hint) else hint

    def _met(self, name: str, value: float) -> bool:
        bound, limit = self.goals[name]
        return value >= limit if bound == "at least" else value <= limit

    def _table(self, figures: Mapping[str, Any], missed: list[str]) -> str:
        rows = []
        for name, value in figures.items():
            goal = ""
            if name in self.goals:
                bound, limit = self.goals[name]
                goal = f"{'✗' if name in missed else '✓'} {bound} {limit:,}"
            rows.append((name, _figure(value), goal))
        widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
        return "\n".join(
            f"{name:<{widths[0]}}  {value:>{widths[1]}}  {goal}".rstrip()
            for name, value, goal in rows
        )


def _figure(value: Any) -> str:
    """Return a count exactly, and what was measured as "about": ≈ 0.914."""
    return f"{value:,}" if np.asarray(value).dtype.kind in "biu" else f"≈ {value:,.3f}"
