"""A larger student that begins as a smaller one: it answers the same before its first step."""

from __future__ import annotations

import torch
from torch import Tensor

from rtvoice.nn import Linear
from rtvoice.train.models.pitch import Block
from rtvoice.train.models.student import Student, StudentShape

EDGE = 8
"""Bins below a smaller student's highest whose mean the new bins above begin as."""


def grown(small: Student, shape: StudentShape) -> Student:
    """Return a student of a larger shape that says what a smaller one says.

    New inner units of a block begin with nothing to say, and so do new blocks (Chen et al., Net2Net, ICLR 2016); at a
    higher rate the bins that are new begin as the highest that were there. What is fixed (analysis, synthesis) is the
    larger shape's own. Another latency changes when a sample is said, which training has to make up for.

    Parameters
    ----------
    small : Student
        What it begins as.
    shape : StudentShape
        Of the same channels, bands, kernel and taught layer; at least as many blocks and inner units, at no lower rate.

    Raises
    ------
    ValueError
        The shape is not larger in these ways only; the message names the size.
    """
    have = small.shape
    for name in ("channels", "bands", "kernel", "taught"):
        if getattr(shape, name) != getattr(have, name):
            raise ValueError(
                f"grown_from: {name} is {getattr(shape, name)}, the smaller student's {getattr(have, name)}; "
                "a student grows by blocks, widen and rate only"
            )
    for name in ("blocks", "widen", "rate"):
        if getattr(shape, name) < getattr(have, name):
            raise ValueError(
                f"grown_from: {name} is {getattr(shape, name)}, less than the smaller student's {getattr(have, name)}"
            )
    large = Student(shape, small.target)
    with torch.no_grad():
        for part in ("ear", "enter", "norm"):
            getattr(large, part).load_state_dict(getattr(small, part).state_dict())
        if large.teach is not None and small.teach is not None:
            large.teach.load_state_dict(small.teach.state_dict())
        inner = have.widen * have.channels
        for k in range(shape.blocks):
            block = large.body[k]
            assert isinstance(block, Block)
            block.narrow.weight.zero_()
            if k >= have.blocks:
                continue
            old = small.body[k]
            assert isinstance(old, Block)
            block.spread.load_state_dict(old.spread.state_dict())
            block.norm.load_state_dict(old.norm.state_dict())
            assert block.wide.bias is not None and block.narrow.bias is not None
            assert old.wide.bias is not None and old.narrow.bias is not None
            block.wide.weight[:inner], block.wide.bias[:inner] = old.wide.weight, old.wide.bias
            block.narrow.weight[:, :inner] = old.narrow.weight
            block.narrow.bias.copy_(old.narrow.bias)
        _bins(small.head, large.head, small.synthesis.bins, large.synthesis.bins)
    return large


def _bins(old: Linear, new: Linear, had: int, have: int) -> None:
    """Copy the head, whose rows are three filters' bins, 50 Hz each."""

    def widened(rows: Tensor) -> Tensor:
        filters = rows.reshape(3, had, *rows.shape[1:])
        edge = filters[:, -EDGE:].mean(dim=1, keepdim=True)
        return torch.cat([filters, edge.expand(-1, have - had, *rows.shape[1:])], dim=1).flatten(0, 1)

    assert old.bias is not None and new.bias is not None
    new.weight.copy_(widened(old.weight))
    new.bias.copy_(widened(old.bias))
