// Products that follow each other give the bits that they give one by one.
#include "simd_test_util.h"

namespace rtvoice::simd {
namespace {

using RowsTest = KernelTest;

constexpr size_t kChannels = 32, kLayers = 5, kProducts = 2 * kLayers + 1;

// Float16 of numbers that have one.
uint16_t half_of(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return static_cast<uint16_t>((bits >> 16 & 0x8000u) | ((bits >> 23 & 0xffu) - 112) << 10 | (bits >> 13 & 0x3ffu));
}

// Gated layers of two rows, each with a residual before its gate, then a residual and a skip path side by side; last a layer of 16 columns. Every
// second layer's weights are float16 where the table reads them.
class Chain {
 public:
  explicit Chain(const Kernels& k) : random_(7), k_(k) {
    for (size_t i = 0; i < kProducts; ++i) {
      const bool last = i + 1 == kProducts, gate = i % 2 == 0 && !last;
      GemmArgs& args = args_[i];
      args.num_segments = gate ? 2 : 1;
      args.seg_len = args.row_step = kChannels;
      args.rows = 1;
      args.cols = last ? 16 : 2 * kChannels;
      args.bias = numbers(args.cols);
      args.ranges = nullptr;
      args.part = nullptr;
      args.out = rows_[i + 1];
      args.out_ld = kChannels;
      segments_[i][0] = gate ? numbers(kChannels) : rows_[i];
      segments_[i][1] = rows_[i];
      args.seg = segments_[i];
      pack(&args, args.num_segments * kChannels, i / 2 % 2 == 0);
      if (last) continue;
      args.epilogue.residual = numbers(2 * kChannels);
      args.epilogue.residual_ld = 2 * kChannels;
      if (gate) {
        args.epilogue.residual_before_act = args.epilogue.gate = true;
        args.epilogue.act = i % 4 == 0 ? Unary::kTanh : Unary::kRelu;
        args.epilogue.gate_act = Unary::kSigmoid;
        args.epilogue.gate_half = kChannels;
      } else {
        parts_[i].col = kChannels;
        parts_[i].out = skip_;
        parts_[i].out_ld = kChannels;
        parts_[i].epilogue.residual = skip_;
        parts_[i].epilogue.residual_ld = kChannels;
        args.part = &parts_[i];
      }
    }
    numbers(kChannels);
    first_ = numbers_.back();
  }

  std::vector<float> run(bool together) {
    std::memset(rows_, 0, sizeof rows_);
    std::memset(skip_, 0, sizeof skip_);
    std::copy(first_.begin(), first_.end(), rows_[0]);
    const GemmArgs* list[kProducts];
    for (size_t i = 0; i < kProducts; ++i) list[i] = &args_[i];
    if (together) k_.gemm_rows(list, kProducts);
    for (size_t i = 0; !together && i < kProducts; ++i) k_.gemm(args_[i]);
    std::vector<float> all(rows_[0], rows_[0] + sizeof rows_ / sizeof(float));
    all.insert(all.end(), skip_, skip_ + kChannels);
    return all;
  }
  size_t halves() const { return halves_.size(); }

 private:
  const float* numbers(size_t count) {
    numbers_.emplace_back(count);
    for (float& x : numbers_.back()) x = 0.25f * random_.uniform();
    return numbers_.back().data();
  }
  void pack(GemmArgs* args, size_t depth, bool half) {
    std::vector<float> dense(depth * args->cols);
    for (float& x : dense) x = 0.001953125f * static_cast<float>(1 + random_.below(300));  // 9 bits of float16's 11
    args->weights = nullptr;
    args->half = nullptr;
    if (half && k_.gemm_pack_half != nullptr) {
      std::vector<uint16_t> bits;
      for (const float x : dense) bits.push_back(half_of(x));
      halves_.emplace_back(bits.size());
      k_.gemm_pack_half(bits.data(), depth, args->cols, halves_.back().data());
      args->half = halves_.back().data();
      return;
    }
    numbers_.emplace_back(k_.gemm_packed_floats(depth, args->cols));
    k_.gemm_pack(dense.data(), depth, args->cols, numbers_.back().data());
    args->weights = numbers_.back().data();
  }

  Random random_;
  const Kernels& k_;
  std::vector<std::vector<float>> numbers_;
  std::vector<std::vector<uint16_t>> halves_;
  GemmArgs args_[kProducts];
  GemmPart parts_[kProducts];
  const float* segments_[kProducts][2];
  float rows_[kProducts + 1][kChannels], skip_[kChannels];
  std::vector<float> first_;
};

TEST_P(RowsTest, TogetherAndOneByOneAreTheSameBits) {
  Chain chain(k());
  const std::vector<float> apart = chain.run(false), together = chain.run(true);
  EXPECT_EQ(std::memcmp(apart.data(), together.data(), apart.size() * sizeof(float)), 0);
  EXPECT_EQ(chain.halves() > 0, k().gemm_pack_half != nullptr);
  size_t moved = 0;
  for (const float x : apart) {
    ASSERT_TRUE(std::isfinite(x));
    moved += x != 0.0f;
  }
  EXPECT_GT(moved, apart.size() / 2);
}

RTV_ALL_KERNELS(RowsTest);

}  // namespace
}  // namespace rtvoice::simd
