"""Models: found by name, loaded, saved, refused; and the registry of skins."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path

import numpy as np
import pytest

import rtvoice
from rtvoice import registry
from small_model import build_model


def test_a_model_tells_what_it_is(model: rtvoice.Model) -> None:
    assert (model.name, model.tier, model.sample_rate, model.hop, model.latency) == ("echo", "default", 16000, 80, 40)
    assert model.parameters == ["gain", "hiss"]
    assert model.outputs == ["energy"]
    keys = {
        "licence",
        "start",
        "parameter_count",
        "mac_per_second",
        "memory_bytes",
        "receptive_field",
        "layers",
        "hash",
    }
    assert keys <= set(model.info)
    assert set(model.info["memory_bytes"]) == {"weights", "state", "scratch"}
    assert model.metadata["format"] == 1


def test_saving_and_loading_gives_the_same_model(model: rtvoice.Model, model_path: Path, tmp_path: Path) -> None:
    model.save(tmp_path / "copy.rtv")
    assert (tmp_path / "copy.rtv").read_bytes() == model_path.read_bytes()
    again = rtvoice.Model.from_bytes(model_path.read_bytes())
    again.save(tmp_path / "again.rtv")
    assert (tmp_path / "again.rtv").read_bytes() == model_path.read_bytes()
    assert again.info["hash"] == model.info["hash"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["again.rtv", "copy.rtv"]


def test_saving_a_model_whose_file_has_changed_is_refused(tmp_path: Path) -> None:
    path = build_model(tmp_path / "a.rtv")
    model = rtvoice.Model.load(path)
    build_model(path, gain=3.0)
    with pytest.raises(rtvoice.ModelError, match="changed"):
        model.save(tmp_path / "b.rtv")
    assert not (tmp_path / "b.rtv").exists()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(rtvoice.ModelError, match=r"nothing\.rtv: no such file") as caught:
        rtvoice.Model.load(tmp_path / "nothing.rtv")
    assert isinstance(caught.value, FileNotFoundError)


def test_a_folder_is_told_from_a_file(skins: Path) -> None:
    with pytest.raises(rtvoice.ModelError, match=r"folder.*default\.rtv, hq\.rtv"):
        rtvoice.Model.load(skins / "echo")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0",
        b"RIFF\0\0\0\0WAVE",
        struct.pack("<Q", 2**60) + b"{}",
        struct.pack("<Q", 2) + b"{}",
        struct.pack("<Q", 4) + b"{{{{",
        b"\xff" * 4096,
    ],
    ids=["empty", "one byte", "wav", "huge header", "no metadata", "bad json", "ones"],
)
def test_a_file_that_is_no_model_is_a_model_error_in_one_line(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bad.rtv"
    path.write_bytes(data)
    with pytest.raises(rtvoice.ModelError) as caught:
        rtvoice.Model.load(path)
    assert "bad.rtv" in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(rtvoice.ModelError):
        rtvoice.Model.from_bytes(data)


def test_a_cut_file_is_a_model_error_wherever_it_is_cut(model_path: Path) -> None:
    data = model_path.read_bytes()
    for end in [*range(0, 200, 7), *range(200, len(data), 211), len(data) - 1]:
        with pytest.raises(rtvoice.ModelError):
            rtvoice.Model.from_bytes(data[:end])


def test_weights_that_are_not_finite_are_refused(model_path: Path) -> None:
    data = bytearray(model_path.read_bytes())
    data[-4:] = struct.pack("<f", float("nan"))
    with pytest.raises(rtvoice.ModelError, match="finite"):
        rtvoice.Model.from_bytes(bytes(data))


def test_the_file_is_an_ordinary_safetensors_file(model_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors.numpy")
    tensors = safetensors.load(model_path.read_bytes())
    assert all(value.dtype == np.float32 for value in tensors.values())
    size = struct.unpack("<Q", model_path.read_bytes()[:8])[0]
    header = json.loads(model_path.read_bytes()[8 : 8 + size])
    assert json.loads(header["__metadata__"]["rtvoice"])["name"] == "echo"


# ---- names and tiers


def test_a_name_and_a_tier_choose_the_file(skins: Path) -> None:
    assert rtvoice.Model.load("echo").path == skins / "echo" / "default.rtv"
    assert rtvoice.Model.load("echo", tier="hq").tier == "hq"
    assert rtvoice.Engine("echo", tier="hq").model.tier == "hq"
    assert rtvoice.Engine("echo").model.tier == "default"


def test_an_unknown_name_lists_what_there_is(skins: Path) -> None:
    with pytest.raises(rtvoice.ModelError, match="no skin is called 'nobody'.*echo.*loud"):
        rtvoice.Engine("nobody")


def test_an_unknown_tier_lists_what_there_is(skins: Path) -> None:
    with pytest.raises(ValueError, match="'loud' has no tier 'hq'; it has: default"):
        rtvoice.Engine("loud", tier="hq")


def test_a_tier_that_is_not_the_files_is_refused(skins: Path) -> None:
    with pytest.raises(ValueError, match="tier 'default', not 'hq'"):
        rtvoice.Model.load(skins / "loud" / "default.rtv", tier="hq")


def test_models_lists_name_and_tier_in_order(skins: Path) -> None:
    mine = [(s.name, s.tier) for s in rtvoice.models() if not s.shipped]
    assert mine == [("echo", "default"), ("echo", "hq"), ("loud", "default")]


def test_a_folder_of_files_counts_as_default_tiers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build_model(tmp_path / "mine.rtv", name="mine")
    monkeypatch.setenv("RTVOICE_MODELS", f"{tmp_path / 'nowhere'}:{tmp_path}")
    assert rtvoice.Model.load("mine").path == tmp_path / "mine.rtv"


def test_folders_that_cannot_be_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RTVOICE_MODELS", os.pathsep.join(["x" * 5000, "/no/such/folder"]))
    assert all(skin.shipped for skin in rtvoice.models())
    assert registry.missing_folders() == ["x" * 5000, "/no/such/folder"]
    with pytest.raises(registry.ModelNotFoundError, match="which is no folder"):
        registry.resolve("mine")


def test_the_first_folder_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        build_model(tmp_path / folder / "same.rtv", name="same")
    monkeypatch.setenv("RTVOICE_MODELS", f"{tmp_path / 'a'}:{tmp_path / 'b'}")
    assert registry.resolve("same") == tmp_path / "a" / "same.rtv"


def test_the_shipped_skin_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RTVOICE_MODELS", raising=False)
    shipped = {(s.name, s.tier): s for s in rtvoice.models()}
    for tier in ("default", "hq"):
        assert shipped["whisper", tier].shipped
        model = rtvoice.Model.load("whisper", tier=tier)
        assert (model.name, model.tier) == ("whisper", tier)
        assert model.info["licence"]


def test_what_a_model_tells_is_a_copy(model: rtvoice.Model) -> None:
    model.info["name"] = "other"
    model.info["parameters"].clear()
    model.metadata["licence"] = "other"
    assert model.name == "echo" and model.info["name"] == "echo"
    assert model.parameters == ["gain", "hiss"]
    assert model.metadata["licence"] != "other"
