"""The sound devices, as PortAudio lists them."""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rtvoice.live import LiveError

#: Host APIs whose devices all run on one clock: a stream over two of them needs no drift compensation.
_ONE_CLOCK = ("JACK Audio Connection Kit",)


@dataclass(frozen=True)
class Device:
    """A device as PortAudio lists it.

    ``inputs`` and ``outputs`` are channels, ``rate`` is its own rate in Hz, the latencies are what it asks for in
    seconds (not what one hears).
    """

    index: int
    name: str
    host_api: str
    inputs: int
    outputs: int
    rate: float
    input_latency: float
    output_latency: float
    default_input: bool
    default_output: bool

    def as_dict(self) -> dict[str, Any]:
        """Return plain numbers and strings."""
        return asdict(self)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep what sound libraries print on standard error off the terminal; our own errors say it in one line."""
    try:
        sys.stderr.flush()
        kept = os.dup(2)
    except (OSError, AttributeError, ValueError):
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def portaudio() -> Any:
    """Return the module ``sounddevice``, with its library.

    Raises
    ------
    LiveError
        PortAudio is not here.
    """
    try:
        with quiet():
            import sounddevice
    except OSError as error:
        raise LiveError(
            f"PortAudio is missing ({error}); install it: apt-get install libportaudio2, or brew install portaudio"
        ) from None
    return sounddevice


def library() -> str:
    """Return the name of the library that ``sounddevice`` loaded: the native side must use the same."""
    return str(portaudio()._libname)


def refresh() -> None:
    """Look for devices anew; no stream may be open."""
    sounddevice = portaudio()
    with quiet():
        while sounddevice._initialized:
            sounddevice._terminate()
        sounddevice._initialize()


def abandon() -> None:
    """Go on with a fresh copy of PortAudio: this one waits for a dead device and will not answer again.

    Raises
    ------
    LiveError
        The library's file is not found, so that there is no other.
    """
    sounddevice = portaudio()
    source = _file_of(str(sounddevice._libname))
    if source is None:
        raise LiveError("PortAudio hangs on a dead device and cannot be loaded anew; start 'rtvoice live' again")
    copies.append(tempfile.TemporaryDirectory(prefix="rtvoice-portaudio-", ignore_cleanup_errors=True))
    target = Path(copies[-1].name) / f"{len(copies)}-{source.name}"
    shutil.copyfile(source, target)
    # JACK's threads call into both until the process is gone, longer than Python lives: ctypes never unloads a library.
    for library in (source, target):
        ctypes.CDLL(os.fspath(library))
    let_be_at_exit()
    sounddevice._lib = sounddevice._ffi.dlopen(os.fspath(target))
    sounddevice._libname = os.fspath(target)
    sounddevice._initialized = 0
    with quiet():
        sounddevice._initialize()


def let_be_at_exit() -> None:
    """Do not end PortAudio with the process: with a server that has died it aborts, or waits ten minutes."""
    handler = getattr(portaudio(), "_exit_handler", None)
    if handler is not None:
        atexit.unregister(handler)


#: Folders of the library's copies, which go when the process ends.
copies: list[tempfile.TemporaryDirectory[str]] = []


def _file_of(name: str) -> Path | None:
    """Return the file of a loaded library."""
    if os.path.isfile(name):
        return Path(name)
    try:
        maps = Path("/proc/self/maps").read_text()
    except OSError:
        return None
    files = {line.split()[-1] for line in maps.splitlines() if name.split(".so")[0] in line}
    return next((Path(file) for file in sorted(files) if os.path.isfile(file)), None)


def devices() -> list[Device]:
    """List the devices."""
    sounddevice = portaudio()
    apis = sounddevice.query_hostapis()
    default_in, default_out = sounddevice.default.device
    # Where nobody chose, the default of PortAudio's first host API that has one.
    if default_in < 0:
        default_in = next((api["default_input_device"] for api in apis if api["default_input_device"] >= 0), -1)
    if default_out < 0:
        default_out = next((api["default_output_device"] for api in apis if api["default_output_device"] >= 0), -1)
    return [
        Device(
            index=i,
            name=d["name"],
            host_api=apis[d["hostapi"]]["name"],
            inputs=d["max_input_channels"],
            outputs=d["max_output_channels"],
            rate=float(d["default_samplerate"]),
            input_latency=_believable(d["default_low_input_latency"]),
            output_latency=_believable(d["default_low_output_latency"]),
            default_input=i == default_in,
            default_output=i == default_out,
        )
        for i, d in enumerate(sounddevice.query_devices())
    ]


def _believable(latency: float) -> float:
    """Clamp what a host API suggests: JACK's was seen to say a day."""
    return latency if 0 < latency < 0.5 else 0.01


def choose(wanted: str | None, kind: str, found: list[Device]) -> Device:
    """Return a device by its number, its name or a part of it; the default one for ``None``.

    Parameters
    ----------
    wanted
        Number, name, or part of ``name`` or ``name, host api``, in any case.
    kind
        ``"input"`` or ``"output"``.

    Raises
    ------
    LiveError
        There is none, or several.
    """
    able = [d for d in found if (d.inputs if kind == "input" else d.outputs) > 0]
    if not able:
        what = "microphone" if kind == "input" else "speaker or headphones"
        raise LiveError(
            f"there is no {kind} device; plug in a {what} or start the sound server, "
            "then look with 'rtvoice live --list-devices'"
        )
    if wanted is not None and not wanted.strip():
        raise LiveError(f"--{kind} is empty; give a number, a name or a part of one: {_names(able)}")
    if wanted is None:
        default = next((d for d in able if (d.default_input if kind == "input" else d.default_output)), None)
        return default or able[0]
    if wanted.isdecimal():
        of_number = next((d for d in able if d.index == int(wanted)), None)
        if of_number is None:
            raise LiveError(f"--{kind} {wanted}: no {kind} device has this number; there is: {_names(able)}")
        return of_number
    exact = [d for d in able if wanted in (d.name, f"{d.name}, {d.host_api}")]
    part = exact or [d for d in able if wanted.lower() in f"{d.name}, {d.host_api}".lower()]
    if not part:
        raise LiveError(f"--{kind} {wanted!r}: no {kind} device is called so; there is: {_names(able)}")
    if len(part) > 1 and not exact:
        raise LiveError(f"--{kind} {wanted!r} fits several devices: {_names(part)}; give a number")
    return part[0]


def _names(found: list[Device]) -> str:
    return ", ".join(f"{d.index} {d.name!r} ({d.host_api})" for d in found)


def one_clock(source: Device, target: Device) -> bool:
    """Whether one stream can serve both: the same device, or a host API that keeps all of its devices in step."""
    return source.index == target.index or (source.host_api == target.host_api and source.host_api in _ONE_CLOCK)
