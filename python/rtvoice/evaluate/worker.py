"""A listening process: takes signals and probes as lines of JSON, keeps the readings in the cache, answers in lines.

Run as ``python -m rtvoice.evaluate.worker CACHE LANGUAGE``. A process of its own and no fork: the caller may hold a
training run, a GPU or a script without a main guard, and the recognisers' libraries keep threads.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from rtvoice.evaluate.cache import Cache, load
from rtvoice.evaluate.probes import Listen, Probe, hear, standard
from rtvoice.evaluate.signals import RATE, Signal


class Ears:
    """Probes that were loaded once, and the cache that their readings go to."""

    def __init__(self, cache: Cache, probes: Mapping[str, Probe]) -> None:
        self._cache = cache
        self._probes = probes
        self._loaded: dict[str, Listen] = {}

    def listen(self, signal: Signal, names: list[str]) -> dict[str, str]:
        """Let probes listen to a signal; return what went wrong, by probe."""
        failures = {}
        samples = load(signal)
        for name in names:
            probe = self._probes[name]
            try:
                if name not in self._loaded:
                    self._loaded[name] = probe.load()
                self._cache.keep(signal.digest, probe.key, hear(self._loaded[name], probe, samples, RATE))
            except Exception as error:
                failures[name] = f"{type(error).__name__}: {error}"
        return failures


def main() -> None:
    """Serve until the caller closes the pipe."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what packages print must not get between the answers
    ears = Ears(Cache(sys.argv[1]), standard(sys.argv[2]))
    for line in sys.stdin:
        task = json.loads(line)
        signal = Signal(task["digest"], Path(task["path"]), task["seconds"])
        try:
            failures = ears.listen(signal, task["probes"])
        except Exception as error:
            failures = {name: f"{type(error).__name__}: {error}" for name in task["probes"]}
        answers.write(json.dumps(failures) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
