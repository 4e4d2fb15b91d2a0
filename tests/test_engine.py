"""The engine as Python sees it: what process takes and gives, latency, cutting, parameters, swap, statistics."""

from __future__ import annotations

import copy
import pickle
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rtvoice
from rtvoice import _core
from small_model import RATE, build_model

RATES = [8000, 16000, 22050, 44100, 48000, 96000, 192000]


def noise(frames: int, channels: int = 0, seed: int = 0) -> np.ndarray:
    shape = (frames, channels) if channels else (frames,)
    return (0.2 * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)


def run_in(engine: rtvoice.Engine, signal: np.ndarray, sizes: list[int]) -> np.ndarray:
    out, start, i = np.empty_like(signal), 0, 0
    while start < len(signal):
        stop = min(len(signal), start + sizes[i % len(sizes)])
        out[start:stop] = engine.process(signal[start:stop])
        start, i = stop, i + 1
    return out


# ---- what process takes and gives


@pytest.mark.parametrize("channels", [1, 2, 5])
@pytest.mark.parametrize("frames", [0, 1, 37, 480])
def test_output_has_the_shape_of_the_frame(model: rtvoice.Model, channels: int, frames: int) -> None:
    engine = rtvoice.Engine(model, 48000, 480, channels)
    frame = noise(frames, channels)
    out = engine.process(frame)
    assert out.shape == frame.shape
    assert out.dtype == np.float32
    if channels == 1:
        assert engine.process(frame[:, 0].copy()).shape == (frames,)


def test_out_is_written_and_returned(model: rtvoice.Model) -> None:
    a, b = rtvoice.Engine(model, 48000, 480), rtvoice.Engine(model, 48000, 480)
    for seed in range(5):
        frame = noise(480, seed=seed)
        buffer = np.full(480, 9, np.float32)
        assert b.process(frame, out=buffer) is buffer
        np.testing.assert_array_equal(a.process(frame), buffer)


def test_in_place_gives_the_same(model: rtvoice.Model) -> None:
    a, b = rtvoice.Engine(model, 48000, 480), rtvoice.Engine(model, 48000, 480)
    for seed in range(5):
        frame = noise(480, seed=seed)
        expected = a.process(frame)
        np.testing.assert_array_equal(b.process(frame, out=frame), expected)


def strided() -> np.ndarray:
    return noise(960)[::2]


def fortran() -> np.ndarray:
    return np.asfortranarray(noise(100, 2))


@pytest.mark.parametrize(
    ("channels", "frame"),
    [
        (1, noise(100).astype(np.float64)),
        (1, noise(100).astype(np.int16)),
        (1, noise(100).astype(np.complex64)),
        (1, noise(100).astype(">f4")),
        (1, strided()),
        (2, fortran()),
        (1, noise(481)),
        (1, noise(100, 2)),
        (2, noise(100)),
        (2, noise(100, 3)),
        (1, np.zeros(41, np.uint8)[1:].view(np.float32)),
        (1, np.zeros((10, 10, 1), np.float32)),
        (1, np.float32(0.5)),
        (1, [0.0, 0.1]),
        (1, None),
        (1, "frame"),
    ],
    ids=str,
)
def test_an_unfit_frame_is_a_value_error_and_leaves_the_stream_alone(
    model: rtvoice.Model, channels: int, frame: object
) -> None:
    engine, clean = rtvoice.Engine(model, 48000, 480, channels), rtvoice.Engine(model, 48000, 480, channels)
    good = noise(480, channels)
    engine.process(good)
    clean.process(good)
    with pytest.raises(ValueError) as caught:
        engine.process(frame)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    np.testing.assert_array_equal(engine.process(good), clean.process(good))


@pytest.mark.parametrize(
    "out",
    [
        np.zeros(479, np.float32),
        np.zeros(480),
        np.zeros((480, 2), np.float32),
        np.zeros(960, np.float32)[::2],
        np.zeros(1921, np.uint8)[1:].view(np.float32),
        "x",
    ],
    ids=["short", "float64", "stereo", "strided", "unaligned", "text"],
)
def test_an_unfit_out_is_a_value_error(model: rtvoice.Model, out: object) -> None:
    engine = rtvoice.Engine(model, 48000, 480)
    with pytest.raises(ValueError):
        engine.process(noise(480), out=out)  # type: ignore[arg-type]


