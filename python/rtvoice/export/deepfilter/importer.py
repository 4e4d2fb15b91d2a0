"""DeepFilterNet 3 as one streaming model: analysis, features, the networks, gains, deep filter, synthesis."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rtvoice.errors import ModelError
from rtvoice.export import foreign
from rtvoice.export.foreign import Foreign, ForeignReport, finished
from rtvoice.export.onnx.importer import Imported, import_onnx
from rtvoice.export.onnx.verify import verified
from rtvoice.graph import Graph, GraphBuilder, Tensor

from . import FORMAT
from .definition import Networks, enhanced
from .files import Files, joined, read_files
from .fourier import Bins, Fourier
from .settings import Settings, analysis_scale, band_widths, magnitude_start, mean_start, window

if TYPE_CHECKING:
    from rtvoice.model import Model

F64 = NDArray[np.float64]
C128 = NDArray[np.complex128]
_GAINS, _TAPS, _SNR = "erb_dec/m", "df_dec/coefs", "lsnr"


def import_deepfilter(
    src: str | os.PathLike[str],
    *,
    hop: int | None = None,
    name: str | None = None,
    licence: str = "MIT OR Apache-2.0",
    description: str = "",
    tier: str = "default",
    weights: str = "source",
    verify: bool = True,
) -> Foreign:
    """Read a DeepFilterNet 3 model and write all of it in the model file's ops.

    Parameters
    ----------
    src
        The archive `DeepFilterNet3_onnx.tar.gz`, or a folder with what is in it.
    hop
        Streaming quantum in samples, a multiple of the model's own.
    name, licence, description, tier
        For the model file.
    weights
        As in `import_onnx`.
    verify
        Whether the three graphs, joined, pass the gate of an ONNX import first.

    Raises
    ------
    ModelError
        Something is missing, damaged or not known.
    """
    files = read_files(src)
    settings = files.settings
    hop = settings.hop if hop is None else int(hop)
    if hop < 1 or hop % settings.hop:
        raise ValueError(f"hop is {hop}; frames of {files.name} ask for a multiple of {settings.hop}")
    network = import_onnx(joined(files), sample_rate=settings.rate, frames=True, weights=weights)
    verified(network, verify=verify)
    builder = GraphBuilder(
        name=(name or "DeepFilterNet3")[:64],
        sample_rate=settings.rate,
        hop=hop,
        licence=licence,
        tier=tier,
        description=description or "takes noise from speech; DeepFilterNet 3 by Hendrik Schroeter",
        provenance={
            "source": files.name,
            "sha256": files.sha256,
            "producer": FORMAT,
            "weights": network.builder.metadata["provenance"]["weights"],
        },
    )
    try:
        _write(builder, settings, network.builder.graph())
    except ValueError as error:
        raise ModelError(f"{files.name}: {error}") from None
    made = Foreign(
        builder,
        _report(files, network),
        _Definition(settings, network),
        None if weights == "source" else _Definition(settings, network.exact()),
    )
    finished(made)
    return made


def import_with_report(src: str | os.PathLike[str], **options: Any) -> tuple[Model, ForeignReport]:
    """Bring the model in through the gate: no stream is accepted that is not what the source computes.

    Parameters
    ----------
    src, **options
        As in `import_deepfilter`.
    """
    made = import_deepfilter(src, **options)
    return foreign.verified(made, verify=bool(options.get("verify", True))), made.report


def _report(files: Files, network: Imported) -> ForeignReport:
    s = files.settings
    report = ForeignReport(files.name, files.sha256, FORMAT)
    report.layers = [
        f"analysis   {s.points} points every {s.hop} samples, {s.bins} bins",
        f"features   {s.bands} ERB levels less a running mean, {s.low} bins over a running size, decay {s.decay:g}",
        f"networks   {network.report.onnx_nodes} ONNX nodes, {s.features_ahead} frames ahead",
        f"spectrum   {s.bands} gains; {s.low} bins by a filter of {s.order} taps, {s.ahead} of them ahead",
        "synthesis  overlapped and added",
    ]
    parity = network.report.parity
    if parity is not None:
        report.notes.append(f"the three graphs alone {parity['text'].replace('model.onnx', 'the files')}")
    report.notes.append("'mix' below 1 keeps that share of the noise: an attenuation limit of D dB is 1 - 10^(-D/20)")
    return report


class _Definition:
    """The definition, its networks run by onnx's reference implementation in float64.

    Not by onnxruntime: its float32 alone is 7e-6 of the peak away, of the 1e-5 that the gate allows.
    """

    def __init__(self, settings: Settings, network: Imported) -> None:
        self.settings, self.network = settings, network
        self._networks: Networks | None = None

    def __call__(self, signal: F64, parameters: Mapping[str, F64]) -> F64:
        if self._networks is None:
            self._networks = networks_of(self.settings, self.network)
        return enhanced(self.settings, signal, self._networks)[:, None]


def networks_of(settings: Settings, network: Imported, runner: str = "onnx") -> Networks:
    """Return what runs the joined graphs over a recording's features: ``"onnx"`` or ``"onnxruntime"``."""
    oracle = network.oracle(runner)

    def run(levels: F64, low: C128) -> tuple[F64, C128]:
        rows = np.concatenate([levels, low.real, low.imag], axis=1)
        made = oracle.run(rows.astype(np.float32).ravel())
        taps = made[_TAPS].reshape(len(rows), settings.low, settings.order, 2)
        return made[_GAINS], taps[..., 0] + 1j * taps[..., 1]

    return run


