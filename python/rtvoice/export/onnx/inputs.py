"""Which input is the audio, how its axes lie, and which lengths of it the walk follows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import prod

import numpy as np
from numpy.typing import NDArray

from rtvoice.errors import ModelError

from .ir import Emitter, Node
from .source import Port, Source
from .values import Known, Stream, Value, fresh

# Multiples of every small stride, so that each layer has whole frames; short enough to fold a tensor of that length.
PROBES = (2 * 38400, 3 * 38400)
# First where there may be attention, whose masks are squares of them.
SHORT_PROBES = ((2 * 1920, 3 * 1920), (2 * 9600, 3 * 9600))
FRAME_PROBES = (2 * 768, 3 * 768)  # the same in frames
_LARGEST_PARAMETER = 4096
_LONGEST = 1 << 25  # samples: ten minutes at 48 kHz and some
_LARGEST_FRAME = 16_384
_RESERVED = ("audio", "mix")


def clean(name: str) -> str:
    """Return a name that the model file allows: printable ASCII, not too long, and none of the engine's own."""
    name = re.sub(r"[^\x20-\x7e]", "_", name)[:96] or "unnamed"
    return f"{name}_input" if name in _RESERVED else name


@dataclass(frozen=True)
class Part:
    """An input that is a part of every frame: its axes, with 1 on the time axis, which is None for one frame a call."""

    port: Port
    axes: tuple[int, ...]
    time: int | None

    @property
    def size(self) -> int:
        """Numbers in a frame."""
        return int(np.prod(self.axes, dtype=np.int64))


@dataclass(frozen=True)
class Frames:
    """What a network reads that is given frames: `size` numbers every `hop` samples, its inputs one after another.

    Where a frame holds more numbers than a hop, it begins with the newest ones of the hops before.
    """

    parts: tuple[Part, ...]
    hop: int

    @property
    def timed(self) -> bool:
        """Whether one of the axes is time; else every call of the network is one frame."""
        return self.parts[0].time is not None

    @property
    def size(self) -> int:
        """Numbers in a frame."""
        return sum(part.size for part in self.parts)

    def cut(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the frames of a recording, ``(frames, size)``; what would lie before it is zero."""
        count = len(samples) // self.hop
        before = np.zeros(self.size - self.hop, samples.dtype)
        whole = np.concatenate([before, samples[: count * self.hop]])
        starts = np.arange(count)[:, None] * self.hop
        return np.asarray(whole[starts + np.arange(self.size)[None, :]])


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
    frames
        How frames are cut from the samples, where the network reads frames.
    constants
        Inputs that are numbers, such as the sample rate.
    states
        Inputs that are states, and the outputs that set them.
    """

    audio: Port
    axes: tuple[int, ...]
    time: int
    length: int | None
    frames: Frames | None = None
    constants: dict[str, int] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)

    @property
    def probes(self) -> tuple[int, ...]:
        """Lengths to follow."""
        if self.frames is not None:
            return FRAME_PROBES if self.frames.timed else (1,)
        return PROBES if self.length is None else (self.length,)

    def attempts(self, source: Source) -> list[tuple[int, ...]]:
        """Return the lengths to follow, and those to follow if these are too short."""
        if self.frames is None and self.length is None and any(n.op_type == "Softmax" for n in source.model.graph.node):
            return [*SHORT_PROBES, PROBES]
        return [self.probes]

    def shape(self, length: int) -> list[int]:
        """Return the input's shape for `length` samples."""
        return [length if axis == self.time else 1 for axis in range(len(self.axes))]


@dataclass(frozen=True)
class Asked:
    """What the caller tells about the inputs.

    Attributes
    ----------
    audio_input
        Name of the input that is the audio.
    frames
        Whether the network reads frames; their size, where its inputs leave that open.
    hop
        Samples from one frame to the next.
    states
        Inputs that are states, and the outputs that set them.
    constants
        Inputs that are numbers.
    rate
        The sample rate.
    """

    audio_input: str | None = None
    frames: int | bool = False
    hop: int | None = None
    states: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, int] = field(default_factory=dict)
    rate: int = 48_000


