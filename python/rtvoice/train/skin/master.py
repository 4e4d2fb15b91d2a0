"""Trains the master: many voices first, then the target, then against an adversary."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from rtvoice.train.data import Content, DataError, Prepared
from rtvoice.train.models.adversary import Adversary, Balancer, discriminator_loss, feature_distance, generator_loss
from rtvoice.train.models.blocks import mixed
from rtvoice.train.models.losses import Reconstruction, Weights
from rtvoice.train.models.master import Master, MasterShape
from rtvoice.train.optimise import to_device
from rtvoice.train.runner import Training, fit, part, step_rng
from rtvoice.train.schedule import Phase
from rtvoice.train.skin.convert import register_of
from rtvoice.train.skin.crops import HOP, Batch, Scale, Speech, draw, stacked
from rtvoice.train.skin.material import PrepareParams, clips_of
from rtvoice.train.skin.vary import Varied
from rtvoice.train.skin.voice import Learned, Voice
from rtvoice.train.stages import StageContext

EDGE = 2  # frames at both ends of a crop that no loss sees: their windows lack a neighbour


@dataclass(frozen=True)
class MasterParams:
    """The table `[master]`.

    Attributes
    ----------
    channels, blocks, kernel, widen, bottleneck, code : int
        Sizes; see `MasterShape`.
    noise : float
        Noise on the bottleneck.
    batch, frames : int
        Crops of a step and frames of a crop.
    varied : float
        Share of the target's crops with features of another speed, where there is a table `[vary]`.
    judged : float
        Share of each crop that the discriminators see.
    shares : mapping of str to float
        What moves the master in an adversarial phase, by the gradient: reconstruction, adversary, features.
    phases : tuple of Phase
        Their `settings` may hold `target`, the share of the target's own crops.
    training : Training
        The rest.
    """

    channels: int = 256
    blocks: int = 8
    kernel: int = 7
    widen: int = 3
    bottleneck: int = 64
    code: int = 64
    noise: float = 0.15
    batch: int = 12
    frames: int = 128
    varied: float = 0.5
    judged: float = 0.5
    shares: dict[str, float] = field(default_factory=lambda: {"reconstruction": 1.0, "adversary": 0.4, "features": 0.6})
    phases: tuple[Phase, ...] = (
        Phase("voices", minutes=40, rate=8e-4, final=0.3, settings={"target": 0.35}),
        Phase("target", minutes=20, rate=4e-4, final=0.3, settings={"target": 0.8}),
        Phase(
            "adversary",
            minutes=60,
            rate=4e-4,
            adversary_rate=6e-4,
            adversarial=True,
            final=0.1,
            settings={"target": 0.8},
        ),
    )
    training: Training = Training(clip=2.0, adversary_clip=2.0)

    def shape(self, content: int, speakers: int) -> MasterShape:
        """Return the network's sizes."""
        same = ("channels", "blocks", "kernel", "widen", "bottleneck", "code", "noise")
        return MasterShape(content=content, speakers=speakers, **{name: getattr(self, name) for name in same})


