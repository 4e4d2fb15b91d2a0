"""A skin's recipe: one TOML file, checked against the dataclasses of its stages before anything runs."""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import re
import sys
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

__all__ = ["Recipe", "RecipeError", "Skin", "UsageError", "free", "graph_of", "load"]

T = TypeVar("T")


class RecipeError(ValueError):
    """A recipe that cannot be used: the message names the file, the line, the key and the remedy."""


class UsageError(RecipeError):
    """An option of the command is missing or wrong, not the recipe."""


def free(default: Any) -> Any:
    """Return a dataclass field that changes how a stage runs, not what it makes: it stays out of the stage's key."""
    return field(default=default, metadata={"key": False})


def later(default: Any) -> Any:
    """Return a dataclass field that came after its table: out of the stage's key while it has its default.

    So what was trained before there was such a field is found again.
    """
    return field(default=default, metadata={"key": "changed"})


@dataclass(frozen=True)
class Skin:
    """The table `[skin]`: what the whole recipe is about.

    Attributes
    ----------
    name : str
        Name of the skin, and of its folder under `--out`: small letters, digits, hyphens.
    description, licence, data, consent : str
        Written into the model files' provenance.
    tiers : tuple of str
        What is trained of the stages that are run once for each tier.
    stages : str
        Module whose `GRAPH` lists the stages.
    seed : int
        Of everything random; `--seed` replaces it.
    base : str
        A recipe beside this one whose tables hold where this one says nothing else. Skins with the same base share what
        their stages have in common.
    """

    name: str
    description: str = ""
    licence: str = ""
    data: str = ""
    consent: str = ""
    tiers: tuple[str, ...] = ("default", "hq")
    stages: str = "rtvoice.train.skin"
    seed: int = 0
    base: str = ""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", self.name):
            raise ValueError(f"name = {self.name!r}: use small letters, digits and hyphens")
        if not self.tiers:
            raise ValueError("tiers is empty: name at least one, such as 'default'")


@dataclass(frozen=True)
class Recipe:
    """A recipe as read.

    Attributes
    ----------
    path : Path
        The file.
    text : str
        What it says.
    skin : Skin
        Its first table.
    tables : mapping
        The other tables by stage, as TOML gives them, overrides applied.
    changed : tuple of str
        The overrides, `table.key=value`.
    below : str
        What its base says.
    compare_table : mapping or None
        The table `[compare]`.
    """

    path: Path
    text: str
    skin: Skin
    tables: Mapping[str, Any]
    changed: tuple[str, ...] = ()
    below: str = ""
    compare_table: Mapping[str, Any] | None = None

    def compare(self, cls: type[T], **options: str | None) -> T | None:
        """Return what a finished training is compared with, options over the table's keys; `None` where nothing says.

        Raises
        ------
        RecipeError
            A key is unknown or has the wrong type.
        UsageError
            An option is given and what goes with it is missing.
        """
        given = {name: value for name, value in options.items() if value is not None}
        if self.compare_table is None and not given:
            return None
        table = {**(self.compare_table or {}), **given}
        lacking = [name for name in options if name not in table]
        if given and lacking:
            raise UsageError("--compare CHAMPION and --compare-clips DIR go together (or as [compare] in the recipe)")
        return _build(cls, table, _Place(self, ("compare",)))

    def params(self, stage: str, cls: type[T], tier: str | None = None) -> T:
        """Return a stage's settings: its table, under it the tier's own, checked against `cls`.

        Raises
        ------
        RecipeError
            A key is unknown or missing, or a value has the wrong type or range.
        """
        table = self.tables.get(stage, {})
        if not isinstance(table, dict):
            raise RecipeError(f"{self.path}: {stage!r} must be a table: [{stage}]")
        common = {key: value for key, value in table.items() if tier is None or key not in self.skin.tiers}
        sections = [stage]
        if tier is not None and tier in table:
            common = _merged(common, table[tier])
            sections.insert(0, f"{stage}.{tier}")
        return _build(cls, common, _Place(self, tuple(sections)))

    def grown_from(self, stage: str, tier: str) -> str | None:
        """Return the tier that a tier's result of a stage grows from, by its table's key `grown_from`; `None`: nothing.

        Raises
        ------
        RecipeError
            It is no tier that comes before.
        """
        table = self.tables.get(stage, {})
        own = table.get(tier, {}) if isinstance(table, dict) else {}
        below = own.get("grown_from") if isinstance(own, dict) else None
        if not below:
            return None
        earlier = self.skin.tiers[: self.skin.tiers.index(tier)]
        if below not in earlier:
            place = _Place(self, (f"{stage}.{tier}",)).at("grown_from")
            known = ", ".join(earlier) or "none"
            raise RecipeError(
                f"{place} grown_from = {below!r} is no tier before {tier!r} in skin.tiers; those: {known}"
            )
        return str(below)

    def check_tables(self, stages: Iterable[str]) -> None:
        """Refuse a table that no stage reads.

        Raises
        ------
        RecipeError
            It names the table, its line and the nearest stage.
        """
        known = list(stages)
        for name in self.tables:
            if name not in known:
                raise RecipeError(
                    f"{self.path}{_line(self.text, name)}: there is no stage [{name}]{_nearest(name, known, 'stages')}"
                )


