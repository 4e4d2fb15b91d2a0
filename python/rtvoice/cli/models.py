"""``rtvoice models``: the skins that can be used by name."""

from __future__ import annotations

import argparse
from typing import Any

from rtvoice.cli import console

HELP = "list the skins that are installed and those in $RTVOICE_MODELS"
EXAMPLE = "RTVOICE_MODELS=~/skins rtvoice models --json"


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    console.add_common(parser)


def run(args: argparse.Namespace) -> None:
    """Print one line per skin and tier; a damaged file is named on standard error."""
    from rtvoice.errors import ModelError
    from rtvoice.model import Model
    from rtvoice.registry import missing_folders, models

    found: list[dict[str, Any]] = []
    damaged: list[dict[str, str]] = []
    for skin in models():
        try:
            info = Model.load(skin.path).info
        except ModelError as error:
            damaged.append({"path": str(skin.path), "error": console.one_line(str(error))})
            continue
        if info["tier"] != skin.tier:
            console.warn(f"{skin.path} holds the tier {info['tier']!r}; name the file {info['tier']}.rtv")
        found.append(
            {
                "name": skin.name,
                "tier": info["tier"],
                "sample_rate": info["sample_rate"],
                "latency": info["latency"],
                "latency_ms": 1000 * info["latency"] / info["sample_rate"],
                "parameters": info["parameter_count"],
                "mac_per_second": info["mac_per_second"],
                "licence": info["licence"],
                "description": info.get("description") or "",
                "path": str(skin.path),
                "shipped": skin.shipped,
            }
        )
    for folder in missing_folders():
        console.warn(f"RTVOICE_MODELS names {folder}, which is no folder")
    for entry in damaged:
        console.warn(f"left out: {entry['error']}")
    if args.json:
        console.print_json({"models": found, "damaged": damaged})
    elif not found:
        print("no skins found; add folders of .rtv files with RTVOICE_MODELS")
    else:
        head = ["skin", "tier", "rate Hz", "latency ms", "parameters", "MMAC/s", "licence"]
        print(console.table(head, [_row(m) for m in found]))


def _row(m: dict[str, Any]) -> list[str]:
    return [
        m["name"],
        m["tier"],
        str(m["sample_rate"]),
        f"{m['latency_ms']:.2f}",
        f"{m['parameters']:,}",
        f"{m['mac_per_second'] / 1e6:.1f}",
        m["licence"] or "-",
    ]
