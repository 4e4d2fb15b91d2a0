"""The monitor: three lines in any torch training loop."""

from __future__ import annotations

import io
import json
import math
import os
import sqlite3
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rtvoice.train.monitor.census import Count, Judge, Layer, Rolling
from rtvoice.train.monitor.changepoint import adversary_catching
from rtvoice.train.monitor.inputs import Call, Inputs, check_probe, is_compiled, is_constant, roots, unwrap
from rtvoice.train.monitor.means import Mean, Number, finite
from rtvoice.train.monitor.pruning import Decision, Pruner, Series, is_survivor
from rtvoice.train.monitor.ranks import Ranks
from rtvoice.train.monitor.recorder import Recorder
from rtvoice.train.monitor.rules import Rule, from_json
from rtvoice.train.monitor.schedule import Schedule
from rtvoice.train.monitor.signals import Updates, gradient_norm, output_signals
from rtvoice.train.monitor.store import Store
from rtvoice.train.monitor.units import KINDS

PROBE_EXAMPLES = 4
PROBE_LIMIT = 1 << 18
NONFINITE_LOSSES = 3  # in a row: one alone may be a batch that the loop skips, as under a gradient scaler


class Monitor:
    """Watches a training run: units, power, norms, adversary; keeps it in a run store; ends it by rules if asked to.

    ::

        monitor = Monitor(model, run="a", store="runs.db", total=10_000)
        for batch in batches:
            ...
            optimizer.step()
            monitor.step(loss=loss, outputs=outputs, targets=targets, discriminator=d_loss)
            if monitor.should_stop:
                break
        monitor.finish()

    Parameters
    ----------
    model : torch.nn.Module
        The network as the loop calls it: plain, in DistributedDataParallel, or compiled; a `ModuleDict` of several.
    run : str
        The run's name, unique in the store. The same name again starts it anew, unless `start` is given.
    store : path-like, Store or None
        The run store; `None` keeps nothing.
    project : str
        Runs of one project are compared, and share rules.
    name : str or None
        The name under which `evaluate` and the comparison page know the model; the run's where `None`.
    total : int or None
        Planned steps; rules need it, or `progress` in `step`.
    start : int
        Steps done before: where a resumed run goes on.
    probe : Tensor, tuple or None
        The network's input on which units are counted, always the same; best a few varied examples that are not
        trained on. `None` takes 4 examples of the first batch.
    forward : callable or None
        How the network answers the probe, `forward(model, probe)`, where `model(*probe)` is not it.
    adversary : torch.nn.Module or None
        The discriminator, for its gradient's norm.
    overhead : float
        Share of the time that the monitor may take.
    every : int or None
        Sample every so many steps instead.
    kill : bool
        Whether rules end the run; else they only note that they would have (shadow mode).
    rules : sequence of Rule, path-like or None
        Kill rules; `None` takes those that were learned for the project (`rtvoice monitor rules --learn`).
    survivors : float
        Share of runs that chance spares, so that rules stay honest.
    warm_up, patience : float, int
        Share of the run before which no rule is asked; samples in a row at which it must be met.
    checkpoint : callable or None
        Called once before the run is ended, so that it can be resumed.
    folder : path-like or None
        Where `killed.json` with the reason goes.
    config : mapping or None
        What to remember of the run: learning rate, width.
    kinds : mapping or None
        Class names of own activations -> kind, as in `units`.

    Raises
    ------
    ValueError
        A share out of range, or a probe in which nothing varies.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        *,
        run: str,
        store: str | os.PathLike[str] | Store | None = "runs.db",
        project: str = "default",
        name: str | None = None,
        total: int | None = None,
        start: int = 0,
        probe: Any = None,
        forward: Callable[[Any, Any], Any] | None = None,
        adversary: torch.nn.Module | None = None,
        overhead: float = 0.006,
        every: int | None = None,
        kill: bool = False,
        rules: Sequence[Rule] | str | os.PathLike[str] | None = None,
        survivors: float = 0.1,
        warm_up: float = 0.03,
        patience: int = 2,
        checkpoint: Callable[[], object] | None = None,
        folder: str | os.PathLike[str] | None = None,
        config: Mapping[str, Any] | None = None,
        kinds: Mapping[str, str] | None = None,
    ) -> None:
        if not 0 <= survivors <= 1:
            raise ValueError(f"a share of survivors of {survivors:g} is not between 0 and 1")
        if total is not None and total < 1:
            raise ValueError(f"a run of {total} steps cannot be monitored; give total=None where it is not known")
        self.run, self.project, self.total = run, project, total
        self.step_count = start
        self.kill, self.reason = kill, ""
        self.decisions: list[Decision] = []
        self.layers: list[Layer] = []
        self.batch_layers: list[Layer] = []
        self.values: dict[str, float] = {}
        networks = roots(model)
        nets = {name: unwrap(network) for name, network in networks.items()}
        self._net = nets.get("", model)
        self._parameters = [p for net in nets.values() for p in net.parameters()]
        self._adversary = None if adversary is None else unwrap(adversary)
        self._checkpoint, self._folder = checkpoint, None if folder is None else Path(folder)
        self._forward = forward
        self._given = None if probe is None else check_probe(probe)
        self._probe: list[Call] = [] if self._given is None else [Call(self._net, self._given, {})]
        self._inputs = Inputs(networks)
        self._recorder = Recorder(nets, kinds)
        self._updates = Updates(self._parameters)
        self._ranks = Ranks()
        self._schedule = Schedule(overhead, total, every)
        self._schedule.next = start + 1
        self._rolling = Rolling()
        never_is_dead = {kind.name: kind.never_is_dead for kind in KINDS.values()}
        self._probe_judge, self._batch_judge = Judge(never_is_dead), Judge(never_is_dead)
        self._series = Series()
        self._curve: list[tuple[float, float, float]] = []
        self._means: dict[str, Mean] = {}
        self._first_loss = math.nan
        self._bad_losses = 0
        self._stop = False
        self._survivor = is_survivor(run, survivors)
        self._spared = False
        self._sampling = False
        self._probe_next, self._constant = True, False
        self._warned = False
        self._store: Store | None = None
        self._seconds = self._cpu_seconds = 0.0
        if self._ranks.rank == 0 and store is not None:
            self._open_store(store, name, config, start)
        if rules is None:
            learned = from_json(self._store.rules(project)) if self._store else []
        elif isinstance(rules, str | os.PathLike):
            learned = from_json(json.loads(Path(rules).read_text())["rules"])
        else:
            learned = list(rules)
        self._pruner = Pruner(learned, warm_up=warm_up, patience=patience)
        # What is saved by ending a run: CPU time, or the time that GPUs are taken.
        on_gpu = any(p.is_cuda for p in self._parameters)
        self._work_clock = time.perf_counter if on_gpu else time.process_time
        self._began, self._cpu_began = time.perf_counter(), self._work_clock()
        self._opening = 0.0
        self._progress: float | None = None
        self._open()
        self._last = time.perf_counter()

    @property
    def should_stop(self) -> bool:
        """Whether a rule has ended the run; always false in shadow mode."""
        return self._stop

    @property
    def overhead(self) -> float:
        """The monitor's share of the time without its set-up, by the latest steps; NaN before the second sample."""
        return self._schedule.share(self.step_count)

    def step(
        self,
        *,
        loss: Number,
        outputs: Any = None,
        targets: Any = None,
        discriminator: Number | None = None,
        generator: Number | None = None,
        content: Number | None = None,
        validation: Number | None = None,
        gradient: Number | None = None,
        progress: float | None = None,
        **extra: Number,
    ) -> None:
        """Take in one optimizer step, after it; call it once however many batches were accumulated.

        Parameters
        ----------
        loss : float or Tensor
            Training loss.
        outputs, targets : Tensor or None
            What the network gave and should have given: audio or features; only read at sampled steps.
        discriminator, generator : float, Tensor or None
            The discriminator's loss, and the adversarial part of the generator's.
        content : float, Tensor or None
            The loss without its adversarial part; `loss` where it is not given.
        validation : float, Tensor or None
            Loss on held-out data, at the steps that have it.
        gradient : float, Tensor or None
            The gradient's norm before clipping (what `clip_grad_norm_` returns). Without it the norm is taken from
            `.grad`, after clipping, and only if the loop has not yet cleared it.
        progress : float or None
            Share of the planned run that is done, where the run is planned by time.
        **extra : float or Tensor
            Further numbers to keep.
        """
        now = time.perf_counter()
        self.step_count += 1
        known: dict[str, Number | None] = {"loss": loss, "content": content, "discriminator": discriminator}
        known |= {"generator": generator, **extra}
        for name, value in known.items():
            if value is not None:
                self._mean(name).add(value)
        if not finite(loss):
            self._bad_losses += 1
        else:
            self._bad_losses = 0
        if progress is None and self.total:
            progress = min(1.0, self.step_count / self.total)
        self._progress = progress
        if validation is not None:
            self._keep({"validation": float(validation)})
        if self._sampling:
            self._sample(outputs, targets, gradient, progress, now)
        else:
            self._schedule.note_step(now - self._last)
            lost = self._bad_losses >= NONFINITE_LOSSES and self._ranks.size == 1
            if lost and self._bad_losses == NONFINITE_LOSSES:
                self._decide({"nonfinite": 1.0, "loss": math.nan}, progress)
        if self.step_count + 1 >= self._schedule.next and not self._sampling:
            self._open()
        self._last = time.perf_counter()

    def finish(self, status: str = "finished") -> None:
        """Close the run: `finished`, or `failed`; a run that a rule has ended stays `killed`."""
        self._close_hooks()
        if self._store is None:
            return
        left = {name: mean.take() for name, mean in self._means.items() if mean.count}
        if left and self._ranks.size == 1:
            self._keep(left | self._clocks())
        with self._careful():
            self._store.finish(self.run, "killed" if self._stop else status)
            self._store.close()
        self._store = None

    def __enter__(self) -> Monitor:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the run, as `failed` after an exception."""
        self.finish("finished" if kind is None else "failed")

    # What follows runs at sampled steps only.

    def _open(self) -> None:
        """Put the hooks in place for the step to come."""
        began = time.perf_counter()
        self._sampling = True
        self._compiled = any(is_compiled(network) for network in self._inputs.networks.values())
        if self._compiled or not self._probe:
            self._inputs.attach()
        if not self._compiled:
            self._recorder.attach()
        self._updates.remember()
        self._recorder.seconds = 0.0
        self._opening = time.perf_counter() - began

    def _close_hooks(self) -> None:
        self._recorder.detach()
        self._inputs.detach()
        self._sampling = False

    def _sample(self, outputs: Any, targets: Any, gradient: Number | None, progress: float | None, now: float) -> None:
        self._close_hooks()
        counts = self._recorder.collect()
        heard, self._inputs.calls = self._inputs.calls, {}
        if self._compiled and heard:
            counts, _ = self._replay([call.first(PROBE_EXAMPLES) for call in heard.values()])
        if not self._probe and heard:
            self._probe = [call.first(PROBE_EXAMPLES) for call in heard.values()]
        values = self._measure(outputs, targets, gradient)
        probe_began = time.perf_counter()
        probed = self._run_probe() if self._probe_next and self._probe else {}
        probe_seconds = time.perf_counter() - probe_began if probed else 0.0
        if not counts and not probed and not self._warned:
            self._warned = True
            warnings.warn(
                "the monitor saw no unit of the network: give it the module that the loop calls (the compiled one), "
                "or a probe and how the network answers it",
                stacklevel=3,
            )
        if self._recorder.failure is not None and not self._warned:
            self._warned = True
            error = self._recorder.failure
            words = (
                f"the monitor could not watch all of the network ({type(error).__name__}: {error}); training goes on"
            )
            warnings.warn(words, stacklevel=3)
        if probed:
            values["constant"] = float(self._constant)
        (counts, probed), values = self._ranks.merge([counts, probed], values)
        self._rolling.add(counts)
        self.batch_layers = self._batch_judge(self._rolling.counts())
        if probed:
            self.layers = self._probe_judge(probed)
        values |= self._summary(bool(probed))
        if probed:
            # Of any rank: a mean above 0. Past a dead layer within a residual block the signal still gets through.
            values["blocked"] = float(values["dead_layers"] > 0 and values.pop("constant") > 0)
        values |= self._adversary_signals(values, progress)
        values["nonfinite"] = float(
            self._bad_losses >= NONFINITE_LOSSES or values.get("weights_finite", 1.0) < 1.0  # of any rank
        )
        self._decide(values, progress, bool(probed))
        cost = time.perf_counter() - now + self._opening + self._recorder.seconds
        self._schedule.note_sample(cost, probe_seconds)
        wait, probe_next = self._schedule.wait(self.step_count), self._schedule.probe_due(self.step_count)
        stop, shared_wait, shared_probe = self._ranks.share([self._stop, wait, probe_next])
        if stop and not self._stop:
            self._stop, self.reason = True, "rank 0 ended the run"
        self._probe_next = bool(shared_probe)
        self._schedule.next = self.step_count + int(shared_wait)

    def _measure(self, outputs: Any, targets: Any, gradient: Number | None) -> dict[str, float]:
        values = {name: mean.take() for name, mean in self._means.items() if mean.count}
        if math.isnan(self._first_loss):
            self._first_loss = values["loss"]
        if self._first_loss > 0:
            values["loss_fall"] = math.log10(max(values["loss"], 1e-12) / self._first_loss)
        if isinstance(outputs, Tensor):
            values |= output_signals(outputs, targets if isinstance(targets, Tensor) else None)
        norm = gradient_norm(self._parameters) if gradient is None else float(gradient)
        if not math.isnan(norm):
            values["gradient_norm"] = math.log10(norm + 1e-20)
        if self._adversary is not None:
            theirs = gradient_norm(self._adversary.parameters())
            if theirs > 0 and norm > 0:
                values["gradient_balance"] = math.log10(theirs / norm)
        if values.get("discriminator", 0) > 0 and values.get("generator", 0) > 0:
            values["balance"] = math.log10(values["discriminator"] / values["generator"])
        return values | self._updates.ratios()

    def _run_probe(self) -> dict[str, Count]:
        limit, self._recorder.limit = self._recorder.limit, PROBE_LIMIT
        try:
            found, outputs = self._replay(self._probe, self._forward)
            self._constant = bool(outputs) and is_constant(outputs[-1])
            return found
        finally:
            self._recorder.limit = limit

    def _replay(
        self, calls: Sequence[Call], how: Callable[[Any, Any], Any] | None = None
    ) -> tuple[dict[str, Count], list[Any]]:
        """Run the network as it is, watched, without any trace in it; return what was counted, and its outputs."""
        outputs = []
        with self._recorder.replay():
            for call in calls:
                try:
                    outputs.append(call.run(how))
                except Exception as error:  # a network of any kind: its training must go on
                    self._recorder.failure = self._recorder.failure or error
        return self._recorder.collect(), outputs

    def _summary(self, probed: bool) -> dict[str, float]:
        """Sum the layers up into the heuristics; the training batches stand in where there is no probe set."""
        found: dict[str, float] = {}
        judge = self._probe_judge if self._probe else self._batch_judge
        layers = self.layers if self._probe else self.batch_layers
        if self.batch_layers:
            found["never_batches"] = _share(self.batch_layers, "never")
        if layers and (probed or not self._probe):
            found |= {name: _share(layers, name) for name in ("never", "always", "varies", "example_varies", "flat")}
            found["never_worst"] = max(layer.never for layer in layers)
            found["churn"] = _share(layers, "revived") + _share(layers, "newly_dead")
            change = [
                math.log10(layer.deviation / base)
                for layer in layers
                if layer.deviation > 0 and (base := float(np.median(judge.baseline[layer.name][1]))) > 0
            ]
            for name, numbers in (
                ("spread", [layer.spread for layer in layers]),
                ("mean_drift", [layer.drift for layer in layers]),
                ("deviation_change", change),
            ):
                finite = [x for x in numbers if math.isfinite(x)]
                if finite:
                    found[name] = float(np.median(finite))
                    if name != "deviation_change":
                        found[f"{name}_worst"] = max(finite)
        seen = [layers for layers in (self.batch_layers, self.layers if self._probe else []) if layers]
        dead = [{layer.name for layer in layers if layer.dead} for layers in seen]
        found["dead_layers"] = float(len(set.intersection(*dead))) if dead else 0.0
        return found

    def _adversary_signals(self, values: Mapping[str, float], progress: float | None) -> dict[str, float]:
        if "discriminator" not in values:
            return {}
        at = float(self.step_count) if progress is None else progress
        self._curve.append((at, values["discriminator"], values.get("content", values["loss"])))
        if len(self._curve) > 240:
            self._curve = self._curve[::2]
        curve = np.array(self._curve)
        return adversary_catching(curve[:, 0], curve[:, 1], curve[:, 2])

    def _decide(self, values: dict[str, float], progress: float | None, probed: bool = False) -> None:
        """Keep a sample, and act on the rules."""
        values |= self._clocks()
        seconds = values["seconds"]
        # In one transaction, or a killed run keeps a step's numbers without its layers.
        with self._careful(), nullcontext() if self._store is None else self._store.transaction():
            self._keep(values)
            if self._ranks.rank == 0 and self._store is not None:
                self._store.record_layers(self.run, "batches", self.step_count, progress, self.batch_layers)
                if probed:
                    self._store.record_layers(self.run, "probe", self.step_count, progress, self.layers)
                    if self._store.baseline(self.run) is None:
                        self._store.set_baseline(self.run, self._pack_baseline())
        if self._ranks.rank != 0:
            return
        for decision in self._pruner.check(self._series, self.step_count, progress):
            self.decisions.append(decision)
            spared = (self._survivor or self._spared) and not decision.certain
            action = "survivor" if spared else "kill" if self.kill else "shadow"
            if self._store is not None:
                with self._careful():
                    self._store.decide(
                        self.run,
                        self.step_count,
                        progress,
                        decision.rule,
                        decision.value,
                        action,
                        decision.reason,
                        seconds,
                    )
            if action == "kill" and not self._stop:
                self._end(decision, progress)

    def _keep(self, values: Mapping[str, float]) -> None:
        """Keep numbers of this step, in memory and in the store."""
        self.values = {**self.values, **values}
        self._series.add(self.step_count, self._progress, values)
        if self._store is not None:
            with self._careful():
                self._store.record(self.run, self.step_count, self._progress, values)

    def _clocks(self) -> dict[str, float]:
        found = {
            "seconds": self._seconds + time.perf_counter() - self._began,
            "cpu_seconds": self._cpu_seconds + (self._work_clock() - self._cpu_began) * self._ranks.size,
        }
        return found if math.isnan(self.overhead) else {**found, "overhead": self.overhead}

    def _end(self, decision: Decision, progress: float | None) -> None:
        self._stop, self.reason = True, decision.reason
        if self._checkpoint is not None:
            self._checkpoint()
        if self._store is not None:
            with self._careful():
                self._store.finish(self.run, "killed")
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            told = {
                "run": self.run,
                "step": self.step_count,
                "progress": progress,
                "rule": decision.rule,
                "value": decision.value if math.isfinite(decision.value) else None,
                "reason": decision.reason,
                "resume": f"rtvoice monitor spare {self.run}, then give the training command again with --resume",
            }
            partial = self._folder / "killed.json.partial"
            partial.write_text(json.dumps(told, indent=1) + "\n")
            partial.replace(self._folder / "killed.json")

    def _open_store(
        self, store: str | os.PathLike[str] | Store, name: str | None, config: Mapping[str, Any] | None, start: int
    ) -> None:
        self._store = store if isinstance(store, Store) else Store(store)
        row = self._store.begin(
            self.run,
            project=self.project,
            model=name,
            planned=self.total,
            survivor=self._survivor,
            config=config,
            start=start,
        )
        self._spared = row.spared
        self._seconds, self._cpu_seconds = row.seconds, row.cpu_seconds
        packed = self._store.baseline(self.run)
        if packed is not None:
            self._unpack_baseline(packed)
        for heuristic, points in self._store.series(self.run).items():
            for step, progress, value in points:
                self._series.add(int(step), None if math.isnan(progress) else progress, {heuristic: value})
        losses = self._series.points("loss")
        if losses.size:
            content = self._series.points("content")
            curves = [self._series.points("discriminator"), content if content.size else losses]
            if curves[0].shape == curves[1].shape:
                at = curves[0][:, 0] if self.total is None else curves[0][:, 1]
                self._curve = list(zip(at.tolist(), curves[0][:, 2].tolist(), curves[1][:, 2].tolist(), strict=True))

    def _pack_baseline(self) -> bytes:
        packed = io.BytesIO()
        names = list(self._probe_judge.baseline)
        arrays = {f"{i}": np.stack(self._probe_judge.baseline[name]) for i, name in enumerate(names)}
        head = json.dumps({"layers": names, "first_loss": self._first_loss}).encode()
        np.savez_compressed(packed, head=np.frombuffer(head, np.uint8), **arrays)  # type: ignore[arg-type]
        return packed.getvalue()

    def _unpack_baseline(self, packed: bytes) -> None:
        with np.load(io.BytesIO(packed), allow_pickle=False) as arrays:
            head = json.loads(arrays["head"].tobytes())
            self._first_loss = float(head["first_loss"])
            for i, name in enumerate(head["layers"]):
                mean, deviation = arrays[f"{i}"]
                self._probe_judge.baseline[name] = (mean, deviation)

    def _mean(self, name: str) -> Mean:
        found = self._means.get(name)
        if found is None:
            found = self._means[name] = Mean()
        return found

    def _careful(self) -> _Careful:
        return _Careful(self)


class _Careful:
    """Lets a training run go on where its store fails: it says so once, and keeps nothing from then on."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> bool:
        if not isinstance(error, sqlite3.Error):
            return False
        warnings.warn(f"the run store failed ({error}): the run goes on, unrecorded", stacklevel=3)
        self._monitor._store = None
        return True


def _share(layers: Sequence[Layer], name: str) -> float:
    """Return a share of all units of the network."""
    units = sum(layer.units for layer in layers)
    return float(sum(getattr(layer, name) * layer.units for layer in layers) / units)
