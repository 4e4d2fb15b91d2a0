"""Torch modules that train like `torch.nn` and write themselves into a `.rtv` graph.

Every module takes and returns time-major tensors `(batch, frames, channels)`, is causal, starts from zero history,
and has `emit(builder, x)`, which adds the same computation to an `rtvoice.GraphBuilder`. What a stream computes is what
`forward` computes on the whole signal, except that the stream comes `latency` samples later.

Needs torch (the `train` extra); `import rtvoice` alone never does.
"""

from rtvoice.nn.layers import (
    GELU,
    GRU,
    Clip,
    Conv1d,
    ConvTranspose1d,
    Exp,
    LayerNorm,
    Linear,
    Log,
    Module,
    Pointwise,
    ReLU,
    Sequential,
    Sigmoid,
    SiLU,
    Tanh,
)
from rtvoice.nn.noise import GaussianNoise, gaussian_noise
from rtvoice.nn.spectral import MelAnalysis, NoiseSynthesis, mel_centres, mel_triangles

__all__ = [
    "Clip",
    "Conv1d",
    "ConvTranspose1d",
    "Exp",
    "GELU",
    "GRU",
    "GaussianNoise",
    "LayerNorm",
    "Linear",
    "Log",
    "MelAnalysis",
    "Module",
    "NoiseSynthesis",
    "Pointwise",
    "ReLU",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Tanh",
    "gaussian_noise",
    "mel_centres",
    "mel_triangles",
]
