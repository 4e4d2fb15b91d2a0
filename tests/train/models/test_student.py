"""The student: what streams is what was trained, no later than it says, and its parameters do what they are called."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

import rtvoice  # noqa: E402
from rtvoice import safetensors_io  # noqa: E402
from rtvoice.train import students  # noqa: E402
from rtvoice.train.models import pitch as ear  # noqa: E402
from rtvoice.train.models.grow import grown  # noqa: E402
from rtvoice.train.models.losses import periodicity  # noqa: E402
from rtvoice.train.models.student import SHAPES, Heard, Student, StudentShape, balanced  # noqa: E402
from rtvoice.train.skin.student import FineTuneParams, StudentParams  # noqa: E402
from rtvoice.train.stages import StageContext  # noqa: E402

TIERS = ["default", "hq"]
Floats = npt.NDArray[np.float64]


def small(tier: str, seed: int = 0) -> Student:
    torch.manual_seed(seed)
    student = Student(replace(SHAPES[tier], channels=16, blocks=2, taught=0), math.log2(170)).eval()
    with torch.no_grad():
        student.head.weight.normal_(std=0.05)
        student.ear.answer.bias[ear.BINS] = 3.0
    return student


def hum(shape: StudentShape, frames: int, f0: float = 150.0, gain: float = 1.0) -> Floats:
    at = np.arange(frames * shape.hop) / shape.rate
    tone = sum(np.cos(2 * np.pi * k * f0 * at) / k for k in range(1, 20))
    return gain * (0.03 * tone + 0.003 * np.random.default_rng(0).standard_normal(at.size))


def as_batch(x: Floats) -> torch.Tensor:
    return torch.from_numpy(x).float()[None, :, None]


def spoken(student: Student, x: Floats) -> Floats:
    with torch.no_grad():
        return student(as_batch(x))[0, :, 0].double().numpy()


@pytest.mark.parametrize("tier", TIERS)
def test_latency_of_the_model_is_within_its_tier(tier: str) -> None:
    shape = SHAPES[tier]
    assert (shape.hop + shape.latency) / shape.rate <= {"default": 0.015, "hq": 0.020}[tier]


@pytest.mark.parametrize("tier", TIERS)
def test_hears_nothing_after_its_latency(tier: str) -> None:
    student = small(tier)
    hop = student.shape.hop
    x = hum(student.shape, 30)
    later = x.copy()
    later[20 * hop :] += 0.1 * np.random.default_rng(1).standard_normal(10 * hop)
    changed = np.nonzero(np.abs(spoken(student, x) - spoken(student, later)) > 1e-7)[0][0]
    # The hop that the change falls into is heard as a whole; what was given out before its beginning is settled.
    assert 20 * hop - student.shape.latency <= changed < 21 * hop


@pytest.mark.parametrize("tier", TIERS)
def test_stream_is_what_was_trained(tier: str, tmp_path: Path) -> None:
    student = small(tier)
    shape = student.shape
    # Refuses to write what streams something else; a phase adds up rounding for ever, so it is fed with one's terms.
    example = as_batch(hum(shape, 24))
    model = rtvoice.export(student, tmp_path / "a.rtv", sample_rate=shape.rate, hop=shape.hop, example=example)
    engine = rtvoice.Engine(model, sample_rate=shape.rate, max_frame=shape.hop, block=shape.hop)
    assert engine.latency == shape.latency
    x = hum(shape, 24).astype(np.float32)
    streamed = np.concatenate([engine.process(x[at : at + shape.hop]) for at in range(0, len(x), shape.hop)])
    offline = spoken(student, x.astype(np.float64))[: len(x) - shape.latency]
    assert np.corrcoef(streamed[shape.latency :], offline)[0, 1] > 0.98


@pytest.mark.parametrize("tier", TIERS)
def test_quiet_input_makes_the_same_voice_quietly(tier: str) -> None:
    student = small(tier)
    with torch.no_grad():
        loud, quiet = (student.hear(as_batch(hum(student.shape, 40, gain=gain))) for gain in (1.0, 0.1))
    for name in ("harmonic", "noise"):
        lower = (getattr(quiet, name) - getattr(loud, name))[0, 5:]
        assert (lower - math.log(0.1)).abs().mean() < 0.05  # 0.4 dB: the autocorrelation's floor is a little nearer


def test_every_parameter_learns() -> None:
    torch.manual_seed(0)
    student = Student(replace(SHAPES["default"], channels=16, blocks=2, taught=8))
    shape, frames = student.shape, 30
    heard = student.hear(as_batch(hum(shape, frames)))
    output = student.speak(heard, torch.full((1, frames, 1), 7.3))
    f0, voiced = torch.full((1, frames), 150.0), torch.ones(1, frames)
    losses = student.ear.losses(heard.pitch, f0, voiced, torch.tensor([-0.2]))
    assert student.teach is not None
    taught = student.teach(heard.body.float())
    (output.square().mean() + sum(losses.values()) + taught.square().mean()).backward()
    for name, parameter in student.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None and parameter.grad.abs().max() > 0, name


def test_ear_learns_a_melody_and_answers_in_the_targets_register() -> None:
    torch.manual_seed(0)
    student = small("default")
    head = ear.Ear(student.ear.enter.weight.shape[1], channels=32, blocks=1)
    notes = (90.0, 130.0, 190.0, 270.0)
    x = np.concatenate([hum(SHAPES["default"], 15, f0) for f0 in notes])
    with torch.no_grad():
        features, _ = student.features(as_batch(x))
    f0 = torch.tensor(notes).repeat_interleave(15)[None]
    voiced = torch.ones_like(f0)
    optimizer = torch.optim.Adam(head.parameters(), lr=5e-3)
    for _ in range(60):
        loss = sum(head.losses(head(features), f0, voiced, torch.zeros(1)).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        height = head.height(head(features))
        cents = 1200 * (height[0, :, 0] + ear.CENTRE - torch.log2(f0[0])).abs()
        assert cents.median() < 30
        register = head.register(height, torch.ones_like(height), torch.zeros_like(height))
        assert float(register[0, -1, 0]) == pytest.approx(float(height.mean()) * 60 / 85, abs=0.01)


@pytest.fixture(scope="module")
def talking() -> Student:
    return plainly(-6.0)


def plainly(noise: float) -> Student:
    """A student with a plain spectrum and so much noise (log), so that what its parameters do can be measured."""
    student = small("default", seed=3)
    with torch.no_grad():
        student.head.bias[:161] = torch.linspace(-1, -4, 161)
        student.head.bias[322:] = noise
    return student


def steered(student: Student, name: str, value: float) -> tuple[Floats, Heard, Floats]:
    """Return audio, what the synthesis was told, and log2 F0, with one parameter set."""
    told: list[tuple[Heard, torch.Tensor]] = []
    speak, parameter = student.speak, getattr(student, name)

    def listen(heard: Heard, height: torch.Tensor) -> torch.Tensor:
        told.append((heard, height))
        return speak(heard, height)

    student.speak = listen  # type: ignore[method-assign]
    parameter.value = torch.tensor([value])
    try:
        audio = spoken(student, hum(student.shape, 60))
    finally:
        del student.speak
        parameter.value = None
    heard, height = told[0]
    return audio, heard, height[0, :, 0].double().numpy()


def test_pitch_shift_moves_f0_by_semitones(talking: Student) -> None:
    plain, up = (steered(talking, "pitch_shift", value)[2] for value in (0.0, 5.0))
    np.testing.assert_allclose(up - plain, 5 / 12, atol=1e-5)


def test_formant_shift_stretches_the_spectrum(talking: Student) -> None:
    plain, up = (steered(talking, "formant_shift", value)[1].harmonic[0, -1].numpy() for value in (0.0, 6.0))
    expected = np.interp(np.arange(100) / 2 ** (6 / 12), np.arange(161), plain)
    np.testing.assert_allclose(up[:100], expected, atol=1e-4)


def test_breathiness_makes_the_voice_less_periodic(talking: Student) -> None:
    found = []
    for value in (12.0, 0.0, -12.0):
        audio, _, height = steered(talking, "breathiness", value)
        f0 = torch.from_numpy(2.0**height)[None]
        frames = torch.arange(10, 50)
        found.append(float(periodicity(torch.from_numpy(audio)[None], f0, rate=16000, hop=160, frames=frames).mean()))
    breathy, plain, clear = found
    assert breathy < plain < clear


@pytest.mark.parametrize("noise", [-6.0, -3.0])
def test_breathiness_leaves_the_level(noise: float) -> None:
    student = plainly(noise)
    levels = [float(np.square(steered(student, "breathiness", value)[0][1600:]).mean()) for value in (12.0, 0.0, -12.0)]
    np.testing.assert_allclose(10 * np.log10(levels), 10 * np.log10(levels[1]), atol=1.0)


def test_neutral_breathiness_changes_no_bit() -> None:
    harmonic, noise = (torch.randn(1, 50, 161, generator=torch.Generator().manual_seed(k)) * 3 for k in (1, 2))
    harmonic[:, 10:20], noise[:, 15:25] = -70.0, -70.0
    for made, given in zip(balanced(harmonic, noise, torch.zeros(1, 50, 1)), (harmonic, noise), strict=True):
        torch.testing.assert_close(made, given, rtol=0, atol=0)


def test_engine_offers_the_parameters(tmp_path: Path) -> None:
    student = plainly(-3.0)
    model = rtvoice.export(student, tmp_path / "a.rtv", sample_rate=16000)
    x = hum(student.shape, 60).astype(np.float32)
    levels = {}
    for name, value in (("breathiness", 0.0), ("breathiness", 12.0), ("pitch_shift", 12.0), ("formant_shift", -6.0)):
        engine = rtvoice.Engine(model, sample_rate=16000, max_frame=160, block=160)
        engine.set(name, value)
        out = np.concatenate([engine.process(x[at : at + 160]) for at in range(0, len(x), 160)])
        levels[name, value] = np.abs(np.fft.rfft(out[4800:]))
    plain = levels.pop(("breathiness", 0.0))
    for changed in levels.values():
        assert np.linalg.norm(changed - plain) > 0.05 * np.linalg.norm(plain)


@pytest.mark.parametrize(("stage", "params"), [("student", StudentParams), ("fine-tune", FineTuneParams)])
def test_what_was_trained_further_is_written_as_its_recipe_says(
    stage: str, params: type[StudentParams], tmp_path: Path
) -> None:
    for weights, dtype in (("fp16", np.float16), ("fp32", np.float32)):
        path = tmp_path / f"{weights}.rtv"
        ctx = StageContext(tmp_path, params(weights=weights))
        students.find("rtvoice.train.skin", stage).write(small("default"), path, ctx)
        tensors, _ = safetensors_io.read(path.read_bytes())
        assert tensors["head.weight"].dtype == dtype
        assert rtvoice.Model.load(path).tier == "default"


def growing(**larger: int) -> StudentShape:
    return replace(SHAPES["default"], **{"channels": 16, "blocks": 2, "taught": 8, **larger})


def test_a_grown_student_says_what_the_smaller_one_says() -> None:
    torch.manual_seed(3)
    one = Student(growing(), math.log2(170)).eval()
    with torch.no_grad():
        one.head.weight.normal_(std=0.05)
    other = grown(one, growing(blocks=5, widen=7)).eval()
    x = as_batch(hum(one.shape, 60))
    with torch.no_grad():
        was, now = one.hear(x), other.hear(x)
        for name in ("pitch", "harmonic", "phase", "noise", "body"):
            assert torch.allclose(getattr(now, name), getattr(was, name), atol=2e-5), name
    assert sum(p.numel() for p in other.body.parameters()) > 4 * sum(p.numel() for p in one.body.parameters())


def test_what_is_new_in_a_grown_student_can_learn() -> None:
    one = Student(growing(), math.log2(170))
    other = grown(one, growing(blocks=3, widen=4)).train()
    x = as_batch(hum(one.shape, 60))
    heard = other.hear(x)
    other.speak(heard, torch.full_like(heard.pitch[..., :1], 7.5)).square().mean().backward()
    inner = one.shape.widen * one.shape.channels
    assert other.body[0].narrow.weight.grad[:, inner:].abs().max() > 0
    assert other.body[2].narrow.weight.grad.abs().max() > 0


def test_a_grown_student_keeps_its_filters_at_a_higher_rate() -> None:
    torch.manual_seed(4)
    one = Student(growing(), math.log2(170)).eval()
    with torch.no_grad():
        one.head.weight.normal_(std=0.05)
    shape = growing(rate=24000, window=720, fade=120, latency=240)
    other = grown(one, shape).eval()
    narrow, wide = one.synthesis.bins, other.synthesis.bins
    rows = torch.arange(3)[:, None] * wide + torch.arange(narrow)
    assert torch.equal(other.head.weight[rows.flatten()], one.head.weight)
    # The same sound at both rates is heard alike, up to the filters that end an analysis at 8 kHz.
    with torch.no_grad():
        was = one.hear(as_batch(hum(one.shape, 80))).harmonic[:, 40:]
        now = other.hear(as_batch(hum(shape, 80))).harmonic[:, 40:, :narrow]
    assert float((was - now).std() / was.std()) < 0.35


@pytest.mark.parametrize(
    ("changed", "told"),
    [({"channels": 24}, "channels is 24"), ({"blocks": 1}, "less than"), ({"rate": 8000}, "rate is 8000")],
)
def test_a_student_grows_in_its_own_ways_only(changed: dict[str, int], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        grown(Student(growing()), growing(**changed))


def test_a_fine_tuning_grows_from_nothing() -> None:
    with pytest.raises(ValueError, match="grown_from"):
        FineTuneParams(grown_from="default")
