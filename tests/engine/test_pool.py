"""Pools: each stream's bits are an engine's alone, its parameters are its own, and bad frames are refused."""

from __future__ import annotations

import copy
import threading
from pathlib import Path

import numpy as np
import pytest

import rtvoice


def noise(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("streams", [1, 4])
@pytest.mark.parametrize("schedule", ["inline", "sliced"])
def test_every_stream_is_an_engine_alone(model_path: Path, streams: int, channels: int, schedule: str) -> None:
    pool = rtvoice.EnginePool(model_path, streams, 44100, 512, channels, schedule=schedule)
    alone = [rtvoice.Engine(model_path, 44100, 512, channels, schedule=schedule) for _ in range(streams)]
    assert (len(pool), pool.latency) == (streams, alone[0].latency)
    for engine in [*alone, *pool]:
        engine.set("hiss", 0.5)
    for i, n in enumerate([512, 1, 300, 0, 137, 512, 441, 441]):
        frames = noise((streams, n) if channels == 1 else (streams, n, channels), i)
        out = pool.process(frames)
        assert out.shape == frames.shape
        for stream, engine in enumerate(alone):
            np.testing.assert_array_equal(out[stream], engine.process(frames[stream]))


def test_streams_have_parameters_resets_and_outputs_of_their_own(model_path: Path) -> None:
    pool = rtvoice.EnginePool(model_path, 3, 16000, 160, block=160)
    frames = noise((3, 160))
    frames[1] *= 4.0
    pool[1].set("gain", 0.0)
    pool[2].bypass(True)
    for _ in range(20):
        out = pool.process(frames)
    assert np.abs(out[0]).max() > 0.001
    assert np.abs(out[1]).max() == 0.0
    assert not np.array_equal(out[2], out[0])
    assert pool[1].outputs["energy"] > 4 * pool[0].outputs["energy"]
    pool[0].reset()
    first = pool.process(frames)[0]
    np.testing.assert_array_equal(first, rtvoice.Engine(model_path, 16000, 160, block=160).process(frames[0]))
    assert pool[0].stats()["calls"] == 1
    assert pool.stats()["calls"] == 21
    pool.reset()
    assert pool.stats()["calls"] == 0
    with pytest.raises(KeyError):
        pool[0].outputs["none"]


def test_a_stream_may_swap(skins: Path) -> None:
    pool = rtvoice.EnginePool("echo", 2, 16000, 160, tier="default")
    pool[1].swap("loud")
    for _ in range(60):
        out = pool.process(np.full((2, 160), 0.01, np.float32))
    assert np.abs(out[1]).max() > 1.5 * np.abs(out[0]).max()


def test_weights_are_shared(model_path: Path) -> None:
    one, many = (rtvoice.EnginePool(model_path, n, 16000, 160) for n in (1, 16))
    assert many.memory["weights"] == one.memory["weights"]
    assert many.memory["state"] == 16 * one.memory["state"]


def test_in_place_and_seeds(model_path: Path) -> None:
    pool = rtvoice.EnginePool(model_path, 2, 16000, 160, seed=[3, 4])
    for stream in pool:
        stream.set("hiss", 1.0)
        stream.reset()
    frames = np.zeros((2, 160), np.float32)
    for _ in range(5):
        frames[:] = 0
        assert pool.process(frames, out=frames) is frames
    assert not np.array_equal(frames[0], frames[1])


@pytest.mark.parametrize(
    ("frames", "word"),
    [
        (np.zeros((3, 100), np.float32), r"\(2, n\)"),
        (np.zeros(100, np.float32), r"\(2, n\)"),
        (np.zeros((2, 100)), "float32"),
        (np.zeros((2, 161), np.float32), "max_frame"),
        (np.zeros((100, 2), np.float32).T, "contiguous"),
        ([[0.0], [0.0]], "array"),
    ],
)
def test_bad_frames_are_refused(model_path: Path, frames: np.ndarray, word: str) -> None:
    pool = rtvoice.EnginePool(model_path, 2, 16000, 160)
    with pytest.raises(ValueError, match=word):
        pool.process(frames)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"streams": 0}, "1 to 1024"),
        ({"streams": 1025}, "1 to 1024"),
        ({"streams": True}, "streams"),
        ({"streams": 2, "seed": [1]}, "seed"),
        ({"streams": 2, "seed": -1}, "seed"),
        ({"streams": 2, "schedule": "late"}, "schedule"),
        ({"streams": 2, "block": 2000}, "block"),
        ({"streams": 2, "channels": 33}, "channels"),
    ],
)
def test_bad_arguments_are_refused(model_path: Path, arguments: dict[str, object], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        rtvoice.EnginePool(model_path, **arguments)


def test_two_threads_get_an_error_and_no_copy_is_made(model_path: Path) -> None:
    pool = rtvoice.EnginePool(model_path, 64, 48000, 4096)
    frames = noise((64, 4096))
    errors: list[Exception] = []

    def work() -> None:
        for _ in range(10):
            try:
                pool.process(frames)
            except ValueError as error:
                errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all("another thread" in str(error) for error in errors)
    with pytest.raises(TypeError, match="copied"):
        copy.copy(pool)
    assert "64 streams" in repr(pool)
