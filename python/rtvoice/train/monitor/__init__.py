"""Watches training runs: three lines in a loop, a run store, and rules that end hopeless runs on evidence.

::

    monitor = Monitor(model, run="a", store="runs.db", total=10_000)
    ...  # after each optimizer step:
    monitor.step(loss=loss, outputs=outputs, targets=targets, discriminator=d_loss)
    if monitor.should_stop:
        break

`rtvoice monitor report` shows what the store holds; `units` says what counts as on. The store, the rules and the
report need no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rtvoice.train.monitor.rules import Rule
from rtvoice.train.monitor.store import LABELS, Store, StoreError

if TYPE_CHECKING:
    from rtvoice.train.monitor.monitor import Monitor

__all__ = ["LABELS", "Monitor", "Rule", "Store", "StoreError"]


def __getattr__(name: str) -> Any:
    if name == "Monitor":
        from rtvoice.train.monitor.monitor import Monitor

        return Monitor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