def _numbers(source: Source, asked: Asked) -> dict[str, int]:
    """Return the inputs that are constants: those named, and a sample rate."""
    names = [port.name for port in source.inputs]
    for name in asked.constants:
        if name not in names:
            raise ModelError(f"constants: no input is called {name!r}; there is: {', '.join(names)}")
    found = dict(asked.constants)
    for port in source.inputs:
        if not port.floating and port.name not in found:
            if port.name.lower() not in ("sr", "rate", "sample_rate", "samplerate", "sampling_rate", "fs"):
                handed_on = asked.states.get(port.name) or _sets(source, port)
                if handed_on is not None:
                    raise ModelError(
                        f"input {port.describe()}: is a state that counts in integers, handed on as '{handed_on}'; a "
                        "stream's states are float32: hand it on as a float (which is exact up to 16777216), or leave "
                        "it out where it only tells how many calls there were"
                    )
                raise ModelError(
                    f"input {port.describe()}: is not floating point; export with it fixed to a constant, or give it "
                    f"one: constants={{{port.name!r}: ...}} (rtvoice import: --constant {port.name}=NUMBER)"
                )
            found[port.name] = asked.rate
    return found


def readings(source: Source, asked: Asked) -> list[Reading]:
    """Return the ways to read the inputs, the most likely first; ModelError where there is none."""
    audio_input = asked.audio_input
    constants = _numbers(source, asked)
    states = pairs(source, asked.states, constants)
    rest = [port for port in source.inputs if port.name not in constants and port.name not in states]
    ports = [port for port in rest if audio_input in (None, port.name)]
    if not rest or not ports:
        named = ", ".join(port.describe() for port in source.inputs) or "none"
        nothing = "has no input that could be audio; export the network with the audio as an input"
        raise ModelError(f"no input is called '{audio_input}'; there is: {named}" if audio_input else nothing)
    if asked.frames or (states and not any(found.length is None for port in ports for found in _of_port(port))):
        return [_in_frames(source, rest, asked, constants, states)]
    # What has a free time axis is the audio; then what is longest.
    found = [(port, reading) for port in ports for reading in _of_port(port)]
    if not found:
        raise ModelError(_complaint(ports[0]))
    found.sort(key=lambda pair: (pair[1].length is not None, -(pair[1].length or 0)))
    chosen, first = found[0]
    if first.length is not None and first.length > _LONGEST:
        raise ModelError(
            f"input {chosen.describe()}: is fixed to {first.length} samples, where at most {_LONGEST} can be run to "
            "compare; export with a free time axis, or a shorter example"
        )
    return [replace(reading, constants=constants, states=states) for port, reading in found if port is chosen]


def _in_frames(
    source: Source, ports: list[Port], asked: Asked, constants: dict[str, int], states: dict[str, str]
) -> Reading:
    """Read inputs as frames: those with a free axis change along it, else every call is a frame."""
    held = [port for port in source.inputs if port.name in states]
    batched = any(None in (port.dims or ()) for port in held)
    timed = {port.name: _time_of(port, batched, asked.frames) for port in ports}
    moving = [port for port in ports if timed[port.name] is not None]
    parts: list[Part] = []
    for port in moving or ports:
        if port.dims is None:
            raise ModelError(f"input {port.describe()}: has no shape; export with one")
        axes = [1 if axis == timed[port.name] else size for axis, size in enumerate(port.dims)]
        if axes and axes[0] is None:
            axes[0] = 1
        free = [axis for axis, size in enumerate(axes) if size is None]
        if len(free) > 1 or (free and isinstance(asked.frames, bool)):
            raise ModelError(
                f"input {port.describe()}: leaves open how many numbers a frame has; frames=N tells "
                "(rtvoice import: --frame N)"
            )
        for axis in free:
            axes[axis] = asked.frames
        parts.append(Part(port, tuple(int(size or 1) for size in axes), timed[port.name]))
    size = sum(part.size for part in parts)
    hop = asked.hop or size
    if size > _LARGEST_FRAME or hop > size or (len(parts) > 1 and hop != size):
        raise ModelError(
            f"frames of {size} numbers every {hop} samples: a frame has at most {_LARGEST_FRAME} numbers, and every "
            "sample goes into one; several inputs take all of a hop"
        )
    first = parts[0]
    return Reading(first.port, first.axes, first.time or 0, None, Frames(tuple(parts), hop), constants, states)


def _time_of(port: Port, batched: bool, size: int | bool) -> int | None:
    """Return the time axis of an input that is frames: a free one, but for the batch."""
    dims = port.dims or ()
    free = [axis for axis, length in enumerate(dims) if length is None]
    if not isinstance(size, bool) and free and free[-1] == len(dims) - 1 and len(dims) < 3:
        free = free[:-1]  # the frame's own length, which the caller tells
        return None if batched or free == [0] or not free else free[-1]
    if batched and free[:1] == [0]:
        free = free[1:]
    if len(free) > 1 and free[0] == 0:
        free = free[1:]
    return free[-1] if free else None


