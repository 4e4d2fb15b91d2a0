"""What the commands share: the parser, tables, JSON, the progress bar, numbers for people."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import math
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Any, NoReturn

#: The extra of the package that brings a module.
_EXTRAS = {
    "onnx": "onnx",
    "onnxruntime": "onnx",
    "torch": "train",
    "pyworld": "train",
    "scipy": "train",
    "matplotlib": "plot",
    "sounddevice": "live",
    "rich": "live",
    "tomli": "live",
    "rtvoice_studio": "compare",
    "starlette": "compare",
    "uvicorn": "compare",
    "sqlalchemy": "compare",
}


class CommandError(Exception):
    """A failure to show as one line; ``status`` is the exit status."""

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line and whose help ends with an example."""

    def __init__(self, *args: Any, example: str = "", **kwargs: Any) -> None:
        kwargs.setdefault("epilog", f"example:\n  {example}" if example else None)
        kwargs.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        kwargs.setdefault("allow_abbrev", False)
        super().__init__(*args, **kwargs)

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and where the help is; exit 2."""
        self.exit(2, f"{self.prog}: error: {one_line(message)}; see '{self.prog} --help'\n")


def add_common(parser: argparse.ArgumentParser, *, figures: bool = True) -> None:
    """Add the options that every command has."""
    if figures:
        parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.add_argument(
        "--debug", action="store_true", default=argparse.SUPPRESS, help="show the traceback of an error"
    )


def add_imported(parser: argparse.ArgumentParser, *, name: str, licence: str = "") -> None:
    """Add what every import is told: where to write, the step, and what the file says of itself."""
    parser.add_argument("-o", "--output", metavar="OUT.rtv", required=True, help="the file to write")
    parser.add_argument("--hop", metavar="N", type=whole(1, 65536), help="samples per step (default: its own)")
    parser.add_argument("--name", help=f"of the model (default: {name})")
    parser.add_argument("--tier", default="default", help="of the model (default: default)")
    parser.add_argument("--licence", default=licence, metavar="SPDX", help="of the model, for its file")
    parser.add_argument(
        "--weights",
        choices=("source", "fp16", "auto"),
        default="source",
        help="keep every bit, round the matrices to 16 bits, or (auto) those that the engine waits for",
    )
    parser.add_argument("--lookahead", action="store_true", help="tell which layers the latency comes from")


def add_tier(parser: argparse.ArgumentParser) -> None:
    """Add ``--tier``."""
    parser.add_argument(
        "--tier", choices=("auto", "default", "hq"), default="auto", help="how much of the CPU to spend (auto: default)"
    )


def whole(low: int, high: int) -> Callable[[str], int]:
    """Return an argument type: a whole number from ``low`` to ``high``."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{value} is not within {low} to {high}")
        return value

    return parse


def positive(text: str) -> float:
    """Argument type: a finite number above 0."""
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
    if not (value > 0 and math.isfinite(value)):
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def check_output(path: str, command: str) -> None:
    """Refuse a name that no model file can be written to, before any work."""
    if not path.endswith(".rtv"):
        raise CommandError(f"-o {path}: the file must end in .rtv; see 'rtvoice {command} --help'", 2)
    folder = os.path.dirname(os.path.realpath(path))
    if not os.path.isdir(folder):
        raise CommandError(f"-o {path}: the folder {folder} does not exist; make it first")
    if os.path.isdir(path):
        raise CommandError(f"-o {path} is a folder; name the file to write")


def one_line(message: str) -> str:
    """Fold a message into one line."""
    return " ".join(message.split())


def guarded(program: str, action: Callable[[Any], int | None], args: Any) -> int:
    """Call ``action(args)``; what it raises becomes one line on standard error and an exit status."""
    try:
        _prepare_streams()
        _catch_signals()
        from rtvoice.audio import AudioError
        from rtvoice.errors import ModelError
    except KeyboardInterrupt:
        return interrupted(program)
    try:
        status = action(args)
        _flush()
    except KeyboardInterrupt:
        return interrupted(program)
    except BrokenPipeError:
        _mute()
        return 1
    except _OutputError as error:
        _mute()
        return fail(program, f"standard output cannot be written: {error}", 1)
    except Exception as error:
        if getattr(args, "debug", False):
            raise
        if isinstance(error, ModuleNotFoundError) and error.name in _EXTRAS:
            return fail(program, f"{error.name} is missing; run: pip install 'rtvoice[{_EXTRAS[error.name]}]'", 1)
        if isinstance(error, CommandError):
            return fail(program, str(error), error.status)
        if isinstance(error, OSError) and error.filename is not None and error.strerror:
            return fail(program, f"{_shown(error.filename)}: {error.strerror.lower()}", 1)
        if isinstance(error, OSError) and error.errno is not None and error.strerror:
            return fail(program, error.strerror.lower(), 1)
        if isinstance(error, AudioError | ModelError | ValueError | OSError | ImportError):
            return fail(program, str(error), 1)
        return fail(program, f"{type(error).__name__}: {error}; run it again with --debug and report it", 1)
    return status or 0


