"""The command: `rtvoice train`, also as `python -m rtvoice.train`."""

from __future__ import annotations

import sys

from rtvoice.train.whisper import command as whisper


def main(arguments: list[str] | None = None, program: str = "python -m rtvoice.train") -> int:
    """Run one command; return its exit status."""
    from rtvoice.train import command

    argv = sys.argv[1:] if arguments is None else list(arguments)
    if argv and argv[0] in whisper.NAMES:
        return whisper.main(argv, program)
    if argv and argv[0] == "vocoder":
        from rtvoice.train.vocoder import command as vocoder

        return vocoder.main(argv[1:], f"{program} vocoder")
    if argv and argv[0] == "distill":
        from rtvoice.train import distill

        return distill.main(argv[1:], f"{program} distill")
    if argv and argv[0] == "label":
        return command.run_label(argv[1:], program)
    return command.run_recipe(argv, program)


def _guarded() -> int:
    """Run as a module of its own: what goes wrong becomes one line."""
    try:
        return main()
    except KeyboardInterrupt:
        print("rtvoice.train: error: interrupted; nothing was left half-written", file=sys.stderr)
        return 130
    except (ValueError, OSError) as error:
        if "--debug" in sys.argv:
            raise
        print(f"rtvoice.train: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    raise SystemExit(_guarded())
