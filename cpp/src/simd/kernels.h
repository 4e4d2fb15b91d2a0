// The kernel table: every arithmetic loop of the engine, once per instruction set.
//
// All activations are time-major, [rows][ld] floats, one frame per row; `ld` >= channels is the distance between rows.
// Lanes between the channel count and `ld` hold finite values that meet zero weights. Each output element has one
// summation order, whatever `rows` is, so that cutting a stream differently gives the same bits.
//
// Kernels read and write exactly what their arguments name: padding beyond `cols` or `channels` is never touched. Any
// alignment works; packed weights on 64-byte boundaries are read without split cache lines. An output may be one of the
// inputs only where it says so, and then with the same row distance. Nothing allocates, locks or throws [audio-thread],
// but for gemm_pack and the functions that find tables [main-thread].
#pragma once

#include <cstddef>
#include <cstdint>

#include "rtvoice/rtvoice.h"  // RTV_NONBLOCKING

namespace rtvoice::simd {

// clang-format off
enum class Unary : uint8_t {
  kNone, kRelu, kLeakyRelu, kElu, kGeluErf, kGeluTanh, kSilu, kTanh, kSigmoid, kSoftplus,
  kExp, kLog, kSqrt, kSquare, kAbs, kNeg, kReciprocal, kSin, kCos, kClip,
};
// clang-format on
enum class Binary : uint8_t { kAdd, kSub, kMul, kDiv };

// Per-channel parameters, [cols] each.
//   kAffine: x*p + q    kPrelu: x > 0 ? x : x*p    kSnake: x + sin(p*x)^2 * q, q = 1/beta
enum class Channelwise : uint8_t { kAffine, kPrelu, kSnake };

// What happens to a GEMM's output tile while it is hot: y = act(acc [+ residual]) or act(acc) + residual.
struct Epilogue {
  Unary act = Unary::kNone;
  bool residual_before_act = false;
  float a = 0.0f, b = 0.0f;         // leaky_relu/elu alpha, softplus beta, clip min and max
  const float* residual = nullptr;  // [rows][residual_ld], or none; may be the output itself
  size_t residual_ld = 0;
  // With `p`, the activation is `channelwise` and `act` stays kNone. `q` may be null for kPrelu.
  Channelwise channelwise = Channelwise::kAffine;
  const float* p = nullptr;
  const float* q = nullptr;
  // y = act(a) * gate_act(b), neither with parameters: the product's columns come in turns of gate_cols(), a before b, and the output has half as
  // many. A residual comes before the activations; in its rows all of a, gate_half columns, is in front of b.
  bool gate = false;
  Unary gate_act = Unary::kNone;
  size_t gate_half = 0;
  // First of all, y = acc*(film_gamma + film_offset) + film_beta, rows film_ld apart or (0) one for all; with `gate` set, and then no gate.
  float film_offset = 0.0f;
  const float *film_gamma = nullptr, *film_beta = nullptr;
  size_t film_ld = 0;
};

// Columns of a product from `col` on, where they are another output: two layers of one input in one pass.
struct GemmPart {
  size_t col = 0;  // a multiple of 16
  float* out = nullptr;
  size_t out_ld = 0;
  Epilogue epilogue{};  // its columns count from 0; no gate
};

// Which part of every segment kRangeCols outputs need: grouped convolutions skip the rest.
struct PanelRange {
  uint32_t begin, length;  // floats within a segment
};
constexpr size_t kRangeCols = 16, kPanelCols = 64;
// Outputs from `col` on, within their panel of kPanelCols, that need the same part: one product. Of each file its own, as README.md asks.
static inline size_t same_range(const PanelRange* ranges, size_t cols, size_t col) {
  const size_t panel = (col / kPanelCols + 1) * kPanelCols, end = panel < cols ? panel : cols;
  const PanelRange& first = ranges[col / kRangeCols];
  size_t next = col + kRangeCols;
  while (next < end && ranges[next / kRangeCols].begin == first.begin &&
         ranges[next / kRangeCols].length == first.length)
    next += kRangeCols;
  return (next < end ? next : end) - col;
}

// out[r][n] = epilogue(bias[n] + sum over segments s, k < seg_len of seg[s][r*row_step + k] * w[s*seg_len + k][n])
// A convolution tap (or several contiguous ones) is a segment; strided and transposed convolutions are the same
// product.
struct GemmArgs {
  const float* const* seg;  // num_segments pointers into the input, row 0
  size_t num_segments;
  size_t seg_len;                  // floats of a segment
  size_t row_step;                 // floats from one output row's input to the next one's
  const float* weights;            // from gemm_pack; with ranges, of one same_range after the other, its part alone
  const uint16_t* half;            // from gemm_pack_half, and then used instead; or null
  const float* bias;               // cols floats, or null
  const PanelRange* ranges;        // one per kRangeCols outputs, or null: all of every segment
  float* out;                      // never an input of the product
  size_t out_ld;                   // >= cols
  size_t rows, cols;               // cols counts padded columns: 1, 4, 8 or a multiple of 16; all of them are written
  Epilogue epilogue;               // with a gate, cols is a multiple of 32
  const GemmPart* part = nullptr;  // or null; not with a gate
};

// out[r][c] = epilogue(bias[c] + sum_k tap[k][r*row_step + c] * w[k*weights_ld + c]). Any number of columns.
struct DepthwiseArgs {
  const float* const* tap;  // num_taps pointers into the input, row 0
  size_t num_taps;
  size_t row_step;
  const float* weights;  // [num_taps][weights_ld]
  size_t weights_ld;
  const float* bias;  // or null
  float* out;
  size_t out_ld;
  size_t rows, cols;
  Epilogue epilogue;
};

// out[r*out_step] = bias + sum over segments s, k < seg_len of seg[s][r*row_step + k] * w[s*seg_len + k]. One output
// channel (audio heads, resampling filters); lanes run along k and are added in one fixed tree.
struct DotArgs {
  const float* const* seg;
  size_t num_segments, seg_len, row_step;
  const float* weights;
  float bias;
  float* out;
  size_t out_step;
  size_t rows;
};

struct UnaryArgs {
  Unary op;
  float a, b;
  const float* in;
  size_t in_ld;
  float* out;  // may be `in`
  size_t out_ld;
  size_t rows, cols;
};

struct ChannelwiseArgs {
  Channelwise op;
  const float* p;
  const float* q;
  const float* in;
  size_t in_ld;
  float* out;
  size_t out_ld;
  size_t rows, cols;
};

// A row step of 0 repeats one row; a `wide` flag of false broadcasts the row's first element over the channels.
struct BinaryArgs {
  Binary op;
  const float* a;
  size_t a_ld;
  bool a_wide;
  const float* b;
  size_t b_ld;
  bool b_wide;
  float* out;  // may be a or b
  size_t out_ld;
  size_t rows, cols;
};

// out = x*(gamma + offset) + beta; gamma or beta that is not wide is one number a row
struct FilmArgs {
  const float* x;
  size_t x_ld;
  const float* gamma;
  size_t gamma_ld;
  const float* beta;
  size_t beta_ld;
  float offset;
  float* out;
  size_t out_ld;
  size_t rows, cols;
  bool gamma_wide = true, beta_wide = true;
};

// Over the first `channels` of each row (never the padding).
//   layer: (x-mean)/sqrt(var+eps)*w + b    rms: x/sqrt(mean(x^2)+eps)*w
struct NormArgs {
  bool rms;
  float eps;
  const float* weight;  // [channels] or null
  const float* bias;    // [channels] or null
  const float* in;
  size_t in_ld;
  float* out;  // may be `in`
  size_t out_ld;
  size_t rows, channels;
};

// out[r][c] = a(in_a[r][c]) * b(in_b[r][c])
struct GluArgs {
  Unary a, b;  // no parameters
  const float* in_a;
  const float* in_b;
  size_t in_ld;
  float* out;
  size_t out_ld;
  size_t rows, cols;
};

// One step of a GRU. gates_x, gates_h: [3][ld], in the order r, z, n (biases already in). `reset_before`: ONNX's
// linear_before_reset = 0; then the caller runs it twice: first kReset (rh = r * h for the recurrent product), then
// kUpdate.
enum class GruPhase : uint8_t { kAll, kReset, kUpdate };
struct GruCellArgs {
  GruPhase phase;
  const float* gates_x;
  const float* gates_h;  // kUpdate: its third part already is U(r*h) + b
  size_t gate_ld;        // floats between gates
  float* h;              // [hidden], read; written by kAll and kUpdate
  float* rh;             // [hidden], written by kReset
  size_t hidden;         // padded
};

// One step of an LSTM. gates: [4][gate_ld] in the order i, f, g, o, sums of both products and biases.
struct LstmCellArgs {
  const float* gates_x;
  const float* gates_h;
  size_t gate_ld;
  float* h;
  float* c;
  size_t hidden;
};

// Counter-based noise of docs/model-format.md, rows of `channels` starting at frame `frame`.
struct NoiseArgs {
  bool gaussian;
  float p0, p1;  // mean, std | low, high
  uint64_t seed;
  uint32_t stream;
  uint64_t frame;
  float* out;
  size_t out_ld;
  size_t rows, channels;
};

// out[r][c] = exp(in[r][c] - m) / sum over c of the same, m the row's greatest. NaN and infinities below count as 0.
struct SoftmaxArgs {
  const float* in;
  size_t in_ld;
  float* out;  // may be `in`
  size_t out_ld;
  size_t rows, channels;
};

// A pulse train below a limit: out[r] = sqrt(2/h) sum over k >= 1 of clip(h - k + 1, 0, 1) cos(2 pi k phase[r]) with
// h = min(limit / frequency[r] - 1, count): the harmonics whose frequency lies under `limit`, the last one faded in. 0
// where the frequency is not above 0. Phases are taken to the nearest 2^-24 turn.
struct HarmonicsArgs {
  const float* phase;      // turns
  const float* frequency;  // turns per frame
  float limit, count;
  float* out;
  size_t rows;
};

// out[r] = sum over k < num_taps of taps[k] x[r - k], k ascending. With `before`, from those taps' sum to the taps' in
// `period` rows, of which these are number `position` on: share (position + r + 1) / period.
struct FirArgs {
  const float* x;  // row 0; num_taps - 1 floats lie in front of it
  const float* taps;
  const float* before;  // or null
  size_t num_taps;
  float* out;  // not x
  size_t rows;
  size_t position, period;
};

// For every row and head, out = sum over the `window` rows up to its own of softmax(scale q.k) v, oldest first. `missing` rows of row 0's window lie
// before the stream and do not count; of row r's, r fewer. Channels of a head lie together.
struct AttendArgs {
  const float* q;  // [rows][q_ld]
  const float* k;  // row 0: the oldest of row 0's window
  const float* v;
  size_t q_ld, k_ld, v_ld;
  size_t heads, key_channels, value_channels;  // of all heads
  size_t window, missing;                      // missing < window
  float scale;                                 // above 0
  float* shares;                               // room for `window` floats
  float* out;
  size_t out_ld;
  size_t rows;
};

struct Kernels {
  const char* isa;  // "AVX3", "AVX2", "SSE4", "NEON", "SCALAR"
  size_t lanes;     // floats of a vector

