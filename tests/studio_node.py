"""Runs the scripts of studio/web/tests, where Node and what they need are there."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

WEB = Path(__file__).parents[1] / "studio" / "web"


def lacking(package: str) -> str | None:
    """Say what is missing to run a script that needs an npm package, or ``None``."""
    if shutil.which("node") is None:
        return "node is not installed (apt-get install nodejs)"
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
    if int(version.lstrip("v").partition(".")[0]) < 20:
        return f"node is {version.strip()}; {package} needs 20"
    if not (WEB / "node_modules" / package).is_dir():
        return f"{package} is not installed (cd studio/web && npm ci)"
    return None


def node(script: str, *words: object, seconds: float = 280) -> Any:
    """Run a script and return what it printed, which is JSON."""
    done = subprocess.run(
        ["node", str(WEB / "tests" / script), *map(str, words)],
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)
