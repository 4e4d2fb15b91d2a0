"""`rtvoice check-model`: before any training it names the module that cannot stream, and the cost of one that can."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")
pytest.importorskip("rtvoice._core", reason="the engine is not built")

from rtvoice import nn  # noqa: E402
from rtvoice.cli import run  # noqa: E402
from rtvoice.nn.diagnose import diagnose  # noqa: E402

torch.set_num_threads(1)

NETWORKS = '''
"""Networks to check."""

import torch
from rtvoice import nn


class Good(nn.Module):
    def __init__(self, channels: int = 8, lookahead: int = 0) -> None:
        super().__init__()
        self.gain = nn.Parameter("gain", 1.0, min=0.0, max=2.0)
        self.analysis = nn.Conv1d(1, channels, 320, stride=160)
        self.body = nn.Sequential(*(nn.ConvNeXtBlock(channels, lookahead=lookahead) for _ in range(3)))
        self.out = nn.Linear(channels, 160)
        self.unfold = nn.DepthToTime(160)

    def forward(self, x):
        y = self.body(self.analysis(x))
        return {"audio": self.unfold(self.out(y)) * self.gain(x), "level": torch.sigmoid(y[..., :1])}


class PlainNorm(Good):
    def __init__(self) -> None:
        super().__init__()
        self.body[2].norm = torch.nn.GroupNorm(2, 8)


class PlainLinear(Good):
    def __init__(self) -> None:
        super().__init__()
        self.body[1].wide = torch.nn.Linear(8, 24)


class Backwards(Good):
    def __init__(self) -> None:
        super().__init__()
        self.body[0].norm = torch.nn.GRU(8, 4, bidirectional=True)


class OverTime(Good):
    def forward(self, x):
        y = self.analysis(x)
        return self.unfold(self.out(y - y.mean(dim=1, keepdim=True)))


class ByHand(torch.nn.Module):
    def forward(self, x):
        return x


class Foreign(Good):
    def __init__(self) -> None:
        super().__init__()
        self.body[1].norm = ByHand()


class Loud(nn.SiLU):
    def forward(self, x):
        return 1.01 * super().forward(x)


class Lying(Good):
    def __init__(self) -> None:
        super().__init__()
        self.body[1].activation = Loud()


class Odd(Good):
    def __init__(self) -> None:
        super().__init__()
        self.body[0].norm = nn.Conv1d(8, 8, 7, stride=7)


class Wide(Good):
    def __init__(self) -> None:
        super().__init__()
        self.body[2].narrow = nn.Linear(24, 9)


class Branching(Good):
    def forward(self, x):
        y = self.body(self.analysis(x))
        return self.unfold(self.out(y if y > 0 else -y))


class Length(Good):
    def forward(self, x):
        return x * (1.0 / x.shape[1])


class Tuple(Good):
    def forward(self, x):
        return x, x


class Crash(Good):
    def __init__(self) -> None:
        raise RuntimeError("no weights here")


def make(channels: int):
    return Good(channels)
'''


@pytest.fixture
def networks(tmp_path: Path) -> Path:
    path = tmp_path / "networks.py"
    path.write_text(NETWORKS)
    return path


def test_a_good_network_is_measured(networks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check-model", f"{networks}:Good", "--set", "lookahead=1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["passed"] and found["error"] < 1e-5
    assert (found["parameters"], found["outputs"]) == (["gain"], ["level"])
    cost = found["cost"]
    assert cost["latency"] == 3 * 160
    assert cost["latency_ms"] == 30.0
    numbers = 8 * 320 + 8 + 3 * (8 * 7 + 8 + 16 + 24 * 8 + 24 + 8 * 24 + 8 + 8) + 160 * 8 + 160
    assert cost["parameters"] == numbers
    assert cost["weight_bytes"]["fp32"] == 4 * numbers
    assert cost["macs_per_second"] == 100 * (8 * 320 + 3 * (8 * 7 + 2 * 8 * 24) + 160 * 8)
    assert {layer["name"] for layer in cost["layers"]} >= {"analysis", "body.2.narrow", "out"}


@pytest.mark.parametrize(
    ("name", "told"),
    [
        (
            "PlainNorm",
            "body.2.norm: torch.nn.GroupNorm normalises over time and cannot stream: use rtvoice.nn.LayerNorm",
        ),
        ("PlainLinear", "body.1.wide: torch.nn.Linear does not write itself into a graph: use rtvoice.nn.Linear"),
        ("Backwards", "body.0.norm: torch.nn.GRU in both directions reads the whole future: use rtvoice.nn.GRU"),
        ("OverTime", "OverTime.forward uses a mean over axis 1; only over channels, axis -1, does it stream"),
        ("Foreign", "body.1.norm: ByHand is no module of rtvoice.nn; derive it from rtvoice.nn.Module"),
        ("Lying", "body.1.activation: the stream of this Loud is the first to differ from its forward()"),
        ("Odd", "body.0.norm: node 'body.0.norm' (conv1d): stride 7 does not divide the 1 input frames per hop"),
        ("Wide", "body.2.scale: node 'body.2.scale.affine' (affine): weight 'scale' has shape [8]"),
        ("Branching", "Branching.forward uses a value of the signal in a condition"),
        ("Length", "Length.forward uses the length of its input, which a stream has not"),
        ("Tuple", "Tuple.forward returns several values; name them: return a dictionary"),
        ("Crash", "networks.py:Crash: cannot be made: RuntimeError: no weights here"),
    ],
)
def test_the_offending_module_is_named(
    networks: Path, name: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["check-model", f"{networks}:{name}"]) == 1
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1


def test_what_is_wrong_is_in_the_json_too(networks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check-model", f"{networks}:PlainNorm", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["passed"], found["module"], found["cost"]) == (False, "body.2.norm", None)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["{}"], "name one of its classes"),
        (["{}:Nobody"], "has no class 'Nobody'; it has: Good"),
        (["{}.txt:Good"], "is no FILE.py:CLASS"),
        (["nowhere/{}:Good"], "no such file"),
        (["{}:Good", "--set", "channels"], "is no KEY=VALUE"),
        (["{}:Good", "--set", "depth=3"], "cannot be made: TypeError"),
        (["{}:make"], "cannot be made: TypeError"),
    ],
)
def test_wrong_use_is_one_line(
    networks: Path,
    arguments: list[str],
    told: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(networks.parent)
    status = run(["check-model", arguments[0].format(networks.name), *arguments[1:]])
    error = capsys.readouterr().err
    assert status == (1 if "TypeError" in told else 2)
    assert told in error and error.count("\n") == 1


def test_a_function_and_a_file_of_one_class_will_do(networks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        run(["check-model", f"{networks}:make", "--set", "channels=4", "--sample-rate", "24000", "--hop", "160"]) == 0
    )
    assert "24000 Hz, hop 160" in capsys.readouterr().out
    alone = networks.with_name("alone.py")
    alone.write_text("from rtvoice import nn\n\n\nclass Only(nn.Tanh):\n    pass\n")
    assert run(["check-model", str(alone)]) == 0
    assert "Only streams" in capsys.readouterr().out


def test_it_runs_as_a_command(networks: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "rtvoice", "check-model", f"{networks}:Good"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Good streams: random weights" in done.stdout


def test_a_network_is_left_as_it_was() -> None:
    module = nn.Sequential(nn.Conv1d(1, 4, 3), nn.BatchNorm(4), nn.Linear(4, 1)).train()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    assert diagnose(module, sample_rate=16000).passed
    assert module.training
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())


def test_a_copy_with_random_weights_shows_what_zeros_hide() -> None:
    class Hidden(nn.Module):
        """A branch that its zero weights keep out of the offline output."""

        def __init__(self) -> None:
            super().__init__()
            self.branch, self.wrong = nn.Linear(1, 1), _Loud()
            torch.nn.init.zeros_(self.branch.weight)
            torch.nn.init.zeros_(self.branch.bias)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + self.branch(self.wrong(x))

    found = diagnose(Hidden(), sample_rate=16000)
    assert (found.passed, found.module) == (False, "wrong")


class _Loud(nn.Tanh):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2.0 * super().forward(x)
