"""What counts as on: each kind of unit, each layout of tensors, each way of calling an activation."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from torch import nn as tnn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from rtvoice import nn as rnn  # noqa: E402
from rtvoice.train.monitor.census import ALWAYS, NEVER, VARIES, Count, Judge, Rolling  # noqa: E402
from rtvoice.train.monitor.recorder import Recorder  # noqa: E402

torch.set_num_threads(1)


def watch(model: torch.nn.Module, x: torch.Tensor) -> dict[str, Count]:
    recorder = Recorder({"": model})
    recorder.attach()
    model(x)
    recorder.detach()
    return recorder.collect()


def biased(layer: torch.nn.Module, biases: list[float]) -> torch.nn.Module:
    """Weights of 0.1 and these biases: units that are surely on, surely off, or depend on the input's sign."""
    with torch.no_grad():
        layer.weight.fill_(0.1)
        layer.bias.copy_(torch.tensor(biases))
    return layer


def batch(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0)).clamp(-3, 3)


BIASES = [9.0, -9.0, 0.0]
CODES = [ALWAYS, NEVER, VARIES]


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (tnn.Sequential(biased(tnn.Conv1d(2, 3, 1), BIASES), tnn.ReLU()), (4, 2, 50)),
        (tnn.Sequential(biased(tnn.Linear(2, 3), BIASES), tnn.ReLU(inplace=True)), (4, 50, 2)),
        (tnn.Sequential(biased(tnn.Linear(2, 3), BIASES), tnn.GELU()), (40, 2)),
        (rnn.Sequential(biased(rnn.Linear(2, 3), BIASES), rnn.ReLU()), (4, 50, 2)),
        (rnn.Sequential(biased(rnn.Conv1d(2, 3, 1), BIASES), rnn.SiLU()), (4, 50, 2)),
        (tnn.Sequential(biased(tnn.Conv1d(2, 3, 1), BIASES), tnn.LeakyReLU(0.1)), (4, 2, 50)),
        (tnn.Sequential(biased(tnn.Conv2d(2, 3, 1), BIASES), tnn.ELU()), (4, 2, 7, 9)),
    ],
    ids=["conv", "linear", "rows", "rtvoice-linear", "rtvoice-conv", "leaky", "conv2d"],
)
def test_units_are_told_apart_in_every_layout(model: torch.nn.Module, shape: tuple[int, ...]) -> None:
    scale = 60.0 if isinstance(model[1] if hasattr(model, "__getitem__") else model.items[1], rnn.SiLU) else 20.0
    (count,) = watch(model, scale * batch(*shape)).values()
    assert count.by_frame()[2] == VARIES
    plain = watch(model, 0.1 * batch(*shape))
    (count,) = plain.values()
    assert list(count.by_frame()[:2]) == CODES[:2]
    assert count.units == 3


def test_three_units_of_a_square_tensor_are_counted_along_the_right_axis() -> None:
    # Three channels and three frames: only the layer that came before tells which axis is which.
    conv = tnn.Sequential(biased(tnn.Conv1d(2, 3, 1), BIASES), tnn.ReLU())
    linear = tnn.Sequential(biased(tnn.Linear(2, 3), BIASES), tnn.ReLU())
    for model, x in ((conv, batch(64, 2, 3)), (linear, batch(64, 3, 2))):
        (count,) = watch(model, x).values()
        assert list(count.by_frame()) == CODES


def test_examples_are_counted_as_well_as_frames() -> None:
    model = tnn.Sequential(biased(tnn.Linear(1, 2), [0.0, -0.25]), tnn.ReLU())
    x = -torch.ones(4, 10, 1)
    x[:, 3] = 1.0  # one frame of every example turns unit 0 on
    x[2, 5] = 5.0  # one frame of one example turns unit 1 on
    (count,) = watch(model, x).values()
    assert list(count.by_frame()) == [VARIES, VARIES]
    assert list(count.by_example()) == [ALWAYS, VARIES]
    assert list(count.on_frames) == [5, 1]
    assert (count.frames, count.examples) == (40, 4)


@pytest.mark.parametrize(
    ("activation", "closed", "open_"),
    [
        (tnn.SiLU(), -4.5, -3.5),
        (tnn.GELU(), -2.6, -2.0),
        (tnn.Tanh(), 3.0, 1.0),
        (tnn.Sigmoid(), -5.0, -3.0),
        (tnn.Softplus(), -3.5, -2.0),
        (tnn.Hardswish(), -3.5, -2.0),
        (tnn.ELU(), -3.5, -2.0),
        (tnn.Mish(), -4.5, -3.5),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, torch.nn.Module) else str(value),
)
def test_a_unit_is_off_where_under_five_percent_of_the_slope_is_left(
    activation: torch.nn.Module, closed: float, open_: float
) -> None:
    x = torch.tensor([closed, open_], requires_grad=True)
    activation(x).sum().backward()
    steepest = torch.linspace(-8, 8, 1001, requires_grad=True)
    activation(steepest).sum().backward()
    shares = x.grad.abs() / steepest.grad.abs().max()
    assert shares[0] < 0.055 < shares[1]
    for value, code in ((closed, NEVER), (open_, ALWAYS)):
        (count,) = watch(tnn.Sequential(biased(tnn.Linear(1, 1), [value]), activation), torch.zeros(4, 8, 1)).values()
        assert count.by_frame()[0] == code


