"""What systems cost, on this machine and on others: times of two machines never stand in one column."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import soundfile

pytest.importorskip("rtvoice_studio.server", reason="rtvoice-studio is not installed (pip install ./studio)")
pytest.importorskip("httpx", reason="httpx is not installed (the extra 'test')")

from commands import run  # noqa: E402
from rtvoice_studio import command  # noqa: E402
from rtvoice_studio.results import results  # noqa: E402
from rtvoice_studio.store import Row, Store  # noqa: E402
from small_model import build_model  # noqa: E402
from speech_like import voice_like  # noqa: E402
from studio_client import ORIGIN, ballot, client_of, plan  # noqa: E402
from studio_node import lacking, node  # noqa: E402
from studio_sounds import RATE  # noqa: E402

NO_BROWSER = lacking("playwright-core") or (
    None if shutil.which("chromium") else "chromium is not installed (apt-get install chromium)"
)


def cast(store: Store, client: Any, row: Row, user: str, *, b: bool) -> None:
    """Vote for B, or for A."""
    trial = plan(client, row["slug"], user)["trials"][0]["id"]
    vote = ballot(user, trial, heardMs={"1": 3000, "2": 3000})
    vote["votes"][0]["side"] = "1" if ((store.trial(trial) or {})["first"] == "b") == b else "2"
    assert client.post(f"/api/s/{row['slug']}/votes", json=vote, headers=ORIGIN).status_code == 200


@pytest.fixture
def session(tmp_path: Path) -> Iterator[tuple[Store, Row]]:
    """Two models, measured here, with six votes."""
    for name in ("small", "large"):
        build_model(tmp_path / f"{name}.rtv", name=name)
    clips = tmp_path / "in"
    clips.mkdir()
    soundfile.write(clips / "one.wav", voice_like(0.6, 140), RATE)
    store = command.Store(tmp_path / "store")
    options = command.Options(traps=0, repeats=0)
    row = command.add(store, str(tmp_path / "small.rtv"), str(tmp_path / "large.rtv"), clips=clips, options=options)
    client = client_of(store)
    for user in ("ann", "bea", "cyd", "dan", "eve", "fay"):  # as many as place a system in the league
        cast(store, client, row, user, b=True)
    yield store, row
    store.close()


def bench(path: Path, row: Row, sides: str = "ab", cpu: str = "a phone", **frame: float) -> Path:
    """Write what the bench prints of a session's models."""
    found = [
        {
            **{name: row[f"facts_{side}"][name] for name in ("model", "tier")},
            **{"sample_rate": 48000, "block": 480, "load": 0.1},
            "frame_us": {"p50": 123.0, "p99": 1000.0, **frame},
        }
        for side in sides
    ]
    path.write_text(json.dumps({"machine": {"cpu": cpu, "isa": "NEON"}, "results": found}))
    return path


def test_models_are_measured_as_the_bench_does_and_a_file_of_it_stands_beside_that(
    session: tuple[Store, Row], tmp_path: Path
) -> None:
    store, row = session
    told = results(store, row)
    costs = {standing["system"]: standing["costs"] for standing in told["league"]["standings"]}
    assert [len(each) for each in costs.values()] == [1, 1]
    assert all(0 < cost["p50_us"] <= cost["p99_us"] for (cost,) in costs.values())
    assert told["a"]["costs"] == costs[told["a"]["name"]]
    a, b = told["a"]["name"], told["b"]["name"]
    assert command.read_costs(store, bench(tmp_path / "a.json", row, "a")) == ("a phone (NEON)", [a], [b])
    assert [cost["cpu"] for cost in results(store, row)["a"]["costs"]] == [costs[a][0]["cpu"], "a phone"]
    assert results(store, row)["b"]["costs"] == costs[b]
    # The rest may come in a file of its own, and a later word on one machine takes the place of an earlier one there.
    assert command.read_costs(store, bench(tmp_path / "b.json", row, "b")) == ("a phone (NEON)", [b], [])
    command.read_costs(store, bench(tmp_path / "b.json", row, "b", p50=99.0))
    assert [(c["cpu"], c["p50_us"]) for c in store.costs()[b]][1:] == [("a phone", 99.0)]


