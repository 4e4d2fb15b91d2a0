"""The loop's promises: what is frozen stays, what is accumulated adds up, what fails falls back, what breaks stops."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from rtvoice.train import checkpoint, runner  # noqa: E402
from rtvoice.train.board import read_log  # noqa: E402
from rtvoice.train.checkpoint import load_partial  # noqa: E402
from rtvoice.train.digest import settings  # noqa: E402
from rtvoice.train.interrupt import Halted  # noqa: E402
from rtvoice.train.runner import Training  # noqa: E402
from rtvoice.train.schedule import Phase  # noqa: E402
from rtvoice.train.stages import StageContext  # noqa: E402
from rtvoice.train.task import Start  # noqa: E402
from tiny_stages import FitParams, Tiny, make_data  # noqa: E402

PLAIN = FitParams(dropout=0.0, phases=(Phase(steps=6, rate=1e-2, batch=16, warm_up=2),))


class Said:
    """Collects what is shown."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)

    def update(self, part: float, told: str = "", left: float | None = None) -> None:
        assert 0 <= part <= 1


@pytest.fixture
def data(tmp_path: Path) -> Path:
    from tiny_stages import DataParams

    (tmp_path / "data").mkdir()
    make_data(StageContext(tmp_path / "data", DataParams()))
    return tmp_path / "data" / "data.npz"


Made = tuple[Tiny, StageContext]


@pytest.fixture
def make(data: Path, tmp_path: Path) -> Callable[..., Made]:
    count = iter(range(100))

    def build(params: FitParams = PLAIN, cls: type[Tiny] = Tiny, **more: Any) -> Made:
        folder = tmp_path / f"run{next(count)}"
        folder.mkdir()
        checkpoint.seed_all(0)
        ctx = StageContext(folder, params, show=Said(), device="cpu", **more)
        return cls(data, params, 0), ctx

    return build


def test_what_a_phase_freezes_stays_and_trains_in_the_next(make: Callable[..., Made]) -> None:
    seen: list[dict[str, Any]] = []

    class Watched(Tiny):
        def begin(self, phase: Phase) -> None:
            super().begin(phase)
            seen.append({name: tensor.clone() for name, tensor in self.net.state_dict().items()})

    first = Phase("first", steps=4, rate=1e-2, batch=16, freeze=("net.0.*",))
    second = Phase("second", steps=4, rate=1e-2, batch=16, freeze=("3.bias",))
    task, ctx = make(replace(PLAIN, phases=(first, second)), Watched)
    runner.fit(task, ctx)
    start, middle = seen
    end = task.net.state_dict()
    assert torch.equal(start["0.weight"], middle["0.weight"]) and not torch.equal(start["3.weight"], middle["3.weight"])
    assert torch.equal(middle["3.bias"], end["3.bias"]) and not torch.equal(middle["0.weight"], end["0.weight"])


def test_a_slower_rate_by_name_moves_less(make: Callable[..., Made]) -> None:
    moved = {}
    for factor in (1.0, 0.01):
        phase = Phase(steps=6, rate=1e-2, batch=16, warm_up=2, rates={"0.*": factor})
        task, ctx = make(replace(PLAIN, phases=(phase,)))
        before = task.net[0].weight.detach().clone()
        runner.fit(task, ctx)
        moved[factor] = float((task.net[0].weight.detach() - before).abs().mean())
    assert moved[0.01] < 0.05 * moved[1.0]


@pytest.mark.parametrize(("key", "pattern"), [("freeze", ("nett.*",)), ("rates", {"nett.*": 0.1})])
def test_a_pattern_that_matches_nothing_is_refused(make: Callable[..., Made], key: str, pattern: Any) -> None:
    phase = Phase(steps=2, **{key: pattern})
    with pytest.raises(ValueError, match=r"nett\.\*"):
        runner.fit(*make(replace(PLAIN, phases=(phase,))))


def test_accumulated_batches_make_the_step_of_their_whole(make: Callable[..., Made]) -> None:
    class Halves(Tiny):
        def batches(self, step: int, rank: int, world: int) -> Iterator[Any]:
            for x, y in super().batches(step, rank, world):
                yield x[:8], y[:8]
                yield x[8:], y[8:]

    whole, ctx = make()
    runner.fit(whole, ctx)
    halves, half_ctx = make(replace(PLAIN, training=replace(PLAIN.training, accumulate=2)), Halves)
    runner.fit(halves, half_ctx)
    one, two = read_log(ctx.folder), read_log(half_ctx.folder)
    assert [line["loss"] for line in one[1:]] == pytest.approx([line["loss"] for line in two[1:]], rel=1e-4)
    for ours, theirs in zip(whole.net.parameters(), halves.net.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5)


