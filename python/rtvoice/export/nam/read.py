"""Reading a `.nam` file: its version, sample rate and metadata, and the network of whichever architecture."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from rtvoice.export.fields import Fields, brief, number, refuse

from .activations import check_channels, read_activation
from .read_wavenet import read_wavenet
from .spec import ConvNet, Linear, Lstm, LstmCell, Network, Reading, take_conv
from .weights import Weights

ARCHITECTURES = ("WaveNet", "ConvNet", "LSTM", "Linear", "SlimmableContainer")
_NEWEST = (0, 7)
_OLDEST = (0, 5)
# Of architectures that files may name, but no player reads: what to do instead.
_ELSEWHERE = {
    "Sequential": "the trainer writes it without the names of its parts, so no player can read it; export each part "
    "as a file of its own",
    "CatLSTM": "its knobs are no part of the format any more; export a model of one setting, as LSTM",
    "CatWaveNet": "its knobs are no part of the format any more; export a model of one setting, as WaveNet",
    "HyperWaveNet": "its knobs are no part of the format any more; export a model of one setting, as WaveNet",
    "SlimmableWavenet": "the format calls it WaveNet, with 'slimmable' in its layers",
}
_IMPLEMENTATIONS = ("auto", "direct", "legacy", "old", "fft", "partitioned_fft", "partitioned-fft")
UNTOLD_RATE = 48_000  # what the trainer worked at when its files did not tell


def read_network(document: Any, reading: Reading, place: str, inputs: int = 1) -> tuple[Network, Weights]:
    """Read a model: the file's own object, or one inside another.

    Parameters
    ----------
    document
        The object.
    reading
        How the file is read.
    place
        Its place in the file; empty for the file itself, else with a colon and a space behind it.
    inputs
        Channels of what it gets.

    Returns
    -------
    tuple
        The network, and its weights as they were taken.
    """
    fields = Fields(document, place.rstrip(": ") or "the file")
    _check_version(fields, reading)
    name = fields.text("architecture")
    if name not in ARCHITECTURES:
        advice = _ELSEWHERE.get(name, "train with one of them")
        refuse(
            fields.place,
            f"architecture {name[:40]!r} is not of the format; it has {', '.join(ARCHITECTURES)}: {advice}",
        )
    config = Fields(fields.get("config"), f"{place}config")
    if name == "SlimmableContainer":
        return _read_container(config, reading, place, inputs)
    weights = Weights(fields.get("weights"), place)
    if name == "WaveNet":
        # A model inside another has weights of its own.
        def nested(value: Any, where: str) -> Network:
            inner = Fields(value, f"{place}{where}")
            if inner.has("sample_rate") and round(inner.number("sample_rate")) != reading.rate:
                refuse(
                    inner.place,
                    f"works at {inner.number('sample_rate'):g} Hz, the file at {reading.rate}; they must agree",
                )
            network, own = read_network(value, replace(reading, size=None), f"{place}{where}: ", inputs)
            nests.append(own)
            return network

        nests: list[Weights] = []
        net: Network = read_wavenet(config, weights, reading, inputs, nested)
        for own in nests:
            weights.inner.append(own)
        return net, weights
    readers: dict[str, Callable[[Fields, Weights, Reading, int], Network]] = {
        "ConvNet": _read_convnet,
        "LSTM": _read_lstm,
        "Linear": _read_linear,
    }
    made = readers[name](config, weights, reading, inputs)
    weights.finish()
    return made, weights


def told_rate(document: Any) -> int | None:
    """Return the sample rate that a file tells, or None."""
    if not isinstance(document, dict):
        return None
    value = document.get("sample_rate")
    if value is None and document.get("architecture") == "SlimmableContainer":
        config = document.get("config")
        parts = config.get("submodels") if isinstance(config, dict) else None
        for part in parts if isinstance(parts, list) else []:
            inner = told_rate(part.get("model")) if isinstance(part, dict) else None
            if inner is not None:
                return inner
    if value is None:
        return None
    rate = number(value, "'sample_rate'")
    if rate <= 0:
        return None
    if rate != int(rate):
        refuse("'sample_rate'", f"is {rate:g} Hz; a model's rate is a whole number of hertz")
    return int(rate)


def _check_version(fields: Fields, reading: Reading) -> None:
    if not fields.has("version"):
        return
    found = re.fullmatch(r"(\d{1,6})\.(\d{1,6})\.(\d{1,6})", str(fields.get("version")))
    if found is None:
        refuse(fields.place, f"version is {brief(fields.get('version'))}; it must be three numbers, as in 0.7.0")
    version = (int(found[1]), int(found[2]))
    if not _OLDEST <= version <= _NEWEST:
        remedy = (
            "export it from a newer trainer"
            if version < _OLDEST
            else "update rtvoice, or export it from an older trainer"
        )
        refuse(
            fields.place,
            f"is of version {found[0]} of the format; this importer reads {_OLDEST[0]}.{_OLDEST[1]} to "
            f"{_NEWEST[0]}.{_NEWEST[1]}: {remedy}",
        )
    if version == _NEWEST and int(found[3]) > 0:
        reading.note(f"the file is of version {found[0]}, newer than 0.7.0; what it has beyond that is refused by name")


def _read_container(config: Fields, reading: Reading, place: str, inputs: int) -> tuple[Network, Weights]:
    """Choose one of a container's models by the size that was asked for; the last where none was."""
    models, most = [], -np.inf
    for index, item in enumerate(config.items("submodels")):
        part = Fields(item, f"{place}submodels[{index}]")
        limit = part.number("max_value")
        if limit <= most:
            refuse(
                part.place, f"max_value is {limit:g}, not above the one before; the models must stand by rising size"
            )
        most = limit
        models.append((limit, part.get("model"), f"{part.place}: "))
    if most < 1.0:
        refuse(config.place, f"the last max_value is {most:g}; it must be at least 1")
    size = 1.0 if reading.size is None else reading.size
    chosen = next((index for index, (limit, _, _) in enumerate(models) if size < limit), len(models) - 1)
    limits = ", ".join(f"{limit:g}" for limit, _, _ in models[:-1])
    reading.note(
        f"the file holds {len(models)} models for sizes from 0 to 1{f', parted at {limits}' if limits else ''}; this "
        f"is submodel {chosen}"
    )
    _, model, where = models[chosen]
    inner = Fields(model, where.rstrip(": "))
    if inner.has("sample_rate") and round(inner.number("sample_rate")) != reading.rate:
        refuse(inner.place, f"works at {inner.number('sample_rate'):g} Hz, the file at {reading.rate}; they must agree")
    # The size chooses here and no further: what was chosen plays at its own full size.
    return read_network(model, replace(reading, size=None), where, inputs)