def pairs(source: Source, given: Mapping[str, str], constants: Mapping[str, int]) -> dict[str, str]:
    """Return which inputs are states, with the outputs that set them: those named, and those whose names say so."""
    inputs = {port.name: port for port in source.inputs if port.floating and port.name not in constants}
    results = {port.name: port for port in source.results}
    for name, output in given.items():
        if name not in inputs or output not in results:
            raise ModelError(
                f"state {name}={output}: the inputs are {', '.join(inputs)}, the outputs {', '.join(results)}"
            )
    found = dict(given)
    taken = set(found.values())
    for name, port in inputs.items():
        if name in found:
            continue
        for output in _next_names(name):
            if output in results and output not in taken and _alike(port, results[output]):
                found[name] = output
                taken.add(output)
                break
    if not found:
        found = _by_shape(list(inputs.values()), source.results)
    return found if len(found) < len(inputs) else dict(given)


def _sets(source: Source, port: Port) -> str | None:
    """Return the output that by its name and shape sets a state."""
    results = {result.name: result for result in source.results}
    return next((name for name in _next_names(port.name) if name in results and _alike(port, results[name])), None)


def _next_names(name: str) -> list[str]:
    """Return what an output may be called that sets the state `name`."""
    out = [f"{name}N", f"{name}n", f"{name}_n", f"{name}_out", f"{name}_new", f"{name}_next", f"new_{name}"]
    out += [f"next_{name}", f"out_{name}", f"updated_{name}", f"output_{name}", f"{name}_output"]
    for old, new in (("_in", "_out"), ("in_", "out_"), ("prev", "next"), ("prev", "new"), ("old", "new"), ("0", "n")):
        if old in name:
            out.append(name.replace(old, new))
    return [candidate for candidate in out if candidate != name]


def _alike(port: Port, result: Port) -> bool:
    """Tell whether an output may have the shape of an input, free axes aside."""
    if port.dims is None or result.dims is None:
        return True
    return len(port.dims) == len(result.dims) and all(
        a is None or b is None or a == b for a, b in zip(port.dims, result.dims, strict=True)
    )


def _by_shape(ports: list[Port], results: list[Port]) -> dict[str, str]:
    """Pair inputs with outputs of one shape of four axes or more, where no two have it and nothing has a free axis."""
    shapes = {id(port): port.dims for port in [*ports, *results]}
    if any(dims is None or None in dims[1:] for dims in shapes.values()):
        return {}
    found = {}
    for port in ports:
        dims = port.dims or ()
        same = [other for other in [*ports, *results] if (other.dims or ())[1:] == dims[1:]]
        twins = [result for result in results if result in same]
        if len(same) == 2 and len(twins) == 1 and len(dims) >= 4 and prod(size or 1 for size in dims[1:]) > 1:
            found[port.name] = twins[0].name
    return found


def _numbers_in(dims: tuple[int | None, ...]) -> int:
    """Return how many numbers a shape holds, a free axis counted as 1."""
    return prod(size or 1 for size in dims)


def like_states(source: Source, reading: Reading) -> list[str]:
    """Tell which inputs and outputs look like states that nobody named: other numbers of a frame, of one shape."""
    parts = [] if reading.frames is None else [part.port for part in reading.frames.parts]
    taken = {*reading.states, *reading.constants, *(parts[0].name if parts else reading.audio.name,)}
    left = [port for port in source.results if port.name not in reading.states.values()]
    found: dict[str, list[str]] = {}
    for port in source.inputs:
        dims = port.dims or ()
        if port.name in taken or not port.floating or not dims or None in dims[1:] or _numbers_in(dims) == 1:
            continue
        twins = [result.name for result in left if result.dims is not None and result.dims[1:] == dims[1:]]
        if twins:
            found[port.name] = twins
    if not found:
        return []
    pairs = "; ".join(f"'{name}' like {' and '.join(map(repr, twins))}" for name, twins in found.items())
    name, twins = next(iter(found.items()))
    read = "parts of every frame" if parts else "inputs that a host sets"
    return [
        f"inputs that look like outputs were read as {read}: {pairs}. Where they are states that one call hands to the "
        f"next, say which: states={{{name!r}: {twins[0]!r}}} (rtvoice import: --state {name}={twins[0]})"
    ]


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
    if len(dims) in (2, 3) and (dims[0] or 1) > 1 and all(size in (None, 1) for size in dims[1:]):
        return f"input {port.describe()}: is a batch of {dims[0]}; a stream is one recording: export with a batch of 1"
    if len(dims) in (2, 3, 4) and any(size is not None and size > 1 for size in dims[1:]):
        return (
            f"input {port.describe()}: has more than one channel, or a batch; a model takes one audio channel as "
            "(1, 1, time), (1, time, 1) or (1, time), so put the analysis (a Conv or MatMul) inside the model; "
            "frames=True (--frames) reads frames of all its numbers instead"
        )
    return f"input {port.describe()}: has no time axis; export with (1, 1, time), (1, time, 1) or (1, time)"


