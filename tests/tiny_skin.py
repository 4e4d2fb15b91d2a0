"""A skin of one stage: it trains the small problem, and its product is a model that the engine plays."""

from __future__ import annotations

from dataclasses import dataclass, field

from rtvoice.train import runner
from rtvoice.train.runner import Training
from rtvoice.train.schedule import Phase
from rtvoice.train.stages import Graph, Stage, StageContext
from small_model import build_model
from tiny_stages import DataParams, Tiny, make_data

GAIN = {"default": 0.7, "hq": 0.9}


@dataclass(frozen=True)
class Params:
    """Settings of the training."""

    width: int = 4
    dropout: float = 0.0
    phases: tuple[Phase, ...] = (Phase(steps=4, rate=1e-2, batch=16, warm_up=1),)
    training: Training = field(default_factory=lambda: Training(every=1, validate_every=2))


def train(ctx: StageContext) -> None:
    """Train, and write a model of the skin's name."""
    runner.fit(Tiny(ctx.inputs["prepare"] / "data.npz", ctx.params, ctx.seed), ctx)
    assert ctx.tier is not None
    name = str(ctx.provenance["skin"])
    build_model(ctx.folder / f"{ctx.tier}.rtv", name=name, tier=ctx.tier, gain=GAIN[ctx.tier] + 0.01 * ctx.params.width)


GRAPH = Graph(
    [
        Stage("prepare", make_data, params=DataParams),
        Stage("student", train, ("prepare",), Params, training=True, tiered=True, products=("*.rtv",)),
    ]
)
