"""Gathers the signals of an evaluation: sources, their noisy versions, the voices' conversions, the target, anchors."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from rtvoice import audio
from rtvoice.evaluate import anchors, signals, streaming
from rtvoice.evaluate.cache import Cache, load, recipe_key
from rtvoice.evaluate.clips import Clip, find
from rtvoice.evaluate.signals import RATE, Floats, Signal
from rtvoice.evaluate.voices import EngineVoice, Voice

CLEAN = "clean"
#: Levels of noise beside clean speech, in dB of signal to noise.
NOISES = {"20 dB": 20.0, "10 dB": 10.0}
#: Clips that are judged in noise too: one each of the first speakers.
NOISY_CLIPS = 20
#: What the utterances of the centroid are heard for.
_ENROLMENT_ROLES = ("resemblyzer", "dvector", "pitch")


@dataclass
class Material:
    """All signals of an evaluation.

    Attributes
    ----------
    clips
        What was chosen and could be read.
    unreadable
        Why the others could not, of the folders `speech` and `target`.
    sources
        By noise level, then by clip; only the first `NOISY_CLIPS` have noisy versions.
    converted
        By voice (its place in the list), by noise level, by clip; None where a voice has no conversion.
    enrolment, held_out
        Utterances of the target for the centroid, and others of it.
    held_out_clips
        What the latter are.
    anchors
        By name, what was made of the held-out utterances.
    streamed
        By voice: pairs of a clip streamed and offline.
    bits
        By voice: what `streaming.compare` found.
    """

    clips: list[Clip] = field(default_factory=list)
    unreadable: dict[str, list[str]] = field(default_factory=lambda: {"speech": [], "target": []})
    sources: dict[str, list[Signal]] = field(default_factory=dict)
    converted: list[dict[str, list[Signal | None]]] = field(default_factory=list)
    enrolment: list[Signal] = field(default_factory=list)
    held_out: list[Signal] = field(default_factory=list)
    held_out_clips: list[Clip] = field(default_factory=list)
    anchors: dict[str, list[Signal]] = field(default_factory=dict)
    streamed: list[list[tuple[Signal, Signal]]] = field(default_factory=list)
    bits: list[dict[str, object] | None] = field(default_factory=list)

    def wanted(self, roles: Sequence[str]) -> dict[Signal, list[str]]:
        """Return what has to be listened to in each signal."""
        found: dict[Signal, list[str]] = {}

        def want(signals: Iterable[Signal | None], names: Iterable[str]) -> None:
            for signal in signals:
                if signal is not None:
                    kept = found.setdefault(signal, [])
                    kept += [name for name in names if name in roles and name not in kept]

        judged = [role for role in roles if role != "plcmos"]
        for made in self.sources.values():
            want(made, judged)
        for voice in self.converted:
            for row in voice.values():
                want(row, judged)
        want(self.enrolment, _ENROLMENT_ROLES)
        for kind in (self.held_out, *self.anchors.values()):
            want(kind, judged)
        for pairs in self.streamed:
            for pair in pairs:
                want(pair, ["plcmos"])
        return {signal: names for signal, names in found.items() if names}


def prepare(
    store: Cache,
    clips: Sequence[Clip],
    voices: Sequence[Voice],
    targets: Sequence[Clip],
    *,
    refused: Mapping[str, list[str]] | None = None,
    noises: Path | None,
    with_anchors: bool,
    with_streaming: bool,
    jobs: int,
    progress: Callable[[float], None],
) -> Material:
    """Read and convert everything that is to be listened to; what is in the cache is taken from there.

    Parameters
    ----------
    store
        Where signals are kept.
    clips, voices, targets
        What to convert, by whom, and the target's utterances.
    refused
        Why files of the folders `speech` and `target` were left out before; what proves damaged here joins them.
    noises
        Folder of noises, or None for clean speech alone.
    with_anchors, with_streaming
        Whether to make the target's anchors; whether to stream in several ways.
    jobs
        Conversions at once, where a voice allows that.
    progress
        Is told the part done, 0 to 1.
    """
    done = Material(unreadable={"speech": [], "target": [], **(refused or {})})
    steps = len(voices) + 2
    done.sources[CLEAN] = []
    for clip in clips:
        try:
            signal = _source(store, clip)
        except audio.AudioError as error:
            done.unreadable["speech"].append(str(error))
            continue
        done.clips.append(clip)
        done.sources[CLEAN].append(signal)
    if not done.clips:
        raise audio.AudioError(f"no recording can be read: {done.unreadable['speech'][0]}")
    if noises is not None:
        files = _noises(noises)
        for name, snr in NOISES.items():
            pairs = zip(done.clips[:NOISY_CLIPS], done.sources[CLEAN], strict=False)
            done.sources[name] = [_noisy(store, signal, _pick(files, clip), snr) for clip, signal in pairs]
    progress(1 / steps)
    for index, voice in enumerate(voices):

        def told(part: float, index: int = index) -> None:
            progress((1 + index + part) / steps)

        done.converted.append(_by_voice(store, voice, done, jobs, told))
        done.streamed.append([])
        done.bits.append(None)
        if with_streaming and isinstance(voice, EngineVoice):
            _stream(store, voice, done, index)
    _target(store, done, targets, noises if with_anchors else None, with_anchors)
    progress(1.0)
    return done


def _source(store: Cache, clip: Clip) -> Signal:
    key = recipe_key("source", _file_digest(clip.path), clip.start, clip.seconds, clip.cut)
    found = store.signal(key)
    if found is None:
        read = signals.read(clip.path, clip.start, clip.seconds or None)
        found = store.put(key, signals.ended_at_pause(read) if clip.cut else read)
    return found


def _file_digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise audio.AudioError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}") from error


def _noisy(store: Cache, source: Signal, noise: Path, snr: float) -> Signal:
    key = recipe_key("noise", source.digest, _file_digest(noise), snr)
    return store.signal(key) or store.put(key, signals.with_noise(load(source), signals.read(noise), snr))


def _noises(folder: Path) -> list[Path]:
    """Return the noises below a folder; folders and files called ``rir...`` hold room responses."""
    found = [clip.path for clip in find(folder)]
    kept = [path for path in found if not any(part.startswith("rir") for part in path.relative_to(folder).parts)]
    if not kept:
        raise audio.AudioError(f"{folder} holds room responses alone; name a folder of noises")
    return kept


def _pick(files: Sequence[Path], clip: Clip) -> Path:
    """Return the noise of a clip: the same in every run and at every level."""
    return files[int(hashlib.sha256(clip.name.encode()).hexdigest(), 16) % len(files)]


def _by_voice(
    store: Cache, voice: Voice, material: Material, jobs: int, progress: Callable[[float], None]
) -> dict[str, list[Signal | None]]:
    flat = [
        (level, clip, source)
        for level, made in material.sources.items()
        for clip, source in zip(material.clips, made, strict=False)
    ]
    made: list[Signal | None] = []
    if voice.threads and jobs > 1:
        with ThreadPoolExecutor(jobs) as pool:
            try:
                for signal in pool.map(lambda item: _converted(store, voice, *item), flat):
                    made.append(signal)
                    progress(len(made) / len(flat))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)  # an interruption waits for no other clip
                raise
    else:
        for item in flat:
            made.append(_converted(store, voice, *item))
            progress(len(made) / len(flat))
    found: dict[str, list[Signal | None]] = {level: [] for level in material.sources}
    for (level, _, _), signal in zip(flat, made, strict=True):
        found[level].append(signal)
    return found


def _converted(store: Cache, voice: Voice, level: str, clip: Clip, source: Signal) -> Signal | None:
    key = recipe_key("converted", voice.key, source.digest) if voice.key else None
    found = store.signal(key) if key else None
    if found is not None:
        return found
    if level != CLEAN and not voice.anything:
        return None
    made = voice.convert(clip, load(source))
    if made is None:
        return None
    return store.put(key or recipe_key("once", signals.digest(signals.quantised(made))), made)


def _stream(store: Cache, voice: EngineVoice, material: Material, index: int) -> None:
    """Stream a few clips in several ways; the figures are kept as a reading of the first clip."""
    sources = material.sources[CLEAN][: streaming.CLIPS]
    probe = f"streaming-1-{voice.key}-{recipe_key(*(s.digest for s in sources))}"
    pieces = [load(source)[: int(streaming.SECONDS * RATE)] for source in sources]
    bits = store.reading(sources[0].digest, probe)
    if bits is None:
        bits = streaming.compare(voice.model, pieces)
        store.keep(sources[0].digest, probe, bits)
    material.bits[index] = bits
    for source, piece in zip(sources, pieces, strict=True):
        keys = [recipe_key(kind, voice.key, source.digest, streaming.SECONDS) for kind in ("streamed", "offline")]
        pair = [store.signal(key) for key in keys]
        if pair[0] is None or pair[1] is None:
            pair = [store.put(key, made) for key, made in zip(keys, streaming.both(voice.model, piece), strict=True)]
        assert pair[0] is not None and pair[1] is not None
        material.streamed[index].append((pair[0], pair[1]))


def _target(store: Cache, done: Material, targets: Sequence[Clip], noises: Path | None, wanted: bool) -> None:
    if not targets:
        return
    whole = _readable(store, done, targets, anchors.ENROLMENT + anchors.UTTERANCES)
    few = len(whole) < anchors.ENROLMENT + anchors.UTTERANCES
    split = max(1, len(whole) * 5 // 8) if few else anchors.ENROLMENT
    done.enrolment = [signal for _, signal in whole[:split]]
    done.held_out_clips = [clip for clip, _ in whole[split:]]
    done.held_out = [signal for _, signal in whole[split:]]
    if not wanted:
        return
    makers: Mapping[str, Callable[[Floats], Floats | None]] = {
        "world": anchors.world,
        "griffin_lim": anchors.griffin_lim,
    }
    for name, make in makers.items():
        made = [_anchor(store, name, signal, make) for signal in done.held_out]
        if all(signal is not None for signal in made):
            done.anchors[name] = [signal for signal in made if signal is not None]
    if noises is not None:
        files = _noises(noises)
        for name, snr in NOISES.items():
            pairs = zip(done.held_out_clips, done.held_out, strict=True)
            kind = f"noise_{name.replace(' ', '').lower()}"
            done.anchors[kind] = [_noisy(store, signal, _pick(files, clip), snr) for clip, signal in pairs]


def _readable(store: Cache, done: Material, targets: Sequence[Clip], count: int) -> list[tuple[Clip, Signal]]:
    """Return the first `count` of the target's utterances that can be read to their end."""
    found: list[tuple[Clip, Signal]] = []
    for clip in targets:
        if len(found) == count:
            break
        try:
            found.append((clip, _source(store, clip)))
        except audio.AudioError as error:
            done.unreadable["target"].append(str(error))
    if not found:
        raise audio.AudioError(f"no recording of the target can be read: {done.unreadable['target'][0]}")
    return found


def _anchor(store: Cache, name: str, signal: Signal, make: Callable[[Floats], Floats | None]) -> Signal | None:
    key = recipe_key("anchor", 2, name, signal.digest)
    found = store.signal(key)
    if found is not None:
        return found
    made = make(load(signal))
    return None if made is None else store.put(key, made)