def _write(b: GraphBuilder, s: Settings, network: Graph) -> None:
    fourier = Fourier(s.points)
    block = b.node("time_to_depth", b.input(), name="block", factor=s.hop, order="time")
    frame = b.node("concat", b.node("delay", block, name="block.before", frames=1), block, name="frame")
    spectrum, bins = fourier.forward(b, frame, window(s) * analysis_scale(s), "analysis")
    below = b.node("pick", spectrum, name="low", index=[*bins.real[: s.low].tolist(), *bins.imag[: s.low].tolist()])
    features = b.node("concat", _levels(b, s, spectrum, bins), _low(b, s, below), name="features")
    made = _graft(b, network, features)
    gains, taps = (_ahead(b, s, made[name], what) for name, what in ((_GAINS, "gains"), (_TAPS, "taps")))
    out = _filtered(b, s, spectrum, bins, below, gains, taps)
    frame = fourier.inverse(b, *out, window(s) / analysis_scale(s), "synthesis")
    first = b.node("slice", frame, name="synthesis.first", start=0, stop=s.hop)
    second = b.node("slice", frame, name="synthesis.second", start=s.hop, stop=s.points)
    early = b.node("advance", first, name="synthesis.next", frames=1)
    audio = b.node("add", early, second, name="synthesis.overlap")
    b.output(b.node("depth_to_time", audio, name="audio.out", factor=s.hop, order="time"))
    b.output(made[_SNR], name="lsnr", kind="value")


def _levels(b: GraphBuilder, s: Settings, spectrum: Tensor, bins: Bins) -> Tensor:
    """Return the levels of the ERB bands in dB, less their running mean."""
    widths = band_widths(s)
    means = np.zeros((s.bands, spectrum.channels))
    band_of = np.repeat(np.arange(s.bands), widths)
    for places in (bins.real, bins.imag):
        there = places >= 0
        means[band_of[there], places[there]] = 1.0 / widths[band_of[there]]
    power = b.node("linear", b.node("square", spectrum, name="power"), name="erb", weight=means)
    level = b.node("log", b.node("affine", power, name="erb.floor", shift=[1e-10]), name="erb.log")
    level = b.node("affine", level, name="erb.db", scale=[10.0 / np.log(10.0)])
    share = b.node("affine", level, name="erb.share", scale=[1.0 - s.decay])
    mean = b.node("leaky_sum", share, name="erb.mean", decay=[s.decay], start=mean_start(s))
    return b.node("affine", b.node("sub", level, mean, name="erb.centred"), name="erb.feature", scale=[1.0 / 40.0])


