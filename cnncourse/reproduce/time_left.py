"""Progress over several runs, and the time that they will take."""

import os

from tqdm.auto import tqdm

from cnncourse.reproduce.runs import Watch


class TimeLeft(Watch):
    """A bar over all runs. It measures in multiply-adds, and learns their speed as it goes."""

    def __init__(self, work: int) -> None:
        """Begin with so much work to do."""
        self._work = work

    def __enter__(self) -> "TimeLeft":
        """Show the bar: on a terminal all the time, in a file one line a minute."""
        self.shown = os.isatty(2)
        self._bar = tqdm(
            total=self._work,
            bar_format="{desc}: {percentage:3.0f}% |{bar:20}| {elapsed}, about {remaining} left",
            smoothing=0,
            mininterval=0.2 if self.shown else 60,
            leave=False,
        )
        self._base = self._a_step = self._done = 0
        return self

    def __exit__(self, *error: object) -> None:
        """Take the bar away."""
        self._bar.close()

    def start(self, label: str, steps: int, work_a_step: int) -> None:
        """Go on to a run."""
        self._label, self._steps, self._a_step = label, steps, work_a_step
        self._base, self._done = self._bar.n, 0
        self._describe()

    def begin(self, steps: int) -> None:
        """Jump over what was done before: it says nothing about the speed."""
        jump = self._base + steps * self._a_step - self._bar.n
        self._bar.initial += jump
        self._bar.n += jump
        self._done = steps

    def step(self) -> None:
        """Count a step."""
        self._done += 1
        self._describe()
        self._bar.update(self._a_step)

    def finish(self) -> None:
        """Count all steps of the run, whichever of them were watched."""
        self.begin(self._steps)

    def left(self) -> str:
        """Time that the rest will take, at the speed so far."""
        done = self._bar.n - self._bar.initial
        seconds = self._bar.format_dict["elapsed"] * (self._work - self._bar.n) / max(done, 1)
        return tqdm.format_interval(seconds)

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        self._bar.write(f"cnncourse: {line}")

    def _describe(self) -> None:
        text = f"{self._label} {self._done:,}/{self._steps:,} steps"
        self._bar.set_description_str(text, refresh=False)