def load(path: str | Path, changes: Iterable[str] = ()) -> Recipe:
    """Read a recipe.

    Parameters
    ----------
    path : str or Path
        The TOML file.
    changes : iterable of str
        Overrides `table.key=value` (value in TOML; a bare word is a string), applied before checking.

    Raises
    ------
    RecipeError
        It is no TOML, has no `[skin]`, or an override names no table.
    OSError
        It cannot be read.
    """
    path = Path(path)
    text = path.read_text(encoding="utf-8")
    tables, below = _on_base(_toml(text, str(path)), path)
    changed = tuple(changes)
    for change in changed:
        _override(tables, change)
    if not isinstance(tables.get("skin"), dict):
        raise RecipeError(f'{path}: it has no table [skin]; start it with [skin] and name = "..."')
    shell = Recipe(path, text, Skin("none"), {}, changed)
    skin = _build(Skin, tables.pop("skin"), _Place(shell, ("skin",)))
    compare = tables.pop("compare", None)
    return Recipe(path, text, skin, tables, changed, below, compare)


def graph_of(recipe: Recipe) -> Any:
    """Return the stage graph that a recipe names, its tables checked by name.

    Raises
    ------
    RecipeError
        The module is not there, or has no `GRAPH`.
    """
    name = recipe.skin.stages
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(error.name + ".")):
            raise RecipeError(f"{recipe.path}: [skin] stages: there is no module {name!r}") from None
        raise
    graph = getattr(module, "GRAPH", None)
    if graph is None:
        raise RecipeError(f"{recipe.path}: [skin] stages: the module {name!r} has no GRAPH")
    recipe.check_tables(graph.names)
    return graph


@dataclass(frozen=True)
class _Place:
    """Where a value stands: for messages."""

    recipe: Recipe
    sections: tuple[str, ...]

    def inner(self, key: str) -> _Place:
        return _Place(self.recipe, tuple(f"{section}.{key}" for section in self.sections))

    def at(self, key: str | None = None) -> str:
        """Return the file, the line where found, and the table."""
        for section in self.sections:
            line = _line(self.recipe.text, f"{section}.{key}" if key else section)
            if line:
                return f"{self.recipe.path}{line}: [{section}]"
        for change in self.recipe.changed:
            if any(change.startswith(f"{section}.{key or ''}") for section in self.sections):
                return f"--set {change}: [{self.sections[-1]}]"
        return f"{self.recipe.path}: [{self.sections[-1]}]"


def _build(cls: type[T], table: Mapping[str, Any], place: _Place, base: T | None = None) -> T:
    """Make a dataclass of a table; what the table leaves out is as in `base`, else as the dataclass says."""
    if not isinstance(table, dict):
        raise RecipeError(f"{place.at()} must be a table")
    hints = get_type_hints(cls)
    fields = {f.name: f for f in dataclasses.fields(typing.cast(Any, cls)) if f.init}
    values = {}
    for key, value in table.items():
        if key not in fields:
            raise RecipeError(f"{place.at(key)} has no key {key!r}{_nearest(key, fields, 'keys')}")
        values[key] = _value(hints[key], value, place, key, _default(fields[key]))
    for name, spec in fields.items():
        if base is not None and name not in values:
            values[name] = getattr(base, name)
        if name not in values and spec.default is MISSING and spec.default_factory is MISSING:
            raise RecipeError(f"{place.at()} lacks the key {name!r} ({_named(hints[name])})")
    try:
        return cls(**values)
    except ValueError as error:
        if isinstance(error, RecipeError):
            raise
        raise RecipeError(f"{place.at(_mentioned(str(error), values))}: {error}") from None


def _default(spec: dataclasses.Field[Any]) -> Any:
    if spec.default_factory is not MISSING:
        return spec.default_factory()
    return None if spec.default is MISSING else spec.default


def _value(kind: Any, value: Any, place: _Place, key: str, default: Any = None) -> Any:
    """Return `value` as the annotated type, or refuse it."""
    origin, inner = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if origin in (Union, types.UnionType):
        kinds = [k for k in inner if k is not type(None)]
        for k in kinds[:-1]:
            try:
                return _value(k, value, place, key)
            except RecipeError:
                continue
        return _value(kinds[-1], value, place, key)
    if dataclasses.is_dataclass(kind):
        return _build(
            typing.cast(Any, kind),
            value,
            place.inner(key),
            default if isinstance(default, typing.cast(type, kind)) else None,
        )
    if origin is tuple and isinstance(value, list):
        each = len(inner) == 2 and inner[1] is Ellipsis
        if each or len(inner) == len(value):
            kinds = [inner[0]] * len(value) if each else list(inner)
            return tuple(_value(k, v, place, key) for k, v in zip(kinds, value, strict=True))
    elif origin is dict and isinstance(value, dict):
        return {name: _value(inner[1], v, place.inner(key), name) for name, v in value.items()}
    elif origin is Literal:
        if value in inner:
            return value
    elif (
        (kind is float and isinstance(value, int | float) and not isinstance(value, bool))
        or (kind is int and isinstance(value, int) and not isinstance(value, bool))
        or (kind in (bool, str) and isinstance(value, kind))
        or (kind is Path and isinstance(value, str))
    ):
        return kind(value)
    raise RecipeError(f"{place.at(key)} {key} = {_shown(value)} is not {_named(kind)}")


