"""Build hook: bundles the front end with Node's esbuild; a package without it is an error, never an empty page."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

#: What the page consists of; each must be there in the package.
PARTS = ("app.js", "style.css", "index.html")


class FrontEnd(BuildHookInterface[Any]):
    """Runs ``npm ci`` and ``npm run build`` in ``web`` unless the parts are newer than their sources."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the parts that are missing or old, and check that they are all there."""
        root = Path(self.root)
        static = root / "src" / "rtvoice_studio" / "static"
        if version != "editable" and not _fresh(root / "web", static):
            _build(root / "web", static)
        lacking = [name for name in PARTS if not (static / name).is_file() or (static / name).stat().st_size == 0]
        if lacking:
            raise RuntimeError(
                f"the front end is not built ({', '.join(lacking)}); run: cd studio/web && npm ci && npm run build"
            )


def _fresh(web: Path, static: Path) -> bool:
    parts = [static / name for name in PARTS]
    if not all(part.is_file() for part in parts):
        return False
    sources = [path for path in [*web.glob("src/**/*"), *web.glob("*.json"), web / "build.mjs"] if path.is_file()]
    return min(part.stat().st_mtime for part in parts) >= max(source.stat().st_mtime for source in sources)


def _build(web: Path, static: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise RuntimeError("building rtvoice-studio needs Node >= 18 with npm (Debian: apt-get install nodejs npm)")
    if not (web / "node_modules" / "esbuild").is_dir():
        _run([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], web)
    _run([npm, "run", "--silent", "build"], web)


def _run(words: list[str], where: Path) -> None:
    done = subprocess.run(words, cwd=where, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr or done.stdout).strip()[-1000:]
        raise RuntimeError(f"{' '.join(words[1:])} failed in {where}: {last}")
