"""A recipe for a user's own skin: recordings of one consenting voice, checked, and the speaker's statement."""

from __future__ import annotations

import datetime
import json
import re
import string
import sys
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from rtvoice.files import write_whole
from rtvoice.train.recipe import RecipeError, UsageError
from rtvoice.train.schedule import spoken

__all__ = ["Recordings", "measure_recordings", "write_recipe"]

#: Minutes of one voice: below the first a skin cannot be made, below the second its quality suffers, and beyond the
#: third more changes little.
LEAST, ENOUGH, MOST = 0.5, 10.0, 60.0
#: A statement shorter than this says nothing.
WORDS = 3
_ASK = (
    "A skin imitates a voice. Whose voice is it, and do they agree that it is imitated?\n"
    "Type the speaker's statement, such as 'I, Ann Lee, agree that a model of my voice is made and used by ...':\n> "
)


@dataclass(frozen=True)
class Recordings:
    """What a folder of recordings holds.

    Attributes
    ----------
    files : int
        That can be read.
    seconds : float
        Of sound in all.
    rejected : tuple of (str, str)
        Files that cannot be read, and why.
    """

    files: int
    seconds: float
    rejected: tuple[tuple[str, str], ...] = ()


def measure_recordings(folder: Path) -> Recordings:
    """Look at every file of a folder that may be sound; nothing is decoded.

    Raises
    ------
    RecipeError
        There is no such folder.
    """
    import soundfile

    if not folder.is_dir():
        raise RecipeError(f"--target {folder}: there is no such folder")
    endings = {f".{name.lower()}" for name in soundfile.available_formats()} | {".oga", ".opus", ".aif", ".mp3"}
    files, seconds, rejected = 0, 0.0, []
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.suffix.lower() not in endings or path.suffix.lower() == ".raw":
            continue
        try:
            info = soundfile.info(str(path))
        except (RuntimeError, OSError) as error:
            rejected.append((path.relative_to(folder).as_posix(), str(error)))
            continue
        files += 1
        seconds += info.frames / info.samplerate
    return Recordings(files, seconds, tuple(rejected))


def write_recipe(
    target: Path, name: str | None, consent: str | None, *, template: str | None = None, folder: Path | None = None
) -> Path:
    """Write the recipe of a new skin, `NAME.toml`; return its path.

    Parameters
    ----------
    target : Path
        Folder of recordings of one voice.
    name : str or None
        Of the skin.
    consent : str or None
        The speaker's statement; where left out, what `consent.txt` among the recordings says, or asked for on a
        terminal.
    template : str or None
        Recipe with `$name`, `$target`, `$material`, `$consent`, `$minutes`, `$date`; the package's own where left out.
    folder : Path or None
        Where to write; the current one where left out.

    Raises
    ------
    RecipeError
        There is no name, no consent, too little sound, or another recipe of that name.
    """
    if not name:
        raise UsageError("--target needs --name NAME: small letters, digits, hyphens")
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name):
        raise UsageError(f"--name {name!r}: use small letters, digits and hyphens")
    found = measure_recordings(target)
    minutes = found.seconds / 60
    for left_out, why in found.rejected:
        print(f"warning: {target / left_out} is left out: {' '.join(why.split())}", file=sys.stderr)
    if minutes < LEAST:
        raise RecipeError(
            f"--target {target}: {found.files} recordings of {spoken(found.seconds)} in all; a skin needs"
            f" {ENOUGH:.0f} to {MOST:.0f} minutes of one voice"
        )
    if minutes < ENOUGH:
        print(
            f"warning: {spoken(found.seconds)} of recordings; the skin will be worse than with"
            f" {ENOUGH:.0f} to {MOST:.0f} minutes",
            file=sys.stderr,
        )
    written_down = target / "consent.txt"
    if consent is None and written_down.is_file():
        consent = written_down.read_text(encoding="utf-8")
    statement = _statement(consent)
    text = template if template is not None else _template()
    values = {
        "name": name,
        "target": str(target.resolve()),
        # Written into the model: what it is made of, not where that lies on this machine.
        "material": f"{found.files} recordings of one speaker, {minutes:.1f} minutes",
        "consent": statement,
        "minutes": f"{minutes:.1f}",
        "date": datetime.date.today().isoformat(),
    }
    quoted = {key: json.dumps(value, ensure_ascii=False) for key, value in values.items()}
    written = string.Template(text).substitute(quoted)
    path = (folder or Path.cwd()) / f"{name}.toml"
    if path.exists() and path.read_text(encoding="utf-8") != written:
        before = _without_date(path.read_text(encoding="utf-8"))
        if before != _without_date(written):
            raise RecipeError(f"{path} is there already and says something else; train it by name, or choose another")
        return path
    write_whole(path, written.encode())
    print(f"{path}: the recipe of {name}, {found.files} recordings, {spoken(found.seconds)}", file=sys.stderr)
    return path


def _template() -> str:
    place = resources.files("rtvoice.train").joinpath("skin", "new-skin.toml")
    try:
        return place.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise RecipeError("this package has no template for a new skin (rtvoice/train/skin/new-skin.toml)") from None


def _statement(consent: str | None) -> str:
    if consent is None and sys.stdin.isatty() and sys.stderr.isatty():
        print(_ASK, end="", file=sys.stderr, flush=True)
        consent = sys.stdin.readline()
    statement = " ".join((consent or "").split())
    if len(statement.split()) < WORDS:
        raise UsageError(
            "a skin is made of a voice only with the speaker's consent: give their statement by --consent"
            " 'I, NAME, agree that a model of my voice is made for ...' or in DIR/consent.txt; it is written into the"
            " model"
        )
    return statement


def _without_date(text: str) -> str:
    return re.sub(r"\d{4}-\d\d-\d\d", "", text)
