"""The largest batch that fits: found on paper, then confirmed."""

from typing import Any

from cnncourse.memory.experiments import experiment
from cnncourse.memory.planning import Plan, plan
from cnncourse.networks import Network

MOST = 2**20  # images in a batch; nobody asks for more
TRIES = 4
AIM = 0.96  # after a miss, as a share of the budget: no two steps need quite the same


class Fit(int):
    """The batch size, as a whole number, and what it rests on.

    plan, measured
        Its `Plan`, and the peak in bytes that was measured; None if nothing was.
    """

    plan: Plan
    measured: int | None

    def __new__(cls, batch_size: int, planned: Plan, measured: int | None) -> "Fit":
        """Make the number and hang the rest on it."""
        self = super().__new__(cls, batch_size)
        self.plan, self.measured = planned, measured
        return self

    def __repr__(self) -> str:
        """Say batch and bytes in MB."""
        measured = "not measured"
        if self.measured is not None:
            measured = f"measured {self.measured / 1e6:,.1f} MB"
        return f"batch {int(self)} (plan {self.plan.total / 1e6:,.1f} MB, {measured})"


def largest_batch(
    network: Network | str | Any,
    budget: int,
    *,
    training: bool = True,
    optimizer: str = "adam",
    policy: str = "float32",
    api: str = "keras",
    confirm: bool = True,
) -> Fit:
    """Find the largest batch whose peak stays within ``budget`` bytes.

    Bisection over plans finds it. With ``confirm`` it is then measured in a process of its own, and
    if the peak is above the budget, what the plan was short of it is taken off, and 4 %. Raises
    ValueError if not one image fits, RuntimeError if the measurement fails. Lesson 14 uses it.
    """
    settings: dict[str, Any] = {"optimizer": optimizer, "policy": policy}
    allowed = budget
    for _ in range(TRIES):
        batch = _by_plan(network, allowed, budget, training=training, **settings)
        planned = plan(network, batch, training=training, **settings)
        if not confirm:
            return Fit(batch, planned, None)
        measured = _measured(network, batch, training, optimizer, policy, api)
        if measured <= budget:
            return Fit(batch, planned, measured)
        allowed = int(AIM * planned.total * budget / measured)
    raise RuntimeError(
        f"batch {batch} took {measured:,} bytes where {planned.total:,} were planned; of {TRIES} "
        f"tries none fits {budget:,}"
    )


def _by_plan(network: Any, allowed: int, budget: int, **settings: Any) -> int:
    def total(batch: int) -> int:
        return plan(network, batch, **settings).total

    if total(1) > allowed:
        raise ValueError(
            f"budget is {budget:,} bytes; one image alone takes {total(1):,}: take a smaller "
            "network or optimizer"
        )
    fits, too_many = 1, 2
    while too_many <= MOST and total(too_many) <= allowed:
        fits, too_many = too_many, 2 * too_many
    while too_many - fits > 1:
        middle = (fits + too_many) // 2
        fits, too_many = (middle, too_many) if total(middle) <= allowed else (fits, middle)
    return fits


def _measured(
    network: Any, batch: int, training: bool, optimizer: str, policy: str, api: str
) -> int:
    from cnncourse.memory.tasks import evaluation, training_step

    common = {"network": network, "batch_size": batch, "api": api, "policy": policy}
    if training:
        outcome = experiment(training_step, optimizer=optimizer, **common)
    else:
        outcome = experiment(evaluation, images=batch, **common)
    if not outcome.done:
        raise RuntimeError(f"measuring batch {batch} failed: {outcome.ended}: {outcome.error}")
    return outcome.value["peak"]
