"""Prints the requirements of the package and of some of its extras: scripts/requirements.py demo dev."""

from __future__ import annotations

import sys
from pathlib import Path

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    from pip._vendor import tomli as tomllib


def requirements(extras: list[str]) -> list[str]:
    """Return the package's requirements and those of its extras, without spaces, extras of our own followed."""
    project = tomllib.loads(Path(__file__).parents[1].joinpath("pyproject.toml").read_text())["project"]
    found = list(project["dependencies"])
    waiting = list(extras)
    while waiting:
        for requirement in project["optional-dependencies"][waiting.pop()]:
            name, bracket, inside = requirement.partition("[")
            if name == "rtvoice" and bracket:
                waiting += inside.rstrip("]").split(",")
            else:
                found.append(requirement)
    return sorted({requirement.replace(" ", "") for requirement in found})


if __name__ == "__main__":
    print("\n".join(requirements(sys.argv[1:])))
