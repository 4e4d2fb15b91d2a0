"""The ``rtvoice`` command: one module per subcommand, each with ``HELP``, ``EXAMPLE``, ``configure`` and ``run``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from rtvoice.cli import (
    bench,
    check,
    check_model,
    compare,
    evaluate,
    import_,
    import_deepfilter,
    info,
    live,
    log,
    models,
    monitor,
    render,
    vocode,
)
from rtvoice.cli.console import Parser, fail, guarded

_COMMANDS = {
    "render": render,
    "vocode": vocode,
    "live": live,
    "models": models,
    "info": info,
    "import": import_,
    "import-deepfilter": import_deepfilter,
    "check": check,
    "check-model": check_model,
    "bench": bench,
    "log": log,
    "evaluate": evaluate,
    "monitor": monitor,
    "compare": compare,
}
#: Commands with parsers of their own, in `rtvoice.train`.
_TRAINER = ("train", "distill")
_NAMES = (*_COMMANDS, *_TRAINER)


def build_parser() -> Parser:
    """Return the parser of the whole command line."""
    parser = Parser(
        prog="rtvoice",
        description="Real-time neural audio on this machine's CPU.",
        example="rtvoice render speech.wav out.wav --model whisper",
    )
    parser.add_argument("--version", action="store_true", help="print the version and leave")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands", parser_class=Parser)
    for name, module in _COMMANDS.items():
        sub = commands.add_parser(name, help=module.HELP, description=module.HELP, example=module.EXAMPLE)
        module.configure(sub)
        sub.set_defaults(run=module.run)
    commands.add_parser("train", help="train a skin (needs the extra 'train'); 'rtvoice train --help' tells more")
    commands.add_parser("distill", help="train, ladder, prune or round the small network that ships (extra 'train')")
    return parser


def run(argv: Sequence[str]) -> int:
    """Run one command; return 0 done, 1 failed, 2 wrong usage."""
    parser = build_parser()
    if argv and argv[0] in _TRAINER:
        words = argparse.Namespace(words=list(argv), debug="--debug" in argv)
        return guarded(f"rtvoice {argv[0]}", _train, words)
    first = next((word for word in argv if not word.startswith("-")), None)
    if first is not None and first not in _COMMANDS:
        return fail("rtvoice", f"there is no command {first!r}; commands: {', '.join(_NAMES)}", 2)
    args, unknown = parser.parse_known_args(argv)
    if unknown:
        program = f"rtvoice {args.command}" if args.command else "rtvoice"
        return fail(program, f"unrecognized arguments: {' '.join(unknown)}; see '{program} --help'", 2)
    if args.version:
        return guarded("rtvoice", _version, args)
    if args.command is None:
        return fail("rtvoice", f"name a command: {', '.join(_NAMES)}; 'rtvoice --help' tells more", 2)
    return guarded(f"rtvoice {args.command}", args.run, args)


def _version(args: argparse.Namespace) -> None:
    from rtvoice import __version__

    print(f"rtvoice {__version__}")


def _train(args: argparse.Namespace) -> int:
    """Hand over to the trainer, whose parsers need nothing of what training does."""
    if args.words[0] == "distill":
        from rtvoice.train.distill import main as distill

        return distill(args.words[1:])
    from rtvoice.train.__main__ import main

    return main(args.words[1:], "rtvoice train")