class _OutputError(Exception):
    """Standard output takes no more."""


class _StandardOutput(io.FileIO):
    """Standard output, whose errors are told from those of other files also where a print overflows its buffer."""

    def write(self, data: Any) -> int:
        """Write bytes."""
        try:
            return super().write(data)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise _OutputError((error.strerror or str(error)).lower()) from error


def _flush() -> None:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise _OutputError((error.strerror or str(error)).lower()) from error


def _mute() -> None:
    """Let what is still to be printed go nowhere, else the interpreter complains at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _prepare_streams() -> None:
    """Let closed streams take what is printed, and print file names that are not text as they are."""
    _name_standard_output()
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="surrogateescape" if stream.encoding.lower() == "utf-8" else "backslashreplace")


def _name_standard_output() -> None:
    """Put standard output behind :class:`_StandardOutput`, unless somebody has put something else in its place."""
    text = sys.stdout
    if type(text) is not io.TextIOWrapper or type(getattr(text.buffer, "raw", text.buffer)) is not io.FileIO:
        return
    out: Any = _StandardOutput(text.fileno(), "w", closefd=False)
    if hasattr(text.buffer, "raw"):  # not so under 'python -u'
        out = io.BufferedWriter(out)
    sys.stdout = io.TextIOWrapper(
        out, text.encoding, text.errors, line_buffering=text.line_buffering, write_through=text.write_through
    )


def _catch_signals() -> None:
    """End on a hang-up or a request to end as on Ctrl-C, so that what is half-written is removed."""
    if threading.current_thread() is not threading.main_thread():
        return
    for number in (getattr(signal, "SIGHUP", None), signal.SIGTERM):
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:  # nohup ignores hang-ups
            signal.signal(number, _stop)


def _stop(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def interrupted(program: str) -> int:
    """Say that the command was ended from outside; return the exit status."""
    return fail(program, "interrupted; nothing was left half-written", 130)


def _shown(name: object) -> str:
    text = os.fsdecode(name) if isinstance(name, str | bytes) else str(name)
    return text if len(text) <= 300 else f"{text[:150]}...{text[-75:]}"


def fail(program: str, message: str, status: int) -> int:
    """Print one line on standard error and return the exit status."""
    print(f"{program}: error: {one_line(message)}", file=sys.stderr)
    return status


def warn(message: str) -> None:
    """Print one line of warning on standard error."""
    print(f"warning: {one_line(message)}", file=sys.stderr)


def print_json(value: object) -> None:
    """Print one JSON object; what could not be measured is null, never NaN."""
    print(json.dumps(value, indent=2, allow_nan=False))


def finite(value: Any) -> Any:
    """Return a copy of plain values in which infinity and NaN are null, which JSON has no other word for."""
    if isinstance(value, dict):
        return {name: finite(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lay out rows in columns: words to the left, numbers to the right."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    right = [bool(rows) and all(_is_figure(row[i]) for row in rows) for i in range(len(head))]
    lines = []
    for row in [head, ["-" * width for width in widths], *rows]:
        cells = (c.rjust(w) if r else c.ljust(w) for c, w, r in zip(row, widths, right, strict=True))
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def facts(pairs: Sequence[tuple[str, str]]) -> str:
    """Lay out names and their values, one a line."""
    width = max(len(name) for name, _ in pairs)
    return "\n".join(f"{name.ljust(width)}  {value}" for name, value in pairs)


def _is_figure(cell: str) -> bool:
    return cell in ("-", "") or cell[:1].isdigit() or (cell[:1] == "-" and cell[1:2].isdigit())


def short_bytes(count: float) -> str:
    """Write bytes as B, kB or MB."""
    if count < 1000:
        return f"{count:.0f} B"
    return f"{count / 1e3:.0f} kB" if count < 1e6 else f"{count / 1e6:.1f} MB"


@contextlib.contextmanager
def progress_bar(label: str) -> Iterator[Callable[[float], None] | None]:
    """Show a bar on a terminal once the work has taken a second; give a function that takes the part done.

    Where nobody looks it gives ``None``. Until the part done is told the bar only moves.
    """
    if not sys.stderr.isatty():
        yield None
        return
    try:
        from rich.console import Console
        from rich.progress import Progress
    except ImportError:
        yield None
        return
    bar = Progress(console=Console(stderr=True), transient=True)
    task = bar.add_task(label, total=None)
    patience = threading.Timer(1.0, bar.start)
    patience.daemon = True
    patience.start()
    try:
        yield lambda part: bar.update(task, total=1.0, completed=part)
    finally:
        patience.cancel()
        patience.join()
        bar.stop()
