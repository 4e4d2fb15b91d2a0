"""The whisper skin's own commands: `rtvoice train whisper | export-whisper | evaluate-whisper`."""

from __future__ import annotations

import argparse
from pathlib import Path

#: The commands' names.
NAMES = ("whisper", "export-whisper", "evaluate-whisper")


def main(arguments: list[str], program: str) -> int:
    """Run one of the commands; return its exit status."""
    parser = argparse.ArgumentParser(
        prog=program,
        description="Train, export and evaluate the whisper skin.",
        epilog=f"example:\n  {program} whisper --data speech --noise noise --out build/train/whisper\n\n"
        "training needs the extra 'train': pip install 'rtvoice[train]'",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    whisper = commands.add_parser("whisper", help="train the whisper skin, or go on where a run was ended")
    whisper.add_argument("--data", type=Path, required=True, help="folder of training speech")
    whisper.add_argument("--noise", type=Path, required=True, help="folder of noises and room responses")
    whisper.add_argument("--out", type=Path, required=True, help="folder for checkpoints, log and teacher's cache")
    whisper.add_argument("--tier", choices=["default", "hq"], default="default")
    whisper.add_argument("--minutes", type=float, default=25.0, help="time to train (default 25)")
    whisper.add_argument("--steps", type=int, help="length in steps instead of minutes")
    whisper.add_argument("--seed", type=int, default=0)
    whisper.add_argument("--start", type=Path, help="checkpoint of the default tier, for hq to grow out of")
    whisper.add_argument("--threads", type=int, default=1)
    whisper.add_argument("--workers", type=int, default=1, help="processes that render the teacher (default 1)")
    export = commands.add_parser("export-whisper", help="write a trained tier as a model file")
    export.add_argument("--out", type=Path, required=True, help="the training folder")
    export.add_argument("--tier", choices=["default", "hq"], default="default")
    export.add_argument("--to", type=Path, required=True, help="the .rtv file")
    export.add_argument("--loudness", type=float, help="typical output loudness in LUFS, where measured")
    evaluate = commands.add_parser("evaluate-whisper", help="measure both tiers on speakers kept out of training")
    evaluate.add_argument("--data", type=Path, required=True, help="folder of training speech")
    evaluate.add_argument("--out", type=Path, required=True, help="the training folder")
    evaluate.add_argument("--models", type=Path, help="folder of .rtv files: measure these in the engine instead")
    evaluate.add_argument(
        "--spoken", type=int, default=20, help="utterances per collection of sentences whose words are counted"
    )
    evaluate.add_argument("--json", type=Path, required=True, help="file for the figures")
    options = parser.parse_args(arguments)
    if options.command == "whisper":
        from rtvoice.train.whisper.loop import Run, train

        train(
            Run(
                speech=options.data,
                noise=options.noise,
                out=options.out,
                tier=options.tier,
                minutes=options.minutes,
                steps=options.steps,
                seed=options.seed,
                start=options.start,
                threads=options.threads,
                workers=options.workers,
            )
        )
    elif options.command == "export-whisper":
        from rtvoice.train.whisper import export as export_whisper

        export_whisper.export(options.out / options.tier / "checkpoint.pt", options.to, options.loudness)
    else:
        from rtvoice.train.whisper import evaluate as whisper_figures

        if options.models:
            voices = {path.stem: whisper_figures.streamed(path) for path in sorted(options.models.glob("*.rtv"))}
        else:
            checkpoints = sorted(options.out.glob("*/checkpoint.pt"))
            voices = {path.parent.name: whisper_figures.offline(path) for path in checkpoints}
        whisper_figures.write(whisper_figures.evaluate(options.data, voices, options.out, options.spoken), options.json)
    return 0
