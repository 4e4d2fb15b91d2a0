"""Engines: one audio stream each, through one model."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn, TypeAlias, TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rtvoice import _core
from rtvoice.model import Model
from rtvoice.recording import EngineLog
from rtvoice.registry import looks_like_path, models

Fallback: TypeAlias = str | os.PathLike[str] | Model
_TIERS = ("default", "hq")
#: ``tier="auto"`` takes the best tier that needs at most this share of one core, measured warm: caches that a game
#: sweeps between frames make it two to three times as much.
AUTO_SHARE = 0.1
#: What ``tier="auto"`` chose in this process, by the skin's files, the rate, the channels and the resampler.
_chosen: dict[tuple[Any, ...], str] = {}
_RESAMPLERS = ("auto", "fir", "fir-short", "fastest", "medium", "best")


def isa() -> str:
    """Return the instruction set in use: ``"AVX3"``, ``"AVX2"``, ``"SSE4"``, ``"NEON"``."""
    return _core.isa()


class Microseconds(TypedDict):
    """Percentiles of the time of a call, in microseconds."""

    p50: float
    p90: float
    p99: float
    p999: float
    max: float


class Stats(TypedDict):
    """What an engine measured since it was made or reset.

    ``frames`` and ``calls`` count samples per channel and calls of ``process``; ``us`` is the time of a call;
    ``load`` is time spent over time of the audio processed; ``overruns`` counts calls that took longer than the audio
    they made; ``nonfinite`` counts input samples that were NaN or infinite (and taken as zero) and hops whose output
    had to be silenced; ``tier`` is the one that is running, and ``tier_changes`` how often it changed.
    """

    frames: int
    calls: int
    us: Microseconds
    load: float
    overruns: int
    nonfinite: int
    tier: str
    tier_changes: int


class Outputs(Mapping[str, NDArray[np.float32]]):
    """The newest values of a model's outputs that are not audio, by name."""

    def __init__(self, read: Callable[[str], NDArray[np.float32]], names: list[str]) -> None:
        self._read = read
        self._names = dict.fromkeys(names)  # a comparison reads a hundred of them after every hop

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        if name not in self._names:
            raise KeyError(f"no output is called {name!r}; there is: {', '.join(self._names) or 'none'}")
        return self._read(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class Engine:
    """Runs a model over an audio stream, frame by frame, as a host's audio callback would.

    Parameters
    ----------
    model
        A skin's name, the path of a ``.rtv`` file, or a :class:`Model`.
    sample_rate
        The host's rate in Hz, 8000 to 192000. Any rate: the engine converts to the model's and back.
    max_frame
        The largest frame of a call, 1 to 65536 samples per channel.
    channels
        1 to 32; each is a stream of its own through the same weights.
    tier
        ``"default"``, ``"hq"``, or ``"auto"``: of a skin given by name, the best tier that takes at most a tenth of
        one core here (all channels together), by a short trial of at most 60 ms a tier, once per process.
    block
        ``None`` for frames of any size. ``N`` promises frames of exactly ``N`` samples: less latency where ``N`` is a
        multiple of the model's hop.
    schedule
        ``"inline"``: the network runs in the call that completes its hop. ``"sliced"``: a hop's work is spread evenly
        over the calls that follow, for hosts whose blocks are much shorter than the hop; one hop more latency, the
        same bits.
    seed
        Of the model's noise, if it has any.
    resampler
        ``"auto"``, ``"fir"``, ``"fir-short"``, ``"fastest"``, ``"medium"`` or ``"best"``.
    fallback
        Cheaper tiers of the same skin, best first, for when the processor is busy: a tier's name (``"default"``), a
        path, a :class:`Model`, or a list of them. All are made now, and delayed to the slowest one's latency; they
        must have the same parameters and outputs. When calls keep taking longer than the audio that they make, the
        running tier stops, the output fades to silence, the next tier is primed unheard and fades in; after calm
        seconds the better tier is tried again, unheard at first.
    overload
        What is heard between two tiers: ``"silence"``, or ``"dry"``: the input, the player's own voice.
    fade_ms
        Length of the cross-fades of bypass, mix and swap, 0 to 1000 ms.

    Raises
    ------
    ModelError
        The model does not exist, is damaged or cannot run.
    ValueError
        An argument is out of its range.
    """

    __slots__ = (
        "__weakref__",
        "_channels",
        "_core",
        "_max_frame",
        "_model",
        "_resampler",
        "_sample_rate",
        "_sizes",
        "_tiers",
    )

    def __init__(
        self,
        model: str | os.PathLike[str] | Model,
        sample_rate: int = 48000,
        max_frame: int = 1024,
        channels: int = 1,
        *,
        tier: str = "auto",
        block: int | None = None,
        schedule: str = "inline",
        seed: int = 0,
        resampler: str = "auto",
        fade_ms: float = 20.0,
        fallback: Fallback | Sequence[Fallback] | None = None,
        overload: str = "silence",
    ) -> None:
        given = check_arguments(sample_rate, max_frame, channels, block, schedule, resampler, fade_ms)
        if overload not in ("silence", "dry"):
            raise ValueError(f"overload must be 'silence' or 'dry', not {overload!r}")
        self._model = choose_model(
            model, tier, sample_rate=given.sample_rate, channels=given.channels, resampler=resampler
        )
        self._tiers = [self._model, *_fallbacks(model, self._model.tier, fallback)]
        self._sizes = self._model.parameter_sizes
        self._resampler = resampler
        self._sample_rate, self._max_frame, self._channels = given.sample_rate, given.max_frame, given.channels
        self._core = _core.Engine(
            [made._core for made in self._tiers],
            sample_rate=given.sample_rate,
            max_frame=given.max_frame,
            channels=given.channels,
            block=given.block,
            seed=_whole("seed", seed, 0, 2**64 - 1),
            resampler=resampler,
            fade_ms=given.fade_ms,
            sliced=given.sliced,
            dry=overload == "dry",
        )

    def process(self, frame: NDArray[np.float32], out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Process one frame and return the output that is due.

        Parameters
        ----------
        frame
            float32, C-contiguous, ``(n,)`` or ``(n, channels)``, ``0 <= n <= max_frame``; nominally -1 to 1.
        out
            Where to write, of the frame's shape; may be ``frame`` itself. Without it a new array is made.

        Returns
        -------
        numpy.ndarray
            ``out``, or the new array, of the frame's shape, :attr:`latency` samples late.

        Raises
        ------
        ValueError
            A wrong shape, dtype, length or memory layout; the stream is untouched.
        """
        try:
            return self._core.process(frame, out)
        except TypeError as error:
            raise ValueError(why_not(frame, out)) from error

    @property
    def latency(self) -> int:
        """Samples at :attr:`sample_rate` from an input to its output; exact, and constant while the engine lives."""
        return self._core.latency

    @property
    def latency_parts(self) -> dict[str, float]:
        """What :attr:`latency` is made of, in host samples: ``model``, ``resampler``, ``buffering``."""
        # Told in milliseconds of 32 bits: beyond a thousandth of a sample only their rounding would show.
        return {name: round(ms * self._sample_rate / 1000, 3) for name, ms in self._core.latency_parts().items()}

    def reset(self) -> None:
        """Forget all history, as when fresh; parameters jump to their last set values."""
        self._core.reset()

    def set(self, name: str, value: ArrayLike) -> None:
        """Set a parameter of the model, or ``"mix"`` (0 dry, 1 wet); safe from any thread, smoothed.

        Raises
        ------
        ValueError
            The name is unknown, or the value is no number, of the wrong count or not finite.
        """
        self._core.set(name, parameter_values(name, value, self._sizes))

    @property
    def bypass(self) -> bool:
        """Pass the input through at equal latency; switching cross-fades. Safe from any thread."""
        return self._core.bypass

    @bypass.setter
    def bypass(self, on: bool) -> None:
        self._core.bypass = bool(on)

    @property
    def outputs(self) -> Outputs:
        """The newest values of the outputs that are not audio, by name."""
        return Outputs(self._core.output, self._model.outputs)

    def stats(self) -> Stats:
        """Return what was measured since the engine was made or reset."""
        raw = self._core.stats()
        return stats_from(raw, self._tier_at(raw["tier"]))

    @property
    def memory(self) -> dict[str, int]:
        """Bytes this engine uses: ``weights`` (shared by engines of one model), ``state``, ``scratch``."""
        memory = self._core.memory()
        return {"weights": memory["weights"], "state": memory["state"], "scratch": memory["scratch"]}

    def swap(self, model: str | os.PathLike[str] | Model, *, tier: str = "auto") -> None:
        """Prepare another model here and cross-fade to it on the audio thread, at the engine's latency.

        Raises
        ------
        ModelError
            The model cannot run, or needs more latency than this engine has.
        """
        new = choose_model(
            model, tier, sample_rate=self._sample_rate, channels=self._channels, resampler=self._resampler
        )
        self._core.swap(new._core)
        self._model, self._sizes, self._tiers = new, new.parameter_sizes, [new]

    def log(
        self,
        path: str | os.PathLike[str],
        *,
        who: str | None = None,
        audio: str = "float32",
        redact: bool = False,
        retention_days: int = 0,
        rotate_mb: float = 0.0,
        rotate_minutes: float = 0.0,
        keep_files: int = 0,
        ring_ms: int = 2000,
        flush_ms: int = 100,
    ) -> EngineLog:
        """Begin a real-time log of input, output, timing and events; nothing is logged until somebody calls this.

        Parameters
        ----------
        path
            The file, ``session.rtlog``; replaced if it is there. Only its owner may read it.
        who
            Who turned it on: a line in the file's head says so. The user's name where nobody is named.
        audio
            ``"float32"``, which a replay can compare bit by bit, or ``"pcm16"``: half the bytes, clipped at full scale.
        redact
            Timing and events only, no audio.
        retention_days
            When the file is to be deleted, told in its head; 0: not told.
        rotate_mb, rotate_minutes
            Begin another file (``session.0001.rtlog`` ...) at this size in megabytes, or age; 0: never.
        keep_files
            Delete all but the newest of those; 0: keep all.
        ring_ms
            Milliseconds of audio that wait in memory where the disk is slow; beyond, a gap with its position and length
            is logged.
        flush_ms
            The oldest that what is not in the file yet may be.

        Returns
        -------
        EngineLog
            Ends with :meth:`EngineLog.stop` or as a context manager.

        Raises
        ------
        OSError
            The file cannot be written, or another log is writing it.
        ValueError
            An argument is out of its range, or this engine is being logged already.
        """
        return EngineLog(
            self._core,
            path,
            who=who,
            audio=audio,
            redact=redact,
            retention_days=retention_days,
            rotate_mb=rotate_mb,
            rotate_minutes=rotate_minutes,
            keep_files=keep_files,
            ring_ms=ring_ms,
            flush_ms=flush_ms,
        )

    @property
    def tier(self) -> str:
        """The tier that is heard, or about to be.

        Set it to hold one of the engine's tiers, whatever the load; ``"auto"`` lets the load decide again. Safe from
        any thread; a change cross-fades.
        """
        return self._tier_at(self._core.tier())

    @tier.setter
    def tier(self, name: str) -> None:
        names = [model.tier for model in self._tiers]
        if name != "auto" and name not in names:
            raise ValueError(f"this engine has no tier {name!r}; it has: {', '.join(names)}, and 'auto'")
        self._core.hold_tier(-1 if name == "auto" else names.index(name))

    def _tier_at(self, index: int) -> str:
        return self._tiers[min(index, len(self._tiers) - 1)].tier

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
        """Streams, interleaved in a frame."""
        return self._channels

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError(
            "an engine cannot be copied or pickled: it is one stream; make another Engine of the same model"
        )

    def __repr__(self) -> str:
        return f"<rtvoice.Engine {self._model.name!r}, {self._sample_rate} Hz, latency {self.latency}>"


def why_not(frame: object, out: object) -> str:
    """Say which of the two is no frame, and why."""
    for name, array in (("frame", frame), ("out", out)):
        if name == "out" and array is None:
            continue
        if not isinstance(array, np.ndarray):
            return f"{name} must be a float32 numpy array, not {type(array).__name__}"
        if array.dtype != np.float32:
            return f"{name} must be float32, not {array.dtype}; convert with {name}.astype(np.float32)"
        if not array.flags.c_contiguous:
            return f"{name} must be C-contiguous; convert with np.ascontiguousarray({name})"
    return "frame and out must be float32, C-contiguous, of shape (n,) or (n, channels)"


class Given(NamedTuple):
    """Checked arguments that engines and pools share."""

    sample_rate: int
    max_frame: int
    channels: int
    block: int
    sliced: bool
    fade_ms: float


def check_arguments(
    sample_rate: Any, max_frame: Any, channels: Any, block: Any, schedule: Any, resampler: Any, fade_ms: Any
) -> Given:
    """Check what does not depend on the model.

    Raises
    ------
    ValueError
        One of them is out of its range; the message names it.
    """
    if schedule not in ("inline", "sliced"):
        raise ValueError(f"schedule must be 'inline' or 'sliced', not {schedule!r}")
    if resampler not in _RESAMPLERS:
        raise ValueError(f"resampler must be one of {', '.join(_RESAMPLERS)}, not {resampler!r}")
    rate = _whole("sample_rate", sample_rate, 8000, 192000)
    frame = _whole("max_frame", max_frame, 1, 65536)
    promised = 0 if block is None else _whole("block", block, 1, frame)
    return Given(rate, frame, _whole("channels", channels, 1, 32), promised, schedule == "sliced", _fade(fade_ms))


def stats_from(raw: _core.StatsDict, tier: str) -> Stats:
    """Return the core's statistics in Python's terms."""
    us = raw["us"]
    return Stats(
        frames=raw["frames"],
        calls=raw["calls"],
        us=Microseconds(p50=us["p50"], p90=us["p90"], p99=us["p99"], p999=us["p999"], max=us["max"]),
        load=raw["load"],
        overruns=raw["overruns"],
        nonfinite=raw["nonfinite"],
        tier=tier,
        tier_changes=raw["tier_changes"],
    )


def parameter_values(name: Any, value: Any, sizes: Mapping[str, int]) -> NDArray[np.float32]:
    """Return a parameter's numbers as float32, or say what is wrong with the name or with them."""
    if not isinstance(name, str):
        raise ValueError(f"a parameter's name is a string, not {type(name).__name__}")
    if name not in sizes:
        raise ValueError(f"no parameter is called {name!r}; there is: {', '.join(sizes)}")
    return _values(name, value, sizes[name])


def _values(name: str, value: Any, size: int) -> NDArray[np.float32]:
    """Return the numbers as float32, or say what is wrong with them."""
    wanted = "a number" if size == 1 else f"{size} numbers"
    try:
        given = np.asarray(value)
    except (ValueError, TypeError, OverflowError, RuntimeError):
        raise ValueError(f"{name} takes {wanted}, not {type(value).__name__}") from None
    if given.dtype.kind not in "biuf" and given.size:
        if isinstance(value, int):  # beyond 64 bits
            raise ValueError(f"{name} must be finite in 32 bits, and this number is too large")
        raise ValueError(f"{name} takes {wanted}, not {_what(value, given)}")
    if given.size != size:
        raise ValueError(f"{name} takes {wanted}, not {given.size} of them")
    with np.errstate(over="ignore"):
        numbers = np.ascontiguousarray(given, dtype=np.float32).reshape(-1)
    if not np.isfinite(numbers).all():
        raise ValueError(f"{name} must be finite in 32 bits, not {given.reshape(-1)[~np.isfinite(numbers)][0]}")
    return numbers


def _what(value: Any, given: NDArray[Any]) -> str:
    if isinstance(value, list | tuple | np.ndarray):
        return {"U": "text", "S": "text", "c": "complex numbers"}.get(given.dtype.kind, "a list of other things")
    return "None" if value is None else type(value).__name__


def _fade(fade_ms: Any) -> float:
    if isinstance(fade_ms, bool) or not isinstance(fade_ms, int | float | np.integer | np.floating):
        raise ValueError(f"fade_ms must be a number, not {'None' if fade_ms is None else type(fade_ms).__name__}")
    if not 0 <= fade_ms <= 1000:
        raise ValueError(
            f"fade_ms must be 0 to 1000, not {fade_ms:g}" if fade_ms < 10**9 else "fade_ms must be 0 to 1000"
        )
    return float(fade_ms)


def choose_model(
    model: str | os.PathLike[str] | Model,
    tier: str,
    *,
    sample_rate: int = 48000,
    channels: int = 1,
    resampler: str = "auto",
) -> Model:
    """Open the model; ``tier="auto"`` of a skin with several tiers takes the best that fits :data:`AUTO_SHARE`."""
    if isinstance(model, Model):
        if tier not in ("auto", model.tier):
            raise ValueError(f"model {model.name!r} is of tier {model.tier!r}, not {tier!r}")
        return model
    if tier != "auto" or not isinstance(model, str) or looks_like_path(model):
        return Model.load(model, tier=tier)
    skins = [skin for skin in models() if skin.name == model]
    if len(skins) < 2:
        return Model.load(model)
    marks = [(os.fspath(skin.path), os.stat(skin.path).st_mtime_ns) for skin in skins]
    key = (tuple(marks), sample_rate, channels, resampler)
    if key in _chosen:
        return Model.load(_chosen[key])
    tiers = sorted((Model.load(skin.path) for skin in skins), key=lambda m: -float(m._info["mac_per_second"]))
    taken = tiers[-1]
    for candidate in tiers[:-1]:
        if channels * _core.model_cost(candidate._core, sample_rate, 1024, resampler) <= AUTO_SHARE:
            taken = candidate
            break
    _chosen[key] = os.fspath(taken.path or model)
    return taken


def _fallbacks(
    model: str | os.PathLike[str] | Model, running: str, fallback: Fallback | Sequence[Fallback] | None
) -> Iterator[Model]:
    """Open the cheaper tiers: a bare word is a tier of `model`'s skin, where that is given by name."""
    if fallback is None:
        return
    for item in [fallback] if isinstance(fallback, str | os.PathLike | Model) else fallback:
        if isinstance(item, Model):
            yield item
        elif isinstance(item, str) and item in _TIERS:
            if not isinstance(model, str) or model.endswith(".rtv"):
                raise ValueError(f"fallback={item!r} needs the model by its skin's name; give the tier's file instead")
            if item != running:  # tier="auto" may have chosen it already
                yield Model.load(model, tier=item)
        else:
            yield Model.load(item)


def _whole(name: str, value: Any, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise ValueError(f"{name} must be a whole number, not {value!r}")
    if not low <= value <= high:
        raise ValueError(f"{name} must be {low} to {high}, not {value}")
    return int(value)