def _named(kind: Any) -> str:
    """Return a type in a user's words."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Literal:
        return "one of " + ", ".join(repr(choice) for choice in inner)
    if origin in (Union, types.UnionType):
        return " or ".join(_named(k) for k in inner if k is not type(None))
    if origin is tuple:
        if len(inner) == 2 and inner[1] is Ellipsis:
            return f"a list, each {_named(inner[0])}"
        return f"a list of {len(inner)}: " + ", ".join(_named(k) for k in inner)
    if origin is dict:
        return f"a table, each value {_named(inner[1])}"
    if dataclasses.is_dataclass(kind):
        return "a table"
    return {int: "a whole number", float: "a number", bool: "true or false", str: "a string", Path: "a path"}.get(
        kind, str(kind)
    )


def _mentioned(message: str, keys: Iterable[str]) -> str | None:
    """Return the key that a dataclass's own complaint begins with, so that its line can be named."""
    return next((key for key in keys if re.match(rf"{re.escape(key)}\b", message)), None)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 60 else text[:57] + "..."


def _nearest(word: str, known: Iterable[str], what: str) -> str:
    names = list(known)
    near = difflib.get_close_matches(word, names, 1, 0.5)
    return f"; the nearest is {near[0]!r}" if near else f"; {what}: {', '.join(names) or 'none'}"


def _merged(base: Mapping[str, Any], top: Any) -> dict[str, Any]:
    """Return `base` with `top` over it, tables within tables merged too."""
    result = dict(base)
    for key, value in (top if isinstance(top, dict) else {}).items():
        inner = result.get(key)
        result[key] = _merged(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return result


def _on_base(tables: dict[str, Any], path: Path) -> tuple[dict[str, Any], str]:
    """Return a recipe's tables over those of its base, and what the base says."""
    skin = tables.get("skin")
    base = skin.get("base") if isinstance(skin, dict) else None
    if not isinstance(base, str) or not base:
        return tables, ""
    below = path.parent / base
    if not below.is_file():
        raise RecipeError(f"{path}: [skin] base = {base!r}: there is no file {below}")
    said = below.read_text(encoding="utf-8")
    inherited = _toml(said, str(below))
    if "base" in inherited.get("skin", {}):
        raise RecipeError(f"{path}: [skin] base = {base!r} has a base itself; one step is all")
    return _merged(inherited, tables), said


def _override(tables: dict[str, Any], change: str) -> None:
    path, equals, text = change.partition("=")
    words = path.strip().split(".")
    if not equals or len(words) < 2 or not all(words):
        raise UsageError(f"--set {change}: write it as table.key=value, such as student.default.width=96")
    try:
        value = _toml(f"v = {text}", "--set")["v"]
    except RecipeError:
        value = text.strip()
    table: Any = tables
    for word in words[:-1]:
        table = table.setdefault(word, {}) if isinstance(table, dict) else table
        if isinstance(table, list):
            raise UsageError(f"--set {change}: {word!r} is a list of tables; change it in the recipe")
    if not isinstance(table, dict):
        raise UsageError(f"--set {change}: {'.'.join(words[:-1])!r} is not a table")
    table[words[-1]] = value


def _toml(text: str, name: str) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        return dict(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{name}: not TOML: {error}") from None


def _line(text: str, dotted: str) -> str:
    """Return " line N" of a key or a table in TOML text, nothing where it is not found.

    The reader keeps no positions; a recipe's plain style (one key a line, tables in brackets) is enough to find them.
    """
    table = ""
    for number, line in enumerate(text.splitlines(), 1):
        header = re.match(r"\s*\[\[?\s*([^\]]+?)\s*\]", line)
        if header:
            table = header[1].replace('"', "").replace(" ", "")
            if table == dotted:
                return f" line {number}"
            continue
        key = re.match(r'\s*([\w."\'-]+)\s*=', line)
        if key:
            name = key[1].replace('"', "").replace("'", "")
            if (f"{table}.{name}" if table else name) == dotted:
                return f" line {number}"
            for inner in re.findall(r"[{,]\s*([\w-]+)\s*=", line):
                if f"{table}.{name}.{inner}" == dotted:
                    return f" line {number}"
    return ""
