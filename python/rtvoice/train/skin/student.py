"""Trains a student on what the master has spoken; a second stage sets an adversary on it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from rtvoice.train import checkpoint, runner
from rtvoice.train.data import Augment
from rtvoice.train.data.augment import Chances
from rtvoice.train.models.adversary import Adversary, Balancer, discriminator_loss, feature_distance, generator_loss
from rtvoice.train.models.blocks import mixed
from rtvoice.train.models.grow import grown
from rtvoice.train.models.losses import Reconstruction, Weights
from rtvoice.train.models.pitch import CENTRE
from rtvoice.train.models.student import SHAPES, Heard, Student, StudentShape
from rtvoice.train.optimise import to_device
from rtvoice.train.recipe import free, later
from rtvoice.train.runner import Training, fit, part, step_rng
from rtvoice.train.schedule import Phase
from rtvoice.train.skin.master import Once, figures
from rtvoice.train.skin.material import SKIN, PrepareParams
from rtvoice.train.skin.pairs import LEAD, TAIL, Lesson, Pairs, stacked
from rtvoice.train.skin.render import RenderParams
from rtvoice.train.skin.write import write_skin
from rtvoice.train.stages import StageContext

FILE = "student.pt"


@dataclass(frozen=True)
class StudentParams:
    """The tables `[student]` and, for its second part, `[fine-tune]`.

    Attributes
    ----------
    channels, blocks, kernel, widen : int
        Of the body; 0: the tier's own.
    batch, frames : int
        Lessons of a step, and frames of a lesson.
    noise : str
        Folder of noises and rooms for the disturbances, relative to `--data` or absolute; empty: coloured noise only.
    disturbed : float
        Share of lessons whose source is disturbed.
    taught : float
        Share of the distance to the master's hidden layer in the loss.
    listening : float
        Share of F0, voicing and register.
    judged : float
        Share of each lesson that the discriminators see.
    grown_from : str
        Of a tier's own table (`[student.hq]`): the tier before it whose finished student this one begins as, larger by
        blocks, widen and rate (`rtvoice.train.models.grow`); empty: it learns from nothing.
    weights : str
        What the model file's matrices are stored as: `fp16`, half the bytes, or `fp32`.
    periods : tuple of int
        Periods, in samples, of judges of the waveform in an adversarial phase, beside those of spectrograms.
    shares : mapping of str to float
        What moves the student in an adversarial phase, by the gradient on its audio.
    phases, training
        See `rtvoice.train.runner`.
    """

    channels: int = 0
    blocks: int = 0
    kernel: int = 0
    widen: int = 0
    batch: int = 12
    frames: int = 152
    noise: str = ""
    disturbed: float = 0.6
    taught: float = 1.0
    listening: float = 0.3
    judged: float = 0.5
    grown_from: str = free("")  # its key is that of the input
    weights: Literal["fp16", "fp32"] = "fp16"
    periods: tuple[int, ...] = later(())
    shares: dict[str, float] = field(default_factory=lambda: {"reconstruction": 1.0, "adversary": 0.3, "features": 0.6})
    phases: tuple[Phase, ...] = (Phase("answers", minutes=120, rate=1.2e-3, final=0.1),)
    training: Training = Training(clip=2.0, adversary_clip=2.0)

    def shape(self, tier: str, taught: int) -> StudentShape:
        """Return the sizes of a tier's student."""
        own = {name: getattr(self, name) for name in ("channels", "blocks", "kernel", "widen") if getattr(self, name)}
        if tier not in SHAPES:
            raise ValueError(f"there is no tier {tier!r}; there are {', '.join(SHAPES)}")
        return replace(SHAPES[tier], **own, taught=taught)


@dataclass(frozen=True)
class FineTuneParams(StudentParams):
    """The table `[fine-tune]`.

    Attributes
    ----------
    real : str
        What the discriminators are told is a voice: `answers`, the master's, or `recordings`, the target's own.
    """

    real: Literal["answers", "recordings"] = "answers"
    phases: tuple[Phase, ...] = (
        Phase("adversary", minutes=60, rate=4e-4, adversary_rate=6e-4, adversarial=True, final=0.1),
    )

    def __post_init__(self) -> None:
        """Refuse what belongs to the stage before."""
        if self.grown_from:
            raise ValueError(
                "grown_from belongs to the tier's table of [student]; a fine-tuning goes on with its own student"
            )


