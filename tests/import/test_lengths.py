"""What is computed from the length or from a time index must be the same for every length, not only for two."""

from __future__ import annotations

import numpy as np
import pytest

from rtvoice.export.onnx.symbols import (
    Form,
    Symbol,
    added,
    beyond,
    chosen,
    compared,
    constant,
    rounded,
    scaled,
    sizes_of,
    through,
    variable,
    whole,
)

NO_END = 2**40


def frames(net, x, axis=2):
    """Return the number of frames of (1, channels, T)."""
    return net("Gather", net("Shape", x), np.int64(axis))


def places(net, x):
    """Return 0, 1, 2, ... for each frame."""
    return net("Range", np.int64(0), frames(net, x), np.int64(1))


def gated(net, condition, name="gate"):
    return net.model(net("Mul", net.x, net("Cast", condition, to=1), name=name))


@pytest.mark.parametrize(
    ("build", "told"),
    [
        (lambda n: n("Less", places(n, n.x), np.int64(200_000)), "changes at frame 200000"),
        (lambda n: n("Not", n("GreaterOrEqual", places(n, n.x), np.int64(10**9))), "changes at frame 1000000000"),
        (lambda n: n("Less", n("Mul", places(n, n.x), np.int64(2)), np.int64(600_000)), "changes at frame 300000"),
        (lambda n: n("Less", n("Max", places(n, n.x), np.int64(7)), np.int64(200_000)), "changes at frame 200000"),
        (lambda n: n("Equal", n("Div", places(n, n.x), np.int64(200_000)), np.int64(0)), "changes at frame"),
        (lambda n: n("Less", frames(n, n.x), np.int64(10**6)), "times as long"),
        (lambda n: n("Equal", n("Mod", frames(n, n.x), np.int64(2)), np.int64(0)), "remainder of the length"),
        (
            lambda n: n("Less", n("Sin", n("Mul", n("Cast", places(n, n.x), to=1), np.float32(1e-7))), np.float32(1)),
            "cannot be followed",
        ),
    ],
    ids=["less", "not", "slope", "max", "div", "length", "parity", "sine"],
)
def test_a_switch_beyond_what_is_followed_is_refused(build, told, net, refused):
    message = refused(gated(net, build(net)))
    assert told in message and "'gate'" in message and "torch.arange(T)" in message


def test_a_ramp_that_ends_far_away(net, refused):
    ramp = net("Clip", net("Div", net("Cast", places(net, net.x), to=1), np.float32(2e5)), np.float32(0), np.float32(1))
    assert "changes at frame 200000" in refused(net.model(net("Mul", net.x, ramp, name="fade")))


@pytest.mark.parametrize(
    "build",
    [
        lambda n: n("Less", places(n, n.x), frames(n, n.x)),
        lambda n: n("GreaterOrEqual", places(n, n.x), np.int64(0)),
        lambda n: n("Greater", n("CumSum", n("Expand", np.float32([1]), n("Shape", n.x)), np.int64(2)), np.float32(0)),
        lambda n: n("Equal", n("Sub", places(n, n.x), places(n, n.x)), np.int64(0)),
        lambda n: n("Where", n("Less", places(n, n.x), frames(n, n.x)), np.float32(1), np.float32(0)),
        lambda n: n("Or", n("Less", places(n, n.x), np.int64(10**9)), np.array(True)),
        lambda n: n("Greater", frames(n, n.x), np.int64(2)),
    ],
    ids=["padding mask", "from 0", "counted", "difference", "where", "or", "long enough"],
)
def test_a_mask_that_is_open_for_every_length_does_nothing(build, net, imported):
    assert imported(gated(net, build(net))).latency == 0


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (lambda n, t: n("Div", t, np.int64(10**6)), None),
        (None, lambda n, t: n("Min", t, np.int64(200_000))),
        (lambda n, t: n("Where", n("Less", t, np.int64(10**6)), np.int64(0), np.int64(3)), None),
    ],
    ids=["start", "end", "where"],
)
def test_cuts_that_change_for_longer_recordings(start, end, make_net, refused):
    net = make_net(opset=17)
    count = frames(net, net.x)
    first = net.ints(0) if start is None else net("Unsqueeze", start(net, count), net.ints(0))
    last = net.ints(NO_END) if end is None else net("Unsqueeze", end(net, count), net.ints(0))
    message = refused(net.model(net("Slice", net.x, first, last, net.ints(2), name="cut")))
    assert "'cut'" in message and "a stream has no length" in message


