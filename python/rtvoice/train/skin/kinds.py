"""The source-filter student as `rtvoice distill` knows it: for the width ladder and for pruning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rtvoice.train import students
from rtvoice.train.models.student import SHAPES, Student
from rtvoice.train.skin.pairs import Pairs
from rtvoice.train.skin.student import StudentTask, load_student, noise_folder
from rtvoice.train.skin.write import write_skin
from rtvoice.train.stages import StageContext


def task(network: Any, ctx: StageContext) -> StudentTask:
    """Return what trains a student further, on the answers that its stage reads."""
    lessons = Pairs(ctx.inputs["render"], network.shape)
    return StudentTask(network, lessons, ctx.params, ctx.seed, noise_folder(ctx.params, ctx.data))


def write(network: Any, path: Path, ctx: StageContext) -> None:
    """Write the model file."""
    write_skin(network, path, ctx.tier or "default", ctx, half=ctx.params.weights == "fp16")


for _stages in ("rtvoice.train.skin", "rtvoice.train.skin.own"):
    for _stage in ("student", "fine-tune"):
        students.register(
            students.StudentKind(
                name=f"source-filter, {_stage} of {_stages}",
                stages=_stages,
                stage=_stage,
                build=Student,
                tiers=SHAPES,
                width="channels",
                load=load_student,
                task=task,
                write=write,
            )
        )
