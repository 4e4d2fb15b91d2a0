"""The commit a run is trained by is that of the trainer's own source tree, or none."""

from __future__ import annotations

import subprocess
from pathlib import Path

from rtvoice.train import source


def repository(root: Path, package: Path) -> str:
    """Make a repository at root with a file in the package's folder; return its commit."""
    (root / package).mkdir(parents=True)
    (root / package / "__init__.py").write_text("")
    git = ["git", "-C", str(root), "-c", "user.name=x", "-c", "user.email=x@example.com"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "x"], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    return head.stdout.strip()


def test_a_checkout_has_its_commit(tmp_path: Path) -> None:
    place = Path("python", "rtvoice", "train")
    assert source.commit(tmp_path) is None
    head = repository(tmp_path, place)
    assert source.commit(tmp_path / place) == head


def test_an_environment_within_another_repository_has_none(tmp_path: Path) -> None:
    place = Path("venv", "lib", "site-packages", "rtvoice", "train")
    repository(tmp_path, place)
    assert source.commit(tmp_path / place) is None


def test_source_that_is_not_the_repositorys_has_none(tmp_path: Path) -> None:
    repository(tmp_path, Path("other"))
    place = tmp_path / "python" / "rtvoice" / "train"
    place.mkdir(parents=True)
    (place / "__init__.py").write_text("")
    assert source.commit(place) is None
