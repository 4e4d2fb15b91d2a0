"""Which input is the audio, how its axes lie, and which lengths of it the walk follows."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from rtvoice.errors import ModelError

from .ir import Node
from .source import Port, Source
from .values import Stream, fresh

# Multiples of every small stride, so that each layer has whole frames; short enough to fold a tensor of that length.
PROBES = (2 * 38400, 3 * 38400)
_LARGEST_PARAMETER = 4096
_RESERVED = ("audio", "mix")


def clean(name: str) -> str:
    """Return a name that the model file allows: printable ASCII, not too long, and none of the engine's own."""
    name = re.sub(r"[^\x20-\x7e]", "_", name)[:96] or "unnamed"
    return f"{name}_input" if name in _RESERVED else name


@dataclass(frozen=True)
class Reading:
    """One way to read the inputs.

    Attributes
    ----------
    audio
        The audio input.
    axes
        Its shape, with 1 on the time axis.
    time
        Which axis is time.
    length
        The length it was exported for; None where it is free.
    """

    audio: Port
    axes: tuple[int, ...]
    time: int
    length: int | None

    @property
    def probes(self) -> tuple[int, ...]:
        """Lengths to follow."""
        return PROBES if self.length is None else (self.length,)

    def shape(self, length: int) -> list[int]:
        """Return the input's shape for `length` samples."""
        return [length if axis == self.time else 1 for axis in range(len(self.axes))]


def readings(source: Source, audio_input: str | None) -> list[Reading]:
    """Return the ways to read the inputs, the most likely first; ModelError where there is none."""
    for port in source.inputs:
        if not port.floating:
            raise ModelError(f"input {port.describe()}: is not floating point; export with it fixed to a constant")
    ports = [port for port in source.inputs if audio_input in (None, port.name)]
    if not source.inputs or not ports:
        named = ", ".join(port.describe() for port in source.inputs) or "none"
        raise ModelError(f"no input is called '{audio_input}'; there is: {named}" if audio_input else "has no inputs")
    # What has a free time axis is the audio; then what is longest.
    found = [(port, reading) for port in ports for reading in _of_port(port)]
    if not found:
        raise ModelError(_complaint(ports[0]))
    found.sort(key=lambda pair: (pair[1].length is not None, -(pair[1].length or 0)))
    chosen = found[0][0]
    return [reading for port, reading in found if port is chosen]


def _of_port(port: Port) -> list[Reading]:
    forms = {1: [0], 2: [1, 0], 3: [2, 1, 0], 4: [3, 2]}
    ranks = [len(port.dims)] if port.dims is not None else [3, 2]
    out = []
    for rank in ranks:
        dims = port.dims if port.dims is not None else (None,) * rank
        for time in forms.get(rank, []):
            # Beside a time axis of fixed length only the batch may be free: a free axis is time.
            others = [
                size
                for axis, size in enumerate(dims)
                if axis != time and (size is not None or (dims[time] is not None and axis > 0))
            ]
            if all(size == 1 for size in others) and dims[time] != 1:
                out.append(Reading(port, (1,) * rank, time, dims[time]))
    return out


def _complaint(port: Port) -> str:
    dims = port.dims or ()
    if len(dims) in (2, 3, 4) and any(size is not None and size > 1 for size in dims[1:]):
        return (
            f"input {port.describe()}: has more than one channel, or a batch; a model takes one audio channel as "
            "(1, 1, time), (1, time, 1) or (1, time), so put the analysis (a Conv or MatMul) inside the model"
        )
    return f"input {port.describe()}: has no time axis; export with (1, 1, time), (1, time, 1) or (1, time)"


def open_inputs(source: Source, reading: Reading) -> dict[str, Stream]:
    """Return the streams of the inputs: the audio, and parameters for the others."""
    streams: dict[str, Stream] = {}
    for port in source.inputs:
        if port.name == reading.audio.name:
            node = Node("input", [], 1, Fraction(1), label="audio")
            streams[port.name] = fresh(node, reading.axes, reading.time, reading.probes)
            continue
        shape = parameter_shape(port, reading)
        size = int(np.prod(shape, dtype=np.int64))
        node = Node("parameter", [], size, Fraction(0), label=clean(port.name))
        streams[port.name] = fresh(node, shape, None, reading.probes)
    return streams


def parameter_shape(port: Port, reading: Reading) -> tuple[int, ...]:
    """Return the shape of an input that stays constant over a stream; ModelError where it changes along time."""
    dims = port.dims or ()
    free = [axis for axis, size in enumerate(dims) if size is None]
    same_length = reading.length is not None and len(dims) == len(reading.axes) and dims[reading.time] == reading.length
    if any(axis > 0 for axis in free) or port.dims is None or same_length:
        raise ModelError(
            f"input {port.describe()}: is a second input that changes along time; a model has one audio input, others "
            "are constant over a stream, of shape (1, channels) or (1, channels, 1)"
        )
    shape = tuple(1 if size is None else size for size in dims)
    size = int(np.prod(shape, dtype=np.int64))
    if size > _LARGEST_PARAMETER:
        raise ModelError(f"input {port.describe()}: has {size} numbers; a parameter has at most {_LARGEST_PARAMETER}")
    return shape
