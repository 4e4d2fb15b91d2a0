"""The ``rtvoice`` command: one module per subcommand, each with ``HELP``, ``EXAMPLE``, ``configure`` and ``run``."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from rtvoice.cli import bench, check, import_, info, models, render
from rtvoice.cli.console import CommandError, Parser, one_line

_COMMANDS = {
    "render": render,
    "models": models,
    "info": info,
    "import": import_,
    "check": check,
    "bench": bench,
}


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
    return parser


def run(argv: Sequence[str]) -> int:
    """Run one command; return 0 done, 1 failed, 2 wrong usage."""
    parser = build_parser()
    first = next((word for word in argv if not word.startswith("-")), None)
    if first is not None and first not in _COMMANDS:
        return _fail("rtvoice", f"there is no command {first!r}; commands: {', '.join(_COMMANDS)}", 2)
    args = parser.parse_args(argv)
    if args.version:
        from rtvoice import __version__

        print(f"rtvoice {__version__}")
        return 0
    if args.command is None:
        return _fail("rtvoice", f"name a command: {', '.join(_COMMANDS)}; 'rtvoice --help' tells more", 2)
    return guarded(f"rtvoice {args.command}", args.run, args)


def guarded(program: str, action: object, args: object) -> int:
    """Call ``action(args)`` and turn what it raises into one line on standard error and an exit status."""
    from rtvoice.audio import AudioError
    from rtvoice.errors import ModelError

    try:
        action(args)  # type: ignore[operator]
        sys.stdout.flush()
    except KeyboardInterrupt:
        return _fail(program, "interrupted; nothing was left half-written", 130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the interpreter complains at exit
        return 1
    except Exception as error:
        if getattr(args, "debug", False):
            raise
        if isinstance(error, CommandError):
            return _fail(program, str(error), error.status)
        if isinstance(error, AudioError | ModelError | ValueError | OSError | ImportError):
            return _fail(program, str(error), 1)
        return _fail(program, f"{type(error).__name__}: {error}; run it again with --debug and report it", 1)
    return 0


def _fail(program: str, message: str, status: int) -> int:
    print(f"{program}: error: {one_line(message)}", file=sys.stderr)
    return status