def _cut_frames(frames: Frames, probes: tuple[int, ...]) -> dict[str, Stream]:
    """Return the inputs that are frames: their numbers come one after another as samples."""
    emit = Emitter()
    emit.label = "frame"
    audio = Node("input", [], 1, Fraction(1), label="audio")
    node, rate = audio, Fraction(1, frames.hop)
    if frames.hop > 1:
        node = emit.node("time_to_depth", audio, channels=frames.hop, rate=rate, factor=frames.hop, order="time")
    pieces, missing = [node], frames.size - frames.hop
    for back in range(1, -(-missing // frames.hop) + 1):
        take = min(frames.hop, missing - (back - 1) * frames.hop)
        late = emit.node("delay", node, frames=back)
        pieces.insert(0, emit.take(late, np.arange(frames.hop - take, frames.hop)))
    whole = node if len(pieces) == 1 else emit.node("concat", *pieces, channels=frames.size)
    streams, first = {}, 0
    for part in frames.parts:
        index = np.arange(first, first + part.size).reshape(part.axes)
        streams[part.port.name] = Stream(whole, index, part.time, probes if frames.timed else ())
        first += part.size
    return streams


def state_shape(port: Port) -> tuple[int, ...]:
    """Return the shape of a state, with a batch of 1."""
    if port.dims is None or sum(size is None for size in port.dims) > 1:
        raise ModelError(f"input {port.describe()}: is a state of no fixed size; export with one")
    return tuple(1 if size is None else size for size in port.dims)


def open_inputs(source: Source, reading: Reading, probes: tuple[int, ...] | None = None) -> dict[str, Value]:
    """Return the inputs: the audio or frames, numbers, states at rest, and parameters for the others."""
    streams: dict[str, Value] = {}
    probes = probes or reading.probes
    if reading.frames is not None:
        streams.update(_cut_frames(reading.frames, probes))
    for port in source.inputs:
        if port.name in streams:
            continue
        if port.name in reading.constants:
            kind = np.float32 if port.floating else np.int64
            shape = tuple(size or 1 for size in port.dims or ())
            streams[port.name] = Known((np.full(shape, reading.constants[port.name], kind),))
            continue
        if port.name in reading.states:
            shape = state_shape(port)
            if reading.frames is None or reading.frames.timed:  # the recording starts from silence
                streams[port.name] = Known((np.zeros(shape, np.float32),))
                continue
            size = int(np.prod(shape, dtype=np.int64))
            node = Node("state", [], size, Fraction(1, reading.frames.hop), label=port.name)
            streams[port.name] = Stream(node, np.arange(size).reshape(shape), None, ())
            continue
        if port.name == reading.audio.name:
            node = Node("input", [], 1, Fraction(1), label="audio")
            streams[port.name] = fresh(node, reading.axes, reading.time, probes)
            continue
        shape = parameter_shape(port, reading)
        size = int(np.prod(shape, dtype=np.int64))
        node = Node("parameter", [], size, Fraction(0), label=clean(port.name))
        streams[port.name] = fresh(node, shape, None, () if _stepped(reading) else probes)
    return streams


def _stepped(reading: Reading) -> bool:
    return reading.frames is not None and not reading.frames.timed


def parameter_shape(port: Port, reading: Reading) -> tuple[int, ...]:
    """Return the shape of an input that stays constant over a stream; ModelError where it changes along time."""
    dims = port.dims or ()
    free = [axis for axis, size in enumerate(dims) if size is None]
    if reading.frames is not None and port.dims is not None and free == [0]:
        free = []
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