def test_batches_made_ahead_are_the_same(make: Callable[..., Made]) -> None:
    curves = []
    for ahead in (0, 3):
        phases = (Phase("a", steps=4, batch=16), Phase("b", steps=4, batch=8))
        training = replace(PLAIN.training, prefetch=ahead)
        task, ctx = make(replace(PLAIN, dropout=0.5, phases=phases, training=training))
        runner.fit(task, ctx)
        curves.append([line["loss"] for line in read_log(ctx.folder)[1:]])
    assert curves[0] == curves[1]

    class Failing(Tiny):
        def batches(self, step: int, rank: int, world: int) -> Iterator[Any]:
            yield next(super().batches(step, rank, world))
            raise OSError("the disk went away")

    with pytest.raises(OSError, match="the disk went away"):
        runner.fit(*make(replace(PLAIN, training=replace(PLAIN.training, prefetch=2)), Failing))


def test_a_validation_leaves_no_trace_and_sees_the_average(make: Callable[..., Made]) -> None:
    curves = []
    for every in (2, 3):
        params = replace(PLAIN, dropout=0.5, training=replace(PLAIN.training, validate_every=every))
        task, ctx = make(params)
        fit = runner.fit(task, ctx)
        curves.append([line["loss"] for line in read_log(ctx.folder)[1:]])
    assert curves[0] == curves[1]
    task.net.load_state_dict(runner.weights(ctx.folder))
    with torch.no_grad():
        task.net.eval()
        assert task.validate()["loss"] == pytest.approx(fit.held_out["loss"])


def test_the_best_weights_can_be_kept(make: Callable[..., Made]) -> None:
    class Turning(Tiny):
        """Better for three validations, then worse."""

        calls = 0

        def validate(self) -> dict[str, float]:
            self.calls += 1
            return {"loss": abs(self.calls - 3) + 1.0}

    training = replace(PLAIN.training, keep="best", validate_every=1)
    task, ctx = make(replace(PLAIN, training=training), Turning)
    runner.fit(task, ctx)
    kept = checkpoint.load(ctx.folder / "weights.pt")
    assert kept["step"] == 2 and kept["held_out"] == {"loss": 1.0}