def test_a_read_only_out_is_refused(model: rtvoice.Model) -> None:
    engine = rtvoice.Engine(model, 48000, 480)
    out = np.zeros(480, np.float32)
    out.flags.writeable = False
    with pytest.raises(ValueError):
        engine.process(noise(480), out=out)
    assert not out.any()


def test_a_read_only_frame_is_fine(model: rtvoice.Model) -> None:
    frame = noise(480)
    frame.flags.writeable = False
    rtvoice.Engine(model, 48000, 480).process(frame)


@pytest.mark.parametrize(
    "options",
    [
        {"sample_rate": 7999},
        {"sample_rate": 192001},
        {"sample_rate": 0},
        {"sample_rate": -48000},
        {"sample_rate": 44100.5},
        {"sample_rate": "48000"},
        {"sample_rate": True},
        {"max_frame": 0},
        {"max_frame": 65537},
        {"channels": 0},
        {"channels": 33},
        {"block": 0},
        {"block": 1025},
        {"seed": -1},
        {"seed": 2**64},
        {"resampler": "linear"},
        {"fade_ms": -1.0},
        {"fade_ms": float("nan")},
        {"schedule": "later"},
        {"overload": "noise"},
        {"fallback": "hq"},
        {"tier": "hq"},
    ],
    ids=str,
)
def test_an_unfit_option_is_a_value_error(model: rtvoice.Model, options: dict[str, object]) -> None:
    with pytest.raises(ValueError) as caught:
        rtvoice.Engine(model, **options)  # type: ignore[arg-type]
    assert next(iter(options)).replace("fade_ms", "fade").split("_")[0] in str(caught.value)


# ---- the stream


