// count_instructions [MODEL.rtv...]: each kernel of the table in use, and a frame of each model, between two requests to callgrind, which writes one dump
// of its counts for each. scripts/budgets.py runs it and compares. Outside valgrind the requests do nothing.
#include <valgrind/callgrind.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "rtvoice/rtvoice.h"
#include "simd/kernels.h"

namespace rtvoice::simd {
namespace {

// 64-byte aligned, filled with small numbers.
float* floats(size_t count) {
  const size_t bytes = (count * sizeof(float) + 63) / 64 * 64;
  float* p = static_cast<float*>(std::aligned_alloc(64, bytes));
  uint32_t state = 1;
  for (size_t i = 0; i < bytes / sizeof(float); ++i) {
    state = state * 1664525u + 1013904223u;
    p[i] = static_cast<float>(state >> 8) * 0x1p-23f - 1.0f;
  }
  return p;
}

template <typename Work>
void count(const std::string& name, int times, Work work) {
  const std::string label = name + " x" + std::to_string(times);
  work();  // symbols bound, pages there
  CALLGRIND_START_INSTRUMENTATION;
  CALLGRIND_ZERO_STATS;
  for (int i = 0; i < times; ++i) work();
  CALLGRIND_DUMP_STATS_AT(label.c_str());
  CALLGRIND_STOP_INSTRUMENTATION;
}

void count_product(const Kernels& k, const char* name, size_t in, size_t cols, size_t taps, size_t rows, Unary act,
                   bool residual, bool half = false) {
  if (half && k.gemm_pack_half == nullptr) return;
  const size_t depth = in * taps, dilation = taps > 1 ? 16 : 1;
  float *x = floats((dilation * (taps - 1) + rows) * in), *w = floats(k.gemm_packed_floats(depth, cols)),
        *bias = floats(cols), *out = floats(rows * cols), *rest = floats(rows * cols);
  std::vector<const float*> segments;
  for (size_t t = 0; t < taps; ++t) segments.push_back(x + t * dilation * in);
  std::vector<uint16_t> bits(half ? k.gemm_packed_floats(depth, cols) : 0, uint16_t{0x3000});
  GemmArgs args{
      segments.data(), taps, in, in, w, half ? bits.data() : nullptr, bias, nullptr, out, cols, rows, cols, {}};
  args.epilogue.act = act;
  args.epilogue.residual = residual ? rest : nullptr;
  args.epilogue.residual_ld = cols;
  count(name, 1, [&] { k.gemm(args); });
  for (float* p : {x, w, bias, out, rest}) std::free(p);
}

void count_products(const Kernels& k) {
  const Unary none = Unary::kNone, tanh = Unary::kTanh;
  for (const size_t c : {8u, 16u, 32u, 48u, 64u, 96u, 128u})
    count_product(k, ("gemm " + std::to_string(c) + " channels, 160 rows, tanh").c_str(), c, c, 3, 160, tanh, true);
  for (const size_t rows : {1u, 2u, 4u, 6u, 12u, 13u})
    count_product(k, ("gemm 64 channels, " + std::to_string(rows) + " rows").c_str(), 64, 64, 3, rows, none, false);
  for (const size_t rows : {1u, 2u, 4u})
    count_product(k, ("gemm 256 channels, " + std::to_string(rows) + " rows, 16 bit").c_str(), 256, 256, 3, rows, none,
                  false, true);
  count_product(k, "gemm 256 to 512 channels, 160 rows, relu", 256, 512, 1, 160, Unary::kRelu, false);
  count_product(k, "gemm 64 to 1 channels, 160 rows", 64, 1, 7, 160, none, false);
  count_product(k, "gemm 64 to 4 channels, 160 rows", 64, 4, 3, 160, none, false);
}

void count_others(const Kernels& k) {
  constexpr size_t kRows = 32, kCols = 64, kCount = kRows * kCols;
  float *a = floats(kCount * 8), *b = floats(kCount * 8), *c = floats(kCount * 8), *out = floats(kCount * 8);
  const float* taps[] = {a, a + kCols, a + 2 * kCols};
  for (const size_t rows : {1u, 160u}) {
    count("depthwise 64 channels, 3 taps, " + std::to_string(rows) + " rows", 1,
          [&] { k.depthwise({taps, 3, kCols, b, kCols, c, out, kCols, rows, kCols, {}}); });
  }
  const float* segment = a;
  count("dot 192 taps, 160 rows", 1, [&] { k.dot({&segment, 1, 192, 3, b, 0.0f, out, 1, 160}); });
  // clang-format off
  const struct { const char* name; Unary op; } unary[] = {
      {"relu", Unary::kRelu}, {"tanh", Unary::kTanh}, {"sigmoid", Unary::kSigmoid}, {"exp", Unary::kExp}, {"log", Unary::kLog},
      {"sin", Unary::kSin}, {"gelu_erf", Unary::kGeluErf}, {"gelu_tanh", Unary::kGeluTanh}, {"silu", Unary::kSilu},
      {"softplus", Unary::kSoftplus}, {"elu", Unary::kElu}};
  // clang-format on
  for (size_t i = 0; i < kCount; ++i) c[i] = std::abs(a[i]) + 0.01f;
  for (const auto& u : unary) {
    const float* in = u.op == Unary::kLog ? c : a;
    count(std::string(u.name) + " 2048", 1, [&] { k.unary({u.op, 1.0f, 2.0f, in, kCount, out, kCount, 1, kCount}); });
  }
  // What the comparison itself must see: 2 % more of the same.
  count("planted 2 % more", 1,
        [&] { k.unary({Unary::kTanh, 1.0f, 2.0f, a, kCount + 48, out, kCount + 48, 1, kCount + 48}); });
  count("affine 2048", 1, [&] { k.channelwise({Channelwise::kAffine, b, c, a, kCols, out, kCols, kRows, kCols}); });
  count("snake 2048", 1, [&] { k.channelwise({Channelwise::kSnake, b, c, a, kCols, out, kCols, kRows, kCols}); });
  count("binary 2048", 1, [&] { k.binary({Binary::kAdd, a, kCols, true, b, kCols, true, out, kCols, kRows, kCols}); });
  count("film 2048", 1, [&] { k.film({a, kCols, b, kCols, c, kCols, 1.0f, out, kCols, kRows, kCols}); });
  count("layer_norm 2048", 1, [&] { k.norm({false, 1e-5f, b, c, a, kCols, out, kCols, kRows, kCols}); });
  count("rms_norm 2048", 1, [&] { k.norm({true, 1e-5f, b, nullptr, a, kCols, out, kCols, kRows, kCols}); });
  count("glu 2048", 1, [&] { k.glu({Unary::kTanh, Unary::kSigmoid, a, b, kCols, out, kCols, kRows, kCols}); });
  count("softmax 2048", 1, [&] { k.softmax({a, kCols, out, kCols, kRows, kCols}); });
  count("gru_cell 128", 1, [&] { k.gru_cell({GruPhase::kAll, a, b, 128, out, out + 128, 128}); });
  count("lstm_cell 128", 1, [&] { k.lstm_cell({a, b, 128, out, out + 128, 128}); });
  count("noise uniform 2048", 1, [&] { k.noise({false, -1.0f, 1.0f, 7, 3, 11, out, kCols, kRows, kCols}); });
  count("noise gaussian 2048", 1, [&] { k.noise({true, 0.0f, 1.0f, 7, 3, 11, out, kCols, kRows, kCols}); });
  for (size_t i = 0; i < 160; ++i) a[i] = std::abs(a[i]), b[i] = 0.01f;
  count("harmonics 160 rows", 1, [&] { k.harmonics({a, b, 0.45f, 40.0f, out, 160}); });
  count("fir 128 taps, 160 rows", 1, [&] { k.fir({a + 128, b, c, 128, out, 160, 0, 160}); });
  for (float* p : {a, b, c, out}) std::free(p);
}

// Frames of 10 ms at 48 kHz, as most hosts call it; the mean of 8.
bool count_model(const char* path) {
  rtv_model* model = nullptr;
  rtv_engine* engine = nullptr;
  rtv_config config;
  rtv_config_init(&config);
  config.max_frame = config.block = 480;
  if (rtv_model_open(path, &model) != RTV_OK || rtv_engine_create(model, &config, &engine) != RTV_OK) {
    std::fprintf(stderr, "%s: %s\n", path, rtv_last_error());
    rtv_model_close(model);
    return false;
  }
  float *in = floats(480), *out = floats(480);
  for (int i = 0; i < 5; ++i) (void)rtv_engine_process(engine, in, out, 480);
  const std::string text = path;
  const size_t file = text.rfind('/'), folder = file == std::string::npos ? file : text.rfind('/', file - 1);
  count("model " + text.substr(folder == std::string::npos ? 0 : folder + 1), 8,
        [&] { (void)rtv_engine_process(engine, in, out, 480); });
  std::free(in);
  std::free(out);
  rtv_engine_destroy(engine);
  rtv_model_close(model);
  return true;
}

}  // namespace
}  // namespace rtvoice::simd

int main(int argc, char** argv) {
  using namespace rtvoice::simd;
  const Kernels& k = kernels();
  std::printf("isa %s\n", k.isa);
  count_products(k);
  count_others(k);
  bool good = true;
  for (int i = 1; i < argc; ++i) good = count_model(argv[i]) && good;
  return good ? 0 : 1;
}