def test_what_the_bench_does_not_print_is_refused_and_nothing_of_it_is_kept(
    session: tuple[Store, Row], tmp_path: Path
) -> None:
    store, row = session
    before = store.costs()
    path = tmp_path / "bench.json"

    def refused() -> str:
        with pytest.raises(ValueError, match=r"bench\.json") as caught:
            command.read_costs(store, path)
        return str(caught.value)

    for change, told in (
        ({"p50": float("nan")}, "p50 nan"),
        ({"p50": -5.0}, "p50 -5"),
        ({"p50": 0.0}, "p50 0"),
        ({"p99": float("inf")}, "p99 inf"),
        ({"p99": 100.0}, "p99 100"),
    ):
        good = json.loads(bench(path, row, "a").read_text())
        bad = json.loads(bench(path, row, "b", **change).read_text())
        path.write_text(json.dumps({**bad, "results": good["results"] + bad["results"]}))
        assert f"{row['facts_b']['model']} ({row['facts_b']['tier']}) has {told}" in (words := refused())
        assert "measure it again" in words
    for text, told in (
        ('{"results": [{}]}', "rtvoice-bench --json"),
        ("[]", "rtvoice-bench --json"),
        ('{"machine": {"cpu": null, "isa": ""}, "results": []}', "on which processor"),
        ('{"machine": {"cpu": "", "isa": ""}, "results": []}', "no system that was compared"),
    ):
        path.write_text(text)
        assert told in refused()
    assert store.costs() == before
    assert client_of(store).get(f"/api/s/{row['slug']}/results").status_code == 200


def test_a_file_that_is_refused_leaves_no_session_behind(session: tuple[Store, Row], tmp_path: Path) -> None:
    row = session[1]
    other = tmp_path / "other"
    words = ["compare", tmp_path / "small.rtv", tmp_path / "large.rtv", "--clips", tmp_path / "in", "--store", other]
    for path, told in (
        (bench(tmp_path / "nan.json", row, p50=float("nan")), "p50 nan"),
        (bench(tmp_path / "none.json", row, ""), "no system that was compared"),
        (tmp_path / "missing.json", "missing.json"),
    ):
        done = run(*words, "--no-serve", "--costs", path)
        assert (done.status, done.err.count("\n")) == (1, 1)
        assert told in done.err
        assert not list(other.glob("*"))
    done = run(*words, "--no-serve", "--costs", bench(tmp_path / "good.json", row))
    assert (done.status, "costs on a phone (NEON)" in done.out) == (0, True)


@pytest.mark.skipif(NO_BROWSER is not None, reason=NO_BROWSER or "")
def test_each_machine_has_a_column_and_a_chart_or_a_word_why_not(session: tuple[Store, Row], tmp_path: Path) -> None:
    store, row = session
    a, b = row["name_a"], row["name_b"]
    report = tmp_path / "report.html"

    def told(path: Path) -> tuple[str, str, Any]:
        done = run("compare", "--store", store.folder, "--costs", path, "--export", report)
        assert done.status == 0, done.err
        return done.out, done.err, node("costs.mjs", report)

    out, err, page = told(bench(tmp_path / "a.json", row, "a"))
    assert f"costs on a phone (NEON): {a}\n" in out
    assert f"no cost of {b} on that machine is known" in err
    here, there = page["columns"]
    assert (there, here.startswith("10 ms frame on ")) == ("10 ms frame on a phone (NEON), p50 / p99", True)
    assert page["rows"][a][1] == "123 / 1000 µs"
    assert page["rows"][b][1] == "–"
    (chart,) = page["charts"]
    assert chart["systems"] == 2
    assert "a phone" not in chart["caption"]
    (words,) = page["words"]
    assert words.startswith(f"No chart of quality against cost on a phone (NEON): of these systems only {a} was")
    out, err, page = told(bench(tmp_path / "b.json", row, "b"))
    assert err == ""
    assert [chart["systems"] for chart in page["charts"]] == [2, 2]
    # No line to a name runs through another's dot: a dot has its place in the table.
    assert (page["tags"], page["leads"]) == ([["1", "2"], ["1", "2"]], [0, 0])
    assert [name[:3] for name in page["names"]] == ["1. ", "2. ", "1. ", "2. "]
    # As many votes for the other make both equal in strength as in cost; their names stay apart.
    for user in ("gus", "hal", "ian", "jon", "kim", "leo"):
        cast(store, client_of(store), row, user, b=False)
    _, _, page = told(tmp_path / "b.json")
    assert (len(page["names"]), page["crowded"]) == (4, 0)
    assert page["tags"][1] == ["1, 2"]
    assert page["words"] == []
