"""Checks: right answers get a tick, usual mistakes their hint, and nothing a student does hurts."""

import subprocess
import sys
import threading
import time
import warnings
from collections import namedtuple
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from cnncourse import arithmetic, reference
from cnncourse import checks as check
from cnncourse.checks import convolution
from cnncourse.checks.core import (
    Check,
    CheckFailed,
    Complaint,
    Target,
    attempt,
    difference,
    plain,
)

Array = np.ndarray


def failure(checker: Callable[..., None], answer: Any, **setting: Any) -> str:
    """Return the text with which a check refuses an answer."""
    with pytest.raises(CheckFailed) as caught:
        checker(answer, **setting)
    return str(caught.value)


def test_a_page_breaks_long_lines_between_words() -> None:
    error = CheckFailed("✗ f: stops\n\nHint\n    " + "a hint of words " * 8 + "\n    1   2")
    lines = error._render_traceback_()
    assert max(map(len, lines)) <= 96
    assert lines[:3] == ["✗ f: stops", "", "Hint"]
    assert lines[3].startswith("    a hint of")
    assert lines[4].startswith("      ")
    assert lines[-1] == "    1   2"
    assert " ".join(" ".join(lines).split()) == " ".join(str(error).split())


# Finding checks


def test_names_are_found_and_unique() -> None:
    names = [name for module in check.SETS for name in check._load(module).__all__]
    assert "conv2d" in names
    assert len(names) == len(set(names))
    assert not set(names) & set(check.SETS)  # a set's module is found under its own name
    assert set(names) <= set(dir(check))
    assert check.conv2d is convolution.conv2d
    assert "core" not in check.SETS


def test_unknown_name_lists_what_there_is() -> None:
    with pytest.raises(AttributeError, match=r"no check 'conv3d'; checks: \[.*'conv2d'"):
        _ = check.conv3d


# Running


def test_attempt_returns_what_the_function_does() -> None:
    assert attempt(lambda a, b: a + b, 1, 2) == (3, None, "", False)


def test_exception_names_the_students_line() -> None:
    ran = attempt(raises_in_numpy)
    assert ran.trouble is not None
    first, second = ran.trouble.splitlines()
    assert first.startswith("stops with LinAlgError: ")
    line = raises_in_numpy.__code__.co_firstlineno + 1
    assert second == f"    in line {line}: return np.linalg.inv(np.zeros((2, 2)))"


def raises_in_numpy() -> Array:
    return np.linalg.inv(np.zeros((2, 2)))


@pytest.mark.parametrize(
    ("source", "trouble"),
    [
        ("raise NotImplementedError", "is not written yet"),
        ("raise SystemExit(3)", "stops with SystemExit: 3"),
        ("return nothing", "stops with NameError: name 'nothing' is not defined"),
        ("return answer()", "stops with RecursionError"),
    ],
)
def test_what_is_raised_is_said(source: str, trouble: str) -> None:
    space: dict[str, Any] = {}
    exec(f"def answer():\n    {source}", space)
    ran = attempt(space["answer"])
    assert (ran.trouble or "").startswith(trouble)
    assert ran.result is None


def test_ctrl_c_still_ends_the_cell() -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        attempt(interrupt)
    assert not watchers()


def endless() -> None:
    while True:
        pass


def stubborn() -> None:
    while True:
        try:
            time.sleep(0.01)
        except Exception:
            continue


def deaf_for_a_while() -> None:
    deafness = 0
    while True:
        try:
            while True:
                pass
        except BaseException:
            deafness += 1
            if deafness > 1:
                raise


def watchers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("Thread")]


@pytest.mark.parametrize("loop", [endless, stubborn, deaf_for_a_while])
@pytest.mark.parametrize("in_thread", [False, True])
def test_loops_come_to_an_end(loop: Callable[[], None], in_thread: bool) -> None:
    ran = []
    if in_thread:
        thread = threading.Thread(
            target=lambda: ran.append(attempt(loop, seconds=0.1)), name="kernel's", daemon=True
        )
        thread.start()
        thread.join(60)
    else:
        ran.append(attempt(loop, seconds=0.1))
    assert ran[0].timed_out
    assert ran[0].trouble == "is not done after 0.1 seconds; does its loop come to an end?"
    assert not watchers()


def test_time_out_that_comes_late_hurts_nobody() -> None:
    """Calls that end just when their time does: either outcome is right, and nothing follows."""
    for turn in range(60):
        ran = attempt(time.sleep, turn / 3000, seconds=0.01)
        assert ran.trouble is None or ran.timed_out
    deadline = time.perf_counter() + 0.05
    while time.perf_counter() < deadline:
        pass
    assert not watchers()


