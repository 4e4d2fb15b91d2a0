"""The command `python -m rtvoice.train.data prepare | report | voices | render`: material without a training."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from rtvoice.train.data.corpus import DataError, find_recordings, read_table
from rtvoice.train.data.prepare import Limits, Progress, prepare
from rtvoice.train.data.report import report
from rtvoice.train.data.synth.collection import (
    ENGINES,
    chosen_voices,
    reading_list,
    render_collection,
    shared_out,
    synthesizer,
)

PROGRAM = "python -m rtvoice.train.data"


class _Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line and whose help ends with an example."""

    def __init__(self, *arguments: Any, example: str = "", **options: Any) -> None:
        options |= {"epilog": f"example:\n  {example}", "allow_abbrev": False}
        super().__init__(*arguments, **(options | {"formatter_class": argparse.RawDescriptionHelpFormatter}))

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and where the help is; exit 2."""
        self.exit(2, f"{self.prog}: error: {' '.join(message.split())}; see '{self.prog} --help'\n")


def _shard(text: str) -> tuple[int, int]:
    part, slash, whole = text.partition("/")
    if not (slash and part.isdigit() and whole.isdigit() and int(part) < int(whole)):
        raise argparse.ArgumentTypeError(f"{text!r} is no shard; write I/N with I from 0 to N-1, as 0/2")
    return int(part), int(whole)


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog=PROGRAM,
        description="Prepare recordings for training, tell what they are, render more from text.",
        example=f"{PROGRAM} prepare 'my voice' --speaker me --out build/me",
    )
    commands = parser.add_subparsers(dest="command", required=True, parser_class=_Parser)

    def command(name: str, help: str, example: str, shared: bool) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=help, description=help, example=f"{PROGRAM} {name} {example}")
        if shared:
            made.add_argument("--workers", type=_positive, default=1, metavar="N", help="processes (default 1)")
            made.add_argument("--shard", type=_shard, default=(0, 1), metavar="I/N", help="this machine's part of N")
        made.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
        made.add_argument("--debug", action="store_true", help="show the traceback of an error")
        return made

    one = command(
        "prepare", "make clips of recordings, and their report", "'my voice' --speaker me --out build/me", True
    )
    one.add_argument("speech", type=Path, help="folder of recordings, or of collections")
    one.add_argument("--out", type=Path, required=True, help="folder for the clips")
    one.add_argument("--speaker", help="all of them are this one's")
    one.add_argument("--collection", action="append", help="only this one (may be given again)")
    one.add_argument("--noisiest", type=float, default=Limits().noisiest, metavar="DB", help="least signal to noise")
    one = command("report", "write the report of prepared clips as a page", "build/me build/me/data.html", False)
    one.add_argument("prepared", type=Path, help="the folder that prepare made")
    one.add_argument("page", type=Path, help="the .html file; its figures go to .json beside it")
    command("voices", "list the synthetic voices that are installed", "", False).add_argument(
        "--kokoro", type=Path, metavar="DIR", help="folder of Kokoro's weights"
    )
    one = command("render", "let synthetic voices read", "speech/target_onyx --voice kokoro:am_onyx --count 600", True)
    one.add_argument("out", type=Path, help="the collection's folder, target_NAME or source_NAME")
    one.add_argument("--voice", action="append", required=True, metavar="ENGINE:NAME", help="who reads; * for all")
    one.add_argument("--without", action="append", default=[], metavar="ENGINE:NAME", help="but not this one")
    one.add_argument("--prompts", type=Path, metavar="TABLE", help="metadata.csv of name|text; three to one of our own")
    one.add_argument("--only-prompts", action="store_true", help="none of our own sentences between the prompts")
    one.add_argument("--skip", type=int, default=0, metavar="N", help="prompts to leave out at the start")
    one.add_argument("--count", type=_positive, default=600, metavar="N", help="sentences (default 600: 40 minutes)")
    one.add_argument("--share", action="store_true", help="each sentence is read once, by the voices in turn")
    one.add_argument("--speed", type=float, default=1.0, help="0.5 to 2 (default 1)")
    one.add_argument("--cache", type=Path, metavar="DIR", help="renderings that are kept")
    one.add_argument("--kokoro", type=Path, metavar="DIR", help="folder of Kokoro's weights")
    return parser


@contextmanager
def _bar(what: str) -> Iterator[Progress | None]:
    """Show progress on a terminal, and nothing when piped."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress as Bar

    with Bar(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _prepare(options: argparse.Namespace) -> dict[str, Any]:
    recordings = find_recordings(options.speech, collections=options.collection, speaker=options.speaker)
    with _bar("preparing") as progress:
        whole = prepare(
            recordings,
            options.out,
            limits=Limits(noisiest=options.noisiest),
            workers=options.workers,
            shard=options.shard,
            progress=progress,
        )
    told: dict[str, Any] = {"recordings": len(recordings), "whole": whole, "folder": str(options.out)}
    return told | (report(options.out, options.out / "data.html") if whole else {})


def _report(options: argparse.Namespace) -> dict[str, Any]:
    return report(options.prepared, options.page) | {"page": str(options.page)}


def _voices(options: argparse.Namespace) -> dict[str, Any]:
    told: dict[str, Any] = {"voices": [], "missing": {}}
    for name in sorted(ENGINES):
        try:
            engine = synthesizer(name, options.kokoro)
        except DataError as error:
            told["missing"][name] = str(error)
            continue
        told["voices"] += [{"engine": name, "version": engine.version} | vars(voice) for voice in engine.voices()]
    return told


def _render(options: argparse.Namespace) -> dict[str, Any]:
    voices = chosen_voices(options.voice, options.without, options.kokoro)
    prompts = (
        {name: row.get("text", "") for name, row in read_table(options.prompts).items()} if options.prompts else {}
    )
    texts = reading_list(prompts, options.count, skip=options.skip, own=not options.only_prompts)
    lines = shared_out(texts, voices, share=options.share, speed=options.speed)
    with _bar("rendering") as progress:
        whole = render_collection(
            lines,
            options.out,
            cache=options.cache,
            kokoro=options.kokoro,
            workers=options.workers,
            shard=options.shard,
            progress=progress,
        )
    return {"folder": str(options.out), "lines": len(lines), "voices": len(voices), "whole": whole}


def _say(command: str, told: dict[str, Any]) -> None:
    if command in {"prepare", "report"} and told.get("whole", True):
        print(f"{told['hours']:.2f} hours, {told['clips']} clips, {told['speakers']} speakers")
        for name, one in told["collections"].items():
            held = one["held_out"]
            print(f"  {name}: {one['hours']:.2f} h of {one['speakers']}; held out: {held['hours']:.2f} h")
        for reason, count in told["rejected"]["reasons"].items():
            print(f"  left out: {count}, {reason}")
        for remark in told["remarks"]:
            print(f"  note: {remark}")
        print(f"report: {told.get('page') or Path(told['folder']) / 'data.html'}")
    elif command == "voices":
        for voice in told["voices"]:
            print(f"{voice['engine']}:{voice['name']}  {voice['language']} {voice['gender']}  {voice['licence']}")
        for name, why in told["missing"].items():
            print(f"{name}: {why}")
    else:
        print(f"{told['folder']}: this shard is done" + ("" if told["whole"] else "; others are not"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status."""
    options = _parser().parse_args(arguments)
    run: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
        "prepare": _prepare,
        "report": _report,
        "voices": _voices,
        "render": _render,
    }
    try:
        told = run[options.command](options)
        if options.json:
            print(json.dumps(told, ensure_ascii=False))
        else:
            _say(options.command, told)
    except (DataError, OSError) as error:
        if options.debug:
            raise
        print(f"{PROGRAM}: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{PROGRAM}: interrupted; what is done is kept", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