def test_compilation_that_fails_is_told_and_done_without(
    make: Callable[..., Made], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("no C++ compiler")

    def compiled(self: Any, *args: Any, **kwargs: Any) -> None:
        self._compiled_call_impl = broken

    monkeypatch.setattr(torch.nn.Module, "compile", compiled)
    task, ctx = make(replace(PLAIN, training=replace(PLAIN.training, compile=True)))
    assert runner.fit(task, ctx).steps == 6
    assert any("torch.compile failed (no C++ compiler); going on without it" in line for line in ctx.show.lines)


def test_bfloat16_learns_and_float16_falls_back_on_a_cpu(make: Callable[..., Made]) -> None:
    losses = {}
    for precision in ("float32", "bfloat16", "float16"):
        task, ctx = make(replace(PLAIN, training=replace(PLAIN.training, precision=precision)))
        losses[precision] = runner.fit(task, ctx).held_out["loss"]
        assert ("float16 gains nothing" in "\n".join(ctx.show.lines)) == (precision == "float16")
    assert losses["float16"] == losses["float32"] != losses["bfloat16"]
    assert losses["bfloat16"] == pytest.approx(losses["float32"], rel=0.05)


class Breaking(Tiny):
    """Its loss stops being a number at step 3, for a while or for good."""

    until = 10**9

    def batches(self, step: int, rank: int, world: int) -> Iterator[Any]:
        for at, (x, y) in enumerate(super().batches(step, rank, world), step):
            yield x, y * (np.nan if 3 <= at < self.until else 1.0)


def test_a_broken_training_stops_with_its_reason_and_is_a_collapse(make: Callable[..., Made]) -> None:
    task, ctx = make(replace(PLAIN, phases=(Phase(steps=500, batch=16),)), Breaking)
    with pytest.raises(Halted, match="not a number"):
        runner.fit(task, ctx)
    stopped = json.loads((ctx.folder / "stopped.json").read_text())
    assert stopped["by"] == "rule" and stopped["step"] == 3 + 20
    assert json.loads((ctx.folder / "run.json").read_text())["outcome"]["label"] == "collapse"
    assert all(p.isfinite().all() for p in task.net.parameters())
    assert (ctx.folder / "checkpoint.pt").is_file()


def test_a_few_broken_steps_are_left_out(make: Callable[..., Made]) -> None:
    class Passing(Breaking):
        until = 6

    task, ctx = make(replace(PLAIN, phases=(Phase(steps=12, batch=16),)), Passing)
    assert runner.fit(task, ctx).steps == 12
    log = read_log(ctx.folder)
    assert [line["step"] for line in log if line.get("skipped")] == [4, 5, 6]
    assert log[-1]["loss"] is not None


class Stopper:
    """A monitor that has seen enough after some steps."""

    def __init__(self, after: int) -> None:
        self.after, self.steps, self.ended = after, 0, ""
        self.reason = "the output went silent"
        self.seen: list[Mapping[str, Any]] = []

    @property
    def should_stop(self) -> bool:
        return self.steps >= self.after

    def step(self, **figures: Any) -> None:
        self.steps += 1
        self.seen.append(figures)

    def finish(self, status: str) -> None:
        self.ended = status

    def state_dict(self) -> dict[str, Any]:
        return {"steps": self.steps}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.steps = int(state["steps"])


def test_the_monitors_word_ends_a_training_which_can_go_on(make: Callable[..., Made]) -> None:
    task, ctx = make(monitor=Stopper(4))
    with pytest.raises(Halted, match="the output went silent"):
        runner.fit(task, ctx)
    assert ctx.monitor.ended == "finished"
    assert json.loads((ctx.folder / "stopped.json").read_text())["reason"] == "the output went silent"
    assert "outcome" not in json.loads((ctx.folder / "run.json").read_text())
    assert ctx.monitor.seen[0]["validation"] is not None and ctx.monitor.seen[1]["validation"] is None
    assert float(ctx.monitor.seen[0]["loss"]) > 0 and 0 <= ctx.monitor.seen[-1]["progress"] <= 1
    again = Tiny(ctx.folder.parent / "data" / "data.npz", PLAIN, 0)
    later = replace(ctx, monitor=Stopper(100))
    assert runner.fit(again, later).steps == 6
    assert later.monitor.steps == 6  # four of them before
    assert not (ctx.folder / "stopped.json").exists()


def test_a_failing_monitor_costs_no_training(make: Callable[..., Made]) -> None:
    class Failing(Stopper):
        def step(self, **figures: Any) -> None:
            raise OSError("the disk is full")

    task, ctx = make(monitor=Failing(1))
    assert runner.fit(task, ctx).steps == 6
    assert any("the disk is full" in line and "without it" in line for line in ctx.show.lines)


def test_tasks_that_do_not_fit_are_refused(make: Callable[..., Made]) -> None:
    class Ending(Tiny):
        def batches(self, step: int, rank: int, world: int) -> Iterator[Any]:
            yield from ()

    with pytest.raises(ValueError, match="they must go on for ever"):
        runner.fit(*make(PLAIN, Ending))
    with pytest.raises(ValueError, match="no length; give steps, minutes or a budget"):
        runner.fit(*make(replace(PLAIN, phases=(Phase(),))))
    with pytest.raises(ValueError, match="freezes every parameter"):
        runner.fit(*make(replace(PLAIN, phases=(Phase(steps=1, freeze=("net.*",)),))))


def test_a_partial_load_reports_on_every_tensor() -> None:
    old = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.Linear(5, 6))
    new = torch.nn.ModuleDict(
        {"body": torch.nn.Linear(4, 5), "head": torch.nn.Linear(5, 7), "extra": torch.nn.Linear(2, 2)}
    )
    state = {**old.state_dict(), "2.weight": torch.zeros(1)}
    report = load_partial(new, state, rename=[(r"^0\.", "body."), (r"^1\.", "head.")])
    assert report.loaded == ["body.weight", "body.bias"]
    assert report.missing == ["extra.weight", "extra.bias"]
    assert report.unexpected == ["2.weight"]
    assert report.mismatched == [("head.weight", (7, 5), (6, 5)), ("head.bias", (7,), (6,))]
    assert report.renamed == [("0.weight", "body.weight"), ("0.bias", "body.bias")]
    assert torch.equal(new["body"].weight, old[0].weight)
    assert "2 of another shape (head.weight: [7, 5] here, [6, 5] there" in str(report)
    with pytest.raises(ValueError, match="do not fit"):
        report.require(["extra.*"])
    report.require(["extra.*", "head.*", "2.*"])
    with pytest.raises(ValueError, match="makes two tensors 'x.weight'"):
        load_partial(new, state, rename=[(r"^\d\.", "x.")])