def test_what_is_printed_is_kept_and_warnings_are_dropped(
    capfd: pytest.CaptureFixture[str],
) -> None:
    def noisy() -> int:
        print("seen")
        warnings.warn("never mind", stacklevel=1)
        np.float64(1) / np.float64(0)
        for _ in range(100_000):
            print("again")
        return 1

    with warnings.catch_warnings(record=True) as heard:
        ran = attempt(noisy)
    assert ran.result == 1
    assert ran.printed.startswith("seen\nagain\n")
    assert len(ran.printed) == 1000
    assert heard == []
    assert capfd.readouterr() == ("", "")


# Comparing

Pair = namedtuple("Pair", "kernel bias")


@pytest.mark.parametrize(
    ("yours", "expected"),
    [
        (1, 1),
        (1.0, 1),
        (np.float32(0.1), 0.1),
        ([1.0, 2.0], np.array([1.0, 2.0])),
        ((1, [2, 3]), [1, np.array([2, 3])]),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ((np.zeros(2), 3), Pair(np.zeros(2), 3)),
        ("relu", "relu"),
        (np.array([np.inf, -np.inf, 1e9]), np.array([np.inf, -np.inf, 1e9 + 1])),
        (True, np.True_),
        (None, None),
    ],
)
def test_no_difference(yours: Any, expected: Any) -> None:
    assert difference(plain(yours), plain(expected)) is None


@pytest.mark.parametrize(
    ("yours", "expected", "what"),
    [
        (None, 1, "nothing (None)"),
        (3_212_289, 3_212_288, "another result"),
        (1.001, 1.0, "another result"),
        (np.nan, 1.0, "another result"),
        (np.zeros((1, 2)), np.zeros(2), "shape (1, 2), where (2,) is wanted"),
        ("three", 3, "a str, where numbers are wanted"),
        ([[1], [1, 2]], np.zeros((2, 2)), "a list, where numbers are wanted"),
        (endless, 3, "a function, where numbers are wanted"),
        (3, (1, 2), "an int, where 2 results are wanted"),
        ((1, 2, 3), (1, 2), "3 results, where 2 are wanted"),
        ((1, 3), (1, 2), "another result in [1]"),
        ((np.zeros(2), 4), Pair(np.zeros(2), 3), "another result in bias"),
        ({"a": 1}, {"a": 1, "b": 2}, "keys ['a'], where ['a', 'b'] are wanted"),
        ({"a": 1, "b": 3}, {"a": 1, "b": 2}, "another result in 'b'"),
        (5, {"a": 1}, "an int, where a dictionary is wanted"),
        (None, {"a": 1}, "nothing (None)"),
        ("tanh", "relu", "another value"),
        (False, None, "another value"),
        (
            np.arange(100.0) + (np.arange(100) > 41),
            np.arange(100.0),
            "58 of 100 numbers, the first at [42]: 43, where 42 is wanted",
        ),
    ],
)
def test_differences_are_named(yours: Any, expected: Any, what: str) -> None:
    found = difference(plain(yours), plain(expected))
    assert found is not None
    assert found.what == what


# A check: half(x, by) divides by 2, and cuts nothing off


def cases() -> Iterator[dict[str, Any]]:
    yield {"x": np.array([1.0]), "by": 2}
    yield {"x": np.array([[1.0, 2.0, 4.0], [7.0, 8.0, 5.0]]), "by": 4}
    yield {"x": np.arange(100.0), "by": 8}


def more(rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    yield {"x": rng.normal(size=(2, 3)), "by": 2}


SLIPS = {
    "Divide, do not multiply.": lambda x, by: x * by,
    "Divide by `by`, not always by 2.": lambda x, by: x / 2,
    "Always the first row.": lambda x, by: np.broadcast_to(x[0] / 2, x.shape),
}
share = Check("share", lambda x, by: x / by, cases, more, SLIPS, seconds=0.2)


def test_right_answer_gets_a_tick(capsys: pytest.CaptureFixture[str]) -> None:
    assert share(lambda x, by: x / by) is None
    assert share(lambda x, by: (x / by).tolist(), seed=1) is None
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "✓ share: 3 inputs, every result as expected",
        "✓ share: 1 inputs, every result as expected",
    ]