def test_gates_are_judged_by_what_opens_them() -> None:
    conv = biased(tnn.Conv1d(1, 4, 1), [0.0, 0.0, -20.0, 20.0])
    (count,) = watch(tnn.Sequential(conv, tnn.GLU(dim=1)), batch(4, 1, 50)).values()
    assert list(count.by_frame()) == [NEVER, ALWAYS]


def test_a_gru_is_saturated_or_flat_where_it_says_nothing() -> None:
    gru = rnn.GRU(1, 3)
    with torch.no_grad():
        for p in gru.parameters():
            p.zero_()
        # Update gate always open; candidate: saturated, deaf, and listening.
        gru.cell.bias_ih_l0[3:6] = -20.0
        gru.cell.bias_ih_l0[6] = 20.0
        gru.cell.weight_ih_l0[8, 0] = 0.3
    counts = watch(gru, batch(4, 30, 1))
    (count,) = counts.values()
    assert list(count.by_frame()) == [NEVER, ALWAYS, ALWAYS]
    assert list(count.flat()) == [True, True, False]
    assert list(counts) == ["cell"]


def test_a_snake_has_no_off_side_but_can_be_flat() -> None:
    class Snake(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + torch.sin(x).square()

    layer = tnn.Linear(1, 2)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0], [0.0]]))
    (count,) = watch(tnn.Sequential(layer, Snake()), batch(4, 30, 1)).values()
    assert list(count.by_frame()) == [ALWAYS, ALWAYS]
    assert list(count.flat()) == [False, True]


def test_functions_are_seen_where_there_is_no_module() -> None:
    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = biased(tnn.Conv1d(1, 3, 1), BIASES), tnn.Conv1d(3, 5, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.tanh(self.second(F.relu(self.first(x))))

    counts = watch(Net(), 0.1 * batch(4, 1, 50))
    assert {name: count.units for name, count in counts.items()} == {"first/relu": 3, "second/tanh": 5}
    assert list(counts["first/relu"].by_frame()) == CODES


def test_one_activation_object_used_twice_gives_two_layers() -> None:
    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.wide, self.narrow, self.act = tnn.Linear(2, 6), tnn.Linear(6, 3), tnn.ReLU()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.act(self.narrow(self.act(self.wide(x))))

    counts = watch(Net(), batch(4, 10, 2))
    assert {name: count.units for name, count in counts.items()} == {"wide/relu": 6, "narrow/relu": 3}


def test_a_layer_applied_twice_is_one_layer_with_both_counts() -> None:
    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.act = tnn.Linear(2, 2), tnn.ReLU()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.act(self.layer(self.act(self.layer(x))))

    (count,) = watch(Net(), batch(4, 10, 2)).values()
    assert (count.frames, count.examples) == (80, 8)


def test_mean_and_deviation_are_those_of_the_output() -> None:
    model, x = tnn.Sequential(tnn.Conv1d(2, 8, 3), tnn.SiLU()), 3 + batch(4, 2, 60)
    (count,) = watch(model, x).values()
    with torch.no_grad():
        y = model(x).movedim(1, -1).reshape(-1, 8).double().numpy()
    np.testing.assert_allclose(count.mean(), y.mean(0), atol=1e-5)
    np.testing.assert_allclose(count.deviation(), y.std(0), atol=1e-5)


def test_large_layers_are_thinned_out_to_a_bounded_amount_of_work() -> None:
    recorder = Recorder({"": (model := tnn.Sequential(tnn.Conv1d(1, 64, 1), tnn.ReLU()))}, limit=4096)
    recorder.attach()
    model(batch(16, 1, 3000))
    recorder.detach()
    (count,) = recorder.collect().values()
    assert 32 <= count.frames <= 80
    assert count.examples == 16


def test_counts_add_up_and_old_batches_are_forgotten() -> None:
    def count(on: float) -> Count:
        return Count("relu", 10, 1, np.array([on]), np.array([float(on > 0)]), 10, np.zeros(1), np.ones(1))

    rolling = Rolling(batches=2)
    rolling.add({"a": count(10)})
    for _ in range(3):
        rolling.add({"a": count(0)})
    assert rolling.counts()["a"].on_frames[0] == 10
    rolling.add({"a": count(0)})
    assert rolling.counts()["a"].by_frame()[0] == NEVER
    vector = (count(3) + count(4)).to_vector()
    assert Count.from_vector("relu", vector).on_frames[0] == 7


def test_flow_tells_the_revived_from_the_newly_dead() -> None:
    def count(on: list[float]) -> dict[str, Count]:
        x = np.array(on)
        return {"a": Count("relu", 10, 1, x, np.sign(x), 10, x, x + 1)}

    judge = Judge({"relu": True})
    judge(count([0, 5, 10, 0]))
    (layer,) = judge(count([4, 0, 10, 0]))
    assert (layer.revived, layer.newly_dead, layer.never) == (0.25, 0.25, 0.5)
    assert not layer.dead
    (layer,) = judge(count([0, 0, 0, 0]))
    assert layer.dead


def test_drift_is_counted_in_first_deviations() -> None:
    def count(mean: float) -> dict[str, Count]:
        n = 100.0
        return {
            "a": Count("relu", n, 1, np.ones(3), np.ones(3), n, np.full(3, n * mean), np.full(3, n * (mean**2 + 4)))
        }

    judge = Judge({})
    judge(count(1.0))
    (layer,) = judge(count(7.0))
    assert layer.drift == pytest.approx(3.0)