FAR = 144_000  # three seconds at 48 kHz, beyond both lengths followed


def sliced(net, start, end, **attrs):
    return net("Slice", net.x, net.ints(start), net.ints(end), net.ints(2), **attrs)


@pytest.mark.parametrize(
    ("start", "end", "told"),
    [
        (0, FAR, f"keeps the first {FAR} frames of"),
        (10, FAR, f"keeps frames 10 to {FAR - 1} of"),
        (0, 2**31 - 2, f"keeps the first {2**31 - 2} frames of"),
        (-FAR, NO_END, f"keeps the newest {FAR} frames alone"),
        (FAR, NO_END, f"leaves out the first {FAR} frames"),
        (0, -FAR, f"leaves out the last {FAR} frames"),
    ],
)
def test_cuts_beyond_what_is_followed(start, end, told, net, refused):
    message = refused(net.model(sliced(net, start, end, name="cut")))
    assert "'cut'" in message and told in message


def test_a_beginning_kept_alone_far_away(net, refused):
    """`F.pad(x[..., :144000], (0, T))[..., :T]`: three seconds of sound, and then silence."""
    count = net("Unsqueeze", frames(net, net.x), net.ints(0))
    wide = net("Pad", sliced(net, 0, FAR, name="cut"), net("Concat", net.ints(0, 0, 0, 0, 0), count, axis=0))
    message = refused(net.model(net("Slice", wide, net.ints(0), count, net.ints(2))))
    assert "'cut'" in message and f"the first {FAR} frames" in message


def test_a_time_index_cut_far_away(net, refused):
    index = net("Slice", places(net, net.x), net.ints(0), net.ints(FAR), net.ints(0))
    assert "cannot be followed" in refused(gated(net, net("GreaterOrEqual", index, np.int64(0))))


@pytest.mark.parametrize("end", [2**31 - 1, 2**31, 2**63 - 1])
def test_an_end_that_is_left_open(end, net, imported):
    assert imported(net.model(net("Tanh", sliced(net, 0, end)))).latency == 0


def test_an_end_that_is_a_multiple_of_something(net, imported):
    end = net("Mul", net("Div", frames(net, net.x), np.int64(7)), np.int64(7))
    y = net("Slice", net.x, net.ints(0), net("Unsqueeze", end, net.ints(0)), net.ints(2))
    assert imported(net.model(y)).latency == 0


def test_frames_picked_otherwise_far_away(net, refused):
    far = net("Where", net("Less", places(net, net.x), np.int64(10**6)), places(net, net.x), np.int64(0))
    assert "frame 1000000" in refused(net.model(net("Gather", net.x, far, axis=2, name="pick")))


def test_a_branch_on_the_length(net, refused):
    import onnx

    def branch(op):
        node = onnx.helper.make_node(op, [net.x], [op])
        return onnx.helper.make_graph([node], op, [], [onnx.helper.make_tensor_value_info(op, 1, None)])

    long = net("Less", frames(net, net.x), np.int64(10**6))
    y = net("If", long, then_branch=branch("Tanh"), else_branch=branch("Sigmoid"), name="branch")
    assert "branches on the length" in refused(net.model(y))