  size_t (*gemm_packed_floats)(size_t depth, size_t cols) noexcept;
  // w is [depth][cols], depth = num_segments*seg_len. The packed order differs between tables: pack with the table that
  // will run. [main-thread]
  void (*gemm_pack)(const float* w, size_t depth, size_t cols, float* packed) noexcept;
  // The same for float16 weights (their bits), or null where this table has no instruction to widen them. cols: a multiple of 16.
  void (*gemm_pack_half)(const uint16_t* w, size_t depth, size_t cols, uint16_t* packed) noexcept;

  // How many columns a gate's halves take in turns.
  size_t (*gate_cols)() noexcept;

  void (*gemm)(const GemmArgs&) noexcept RTV_NONBLOCKING;
  // The same for products of one row, in their order: one may read what those before it wrote.
  void (*gemm_rows)(const GemmArgs* const* products, size_t count) noexcept RTV_NONBLOCKING;
  void (*depthwise)(const DepthwiseArgs&) noexcept RTV_NONBLOCKING;
  void (*dot)(const DotArgs&) noexcept RTV_NONBLOCKING;
  void (*unary)(const UnaryArgs&) noexcept RTV_NONBLOCKING;
  void (*channelwise)(const ChannelwiseArgs&) noexcept RTV_NONBLOCKING;
  void (*binary)(const BinaryArgs&) noexcept RTV_NONBLOCKING;
  void (*film)(const FilmArgs&) noexcept RTV_NONBLOCKING;
  void (*norm)(const NormArgs&) noexcept RTV_NONBLOCKING;
  void (*glu)(const GluArgs&) noexcept RTV_NONBLOCKING;
  void (*gru_cell)(const GruCellArgs&) noexcept RTV_NONBLOCKING;
  void (*lstm_cell)(const LstmCellArgs&) noexcept RTV_NONBLOCKING;
  void (*noise)(const NoiseArgs&) noexcept RTV_NONBLOCKING;
  void (*softmax)(const SoftmaxArgs&) noexcept RTV_NONBLOCKING;
  void (*harmonics)(const HarmonicsArgs&) noexcept RTV_NONBLOCKING;
  void (*fir)(const FirArgs&) noexcept RTV_NONBLOCKING;
  void (*attend)(const AttendArgs&) noexcept RTV_NONBLOCKING;

  // rounds x 12 x lanes multiply-adds in registers only: this core's peak, for benchmarks.
  float (*peak_loop)(size_t rounds) noexcept;
  // Reads `count` floats (a multiple of 8 * lanes) in order, with no more work than adding them: what memory can give.
  float (*read_loop)(const float* values, size_t count) noexcept;
};

// The best table for this processor and operating system, decided by cpuid at first use (main thread). The environment
// variable RTVOICE_ISA (SCALAR, SSE4, AVX2, AVX3, NEON) lowers it.
const Kernels& kernels();
// Every table that this machine can run, best first; returns how many. For tests and benchmarks.
size_t available_kernels(const Kernels** tables, size_t capacity);
// By name, or null when this machine cannot run it.
const Kernels* find_kernels(const char* isa);

}  // namespace rtvoice::simd
