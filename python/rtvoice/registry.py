"""Where skins are found: shipped with the package, and in the folders of ``$RTVOICE_MODELS``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rtvoice.errors import ModelError

#: What is taken where nobody names a skin: the best of those that pass their gates.
DEFAULT_SKIN = "whisper"
#: What ``tier="auto"`` chooses.
AUTO_TIER = "default"


class ModelNotFoundError(ModelError, FileNotFoundError):
    """No model has this name or path."""

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True)
class Skin:
    """One model file that can be used by name.

    Attributes
    ----------
    name, tier
        ``Engine(name, tier=tier)`` runs it.
    path
        The ``.rtv`` file.
    shipped
        Whether it came with the package.
    """

    name: str
    tier: str
    path: Path
    shipped: bool


def _shipped_folders() -> Iterator[Path]:
    here = Path(__file__).resolve().parent
    yield here / "models"
    if (here.parents[1] / "CMakeLists.txt").is_file():  # a source checkout
        yield here.parents[1] / "models"


def _search_path() -> Iterator[tuple[Path, bool]]:
    for entry in os.environ.get("RTVOICE_MODELS", "").split(os.pathsep):
        if entry:
            yield Path(entry).expanduser(), False
    for folder in _shipped_folders():
        yield folder, True


def _files(folder: Path) -> Iterator[tuple[str, str, Path]]:
    """Yield ``<name>/<tier>.rtv`` and, as the default tier, ``<name>.rtv``."""
    if not os.path.isdir(folder):  # also for names that no folder can have
        return
    for path in sorted(folder.glob("*.rtv")):
        yield path.stem, AUTO_TIER, path
    for path in sorted(folder.glob("*/*.rtv")):
        yield path.parent.name, path.stem, path


def models() -> list[Skin]:
    """List the skins found, by name and tier; ``$RTVOICE_MODELS`` comes before what is shipped."""
    found: dict[tuple[str, str], Skin] = {}
    for folder, shipped in _search_path():
        for name, tier, path in _files(folder):
            found.setdefault((name, tier), Skin(name, tier, path, shipped))
    return [found[key] for key in sorted(found, key=lambda k: (k[0], k[1] != AUTO_TIER, k[1]))]


def missing_folders() -> list[str]:
    """List the entries of ``$RTVOICE_MODELS`` that are no folders, so that their skins are not found."""
    return [str(folder) for folder, shipped in _search_path() if not shipped and not os.path.isdir(folder)]


def looks_like_path(model: str) -> bool:
    """Whether a model argument is a path rather than a skin's name."""
    return model.endswith(".rtv") or os.sep in model or (os.altsep is not None and os.altsep in model)


def resolve(model: str | os.PathLike[str], tier: str = "auto") -> Path:
    """Return the file of a skin's name or of a path.

    Raises
    ------
    ModelNotFoundError
        There is no such name or file; the message lists what there is.
    ValueError
        The skin has no such tier.
    """
    if not isinstance(model, str | os.PathLike) or isinstance(os.fspath(model), bytes):
        raise ValueError(f"model must be a skin's name, the path of a .rtv file or a Model, not {type(model).__name__}")
    if model == "":
        raise ModelNotFoundError("the model's name is empty; give a skin's name or the path of a .rtv file")
    if not isinstance(model, str) or looks_like_path(model):
        return _existing_file(Path(model).expanduser())
    tiers = {skin.tier: skin.path for skin in models() if skin.name == model}
    if not tiers:
        if os.path.isdir(model):
            return _existing_file(Path(model))
        if os.path.exists(model):
            raise ModelNotFoundError(f"{model}: no skin has this name; to open a file give a path that ends in .rtv")
        names = sorted({skin.name for skin in models()})
        there_is = "there is: " + ", ".join(names) if names else "none is installed"
        lost = missing_folders()
        remedy = "add folders of skins with RTVOICE_MODELS"
        if lost:
            remedy = f"RTVOICE_MODELS names {lost[0]}, which is no folder"
        raise ModelNotFoundError(f"no skin is called {model!r} ({there_is}); {remedy}")
    wanted = AUTO_TIER if tier == "auto" else tier
    if wanted in tiers:
        return tiers[wanted]
    if tier == "auto":
        return next(iter(tiers.values()))
    raise ValueError(f"skin {model!r} has no tier {tier!r}; it has: {', '.join(tiers)}")


def _existing_file(path: Path) -> Path:
    try:
        return _checked_file(path)
    except OSError as error:
        if isinstance(error, ModelNotFoundError):
            raise
        shown = os.fspath(path)
        shown = shown if len(shown) <= 300 else f"{shown[:150]}...{shown[-75:]}"
        raise ModelNotFoundError(f"{shown}: {(error.strerror or str(error)).lower()}") from None


def _checked_file(path: Path) -> Path:
    if path.is_dir():
        inside = ", ".join(sorted(p.name for p in path.glob("*.rtv")))
        raise ModelNotFoundError(f"{path} is a folder; name a .rtv file" + (f" in it: {inside}" if inside else ""))
    if not path.exists():
        raise ModelNotFoundError(f"{path}: no such file; 'rtvoice models' lists the skins that are installed")
    return path
