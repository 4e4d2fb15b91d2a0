"""Settings and presets: what is taken, and what is said of what is not."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from commands import run
from rtvoice.cli import run as cli
from rtvoice.cli.live import _Lines
from rtvoice.live import LiveError
from rtvoice.live.session import Event, Session
from rtvoice.live.session_log import SessionLog
from rtvoice.live.settings import LogOptions, Settings, load_presets, resolve

PRESETS = """
[default]
model = "whisper"
gate = -45

[stream]
model = "kathleen"
input = "USB"
block = 128
limiter = true
match = true
mix = 0.9
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "live.toml"
    path.write_text(PRESETS)
    return path


def test_a_preset_is_taken_by_its_name(file: Path) -> None:
    made = resolve("stream", file, {})
    assert (made.model, made.input, made.block, made.limiter, made.match, made.mix) == (
        "kathleen", "USB", 128, True, True, 0.9,
    )  # fmt: skip
    assert made.gate is None


def test_the_preset_default_is_taken_where_none_is_named(file: Path) -> None:
    assert resolve(None, file, {}).gate == -45


def test_options_go_over_presets(file: Path) -> None:
    made = resolve("stream", file, {"block": 480, "mix": 0.5})
    assert (made.model, made.block, made.mix) == ("kathleen", 480, 0.5)


def test_presets_are_looked_for_in_the_users_settings(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    assert resolve(None, None, {}) == Settings()
    (tmp_path / "config" / "rtvoice").mkdir(parents=True)
    file.rename(tmp_path / "config" / "rtvoice" / "live.toml")
    assert resolve("stream", None, {}).model == "kathleen"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[a]\nmodle = 'x'", ("modle", "model")),
        ("[a]\nblock = 'many'", ("block", "whole number")),
        ("[a]\nblock = 100000", ("block", "8192")),
        ("[a]\nmix = 2.0", ("mix", "0 to 1")),
        ("[a]\nlimiter = 1", ("limiter", "true or false")),
        ("[a]\nclock = 'three'", ("clock", "auto, one, two")),
        ("[a]\ninput = 1.5", ("input", "name or number")),
        ("mix = 1.0", ("mix", "[NAME]")),
        ("[a", ("no TOML",)),
    ],
)
def test_what_is_wrong_in_a_preset_is_named(text: str, words: tuple[str, ...], tmp_path: Path) -> None:
    path = tmp_path / "live.toml"
    path.write_text(text)
    with pytest.raises(LiveError) as error:
        load_presets(path)
    assert str(path) in str(error.value)
    assert all(word in str(error.value) for word in words)


def test_only_the_preset_that_is_taken_is_checked(tmp_path: Path) -> None:
    path = tmp_path / "live.toml"
    path.write_text("[good]\nblock = 128\n[bad]\nblok = 3\n", encoding="utf-8-sig")
    assert resolve("good", path, {}).block == 128
    assert resolve(None, path, {}) == Settings()
    with pytest.raises(LiveError, match="blok"):
        resolve("bad", path, {})


def test_a_preset_that_is_not_there_is_named(file: Path) -> None:
    with pytest.raises(LiveError, match="default, stream"):
        resolve("game", file, {})
    with pytest.raises(LiveError, match="no such file"):
        resolve(None, file.with_name("none.toml"), {})


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--mix", "2"], "--mix"),
        (["--block", "0"], "--block"),
        (["--clock", "three"], "--clock"),
        (["--gate", "10"], "--gate"),
        (["--seconds", "-1"], "--seconds"),
        (["--redact"], "--log DIR"),
        (["--pcm16"], "--log DIR"),
        (["--log", "logs", "--keep-files", "0"], "--keep-files"),
        (["--log", "logs", "--keep-files", "3"], "--rotate-mb"),
        (["--log", ""], "no folder is named"),
    ],
)
def test_wrong_usage_is_one_line_and_two(words: list[str], expected: str) -> None:
    done = run("live", *words)
    assert done.status == 2
    assert expected in done.err
    assert done.err.count("\n") == 1


def test_the_help_shows_keys_and_examples() -> None:
    done = run("live", "--help")
    assert done.status == 0
    for word in ("keys:", "--measure-latency", "--list-devices", "examples:", "--json-lines"):
        assert word in done.out


def test_without_sounddevice_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    assert cli(["live", "--list-devices"]) == 1
    assert "pip install 'rtvoice[live]'" in capsys.readouterr().err


def test_without_portaudio_the_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')")
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    assert cli(["live", "--seconds", "1"]) == 1
    error = capsys.readouterr().err
    assert "libportaudio2" in error
    assert error.count("\n") == 1


def test_a_thread_without_real_time_priority_is_said_with_the_remedy() -> None:
    told: list[Event] = []
    session = Session.__new__(Session)
    session._native = SimpleNamespace(priority=lambda: ("normal", "Operation not permitted"))
    session._tell, session._started = told.append, 0.0
    session.log = SessionLog(LogOptions(), lambda *_: None)
    session._say_priority()
    (event,) = told
    assert event.kind == "priority"
    assert "operation not permitted" in event.text
    assert "rtprio" in event.text


def test_the_seconds_of_a_session_do_not_count_what_opening_took() -> None:
    class Slow:  # 30 seconds old before it is heard
        seconds, watched = 30.0, 0

        def watch(self) -> None:
            self.seconds += 0.5
            self.watched += 1

        def snapshot(self) -> dict[str, Any]:
            return {}

    session = Slow()
    _Lines(False, 1.0).run(session, 2.0)  # type: ignore[arg-type]
    assert session.watched == 4


def everything(settings: Settings) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in Settings.__dataclass_fields__}


def test_every_setting_has_an_option() -> None:
    text = run("live", "--help").out
    assert all(f"--{name}" in text for name in everything(Settings()))
