"""The gate on the C interface: what programs built before rely on stays, and a planted break of each kind is found."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import sdk

pytestmark = pytest.mark.skipif(
    shutil.which("abidiff") is None, reason="abidiff is missing: apt-get install abigail-tools"
)


def test_the_interface_is_the_committed_one() -> None:
    done = sdk.run(sdk.ROOT / "scripts" / "abi.sh", check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def changed(folder: Path, old: str, new: str) -> int:
    """Return what the gate says of a header in which `old` has become `new`."""
    include = folder / "include"
    shutil.copytree(sdk.ROOT / "cpp" / "include", include)
    header = include / "rtvoice" / "rtvoice.h"
    text = header.read_text()
    assert old in text
    header.write_text(text.replace(old, new, 1))
    return sdk.run(sdk.ROOT / "scripts" / "abi.sh", include, check=False).returncode


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("uint64_t calls;", "uint64_t more;\n  uint64_t calls;"),
        ("float fade_ms;", "uint32_t fade_ms;"),
        ("RTV_ERROR_BUSY = 7", "RTV_ERROR_BUSY = 9"),
        ("RTV_RESAMPLER_FIR = 1", "RTV_RESAMPLER_FIR = 6"),
        ("float* out, uint32_t frames) RTV", "float* out, uint16_t frames) RTV"),
        (
            "RTV_API void rtv_engine_reset(rtv_engine* engine)",
            "RTV_API rtv_status rtv_engine_reset(rtv_engine* engine)",
        ),
        ("rtv_engine_latency(", "rtv_engine_delay("),
    ],
)
def test_a_planted_break_is_found(tmp_path: Path, old: str, new: str) -> None:
    assert changed(tmp_path, old, new) == 1


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("RTV_API const char* rtv_isa(void);", "RTV_API const char* rtv_isa(void);\nRTV_API uint32_t rtv_new(void);"),
        ("#define RTV_TIER_SHARE", "typedef enum rtv_new { RTV_NEW = 1 } rtv_new;\n#define RTV_TIER_SHARE"),
        ("RTV_RESAMPLER_FIR_SHORT = 5", "RTV_RESAMPLER_FIR_SHORT = 5, RTV_RESAMPLER_NEW = 6"),
    ],
)
def test_a_new_name_is_no_break(tmp_path: Path, old: str, new: str) -> None:
    assert changed(tmp_path, old, new) == 0
