"""eSpeak NG's formant voices, through its library (GPL-3, 22.05 kHz; nothing of it is linked or shipped)."""

from __future__ import annotations

import ctypes
import ctypes.util
from typing import Any

import numpy as np

from rtvoice.train.data.corpus import DataError
from rtvoice.train.data.measure import Floats
from rtvoice.train.data.synth.engine import Voice

_SYNCHRONOUS = 0x02
_UTF8 = 1
_RATE = 1
_WORDS_PER_MINUTE = 175
#: Variants that differ from one another by more than a name: men, women and some others.
_MEN = ("m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8")
_WOMEN = ("f1", "f2", "f3", "f4", "f5")
#: The library's own names of the languages.
_FILES = {"en-us": "gmw/en-US", "en-gb": "gmw/en"}
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


class Espeak:
    """Text to speech by formants; under 0.01 s of one core for 1 s of speech. One instance in a process.

    Kokoro's own text front end uses the same library: run the two in different processes.

    Raises
    ------
    DataError
        The library is not found.
    """

    name = "espeak"

    def __init__(self) -> None:
        self._library, data = _library()
        rate = self._library.espeak_Initialize(_SYNCHRONOUS, 0, data, 0)
        if rate <= 0:
            raise DataError("espeak-ng finds no data; run: pip install espeakng-loader")
        self._rate = int(rate)
        self._library.espeak_Info.restype = ctypes.c_char_p
        self.version = str(self._library.espeak_Info(None).decode().split()[0])
        self._parts: list[Floats] = []
        self._callback = _CALLBACK(self._take)  # the library keeps no reference of its own
        self._library.espeak_SetSynthCallback(self._callback)

    def voices(self) -> list[Voice]:
        """Return US and British English in all variants: ``en-us+f3``."""
        variants = [(name, "male") for name in _MEN] + [(name, "female") for name in _WOMEN]
        return [
            Voice(f"{language}+{variant}", language, gender, "synthetic (GPL-3 engine)")
            for language in ("en-us", "en-gb")
            for variant, gender in variants
        ]

    def render(self, text: str, voice: str, speed: float = 1.0) -> tuple[Floats, int]:
        """Return speech and its rate; see `Synthesizer`."""
        if voice not in {one.name for one in self.voices()} or self._choose(voice) != 0:
            raise DataError(f"espeak has no voice {voice}; it has en-us or en-gb with +m1 to +m8 or +f1 to +f5")
        self._library.espeak_SetParameter(_RATE, round(_WORDS_PER_MINUTE * speed), 0)
        self._parts.clear()
        data = text.encode() + b"\0"
        self._library.espeak_Synth(data, ctypes.c_size_t(len(data)), 0, 1, 0, _UTF8, None, None)
        self._library.espeak_Synchronize()
        return (np.concatenate(self._parts) if self._parts else np.zeros(0, np.float32)), self._rate

    def _choose(self, voice: str) -> int:
        language, _, variant = voice.partition("+")
        return int(self._library.espeak_SetVoiceByName(f"{_FILES[language]}+{variant}".encode()))

    def _take(self, samples: Any, count: int, events: Any) -> int:
        if samples and count > 0:
            self._parts.append(np.ctypeslib.as_array(samples, (count,)).astype(np.float32) * np.float32(1 / 32768))
        return 0


def _library() -> tuple[Any, bytes | None]:
    """Return the library and its data's folder, of the package or of the system."""
    try:
        import espeakng_loader

        return ctypes.CDLL(espeakng_loader.get_library_path()), str(espeakng_loader.get_data_path()).encode()
    except ImportError:
        path = ctypes.util.find_library("espeak-ng")
    if path is None:
        raise DataError("espeak's voices need its library; run: pip install espeakng-loader")
    return ctypes.CDLL(path), None
