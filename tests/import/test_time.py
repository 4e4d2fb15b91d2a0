"""Rates, offsets and delays: causal padding in all its forms, lookahead, lengths that are no multiple of a stride."""

from __future__ import annotations

import numpy as np
import pytest


def test_causal_padding_costs_no_latency(net, imported):
    assert imported(net.model(net.conv(net.x, 1, 1, 9, pads=[8, 0]))).latency == 0


def test_symmetric_padding_costs_half_the_kernel(net, imported):
    assert imported(net.model(net.conv(net.x, 1, 1, 9, pads=[4, 4]))).latency == 4


def test_no_padding_costs_the_kernel(net, imported):
    report = imported(net.model(net.conv(net.x, 1, 1, 9)))
    assert report.latency == 8
    assert any("8 samples shorter" in note for note in report.notes)


def test_symmetric_padding_cut_at_the_end_is_causal(net, imported):
    y = net("Slice", net.conv(net.x, 1, 1, 9, pads=[8, 8]), net.ints(0), net.ints(-8), net.ints(2))
    report = imported(net.model(y))
    assert report.latency == 0 and report.ops == {"conv1d": 1}


def test_padding_at_the_end_cut_at_the_start_is_lookahead(net, imported):
    y = net("Slice", net.conv(net.x, 1, 1, 9, pads=[4, 8]), net.ints(4), net.ints(2**40), net.ints(2))
    report = imported(net.model(y))
    assert report.latency == 8 and report.ops == {"conv1d": 1}


@pytest.mark.parametrize("opset", [11, 18])
def test_pad_is_fused_into_the_convolution(opset, make_net, imported):
    net = make_net(opset=opset)
    pads = (net.ints(3, 0), np.float32(0), net.ints(2)) if opset >= 18 else (net.ints(0, 0, 3, 0, 0, 0), np.float32(0))
    report = imported(net.model(net.conv(net("Pad", net.x, *pads), 1, 1, 4)))
    assert report.ops == {"conv1d": 1} and report.latency == 0


@pytest.mark.parametrize("also", ["", "Add", "Mul"])
def test_padding_behind_swapped_halves_costs_no_latency(also, net, imported):
    h = net.conv(net.x, 1, 8, 3, pads=[2, 0])
    upper, lower = (net("Slice", h, net.ints(a), net.ints(b), net.ints(1)) for a, b in ((4, 8), (0, 4)))
    swapped = net("Concat", upper, lower, axis=1)
    if also:
        swapped = net(also, swapped, h)
    padded = net("Pad", swapped, net.ints(0, 0, 200, 0, 0, 0), np.float32(0))
    assert imported(net.model(net.conv(padded, 8, 1, 3, dilations=[100]))).latency == 0


@pytest.mark.parametrize(("by", "late"), [(5, 0), (3, 0), (8, 3)])
def test_padding_that_is_cut_off_again_costs_nothing(by, late, net, imported):
    padded = net("Pad", net("Sigmoid", net.wide()), net.ints(0, 0, 5, 0, 0, 0), np.float32(0))
    y = net("Exp", net("Tanh", net("ReduceMean", padded, axes=[1])))
    assert imported(net.model(net("Slice", y, net.ints(by), net.ints(2**40), net.ints(2)))).latency == late


def test_zeros_joined_in_front_are_padding(net, imported):
    y = net("Concat", np.zeros((1, 1, 3), np.float32), net.x, axis=2)
    assert imported(net.model(net.conv(y, 1, 1, 4))).ops == {"conv1d": 1}


def test_padding_after_an_activation_that_moves_zero(net, imported):
    """Offline, the frames before the start are zeros at each layer, not what silence becomes."""
    y = net("Sigmoid", net.wide())
    y = net("Cos", net.conv(y, 6, 6, 5, pads=[4, 0]))
    imported(net.model(net.narrow(net.conv(y, 6, 6, 3, pads=[3, 1]))))


def test_delay_before_and_after_a_bias(net, imported):
    y = net("Pad", net("Exp", net.wide()), net.ints(0, 0, 5, 0, 0, -5))
    imported(net.model(net.narrow(net("Cos", y))))


def test_crop_then_padding_keeps_the_crop(net, imported):
    """Zeros put where frames were cut off must not let the frames back in."""
    y = net("Slice", net("Exp", net.wide()), net.ints(3), net.ints(2**40), net.ints(2))
    y = net("Pad", y, net.ints(0, 0, 3, 0, 0, 0))
    imported(net.model(net.narrow(net.conv(y, 6, 6, 3, pads=[2, 0]))))


def test_crop_before_a_padded_convolution(net, imported):
    y = net("Slice", net("Exp", net.wide()), net.ints(2), net.ints(2**40), net.ints(2))
    imported(net.model(net.narrow(net.conv(y, 6, 6, 3, pads=[2, 0]))))


def test_branches_of_different_delay_are_aligned(net, imported):
    """The parallel branches of cached convolutions: the shorter one must wait."""
    a = net.conv(net.x, 1, 4, 9, pads=[4, 4])
    b = net.conv(net.x, 1, 4, 3, pads=[1, 1])
    report = imported(net.model(net.narrow(net("Add", net("Add", a, b), net.x), 4)))
    assert report.latency == 4


