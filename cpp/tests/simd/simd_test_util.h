// Shared by the kernel tests: every table of this machine, buffers with canaries at any alignment, repeatable numbers.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "simd/kernels.h"

namespace rtvoice::simd {

inline std::vector<const Kernels*> all_kernels() {
  std::vector<const Kernels*> tables(8);
  tables.resize(available_kernels(tables.data(), tables.size()));
  return tables;
}

class KernelTest : public testing::TestWithParam<const Kernels*> {
 protected:
  const Kernels& k() const { return *GetParam(); }
};

#define RTV_ALL_KERNELS(suite)                                           \
  INSTANTIATE_TEST_SUITE_P(Isa, suite, testing::ValuesIn(all_kernels()), \
                           [](const auto& table) { return std::string(table.param->isa); })

// The larger one; a NaN stays.
inline double worse(double worst, double error) { return error <= worst || std::isnan(worst) ? worst : error; }

class Random {
 public:
  explicit Random(uint32_t seed) : state_(seed * 2654435761u + 12345u) {}
  uint32_t next() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 17;
    state_ ^= state_ << 5;
    return state_;
  }
  size_t below(size_t n) { return next() % n; }
  float uniform() { return static_cast<float>(next() >> 8) * 0x1p-23f - 1.0f; }  // [-1, 1)

 private:
  uint32_t state_;
};

// Exactly `size` floats on the heap, `offset` floats off their 64-byte boundary, so that AddressSanitizer sees the
// first read beyond.
class Buffer {
 public:
  Buffer(size_t size, size_t offset) : memory_(new float[size + offset]), data_(memory_.get() + offset), size_(size) {}
  float* data() { return data_; }
  const float* data() const { return data_; }
  size_t size() const { return size_; }
  float& operator[](size_t i) { return data_[i]; }
  float operator[](size_t i) const { return data_[i]; }
  void fill(Random& random, float scale = 1.0f) {
    for (size_t i = 0; i < size_; ++i) data_[i] = scale * random.uniform();
  }

 private:
  std::unique_ptr<float[]> memory_;
  float* data_;
  size_t size_;
};

// [rows][ld] output: lanes beyond `cols`, and the space before and after, must keep their canary.
class Output {
 public:
  Output(size_t rows, size_t cols, size_t ld, size_t offset)
      : rows_(rows), cols_(cols), ld_(ld), margin_(32 + offset), v_(2 * margin_ + rows * ld, kCanary) {}
  float* data() { return v_.data() + margin_; }
  float at(size_t r, size_t c) const { return v_[margin_ + r * ld_ + c]; }
  void expect_canaries() const {
    size_t wrong = 0;
    for (size_t i = 0; i < v_.size(); ++i) {
      const bool inside = i >= margin_ && i < margin_ + rows_ * ld_ && (i - margin_) % ld_ < cols_;
      if (!inside && std::memcmp(&v_[i], &kCanary, sizeof(float)) != 0) ++wrong;
    }
    EXPECT_EQ(wrong, 0u) << "floats written outside the output";
  }

 private:
  static constexpr float kCanary = -1.2345678e30f;
  size_t rows_, cols_, ld_, margin_;
  std::vector<float> v_;
};

// float64 reference of the activations.
inline double reference(Unary op, double x, double a, double b) {
  switch (op) {
    case Unary::kNone:
      return x;
    case Unary::kRelu:
      return x > 0 ? x : 0;
    case Unary::kLeakyRelu:
      return x > 0 ? x : x * a;
    case Unary::kElu:
      return x > 0 ? x : a * std::expm1(x);
    case Unary::kGeluErf:
      return 0.5 * x * std::erfc(-x / std::sqrt(2.0));
    case Unary::kGeluTanh:
      return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case Unary::kSilu:
      return x / (1 + std::exp(-x));
    case Unary::kTanh:
      return std::tanh(x);
    case Unary::kSigmoid:
      return 1 / (1 + std::exp(-x));
    case Unary::kSoftplus:
      return (std::max(a * x, 0.0) + std::log1p(std::exp(-std::abs(a * x)))) / a;
    case Unary::kExp:
      return std::exp(x);
    case Unary::kLog:
      return std::log(x);
    case Unary::kSqrt:
      return std::sqrt(x);
    case Unary::kSquare:
      return x * x;
    case Unary::kAbs:
      return std::abs(x);
    case Unary::kNeg:
      return -x;
    case Unary::kReciprocal:
      return 1 / x;
    case Unary::kSin:
      return std::sin(x);
    case Unary::kCos:
      return std::cos(x);
    case Unary::kClip:
      return std::min(std::max(x, a), b);
  }
  return 0;
}

inline double reference(Channelwise op, double x, double p, double q) {
  switch (op) {
    case Channelwise::kAffine:
      return x * p + q;
    case Channelwise::kPrelu:
      return x > 0 ? x : x * p;
    case Channelwise::kSnake:
      return x + std::sin(p * x) * std::sin(p * x) * q;
  }
  return 0;
}

// A product's activation at column c.
inline double reference(const Epilogue& e, double x, size_t c) {
  if (e.p == nullptr) return reference(e.act, x, e.a, e.b);
  return reference(e.channelwise, x, e.p[c], e.q == nullptr ? 0.0 : e.q[c]);
}

inline const std::vector<Unary>& all_unary() {
  static const std::vector<Unary> ops = {
      Unary::kNone, Unary::kRelu,    Unary::kLeakyRelu,  Unary::kElu, Unary::kGeluErf, Unary::kGeluTanh, Unary::kSilu,
      Unary::kTanh, Unary::kSigmoid, Unary::kSoftplus,   Unary::kExp, Unary::kLog,     Unary::kSqrt,     Unary::kSquare,
      Unary::kAbs,  Unary::kNeg,     Unary::kReciprocal, Unary::kSin, Unary::kCos,     Unary::kClip};
  return ops;
}

}  // namespace rtvoice::simd
