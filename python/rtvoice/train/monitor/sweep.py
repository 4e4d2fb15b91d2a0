"""A sweep of small runs of the project's own student, good and bad ones: the evidence that rules are learned from."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rtvoice.nn import ReLU, Sequential
from rtvoice.train.monitor.monitor import Monitor
from rtvoice.train.monitor.store import Store
from rtvoice.train.whisper.data import Batch, Crops
from rtvoice.train.whisper.losses import StftLoss, envelope_loss
from rtvoice.train.whisper.student import Tier, WhisperStudent

CROP = 8000  # samples of a training example, half a second
BATCH = 8
#: Shares of a run at which the held-out loss is taken, the last one for the outcome.
VALIDATED = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0)
#: Of the way from an untrained student to the sweep's reference run: below the first nothing was learned, above the
#: second a run is good. Set before the sweep was run, after 8 runs of another seed.
COLLAPSED_BELOW, GOOD_ABOVE = 0.25, 0.95
OVERFIT = 0.10  # held-out loss this share above its own best, while the training loss went on falling


@dataclass(frozen=True)
class Config:
    """What is varied.

    Attributes
    ----------
    rate : float
        Peak learning rate of AdamW.
    channels, blocks : int
        Width and depth of the body.
    activation : str
        `silu`, the student's own, or `relu`.
    gain : float
        Factor on the initial weights of the body.
    bias : float
        Added to the initial biases before the activations: below -4 (silu) or -1 (relu) units start off.
    envelope, spectral : float
        Weights of the two losses; the student's own are 1 and 0.5.
    clips : int
        Recordings trained on; 0 all.
    wrong : float
        Share of the examples whose target belongs to another example.
    noise : float
        Noise on the targets' log envelope, in nepers.
    clip : float
        Largest gradient norm.
    seed : int
        Of weights and data.
    """

    rate: float = 2e-3
    channels: int = 32
    blocks: int = 3
    activation: str = "silu"
    gain: float = 1.0
    bias: float = 0.0
    envelope: float = 1.0
    spectral: float = 0.5
    clips: int = 0
    wrong: float = 0.0
    noise: float = 0.0
    clip: float = 1.0
    seed: int = 0


def draw(index: int, seed: int) -> Config:
    """Return the configuration of one run; number 0 is the student as it is trained.

    Every kind of trouble is drawn by itself, so that most runs have one or two: few runs of real projects fail in
    every way at once.
    """
    if index == 0:
        return Config()
    rng = np.random.default_rng([seed, index])

    def sometimes(chance: float, value: Any, otherwise: Any) -> Any:
        return value if rng.random() < chance else otherwise

    activation = sometimes(0.5, "relu", "silu")
    lowest = -4.0 if activation == "relu" else -12.0
    return Config(
        rate=float(10 ** rng.uniform(-4.3, -1.0)) if rng.random() < 0.6 else float(10 ** rng.uniform(-3.0, -2.3)),
        channels=int(rng.choice([4, 8, 16, 32, 48])),
        blocks=int(rng.choice([1, 2, 3, 4])),
        activation=activation,
        gain=sometimes(0.35, float(10 ** rng.uniform(-1.0, 1.5)), 1.0),
        bias=sometimes(0.35, float(rng.uniform(lowest, 0.0)), 0.0),
        envelope=sometimes(0.3, float(10 ** rng.uniform(-3.0, 0.5)), 1.0),
        spectral=sometimes(0.3, float(10 ** rng.uniform(-2.0, 0.5)), 0.5),
        clips=sometimes(0.3, int(rng.choice([1, 2, 4])), 0),
        wrong=sometimes(0.25, float(rng.uniform(0.2, 1.0)), 0.0),
        noise=sometimes(0.2, float(rng.uniform(1.0, 8.0)), 0.0),
        clip=sometimes(0.25, 1e6, 1.0),
        seed=index,
    )


def build(config: Config) -> WhisperStudent:
    """Return the student of a configuration, as it starts."""
    torch.manual_seed(config.seed)
    tier = Tier(config.channels, config.blocks, kernel=5, window=400, latency=80, batch=BATCH, rate=config.rate)
    model = WhisperStudent(tier)
    with torch.no_grad():
        for block in model.body.items:
            inner = block.inner
            assert isinstance(inner, Sequential)
            layers: list[Any] = list(inner.items)
            if config.activation == "relu":
                inner.items[3] = ReLU()
            for place in (0, 2, 4):  # across frames, wider, narrower
                layers[place].weight.mul_(config.gain)
            layers[2].bias.add_(config.bias)
    return model


class Speech:
    """Training crops of a configuration, and fixed held-out ones.

    Parameters
    ----------
    teacher : path-like
        Folder that `rtvoice.train.whisper.data.render_teacher` filled: speech and the teacher's answers.
    batch, crop : int
        Examples of a training step, and their samples; held out are half as many more, twice as long.
    """

    def __init__(self, teacher: str | os.PathLike[str], batch: int = BATCH, crop: int = CROP) -> None:
        self.folder, self.batch, self.crop = Path(teacher), batch, crop
        if not (self.folder / "index.json").is_file():
            raise ValueError(
                f"{self.folder} has no index.json: name the whisper teacher's folder, OUT/teacher of "
                "'rtvoice train whisper --data speech --noise noise --out OUT'"
            )
        held_out = Crops(self.folder, True, None, np.random.default_rng(1))
        self.held_out = next(held_out.batches(batch * 3 // 2, 2 * crop))

    def batches(self, config: Config) -> Iterator[Batch]:
        """Yield training batches for ever."""
        rng = np.random.default_rng([config.seed, 7])
        crops = Crops(self.folder, False, None, rng)
        if config.clips:
            chosen = rng.choice(len(crops.items), config.clips, replace=False)
            crops.items = [crops.items[int(i)] for i in chosen]
            samples = np.array([item["samples"] for item in crops.items], np.float64)
            crops.weights = samples / samples.sum()
        for batch in crops.batches(self.batch, self.crop):
            yield self._spoil(batch, config, rng)

    @staticmethod
    def _spoil(batch: Batch, config: Config, rng: np.random.Generator) -> Batch:
        size = len(batch.source)
        wrong = torch.from_numpy(rng.random(size) < config.wrong)
        if wrong.any():
            other = torch.where(wrong, torch.roll(torch.arange(size), 1), torch.arange(size))
            batch = replace(batch, target=batch.target[other], envelope=batch.envelope[other])
        if config.noise:
            noise = torch.from_numpy(rng.normal(0, config.noise, batch.envelope.shape).astype(np.float32))
            batch = replace(batch, envelope=batch.envelope + noise)
        return batch


@dataclass(frozen=True)
class Result:
    """How a run ended.

    Attributes
    ----------
    label : str
        One of `store.LABELS`.
    score : float
        Share of the way from an untrained student to the reference run; higher is better, 1 as good.
    held_out, best : float
        Last held-out loss, and the lowest on the way.
    why : str
        In words.
    """

    label: str
    score: float
    held_out: float
    best: float
    why: str


def judge(curve: list[tuple[float, float]], trained: list[float], untrained: float, reference: float) -> Result:
    """Label a run by its held-out curve.

    Parameters
    ----------
    curve : list of (share of the run, held-out loss)
        At `VALIDATED`.
    trained : list of float
        Training losses.
    untrained, reference : float
        Held-out loss of a student that answers nothing but what it hears, and of the reference run at its end.
    """
    values = [loss for _, loss in curve]
    last, best = values[-1], min((v for v in values if math.isfinite(v)), default=math.inf)
    score = (untrained - last) / (untrained - reference) if math.isfinite(last) else -math.inf
    third = max(1, len(trained) // 3)
    falling = bool(np.mean(trained[-third:]) < np.mean(trained[:third]))
    if not math.isfinite(last) or not all(map(math.isfinite, trained[-third:])):
        return Result("collapse", -1.0, last, best, "the loss is not finite")
    bounded = max(score, -1.0)
    told = f"{score:.0%} of the way from untrained to the reference"
    if score < COLLAPSED_BELOW and not (last > best * (1 + OVERFIT) and falling):
        return Result("collapse", bounded, last, best, told)
    if last > best * (1 + OVERFIT) and falling:
        why = f"held-out loss {last:.3f} at the end, {best:.3f} at best; {told}"
        return Result("poor_generalisation", bounded, last, best, why)
    return Result("good" if score >= GOOD_ABOVE else "poor_performance", bounded, last, best, told)


class Sweep:
    """Runs and labels configurations one after the other, and goes on where it was ended.

    Parameters
    ----------
    teacher : path-like
        See `Speech`.
    store : path-like
        The run store.
    steps : int
        Of each run.
    minutes : float or None
        CPU time of each run instead of steps.
    seed : int
        Of the configurations.
    project : str
        In the store.
    kill : bool
        Whether the project's rules end runs; else they only note it.
    overhead : float
        The monitor's share of the time. Runs of ten seconds hold few samples at less than 2 %.
    every : int or None
        Sample every so many steps instead.
    batch, crop : int
        See `Speech`.
    """

    def __init__(
        self,
        teacher: str | os.PathLike[str],
        store: str | os.PathLike[str],
        *,
        steps: int = 200,
        minutes: float | None = None,
        seed: int = 0,
        project: str = "sweep",
        kill: bool = False,
        overhead: float = 0.02,
        every: int | None = None,
        batch: int = BATCH,
        crop: int = CROP,
    ) -> None:
        self.speech, self.store_path = Speech(teacher, batch, crop), Path(store)
        self.steps, self.minutes, self.seed, self.project = steps, minutes, seed, project
        self.kill, self.overhead, self.every = kill, overhead, every
        self.stft = StftLoss()
        self.untrained = self._held_out_loss(build(Config()))

    def _terms(self, model: WhisperStudent, batch: Batch) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        log_amplitude = model.log_amplitude(batch.source)
        audio = model.synthesis(model.exp(log_amplitude))
        envelope = envelope_loss(log_amplitude, model.teacher_frames(batch.envelope), batch.level)
        spectral: torch.Tensor = self.stft((audio / batch.level)[..., 0], (batch.target / batch.level)[..., 0])
        return audio, envelope, spectral

    def _held_out_loss(self, model: WhisperStudent) -> float:
        """Return the student's own loss, weights 1 and 0.5, on held-out speakers."""
        model.eval()
        with torch.no_grad():
            _, envelope, spectral = self._terms(model, self.speech.held_out)
        model.train()
        return float(envelope + 0.5 * spectral)

    def run(self, runs: int, tell: Callable[[str, float], None] | None = None) -> list[str]:
        """Run configurations 0 to `runs` - 1, less those that are done; return the names of those run now.

        Parameters
        ----------
        runs : int
            How many in all.
        tell : callable or None
            Told what is done and the share of all.
        """
        done: list[str] = []
        for index in range(runs):
            name = f"{self.project}-{self.seed}-{index:03d}"
            with Store(self.store_path) as store:
                known = {run.id: run for run in store.runs(self.project)}
            if name in known and (known[name].label is not None or known[name].status == "killed"):
                continue
            result = self.run_one(name, draw(index, self.seed))
            done.append(name)
            if tell is not None:
                tell(
                    f"{name}: {'ended by a rule' if result is None else f'{result.label} ({result.why})'}", index / runs
                )
        return done

    def run_one(self, name: str, config: Config) -> Result | None:
        """Train one configuration and keep its outcome; `None` if a rule has ended it."""
        model = build(config)
        trainable = [p for p in model.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(trainable, lr=config.rate, betas=(0.9, 0.98), weight_decay=0.01)
        monitor = Monitor(
            model,
            run=name,
            store=self.store_path,
            project=self.project,
            total=None if self.minutes else self.steps,
            probe=self.speech.held_out.source[:4, : self.speech.crop],
            forward=lambda net, probe: net.log_amplitude(probe),
            overhead=self.overhead,
            every=self.every,
            kill=self.kill,
            config=asdict(config),
        )
        batches = self.speech.batches(config)
        curve: list[tuple[float, float]] = []
        losses: list[float] = []
        began, step, progress = time.process_time(), 0, 0.0
        while progress < 1:
            for group in optimizer.param_groups:
                rise = min(1.0, (step + 1) / 20)
                group["lr"] = config.rate * rise * (0.01 + 0.495 * (1 + math.cos(math.pi * progress)))
            batch = next(batches)
            audio, envelope, spectral = self._terms(model, batch)
            loss = config.envelope * envelope + config.spectral * spectral
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            norm = torch.nn.utils.clip_grad_norm_(trainable, config.clip)
            optimizer.step()
            losses.append(loss.item())
            step += 1
            spent = time.process_time() - began
            progress = spent / (60 * self.minutes) if self.minutes else step / self.steps
            validation = None
            if len(curve) < len(VALIDATED) and progress >= VALIDATED[len(curve)] - 1e-9:
                validation = self._held_out_loss(model)
                curve.append((progress, validation))
            monitor.step(
                loss=losses[-1],
                outputs=audio,
                targets=batch.target,
                gradient=norm,
                validation=validation,
                progress=min(progress, 1.0),
            )
            if monitor.should_stop:
                monitor.finish()
                return None
        monitor.finish()
        with Store(self.store_path) as store:
            reference = self._reference(store, curve[-1][1] if config == Config() else None)
            result = judge(curve, losses, self.untrained, reference)
            told = {"why": result.why, "held_out": result.held_out, "best": result.best, "reference": reference}
            detail = json.loads(json.dumps(told).replace("Infinity", "null").replace("NaN", "null"))
            store.label(name, result.label, source="run", score=result.score, detail=detail)
        return result

    def _reference(self, store: Store, ours: float | None) -> float:
        """Return the held-out loss at the end of run 0, which every other run is judged against."""
        if ours is not None:
            return ours
        points = store.series(f"{self.project}-{self.seed}-000", "validation").get("validation")
        if points is None or not np.isfinite(points[-1, 2]):
            raise ValueError(f"{store.path}: the sweep's reference run 0 is not there; run it first")
        return float(points[-1, 2])
