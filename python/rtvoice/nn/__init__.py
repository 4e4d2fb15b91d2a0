"""Torch modules that train like `torch.nn` and write themselves into a `.rtv` graph.

Every module takes and returns time-major tensors `(batch, frames, channels)`, is causal, starts from zero history,
and has `emit(builder, x)`, which adds the same computation to an `rtvoice.GraphBuilder`. What a stream computes is what
`forward` computes on the whole signal, except that the stream comes `latency` samples later. A module made of others
needs no `emit` of its own: its `forward` is run over symbols (docs/nn.md).

Needs torch (the `train` extra); `import rtvoice` alone never does.
"""

from rtvoice.nn.activations import (
    ELU,
    GELU,
    GLU,
    Clip,
    Exp,
    LeakyReLU,
    Log,
    Pointwise,
    PReLU,
    ReLU,
    Sigmoid,
    SiLU,
    Snake,
    Softmax,
    Softplus,
    Tanh,
)
from rtvoice.nn.attention import Attend, Attention, Embedding, GroupedLinear
from rtvoice.nn.blocks import ConvNeXtBlock, FiLM, Parallel, Residual, Scale
from rtvoice.nn.controls import Parameter, draw_parameters, reset_parameters
from rtvoice.nn.cost import Cost, LayerCost, cost
from rtvoice.nn.fourier import (
    ISTFT,
    STFT,
    FilterBank,
    TimeVaryingFilter,
    complex_product,
    overlap_window,
    power,
)
from rtvoice.nn.layers import GRU, LSTM, Conv1d, ConvTranspose1d, DepthwiseConv1d, Linear
from rtvoice.nn.module import Module, Sequential
from rtvoice.nn.noise import GaussianNoise, Noise, gaussian_noise
from rtvoice.nn.norms import BatchNorm, LayerNorm, RMSNorm
from rtvoice.nn.pitch import AutocorrelationFeatures, F0Readout, lag_grid
from rtvoice.nn.pqmf import PQMF, PQMFSynthesis
from rtvoice.nn.source import FIR, Harmonics, HarmonicSource, Phase, Warp
from rtvoice.nn.spectral import MelAnalysis, NoiseSynthesis, mel_centres, mel_triangles
from rtvoice.nn.timing import AveragePool, Delay, DepthToTime, Lookahead, TimeToDepth, Upsample
from rtvoice.nn.trace import CannotStream, concat
from rtvoice.nn.wavenet import GatedStack, LeakySum, WaveNet

__all__ = [
    "Attend",
    "Attention",
    "AutocorrelationFeatures",
    "AveragePool",
    "BatchNorm",
    "CannotStream",
    "Clip",
    "Conv1d",
    "ConvNeXtBlock",
    "ConvTranspose1d",
    "Cost",
    "Delay",
    "DepthToTime",
    "DepthwiseConv1d",
    "ELU",
    "Embedding",
    "Exp",
    "F0Readout",
    "FIR",
    "FiLM",
    "FilterBank",
    "GELU",
    "GLU",
    "GRU",
    "GatedStack",
    "GaussianNoise",
    "GroupedLinear",
    "HarmonicSource",
    "Harmonics",
    "ISTFT",
    "LSTM",
    "LayerCost",
    "LayerNorm",
    "LeakyReLU",
    "LeakySum",
    "Linear",
    "Log",
    "Lookahead",
    "MelAnalysis",
    "Module",
    "Noise",
    "NoiseSynthesis",
    "PQMF",
    "PQMFSynthesis",
    "PReLU",
    "Parallel",
    "Parameter",
    "Phase",
    "Pointwise",
    "RMSNorm",
    "ReLU",
    "Residual",
    "STFT",
    "Scale",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Snake",
    "Softmax",
    "Softplus",
    "Tanh",
    "TimeToDepth",
    "TimeVaryingFilter",
    "Upsample",
    "Warp",
    "WaveNet",
    "complex_product",
    "concat",
    "cost",
    "draw_parameters",
    "gaussian_noise",
    "lag_grid",
    "mel_centres",
    "mel_triangles",
    "overlap_window",
    "power",
    "reset_parameters",
]
