"""A trained student as a model file, with what it is made of."""

from __future__ import annotations

from pathlib import Path

from rtvoice.export.torch_module import export
from rtvoice.train.compress.rounding import round_model
from rtvoice.train.models.student import Student
from rtvoice.train.skin.material import ContentParams
from rtvoice.train.stages import StageContext


def write_skin(student: Student, path: Path, tier: str, ctx: StageContext, *, half: bool) -> None:
    """Write a student to `path` with the provenance of its training, after proving that its stream is itself.

    `half`: with matrices of 16 bits, and the signal-to-noise ratio that this leaves in the provenance.
    """
    skin = ctx.recipe.skin if ctx.recipe else None
    provenance = dict(ctx.provenance)
    if ctx.recipe:  # whoever judges the skin has to know which recogniser taught it
        provenance["content"] = ctx.recipe.params("content", ContentParams).extractor
    model = export(
        student.eval(),
        path,
        sample_rate=student.shape.rate,
        hop=student.shape.hop,
        name=skin.name if skin else path.stem,
        description=skin.description if skin else "",
        licence=skin.licence if skin else "",
        tier=tier,
        provenance=provenance,
    )
    if half:
        round_model(model, "fp16").model.save(path)