class StudentTask:
    """Network, lessons and losses of a student.

    Parameters
    ----------
    student : Student
        The network.
    pairs : Pairs
        Its lessons.
    params : StudentParams
        How it is trained.
    seed : int
        Of lessons and disturbances.
    noise : Path or None
        Folder of noises and rooms.
    recordings : sequence of int
        Pairs whose source is the target's own voice, to show to the discriminators; none: they see the answers.
    """

    def __init__(
        self,
        student: Student,
        pairs: Pairs,
        params: StudentParams,
        seed: int = 0,
        noise: Path | None = None,
        recordings: Sequence[int] = (),
    ) -> None:
        self.student, self.pairs, self.params, self.seed = student, pairs, params, seed
        self.recordings = list(recordings)
        shape = student.shape
        self.reconstruction = Reconstruction(shape.rate, shape.hop, Weights())
        self.adversary = Adversary(periods=params.periods)
        self.balancer = Balancer(params.shares)
        self.adversarial, self.size = False, params.batch
        self.train = pairs.select("train")
        held = pairs.select("held_out") or self.train[:8]
        chosen = [held[int(k)] for k in np.linspace(0, len(held) - 1, 16)]
        self.probe = stacked([pairs.lesson(number, 0.3, 200, None) for number in chosen])
        self.augment = Augment(noise, np.random.default_rng(0), Chances())
        self.last: tuple[Tensor, Tensor] | None = None
        self.spoken = Once()

    def begin(self, phase: Phase) -> None:
        """Take up a phase."""
        self.adversarial, self.size = phase.adversarial, phase.batch or self.params.batch

    def models(self) -> dict[str, nn.Module]:
        """Return the networks."""
        return {"student": self.student, "adversary": self.adversary}

    def watched(self) -> dict[str, nn.Module]:
        """Return what the monitor watches: the parts that `loss` calls, which never calls the whole student."""
        return {"body": self.student.body, "ear": self.student.ear}

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint must hold besides."""
        return {"balancer": self.balancer.state_dict()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take it up again."""
        self.balancer.load_state_dict(state["balancer"])

    def batches(self, step: int, rank: int, world: int) -> Iterator[Lesson]:
        """Yield lessons; the same ones for the same step and rank."""
        while True:
            rng = step_rng(self.seed, step)
            drawn = part(self.pairs.draw(self.train, self.size, rng), rank, world)
            shown: list[tuple[int, float] | None] = [None] * len(drawn)
            if self.recordings:
                shown = [one[:2] for one in part(self.pairs.draw(self.recordings, self.size, rng), rank, world)]
            each = zip(drawn, shown, strict=True)
            yield stacked([self.lesson(number, at, seed, real) for (number, at, seed), real in each])
            step += 1

    def lesson(self, number: int, at: float, seed: int, real: tuple[int, float] | None = None) -> Lesson:
        """Return one lesson, disturbed or not, by its seed."""
        rng = np.random.default_rng(seed)
        disturbed = rng.uniform() < self.params.disturbed
        if disturbed:
            self.augment.rng = rng
        return self.pairs.lesson(number, at, self.params.frames, self.augment if disturbed else None, real)

    def speak(self, lesson: Lesson) -> tuple[Heard, Tensor]:
        """Return what the student hears of a lesson, and its answer at the teacher's pitch, `(batch, samples)`."""
        heard = self.student.hear(lesson.source[..., None])
        return heard, self.student.speak(heard, lesson.heights[..., None])[..., 0]

    def terms(self, output: Tensor, lesson: Lesson) -> dict[str, Tensor]:
        """Return the reconstruction's terms inside the lesson."""
        hop = self.student.shape.hop
        inner, frames = slice(LEAD * hop, -TAIL * hop), slice(LEAD, -TAIL)
        terms: dict[str, Tensor] = self.reconstruction.to(output.device)(
            output[:, inner], lesson.answer[:, inner], torch.exp2(lesson.heights[:, frames]), lesson.voiced[:, frames]
        )
        return terms

    def loss(self, lesson: Lesson) -> tuple[Tensor, dict[str, Any]]:
        """Return the loss to differentiate and figures to log; adversarial: a surrogate with the balanced gradient."""
        student, params = self.student, self.params
        heard, output = self.spoken.take(lesson, lambda: self.speak(lesson))
        frames = slice(LEAD, -TAIL)
        ear = student.ear.losses(
            heard.pitch[:, frames], lesson.f0[:, frames], lesson.voiced[:, frames], lesson.register
        )
        aside = params.listening * torch.stack(list(ear.values())).sum()
        if student.teach is not None and params.taught:
            foretold = student.teach(heard.body[:, frames].float())
            distance = (foretold - lesson.hidden[:, frames]).abs().mean()
            ear["taught"] = distance / lesson.hidden.abs().mean().clamp(min=1e-3)
            aside = aside + params.taught * ear["taught"]
        self.last = (output.detach(), lesson.answer)
        if not self.adversarial:
            terms = self.terms(output, lesson)
            return torch.stack(list(terms.values())).sum() + aside, figures({**terms, **ear})
        leaf = output.detach().requires_grad_()
        terms = self.terms(leaf, lesson)
        at = self.place()
        with mixed(leaf):
            fake = self.adversary(self.judged(leaf, at))
            with torch.no_grad():
                real = self.adversary(self.judged(lesson.answer, at))
        losses = {
            "reconstruction": torch.stack(list(terms.values())).sum(),
            "adversary": generator_loss(fake),
            "features": feature_distance(real, fake),
        }
        gradient = self.balancer.gradient(losses, leaf)
        told = figures({**terms, **losses, **ear})
        told["loss"] = told["reconstruction"] + float(aside.detach())
        return (output * gradient).sum() + aside, told

    def place(self) -> int:
        """Return a random first sample of what the discriminators see."""
        shape = self.student.shape
        inside = self.params.frames - LEAD - TAIL
        latest = LEAD + int(inside * (1 - self.params.judged))
        return int(torch.randint(LEAD, latest + 1, ())) * shape.hop

    def judged(self, audio: Tensor, at: int) -> Tensor:
        """Return the stretch of `(batch, samples)` that the discriminators see."""
        inside = self.params.frames - LEAD - TAIL
        return audio[:, at : at + int(inside * self.params.judged) * self.student.shape.hop]

    def adversary_loss(self, lesson: Lesson) -> tuple[Tensor, dict[str, Any]]:
        """Return the discriminators' loss on a batch."""
        output = self.spoken.keep(lesson, lambda: self.speak(lesson))[1].detach()
        at = self.place()
        with mixed(output):
            real, fake = (self.adversary(self.judged(audio, at)) for audio in (lesson.real, output))
        loss = discriminator_loss(real, fake)
        return loss, figures({"discriminator": loss})

    def validate(self) -> dict[str, float]:
        """Return the terms on held-out speakers, and how well F0 is heard."""
        student = self.student
        lesson = to_device(self.probe, next(student.parameters()).device)
        self.reconstruction.eval()
        with torch.no_grad():
            heard = student.hear(lesson.source[..., None])
            output = student.speak(heard, lesson.heights[..., None])[..., 0]
            told = figures(self.terms(output, lesson))
            found = student.ear.height(heard.pitch) + CENTRE
            cents = 1200 * (found[..., 0] - torch.log2(lesson.f0)).abs()
            inside = lesson.voiced.clone()
            inside[:, :LEAD] = 0
            told["cents"] = float(cents[inside > 0].median())
            told["octaves"] = float((cents[inside > 0] > 300).float().mean())
            told["voicing"] = float(
                ((student.ear.voiced(heard.pitch)[:, LEAD:, 0] > 0.5).float() != lesson.voiced[:, LEAD:]).float().mean()
            )
        self.reconstruction.train()
        told["loss"] = told["spectra"] + told["loudness"] + told["periodicity"]
        return told

    def heard(self) -> tuple[Tensor, Tensor] | None:
        """Return the last step's output and target, for the monitor."""
        return self.last