def attended(net, mask):
    """Return a network with attention at a sixteenth of the rate, where `mask` is open."""
    low = net.conv(net.x, 1, 6, 16, strides=[16])
    x = net("Transpose", low, perm=[0, 2, 1])
    q, k, v = (net("MatMul", x, net.random(6, 6)) for _ in range(3))
    table = net("MatMul", q, net("Transpose", k, perm=[0, 2, 1]))
    table = net("Where", mask(net, low), table, np.float32(-1e9), name="mask")
    y = net("Transpose", net("MatMul", net("Softmax", table, axis=-1), v), perm=[0, 2, 1])
    return net.model(net("ConvTranspose", net("Add", low, y), net.random(6, 1, 16), strides=[16]))


def near(net, x, back):
    i = net("Unsqueeze", places(net, x), net.ints(1))
    j = net("Unsqueeze", places(net, x), net.ints(0))
    return net("And", net("LessOrEqual", j, i), net("Greater", j, net("Sub", i, np.int64(back)))), i


def switching(net, x):
    narrow, i = near(net, x, 10)
    wide, _ = near(net, x, 20)
    return net("Or", narrow, net("And", wide, net("Less", i, np.int64(3000))))


def reaching_back(net, x):
    """Open near, and once more a long way back."""
    narrow, i = near(net, x, 10)
    j = net("Unsqueeze", places(net, x), net.ints(0))
    return net("Or", narrow, net("Less", j, net("Sub", i, np.int64(9000))))


def triangles(net, x):
    ones = net(
        "Expand",
        np.array([[True]]),
        net("Concat", *(net("Slice", net("Shape", x), net.ints(2), net.ints(3)) for _ in "ij"), axis=0),
    )
    ones = net("Cast", ones, to=1)
    band = net("Trilu", net("Trilu", ones, np.int64(0), upper=0), np.int64(-7), upper=1)
    return net("Greater", band, np.float32(0.5))


def test_masks_that_change_far_away_are_refused(make_net, refused):
    message = refused(attended(make_net(), switching))
    assert "'mask': has a mask that changes at frame 3000" in message and "j <= i - N" in message
    message = refused(attended(make_net(), reaching_back))
    assert "'mask': has a mask that changes as far as 9000" in message


def test_masks_cut_by_trilu(make_net, imported):
    assert imported(attended(make_net(), triangles)).ops["attention"] == 1


def test_followed_values_are_those_of_the_function():
    """Against numbers, at lengths and indices beyond those followed."""
    sizes = sizes_of([(200, 20), (300, 30)])
    i, j, n = whole(variable(-2), sizes), whole(variable(-1), sizes), whole(through(200, 300), ())
    assert (i.low, i.high) == (0.0, np.inf)
    inside = compared("Less", i, n, sizes)
    assert inside.number == 1.0
    assert compared("LessOrEqual", n, i, sizes).number == 0.0
    apart = compared("Less", added(j, scaled(i, -1.0, sizes), sizes), constant(3.0), sizes)
    assert apart.number is None and {form for form, _ in apart.breaks} == {
        variable(-1).minus(variable(-2)) + Form((), -3)
    }
    one = chosen(apart, constant(5.0), constant(5.0))
    assert one.number == 5.0
    half = rounded("Floor", scaled(i, 0.5, sizes), sizes)
    assert half.periods == {2} and half.slack == 1.0
    assert beyond(Symbol(np.array([[half]], object), sizes), remainders=True) is None
    assert beyond(Symbol(None, sizes), remainders=True) is not None


def stretched(net, x, size, name="up", **attrs):
    """Return (1, channels, T) stretched to a length."""
    sizes = net("Concat", net.ints(1), net.ints(4), net("Unsqueeze", size, net.ints(0)), axis=0)
    return net("Resize", x, "", "", sizes, name=name, **attrs)


NEAREST = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}


