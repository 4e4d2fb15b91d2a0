"""The stages of a skin, one after the other, on two invented voices: recordings in, a model file out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")
soundfile = pytest.importorskip("soundfile")
pytest.importorskip("parselmouth", reason="the train extra is not installed")

from rtvoice.train import checkpoint  # noqa: E402
from rtvoice.train.data import Content, DataError, Prepared, features  # noqa: E402
from rtvoice.train.models import excitation  # noqa: E402
from rtvoice.train.models.student import SHAPES  # noqa: E402
from rtvoice.train.optimise import to_device  # noqa: E402
from rtvoice.train.schedule import Phase  # noqa: E402
from rtvoice.train.skin import GRAPH, crops, master, material, own, pairs, render, student, vary  # noqa: E402
from rtvoice.train.skin.voice import Voice, load_master  # noqa: E402
from rtvoice.train.stages import StageContext  # noqa: E402
from rtvoice.train.task import Training  # noqa: E402


class Spectra:
    """A recogniser that costs nothing: cepstra at 50 Hz."""

    dimensions, frames_per_second = 12, 50.0

    def __call__(self, speech: Any) -> Any:
        frames = speech[: len(speech) // 320 * 320].reshape(-1, 320)
        levels = np.log(np.abs(np.fft.rfft(frames * np.hanning(320))) + 1e-3)
        return np.asarray(np.fft.irfft(levels)[:, :12], np.float32)


def record(path: Path, f0: float, seed: int) -> None:
    """Write 3 s of something like syllables."""
    rng = np.random.default_rng(seed)
    frames = 300
    melody = torch.tensor(f0 * 2 ** (0.1 * np.cumsum(rng.standard_normal(frames)) / 5), dtype=torch.float32)
    voiced = torch.tensor(np.repeat(rng.uniform(size=frames // 15) > 0.3, 15), dtype=torch.float32)
    train = excitation.pulses(melody[None], voiced[None], rate=16000, hop=160)[0].numpy()
    colour = np.exp(-np.arange(64) / 6) * np.cos(np.arange(64) * rng.uniform(0.2, 0.8))
    speech = np.convolve(train, colour)[: len(train)] + 0.02 * rng.standard_normal(len(train))
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.1 * speech / np.abs(speech).max() * 3, 16000)


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Run all stages with numbers so small that they only show that everything fits together."""
    root = tmp_path_factory.mktemp("skin")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(features.EXTRACTORS, "spectra", lambda weights: Spectra())
        for number in range(4):
            record(root / "target" / f"take{number}.wav", 190, number)
        for number in range(4):
            record(root / "others" / f"man{number % 2}" / f"say{number}.wav", 110, 10 + number)
        training = Training(validate_every=2, every=1, average=0.5)
        shown = material.PrepareParams(target=str(root / "target"), sources=(), others=str(root / "others"))
        tiny = Phase("tiny", steps=2, rate=1e-3, warm_up=1)
        fight = Phase("fight", steps=1, rate=1e-3, warm_up=1, adversarial=True)
        params: dict[str, Any] = {
            "prepare": shown,
            "content": material.ContentParams(extractor="spectra"),
            "master": master.MasterParams(
                channels=16, blocks=1, code=4, bottleneck=4, batch=2, frames=40, phases=(tiny, fight), training=training
            ),
            "vary": vary.VaryParams(speeds=(0.8,), extractor="spectra"),
            "render": render.RenderParams(speeds=(0.8, 1.25)),
            "student": student.StudentParams(
                channels=16, blocks=1, batch=2, frames=60, phases=(tiny,), training=training
            ),
            "fine-tune": student.FineTuneParams(
                batch=2, frames=60, phases=(fight,), training=training, real="recordings", periods=(2, 3)
            ),
        }
        folders: dict[str, Path] = {"root": root}
        for name, stage in own.GRAPH.stages.items():
            folders[name] = root / name
            folders[name].mkdir()
            ctx = StageContext(
                folder=folders[name],
                params=params[name],
                inputs={other: folders[other] for other in stage.inputs},
                tier="default" if stage.tiered else None,
                recipe=Given(shown),  # type: ignore[arg-type]
                device="cpu",
            )
            stage.run(ctx)
            if stage.merge is not None:
                stage.merge(ctx)
    return folders


class Speeds:
    """As much of varied features as the drawing of crops asks for."""

    speeds = (0.8,)


class Given:
    """As much of a recipe as the stages ask for."""

    class skin:  # noqa: D106, N801
        name, description, licence = "invented", "Nobody", "CC0-1.0"

    def __init__(self, prepare: material.PrepareParams) -> None:
        self.prepare = prepare

    def params(self, stage: str, cls: type, tier: str | None = None) -> Any:
        if stage == "render":
            return render.RenderParams()
        return material.ContentParams(extractor="spectra") if stage == "content" else self.prepare