def test_message_shows_the_smallest_failing_input_and_both_results() -> None:
    text = """\
✗ share: gives another result

For
    x =
        [[1. 2. 4.]
         [7. 8. 5.]]
    by = 4

Result
    yours                expected
    [[0.5 1.  2. ]       [[0.25 0.5  1.  ]
     [3.5 4.  2.5]]       [1.75 2.   1.25]]

Hint
    Divide by `by`, not always by 2."""
    assert failure(share, lambda x, by: x / 2) == text


def test_notebook_shows_the_students_line_and_no_line_of_the_library() -> None:
    source = (
        "from cnncourse import checks as check\n"
        "def slide(image, kernel, stride):\n"
        "    return image[7]\n"
        "check.slide(slide)\n"
    )
    command = [sys.executable, "-m", "IPython", "--colors=nocolor", "-c", source]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    shown = (done.stdout + done.stderr).strip().splitlines()
    assert shown[0] == (
        "✗ slide: stops with IndexError: index 7 is out of bounds for axis 0 with size 2"
    )
    assert shown[1] == "    in line 3: return image[7]"
    assert "core.py" not in "\n".join(shown)


def test_hint_is_the_slip_that_fits_most_inputs() -> None:
    """On the first input that fails, two slips give the same; on the others only one does."""
    double = Check(
        "double",
        lambda x: 2 * x,
        lambda: [{"x": 3}, {"x": 5}],
        more,
        {"It is squared.": lambda x: x * x, "It is tripled.": lambda x: 3 * x},
    )
    assert failure(double, lambda x: 3 * x).endswith("Hint\n    It is tripled.")
    assert failure(double, lambda x: x**2).endswith("Hint\n    It is squared.")
    assert "Hint" not in failure(double, lambda x: 100)


def test_unseen_inputs_are_those_of_the_seed() -> None:
    seen: list[Array] = []

    def learn(x: Array, by: int) -> Array:
        seen.append(x)
        return x / by

    for seed in (1, 1, 2):
        share(learn, seed=seed)
    assert np.array_equal(seen[0], seen[1])
    assert not np.array_equal(seen[0], seen[2])


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (endless, "✗ share: stops with TypeError: endless() takes 0 positional arguments"),
        (endless, "It is called as share(x, by)."),
        (lambda x, by: endless(), "✗ share: is not done after 0.2 seconds"),
        (lambda x, by: None, "The function ends without `return`"),
        (lambda x, by: print("one\ntwo"), "It printed\n    one\n    two"),
        (lambda x, by: iter([1]), "a list_iterator, where numbers are wanted"),
        (lambda x, by: x.__iadd__(1) / by, "✗ share: changes its input x"),
        (lambda x, by: x.__iadd__(1) / by, "work on x.copy()."),
        (lambda x, by: -x / by, "Every number has the wrong sign."),
        (lambda x, by: np.full_like(x, np.nan), "Some results are not finite"),
        (lambda x, by: (x / by)[None], "The result has too many axes"),
        (lambda x, by: (x / by).T, "The sizes are right, but two axes are swapped."),
        (lambda x, by: x / by if x.size < 9 else x, "The result is x, unchanged."),
        (lambda x, by: np.trunc(x / by), "Fractions are cut off"),
        (lambda x, by: np.round(x / by), "Fractions are cut off"),
        (lambda x, by: x / by if x.size < 2 else x / by / 9, "0.1111 times what it should be"),
        (lambda x, by: (x / by)[1:], "Off by one in a size"),
        (7, "✗ share: got 7, which is no function"),
        (None, "check.share(your_function)"),
    ],
)
def test_bad_answers_are_explained(answer: Any, text: str) -> None:
    assert text in failure(share, answer)


def test_function_may_change_what_it_is_meant_to_change() -> None:
    def step(params: Array) -> Array:
        params -= 1
        return params

    given = {"params": np.ones(2)}
    allowed = Check("step", lambda p: p - 1, lambda: [given], more, may_change=("params",))
    allowed(step)
    assert given["params"].tolist() == [1, 1]
    forbidden = Check("step", lambda p: p - 1, lambda: [given], more)
    assert "changes its input params" in failure(forbidden, step)


@pytest.mark.parametrize(
    ("given", "change"),
    [
        ([3, 5], lambda sizes: sizes.append(1)),
        ([3, 5], lambda sizes: sizes.__setitem__(0, 4)),
        ({"w": np.ones(2)}, lambda params: params["w"].fill(2)),
        ({"w": np.ones(2)}, lambda params: params.update(w=[1.0, 2.0])),
        ({"w": np.ones(2)}, lambda params: params.clear()),
        ({"w": np.ones(2)}, lambda params: params.update(w=None)),
    ],
)
def test_every_change_of_an_input_is_seen(given: Any, change: Callable[[Any], Any]) -> None:
    touch = Check("touch", lambda given: 1, lambda: [{"given": given}], more)
    touch(lambda given: 1)
    assert "changes its input given" in failure(touch, lambda given: change(given) or 1)


