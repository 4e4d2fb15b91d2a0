"""``rtvoice check-model``: can a network stream, and at what cost, before it is trained."""

from __future__ import annotations

import argparse
import ast
import importlib.util
import inspect
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rtvoice.cli import console

if TYPE_CHECKING:
    import torch

HELP = "write, plan and run a network of rtvoice.nn with random weights, before it is trained"
EXAMPLE = "rtvoice check-model student.py:Student --sample-rate 24000 --set channels=192"


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument("model", metavar="FILE.py:CLASS", help="a module of rtvoice.nn, or a function that returns one")
    parser.add_argument("--sample-rate", metavar="HZ", type=console.whole(4000, 384_000), default=16000)
    parser.add_argument("--hop", metavar="N", type=console.whole(1, 65_536), help="samples (default: 10 ms)")
    parser.add_argument(
        "--set", metavar="KEY=VALUE", action="append", default=[], dest="options", help="an argument of CLASS"
    )
    console.add_common(parser)


def run(args: argparse.Namespace) -> int:
    """Diagnose, print figures or the offending module, and fail where it does not stream."""
    path, name = _target(args.model)
    options = dict(_option(text) for text in args.options)
    import torch  # says what is missing before the file does

    torch.set_num_threads(1)
    with console.progress_bar("checking"):
        module = _make(_load(path, args.debug if hasattr(args, "debug") else False), path, name, options)
        from rtvoice.nn.diagnose import diagnose

        found = diagnose(module, sample_rate=args.sample_rate, hop=args.hop)
    if args.json:
        console.print_json(console.finite(found.to_json()))
    elif found.passed:
        print(found.text())
    else:
        if found.cost is not None:
            print(found.cost)
        where = f"{found.module}: " if found.module else ""
        raise console.CommandError(f"{args.model}: {where}{found.problem}")
    return 0 if found.passed else 1


def _target(text: str) -> tuple[Path, str]:
    file, colon, name = text.rpartition(":")
    if not colon or not file.endswith(".py"):
        file, name = text, ""
    if not file.endswith(".py"):
        raise console.CommandError(f"{text!r} is no FILE.py:CLASS; name a Python file and a class in it", 2)
    path = Path(file)
    if not path.is_file():
        raise console.CommandError(f"{file}: no such file; check the path", 2)
    return path, name


def _option(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not key.isidentifier():
        raise console.CommandError(f"--set {text!r} is no KEY=VALUE; write for example --set channels=192", 2)
    try:
        return key, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return key, value


def _load(path: Path, debug: bool) -> Any:
    sys.path.insert(0, str(path.resolve().parent))  # its neighbours, as Python itself finds them for a script
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # data classes and pickles look their module up
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        if debug:
            raise
        raise console.CommandError(f"{path}: cannot be read: {type(error).__name__}: {error}") from error
    return module


def _make(file: Any, path: Path, name: str, options: dict[str, Any]) -> torch.nn.Module:
    import torch

    made = {
        key: value
        for key, value in vars(file).items()
        if inspect.isclass(value) and issubclass(value, torch.nn.Module) and value.__module__ == file.__name__
    }
    listed = ", ".join(made) or "none"
    if not name and len(made) == 1:
        name = next(iter(made))
    if not name:
        raise console.CommandError(f"{path}: name one of its classes, {path}:CLASS; it has: {listed}", 2)
    factory = getattr(file, name, None)
    if not callable(factory):
        raise console.CommandError(f"{path}: has no class {name!r}; it has: {listed}", 2)
    try:
        module = factory(**options)
    except Exception as error:
        raise console.CommandError(
            f"{path}:{name}: cannot be made: {type(error).__name__}: {error}; give its arguments with --set KEY=VALUE"
        ) from error
    if not isinstance(module, torch.nn.Module):
        raise console.CommandError(f"{path}:{name} makes {type(module).__name__}, no torch module")
    return module
