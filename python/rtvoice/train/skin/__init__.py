"""A voice that is someone else's: stages from prepared speech to a model file that ships."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from rtvoice.train.skin import master, material, render, student, vary
from rtvoice.train.stages import Graph, Stage

_NETWORKS = ("rtvoice.train.models",)


def stages(data: Callable[[Any, Path], str] | None) -> list[Stage]:
    """Return the stages; `data` says what of `--data` was read, `None`: nothing is."""
    return [
        Stage(
            "prepare",
            material.prepare_run,
            params=material.PrepareParams,
            sources=("rtvoice.train.data.prepare", "rtvoice.train.data.measure", "rtvoice.train.data.cut"),
            data=data,
            shards=True,
            merge=material.prepare_merge,
        ),
        Stage(
            "content",
            material.content_run,
            ("prepare",),
            material.ContentParams,
            sources=("rtvoice.train.data.features",),
            shards=True,
        ),
        Stage(
            "vary",
            vary.run,
            ("prepare",),
            vary.VaryParams,
            sources=("rtvoice.train.data.features",),
            optional=True,
            shards=True,
            merge=vary.merge,
        ),
        Stage(
            "master",
            master.run,
            ("prepare", "content", "vary"),
            master.MasterParams,
            sources=("rtvoice.train.models.master", "rtvoice.train.models.losses", "rtvoice.train.models.adversary"),
            training=True,
            weight=3.0,
        ),
        Stage(
            "render",
            render.run,
            ("prepare", "content", "master"),
            render.RenderParams,
            sources=("rtvoice.train.models.master", "rtvoice.train.models.synthesis"),
            shards=True,
            merge=render.merge,
        ),
        Stage(
            "student",
            student.run,
            ("render",),
            student.StudentParams,
            sources=_NETWORKS,
            training=True,
            tiered=True,
            products=("*.rtv",),
            weight=2.0,
        ),
        Stage(
            "fine-tune",
            student.fine_tune,
            ("render", "student"),
            student.FineTuneParams,
            sources=_NETWORKS,
            training=True,
            tiered=True,
            optional=True,
            products=("*.rtv",),
        ),
    ]


GRAPH = Graph(stages(material.data_digest))
"""What a recipe without stages of its own is made by: its material lies in `--data`."""