def test_judges_of_the_waveform_stand_beside_those_of_spectrograms(stages: dict[str, Path]) -> None:
    judges = checkpoint.load(stages["fine-tune"] / "checkpoint.pt")["models"]["adversary"]
    kernels = [tuple(judges[f"judges.{n}.layers.0.parametrizations.weight.original1"].shape[2:]) for n in range(5)]
    assert kernels == [(3, 8)] * 3 + [(5, 1)] * 2


def test_graph_of_own_recordings_reads_no_data_folder() -> None:
    assert GRAPH.stages["prepare"].data is not None
    assert own.GRAPH.stages["prepare"].data is None
    assert own.GRAPH.names == GRAPH.names
    assert GRAPH.names == ["prepare", "content", "vary", "master", "render", "student", "fine-tune"]


def test_changed_recordings_change_the_settings(stages: dict[str, Path], tmp_path: Path) -> None:
    record(tmp_path / "a.wav", 100, 1)
    before = material.PrepareParams(target=str(tmp_path), sources=())
    record(tmp_path / "b.wav", 100, 2)
    assert material.PrepareParams(target=str(tmp_path), sources=()).contents != before.contents


def test_master_knows_target_and_others_and_is_read_back(stages: dict[str, Path]) -> None:
    network, voice = load_master(stages["master"])
    assert voice.speakers[voice.of().number] == material.SKIN
    assert len(voice.speakers) == 3
    assert 2 ** voice.of().register.mean == pytest.approx(190, rel=0.15)
    assert network.shape.content == 12


def test_one_master_learns_several_voices_and_answers_as_the_one_asked_for(
    stages: dict[str, Path], tmp_path: Path
) -> None:
    params = material.PrepareParams(target="low", also=("high",), sources=("crowd",))
    assert params.collections == ("low", "high", "crowd")
    for name, f0 in {"low": 90, "high": 230, "crowd": 150}.items():
        for number in range(2):
            record(tmp_path / "data" / f"source_{name}" / f"{name}{number}.wav", f0, 1)
        lines = "".join(f"{name}{number}|words\n" for number in range(2))
        (tmp_path / "data" / f"source_{name}" / "metadata.csv").write_text(lines)
    tiny = Phase("tiny", steps=1, rate=1e-3, warm_up=1)
    trained = master.MasterParams(channels=16, blocks=1, code=4, bottleneck=4, batch=3, frames=40, phases=(tiny,))
    chosen = {"content": material.ContentParams(extractor="spectra"), "master": trained}
    chosen["render"] = render.RenderParams(speeds=(), voice="high")  # type: ignore[assignment]
    folders: dict[str, Path] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(features.EXTRACTORS, "spectra", lambda weights: Spectra())
        for name in ("prepare", "content", "master", "render"):
            stage, folders[name] = GRAPH.stages[name], tmp_path / name
            folders[name].mkdir()
            ctx = StageContext(
                folder=folders[name],
                params=chosen.get(name, params),
                inputs={other: folders[other] for other in stage.inputs if other in folders},
                recipe=Given(params),  # type: ignore[arg-type]
                device="cpu",
                data=tmp_path / "data",
            )
            stage.run(ctx)
            if stage.merge is not None:
                stage.merge(ctx)
    voice = Voice.read(folders["master"])
    assert list(voice.learned) == ["low", "high"]
    assert 2 ** voice.of("high").register.mean > 2 * 2 ** voice.of("low").register.mean
    about = json.loads((folders["render"] / "about.json").read_text())
    assert about["register"] == voice.of("high").register.mean
    with pytest.raises(DataError, match="has not learned the voice 'crowd'; it has low, high"):
        voice.of("crowd")


def test_validation_hears_all_voices_in_turn() -> None:
    assert master.probed({"a": [1, 2], "b": [3]}, {"a": [9], "b": []}, 4) == [9, 3, 9, 3]


def test_every_clip_is_answered_at_two_speeds_in_step(stages: dict[str, Path]) -> None:
    rows = list(render.rows(stages["render"]))
    prepared = Prepared(stages["prepare"])
    assert [row["id"] for row in rows] == [clip.id for clip in prepared.clips for _ in range(2)]
    plain, sped = rows[0], rows[1]
    assert sped["frames"] == pytest.approx(plain["frames"] / sped["speed"], abs=1)
    assert sped["register"] - plain["register"] == pytest.approx(np.log2(sped["speed"]), abs=0.03)