@pytest.mark.parametrize("attrs", [NEAREST, {"mode": "linear"}], ids=["nearest", "linear"])
def test_back_to_the_length_of_the_input(attrs, net, imported):
    """As networks with a descent and an ascent write it: a factor of 4 where the length is a multiple of 4."""
    y = stretched(net, net.conv(net.x, 1, 4, 4, strides=[4]), frames(net, net.x), **attrs)
    report = imported(net.model(net.narrow(y, 4)))
    assert report.hop == 4 and all(length % 4 == 0 for length in report.parity["lengths"])
    assert any("Resize 'up'" in note and "multiples of 4 samples" in note for note in report.notes)


def test_a_multiple_of_its_own_length(net, imported):
    x = net.conv(net.x, 1, 4, 8, strides=[4])
    y = stretched(net, x, net("Mul", frames(net, x), np.int64(4)), **NEAREST)
    report = imported(net.model(net.narrow(y, 4)))
    assert report.parity["lengths"][0] % 4 and not any("Resize" in note for note in report.notes)


def test_a_factor_that_depends_on_the_length(net, refused):
    y = stretched(net, net.conv(net.x, 1, 4, 8, strides=[4]), frames(net, net.x), **NEAREST)
    message = refused(net.model(net.narrow(y, 4)))
    assert "Resize 'up': stretches 19199 frames to 76800" in message and "scale_factor=4" in message


def test_a_length_that_is_always_the_same(net, refused):
    y = stretched(net, net.conv(net.x, 1, 4, 4, strides=[4]), np.int64(1000), **NEAREST)
    message = refused(net.model(net.narrow(y, 4)))
    assert "Resize 'up': resizes time to 1000 frames" in message and "scale_factor" in message


def padded(net, before, after, **attrs):
    sides = [net("Unsqueeze", side, net.ints(0)) if isinstance(side, str) else side for side in (before, after)]
    pads = net("Concat", net.ints(0, 0), sides[0], net.ints(0, 0), sides[1], axis=0)
    return net("Pad", net.x, pads, np.float32(0), name="pad", **attrs)


def missing(net, multiple):
    """Return how many samples are missing to a multiple."""
    count = frames(net, net.x)
    up = net("Mul", net("Div", net("Add", count, np.int64(multiple - 1)), np.int64(multiple)), np.int64(multiple))
    return net("Sub", up, count)


def test_zeros_behind_the_end_up_to_a_multiple(net, imported):
    """A stream has no end: how many zeros stand behind it changes no sample before."""
    y = padded(net, net.ints(3), missing(net, 256))
    report = imported(net.model(net.conv(y, 1, 1, 4)))
    assert report.latency == 0


def as_torch_writes_pads(net, before, after):
    """Return the pads of (1, 1, T) turned around by Reshape, Slice and Transpose."""
    short = net("Concat", net("Unsqueeze", before, net.ints(0)), net("Unsqueeze", after, net.ints(0)), axis=0)
    rows = net("Reshape", net("Concat", short, net.ints(0, 0, 0, 0), axis=0), net.ints(-1, 2))
    rows = net("Slice", rows, net.ints(-1), net.ints(-(2**63) + 1), net.ints(0), net.ints(-1))
    return net("Reshape", net("Transpose", rows, perm=[1, 0]), net.ints(-1))


def test_pads_as_torch_writes_them(make_net, imported, refused):
    net = make_net()
    y = net("Pad", net.x, as_torch_writes_pads(net, np.int64(3), missing(net, 256)), np.float32(0))
    assert imported(net.model(net.conv(y, 1, 1, 4))).latency == 0
    net = make_net()
    before = net("Div", net("Mod", frames(net, net.x), np.int64(16)), np.int64(2))
    y = net("Pad", net.x, as_torch_writes_pads(net, before, np.int64(0)), np.float32(0), name="pad")
    message = refused(net.model(net.conv(y, 1, 1, 4)))
    assert "Pad 'pad'" in message and "remainder of the length" in message


