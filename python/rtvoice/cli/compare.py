"""``rtvoice compare``: the page on which a team compares two models by ear, blind."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import Any

from rtvoice.cli import console

HELP = "compare two models by ear, blind, on a local web page"
EXAMPLE = "rtvoice compare whisper:default whisper:hq --clips recordings/"


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument(
        "systems",
        metavar="A B",
        nargs="*",
        help="each a skin (whisper, whisper:hq), a .rtv file, a training run's folder or a folder of recordings; "
        "neither: serve what was prepared before",
    )
    parser.add_argument("--clips", metavar="DIR", type=Path, help="recordings that the models convert")
    parser.add_argument("--target", metavar="DIR", type=Path, help="recordings of the target voice to listen to")
    parser.add_argument("--baseline", metavar="X", help="which of the two is the one to beat")
    parser.add_argument(
        "--measure", action="store_true", help="also let 'rtvoice evaluate' measure the clips, for the results page"
    )
    parser.add_argument(
        "--costs", metavar="FILE", type=Path, help="what 'rtvoice-bench --json' printed on the player's machine"
    )
    parser.add_argument("--export", metavar="FILE", type=Path, help="write the results as one HTML file and leave")
    parser.add_argument(
        "--mode",
        choices=("rows", "passes", "abx"),
        help="all rows on each clip; one dimension at a time over all clips; or which of two is X (default: rows)",
    )
    parser.add_argument("--dimensions", metavar="FILE", type=Path, help="the rows of the page (TOML)")
    parser.add_argument("--trials", metavar="N", type=console.whole(1, 500), help="pairs in a sitting (default: 25)")
    parser.add_argument(
        "--repeats",
        metavar="N",
        type=console.whole(0, 50),
        help="of them shown twice (default: 2, of 8 clips or more)",
    )
    parser.add_argument(
        "--traps",
        metavar="N",
        type=console.whole(0, 50),
        help="of them twice the same audio (default: 1, of 8 clips or more)",
    )
    parser.add_argument("--heard", metavar="S", type=console.positive, help="seconds of each model before a vote (2)")
    parser.add_argument("--open", action="store_true", help="show which model is which; such votes are not counted")
    parser.add_argument("--in-order", action="store_true", help="neither draw sides nor the order of clips")
    parser.add_argument("--list", action="store_true", help="print the store's sessions and leave")
    parser.add_argument("--session", metavar="ID", help="serve or export this one of the store's sessions")
    parser.add_argument("--store", metavar="DIR", help="where sessions and votes are kept (default: $RTVOICE_COMPARE)")
    parser.add_argument("--host", metavar="H", default="127.0.0.1", help="other than loopback asks for a token")
    parser.add_argument(
        "--port", metavar="P", type=console.whole(0, 65535), default=0, help="(default: the store's own)"
    )
    parser.add_argument("--no-serve", action="store_true", help="prepare the session and leave")
    parser.add_argument("--no-browser", action="store_true", help="only print the address")
    console.add_common(parser)


def run(args: argparse.Namespace) -> None:
    """Prepare, then serve or export."""
    if len(args.systems) not in (0, 2):
        raise console.CommandError("name two systems to compare, or none to serve what was prepared", 2)
    _check_options(args)
    from rtvoice_studio import command

    for option in ("clips", "target"):
        folder = getattr(args, option)
        if folder is not None and not folder.is_dir():
            raise console.CommandError(f"--{option} {folder}: no such folder")
    place = command.store_folder(args.store)
    if not args.systems and not place.exists():
        # A slip of the name, mostly: looking makes nothing.
        where = f"--store {place}: no such folder" if args.store else f"{place} holds no session yet"
        raise console.CommandError(f"{where}; run: {EXAMPLE}")
    store = command.Store(place)
    try:
        if args.list:
            _list(args, command.listed(store))
            return
        if args.costs and args.systems:  # a file that is refused leaves no session behind
            command.check_costs(store, args.costs, args.systems)
        # The page first, what its models cost while somebody listens; but before a file that has the last word.
        later = bool(args.systems) and not (args.no_serve or args.export or args.costs)
        session = _prepared(args, store, costs=not later) if args.systems else _stored(args, store)
        if args.costs:
            _read_costs(args, store)
        if args.measure:
            _measure(args, store, session)
        if args.export:
            command.export(store, session, args.export)
            told = command.results(store, session)
            if args.json:
                console.print_json(console.finite({**told, "report": str(args.export)}))
            else:
                for words in told["words"]:
                    print(words)
                if told["whom"]:
                    print(told["whom"])
                print(f"wrote {args.export}")
            return
        facts = _facts(store, session)
        if args.no_serve:
            _tell(args, facts)
            return
        alone = bool(args.systems or args.session)
        command.serve(
            store,
            host=args.host,
            port=args.port,
            ready=lambda address: _tell(args, {**facts, "url": address}),
            browser=not args.no_browser and not args.json,
            path=f"/s/{session['slug']}" if alone else "/",
            meanwhile=lambda: command.add_costs(store, session) if later else None,
        )
    finally:
        store.close()


#: What a session is prepared with, and keeps.
_OF_A_NEW_ONE = ("clips", "target", "baseline", "mode", "dimensions", "trials", "repeats", "traps", "heard")
_SWITCHES = ("open", "in_order")


def _check_options(args: argparse.Namespace) -> None:
    """Refuse an option that would change nothing."""

    def given(*names: str) -> str | None:
        told = (name for name in names if getattr(args, name) is not None and getattr(args, name) is not False)
        return next((f"--{name.replace('_', '-')}" for name in told), None)

    if args.systems:
        if option := given("session", "list"):
            raise console.CommandError(
                f"{option} is of sessions that were prepared before; leave it out, or leave A and B out", 2
            )
    elif option := given(*_OF_A_NEW_ONE, *_SWITCHES):
        raise console.CommandError(
            f"{option} belongs to a new comparison: name the two systems (rtvoice compare A B {option} ...), "
            "or leave it out to serve what was prepared before",
            2,
        )
    if args.list and (option := given("session", "measure", "costs", "export", "no_serve")):
        raise console.CommandError(f"--list prints the sessions and leaves; leave {option} out, or --list", 2)


def _prepared(args: argparse.Namespace, store: Any, *, costs: bool) -> Any:
    from rtvoice_studio import command

    options = command.Options(
        mode=args.mode or "rows",
        length=25 if args.trials is None else args.trials,
        repeats=args.repeats,
        traps=args.traps,
        blind=not args.open,
        randomise=not args.in_order,
        heard_seconds=2.0 if args.heard is None else args.heard,
        dimensions=args.dimensions,
    )
    with console.progress_bar("rendering") as progress:
        return command.add(
            store,
            *args.systems,
            clips=args.clips,
            target=args.target,
            baseline=args.baseline,
            options=options,
            progress=progress,
            warn=console.warn,
            costs=costs,
        )


def _read_costs(args: argparse.Namespace, store: Any) -> None:
    from rtvoice_studio import command

    machine, told, lacking = command.read_costs(store, args.costs)
    if not args.json:
        print(f"costs on {machine}: {', '.join(told)}")
    if lacking:
        console.warn(
            f"no cost of {command.some(lacking)} on that machine is known, so its column and chart leave that out; "
            "measure there with every tier named: rtvoice-bench whisper:default whisper:hq --json"
        )


def _measure(args: argparse.Namespace, store: Any, session: Any) -> None:
    from rtvoice_studio import command

    with console.progress_bar("measuring") as progress:
        found = command.measure(store, session, progress=progress)
    for name, why in found["unavailable"].items():
        if not args.json:
            console.warn(f"{name} was not measured: {why}")


def _stored(args: argparse.Namespace, store: Any) -> Any:
    found = store.sessions()
    if args.session:
        found = [row for row in found if row["slug"] == args.session]
    if not found:
        what = f"no session {args.session}" if args.session else "no session yet"
        raise console.CommandError(f"{store.folder} holds {what}; run: {EXAMPLE}")
    return found[0]


def _list(args: argparse.Namespace, sessions: list[dict[str, Any]]) -> None:
    if args.json:
        console.print_json({"sessions": sessions})
        return
    rows = [
        [s["slug"], s["a"], s["b"], s["created"][:10], str(s["votes"]), str(s["raters"]), s["queued_by"] or "-"]
        for s in sessions
    ]
    print(
        console.table(["session", "A", "B", "made", "votes", "raters", "queued by"], rows) if rows else "no session yet"
    )


def _facts(store: Any, session: Any) -> dict[str, Any]:
    clips = store.clips(session["id"])
    return {
        "session": session["slug"],
        "a": session["name_a"],
        "b": session["name_b"],
        "clips": len(clips),
        "store": str(store.folder),
    }


def _tell(args: argparse.Namespace, facts: dict[str, Any]) -> None:
    if args.json:
        console.print_json(facts)
        return
    print(f"session {facts['session']}: {facts['a']} and {facts['b']}, {facts['clips']} clips")
    if "url" in facts:
        print(f"open {facts['url']}    results: .../results    Ctrl-C ends")
    else:
        where = f" --store {shlex.quote(args.store)}" if args.store else ""
        print(f"serve it with: rtvoice compare --session {facts['session']}{where}")
