"""Makes a trained master fit to ship: scripts/release_master.py MASTER_STAGE OUT.

Keeps the voices that it was made for. The codes of those it only learned to listen from go: they agreed to be heard,
not to be imitated. Weights are stored in 16 bits.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from rtvoice.train import checkpoint
from rtvoice.train.skin.voice import Learned, load_master


def main() -> int:
    """Write OUT/weights.pt and OUT/voice.pt."""
    if len(sys.argv) != 3:
        print("usage: scripts/release_master.py MASTER_STAGE OUT", file=sys.stderr)
        return 2
    stage, out = map(Path, sys.argv[1:])
    master, voice = load_master(stage)
    whole = checkpoint.load(stage / "weights.pt")
    kept = [one.number for one in voice.learned.values()]
    weights = {name: tensor.half() for name, tensor in master.state_dict().items()}
    weights["speakers.weight"] = weights["speakers.weight"][kept].clone()
    out.mkdir(parents=True, exist_ok=True)
    told = {name: whole[name] for name in ("step", "held_out")}
    checkpoint.save(out / "weights.pt", {"models": {"master": weights}, **told})
    learned = {name: Learned(at, one.register) for at, (name, one) in enumerate(voice.learned.items())}
    shape = replace(voice.shape, speakers=len(learned))
    replace(voice, shape=shape, speakers=tuple(learned), learned=learned).write(out)
    load_master(out)
    print(f"{out}: {', '.join(learned)}, {(out / 'weights.pt').stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
