"""Every op on every instruction set that this processor has, against float64."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FILES = [str(HERE / name) for name in ("test_ops.py", "test_band_ops.py", "test_generation.py")]
CHOSEN = "import rtvoice; print(rtvoice.isa())"


@pytest.mark.parametrize("isa", ["SCALAR", "SSE4", "AVX2", "NEON"])
def test_ops_on(isa: str) -> None:
    environment = {**os.environ, "RTVOICE_ISA": isa}
    chosen = subprocess.run([sys.executable, "-c", CHOSEN], env=environment, capture_output=True, text=True, check=True)
    if chosen.stdout.strip() != isa:
        pytest.skip(f"this processor has no {isa}")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *FILES],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
