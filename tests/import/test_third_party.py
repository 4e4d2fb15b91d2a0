"""Files of other projects, where they are at hand: brought in, or refused in one clear line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

FOLDER = Path(os.environ.get("RTVOICE_THIRD_PARTY", Path(__file__).parents[3] / "shared" / "models3p"))
FILES = (
    sorted(path for path in FOLDER.glob("**/*") if path.suffix in (".onnx", ".nam", ".json")) if FOLDER.is_dir() else []
)


@pytest.mark.skipif(not FILES, reason="no third-party models at hand; set RTVOICE_THIRD_PARTY to a folder of them")
@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_third_party_file(path):
    from rtvoice import ModelError
    from rtvoice.export import import_model

    try:
        model = import_model(path, sample_rate=16_000)
    except ModelError as error:
        assert path.name in str(error) and "\n" not in str(error)
    else:
        assert model.latency >= 0
