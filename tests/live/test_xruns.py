"""Whose an xrun is: what excuses a callback that missed its deadline, and what does not."""

from __future__ import annotations

from typing import Any

import pytest

from live.xruns import STEP, Stolen, ours

BUDGET_US = 2667.0


def summary(*late: dict[str, Any], told: int | None = None) -> dict[str, Any]:
    xruns = sum(call["xrun"] for call in late) if told is None else told
    return {"xruns_ours": xruns, "budget_us": BUDGET_US, "cpu": {"late": list(late)}}


def call(at: float = 10.0, cpu_us: float = 19488.0, core: int = 1, *, xrun: bool = True) -> dict[str, Any]:
    return {"at": at, "wall_us": cpu_us + 100.0, "cpu_us": cpu_us, "core": core, "xrun": xrun}


def records(taken_at: float, seconds: float, core: int = 1, every: float = STEP) -> Stolen:
    """Return records of 20 s, in which the hypervisor takes ``seconds`` of a core at ``taken_at``."""
    stolen, steps = Stolen(), round(seconds / STEP)
    for i in range(int(20.0 / every)):
        stolen.times.append(i * every)
        stolen.cores.append({0: 500, 1: 700} | {core: (500, 700)[core] + (steps if i * every > taken_at else 0)})
    return stolen


def test_time_taken_from_its_own_core_while_it_ran_excuses_a_callback() -> None:
    assert ours(summary(call()), records(10.01, 0.02)) == 0


@pytest.mark.parametrize(
    "stolen",
    [
        pytest.param(records(10.01, 0.0), id="nothing was taken"),
        pytest.param(records(12.0, 5.0), id="at another time"),
        pytest.param(records(10.01, 0.02, core=0), id="from another core"),
        pytest.param(records(10.25, 0.5, every=0.5), id="nobody looked"),
        pytest.param(Stolen(), id="no records"),
    ],
)
def test_nothing_else_does(stolen: Stolen) -> None:
    assert ours(summary(call()), stolen) == 1


def test_less_than_it_was_late_by_does_not() -> None:
    assert ours(summary(call(cpu_us=60000.0)), records(10.01, 0.02)) == 1


def test_each_xrun_needs_a_callback_of_its_own() -> None:
    """Callbacks without an xrun excuse none, nor do those beyond the records of late ones."""
    stolen = records(10.01, 0.02)
    assert ours(summary(call(xrun=False), told=1), stolen) == 1
    assert ours(summary(call(), told=3), stolen) == 2


def test_the_watcher_sees_the_time_that_it_watched() -> None:
    stolen = Stolen()
    with stolen.watching():
        pass
    assert len(stolen.times) >= 2
    assert stolen.times == sorted(stolen.times)
    assert stolen.total() >= 0.0
