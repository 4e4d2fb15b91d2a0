"""What the tests share: a small model, and a folder of skins."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

import rtvoice
from small_model import build_model

# A shell may have told its background programs to ignore these, and then what the tests start and interrupt would, too.
for _number, _ordinary in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(_number) == signal.SIG_IGN:
        signal.signal(_number, _ordinary)


@pytest.fixture(scope="session")
def model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_model(tmp_path_factory.mktemp("model") / "echo.rtv")


@pytest.fixture(scope="session")
def model(model_path: Path) -> rtvoice.Model:
    return rtvoice.Model.load(model_path)


@pytest.fixture
def skins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of two skins in $RTVOICE_MODELS: echo in both tiers, loud in the default one."""
    folder = tmp_path / "skins"
    for name, tier in (("echo", "default"), ("echo", "hq"), ("loud", "default")):
        (folder / name).mkdir(parents=True, exist_ok=True)
        build_model(folder / name / f"{tier}.rtv", name=name, tier=tier, gain=2.0 if name == "loud" else 1.0)
    monkeypatch.setenv("RTVOICE_MODELS", str(folder))
    return folder