@pytest.mark.parametrize("rate", RATES)
def test_cutting_the_input_differently_gives_the_same_bits(model: rtvoice.Model, rate: int) -> None:
    signal = noise(rate // 4)
    whole = run_in(rtvoice.Engine(model, rate, 4096), signal, [4096])
    for sizes in ([1, 2, 3, 5, 7], [64], [480], [1021, 1, 333]):
        np.testing.assert_array_equal(run_in(rtvoice.Engine(model, rate, 4096), signal, sizes), whole)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("frame", [64, 480])
def test_latency_is_where_a_click_comes_out(model: rtvoice.Model, rate: int, frame: int) -> None:
    """The model's own response has its peak elsewhere, so the bypassed engine is measured, at equal latency."""
    engine = rtvoice.Engine(model, rate, frame)
    engine.bypass = True
    run_in(engine, np.zeros(rate // 2, np.float32), [frame])  # past the cross-fade
    click = np.zeros(rate // 2, np.float32)
    click[100] = 1.0
    out = run_in(engine, click, [frame])
    assert int(np.argmax(np.abs(out))) == 100 + engine.latency


def offline(signal: np.ndarray, path: Path) -> np.ndarray:
    """The small model's own formula over the whole signal, in float64, from its tensors."""
    from rtvoice.graph_reader import load_graph

    nodes = {node.name: node.weights for node in load_graph(path).nodes}
    taps, back = (np.asarray(nodes[name]["weight"], np.float64) for name in ("filter", "sum"))
    padded = np.pad(signal.astype(np.float64), 4)
    hidden = np.tanh(np.stack([np.correlate(padded, t[0]) for t in taps]))
    hidden = np.pad(hidden, ((0, 0), (36, 36)))
    return np.sum([np.correlate(h, b) for h, b in zip(hidden, back[0], strict=True)], axis=0)


def test_at_the_models_rate_the_stream_is_the_offline_output_delayed(model: rtvoice.Model, model_path: Path) -> None:
    signal = noise(RATE)
    engine = rtvoice.Engine(model, RATE, 512)
    out = run_in(engine, signal, [512, 77])[engine.latency :]
    expected = offline(signal, model_path)[: len(out)]
    np.testing.assert_allclose(out, expected, atol=1e-5 * np.abs(expected).max())


def test_reset_is_as_fresh(model: rtvoice.Model) -> None:
    engine = rtvoice.Engine(model, 44100, 441)
    signal = noise(44100 // 2)
    first = run_in(engine, signal, [441])
    engine.reset()
    np.testing.assert_array_equal(run_in(engine, signal, [441]), first)


def test_channels_are_streams_of_their_own(model: rtvoice.Model) -> None:
    left, right = noise(9600, seed=1), noise(9600, seed=2)
    both = run_in(rtvoice.Engine(model, 48000, 480, 2), np.stack([left, right], 1), [480])
    np.testing.assert_array_equal(both[:, 0], run_in(rtvoice.Engine(model, 48000, 480), left, [480]))
    np.testing.assert_array_equal(both[:, 1], run_in(rtvoice.Engine(model, 48000, 480), right, [480]))


def test_a_promised_block_costs_less_latency_and_is_held_to(model: rtvoice.Model) -> None:
    free, promised = rtvoice.Engine(model, 48000, 480), rtvoice.Engine(model, 48000, 480, block=480)
    assert promised.latency < free.latency
    with pytest.raises(ValueError):
        promised.process(noise(479))


def test_latency_is_the_sum_of_its_parts(model: rtvoice.Model) -> None:
    for rate in RATES:
        engine = rtvoice.Engine(model, rate, 480)
        assert set(engine.latency_parts) == {"model", "resampler", "buffering"}
        assert sum(engine.latency_parts.values()) == pytest.approx(engine.latency, abs=1e-3)


def test_the_seed_decides_the_noise(model: rtvoice.Model) -> None:
    def hiss(seed: int) -> np.ndarray:
        engine = rtvoice.Engine(model, RATE, 480, seed=seed)
        engine.set("hiss", 1.0)
        return run_in(engine, np.zeros(4800, np.float32), [480])

    np.testing.assert_array_equal(hiss(1), hiss(1))
    assert not np.array_equal(hiss(1), hiss(2))


def test_what_is_not_finite_does_not_stick(model: rtvoice.Model) -> None:
    engine, clean = rtvoice.Engine(model, 48000, 480), rtvoice.Engine(model, 48000, 480)
    bad = noise(480)
    zeroed = bad.copy()
    bad[[3, 50, 51]] = [np.nan, np.inf, -np.inf]
    zeroed[[3, 50, 51]] = 0
    assert np.isfinite(engine.process(bad)).all()
    clean.process(zeroed)
    for seed in range(20):
        np.testing.assert_array_equal(engine.process(noise(480, seed=seed)), clean.process(noise(480, seed=seed)))
    assert engine.stats()["nonfinite"] == 3


# ---- parameters, bypass, outputs, swap


def test_a_parameter_moves_the_output_without_a_click(model: rtvoice.Model) -> None:
    signal = np.sin(2 * np.pi * 200 * np.arange(RATE) / RATE).astype(np.float32)
    engine = rtvoice.Engine(model, RATE, 80)
    before = run_in(engine, signal[: RATE // 2], [80])
    engine.set("gain", 2.0)
    after = run_in(engine, signal[RATE // 2 :], [80])
    assert np.abs(after[-1600:]).max() == pytest.approx(2 * np.abs(before[-1600:]).max(), rel=0.02)
    steps = np.abs(np.diff(np.concatenate([before[1600:], after])))  # the stream's own start is a step
    assert steps.max() <= 1.05 * np.abs(np.diff(after[-1600:])).max()


@pytest.mark.parametrize(
    ("name", "value"),
    [("pitch", 1.0), ("gain", [1.0, 2.0]), ("gain", []), ("gain", float("nan")), ("mix", float("inf")), ("", 1.0)],
)
def test_an_unfit_parameter_is_a_value_error(model: rtvoice.Model, name: str, value: object) -> None:
    with pytest.raises(ValueError):
        rtvoice.Engine(model).set(name, value)  # type: ignore[arg-type]


def test_mix_zero_and_bypass_give_the_input_at_equal_latency(model: rtvoice.Model) -> None:
    signal = noise(48000)
    for action in ("mix", "bypass"):
        engine = rtvoice.Engine(model, 48000, 480)
        if action == "mix":
            engine.set("mix", 0.0)
        else:
            engine.bypass = True
            assert engine.bypass is True
        out = run_in(engine, signal, [480])
        np.testing.assert_allclose(out[24000:], signal[24000 - engine.latency : -engine.latency], atol=1e-7)


def test_parameters_may_change_from_another_thread(model: rtvoice.Model) -> None:
    engine = rtvoice.Engine(model, 48000, 480)
    done = threading.Event()

    def turn() -> None:
        rng = np.random.default_rng(0)
        while not done.is_set():
            engine.set("gain", rng.random())
            engine.set("mix", rng.random())
            engine.bypass = bool(rng.integers(2))

    thread = threading.Thread(target=turn)
    thread.start()
    try:
        out = run_in(engine, noise(96000), [480, 1, 33])
    finally:
        done.set()
        thread.join()
    assert np.isfinite(out).all()


def test_an_output_that_is_not_audio_has_its_newest_value(model: rtvoice.Model) -> None:
    engine = rtvoice.Engine(model, RATE, 80)
    assert list(engine.outputs) == ["energy"]
    run_in(engine, np.full(8000, 0.5, np.float32), [80])
    value = engine.outputs["energy"]
    assert value.shape == (1,)
    assert value[0] == pytest.approx(0.25, rel=1e-5)
    with pytest.raises(KeyError, match="energy"):
        engine.outputs["f0"]


def test_swap_fades_to_the_other_model(model: rtvoice.Model, tmp_path: Path) -> None:
    louder = rtvoice.Model.load(build_model(tmp_path / "loud.rtv", name="loud", gain=2.0))
    signal = noise(48000)
    engine = rtvoice.Engine(model, 48000, 480)
    latency = engine.latency
    run_in(engine, signal[:9600], [480])
    engine.swap(louder)
    out = run_in(engine, signal[9600:], [480])
    alone = run_in(rtvoice.Engine(louder, 48000, 480), signal, [480])
    assert engine.latency == latency
    assert engine.model is louder
    np.testing.assert_allclose(out[-9600:], alone[-9600:], atol=1e-5)


def test_statistics_count_what_was_processed(model: rtvoice.Model) -> None:
    engine = rtvoice.Engine(model, 48000, 480)
    for _ in range(100):
        engine.process(noise(480))
    stats = engine.stats()
    assert stats["frames"] == 48000
    assert stats["calls"] == 100
    assert set(stats["us"]) == {"p50", "p90", "p99", "p999", "max"}
    assert 0 < stats["us"]["p50"] <= stats["us"]["p99"] <= stats["us"]["max"]
    assert 0 < stats["load"] < 1
    assert stats["tier"] == "default"
    engine.reset()
    assert engine.stats()["calls"] == 0


def test_process_lets_other_threads_run(model: rtvoice.Model) -> None:
    """A long frame on one thread must not stop this one: the GIL is released while the core works."""
    engine = rtvoice.Engine(model, RATE, 65536, 32)
    frame = noise(65536, 32)
    counted = 0
    worker = threading.Thread(target=lambda: engine.process(frame))
    worker.start()
    while worker.is_alive():
        counted += 1
    assert counted > 1000


def test_engines_share_a_model_without_touching_each_other(model: rtvoice.Model) -> None:
    signal = noise(9600)
    alone = run_in(rtvoice.Engine(model, 48000, 480), signal, [480])
    engines = [rtvoice.Engine(model, 48000, 480) for _ in range(4)]
    out = np.stack([np.concatenate([e.process(signal[i : i + 480]) for e in engines]) for i in range(0, 9600, 480)])
    for i in range(4):
        np.testing.assert_array_equal(out[:, i * 480 : (i + 1) * 480].reshape(-1), alone)


def test_an_engine_outlives_its_model(model_path: Path) -> None:
    engine = rtvoice.Engine(rtvoice.Model.load(model_path), 48000, 480)
    assert np.isfinite(engine.process(noise(480))).all()


def test_memory_is_told(model: rtvoice.Model) -> None:
    memory = rtvoice.Engine(model).memory
    assert set(memory) == {"weights", "state", "scratch"}
    assert all(size > 0 for size in memory.values())


def test_the_instruction_set_has_a_name() -> None:
    assert rtvoice.isa() in {"AVX3", "AVX2", "SSE4", "NEON", "SCALAR"}


# ---- what is refused, and in which words


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("gain", {}, "gain takes a number, not dict"),
        ("gain", 1j, "gain takes a number, not complex"),
        ("gain", None, "gain takes a number, not None"),
        ("gain", "1", "gain takes a number, not str"),
        ("gain", ["1"], "gain takes a number, not text"),
        ("gain", [[1.0], [1.0, 2.0]], "gain takes a number, not list"),
        ("gain", 10**400, "gain must be finite in 32 bits"),
        ("gain", 1e300, "gain must be finite in 32 bits, not 1e"),
        ("gain", float("nan"), "gain must be finite in 32 bits, not nan"),
        ("gain", [1.0, 2.0], "gain takes a number, not 2 of them"),
        ("mix", [], "mix takes a number, not 0"),
        ("pitch", 1.0, "no parameter is called 'pitch'; there is: gain, hiss, mix"),
        (b"gain", 1.0, "a parameter's name is a string, not bytes"),
        (None, 1.0, "a parameter's name is a string, not NoneType"),
    ],
)
def test_set_says_what_is_wrong(model: rtvoice.Model, name: Any, value: Any, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        rtvoice.Engine(model).set(name, value)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [1, True, 0.5, np.float32(0.5), np.int64(1), [0.5], np.array([[0.5]])])
def test_set_takes_numbers_of_every_kind(model: rtvoice.Model, value: Any) -> None:
    rtvoice.Engine(model).set("gain", value)


@pytest.mark.parametrize("fade", [None, "20", float("nan"), float("inf"), -1, 1001, 10**400, 1j])
def test_a_fade_that_is_none_is_a_value_error(model: rtvoice.Model, fade: Any) -> None:
    with pytest.raises(ValueError, match="fade_ms must be"):
        rtvoice.Engine(model, fade_ms=fade)


@pytest.mark.parametrize("wrong", [None, 3, b"whisper", object()])
def test_what_is_no_model_is_a_value_error(model: rtvoice.Model, wrong: Any) -> None:
    with pytest.raises(ValueError, match="model must be"):
        rtvoice.Engine(wrong)
    engine = rtvoice.Engine(model)
    with pytest.raises(ValueError, match="model must be"):
        engine.swap(wrong)
    assert engine.model is model


def test_a_misspelt_attribute_is_an_error(model: rtvoice.Model) -> None:
    with pytest.raises(AttributeError):
        rtvoice.Engine(model).bypas = True  # type: ignore[attr-defined]


@pytest.mark.parametrize("action", [copy.copy, copy.deepcopy, pickle.dumps])
def test_an_engine_is_not_copied(model: rtvoice.Model, action: Any) -> None:
    with pytest.raises(TypeError, match="another Engine"):
        action(rtvoice.Engine(model))


def test_parameters_are_those_of_the_model_swapped_in(model: rtvoice.Model) -> None:
    engine = rtvoice.Engine(model)
    builder = rtvoice.GraphBuilder(name="plain", sample_rate=16000, hop=80, latency=0)
    builder.output(builder.input())
    engine.swap(builder.model())
    with pytest.raises(ValueError, match="there is: mix"):
        engine.set("gain", 1.0)


@pytest.mark.parametrize(
    "name", ["process", "latency", "latency_parts", "reset", "set", "bypass", "stats", "swap", "output", "memory"]
)
def test_an_engine_that_was_never_made_is_a_type_error(name: str, model: rtvoice.Model) -> None:
    empty = _core.Engine.__new__(_core.Engine)
    arguments = {
        "process": (np.zeros(8, np.float32),),
        "set": ("gain", [1.0]),
        "swap": (model._core,),
        "output": ("energy",),
    }
    with pytest.raises(TypeError):
        getattr(empty, name)(*arguments.get(name, ()))


def test_a_model_that_was_never_opened_is_a_type_error() -> None:
    empty = _core.Model.__new__(_core.Model)
    with pytest.raises(TypeError):
        empty.info()
    with pytest.raises(TypeError):
        _core.Engine([empty], 48000, 480, 1, 0, 0, "auto", 10.0, False, False)