@pytest.mark.parametrize(
    ("before", "told"),
    [
        (lambda n: n("Div", frames(n, n.x), np.int64(10**6)), "remainder of the length"),
        (lambda n: n("Max", n("Sub", frames(n, n.x), np.int64(10**6)), np.int64(0)), "times as long"),
        (lambda n: n("Sub", frames(n, n.x), np.int64(10**4)), "depends on the length"),
    ],
    ids=["part", "far", "length"],
)
def test_zeros_in_front_that_the_length_decides(before, told, net, refused):
    message = refused(net.model(net.conv(padded(net, before(net), net.ints(0)), 1, 1, 4)))
    assert "Pad 'pad'" in message and told in message


@pytest.mark.parametrize("name", ["front", ""])
def test_what_the_comparison_finds_is_named_as_well(name, net, refused):
    """A number of zeros that is 0 for the lengths followed: the first node whose output does not go on is told."""
    y = net.conv(net.x, 1, 1, 3, pads=[2, 0])
    pads = net("Concat", net.ints(0, 0), net("Unsqueeze", missing(net, 256), net.ints(0)), net.ints(0, 0, 0), axis=0)
    y = net("Pad", y, pads, np.float32(0), name=name)
    message = refused(net.model(net("Tanh", net.conv(net("Tanh", y), 1, 1, 2))))
    assert message.startswith(f"model.onnx: Pad '{name or y}': what it gives does not begin as")
    assert "x.shape[-1]" in message and "report the model" not in message


def test_a_gain_that_depends_on_whether_the_length_is_odd(net, refused):
    """Reckoned by rounding, where no Mod tells."""
    count = net("Cast", frames(net, net.x), to=1)
    half = net("Floor", net("Div", count, np.float32(2)))
    gain = net("Add", net("Sub", count, net("Mul", half, np.float32(2))), np.float32(1))
    message = refused(net.model(net("Tanh", net("Mul", net.x, gain, name="gain"))))
    assert message.startswith("model.onnx: Mul 'gain': ") and "report the model" not in message


@pytest.mark.parametrize(("first", "step"), [(1, 1), (6, 6), (3, 2)])
@pytest.mark.parametrize("stride", [1, 4])
def test_a_running_mean(first, step, stride, net, imported):
    """`x.cumsum(-1) / torch.arange(1, T + 1)`, and what a cumulative layer norm divides by: a count, which streams."""
    y = net.conv(net.x, 1, 6, 2 * stride, strides=[stride], pads=[stride, 0])
    end = net("Add", net("Mul", frames(net, y), np.int64(step)), np.int64(first))
    count = net("Cast", net("Range", np.int64(first), end, np.int64(step)), to=1)
    y = net("Div", net("CumSum", y, np.int64(2)), count)
    y = net("ConvTranspose", y, net.random(6, 1, stride), strides=[stride])
    assert imported(net.model(y)).ops["leaky_sum"] == 2


def test_a_count_survives_what_is_no_number(net):
    """It is made of the input, whose numbers do not matter."""
    import rtvoice
    from rtvoice.export import import_model

    end = net("Add", frames(net, net.x), np.int64(1))
    count = net("Cast", net("Range", np.int64(1), end, np.int64(1)), to=1)
    model = import_model(net.model(net("Div", net("Tanh", net.x), count)), sample_rate=16_000)
    engine = rtvoice.Engine(model, sample_rate=16_000, max_frame=64)
    engine.process(np.full(64, np.nan, np.float32))
    made = engine.process(np.ones(64, np.float32))
    np.testing.assert_allclose(made, np.tanh(1) / np.arange(65, 129), rtol=1e-5)


@pytest.mark.parametrize("op", ["Mul", "Add"])
def test_a_count_that_grows_the_signal_is_refused(op, net, refused):
    count = net("Cast", net("Range", np.int64(1), net("Add", frames(net, net.x), np.int64(1)), np.int64(1)), to=1)
    refused(net.model(net(op, net.x, count)))