def test_varied_features_stand_in_the_clips_own_time(stages: dict[str, Path]) -> None:
    varied, prepared = vary.Varied(stages["vary"]), Prepared(stages["prepare"])
    clip = prepared.select(speaker=material.SKIN, split="train")[0]
    assert varied.features(clip, 0.8).shape == ((prepared.clip(clip).frames + 1) // 2, 12)
    features = np.arange(10, dtype=np.float32)[:, None]
    np.testing.assert_allclose(vary.in_own_time(features, 0.5, 5)[:, 0], [0, 2, 4, 6, 8])
    samples = np.sin(2 * np.pi * 500 * np.arange(24000) / 24000).astype(np.float32)
    slow = vary.played(samples, 0.8)
    assert len(slow) == 30000
    assert np.argmax(np.abs(np.fft.rfft(slow[:24000]))) == 400


def test_killed_rendering_goes_on_with_what_is_missing(stages: dict[str, Path], tmp_path: Path) -> None:
    import shutil

    folder = tmp_path / "render"
    shutil.copytree(stages["render"], folder)
    kept = render.array_file(folder, "answer", 0).read_bytes()
    (folder / render.INDEX).unlink()
    (folder / "unit-0000.json").unlink()
    inputs = {name: stages[name] for name in ("prepare", "content", "master")}
    ctx = StageContext(folder=folder, params=render.RenderParams(speeds=(0.8, 1.25)), inputs=inputs)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(features.EXTRACTORS, "spectra", lambda weights: Spectra())
        features.loaded.cache_clear()
        render.run(ctx)
        render.merge(ctx)
    assert render.array_file(folder, "answer", 0).read_bytes() == kept


def test_lesson_is_in_step_with_its_answer(stages: dict[str, Path]) -> None:
    shape = replace(SHAPES["default"], taught=16)
    lessons = pairs.Pairs(stages["render"], shape)
    found = lessons.lesson(0, 0.0, 60, None)
    assert found.source.shape == found.answer.shape == (1, 60 * shape.hop)
    assert found.hidden.shape == (1, 60, 16)
    raw = lessons.frames("f0", lessons.pairs[0], 0, 62)[:, 0]
    np.testing.assert_allclose(found.f0[0], np.abs(raw[1:61]), rtol=1e-5)
    moved = np.log2(np.abs(raw[1:61])) - lessons.pairs[0].register + lessons.register
    np.testing.assert_allclose(found.heights[0], moved, atol=1e-5)
    hidden = lessons.frames("hidden", lessons.pairs[0], 0, 62).astype(np.float32)
    np.testing.assert_allclose(found.hidden[0], 0.75 * hidden[:60] + 0.25 * hidden[1:61], atol=2e-3)
    late = pairs.Pairs(stages["render"], replace(SHAPES["hq"], taught=16)).lesson(0, 0.0, 60, None)
    assert late.source.shape == (1, 60 * 240)
    np.testing.assert_allclose(
        late.heights[0], 0.5 * (moved + np.log2(np.abs(raw[:60])) - np.log2(np.abs(raw[1:61])) + moved), atol=1e-5
    )


def test_same_step_gives_the_same_lessons(stages: dict[str, Path]) -> None:
    network = student.load_student(stages["student"])
    task = student.StudentTask(
        network, pairs.Pairs(stages["render"], network.shape), student.StudentParams(batch=2, frames=60)
    )
    first, again = next(task.batches(3, 0, 1)), next(task.batches(3, 0, 1))
    torch.testing.assert_close(first.source, again.source, rtol=0, atol=0)
    half = next(task.batches(3, 1, 2))
    torch.testing.assert_close(half.source, first.source[1::2], rtol=0, atol=0)


def test_discriminators_are_shown_recordings_of_the_target(stages: dict[str, Path]) -> None:
    network = student.load_student(stages["student"])
    lessons = pairs.Pairs(stages["render"], network.shape)
    ctx = StageContext(
        folder=stages["root"],
        inputs={},
        recipe=Given(material.PrepareParams(target=str(stages["root"] / "target"))),  # type: ignore[arg-type]
        device="cpu",
    )
    own_voice = student.recorded(lessons, ctx)
    trained = [lessons.pairs[n] for n in lessons.select("train")]
    assert [lessons.pairs[n] for n in own_voice] == [p for p in trained if p.speaker == "skin" and p.speed == 1.0]
    plain = student.StudentTask(network, lessons, student.StudentParams(batch=4, frames=60))
    task = student.StudentTask(network, lessons, student.StudentParams(batch=4, frames=60), recordings=own_voice)
    usual, lesson, again = next(plain.batches(3, 0, 1)), next(task.batches(3, 0, 1)), next(task.batches(3, 0, 1))
    torch.testing.assert_close(usual.real, usual.answer, rtol=0, atol=0)
    for name in ("source", "answer", "f0"):  # what is shown changes nothing of what is taught
        torch.testing.assert_close(getattr(lesson, name), getattr(usual, name), rtol=0, atol=0)
    torch.testing.assert_close(lesson.real, again.real, rtol=0, atol=0)
    assert not torch.equal(lesson.real, lesson.answer)
    quiet = pairs.Pairs(stages["render"], network.shape).lesson(0, 0.0, 60, None, real=(own_voice[1], 0.5))
    np.testing.assert_array_equal(quiet.real[0], lessons.stretch("source", own_voice[1], 0.5, 60))


def test_recordings_that_are_not_there_are_missed(stages: dict[str, Path]) -> None:
    lessons = pairs.Pairs(stages["render"], student.load_student(stages["student"]).shape)
    ctx = StageContext(folder=stages["root"], inputs={}, recipe=Given(material.PrepareParams("nobody")), device="cpu")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"none of nobody .* fine-tune\.real = 'answers'"):
        student.recorded(lessons, ctx)