def test_result_that_cannot_be_shown_is_named_by_its_kind() -> None:
    class Awkward:
        def __repr__(self) -> str:
            raise RuntimeError

    assert "yours           expected\n    an Awkward      [0.5]" in failure(
        share, lambda x, by: Awkward()
    )


def test_judge_decides_where_results_vary() -> None:
    def zeros(result: Any, inputs: Any) -> str | None:
        return None if (result == 0).sum() == inputs["n"] else f"has not {inputs['n']} zeros"

    check_drop = Check("drop", None, lambda: [{"n": 2}], more, judge=zeros)
    check_drop(lambda n: np.zeros(n))
    assert failure(check_drop, lambda n: np.ones(n)).startswith("✗ drop: has not 2 zeros\n")


def test_answers_may_give_tensors() -> None:
    class Tensor:
        def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
            return np.array([0.5])

    def as_tensor(x: Array, by: int) -> Any:
        return Tensor() if x.size == 1 else x / by

    share(as_tensor)


def test_numpy_settings_of_the_student_do_not_matter() -> None:
    before = failure(share, lambda x, by: x)
    with np.printoptions(precision=1, formatter={"float": lambda x: "?"}), np.errstate(all="raise"):
        assert failure(share, lambda x, by: x) == before


# Targets


def figures(design: Any) -> dict[str, float]:
    if not isinstance(design, list):
        raise Complaint("is not a list")
    return {"length": len(design), "mean": float(np.mean(design))}


GOALS = {"length": ("at most", 3), "mean": ("at least", 0.5)}
target = Target("design", figures, GOALS, {"mean": "Take larger numbers."}, seconds=0.2)


def test_target_met_prints_its_figures(capsys: pytest.CaptureFixture[str]) -> None:
    target([1, 0.25])
    assert capsys.readouterr().out == (
        "✓ design: every goal met\n"
        "  length        2  ✓ at most 3\n"
        "  mean    ≈ 0.625  ✓ at least 0.5\n"
    )


def test_target_missed_says_by_how_much() -> None:
    assert failure(target, [0.25, 0.25]) == (
        "✗ design: not there yet\n\n"
        "Measured\n    length        2  ✓ at most 3\n    mean    ≈ 0.250  ✗ at least 0.5\n\n"
        "Hint\n    Take larger numbers."
    )


def test_target_leaves_no_gap_for_a_goal_without_a_hint() -> None:
    goals = dict.fromkeys(("first", "second", "third"), ("at least", 1))
    hints = {"first": "Do this.", "third": "Do that."}
    missed = Target("design", lambda design: dict.fromkeys(goals, 0), goals, hints)
    assert failure(missed, 3).endswith("Hint\n    Do this.\n    Do that.")


def test_target_keeps_apart_what_it_says_itself_and_what_the_students_code_raises() -> None:
    def raises(error: Exception) -> str:
        def measured(design: Any) -> dict[str, float]:
            raise error

        return failure(Target("design", measured, GOALS), 3).splitlines()[0]

    assert raises(Complaint("is too long")) == "✗ design: is too long"
    assert raises(ValueError("is too long")) == "✗ design: stops with ValueError: is too long"


def test_target_that_cannot_be_measured() -> None:
    assert failure(target, None) == "✗ design: is still None: put your design there"
    assert failure(target, 3).startswith("✗ design: is not a list\n")
    slow = Target("slow", lambda design: design(), {}, seconds=0.1)
    assert "is not done after 0.1 seconds" in failure(slow, endless)
    assert "stops with ZeroDivisionError" in failure(slow, lambda: 1 / 0)


# Problem set 1. The right answers here are other code than the reference.


def by_einsum(images: Array, kernel: Array, bias: Array, stride: int, padding: str) -> Array:
    import tensorflow as tf

    return tf.nn.conv2d(images, kernel, stride, padding) + bias


def slide(image: Array, kernel: Array, stride: int) -> Array:
    from scipy import signal

    return signal.correlate2d(image, kernel, "valid")[::stride, ::stride]


