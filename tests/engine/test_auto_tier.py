"""tier="auto": the best tier whose planted cost fits a tenth of a core, measured once per process and skin."""

from __future__ import annotations

from pathlib import Path

import pytest

import rtvoice
from rtvoice import engine as engine_module
from small_model import build_model


@pytest.fixture
def ladder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """A skin of two tiers, of which hq is made to count as the costlier one; give the costs to plant."""
    costs = {"hq": 0.02, "default": 0.01}
    asked: list[str] = []
    for tier in costs:
        (tmp_path / "twin").mkdir(exist_ok=True)
        build_model(tmp_path / "twin" / f"{tier}.rtv", name="twin", tier=tier)
    monkeypatch.setenv("RTVOICE_MODELS", str(tmp_path))
    monkeypatch.setattr(engine_module, "_chosen", {})
    by_core: dict[int, str] = {}
    load = rtvoice.Model.load.__func__

    def loaded(cls: type[rtvoice.Model], model: object, *, tier: str = "auto") -> rtvoice.Model:
        made = load(cls, model, tier=tier)
        made._info["mac_per_second"] *= 2.0 if made.tier == "hq" else 1.0
        by_core[id(made._core)] = made.tier
        return made

    def cost(core: object, *_: object) -> float:
        asked.append(by_core[id(core)])
        return costs[by_core[id(core)]]

    monkeypatch.setattr(rtvoice.Model, "load", classmethod(loaded))
    monkeypatch.setattr(engine_module._core, "model_cost", cost)
    costs["asked"] = asked  # type: ignore[assignment]
    return costs


@pytest.mark.parametrize(("cost", "tier"), [(0.02, "hq"), (0.1, "hq"), (0.11, "default"), (9.0, "default")])
def test_the_best_tier_that_fits_a_tenth_of_a_core_is_taken(ladder: dict[str, float], cost: float, tier: str) -> None:
    ladder["hq"] = cost
    assert rtvoice.Engine("twin", 16000).model.tier == tier
    assert rtvoice.Engine("twin", 16000, tier="auto").tier == tier


def test_channels_and_streams_count_together(ladder: dict[str, float]) -> None:
    ladder["hq"] = 0.04
    assert rtvoice.Engine("twin", 16000, channels=2).tier == "hq"
    assert rtvoice.Engine("twin", 16000, channels=3).tier == "default"
    assert rtvoice.EnginePool("twin", 2, 16000).model.tier == "hq"
    assert rtvoice.EnginePool("twin", 8, 16000).model.tier == "default"


def test_it_is_measured_once(ladder: dict[str, float]) -> None:
    for _ in range(3):
        rtvoice.Engine("twin", 16000)
    assert ladder["asked"] == ["hq"]


def test_a_tier_that_is_named_is_not_measured(ladder: dict[str, float]) -> None:
    assert rtvoice.Engine("twin", 16000, tier="default").tier == "default"
    assert rtvoice.Engine("twin", 16000, tier="hq", fallback="default").tier == "hq"
    assert rtvoice.Model.load("twin").tier == "default"
    assert ladder["asked"] == []


def test_a_fallback_that_was_chosen_already_is_no_tier_twice(ladder: dict[str, float]) -> None:
    ladder["hq"] = 5.0
    engine = rtvoice.Engine("twin", 16000, fallback="default")
    assert engine.tier == "default"
    with pytest.raises(ValueError, match="no tier"):
        engine.tier = "hq"


def test_the_real_trial_tells_cheap_from_costly(skins: Path) -> None:
    """Not planted: a small model takes less than all of a core, and more than nothing."""
    model = rtvoice.Model.load("echo")
    share = engine_module._core.model_cost(model._core, 16000, 1024, "auto")
    assert 0.0 < share < 1.0
    assert engine_module._core.model_cost(model._core, 16000, 1024, "auto") == share
