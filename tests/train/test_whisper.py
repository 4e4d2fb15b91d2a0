"""The whisper trainer: the student's promises, the data's split, and a run that survives being ended."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

for package in ("torch", "pyworld", "soundfile", "scipy"):
    pytest.importorskip(package, reason="the train extra is not installed")

import soundfile  # noqa: E402
import torch  # noqa: E402

from rtvoice.train import source  # noqa: E402
from rtvoice.train.whisper.data import SETS, Crops, list_speech, render_teacher  # noqa: E402
from rtvoice.train.whisper.export import provenance  # noqa: E402
from rtvoice.train.whisper.grow import grow  # noqa: E402
from rtvoice.train.whisper.loop import Run, load_student, train  # noqa: E402
from rtvoice.train.whisper.losses import StftLoss, envelope_loss  # noqa: E402
from rtvoice.train.whisper.student import TIERS, WhisperStudent  # noqa: E402
from rtvoice.train.whisper.teacher import BANDS, PERIOD, RATE, whisper  # noqa: E402

torch.set_num_threads(1)


def voice_like(seconds: float, pitch: float = 120.0) -> np.ndarray:
    """Return pulses through two resonances, with pauses: enough of a voice for WORLD."""
    time = np.arange(int(seconds * RATE)) / RATE
    pulses = sum(np.cos(2 * np.pi * pitch * k * time) / k for k in range(1, 40))
    return 0.05 * pulses * (np.sin(2 * np.pi * 1.5 * time) > -0.5)


def student(tier: str) -> WhisperStudent:
    torch.manual_seed(1)
    model = WhisperStudent(TIERS[tier])
    torch.nn.init.normal_(model.head.weight, std=0.05)
    return model.eval()


@pytest.mark.parametrize("tier", TIERS)
def test_output_needs_no_more_than_the_declared_latency(tier: str) -> None:
    model, latency = student(tier), TIERS[tier].latency
    x = torch.from_numpy(voice_like(0.5)).float()[None, :, None]
    later = x.clone()
    later[:, 4800:] = 0.3
    with torch.no_grad():
        difference = (model(x) - model(later)).abs()[0, :, 0]
    assert difference[: 4800 - latency].max() == 0
    assert difference[4800 - latency : 4960 - latency].max() > 0


@pytest.mark.parametrize("tier", TIERS)
def test_a_quiet_voice_whispers_quietly(tier: str) -> None:
    # From a full second and the body's memory on: until then the silence before the stream counts as the past.
    model, after = student(tier), 2 * RATE
    speech = voice_like(3.0) + 1e-3 * np.random.default_rng(0).normal(size=3 * RATE)
    x = torch.from_numpy(speech).float()[None, :, None]
    with torch.no_grad():
        loud, quiet = model(x)[:, after:], model(0.01 * x)[:, after:]
    assert (loud - 100 * quiet).square().mean().sqrt() < 1e-3 * loud.square().mean().sqrt()


@pytest.mark.parametrize("tier", TIERS)
def test_student_frames_lie_in_the_middle_of_what_is_heard(tier: str) -> None:
    model = student(tier)
    ramp = torch.arange(100.0)[None, :, None] * PERIOD
    found = model.teacher_frames(ramp)[0, :, 0]
    middle = torch.arange(50.0) * 160 - TIERS[tier].latency + 120
    assert torch.equal(found[1:], middle[1:])


def test_teacher_keeps_length_and_has_no_pitch() -> None:
    parselmouth = pytest.importorskip("parselmouth", reason="the train extra is not installed")
    speech = voice_like(2.0)
    answer = whisper(speech)
    assert answer.audio.shape == speech.shape
    assert answer.envelope.shape == (speech.size // PERIOD + 1, BANDS)

    def voiced(audio: np.ndarray) -> int:
        pitch = parselmouth.Sound(audio, RATE).to_pitch_ac(time_step=0.01, pitch_floor=75, pitch_ceiling=500)
        return int((pitch.selected_array["frequency"] > 0).sum())

    assert voiced(speech) > 100
    assert voiced(answer.audio) <= 0.05 * voiced(speech)


def test_losses_are_least_at_the_teachers_level() -> None:
    noise = torch.Generator().manual_seed(0)
    ours, theirs = (0.1 * torch.randn(2, 32000, generator=noise) for _ in range(2))
    stft = StftLoss()
    values = [stft(gain * ours, theirs).item() for gain in (0.7, 0.9, 1.0, 1.1, 1.4)]
    assert min(values) == values[2]
    flat, level = torch.zeros(1, 10, BANDS), torch.ones(1, 1, 1)
    assert envelope_loss(flat, flat, level) == 0
    assert envelope_loss(flat - 1, flat, level) == pytest.approx(1.0, rel=1e-3)


def test_a_grown_body_computes_what_the_small_one_did() -> None:
    small, large = student("default"), student("hq")
    grow(small, large)
    features = torch.randn(1, 50, BANDS + 1)
    with torch.no_grad():
        wanted = small.head(small.norm(small.body(small.enter(features))))
        found = large.head(large.norm(large.body(large.enter(features))))
    # The sixth block is new, and starts small.
    assert (found - wanted).square().mean().sqrt() < 0.05 * wanted.square().mean().sqrt()
    with pytest.raises(ValueError, match="twice as wide"):
        grow(large, small)


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("speech")
    columns = {
        "librispeech": "utt|speaker|seconds|machine_transcript",
        "picovoice": "utt|pseudo_speaker|f0|s|machine_transcript",
    }
    for collection, folder in SETS.items():
        (root / folder / "opus").mkdir(parents=True)
        lines = [columns[collection]]
        for speaker in range(12):
            name = f"{collection}{speaker:02d}"
            soundfile.write(
                root / folder / "opus" / f"{name}.opus",
                voice_like(1.0, 90 + 9 * speaker),
                RATE,
                format="OGG",
                subtype="OPUS",
            )
            middle = "1.0" if collection == "librispeech" else "120|1.0"
            lines.append(f"{name}|{speaker}|{middle}|words")
        (root / folder / "metadata.csv").write_text("\n".join(lines) + "\n")
    (root / "noise" / "rir_sim").mkdir(parents=True)
    soundfile.write(root / "noise" / "rir_sim" / "room.flac", np.r_[0.0, 0.5, 0.1, 0.05], RATE)
    soundfile.write(root / "noise" / "hum.ogg", np.random.default_rng(0).normal(0, 0.1, RATE), RATE)
    return root


def test_no_speaker_is_on_both_sides(speech: Path, tmp_path: Path) -> None:
    utterances = list_speech(speech)
    trained = {u.speaker for u in utterances if not u.held_out}
    held_out = {u.speaker for u in utterances if u.held_out}
    assert len(held_out) == 3
    assert not trained & held_out
    render_teacher(speech, tmp_path)
    crops = Crops(tmp_path, True, None, np.random.default_rng(0))
    batch = next(crops.batches(4, 3200))
    assert batch.source.shape == batch.target.shape == (4, 3200, 1)
    assert batch.envelope.shape == (4, 3200 // PERIOD, BANDS)
    assert {item["speaker"] for item in crops.items} == held_out


def test_a_run_goes_on_where_it_was_ended(speech: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rtvoice.train.whisper.loop.CROP", 3200)
    run = Run(speech=speech, noise=speech / "noise", out=tmp_path, steps=2)
    train(run)
    checkpoint = train(Run(speech=speech, noise=speech / "noise", out=tmp_path, steps=4))
    assert torch.load(checkpoint, weights_only=True)["step"] == 4
    assert provenance(checkpoint).get("git_commit") == source.commit()
    fresh = load_student(checkpoint)
    with torch.no_grad():
        output = fresh(torch.from_numpy(voice_like(0.5)).float()[None, :, None])
    assert output.isfinite().all()
    lines = (tmp_path / "default" / "log.jsonl").read_text().splitlines()
    assert len(lines) == 3  # the start, and the end of each part


def test_the_commits_are_those_the_run_was_trained_by(
    speech: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rtvoice.train.whisper.loop.CROP", 3200)
    for commit, steps, told in (("aaa", 1, "aaa"), ("aaa", 2, "aaa"), ("bbb", 3, "aaa, bbb"), (None, 4, "aaa, bbb")):
        monkeypatch.setattr(source, "commit", lambda commit=commit: commit)
        checkpoint = train(Run(speech=speech, noise=speech / "noise", out=tmp_path, steps=steps))
        assert provenance(checkpoint)["git_commit"] == told


def test_a_run_without_a_commit_tells_none(speech: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rtvoice.train.whisper.loop.CROP", 3200)
    monkeypatch.setattr(source, "commit", lambda: None)
    checkpoint = train(Run(speech=speech, noise=speech / "noise", out=tmp_path, steps=1))
    assert "git_commit" not in provenance(checkpoint)
