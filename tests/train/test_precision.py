"""Mixed precision, scaling and compilation compute what plain training does, and show what they cannot."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from rtvoice.train.distributed import World, choose_device  # noqa: E402
from rtvoice.train.optimise import Optimise, to_device  # noqa: E402
from rtvoice.train.precision import Precision, compile_models, uncompile  # noqa: E402
from rtvoice.train.schedule import Phase  # noqa: E402
from rtvoice.train.show import Show  # noqa: E402
from rtvoice.train.task import Training  # noqa: E402


class Line:
    """Fit a line; a batch can be made to overflow."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.net = torch.nn.Linear(3, 1)

    def models(self) -> dict[str, Any]:
        return {"net": self.net}

    def loss(self, batch: Any) -> Any:
        return (self.net(batch[0]) - batch[1]).square().mean(), {}


def batches(count: int) -> list[Any]:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(count, 8, 3, generator=generator)
    return [(one, one.sum(1, keepdim=True)) for one in x]


def optimised(scaled: bool) -> tuple[Line, Optimise]:
    task = Line()
    precision = Precision("float32", torch.device("cpu"), print)
    # What float16 does on a GPU, on this machine's CPU: the same branches.
    precision.scaler = torch.amp.GradScaler("cpu", enabled=scaled, init_scale=2.0**10)
    optimise = Optimise(task, task.models(), Training(), World(), precision)
    optimise.begin(Phase(steps=10, rate=1e-2), moments=False)
    return task, optimise


def test_a_scaled_loss_trains_as_a_plain_one() -> None:
    plain, by_plain = optimised(scaled=False)
    scaled, by_scaled = optimised(scaled=True)
    for batch in batches(10):
        assert float(by_plain.step([batch])["loss"]) == pytest.approx(float(by_scaled.step([batch])["loss"]), rel=1e-5)
    torch.testing.assert_close(plain.net.weight, scaled.net.weight)


def test_an_overflow_skips_its_step_lowers_the_scale_and_is_restored() -> None:
    task, optimise = optimised(scaled=True)
    good, other = batches(2)
    optimise.step([good])
    before = task.net.weight.detach().clone()
    figures = optimise.step([(good[0] * 1e30, good[1])])
    assert torch.equal(before, task.net.weight) and float(figures["skipped"]) == 1 and optimise.broken == 1
    assert optimise.precision.scaler.get_scale() == 2.0**9
    again, resumed = optimised(scaled=True)
    again.net.load_state_dict(task.net.state_dict())
    resumed.load_state_dict(deepcopy(optimise.state_dict()))
    assert resumed.broken == 1 and resumed.precision.scaler.get_scale() == 2.0**9
    optimise.step([other])
    resumed.step([other])
    assert torch.equal(again.net.weight, task.net.weight)
    assert optimise.broken == 0


def test_automatic_precision_on_a_cpu_is_float32_and_a_missing_gpu_is_named() -> None:
    said: list[str] = []
    assert Precision("auto", torch.device("cpu"), said.append).name == "float32"
    assert Precision("float16", torch.device("cpu"), said.append).name == "float32" and len(said) == 1
    if not torch.cuda.is_available():
        assert choose_device("auto") == torch.device("cpu")
        with pytest.raises(ValueError, match="sees no CUDA device; use --device cpu"):
            choose_device("cuda")


def test_batches_of_any_shape_are_moved() -> None:
    from dataclasses import dataclass
    from typing import NamedTuple

    @dataclass(frozen=True)
    class Two:
        a: Any
        b: Any

    class Pair(NamedTuple):
        x: Any
        y: Any

    meta = torch.device("meta")
    batch = {"a": [torch.zeros(2), 1], "b": Two(torch.zeros(3), "word"), "c": Pair(torch.zeros(1), None)}
    moved = to_device(batch, meta)
    assert moved["a"][0].device == moved["b"].a.device == moved["c"].x.device == meta
    assert (moved["a"][1], moved["b"].b, moved["c"].y) == (1, "word", None)


@pytest.mark.slow
def test_compiled_training_is_as_uncompiled(tmp_path: Path) -> None:
    plain, by_plain = optimised(scaled=False)
    compiled, by_compiled = optimised(scaled=False)
    compile_models([compiled.net])
    for batch in batches(3):
        try:
            figures = by_compiled.step([batch])
        except Exception as error:  # torch needs a C++ compiler for it
            pytest.skip(f"torch.compile does not work here: {str(error).splitlines()[0]}")
        assert float(figures["loss"]) == pytest.approx(float(by_plain.step([batch])["loss"]), rel=1e-5)
    assert compiled.net._compiled_call_impl is not None
    uncompile([compiled.net])
    torch.testing.assert_close(plain.net.weight, compiled.net.weight)


def test_progress_is_lines_where_nobody_looks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("rtvoice.train.show._BETWEEN", 0.0)
    show = Show("student.hq")
    show.update(0.25, "step 100", left=4000.0)
    show.say("a line")
    show.close()
    Show("quiet", quiet=True).update(0.5)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == ["student.hq: 25 %, step 100, 67 min left", "student.hq: a line"]
