"""`rtvoice.export`: PyTorch modules, native and by way of ONNX."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import rtvoice

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch


def test_a_native_module_streams_what_it_computes(tmp_path: Path) -> None:
    from rtvoice import nn

    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv1d(1, 24, 320, stride=160), nn.LayerNorm(24), nn.GRU(24, 16), nn.ConvTranspose1d(16, 1, 160, stride=160)
    )
    model = rtvoice.export(module, tmp_path / "net.rtv", sample_rate=16000, licence="CC0-1.0")
    assert (model.name, model.hop) == ("net", 160)
    assert rtvoice.Model.load(tmp_path / "net.rtv").sample_rate == 16000


def test_a_layer_that_writes_something_else_is_refused(tmp_path: Path) -> None:
    from rtvoice import nn

    class Wrong(nn.Conv1d):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 1.01 * super().forward(x)

    torch.manual_seed(0)
    with pytest.raises(rtvoice.ModelError, match="Wrong: its stream differs"):
        rtvoice.export(Wrong(1, 1, 5), tmp_path / "wrong.rtv", sample_rate=16000)
    assert not (tmp_path / "wrong.rtv").exists()


def test_any_causal_module_goes_through_onnx(tmp_path: Path) -> None:
    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.wide = torch.nn.Conv1d(1, 12, 7)
            self.deep = torch.nn.Conv1d(12, 1, 3, dilation=2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            h = torch.tanh(self.wide(torch.nn.functional.pad(x, (6, 0))))
            return self.deep(torch.nn.functional.pad(h, (4, 0)))

    torch.manual_seed(0)
    module = Network()
    model = rtvoice.export(module, tmp_path / "net.rtv", example=torch.zeros(1, 1, 4000), sample_rate=48000)
    assert (model.hop, model.latency) == (1, 0)
    signal = np.random.default_rng(0).standard_normal(2000).astype(np.float32)
    with torch.no_grad():
        offline = module(torch.from_numpy(signal).reshape(1, 1, -1)).numpy().reshape(-1)
    streamed = rtvoice.Engine(model, sample_rate=48000, max_frame=2000).process(signal)
    np.testing.assert_allclose(streamed, offline, rtol=0, atol=1e-5)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="example is needed"):
        rtvoice.export(torch.nn.Conv1d(1, 1, 1), tmp_path / "net.rtv", sample_rate=16000)
    with pytest.raises(TypeError, match="sample_rate"):
        rtvoice.export(torch.nn.Conv1d(1, 1, 1), tmp_path / "net.rtv")
