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
    "tcn8_t160": "A tile's multiply-adds run at the peak, but tanh takes 37 % of the layer's time: its division, 10 cycles for every 16 numbers, has nothing to hide behind where a number is the sum of only 24 products. With ReLU the layer reaches 65 % (`kernel_bench --filter tcn8`). Taller tiles and several tiles' activations in one pass gained nothing.",
    "tcn16_t160": "One vector a frame: tanh weighs twice what it does at 32 channels; the layer alone reaches 77 % (`kernel_bench --filter tcn16`).",
    "gru256_fp16": _HALF,
    "lstm256_fp16": _HALF,
    "lstm128_fp16": _HALF,
    "gru128_fp16": _HALF,
    "low128x4_t1_fp16": _HALF,
    "wavenet32x20": "Reading alone takes longer than the goal on this core. The rest is a chain of 40 products, each waiting for the one before and for its gate, some 130 cycles each, in which nothing is read: asking for the next weights then gained nothing. Reading a dilated layer's past tap once for many samples would save a third of the bytes, for hosts that give one sample at a time.",
    "wavenet32x20_fp16": "The same chain; and where 512-bit instructions run in two halves, widening 16 numbers costs more than multiplying them.",
    "separable64_t160": "Its products are 64 and 128 deep, a third of a layer of 3 taps: what follows each sum (ReLU, residual, stores) weighs three times as much, 7 % of the time, and the depthwise layer takes 5 % for 2 % of the multiply-adds.",
    "avx2": "AVX2 has 16 registers of 8 floats where AVX-512 has 32 of 16, at the same peak on this processor: a tile is smaller, and its inputs are loaded more often for each multiply-add.",
    "size": "Loading reads, checks, hashes and packs, each once; half of the time is the system's, for the first touch of the memory.",
    "skins": "The goals are those of skins. The vocoder's two networks are none, and stand beside them: a WaveNet draws each of 16,000 samples a second.",
    "tail": "The rest is memory that the other work has taken away and is still using: fetching the next layer's weights during each tile gained nothing. The machine is a virtual one.",
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
| int8 and bf16 forms of onnxruntime | not run: every row is float32 arithmetic on both sides |
| bf16 products, int8 weights with int16 activations | not built: beyond float16's bytes they save its widening, which the fp16 rows above bound: a product without it gains what stands between their share and 100 % of reading, and 50 and 38 dB of SNR stand against float16's 68 to 77 |"""

METHOD = """\
## How it is measured

- Everyone first gives 12 hops of the same random input; an output more than 1e-4 of the peak away from the float64 reference is not
  timed. The largest errors are in the JSON.
- Rounds: each times the peak loop, then for every network the reading of as many bytes and each engine once, so that all share the
  machine's moods. A sample is three untimed hops, then hops for about 250 us, in thread CPU time. Ratios and percentages are medians of
  the rounds' ratios. The rounds run at the lowest real-time priority where the system allows it, as an audio thread does.
- onnxruntime: its C interface, from the library in its wheel; one thread, all optimisations, every tensor bound to fixed memory, states
  as inputs and outputs that swap places between hops without a copy. `Conv`: rank 3; `H=1`: an image of height 1; `MatMul`: windows as
  rows. torch: eager, `inference_mode`, one thread.
- Ours: the plan's run of a hop, network against network. For 16-bit weights, onnxruntime runs the same numbers as float32.
- A row of `T` frames is one hop; its input is handed over as frames to everyone. Strided and transposed layers come eight side by side."""
