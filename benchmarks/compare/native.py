"""The native half of the comparison (benchmarks/native): contenders, clocks and limits, through ctypes."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import re
import subprocess
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
ROOT = Path(__file__).resolve().parents[2]


class Missing(Exception):
    """Something that the comparison needs is not here; the text says what and how to get it."""


def library_path() -> Path:
    """Return the built library: $RTVOICE_PEERS, or that of `make bench` or `make test`."""
    chosen = os.environ.get("RTVOICE_PEERS")
    folders = [ROOT / "build" / kind / "benchmarks" / "native" for kind in ("bench", "test")]
    built = [path for folder in folders for path in folder.glob("librtvoice_peers.*")]
    found = [Path(chosen)] if chosen else sorted(built, key=lambda path: -path.stat().st_mtime)
    if not found or not found[0].is_file():
        raise Missing("the library rtvoice_peers is not built; run: make bench")
    return found[0]


def onnxruntime_library() -> Path:
    """Return onnxruntime's shared library, from its wheel."""
    spec = importlib.util.find_spec("onnxruntime")
    if spec is None or spec.origin is None:
        raise Missing("onnxruntime is not installed; run: pip install onnxruntime")
    found = sorted((Path(spec.origin).parent / "capi").glob("libonnxruntime.so.*"))
    if not found:
        raise Missing("this onnxruntime's wheel holds no libonnxruntime.so; take the wheel for Linux")
    return found[0]


class Native:
    """The loaded library."""

    def __init__(self) -> None:
        self.lib = ctypes.CDLL(str(library_path()))
        p, s, d, i64, text = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_double, ctypes.c_int64, ctypes.c_char_p
        for name, result, arguments in (
            ("peers_open", p, [text, text, text, text, s]),
            ("peers_close", None, [p]),
            ("peers_input_floats", s, [p]),
            ("peers_macs", i64, [p]),
            ("peers_feed", i64, [p, p, p, s]),
            ("peers_time", d, [p, s]),
            ("peers_time_cold", d, [p, s]),
            ("peers_paced", None, [p, s, d, p]),
            ("peers_heap_calls", i64, [p, s]),
            ("peers_peak", d, []),
            ("peers_read", d, [s, s]),
            ("peers_read_cold", d, [s, s]),
            ("peers_isa", text, []),
            ("peers_load_ms", d, [text]),
            ("peers_onnxruntime_load_ms", d, [text, text]),
            ("peers_onnxruntime_version", ctypes.c_int, [text, text, s]),
            ("peers_mask_avx512", ctypes.c_int, [text, p, s, text, s]),
            ("peers_masked_queries", ctypes.c_uint64, []),
        ):
            function = getattr(self.lib, name)
            function.restype, function.argtypes = result, arguments
        self.onnxruntime = str(onnxruntime_library()).encode()

    @property
    def isa(self) -> str:
        return str(self.lib.peers_isa().decode())

    def onnxruntime_version(self) -> str:
        out = ctypes.create_string_buffer(256)
        if self.lib.peers_onnxruntime_version(self.onnxruntime, out, len(out)) != 0:
            raise Missing(f"onnxruntime: {out.value.decode()}")
        return out.value.decode()

    def open(self, kind: str, path: Path) -> Contender:
        """Open a file as "plan", "engine", "host" or "onnxruntime"; "registers" needs none."""
        error = ctypes.create_string_buffer(1024)
        handle = self.lib.peers_open(kind.encode(), self.onnxruntime, str(path).encode(), error, len(error))
        if not handle:
            raise RuntimeError(f"{path.name} as {kind}: {error.value.decode()}")
        return Contender(self.lib, handle)

    def hold_to_avx2(self, cache: Path) -> None:
        """Let onnxruntime see no AVX-512, before its first call; RTVOICE_ISA=AVX2 does the same for us."""
        offsets = np.asarray(_cpuid_offsets(Path(self.onnxruntime.decode()), cache), np.uint64)
        error = ctypes.create_string_buffer(1024)
        if self.lib.peers_mask_avx512(self.onnxruntime, offsets.ctypes.data, offsets.size, error, len(error)) != 0:
            raise Missing(f"onnxruntime cannot be held to AVX2: {error.value.decode()}")


class Contender:
    """A network, one hop at a time."""

    def __init__(self, lib: ctypes.CDLL, handle: int) -> None:
        self.lib, self.handle = lib, handle
        self.input_floats = int(lib.peers_input_floats(handle))
        self.macs = int(lib.peers_macs(handle))

    def feed(self, flat: F32, capacity: int = 1 << 20) -> F32:
        """Run one hop on a flat input; return the flat output."""
        flat = np.ascontiguousarray(flat, np.float32)
        if flat.size != self.input_floats:
            raise ValueError(f"the input has {flat.size} numbers; it must have {self.input_floats}")
        out = np.empty(capacity, np.float32)
        count = self.lib.peers_feed(self.handle, flat.ctypes.data, out.ctypes.data, out.size)
        if count < 0:
            raise RuntimeError("the hop failed")
        return out[:count].copy()

    def time(self, repeats: int) -> float:
        return float(self.lib.peers_time(self.handle, repeats))

    def time_cold(self, sweep: int) -> float:
        return float(self.lib.peers_time_cold(self.handle, sweep))

    def paced(self, hops: int, period_us: float) -> NDArray[np.float64]:
        us = np.empty(hops)
        self.lib.peers_paced(self.handle, hops, period_us, us.ctypes.data)
        return us

    def heap_calls(self, hops: int) -> int:
        return int(self.lib.peers_heap_calls(self.handle, hops))

    def close(self) -> None:
        self.lib.peers_close(self.handle)


def _cpuid_offsets(library: Path, cache: Path) -> list[int]:
    """Return where the library asks `cpuid`, by disassembling it once (about a minute)."""
    kept = cache / f"cpuid-{library.name}-{library.stat().st_size}.txt"
    if not kept.is_file():
        listing = subprocess.Popen(
            ["objdump", "-d", "--no-show-raw-insn", "--section=.text", str(library)], stdout=subprocess.PIPE, text=True
        )
        assert listing.stdout is not None
        found = [line.split(":")[0].strip() for line in listing.stdout if re.search(r"\tcpuid\b", line)]
        if listing.wait() != 0 or not found:
            raise Missing("objdump finds no cpuid in onnxruntime's library; install binutils")
        kept.write_text("\n".join(found))
    return [int(word, 16) for word in kept.read_text().split()]