def load_student(folder: Path) -> Student:
    """Return the averaged student of a finished stage, in eval mode."""
    plain = checkpoint.load(folder / FILE)
    student = Student(StudentShape(**plain["shape"]), plain["register"])
    student.load_state_dict(runner.weights(folder, "student"))
    return student.eval()


def noise_folder(params: StudentParams, data: Path | None) -> Path | None:
    """Return the folder of noises that a recipe names.

    Raises
    ------
    ValueError
        There is none, or it is relative and there is no `--data`.
    """
    if not params.noise:
        return None
    if data is None and not Path(params.noise).is_absolute():
        raise ValueError(f"noise = {params.noise!r} is relative to the recordings; name them by --data DIR")
    folder = (data or Path()) / params.noise
    if not folder.is_dir():
        raise ValueError(f"noise = {params.noise!r}: there is no folder {folder}; set student.noise")
    return folder


def recorded(pairs: Pairs, ctx: StageContext) -> list[int]:
    """Return the pairs of training whose source is the voice itself, as it was recorded.

    Raises
    ------
    ValueError
        There are none.
    """
    recipe = ctx.recipe
    material = recipe.params("prepare", PrepareParams) if recipe else PrepareParams()
    voice = (recipe.params("render", RenderParams).voice if recipe else "") or material.voices[0]
    found = [
        number
        for number in pairs.select("train")
        if pairs.pairs[number].speed == 1.0
        and (pairs.pairs[number].speaker == SKIN if voice == SKIN else pairs.pairs[number].id.startswith(f"{voice}/"))
    ]
    if not found:
        raise ValueError(f"real = 'recordings', but none of {voice} is among the pairs; set fine-tune.real = 'answers'")
    return found


def _train(ctx: StageContext, begun: Path | None) -> None:
    params: StudentParams = ctx.params
    tier = ctx.tier or "default"
    about = json.loads((ctx.inputs["render"] / "about.json").read_text())
    if begun is None:
        shape = params.shape(tier, int(about["hidden"]))
        below = ctx.inputs.get("grown_from")
        student = (
            Student(shape, float(about["register"])) if below is None else grown(load_student(below), shape).train()
        )
    else:
        student = load_student(begun).train()
    pairs = Pairs(ctx.inputs["render"], student.shape)
    checkpoint.save(ctx.folder / FILE, {"shape": asdict(student.shape), "register": student.target})
    shown = recorded(pairs, ctx) if isinstance(params, FineTuneParams) and params.real == "recordings" else []
    fit(StudentTask(student, pairs, params, ctx.seed, noise_folder(params, ctx.data), shown), ctx)
    write_skin(load_student(ctx.folder), ctx.folder / f"{tier}.rtv", tier, ctx, half=params.weights == "fp16")


def run(ctx: StageContext) -> None:
    """Train a student from the start."""
    _train(ctx, None)


def fine_tune(ctx: StageContext) -> None:
    """Go on with a trained student, against an adversary."""
    _train(ctx, ctx.inputs["student"])
