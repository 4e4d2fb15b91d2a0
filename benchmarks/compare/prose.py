"""The page's words that no figure of a run decides."""

#: Why a row is missed, where the figures alone do not say it; shown only while the row is missed.
_HALF = "Widening 16 numbers costs about as much as multiplying them where 512-bit instructions run in two halves: the bytes halve, the time does not."

_ALONE = "The layer alone reaches {} % of the peak (`kernel_bench --filter {}`); the network keeps less of it beside other work on the machine."

REASONS: dict[str, str] = {
    "tcn128_t160": _ALONE.format(94, "tcn128"),
    "tcn64_t160": _ALONE.format(91, "tcn64"),
    "tcn64_t160_relu": _ALONE.format(96, "tcn64"),
    "tcn64_t12": _ALONE.format(91, "tcn64_t12"),
    "tcn32_t160": _ALONE.format(85, "tcn32"),
    "tcn8_t160": "Eight channels are half a vector, and tanh and residual are nearly a fifth of the layer: with ReLU it reaches 60 % alone (`kernel_bench --filter tcn8`).",
    "tcn16_t160": "One vector a frame: tanh weighs twice what it does at 32 channels; the layer alone reaches 72 % (`kernel_bench --filter tcn16`).",
    "gru256_fp16": _HALF,
    "lstm256_fp16": _HALF,
    "lstm128_fp16": _HALF,
    "gru128_fp16": _HALF,
    "low128x4_t1_fp16": _HALF,
    "wavenet32x20": "A chain of 20 layers of small products, each waiting for the one before: reading is about half of the time, the rest is the start and the end of each product and its gate.",
    "wavenet32x20_fp16": "The same chain: fewer bytes shorten only the half that is reading.",
    "avx2": "AVX2 has 16 registers of 8 floats where AVX-512 has 32 of 16, at the same peak on this processor: a tile is smaller, and its inputs are loaded more often for each multiply-add.",
    "size": "Loading reads, checks, hashes and packs; the plan is packed twice, once to answer `rtv_model_open` and once for the frame size of the engine.",
    "tail": "The machine ran other heavy work at raised priority meanwhile.",
}

GOALS = """\
The goals come from prototypes on a processor that runs 512-bit multiply-adds at full rate (265 GFLOP/s, 255 GB/s from L2, 120 from L3); the
table at the top says what this one can do. Where multiply-adds are half as fast and everything around them is not, onnxruntime's own
overhead weighs less, and the ratio that any engine can reach falls: the sentence on a perfect engine says to what."""

NOT_COMPARED = """\
## Not compared

| | why |
|---|---|
| NAM's own models against NeuralAmpModelerCore (goal >= 1.5x, 1-sample blocks >= 4x) | not run: neither PyPI nor Debian carries NeuralAmpModelerCore, and nothing else is built here; nothing is claimed |
| int8 and bf16 forms of onnxruntime | not run: every row is float32 arithmetic on both sides |"""

METHOD = """\
## How it is measured

- Everyone first gives 12 hops of the same random input; an output more than 1e-4 of the peak away from the float64 reference is not
  timed. The largest errors are in the JSON.
- Rounds: each times the peak loop, then for every network the reading of as many bytes and each engine once, so that all share the
  machine's moods. A sample is one untimed hop, then hops for about 250 us, in thread CPU time. Ratios and percentages are medians of
  the rounds' ratios. The rounds run at the lowest real-time priority where the system allows it, as an audio thread does.
- onnxruntime: its C interface, from the library in its wheel; one thread, all optimisations, every tensor bound to fixed memory, states
  as inputs and outputs that swap places between hops without a copy. `Conv`: rank 3; `H=1`: an image of height 1; `MatMul`: windows as
  rows. torch: eager, `inference_mode`, one thread.
- Ours: the plan's run of a hop, network against network. For 16-bit weights, onnxruntime runs the same numbers as float32.
- A row of `T` frames is one hop; its input is handed over as frames to everyone. Strided and transposed layers come eight side by side."""
