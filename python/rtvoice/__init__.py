"""Real-time neural audio on the player's own CPU.

>>> import numpy as np, rtvoice
>>> engine = rtvoice.Engine("whisper", sample_rate=48000, max_frame=480)
>>> out = engine.process(np.zeros(480, np.float32))

Names are loaded when first used, so that a part works without what only the others need.
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing's own takes longer to import than all of this

if TYPE_CHECKING:
    from typing import Any

    from rtvoice.engine import Engine as Engine
    from rtvoice.engine import Stats as Stats
    from rtvoice.engine import isa as isa
    from rtvoice.errors import ModelError as ModelError
    from rtvoice.export import import_model as import_model
    from rtvoice.export.torch_module import export as export
    from rtvoice.graph import GraphBuilder as GraphBuilder
    from rtvoice.model import Model as Model
    from rtvoice.pool import EnginePool as EnginePool
    from rtvoice.recording import EngineLog as EngineLog
    from rtvoice.registry import Skin as Skin
    from rtvoice.registry import models as models

    __version__: str

_HOMES = {
    "Engine": "rtvoice.engine",
    "EngineLog": "rtvoice.recording",
    "EnginePool": "rtvoice.pool",
    "Stats": "rtvoice.engine",
    "isa": "rtvoice.engine",
    "Model": "rtvoice.model",
    "ModelError": "rtvoice.errors",
    "Skin": "rtvoice.registry",
    "GraphBuilder": "rtvoice.graph",
    "import_model": "rtvoice.export",
    "models": "rtvoice.registry",
}

__all__ = [
    "Engine",
    "EngineLog",
    "EnginePool",
    "GraphBuilder",
    "Model",
    "ModelError",
    "Skin",
    "Stats",
    "__version__",
    "export",
    "import_model",
    "isa",
    "models",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from rtvoice import _core

        return _core.version()
    from importlib import import_module

    if name == "export":
        return import_module("rtvoice.export")
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'rtvoice' has no attribute {name!r}")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted(__all__)