def test_residual_around_a_strided_branch(net, imported):
    low = net("Tanh", net.conv(net.x, 1, 8, 9, strides=[4], pads=[4, 4]))
    low = net.conv(low, 8, 8, 3, pads=[1, 1])
    up = net("ConvTranspose", low, net.random(8, 1, 8), strides=[4], pads=[2, 2])
    imported(
        net.model(
            net("Add", up, net("Slice", net.x, net.ints(0), net("Gather", net("Shape", up), net.ints(2)), net.ints(2)))
        )
    )


def test_residual_cut_to_a_valid_convolution(net, imported):
    """The centre crop of networks without padding."""
    y = net.conv(net.x, 1, 1, 5)
    x = net("Slice", net.x, net.ints(2), net.ints(-2), net.ints(2))
    report = imported(net.model(net("Add", y, x)))
    assert report.latency == 4


def test_length_that_is_no_multiple_of_the_stride(net, imported):
    low = net.conv(net.x, 1, 4, 8, strides=[8])
    report = imported(net.model(net("ConvTranspose", low, net.random(4, 1, 8), strides=[8])))
    shorter, longer = report.parity["lengths"]
    assert shorter % 8 and longer % 8 and shorter != longer


def test_hop_may_be_a_multiple(net, imported):
    y = net("ConvTranspose", net.conv(net.x, 1, 4, 4, strides=[4]), net.random(4, 1, 4), strides=[4])
    model = net.model(y)
    assert imported(model, hop=20).hop == 20
    with pytest.raises(ValueError, match="multiple of 4"):
        imported(model, hop=6)


@pytest.mark.parametrize(
    "shape",
    [(1, 1, "T"), ("N", 1, "T"), (1, "T", 1), ("N", "T", 1), (1, "T"), ("N", "T"), ("T", 1), ("T",), (1, 1, 4000),
     (1, 4000, 1), (1, 4000), ("N", "C", "T"), None, (1, 1, 1, "T"), (1, 1, "T", 1)],
    ids=str,
)  # fmt: skip
def test_input_layouts(shape, make_net, imported):
    net = make_net(shape=shape)
    rank = 3 if shape is None else len(shape)
    time_last = shape is None or rank == 1 or shape[-1] in ("T", 4000)
    y = net.x
    if rank != 3 or not time_last:
        y = net("Reshape", y, net.ints(1, 1, -1))
    y = net.narrow(net("Tanh", net.conv(y, 1, 6, 3, pads=[2, 0])))
    if rank == 3 and not time_last:
        y = net("Transpose", y, perm=[0, 2, 1])
    imported(net.model(y))


def test_time_in_the_middle_throughout(make_net, imported):
    net = make_net(shape=(1, "T", 1))
    y = net("Tanh", net("Add", net("MatMul", net.x, net.random(1, 8)), net.random(8)))
    imported(net.model(net("MatMul", y, net.random(8, 1))))


def test_static_time_axis_with_frozen_shapes(make_net, imported):
    """Shapes written out as numbers do no harm where nothing depends on them."""
    net = make_net(shape=(1, 1, 960))
    y = net("Reshape", net.wide(), net.ints(1, 6, 960, 1))
    y = net("Reshape", y, net.ints(1, 6, 960))
    y = net("Slice", y, net.ints(0), net.ints(960), net.ints(2))
    y = net("Add", y, np.full((1, 6, 960), 0.25, np.float32))
    report = imported(net.model(net.narrow(y)))
    assert report.static_length == 960


@pytest.mark.parametrize("by", [3, 400])
def test_what_wraps_around_a_frozen_length_is_no_lookahead(by, make_net, refused):
    net = make_net(shape=(1, 1, 960))
    h = net.conv(net.x, 1, 1, 3, pads=[2, 0])
    newest = net("Slice", h, net.ints(960 - by), net.ints(960), net.ints(2))
    rest = net("Slice", h, net.ints(0), net.ints(960 - by), net.ints(2))
    message = refused(net.model(net("Concat", newest, rest, axis=2)))
    assert f"would be {960 - by} of them late" in message and "dynamic time axis" in message


def test_constant_that_changes_along_a_static_time_axis(make_net, refused):
    net = make_net(shape=(1, 1, 960))
    y = net("Add", net.wide(), net.random(1, 6, 960))
    assert "changes along the recording" in refused(net.model(net.narrow(y)))


def test_zeros_of_the_inputs_length(net, imported):
    y = net.wide()
    y = net("Add", y, net("ConstantOfShape", net("Shape", y)))
    imported(net.model(net.narrow(y)))


def test_shape_arithmetic_is_followed(net, imported):
    y = net.conv(net.x, 1, 6, 9, pads=[8, 8])
    length = net("Gather", net("Shape", net.x), np.int64(2))
    end = net(
        "Unsqueeze", net("Cast", net("Floor", net("Cast", net("Add", length, np.int64(0)), to=1)), to=7), net.ints(0)
    )
    report = imported(net.model(net.narrow(net("Slice", y, net.ints(0), end, net.ints(2)))))
    assert report.latency == 0