def _low(b: GraphBuilder, s: Settings, below: Tensor) -> Tensor:
    """Return the low bins over the root of their running magnitude, real parts and then imaginary parts."""
    squares = b.node("square", below, name="low.squares")
    real = b.node("slice", squares, name="low.real2", start=0, stop=s.low)
    imag = b.node("slice", squares, name="low.imag2", start=s.low, stop=2 * s.low)
    size = b.node("sqrt", b.node("add", real, imag, name="low.power"), name="low.magnitude")
    share = b.node("affine", size, name="low.share", scale=[1.0 - s.decay])
    mean = b.node("leaky_sum", share, name="low.mean", decay=[s.decay], start=magnitude_start(s))
    root = b.node("sqrt", mean, name="low.root")
    return b.node("div", below, b.node("concat", root, root, name="low.roots"), name="low.feature")


def _graft(b: GraphBuilder, network: Graph, features: Tensor) -> dict[str, Tensor]:
    """Copy the networks' nodes, which read frames from the audio input, so that they read the features."""
    made: dict[str, Tensor] = {}
    for node in network.nodes:
        if node.inputs == (network.input_name,):
            if node.op != "time_to_depth" or node.attrs["factor"] != features.channels:
                raise ModelError(f"the graphs read frames of another size than the {features.channels} features")
            made[node.name] = features
            continue
        inputs = [made[name] for name in node.inputs]
        made[node.name] = b.node(node.op, *inputs, name=node.name, **node.attrs, **node.weights)
    return {output.name: made[output.tensor] for output in network.outputs}


def _ahead(b: GraphBuilder, s: Settings, made: Tensor, what: str) -> Tensor:
    """Take what the networks say after hearing a frame as said of an earlier one."""
    return b.node("advance", made, name=f"{what}.ahead", frames=s.features_ahead) if s.features_ahead else made


def _filtered(
    b: GraphBuilder, s: Settings, spectrum: Tensor, bins: Bins, below: Tensor, gains: Tensor, taps: Tensor
) -> tuple[Tensor, Bins]:
    """Return the spectrum: the deep filter's lower bins, and the upper ones under their gains."""
    count = s.bins - s.low
    upper = [*bins.real[s.low :].tolist(), *bins.imag[s.low :].tolist()]
    band_of = np.repeat(np.arange(s.bands), band_widths(s))[s.low :]
    gains = b.node("pick", gains, name="gains", index=np.tile(band_of, 2).tolist())
    above = b.node("mul", b.node("pick", spectrum, name="high", index=upper), gains, name="high.out")
    whole = b.node("concat", *_deep_filter(b, s, below, taps), above, name="spectrum")
    places = np.arange(s.bins)
    start = 2 * s.low - s.low
    real = np.where(places < s.low, places, places + start)
    imag = np.where(places < s.low, places + s.low, places + start + count)
    return whole, Bins(real, imag)


def _deep_filter(b: GraphBuilder, s: Settings, below: Tensor, taps: Tensor) -> tuple[Tensor, Tensor]:
    """Make each low bin from the frames around it: a complex product for each tap, and their sums."""
    frames = []
    for tap in range(s.order):
        late = s.order - 1 - s.ahead - tap
        if late:
            op = "delay" if late > 0 else "advance"
            frames.append(b.node(op, below, name=f"deep.frame{tap}", frames=abs(late)))
        else:
            frames.append(below)
    around = frames[0] if len(frames) == 1 else b.node("concat", *frames, name="deep.frames")
    # The networks' taps lie as [bin][tap][part], the frames as [tap][part][bin].
    place = np.arange(s.low * s.order * 2).reshape(s.low, s.order, 2).transpose(1, 2, 0)
    sums = []
    for part, order, signs in (("real", place, (1.0, -1.0)), ("imag", place[:, ::-1], (1.0, 1.0))):
        chosen = b.node("pick", taps, name=f"deep.taps.{part}", index=order.ravel().tolist())
        products = b.node("mul", around, chosen, name=f"deep.products.{part}")
        ones = np.broadcast_to(np.tile(signs, s.order), (s.low, 2 * s.order))[:, None, None, :]
        sums.append(
            b.node("conv_bands", products, name=f"deep.{part}", weight=ones.copy(), bands=2 * s.order, groups=s.low)
        )
    return sums[0], sums[1]
