"""Runs the package's commands, each in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Done:
    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def run(*words: object, program: str = "rtvoice", **environment: str) -> Done:
    """Run ``rtvoice WORDS`` (or another program of the package) as installed beside this Python."""
    done = subprocess.run(
        [str(Path(sys.executable).with_name(program)), *map(str, words)],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **environment},
        timeout=300,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)
