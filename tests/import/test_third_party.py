"""Networks of other projects, where they are at hand: each comes in and matches its own framework on speech."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest

from speech_like import voice_like

FOLDER = Path(os.environ.get("RTVOICE_THIRD_PARTY", Path(__file__).parents[3] / "shared" / "models3p"))
NEEDED = (
    "no third-party models at hand; set RTVOICE_THIRD_PARTY to a folder of them, or pip install --no-deps silero-vad"
)
SILERO = {"sample_rate": 16_000, "frames": 576, "hop": 512}
# File, how it is imported, outputs that are compared with the file of recorded ones, and how many values they have.
MODELS = {
    "silero_vad_6.2.3/silero_vad.onnx": SILERO,
    "silero_vad_6.2.3/silero_vad_16k_op15.onnx": SILERO,
    "silero_vad_6.2.3/silero_vad_op18_ifless.onnx": SILERO,
    "silero_vad_6.2.3/silero_vad_16k_sequence.onnx": {"sample_rate": 16_000, "frames": True, "hop": 512},
    "deepfilternet3/enc.onnx": {"sample_rate": 48_000, "frames": True},
    "deepfilternet3/erb_dec.onnx": {"sample_rate": 48_000, "frames": True},
    "deepfilternet3/df_dec.onnx": {"sample_rate": 48_000, "frames": True},
    "dtln/model_1.onnx": {"sample_rate": 16_000},
    "dtln/model_2.onnx": {"sample_rate": 16_000},
}


def file_of(name):
    """Return a model's path in the folder of third-party models, or in its own package."""
    packed = importlib.util.find_spec("silero_vad") if name.startswith("silero") else None
    if not (FOLDER / name).is_file() and packed is not None and packed.origin is not None:
        return Path(packed.origin).parent / "data" / Path(name).name
    return FOLDER / name


@pytest.mark.parametrize("name", MODELS)
def test_third_party_network(name):
    from rtvoice.export import import_with_report

    if not file_of(name).is_file():
        pytest.skip(NEEDED)
    model, report = import_with_report(file_of(name), **MODELS[name])
    assert report.parity["passed"] and model.latency == 0


@pytest.mark.skipif(not (FOLDER / "deepfilternet3").is_dir(), reason=NEEDED)
@pytest.mark.parametrize("name", ["enc", "erb_dec", "df_dec"])
def test_recorded_outputs_of_deepfilternet(name):
    """What onnxruntime gave elsewhere, for features at random: the frames of all inputs side by side."""
    import rtvoice
    from rtvoice.export import import_model

    model = import_model(FOLDER / f"deepfilternet3/{name}.onnx", sample_rate=48_000, frames=True, verify=False)
    kept = np.load(FOLDER / f"deepfilternet3/{name}.golden.npz")
    rows = []
    for key in (key for key in kept.files if key.startswith("in_")):
        time = kept[key].ndim - 2  # (..., time, features)
        rows.append(np.moveaxis(kept[key], time, 0).reshape(kept[key].shape[time], -1))
    frames = np.ascontiguousarray(np.concatenate(rows, axis=1), np.float32)
    engine = rtvoice.Engine(model, 48_000, max_frame=model.hop, block=model.hop)
    expected = {}
    for key in (key for key in kept.files if key.startswith("out_")):
        array = kept[key]
        time = list(array.shape).index(len(frames))
        expected[key[4:]] = np.moveaxis(array, time, 0).reshape(len(frames), -1)
    made = {output["name"]: output["tensor"] for output in model.metadata["graph"]["outputs"]}
    delays = {layer["name"]: int(layer["delay"]) for layer in model.info["layers"]}
    for newest, frame in enumerate(frames):
        engine.process(frame)
        for output, values in expected.items():
            place = newest - delays[made[output]]  # the networks look two frames ahead
            if place < 0:
                continue
            got = np.asarray(engine.outputs[output]).ravel()
            np.testing.assert_allclose(got, values[place], rtol=0, atol=1e-5 * max(1.0, np.abs(values).max()))


def speech(seconds):
    """Return recorded speech at 16 kHz, the clips one after another, or None."""
    import soundfile

    folder = FOLDER.parent / "speech"
    parts, count = [], 0
    for path in sorted(p for p in folder.rglob("*") if p.suffix in (".flac", ".wav", ".opus")):
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        if rate % 16_000:
            continue
        by = rate // 16_000
        whole = samples[: len(samples) // by * by, 0].reshape(-1, by).mean(axis=1)
        parts.append(whole.astype(np.float32))
        count += len(parts[-1])
        if count >= 16_000 * seconds:
            return np.concatenate(parts)[: 16_000 * seconds]
    return None


def test_a_minute_of_speech_through_silero_vad():
    """Frame by frame as its own wrapper calls it, 64 samples of context before each 512, the state handed on."""
    import onnxruntime

    import rtvoice
    from rtvoice.export import import_model

    path = file_of("silero_vad_6.2.3/silero_vad_16k_op15.onnx")
    if not path.is_file():
        pytest.skip(NEEDED)
    model = import_model(path, verify=False, **SILERO)
    engine = rtvoice.Engine(model, 16_000, max_frame=512, block=512)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    recorded = speech(60)
    signal = voice_like(60.0, 140.0, rate=16_000) if recorded is None else recorded
    state, past = np.zeros((2, 1, 128), np.float32), np.zeros(64, np.float32)
    worst, spread = 0.0, []
    for start in range(0, len(signal) - 511, 512):
        frame = signal[start : start + 512]
        feeds = {"input": np.concatenate([past, frame])[None], "state": state, "sr": np.array(16_000, np.int64)}
        expected, state = session.run(["output", "stateN"], feeds)
        past = frame[-64:]
        engine.process(np.ascontiguousarray(frame))
        got = float(np.ravel(engine.outputs["output"])[0])
        worst = max(worst, abs(got - float(expected[0, 0])))
        spread.append(got)
    assert worst <= 1e-4
    assert min(spread) < 0.2
    assert recorded is None or max(spread) > 0.9, "it hears speech and pauses"