def test_a_training_starts_from_anothers_weights(make: Callable[..., Made]) -> None:
    task, ctx = make()
    runner.fit(task, ctx)
    wide = replace(PLAIN, width=24, phases=(Phase(steps=1, rate=1e-9, batch=16),))
    start = Start(ctx.folder, only=("3.bias",))
    other, other_ctx = make(replace(wide, training=replace(PLAIN.training, start=start)))
    runner.fit(other, other_ctx)
    wanted = runner.weights(ctx.folder)["3.bias"]
    torch.testing.assert_close(other.net[3].bias.detach(), wanted, rtol=0, atol=1e-6)
    assert any("net starts from" in line and "1 tensors loaded" in line for line in other_ctx.show.lines)
    strict = replace(wide, training=replace(PLAIN.training, start=Start(ctx.folder)))
    with pytest.raises(ValueError, match=r"of another shape \(0.weight: \[24, 8\] here, \[16, 8\] there"):
        runner.fit(*make(strict))


def test_discriminators_go_on_where_they_are_asked_to(make: Callable[..., Made]) -> None:
    adversarial = replace(PLAIN, phases=(replace(PLAIN.phases[0], adversarial=True),))
    task, ctx = make(adversarial)
    runner.fit(task, ctx)
    still = (Phase(steps=1, rate=1e-9, adversary_rate=1e-9, batch=16, adversarial=True),)

    def gone_on(start: Start) -> Tiny:
        other, other_ctx = make(replace(PLAIN, phases=still, training=replace(PLAIN.training, start=start)))
        runner.fit(other, other_ctx)
        return other

    learnt = task.critic[0].weight.detach()
    torch.testing.assert_close(gone_on(Start(ctx.folder, adversary=True)).critic[0].weight.detach(), learnt)
    assert not torch.allclose(gone_on(Start(ctx.folder)).critic[0].weight.detach(), learnt, atol=1e-4)
    state = checkpoint.load(ctx.folder / "checkpoint.pt")
    state["models"]["adversary"]["0.weight"] = torch.zeros(24, 8)
    checkpoint.save(ctx.folder / "checkpoint.pt", state)
    with pytest.raises(ValueError, match=r"of another shape \(0.weight: \[16, 8\] here, \[24, 8\] there"):
        gone_on(Start(ctx.folder, adversary=True))
    (ctx.folder / "checkpoint.pt").unlink()
    with pytest.raises(ValueError, match="has no discriminators; leave it out"):
        gone_on(Start(ctx.folder, adversary=True))


def test_a_field_that_came_later_leaves_the_key_while_it_has_its_default(tmp_path: Path) -> None:
    assert "adversary" not in settings(Start(tmp_path))
    assert settings(Start(tmp_path, adversary=True))["adversary"] is True


def test_the_key_is_of_what_a_path_leads_to(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    (tmp_path / "b").write_text("1")
    assert settings(tmp_path / "a") == settings(tmp_path / "b") != settings(tmp_path / "none")
    (tmp_path / "stage.json").write_text('{"key": "abc"}')
    assert settings(tmp_path) == "abc"


def test_tensorboard_has_the_curve_or_its_absence_is_told(
    make: Callable[..., Made], monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    except ImportError:
        EventAccumulator = None
    task, ctx = make()
    runner.fit(task, ctx)
    if EventAccumulator is not None:
        events = EventAccumulator(str(ctx.folder / "board"))
        events.Reload()
        steps = [event.step for event in events.Scalars("loss")]
        assert steps == [line["step"] for line in read_log(ctx.folder) if "loss" in line]
        assert events.Scalars("held_out/loss")
    import sys

    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    task, ctx = make()
    runner.fit(task, ctx)
    assert sum("tensorboard is not installed" in line for line in ctx.show.lines) == 1
    assert not (ctx.folder / "board").exists() and len(read_log(ctx.folder)) == 7


def test_defaults_are_valid() -> None:
    assert Training().every > 0
    with pytest.raises(ValueError, match="average = 1"):
        Training(average=1.0)
