"""Pools: many streams of one model on one thread, with the weights read once for all of them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rtvoice import _core
from rtvoice.engine import Outputs, Stats, check_arguments, choose_model, parameter_values, stats_from, why_not
from rtvoice.model import Model


class Stream:
    """One stream of a pool: its parameters, outputs and history. Made by the pool."""

    __slots__ = ("_index", "_model", "_pool", "_sizes")

    def __init__(self, pool: _core.Pool, index: int, model: Model) -> None:
        self._pool = pool
        self._index = index
        self._model = model
        self._sizes = model.parameter_sizes

    def set(self, name: str, value: ArrayLike) -> None:
        """Set a parameter of this stream; as :meth:`rtvoice.Engine.set`."""
        self._pool.set(self._index, name, parameter_values(name, value, self._sizes))

    def bypass(self, on: bool) -> None:
        """Pass this stream's input through at equal latency; switching cross-fades. Safe from any thread."""
        self._pool.bypass(self._index, bool(on))

    def reset(self) -> None:
        """Forget this stream's history; not while the pool's ``process`` runs."""
        self._pool.reset(self._index)

    def swap(self, model: str | os.PathLike[str] | Model) -> None:
        """Cross-fade this stream to another model; its network then runs by itself."""
        new = choose_model(model, "default" if _named(model) else "auto")
        self._pool.swap(self._index, new._core)
        self._model, self._sizes = new, new.parameter_sizes

    @property
    def outputs(self) -> Outputs:
        """The newest values of this stream's outputs that are not audio, by name."""
        return Outputs(lambda name: self._pool.output(self._index, name), self._model.outputs)

    def stats(self) -> Stats:
        """Return what was measured of this stream; times are its share of the pool's calls."""
        return stats_from(self._pool.stats(self._index), self._model.tier)


class EnginePool:
    """Runs one model over many streams, one call for a frame of each, as a server or a host with many players would.

    Each stream gives the bits that an :class:`rtvoice.Engine` of its own would give. Layers that wait for their
    weights read them once for all streams that keep step.

    Parameters
    ----------
    model
        A skin's name, the path of a ``.rtv`` file, or a :class:`Model`.
    streams
        1 to 1024.
    sample_rate, max_frame, channels, tier, block, schedule, resampler, fade_ms
        Of every stream, as for :class:`rtvoice.Engine`. ``tier="auto"`` counts all streams together.
    seed
        Of the model's noise: a number for all streams, or one for each.

    Examples
    --------
    >>> pool = rtvoice.EnginePool("whisper", 16, sample_rate=48000, max_frame=480, block=480)
    >>> out = pool.process(np.zeros((16, 480), np.float32))
    >>> pool[3].set("mix", 0.5)
    """

    __slots__ = ("__weakref__", "_channels", "_core", "_max_frame", "_model", "_sample_rate", "_streams")

    def __init__(
        self,
        model: str | os.PathLike[str] | Model,
        streams: int,
        sample_rate: int = 48000,
        max_frame: int = 1024,
        channels: int = 1,
        *,
        tier: str = "auto",
        block: int | None = None,
        schedule: str = "inline",
        seed: int | Sequence[int] = 0,
        resampler: str = "auto",
        fade_ms: float = 20.0,
    ) -> None:
        given = check_arguments(sample_rate, max_frame, channels, block, schedule, resampler, fade_ms)
        if isinstance(streams, bool) or not isinstance(streams, int | np.integer) or not 1 <= streams <= 1024:
            raise ValueError(f"streams must be a whole number from 1 to 1024, not {streams!r}")
        seeds = [seed] * int(streams) if isinstance(seed, int | np.integer) else list(seed)
        if len(seeds) != streams:
            raise ValueError(f"seed must be one number or one for each of {streams} streams, not {len(seeds)}")
        if any(isinstance(s, bool) or not isinstance(s, int | np.integer) or not 0 <= s < 2**64 for s in seeds):
            raise ValueError("seed must be whole numbers from 0 to 2**64 - 1")
        self._model = choose_model(
            model, tier, sample_rate=given.sample_rate, channels=given.channels * int(streams), resampler=resampler
        )
        self._sample_rate, self._max_frame, self._channels = given.sample_rate, given.max_frame, given.channels
        self._core = _core.Pool(
            self._model._core,
            int(streams),
            [int(s) for s in seeds],
            sample_rate=given.sample_rate,
            max_frame=given.max_frame,
            channels=given.channels,
            block=given.block,
            resampler=resampler,
            fade_ms=given.fade_ms,
            sliced=given.sliced,
        )
        self._streams = [Stream(self._core, i, self._model) for i in range(int(streams))]

    def process(self, frames: NDArray[np.float32], out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Process a frame of every stream and return what is due.

        Parameters
        ----------
        frames
            float32, C-contiguous, ``(streams, n)`` or ``(streams, n, channels)``, ``0 <= n <= max_frame``.
        out
            Where to write, of the same shape; may be ``frames`` itself. Without it a new array is made.

        Raises
        ------
        ValueError
            A wrong shape, dtype, length or memory layout; the streams are untouched.
        """
        try:
            return self._core.process(frames, out)
        except TypeError as error:
            raise ValueError(why_not(frames, out)) from error

    def __len__(self) -> int:
        return len(self._streams)

    def __getitem__(self, index: int) -> Stream:
        return self._streams[index]

    def __iter__(self) -> Iterator[Stream]:
        return iter(self._streams)

    @property
    def latency(self) -> int:
        """Samples from an input to its output, the same for every stream; as :attr:`rtvoice.Engine.latency`."""
        return self._core.latency

    def reset(self) -> None:
        """Forget all history of all streams."""
        self._core.reset()

    def stats(self) -> Stats:
        """Return what was measured of whole calls, all streams together."""
        return stats_from(self._core.stats(), self._model.tier)

    @property
    def memory(self) -> dict[str, int]:
        """Bytes the pool uses: ``weights``, once for all streams, and ``state`` and ``scratch`` of all of them."""
        memory = self._core.memory()
        return {"weights": memory["weights"], "state": memory["state"], "scratch": memory["scratch"]}

    @property
    def model(self) -> Model:
        """The model that runs."""
        return self._model

    @property
    def sample_rate(self) -> int:
        """The host's rate in Hz."""
        return self._sample_rate

    @property
    def max_frame(self) -> int:
        """The largest frame of a call, in samples per channel."""
        return self._max_frame

    @property
    def channels(self) -> int:
        """Channels of every stream."""
        return self._channels

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("a pool cannot be copied or pickled; make another EnginePool of the same model")

    def __repr__(self) -> str:
        return f"<rtvoice.EnginePool {self._model.name!r}, {len(self)} streams, {self._sample_rate} Hz>"


def _named(model: object) -> bool:
    return isinstance(model, str) and not model.endswith(".rtv")
