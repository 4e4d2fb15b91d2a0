"""The running average of weights: every trainer's is the same."""

from __future__ import annotations

from copy import deepcopy

import pytest

torch = pytest.importorskip("torch")

from rtvoice.train.parameters import Average, approach  # noqa: E402


def test_every_loop_averages_alike() -> None:
    """Bit for bit, and by the share that the first steps have, worked out by hand."""
    torch.manual_seed(0)
    model = torch.nn.Linear(5, 3)
    copy, kept = deepcopy(model), Average({"model": model}, 0.9)
    weight = model.weight.detach().clone()
    for step in range(1, 200):
        with torch.no_grad():
            model.weight.add_(torch.randn_like(model.weight))
        kept.update(step)
        approach(copy, model, 0.9, step)
        if step == 1:  # one tenth of the first weights, nine of what came
            torch.testing.assert_close(copy.weight.detach(), 0.1 * weight + 0.9 * model.weight.detach())
    assert torch.equal(kept.state["model"]["weight"], copy.weight.detach())
    assert torch.equal(kept.state["model"]["bias"], copy.bias.detach())
