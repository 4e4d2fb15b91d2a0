"""The monitor in a loop: it sees, it changes nothing, it costs little, it ends what must end."""

from __future__ import annotations

import copy
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from torch import nn  # noqa: E402

from rtvoice.train.monitor import Monitor, Rule, Store  # noqa: E402
from rtvoice.train.monitor.schedule import Schedule  # noqa: E402

torch.set_num_threads(1)
# Some tests give losses alone, and call no network.
pytestmark = pytest.mark.filterwarnings("ignore:the monitor saw no unit:UserWarning")
PYTHON = str(Path(__file__).parents[3] / "python")


class Net(nn.Module):
    """Two convolutions and a dropout, which draws from torch's own generator."""

    def __init__(self, bias: float = 0.0, width: int = 8) -> None:
        super().__init__()
        self.enter, self.act, self.drop = nn.Conv1d(1, width, 9, padding=4), nn.ReLU(), nn.Dropout(0.1)
        self.leave = nn.Conv1d(width, 1, 9, padding=4)
        with torch.no_grad():
            self.enter.bias.add_(bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.leave(self.drop(self.act(self.enter(x))))


def train(
    steps: int,
    *,
    model: nn.Module | None = None,
    call: Any = None,
    watched: bool = True,
    accumulate: int = 1,
    autocast: bool = False,
    spoil: float = 1.0,
    **options: Any,
) -> tuple[nn.Module, Monitor | None]:
    torch.manual_seed(0)
    model = model if model is not None else Net()
    call = model if call is None else call
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    options = {"run": "a", "store": None, "total": steps, "every": 1} | options
    monitor = Monitor(call, **options) if watched else None
    draws = torch.Generator().manual_seed(1)
    for _ in range(steps):
        optimizer.zero_grad()
        for _ in range(accumulate):
            x = 0.3 * torch.randn(4, 1, 2048, generator=draws)
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
                y = call(x)
            loss = (y.float() - 0.5 * x).square().mean() * spoil
            loss.backward()
        optimizer.step()
        if monitor is not None:
            monitor.step(loss=loss, outputs=y, targets=0.5 * x)
            if monitor.should_stop:
                break
    if monitor is not None:
        monitor.finish()
    return model, monitor


def test_three_lines_fill_the_store(tmp_path: Path) -> None:
    train(12, store=tmp_path / "runs.db", config={"rate": 0.1})
    with Store(tmp_path / "runs.db", create=False) as store:
        run = store.run("a")
        assert (run.status, run.steps, run.progress, run.config) == ("finished", 12, 1.0, {"rate": 0.1})
        assert run.cpu_seconds > 0
        series = store.series("a")
        names = {"loss", "never", "spread", "mean_drift", "power_gap", "gradient_norm", "update_ratio", "seconds"}
        assert names <= set(series)
        assert list(series["loss"][:, 0]) == list(range(1, 13))
        assert {row["layer"] for row in store.layers("a", "probe")} == {"enter/relu"}
        assert len(store.layers("a", "batches")) == 12


def test_training_is_the_same_to_the_bit_with_and_without() -> None:
    plain, _ = train(6, watched=False)
    watched, _ = train(6, watched=True)
    for ours, theirs in zip(plain.parameters(), watched.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    assert watched.training and watched.drop.training


def test_hooks_are_there_at_sampled_steps_only() -> None:
    model = Net()
    monitor = Monitor(model, run="a", store=None, every=3)

    def hooks() -> int:
        return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())

    seen = []
    for _ in range(7):
        seen.append(hooks() > 0)
        loss = model(torch.randn(2, 1, 2048)).square().mean()
        monitor.step(loss=loss)
    assert seen == [True, False, False, True, False, False, True]
    monitor.finish()
    assert hooks() == 0


@pytest.mark.parametrize("total", [2000, None])
@pytest.mark.parametrize(
    ("step_ms", "sample_ms", "probe_ms", "first_ms"), [(40, 5, 10, 60), (5, 3, 2, 50), (400, 8, 30, 90)]
)
def test_the_share_of_the_time_stays_within_the_budget(
    total: int | None, step_ms: float, sample_ms: float, probe_ms: float, first_ms: float
) -> None:
    schedule = Schedule(0.008, total)
    spent, sampled, probed, probe = 0.0, [], 0, True
    for step in range(1, 2001):
        if step == 5:
            schedule.note_step(28.0)  # a compilation, or a stall, is no measure of a step
        if step < schedule.next:
            schedule.note_step(step_ms / 1000)
            continue
        cost = (first_ms if not sampled else sample_ms) + (probe_ms if probe else 0)
        spent += cost
        probed += probe
        sampled.append(step)
        schedule.note_sample(cost / 1000, probe_ms / 1000 if probe else 0.0)
        schedule.next, probe = step + schedule.wait(step), schedule.probe_due(step)
    assert spent / (2000 * step_ms) < 0.009
    affordable = 0.008 * 2000 * step_ms / (sample_ms + probe_ms)
    assert len(sampled) > 0.3 * min(affordable, 60)
    assert probed >= (2 if 0.008 * 2000 * step_ms > 2 * first_ms else 1)
    assert max(np.diff(sampled)) <= 250 + 1 or total is None
    if total:
        assert sum(step <= 400 for step in sampled) > 0.2 * len(sampled)  # the first fifth is watched more closely


def test_a_step_that_is_not_sampled_costs_microseconds() -> None:
    monitor = Monitor(Net(), run="a", store=None, every=10**9)
    monitor.step(loss=1.0)
    loss = torch.tensor(1.0)
    began = time.process_time()
    for _ in range(2000):
        monitor.step(loss=loss)
    assert (time.process_time() - began) / 2000 < 100e-6


@pytest.mark.parametrize("accumulate", [1, 3])
def test_all_accumulated_batches_are_counted(accumulate: int) -> None:
    _, monitor = train(4, accumulate=accumulate)
    counts = monitor._rolling.counts()["enter/relu"]
    assert counts.examples == 4 * 4 * accumulate


def test_mixed_precision_is_watched() -> None:
    _, monitor = train(4, autocast=True)
    assert monitor.layers[0].units == 8
    assert np.isfinite(monitor.values["spread"])


@pytest.mark.parametrize("how", ["wrapped", "in-place"])
def test_a_compiled_network_is_watched_from_outside(how: str) -> None:
    torch._dynamo.reset()
    graphs, calls = [], []

    def backend(graph: Any, inputs: Any) -> Any:
        graphs.append(graph)

        def call(*args: Any) -> Any:
            calls.append(1)
            return graph.forward(*args)

        return call

    torch.manual_seed(2)
    model = Net()
    plain, _ = train(6, model=copy.deepcopy(model), watched=False)
    if how == "wrapped":
        call: Any = torch.compile(model, backend=backend)
    else:
        model.compile(backend=backend)
        call = model
    _, monitor = train(6, model=model, call=call)
    assert [layer.name for layer in monitor.layers] == ["enter/relu"]
    assert [layer.name for layer in monitor.batch_layers] == ["enter/relu"]
    assert monitor._rolling.counts()["enter/relu"].examples > 0
    # One graph, called once a step; replays are not compiled, and make nothing compile again.
    assert len(graphs) == 1
    assert len(calls) == 6
    for ours, theirs in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_mixed_precision_inside_a_network_is_replayed_as_it_was() -> None:
    # The second network gets bfloat16 from the first: outside of autocast its own float32 weights would not fit.
    parts = nn.ModuleDict(
        {"a": nn.Sequential(nn.Linear(2, 4), nn.ReLU()), "b": nn.Sequential(nn.Linear(4, 4), nn.ReLU())}
    )
    monitor = Monitor(parts, run="a", store=None, every=1)
    for _ in range(2):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y = parts["b"](parts["a"](torch.randn(8, 2)))
        assert y.dtype == torch.bfloat16
        monitor.step(loss=y.float().mean())
    assert [layer.name for layer in monitor.layers] == ["a.0/relu", "b.0/relu"]
    assert monitor._recorder.failure is None


@dataclass(frozen=True)
class Heard:
    """Arguments that come together, as the master's do."""

    signal: torch.Tensor
    gains: dict[str, torch.Tensor]


def test_a_network_that_is_called_with_a_dataclass_is_watched() -> None:
    class Wrapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = Net()

        def forward(self, heard: Heard, *, start: torch.Tensor) -> torch.Tensor:
            return self.net(heard.signal * heard.gains["all"][:, None, None]) + start[:, None, None]

    model = Wrapped()
    monitor = Monitor(model, run="a", store=None, every=1)
    for _ in range(2):  # more examples than the probe keeps
        said = Heard(torch.randn(9, 1, 256), {"all": torch.ones(9)})
        monitor.step(loss=model(said, start=torch.zeros(9)).square().mean())
    assert monitor._recorder.failure is None
    assert [layer.name for layer in monitor.layers] == ["net.enter/relu"]


def test_a_network_that_cannot_be_watched_trains_on() -> None:
    class Odd(Net):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if not torch.is_grad_enabled():
                raise RuntimeError("only ever trained")
            return super().forward(x)

    with pytest.warns(UserWarning, match="could not watch all of the network .RuntimeError: only ever trained"):
        _, monitor = train(5, model=Odd())
    assert monitor.step_count == 5
    assert monitor.batch_layers[0].units == 8


def test_several_networks_are_watched_as_one() -> None:
    parts = nn.ModuleDict({"encoder": nn.Sequential(nn.Linear(2, 4), nn.ReLU()), "decoder": nn.Linear(4, 1)})
    monitor = Monitor(parts, run="a", store=None, every=1)
    for _ in range(3):
        loss = parts["decoder"](parts["encoder"](torch.randn(5, 2))).square().mean()
        loss.backward()
        monitor.step(loss=loss)
    assert [layer.name for layer in monitor.layers] == ["encoder.0/relu"]
    assert monitor.values["gradient_norm"] > -20


def test_a_probe_is_answered_as_the_caller_says() -> None:
    model = Net()
    probe = torch.randn(3, 1, 512)
    seen = []

    def forward(net: Net, x: torch.Tensor) -> torch.Tensor:
        seen.append((tuple(x.shape), net.training, torch.is_grad_enabled()))
        return net.act(net.enter(x))

    _, monitor = train(3, model=model, probe=probe, forward=forward)
    assert seen == [((3, 1, 512), False, False)] * 3
    assert model.training
    assert monitor.layers[0].codes.size == 8
    with pytest.raises(ValueError, match="nothing varies in the probe"):
        Monitor(model, run="b", store=None, probe=torch.zeros(3, 1, 512))


def test_a_monitor_that_sees_nothing_says_so_once() -> None:
    with pytest.warns(UserWarning, match="saw no unit") as caught:
        _, _ = train(3, model=nn.Conv1d(1, 1, 1))
    assert len(caught) == 1


def test_dead_units_are_seen() -> None:
    _, monitor = train(4, model=Net(bias=-9.0))
    assert monitor.values["never"] == 1.0
    assert (monitor.values["dead_layers"], monitor.values["blocked"]) == (1.0, 1.0)
    _, monitor = train(4)
    assert monitor.values["never"] < 0.5
    assert (monitor.values["dead_layers"], monitor.values["blocked"]) == (0.0, 0.0)


def test_a_dead_layer_that_the_signal_gets_around_ends_nothing() -> None:
    class Residual(Net):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + super().forward(x)

    _, monitor = train(30, model=Residual(bias=-9.0), kill=True, survivors=0.0)
    assert not monitor.should_stop
    assert (monitor.values["dead_layers"], monitor.values["blocked"]) == (1.0, 0.0)


def test_shadow_mode_only_notes_what_it_would_have_done(tmp_path: Path) -> None:
    _, monitor = train(30, model=Net(bias=-9.0), store=tmp_path / "runs.db", survivors=0.0)
    assert not monitor.should_stop
    assert monitor.step_count == 30
    with Store(tmp_path / "runs.db") as store:
        (decision,) = store.decisions()
        assert (decision["rule"], decision["action"]) == ("blocked", "shadow")
        assert store.run("a").status == "finished"


def test_kill_ends_the_run_after_a_checkpoint_and_says_why(tmp_path: Path) -> None:
    saved = []
    options = {"store": tmp_path / "runs.db", "survivors": 0.0, "folder": tmp_path, "kill": True}
    _, monitor = train(30, model=Net(bias=-9.0), checkpoint=lambda: saved.append(True), **options)
    assert monitor.should_stop
    assert monitor.step_count < 30
    assert saved == [True]
    told = json.loads((tmp_path / "killed.json").read_text())
    assert told["rule"] == "blocked" and "spare a" in told["resume"]
    with Store(tmp_path / "runs.db") as store:
        assert store.run("a").status == "killed"
        store.spare("a")
    # Spared by hand, it goes on where it was, and no rule but a loss of numbers ends it.
    _, monitor = train(30, model=Net(bias=-9.0), start=monitor.step_count, **options)
    assert not monitor.should_stop
    with Store(tmp_path / "runs.db") as store:
        assert store.run("a").status == "finished"
        assert {d["action"] for d in store.decisions()} == {"kill", "survivor"}


def test_chance_spares_a_tenth_of_the_runs() -> None:
    from rtvoice.train.monitor.pruning import is_survivor

    names = [f"run-{i}" for i in range(2000)]
    share = np.mean([is_survivor(name, 0.1) for name in names])
    assert 0.07 < share < 0.13
    assert [is_survivor(n, 0.1) for n in names[:50]] == [is_survivor(n, 0.1) for n in names[:50]]
    assert not any(is_survivor(name, 0.0) for name in names)


def test_survivors_live_on() -> None:
    _, monitor = train(30, model=Net(bias=-9.0), survivors=1.0, kill=True)
    assert not monitor.should_stop
    assert [d.rule for d in monitor.decisions] == ["blocked"]


def test_numbers_that_are_not_finite_end_any_run() -> None:
    _, monitor = train(30, spoil=float("inf"), survivors=1.0, kill=True)
    assert monitor.should_stop
    assert monitor.step_count <= 4
    assert "not finite" in monitor.reason


def test_one_bad_batch_ends_nothing() -> None:
    monitor = Monitor(Net(), run="a", store=None, every=1, kill=True)
    for step in range(10):
        monitor.step(loss=float("nan") if step == 4 else 1.0)
    assert not monitor.should_stop


def test_a_silent_output_ends_the_run() -> None:
    x = 0.1 * torch.randn(2, 4096)
    for level, wanted in ((1e-5, True), (0.5, False)):
        monitor = Monitor(Net(), run="a", store=None, every=1, total=100, kill=True, survivors=0.0)
        for _ in range(20):
            monitor.step(loss=1.0, outputs=level * x, targets=x)
        assert monitor.should_stop == wanted


def test_learned_rules_wait_for_their_time_and_for_patience() -> None:
    rule = Rule("loss", 0.2, 5.0, True, runs=80, bad=60, flagged=59, hits=59, bound=0.95)

    def ended(losses: list[float]) -> int | None:
        monitor = Monitor(Net(), run="a", store=None, every=1, total=100, kill=True, survivors=0.0, rules=[rule])
        for step, loss in enumerate(losses, 1):
            monitor.step(loss=loss)
            if monitor.should_stop:
                assert "of 59 past runs like that 59 ended badly" in monitor.reason
                return step
        return None

    assert ended([9.0] * 100) == 21
    assert ended([1.0] * 100) is None
    assert ended([9.0] * 15 + [1.0] * 85) is None  # better when its time comes
    assert ended([1.0] * 60 + [9.0] * 40) is None  # a rule about the start says nothing about the end


def test_a_run_goes_on_where_its_checkpoint_was(tmp_path: Path) -> None:
    store = tmp_path / "runs.db"
    _, first = train(10, store=store, total=20)
    _, second = train(12, store=store, total=20, start=8)
    assert second.step_count == 20
    with Store(store) as opened:
        steps = opened.series("a", "loss")["loss"][:, 0]
        assert list(steps) == list(range(1, 21))
        assert opened.run("a").seconds > 0
    # Drift is still counted from the first start.
    ours, theirs = (m._probe_judge.baseline["enter/relu"][0] for m in (first, second))
    np.testing.assert_array_equal(ours, theirs)
    _, _ = train(5, store=store, total=20)
    with Store(store) as opened:
        assert opened.run("a").steps == 5


def test_a_failing_store_does_not_end_training(tmp_path: Path) -> None:
    model = Net()
    monitor = Monitor(model, run="a", store=tmp_path / "runs.db", every=1)
    monitor._store.close()
    with pytest.warns(UserWarning, match="the run store failed"):
        for _ in range(3):
            monitor.step(loss=model(torch.randn(2, 1, 2048)).square().mean())
    monitor.finish()
    assert monitor.step_count == 3


def test_adversary_catching_is_found_in_the_discriminators_loss() -> None:
    monitor = Monitor(Net(), run="a", store=None, every=1, total=60)
    rng = np.random.default_rng(0)
    for step in range(60):
        d = 2.0 - max(0, step - 30) * 0.05 + 0.02 * rng.normal()
        monitor.step(loss=3.0, content=3 * np.exp(-step / 8), discriminator=d, generator=1.0)
    assert monitor.values["adversary_caught"] == 1.0
    assert monitor.values["balance"] == pytest.approx(np.log10(d), abs=0.05)
    assert 0 < monitor.values["adversary_lag"] < 0.6


def test_a_killed_process_leaves_a_whole_store(tmp_path: Path) -> None:
    program = textwrap.dedent(
        f"""
        import sys; sys.path.insert(0, {PYTHON!r})
        import torch
        from rtvoice.train.monitor import Monitor
        torch.set_num_threads(1)
        model = torch.nn.Sequential(torch.nn.Linear(8, 64), torch.nn.ReLU(), torch.nn.Linear(64, 8))
        monitor = Monitor(model, run="a", store={str(tmp_path / "runs.db")!r}, every=1)
        for step in range(100_000):
            x = torch.randn(16, 8)
            monitor.step(loss=model(x).square().mean(), outputs=x, targets=x)
            if step == 20:
                print("going", flush=True)
        """
    )
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "going\n"
    time.sleep(0.2)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    with Store(tmp_path / "runs.db", create=False) as store:
        assert store._db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        run = store.run("a")
        assert run.status == "running" and run.steps >= 20
        assert len(store.series("a")["loss"]) == run.steps
        assert len({row["step"] for row in store.layers("a", "batches")}) == run.steps


def test_two_processes_share_counts_and_decisions(tmp_path: Path) -> None:
    program = tmp_path / "rank.py"
    program.write_text(
        textwrap.dedent(
            f"""
            import json, sys; sys.path.insert(0, {PYTHON!r})
            import torch, torch.distributed as dist
            from torch.nn.parallel import DistributedDataParallel
            from rtvoice.train.monitor import Monitor
            torch.set_num_threads(1)
            rank, where = int(sys.argv[1]), sys.argv[2]
            dist.init_process_group("gloo", init_method="file://" + where + "/meet", rank=rank, world_size=2)
            torch.manual_seed(0)
            net = torch.nn.Sequential(torch.nn.Linear(1, 4), torch.nn.ReLU(), torch.nn.Linear(4, 1))
            with torch.no_grad():
                net[0].weight.copy_(torch.tensor([[1.0], [-1.0], [0.0], [0.0]]))
                net[0].bias.copy_(torch.tensor([0.0, 0.0, -1.0, 1.0]))
            model = DistributedDataParallel(net)
            optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
            monitor = Monitor(model, run="a", store=where + "/runs.db", every=2, total=12, kill=True, survivors=0.0)
            stopped = None
            for step in range(12):
                # Rank 0 sees only positive numbers, rank 1 only negative ones.
                x = torch.rand(8, 5, 1) + 0.1
                x = x if rank == 0 else -x
                loss = model(x).square().mean()
                optimizer.zero_grad(); loss.backward(); optimizer.step()
                audio = torch.randn(2, 2048)
                monitor.step(loss=loss * 0 + rank, outputs=0 * audio, targets=audio)
                if monitor.should_stop:
                    stopped = step
                    break
            dist.barrier()
            (layer,) = monitor.layers
            count = monitor._rolling.counts()["0/relu"]
            told = [stopped, layer.codes.tolist(), count.examples, monitor.values["loss"]]
            monitor.finish()
            print(json.dumps(told))
            """
        )
    )
    ranks = [
        subprocess.Popen([sys.executable, str(program), str(r), str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for r in (0, 1)
    ]
    told = [json.loads(child.communicate(timeout=240)[0]) for child in ranks]
    assert told[0] == told[1]
    stopped, codes, examples, loss = told[0]
    # Units 0 and 1 vary only when both ranks are put together; unit 2 is dead, unit 3 always on.
    assert codes == [1, 1, 0, 2]
    assert examples == 16 * 3
    assert loss == 0.5
    assert stopped == 4  # third silent sample: steps 1, 3 and 5
    with Store(tmp_path / "runs.db") as store:
        assert store.run("a").status == "killed"
        assert [d["rule"] for d in store.decisions()] == ["output_silent"]


def test_the_share_that_is_shown_leaves_out_what_is_set_up_once() -> None:
    schedule = Schedule(0.006, 60)
    for _ in range(20):
        schedule.note_step(0.001)
    schedule.note_sample(2.0, 0.0)  # hooks, the probe, torch's first calls
    assert np.isnan(schedule.share(30))
    schedule.note_sample(0.0002, 0.0)
    assert schedule.share(60) == pytest.approx(0.0004 / 0.060, rel=1e-6)