def test_losses_stay_on_the_device_of_their_batch(stages: dict[str, Path]) -> None:
    """On PyTorch's meta device, which computes nothing, two tensors of different devices do not meet."""
    network = student.load_student(stages["student"]).train()
    lessons = pairs.Pairs(stages["render"], network.shape)
    learning = student.StudentTask(network, lessons, student.StudentParams(batch=2, frames=60))
    lesson = to_device(next(learning.batches(0, 0, 1)), torch.device("meta"))
    for model in learning.models().values():
        model.to("meta")
    heard, output = learning.speak(lesson)
    losses = [*learning.terms(output, lesson).values()]
    losses += network.ear.losses(heard.pitch, lesson.f0, lesson.voiced, lesson.register).values()
    speech = master.Speech(
        Prepared(stages["prepare"]), Content(stages["content"]), crops.Scale(torch.ones(12)), ["man0", "man1", "skin"]
    )
    speaking = master.MasterTask(
        load_master(stages["master"])[1].shape, master.MasterParams(batch=2, frames=40), speech, [[0, 1]], []
    )
    batch = to_device(next(speaking.batches(0, 0, 1)), torch.device("meta"))
    for model in speaking.models().values():
        model.to("meta")
    made = speaking.speak(batch)
    losses += speaking.terms(made, batch).values()
    losses += [score.mean() for score, _ in speaking.adversary(made)]
    assert all(loss.device.type == "meta" and loss.ndim == 0 for loss in losses)


def test_crops_follow_the_shares_of_their_pools(stages: dict[str, Path]) -> None:
    speech = crops.Speech.__new__(crops.Speech)
    speech.ends = lambda clips: np.cumsum(np.ones(len(clips)))  # type: ignore[method-assign]
    first, second = [1, 2], [3]
    speech.varied = Speeds()  # type: ignore[assignment]
    drawn = crops.draw([(speech, first, 1.0, 0.0), (speech, second, 3.0, 0.5)], 4000, np.random.default_rng(0))
    counts = np.bincount([clip for _, clip, _, _ in drawn])
    np.testing.assert_allclose(counts[1:] / 4000, [0.125, 0.125, 0.75], atol=0.03)
    assert np.mean([speed == 0.8 for _, clip, _, speed in drawn if clip == 3]) == pytest.approx(0.5, abs=0.05)
    assert all(speed == 1.0 for _, clip, _, speed in drawn if clip != 3)


@pytest.mark.parametrize("stage", ["student", "fine-tune"])
def test_model_file_says_what_it_is(stages: dict[str, Path], stage: str) -> None:
    import safetensors

    with safetensors.safe_open(stages[stage] / "default.rtv", "np") as file:
        told = json.loads(file.metadata()["rtvoice"])
        matrices = [file.get_tensor(name) for name in file.keys()]  # noqa: SIM118 (it is no mapping)
    for matrix in matrices:
        if matrix.ndim > 1 and matrix.dtype != np.float16:  # a transform with numbers that 16 bits do not hold
            assert np.abs(matrix).max() > 65504
    assert any(matrix.dtype == np.float16 for matrix in matrices)
    assert (told["name"], told["tier"], told["licence"], told["sample_rate"]) == (
        "invented",
        "default",
        "CC0-1.0",
        16000,
    )
    assert told["provenance"]["content"] == "spectra"
    assert told["provenance"]["weights"] == "fp16" and "weights_snr_db" in told["provenance"]
    assert {p["name"] for p in told["parameters"]} == {"pitch_shift", "formant_shift", "breathiness"}


def test_noise_is_looked_for_beside_the_recordings(tmp_path: Path) -> None:
    (tmp_path / "noise").mkdir()
    (tmp_path / "speech").mkdir()
    named = student.StudentParams(noise="../noise")
    found = student.noise_folder(named, tmp_path / "speech")
    assert found is not None and found.resolve() == (tmp_path / "noise").resolve()
    assert student.noise_folder(student.StudentParams(), None) is None
    with pytest.raises(ValueError, match="--data"):
        student.noise_folder(named, None)
    with pytest.raises(ValueError, match="no folder"):
        student.noise_folder(student.StudentParams(noise="rooms"), tmp_path)
