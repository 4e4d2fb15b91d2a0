"""`rtvoice train vocoder`: a WaveNet and the flow that learns from it, small, for a second each."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
soundfile = pytest.importorskip("soundfile")

import rtvoice  # noqa: E402

SMALL = {"channels": 8, "skip": 8, "head": 8, "layers": 4, "cycle": 4}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Networks of a few numbers, and three recordings of which one is held out."""
    from rtvoice.train.vocoder import data, loop

    monkeypatch.setattr(loop, "SIZES", {"wavenet": SMALL, "flow": SMALL})
    monkeypatch.setattr(loop, "EVERY", 4)
    monkeypatch.setattr(data, "HELD_OUT", 1)
    rng = np.random.default_rng(0)
    (tmp_path / "data").mkdir()
    for index in range(3):
        wave = 0.2 * np.sin(np.arange(16000) * (0.05 + 0.02 * index)) + 0.02 * rng.normal(size=16000)
        soundfile.write(tmp_path / "data" / f"{index}.wav", wave, 16000)
    return tmp_path


def lines(path: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_both_networks_are_trained_written_and_gone_on_with(small: Path) -> None:
    from rtvoice.train.vocoder.command import main

    for network in ("wavenet", "flow"):
        words = [
            "--data",
            small / "data",
            "--out",
            small / "out",
            "--network",
            network,
            "--to",
            small / f"{network}.rtv",
        ]
        assert main([str(word) for word in [*words, "--minutes", 0.02]], "rtvoice train vocoder") == 0
        first = lines(small / "out" / network / "log.jsonl")
        assert first[0]["step"] == 0 and first[-1]["step"] > 0 and all(np.isfinite(line["held_out"]) for line in first)
        model = rtvoice.Model.load(small / f"{network}.rtv")
        engine = rtvoice.Engine(model, model.sample_rate, max_frame=4 * model.hop)
        made = engine.process(0.1 * np.ones(4 * model.hop, np.float32))
        assert np.isfinite(made).all()
        engine.reset()
        assert not engine.process(np.zeros(4 * model.hop, np.float32)).any(), "silence is silence, however trained"
    words = ["--data", small / "data", "--out", small / "out", "--network", "wavenet", "--minutes", 0.03]
    assert main([str(word) for word in words], "rtvoice train vocoder") == 0
    more = lines(small / "out" / "wavenet" / "log.jsonl")
    assert more[-1]["step"] >= more[0]["step"] and sum(line["step"] == 0 for line in more) == 1, "it did not start anew"


def test_the_flow_asks_for_its_teacher(small: Path) -> None:
    from rtvoice.train.vocoder.command import main

    words = ["--data", small / "data", "--out", small / "out", "--network", "flow", "--minutes", 0.01]
    with pytest.raises(ValueError, match="train that network first"):
        main([str(word) for word in words], "rtvoice train vocoder")
