"""Several listening processes at once, each fed by a thread; only what the cache lacks is listened to."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import IO, Any

from rtvoice.evaluate.cache import Cache
from rtvoice.evaluate.probes import Probe
from rtvoice.evaluate.signals import Signal
from rtvoice.evaluate.worker import Ears

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def default_jobs() -> int:
    """Return how many processes listen where nobody says: the cores that are ours, 8 at most (a gigabyte each)."""
    ours = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(8, ours))


class Listeners:
    """Listening processes, as a context manager; they start with the first thing to hear.

    Parameters
    ----------
    cache
        Where readings are kept.
    probes
        By role.
    language
        What the standard probes listen for.
    jobs
        Processes; 0 listens in this process, which any other than the standard probes need.
    """

    def __init__(self, cache: Cache, probes: Mapping[str, Probe], language: str, jobs: int) -> None:
        self._cache = cache
        self._probes = probes
        self._language = language
        self._jobs = jobs
        self._own = Ears(cache, probes)
        self._local = threading.local()
        self.processes: list[_Process] = []
        self._ending = False
        #: The first thing that went wrong, by probe.
        self.failures: dict[str, str] = {}
        #: Readings made, not found in the cache.
        self.made = 0

    def __enter__(self) -> Listeners:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            process.close()

    def hear(self, wanted: Mapping[Signal, Sequence[str]], progress: Callable[[float], None] | None = None) -> None:
        """Have signals listened to by probes.

        Parameters
        ----------
        wanted
            Probes by signal.
        progress
            Is told the part done, 0 to 1.
        """
        tasks: list[tuple[Signal, list[str]]] = []
        for signal, names in wanted.items():
            lacking = [name for name in names if not self._cache.known(signal.digest, self._probes[name].key)]
            if lacking:
                tasks.append((signal, lacking))
        tasks.sort(key=lambda task: -task[0].seconds)  # the longest first: no process ends long after the others
        if not tasks:
            return
        total, done = sum(signal.seconds for signal, _ in tasks), 0.0
        with ThreadPoolExecutor(max(1, self._jobs)) as pool:
            waiting = {pool.submit(self._hear, signal, names): (signal, names) for signal, names in tasks}
            try:
                for finished in as_completed(waiting):
                    for name, why in finished.result().items():
                        self.failures.setdefault(name, why)
                    signal, names = waiting[finished]
                    self.made += len(names)
                    done += signal.seconds
                    if progress is not None:
                        progress(done / total)
            except BaseException:
                self._ending = True
                pool.shutdown(wait=False, cancel_futures=True)
                for process in self.processes:
                    process.close()
                raise

    def reading(self, signal: Signal | None, name: str) -> Any:
        """Return what a probe read, or None where it is not known."""
        if signal is None or name not in self._probes:
            return None
        return self._cache.reading(signal.digest, self._probes[name].key)

    def _hear(self, signal: Signal, names: list[str]) -> dict[str, str]:
        if self._jobs == 0:
            return self._own.listen(signal, names)
        process: _Process | None = getattr(self._local, "process", None)
        if process is None:
            if self._ending:
                raise RuntimeError("the evaluation is being ended")
            process = self._local.process = _Process(self._cache.folder, self._language)
            self.processes.append(process)
        return process.ask(signal, names)


class _Process:
    def __init__(self, cache: Path, language: str) -> None:
        package = Path(__file__).resolve().parents[2]
        # Last, or a package beside ours in site-packages would hide what PYTHONPATH puts before it.
        path = os.pathsep.join([*filter(None, [os.environ.get("PYTHONPATH")]), str(package)])
        environment = {**os.environ, "PYTHONPATH": path, "CUDA_VISIBLE_DEVICES": "", **dict.fromkeys(_THREADS, "1")}
        self._complaints: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-m", "rtvoice.evaluate.worker", str(cache), language],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            text=True,
            env=environment,
            start_new_session=True,  # Ctrl-C is ours to handle
        )

    def ask(self, signal: Signal, names: list[str]) -> dict[str, str]:
        task = {"digest": signal.digest, "path": str(signal.path), "seconds": signal.seconds, "probes": names}
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(task) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except (OSError, ValueError):
            answer = ""
        if not answer:
            raise RuntimeError(f"a listening process ended: {self._last_words()}")
        failures: dict[str, str] = json.loads(answer)
        return failures

    def _last_words(self) -> str:
        self._complaints.seek(0)
        lines = self._complaints.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"exit status {self._process.poll()}; is memory short? try --jobs 1"

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def close(self) -> None:
        """End the process; a thread that waits for its answer then finds the pipe at its end."""
        if self._process.poll() is None:
            self._process.terminate()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError, ValueError):
                    pipe.close()
