"""Models: immutable, checked, shared by any number of engines."""

from __future__ import annotations

import json
import os
from copy import deepcopy
from functools import cached_property
from pathlib import Path
from typing import Any

from rtvoice import _core, files, registry, safetensors_io
from rtvoice.errors import ModelError


def _open(path: Path) -> _core.Model:
    name = os.fspath(path)
    try:
        name.encode()
    except UnicodeEncodeError:  # the core takes names that are text
        return _core.Model.from_bytes(path.read_bytes())
    return _core.Model.open(name)


class Model:
    """A trained network, read from a ``.rtv`` file and checked completely.

    Make one with :meth:`load`, :meth:`from_bytes` or :func:`rtvoice.import_model`.
    """

    def __init__(self, core: _core.Model, *, data: bytes | None = None, path: Path | None = None) -> None:
        self._core = core
        self._data = data
        self._path = path

    @classmethod
    def load(cls, model: str | os.PathLike[str], *, tier: str = "auto") -> Model:
        """Open a skin by name, or a ``.rtv`` file by path.

        Parameters
        ----------
        model
            ``"whisper"``, ``"path/to/x.rtv"``.
        tier
            ``"auto"``, or the tier wanted: ``"default"``, ``"hq"``.

        Raises
        ------
        ModelError
            The file is missing (also a ``FileNotFoundError``), damaged or unsupported.
        ValueError
            The tier does not exist, or is not the file's.
        """
        path = registry.resolve(model, tier)
        try:
            loaded = cls(_open(path), path=path)
        except ModelError as error:
            raise ModelError(f"{path}: {error}") from None
        except OSError as error:  # the message names the file
            raise ModelError(str(error)) from None
        if tier not in ("auto", loaded.tier):
            raise ValueError(f"{path} is of tier {loaded.tier!r}, not {tier!r}")
        return loaded

    @classmethod
    def from_bytes(cls, data: bytes) -> Model:
        """Read a model from the bytes of a ``.rtv`` file."""
        data = bytes(data)
        return cls(_core.Model.from_bytes(data), data=data)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the ``.rtv`` file; a file of that name is replaced in one step, never left half-written.

        A link's target is written; what is no regular file (a device, a pipe) is written to.
        """
        files.write_whole(path, self._bytes())

    def _bytes(self) -> bytes:
        if self._data is not None:
            return self._data
        if self._path is None:
            raise ModelError("this model has no file to copy")
        data = self._path.read_bytes()
        if json.loads(_core.Model.from_bytes(data).info())["hash"] != self._info["hash"]:
            raise ModelError(f"{self._path} has changed since the model was loaded; load it again")
        return data

    @property
    def info(self) -> dict[str, Any]:
        """A copy of what the engine knows: name, rate, latency, parameters, outputs, costs, layers."""
        return deepcopy(self._info)

    @cached_property
    def _info(self) -> dict[str, Any]:
        info: dict[str, Any] = json.loads(self._core.info())
        return info

    @property
    def metadata(self) -> dict[str, Any]:
        """A copy of the file's own ``rtvoice`` object: graph, parameters, licence, provenance."""
        return deepcopy(self._metadata)

    @cached_property
    def _metadata(self) -> dict[str, Any]:
        metadata: dict[str, Any] = json.loads(safetensors_io.read(self._bytes())[1]["rtvoice"])
        return metadata

    @property
    def path(self) -> Path | None:
        """The file it was loaded from."""
        return self._path

    @property
    def name(self) -> str:
        """The model's name, as the file says."""
        return str(self._info["name"])

    @property
    def tier(self) -> str:
        """The tier, as the file says."""
        return str(self._info["tier"])

    @property
    def sample_rate(self) -> int:
        """The model's own rate in Hz; engines convert from any other."""
        return int(self._info["sample_rate"])

    @property
    def hop(self) -> int:
        """Samples at :attr:`sample_rate` that one step of the network takes and makes."""
        return int(self._info["hop"])

    @property
    def latency(self) -> int:
        """Samples at :attr:`sample_rate` from an input to its output inside the network."""
        return int(self._info["latency"])

    @property
    def parameters(self) -> list[str]:
        """Names that :meth:`rtvoice.Engine.set` takes, besides ``"mix"``."""
        return [str(p["name"]) for p in self._info["parameters"]]

    @property
    def parameter_sizes(self) -> dict[str, int]:
        """How many numbers each name takes in :meth:`rtvoice.Engine.set`, ``"mix"`` included."""
        return {**{str(p["name"]): int(p["size"]) for p in self._info["parameters"]}, "mix": 1}

    @property
    def outputs(self) -> list[str]:
        """Names of the outputs that are not audio."""
        return [str(o["name"]) for o in self._info["outputs"] if o["kind"] != "audio"]

    def __repr__(self) -> str:
        return f"<rtvoice.Model {self.name!r}, tier {self.tier!r}, {self.sample_rate} Hz>"