def _check_inputs(config: Fields, inputs: int, key: str = "in_channels") -> None:
    if config.integer(key, 1) != inputs:
        refuse(config.place, f"{key} is {config.get(key)}; the audio input has {inputs}: train it mono")


def _read_convnet(config: Fields, weights: Weights, reading: Reading, inputs: int) -> ConvNet:
    config.only(("channels", "dilations", "batchnorm", "activation", "groups", "in_channels", "out_channels", "notes"))
    _check_inputs(config, inputs)
    channels, norm, groups = config.integer("channels"), config.flag("batchnorm"), config.integer("groups", 1)
    place = weights.place
    activation = read_activation(config.get("activation"), f"{place}config: activation", reading)
    check_channels(activation, channels, f"{place}config")
    blocks = []
    for index, dilation in enumerate(config.integers("dilations")):
        of = f"{place}block {index}"
        conv = take_conv(
            weights, f"{of}.conv", inputs=inputs if index == 0 else channels, outputs=channels, taps=2, bias=not norm,
            dilation=dilation, groups=groups,
        )  # fmt: skip
        blocks.append((conv, _read_batch_norm(weights, f"{of}.batchnorm", channels) if norm else None))
    outputs = config.integer("out_channels", 1)
    return ConvNet(blocks, activation, take_conv(weights, f"{place}head", inputs=channels, outputs=outputs, bias=True))


def _read_batch_norm(weights: Weights, of: str, channels: int) -> tuple[Any, Any]:
    mean, variance, scale, shift = (np.float64(weights.take(channels, of=of)) for _ in range(4))
    eps = float(weights.take(1, of=of)[0])
    if (variance + eps <= 0.0).any():
        refuse(of, "has a variance that is not above 0; the file is damaged, export it again")
    gain = scale / np.sqrt(variance + eps)
    return gain.astype(np.float32), (shift - gain * mean).astype(np.float32)


def _read_lstm(config: Fields, weights: Weights, reading: Reading, inputs: int) -> Lstm:
    config.only(("num_layers", "input_size", "hidden_size", "in_channels", "out_channels", "notes"))
    _check_inputs(config, inputs)
    _check_inputs(config, inputs, "input_size")
    hidden, cells = config.integer("hidden_size"), []
    for index in range(config.integer("num_layers")):
        of, size = f"{weights.place}lstm {index}", inputs if index == 0 else hidden
        both = weights.take(4 * hidden, size + hidden, of=of)
        bias, start_h, start_c = (weights.take(count, of=of) for count in (4 * hidden, hidden, hidden))
        cells.append(LstmCell(both[:, :size], both[:, size:], bias, start_h, start_c))
    outputs, of = config.integer("out_channels", 1), f"{weights.place}head"
    return Lstm(cells, weights.take(outputs, hidden, of=of), weights.take(outputs, of=of))


def _read_linear(config: Fields, weights: Weights, reading: Reading, inputs: int) -> Linear:
    config.only(("receptive_field", "bias", "in_channels", "out_channels", "implementation", "notes"))
    _check_inputs(config, inputs)
    if config.integer("out_channels", 1) != 1:
        refuse(
            config.place,
            f"out_channels is {config.get('out_channels')}, of which all but the first are silent; export it with 1",
        )
    implementation = config.text("implementation", "auto")
    if implementation.lower() not in _IMPLEMENTATIONS:
        refuse(
            config.place,
            f"implementation {implementation[:40]!r} is not of the format; it has {', '.join(_IMPLEMENTATIONS)}, which "
            "all sound the same: leave it out",
        )
    of, count = f"{weights.place}impulse response", config.integer("receptive_field")
    taps = weights.take(count, of=of)
    if reading.follow == "trainer":
        taps = taps[::-1]
    if count > 1:
        reading.note(
            "NeuralAmpModelerCore reads a Linear model's weights from the newest sample on, the trainer from the "
            f"oldest; read as by the {'player' if reading.follow == 'core' else 'trainer'} (follow='core' or 'trainer')"
        )
    return Linear(taps, weights.take(1, of=of) if config.flag("bias") else None)
