"""What the monitor costs: the same training with and without it, in turns, on this machine."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import torch

from rtvoice.train.monitor.monitor import Monitor
from rtvoice.train.whisper.losses import StftLoss
from rtvoice.train.whisper.student import TIERS, WhisperStudent


def measure(*, steps: int = 300, tier: str = "default", batch: int = 8, seconds: float = 1.0) -> dict[str, Any]:
    """Train two like students side by side, one of them watched, and compare their CPU time.

    The order of the two changes with every step, and both see the same inputs, so that whatever else the machine
    does falls on both alike.

    Parameters
    ----------
    steps : int
        Of each.
    tier : str
        Of the whisper student: `default` or `hq`.
    batch, seconds : int, float
        Examples of a step, and their length.

    Returns
    -------
    dict
        `overhead`: share of the plain run's CPU time that the watched one takes more; `overhead_own`: the share by the
        monitor's own clock; `set_up_seconds`: of the first sample; `samples`, `probes`: how many were taken;
        `step_ms`, `steps`, `same_weights`: whether both ended with the same bits.
    """
    warm = _training(tier, 3, batch, seconds, None)
    for _ in range(3):  # what torch sets up at its first step is nobody's
        next(warm)
    with tempfile.TemporaryDirectory() as folder:
        runs = [_training(tier, steps, batch, seconds, None), _training(tier, steps, batch, seconds, Path(folder))]
        times: list[list[float]] = [[], []]
        for step in range(steps):
            for which in (0, 1) if step % 2 else (1, 0):
                began = time.process_time()
                state = next(runs[which])
                times[which].append(time.process_time() - began)
                if which:
                    monitor = state
        plain, watched = sum(times[0]), sum(times[1])
        assert isinstance(monitor, Monitor)
        points = {name: monitor._series.points(name) for name in ("update_ratio", "never")}
        models = [next(run) for run in runs]
        monitor.finish()
    same = all(torch.equal(a, b) for a, b in zip(models[0].parameters(), models[1].parameters(), strict=True))
    return {
        "overhead": watched / plain - 1,
        "overhead_own": monitor.overhead,
        "set_up_seconds": times[1][0] - median(times[0]),
        "samples": len(points["update_ratio"]),
        "probes": len(points["never"]),
        "steps": steps,
        "step_ms": 1000 * median(times[0]),
        "tier": tier,
        "threads": torch.get_num_threads(),
        "same_weights": same,
    }


def _training(tier: str, steps: int, batch: int, seconds: float, folder: Path | None) -> Iterator[Any]:
    """Train a step at each `next`; give the monitor while training, and the model at the end."""
    torch.manual_seed(0)
    model = WhisperStudent(TIERS[tier])
    stft = StftLoss()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-3)
    draws = torch.Generator().manual_seed(1)
    length = round(16000 * seconds) // 160 * 160
    monitor = None
    if folder is not None:
        probe = 0.1 * torch.randn(4, length // 320 * 160, 1, generator=torch.Generator().manual_seed(2))
        monitor = Monitor(model, run="watched", store=folder / "runs.db", total=steps, probe=probe)
    for _ in range(steps):
        if monitor is not None:
            monitor._last = time.perf_counter()  # the other training's step is no part of this one
        source = 0.1 * torch.randn(batch, length, 1, generator=draws)
        target = 0.5 * source
        noise = torch.random.get_rng_state()
        torch.manual_seed(3)  # both students draw the same noise, whoever comes first
        output = model(source)
        torch.random.set_rng_state(noise)
        loss = stft(output[..., 0], target[..., 0])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if monitor is not None:
            monitor.step(loss=loss, outputs=output, targets=target)
        yield monitor
    yield model