RIGHT = {
    "slide": slide,
    "conv2d": by_einsum,
    "same_zeros": lambda n, k, s: (
        (total := max(-(-n // s) * s - s + k - n, 0)) // 2,
        -(-total // 2),
    ),
}


@pytest.mark.parametrize("name", RIGHT)
def test_right_answers_pass(name: str) -> None:
    checker = getattr(check, name)
    checker(RIGHT[name])
    for seed in range(5):
        checker(RIGHT[name], seed=seed)


SLIPS_OF_ALL = [
    (module, name, hint)
    for module in check.SETS
    for name, checker in vars(check._load(module)).items()
    if isinstance(checker, Check)
    for hint in checker.slips
]


@pytest.mark.parametrize(
    ("module", "name", "hint"), SLIPS_OF_ALL, ids=lambda text: str(text)[:24].replace(" ", "_")
)
def test_each_slip_fails_and_gets_its_own_hint(module: str, name: str, hint: str) -> None:
    """Every usual mistake of every problem set is told from the right answer and the others."""
    checker = replace(getattr(check._load(module), name), ready_made=())  # slips are made of them
    wrong = checker.slips[hint]

    def slipping(*arguments: Any) -> Any:
        try:
            return wrong(*arguments)
        except Exception:  # where the mistake makes no difference
            return checker.expected(*arguments)

    assert failure(checker, slipping).endswith(f"Hint\n    {hint}")


def test_ready_made_functions_are_refused_under_any_name() -> None:
    amounts, convolve = arithmetic.padding_amounts, reference.conv2d
    for answer in (arithmetic.padding_amounts, lambda n, k, s: amounts(n, k, s)):
        assert "this function is ready-made" in failure(check.same_zeros, answer)
    assert "this function is ready-made" in failure(check.conv2d, convolve)
    assert amounts(28, 4) == (1, 2)  # and work again afterwards
    assert convolve(np.ones((1, 2, 2, 1)), np.ones((2, 2, 1, 1))).item() == 4


def convolve_with(zeros: Callable[..., Any], **how: Any) -> Callable[..., Array]:
    """Return a convolution in loops: ``zeros(images, kernel, stride)`` gives each axis its own."""

    def answer(images: Array, kernel: Array, bias: Array, stride: int, padding: str) -> Array:
        if padding == "SAME":
            images = np.pad(images, ((0, 0), *zeros(images, kernel, stride), (0, 0)), **how)
        height, width, _, filters = kernel.shape
        rows = (images.shape[1] - height) // stride + 1
        columns = (images.shape[2] - width) // stride + 1
        maps = np.zeros((len(images), rows, columns, filters))
        for row, column in np.ndindex(rows, columns):
            top, left = row * stride, column * stride
            window = images[:, top : top + height, left : left + width]
            maps[:, row, column] = np.tensordot(window, kernel, axes=3) + bias
        return maps

    return answer


def both_zeros(images: Array, kernel: Array, stride: int) -> list[tuple[int, int]]:
    return [RIGHT["same_zeros"](images.shape[1 + a], kernel.shape[a], stride) for a in (0, 1)]


def counted_before_padding(x: Array, k: Array, b: Array, s: int, p: str, *, pad: bool) -> Array:
    rows, columns = (max(0, (x.shape[1 + a] - k.shape[a]) // s + 1) for a in (0, 1))
    if pad or 0 in (rows, columns):
        return convolve_with(both_zeros)(x, k, b, s, p)[:, :rows, :columns]
    return convolve_with(both_zeros)(x, k, b, s, "VALID")


CONV_MISTAKES: dict[str, Callable[..., Any]] = {
    "The zeros of the height are used": convolve_with(lambda *given: [both_zeros(*given)[0]] * 2),
    "The zeros of the width are used": convolve_with(lambda *given: [both_zeros(*given)[1]] * 2),
    "The zeros of one axis are used": convolve_with(lambda *given: both_zeros(*given)[::-1]),
    "The edge is repeated": convolve_with(both_zeros, mode="edge"),
    "All zeros are put after": convolve_with(
        lambda *given: [(0, sum(pair)) for pair in both_zeros(*given)]
    ),
    "No zeros are added": lambda x, k, b, s, p: counted_before_padding(x, k, b, s, p, pad=False),
    "With SAME, pad first": lambda *given: counted_before_padding(*given, pad=True),
    "np.pad wants a pair for every axis": lambda x, *rest: np.pad(x, ((0, 1), (0, 1))),
    "VALID adds no zeros": lambda x, k, b, s, p: convolve_with(both_zeros)(x, k, b, s, "SAME"),
    "The kernel has an axis more": lambda x, k, b, s, p: (x * k).sum((1, 2, 3)) + np.zeros((1, 5)),
}


@pytest.mark.parametrize("hint", CONV_MISTAKES)
def test_mistakes_of_conv2d_get_their_hint(hint: str) -> None:
    assert f"Hint\n    {hint}" in failure(check.conv2d, CONV_MISTAKES[hint])
    for seed in range(3):
        check.conv2d(convolve_with(both_zeros), seed=seed)


def test_mistakes_of_slide_and_same_zeros_get_their_hint() -> None:
    def one_counter(image: Array, kernel: Array, stride: int) -> Array:
        result = np.zeros_like(slide(image, kernel, stride))
        for row in range(0, image.shape[0] - kernel.shape[0] + 1, stride):
            for column in range(0, image.shape[1] - kernel.shape[1] + 1, stride):
                window = image[row:, column:][: kernel.shape[0], : kernel.shape[1]]
                result[row, column] = (window * kernel).sum()
        return result

    assert "two counters: row // stride" in failure(check.slide, one_counter)
    zeros = RIGHT["same_zeros"]
    assert "Return two numbers" in failure(check.same_zeros, lambda *given: sum(zeros(*given)))
    lost = failure(check.same_zeros, lambda *given: (zeros(*given)[0],) * 2)
    assert "another result in zeros_after" in lost
    assert "the odd one is lost" in lost


def test_kernel_design() -> None:
    crossbar = np.array([[-1.0], [-1.0], [4.0], [-1.0], [-1.0]])
    check.kernel((crossbar, 0.4))
    check.kernel((crossbar, 0.4), half=1)
    assert "Numbers that add up to 0" in failure(check.kernel, (crossbar + 1, 0.4))
    assert "The kernel can do it; move the threshold." in failure(check.kernel, (crossbar, 0.9))
    assert "the other way round" in failure(check.kernel, (-crossbar, 0.4))
    low = np.array([[-1.0], [2.0], [-1.0]])
    assert "How tall must a kernel be" in failure(check.kernel, (low, 0.4))
    check.kernel((crossbar + 5e-9, 0.4))  # what rounding leaves of a sum is nothing
    first, fours = convolution.fours_and_noughts(0)
    answers = np.maximum(reference.conv2d(first, crossbar[..., None, None]), 0).mean((1, 2, 3))
    limit = next(limit for limit in np.sort(answers) if ((answers > limit) == fours).sum() == 170)
    assert "170  ✗ at least 171" in failure(check.kernel, (crossbar, limit))
    assert "at most 5 rows and 5 columns" in failure(check.kernel, (np.zeros((6, 6)), 0))
    assert "is not (kernel, threshold)" in failure(check.kernel, (None, None))


def test_halves_of_the_digits_share_nobody() -> None:
    (first, fours), (second, others) = map(convolution.fours_and_noughts, (0, 1))
    assert len(first) + len(second) == 359
    assert fours.sum() + others.sum() == 181
    assert not (first[:, None] == second[None]).all((2, 3, 4)).any()


def test_stack_design() -> None:
    design = [(3, 2, 8), (3, 1, 8), (3, 1, 8), (3, 1, 32)]
    assert convolution.stack_figures(design) == {
        "receptive field": 3 + 4 + 4 + 4,
        "places along a side": 9,
        "filters of the last layer": 32,
        "fewest filters in a layer": 8,
        "pixels skipped by strides": 0,
        "parameters": (27 * 8 + 8) + 2 * (72 * 8 + 8) + (72 * 32 + 32),
        "multiply-adds": 225 * 27 * 8 + 169 * 72 * 8 + 121 * 72 * 8 + 81 * 72 * 32,
    }
    check.stack(design)
    check.stack(design, size=40)
    missed = failure(check.stack, [(15, 1, 32)])
    assert missed.count("✗") == 3
    assert "fewer places early" in missed
    assert "what it drops" in failure(check.stack, [(15, 1, 1), (1, 1, 32)])
    for skipping in ([(1, 2, 1), (8, 1, 32)], [(1, 2, 4), (5, 1, 4), (4, 1, 32)]):
        assert "that nobody looks at" in failure(check.stack, skipping)
    assert "layer 2, (3, 1), is no (kernel, stride, filters)" in failure(
        check.stack, [(3, 1, 8), (3, 1)]
    )
    assert "does not fit" in failure(check.stack, [(40, 1, 8)])
    assert "not a list of layers" in failure(check.stack, [])
