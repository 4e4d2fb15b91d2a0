"""``rtvoice info``: everything about one model."""

from __future__ import annotations

import argparse
from typing import Any

from rtvoice.cli import console

HELP = "tell what a model takes, gives and costs"
EXAMPLE = "rtvoice info whisper --tier hq"


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument("model", metavar="MODEL", help="a skin's name or a .rtv file")
    console.add_tier(parser)
    console.add_common(parser)


def run(args: argparse.Namespace) -> None:
    """Print the model's facts and its layers."""
    from rtvoice.model import Model

    model = Model.load(args.model, tier=args.tier)
    info = dict(model.info)
    info["path"] = str(model.path)
    info["inputs"] = [{"name": "audio", "kind": "audio", "channels": 1}]
    info["inputs"] += [{"name": p["name"], "kind": "parameter", "channels": p["size"]} for p in info["parameters"]]
    provenance = model.metadata.get("provenance")
    info["provenance"] = provenance
    if args.json:
        console.print_json(info)
        return
    print(console.facts(_facts(info)))
    if info["parameters"]:
        head = ["parameter", "size", "default", "range", "smoothing", "description"]
        print("\n" + console.table(head, [_parameter(p) for p in info["parameters"]]))
    head = ["layer", "op", "from", "channels", "frames", "delay", "MAC/hop", "fused into"]
    print("\n" + console.table(head, [_layer(layer) for layer in info["layers"]]))


def _facts(info: dict[str, Any]) -> list[tuple[str, str]]:
    rate = info["sample_rate"]
    memory = info["memory_bytes"]
    outputs = (f"{o['name']} ({o['kind']}, {o['channels']} ch)" for o in info["outputs"])
    pairs = [
        ("name", f"{info['name']} (tier {info['tier']})"),
        ("description", info.get("description") or "-"),
        ("file", info["path"]),
        ("licence", info["licence"] or "-"),
        ("rate", f"{rate} Hz"),
        ("hop", f"{info['hop']} samples ({1000 * info['hop'] / rate:g} ms)"),
        ("latency", f"{info['latency']} samples ({1000 * info['latency'] / rate:g} ms) inside the network"),
        ("receptive field", f"{info['receptive_field']} samples" if info.get("receptive_field") else "unbounded"),
        ("start", str(info["start"])),
        ("inputs", ", ".join(i["name"] for i in info["inputs"])),
        ("outputs", ", ".join(outputs)),
        ("parameters", f"{info['parameter_count']:,} weights"),
        ("cost", f"{info['mac_per_second'] / 1e6:.1f} MMAC/s"),
        ("memory", ", ".join(f"{name} {console.short_bytes(size)}" for name, size in memory.items())),
    ]
    for i, (key, value) in enumerate((info["provenance"] or {}).items()):
        pairs.append(("" if i else "provenance", f"{key}: {value}"))
    return pairs


def _parameter(p: dict[str, Any]) -> list[str]:
    default = p["default"]
    shown = f"{default[0]:g}" if len(default) == 1 else f"{len(default)} values"
    span = f"{_end(p.get('min'))} to {_end(p.get('max'))}"
    return [p["name"], str(p["size"]), shown, span, f"{p['smoothing_ms']:g} ms", p.get("description") or "-"]


def _end(value: float | None) -> str:
    return "any" if value is None else f"{value:g}"


def _layer(layer: dict[str, Any]) -> list[str]:
    fused = layer.get("fused")
    return [
        layer["name"],
        layer["op"],
        ", ".join(layer.get("inputs") or []) or "-",
        str(layer["channels"]),
        str(layer["frames"]),
        str(layer["delay"]),
        f"{layer['macs']:,}",
        fused if isinstance(fused, str) and fused else "-" if not fused else str(fused),
    ]
