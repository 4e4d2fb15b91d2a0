"""Kill rules as an Optuna pruner."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from optuna.pruners import BasePruner

from rtvoice.train.monitor.store import Store

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial

#: A trial says with `trial.set_user_attr(RUN, name)` which run it trains.
RUN = "rtvoice_run"


class MonitorPruner(BasePruner):  # type: ignore[misc, unused-ignore]
    """Prunes a trial when a kill rule has been met in its run.

    ::

        study = optuna.create_study(pruner=MonitorPruner("runs.db"))

        def objective(trial):
            trial.set_user_attr("rtvoice_run", f"trial-{trial.number}")
            monitor = Monitor(model, run=f"trial-{trial.number}", store="runs.db", project="my-study", total=steps)
            for step in range(steps):
                ...
                monitor.step(loss=loss, outputs=outputs, targets=targets)
                if step % 50 == 0:
                    trial.report(float(loss), step)
                    if trial.should_prune():
                        raise optuna.TrialPruned

    Parameters
    ----------
    store : path-like
        The run store.
    inner : BasePruner or None
        Asked as well: a trial that either of them ends is pruned.
    shadow : bool
        Whether rules met in shadow mode prune too, which is how a study acts on rules while its monitors only note
        them. Survivors are spared all the same.
    """

    def __init__(self, store: str | os.PathLike[str], *, inner: BasePruner | None = None, shadow: bool = True) -> None:
        self._store, self._inner, self._shadow = store, inner, shadow

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Return whether the trial is to be ended."""
        if self._inner is not None and self._inner.prune(study, trial):
            return True
        run = trial.user_attrs.get(RUN)
        if run is None:
            return False
        actions = {"kill", "shadow"} if self._shadow else {"kill"}
        with Store(self._store, create=False) as store:
            return any(decision["run"] == run and decision["action"] in actions for decision in store.decisions())