class MasterTask:
    """Networks, batches and losses of the master.

    Parameters
    ----------
    shape : MasterShape
        Sizes.
    params : MasterParams
        How it is trained.
    seed : int
        Of the crops.
    speech : Speech
        Everybody's.
    targets : sequence of clips
        The voices to become, clip numbers of each; they are heard equally often.
    sources : clips
        The voices to learn from; may be none.
    held_out : Batch or None
        What is validated on.
    """

    def __init__(
        self,
        shape: MasterShape,
        params: MasterParams,
        speech: Speech,
        targets: Sequence[list[int]],
        sources: list[int],
        held_out: Batch | None = None,
        seed: int = 0,
    ) -> None:
        self.params, self.held_out, self.seed = params, held_out, seed
        self.speech, self.targets, self.sources = speech, targets, sources
        self.master = Master(shape)
        self.reconstruction = Reconstruction(shape.rate, shape.rate // 100, Weights())
        self.adversary = Adversary()
        self.balancer = Balancer(params.shares)
        self.adversarial, self.share, self.size = False, 0.35, params.batch
        self.spoken = Once()

    def begin(self, phase: Phase) -> None:
        """Take up a phase."""
        self.adversarial, self.size = phase.adversarial, phase.batch or self.params.batch
        self.share = phase.settings.get("target", self.share)

    def models(self) -> dict[str, nn.Module]:
        """Return the networks."""
        return {"master": self.master, "adversary": self.adversary}

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint must hold besides."""
        return {"balancer": self.balancer.state_dict()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take it up again."""
        self.balancer.load_state_dict(state["balancer"])

    def batches(self, step: int, rank: int, world: int) -> Iterator[Batch]:
        """Yield batches; the same ones for the same step and rank."""
        while True:
            each = self.share / len(self.targets)
            pools = [(self.speech, clips, each, self.params.varied) for clips in self.targets]
            if self.sources and self.share < 1:
                pools.append((self.speech, self.sources, 1 - self.share, 0.0))
            chosen = part(draw(pools, self.size, step_rng(self.seed, step)), rank, world)
            yield stacked([speech.crop(clip, self.params.frames, at, speed) for speech, clip, at, speed in chosen])
            step += 1

    def speak(self, batch: Batch) -> Tensor:
        """Return the master's audio for a batch, `(batch, samples)`."""
        audio: Tensor = self.master(batch.said, start=torch.rand(len(batch.audio), device=batch.audio.device))
        return audio

    def terms(self, output: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Return the reconstruction's terms away from the crop's ends."""
        inner = slice(EDGE * HOP, -EDGE * HOP)
        frames = slice(EDGE, -EDGE)
        said = batch.said
        judged = self.reconstruction.to(output.device)(
            output[:, inner], batch.audio[:, inner], said.f0[:, frames], said.voiced[:, frames]
        )
        return dict(judged)

    def judged(self, audio: Tensor, at: int) -> Tensor:
        """Return the stretch of `(batch, samples)` that the discriminators see."""
        return audio[:, at : at + int(audio.shape[1] * self.params.judged)]

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """Return the loss to differentiate and figures to log.

        With an adversary the returned value is a surrogate: its gradient is the balanced one, its value means nothing.
        """
        output = self.spoken.take(batch, lambda: self.speak(batch))
        if not self.adversarial:
            terms = self.terms(output, batch)
            return torch.stack(list(terms.values())).sum(), figures(terms)
        leaf = output.detach().requires_grad_()
        terms = self.terms(leaf, batch)
        at = int(torch.randint(0, int(leaf.shape[1] * (1 - self.params.judged)) + 1, ()))
        with mixed(leaf):
            fake = self.adversary(self.judged(leaf, at))
            with torch.no_grad():
                real = self.adversary(self.judged(batch.audio, at))
        losses = {
            "reconstruction": torch.stack(list(terms.values())).sum(),
            "adversary": generator_loss(fake),
            "features": feature_distance(real, fake),
        }
        gradient = self.balancer.gradient(losses, leaf)
        return (output * gradient).sum(), figures({**terms, **losses})

    def adversary_loss(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """Return the discriminators' loss on a batch."""
        output = self.spoken.keep(batch, lambda: self.speak(batch)).detach()
        at = int(torch.randint(0, int(output.shape[1] * (1 - self.params.judged)) + 1, ()))
        with mixed(output):
            loss = discriminator_loss(
                self.adversary(self.judged(batch.audio, at)), self.adversary(self.judged(output, at))
            )
        return loss, figures({"discriminator": loss})

    def validate(self) -> dict[str, float]:
        """Return the reconstruction's terms on held-out speech of the target, through all windows."""
        if self.held_out is None:
            return {}
        self.reconstruction.eval()
        device = next(self.master.parameters()).device
        held_out = to_device(self.held_out, device)
        with torch.no_grad():
            output = self.master(held_out.said, generator=torch.Generator(device).manual_seed(0))
            terms = figures(self.terms(output, held_out))
        self.reconstruction.train()
        return {"loss": sum(terms.values()), **terms}


class Once:
    """What a network made of a batch for its adversary, kept for its own step on the same batch: a forward pass saved.

    With several processes nothing is kept: DistributedDataParallel has to see each half's forward pass.
    """

    def __init__(self) -> None:
        self._kept: tuple[Any, Any] | None = None

    def keep(self, batch: Any, make: Callable[[], Any]) -> Any:
        """Make it for the adversary, and keep it."""
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            with torch.no_grad():
                return make()
        self._kept = (batch, make())
        return self._kept[1]

    def take(self, batch: Any, make: Callable[[], Any]) -> Any:
        """Return what was kept of this batch, or make it; nothing stays."""
        kept, self._kept = self._kept, None
        return kept[1] if kept is not None and kept[0] is batch else make()


def figures(terms: Mapping[str, Tensor]) -> dict[str, float]:
    """Return terms as numbers."""
    return {name: float(value.detach()) for name, value in terms.items()}


def run(ctx: StageContext) -> None:
    """Train the master."""
    params: MasterParams = ctx.params
    material = ctx.recipe.params("prepare", PrepareParams) if ctx.recipe else PrepareParams()
    prepared, content = Prepared(ctx.inputs["prepare"]), Content(ctx.inputs["content"])
    varied = Varied(ctx.inputs["vary"]) if "vary" in ctx.inputs else None
    train = prepared.select(split="train")
    targets = clips_of(prepared, "train", material)
    for name, clips in targets.items():
        if not clips:
            raise DataError(f"nothing of {name} was fit to be trained on; see rejected.jsonl in {prepared.folder}")
    speakers = sorted({prepared.clip(i).speaker for i in train})
    speech = Speech(prepared, content, Scale.of(content, train), speakers, varied)
    shape = params.shape(content.dimensions, len(speakers))
    learned = {
        name: Learned(speech.number[prepared.clip(clips[0]).speaker], register_of(speech, clips))
        for name, clips in targets.items()
    }
    extractor = json.loads((ctx.inputs["content"] / "about.json").read_text())["extractor"]
    Voice(shape, tuple(speakers), learned, speech.scale, extractor).write(ctx.folder)
    probe = stacked([speech.crop(clip, 200, 0.5) for clip in probed(targets, clips_of(prepared, "held_out", material))])
    mine = {clip for clips in targets.values() for clip in clips}
    fit(
        MasterTask(shape, params, speech, list(targets.values()), [i for i in train if i not in mine], probe, ctx.seed),
        ctx,
    )


def probed(targets: Mapping[str, list[int]], held_out: Mapping[str, list[int]], count: int = 12) -> list[int]:
    """Return `count` clips to validate on, of all voices in turn: held out where there are any, else their last."""
    of_each = [held_out[name] or clips[-8:] for name, clips in targets.items()]
    return [of_each[k % len(of_each)][k // len(of_each) % len(of_each[k % len(of_each)])] for k in range(count)]
