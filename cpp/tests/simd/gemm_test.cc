// GEMM against float64, over shapes, segments, strides, panels' ranges and epilogues; and the same bits however its
// rows are cut.
#include "simd_test_util.h"

namespace rtvoice::simd {
namespace {

struct Shape {
  size_t segments, seg_len, row_step, dilation, rows, cols;
  bool bias, ranges;
};

// A convolution-like problem: segment s starts dilation*s frames of row_step floats later.
struct Problem {
  Problem(const Kernels& k, const Shape& s, uint32_t seed)
      : shape(s),
        random(seed),
        depth(s.segments * s.seg_len),
        offset(random.below(4)),
        out_ld(s.cols + random.below(2) * 5),
        residual_ld(s.cols + random.below(2) * 3),
        input((s.dilation * (s.segments - 1) + s.rows - 1) * s.row_step + s.seg_len, offset),
        weights(depth * s.cols, 0),
        packed(k.gemm_packed_floats(depth, s.cols), random.below(3)),
        bias(s.cols, random.below(3)),
        residual((s.rows - 1) * residual_ld + s.cols, random.below(3)) {
    input.fill(random);
    weights.fill(random);
    bias.fill(random);
    residual.fill(random);
    for (size_t i = 0; i < s.segments; ++i) segments.push_back(input.data() + i * s.dilation * s.row_step);
    if (s.ranges) make_ranges();
    pack(weights,
         [&](const float* w, size_t rows, size_t cols, size_t at) { k.gemm_pack(w, rows, cols, packed.data() + at); });
    args = {segments.data(),
            s.segments,
            s.seg_len,
            s.row_step,
            packed.data(),
            nullptr,
            s.bias ? bias.data() : nullptr,
            s.ranges ? ranges.data() : nullptr,
            nullptr,
            out_ld,
            s.rows,
            s.cols,
            {},
            nullptr};
  }

  // Each by chance, or parts of one length for every 16, 32 or 64 outputs, as groups have them.
  void make_ranges() {
    const size_t groups = random.below(4), wide = kRangeCols << (groups == 0 ? 0 : groups - 1);
    const uint32_t shared = static_cast<uint32_t>(1 + random.below(shape.seg_len));
    for (size_t c = 0; c < shape.cols; c += kRangeCols) {
      if (c % wide != 0) {
        ranges.push_back(ranges.back());
      } else if (groups != 0) {
        ranges.push_back({static_cast<uint32_t>(random.below(shape.seg_len - shared + 1)), shared});
      } else {
        const uint32_t begin = static_cast<uint32_t>(random.below(shape.seg_len));
        ranges.push_back({begin, static_cast<uint32_t>(1 + random.below(shape.seg_len - begin))});
      }
    }
  }

  // Calls pack(weights, their rows, columns, how many lie before) for all, or part by part.
  template <class Values, class Pack>
  void pack(const Values& all, Pack pack_part) const {
    if (!shape.ranges) return pack_part(all.data(), depth, shape.cols, size_t{0});
    size_t before = 0, width;
    for (size_t c = 0; c < shape.cols; c += width) {
      width = same_range(ranges.data(), shape.cols, c);
      const PanelRange& range = ranges[c / kRangeCols];
      std::vector<std::decay_t<decltype(*all.data())>> part;
      for (size_t s = 0; s < shape.segments; ++s) {
        for (size_t i = range.begin; i < range.begin + range.length; ++i)
          for (size_t o = 0; o < width; ++o) part.push_back(all.data()[(s * shape.seg_len + i) * shape.cols + c + o]);
      }
      pack_part(part.data(), shape.segments * range.length, width, before);
      before += part.size();
    }
  }

  void use(const Kernels& k, Unary act, bool with_residual, bool before, float a, float b) {
    (void)k;
    args.epilogue = {act, before, a, b, with_residual ? residual.data() : nullptr, residual_ld};
  }

  // The sum and, for its error bound, the sum of magnitudes.
  double expected(size_t r, size_t c, double* scale) const {
    double sum = shape.bias ? bias[c] : 0.0, magnitude = std::abs(sum);
    const size_t begin = shape.ranges ? ranges[c / kRangeCols].begin : 0,
                 length = shape.ranges ? ranges[c / kRangeCols].length : shape.seg_len;
    for (size_t s = 0; s < shape.segments; ++s) {
      for (size_t i = begin; i < begin + length; ++i) {
        const double product = static_cast<double>(segments[s][r * shape.row_step + i]) *
                               weights[(s * shape.seg_len + i) * shape.cols + c];
        sum += product;
        magnitude += std::abs(product);
      }
    }
    const Epilogue& e = args.epilogue;
    const double res = e.residual ? e.residual[r * e.residual_ld + c] : 0.0;
    *scale = magnitude + std::abs(res);
    return e.residual_before_act ? reference(e, sum + res, c) : reference(e, sum, c) + res;
  }

  void check(const Kernels& k, double tolerance) {
    Output out(shape.rows, shape.cols, out_ld, offset);
    args.out = out.data();
    k.gemm(args);
    out.expect_canaries();
    double worst = 0;
    for (size_t r = 0; r < shape.rows; ++r) {
      for (size_t c = 0; c < shape.cols; ++c) {
        double scale = 0;
        const double y = expected(r, c, &scale);
        const double error = std::abs(out.at(r, c) - y) / std::max(scale, 1.0);
        worst = worse(worst, error);
      }
    }
    EXPECT_LT(worst, tolerance) << shape.segments << "x" << shape.seg_len << " step " << shape.row_step << " rows "
                                << shape.rows << " cols " << shape.cols << " act "
                                << static_cast<int>(args.epilogue.act);
  }

  Shape shape;
  Random random;
  size_t depth, offset, out_ld, residual_ld;
  Buffer input, weights, packed, bias, residual;
  std::vector<const float*> segments;
  std::vector<PanelRange> ranges;
  GemmArgs args;
};

using GemmTest = KernelTest;

const size_t kCols[] = {1, 4, 8, 16, 32, 48, 64, 80, 96, 112, 128, 144, 192, 208};

TEST_P(GemmTest, MatchesFloat64AtEveryHeight) {
  uint32_t seed = 1;
  for (const size_t cols : kCols) {
    for (size_t rows = 1; rows <= 33; ++rows) {
      const size_t len = 1 + (rows * 7 + cols) % 19;
      Problem p(k(), {1 + rows % 3, len, len + rows % 2, 1 + rows % 4, rows, cols, rows % 5 != 0, false}, seed++);
      p.check(k(), 1e-6);
    }
  }
}

TEST_P(GemmTest, StridedOverlappingAndLongInputs) {
  uint32_t seed = 1000;
  for (const size_t cols : {1u, 8u, 16u, 64u, 128u}) {
    for (const Shape s : {Shape{1, 64, 32, 1, 20, cols, true, false},    // strided window: rows overlap
                          Shape{1, 7, 1, 1, 45, cols, true, false},      // FIR over single samples
                          Shape{3, 64, 64, 16, 160, cols, true, false},  // dilated
                          Shape{5, 33, 40, 2, 3, cols, false, false}, Shape{1, 1024, 1024, 1, 2, cols, true, false}}) {
      Problem p(k(), s, seed++);
      p.check(k(), 1e-5 / 4);
    }
  }
}

TEST_P(GemmTest, EveryChannelwiseEpilogue) {
  uint32_t seed = 4000;
  for (const Channelwise op : {Channelwise::kAffine, Channelwise::kPrelu, Channelwise::kSnake}) {
    for (const size_t cols : kCols) {
      for (const size_t rows : {1u, 2u, 5u, 19u, 70u}) {
        for (int residual = 0; residual < 3; ++residual) {
          Problem p(k(), {2, 5, 6, 1, rows, cols, true, false}, seed++);
          Buffer slope(cols, p.random.below(4)), q(cols, p.random.below(4));
          slope.fill(p.random);
          q.fill(p.random);
          p.use(k(), Unary::kNone, residual > 0, residual == 2, 0.0f, 0.0f);
          p.args.epilogue.channelwise = op;
          p.args.epilogue.p = slope.data();
          p.args.epilogue.q = op == Channelwise::kPrelu ? nullptr : q.data();
          p.check(k(), 2e-6);
        }
      }
    }
  }
}

// In the product's epilogue or over its finished rows: the same bits, so that fusing changes no model's output.
TEST_P(GemmTest, ChannelwiseEpilogueHasTheBitsOfItsOwnPass) {
  uint32_t seed = 4500;
  for (const Channelwise op : {Channelwise::kAffine, Channelwise::kPrelu, Channelwise::kSnake}) {
    for (const size_t cols : kCols) {
      const size_t rows = 13;
      Problem p(k(), {2, 5, 6, 1, rows, cols, true, false}, seed++);
      Buffer slope(cols, 1), q(cols, 3);
      slope.fill(p.random);
      q.fill(p.random);
      std::vector<float> fused(rows * cols), apart(rows * cols);
      p.args.out_ld = cols;
      p.args.out = apart.data();
      k().gemm(p.args);
      k().channelwise({op, slope.data(), q.data(), apart.data(), cols, apart.data(), cols, rows, cols});
      p.args.out = fused.data();
      p.args.epilogue.channelwise = op;
      p.args.epilogue.p = slope.data();
      p.args.epilogue.q = q.data();
      k().gemm(p.args);
      ASSERT_EQ(std::memcmp(fused.data(), apart.data(), fused.size() * sizeof(float)), 0) << "cols " << cols;
    }
  }
}

TEST_P(GemmTest, PanelRangesSkipTheRest) {
  uint32_t seed = 2000;
  for (const size_t cols : kCols) {
    for (const size_t rows : {1u, 2u, 7u, 13u}) {
      for (int kind = 0; kind < 12; ++kind) {
        Problem p(k(), {3, 24, 24, 2, rows, cols, kind % 2 == 0, true}, seed++);
        p.use(k(), kind % 3 == 0 ? Unary::kNone : Unary::kTanh, kind % 3 != 1, kind % 4 == 2, 0, 0);
        p.check(k(), 1e-6);
      }
    }
  }
}

TEST_P(GemmTest, EveryEpilogue) {
  uint32_t seed = 3000;
  for (const Unary act : all_unary()) {
    for (const size_t cols : {1u, 4u, 8u, 16u, 64u, 112u}) {
      for (const size_t rows : {1u, 5u, 19u}) {
        for (int residual = 0; residual < 3; ++residual) {
          if (act == Unary::kLog || act == Unary::kReciprocal || act == Unary::kSqrt) {
            // Away from their poles, where the error of the sum would be amplified without bound.
            Problem p(k(), {1, 3, 3, 1, rows, cols, true, false}, seed++);
            for (size_t i = 0; i < p.bias.size(); ++i) p.bias[i] = 8.0f;
            p.use(k(), act, residual > 0, residual == 2, 0.3f, 0.7f);
            p.check(k(), 1e-6);
          } else {
            Problem p(k(), {2, 5, 6, 1, rows, cols, true, false}, seed++);
            p.use(k(), act, residual > 0, residual == 2, act == Unary::kClip ? -0.4f : 0.3f, 0.7f);
            p.check(k(), act == Unary::kExp || act == Unary::kSquare ? 1e-4 : 2e-6);
          }
        }
      }
    }
  }
}

// out == residual is the usual in-place update of a residual stream.
TEST_P(GemmTest, OutputMayBeTheResidual) {
  for (const bool before : {false, true}) {
    for (const size_t cols : {1u, 8u, 64u, 80u}) {
      Problem p(k(), {3, 16, 16, 2, 21, cols, true, false}, 77);
      p.use(k(), Unary::kTanh, true, before, 0, 0);
      p.args.epilogue.residual_ld = p.args.out_ld = cols;
      std::vector<float> apart(21 * cols), in_place(p.residual.data(), p.residual.data() + 21 * cols);
      p.args.out = apart.data();
      k().gemm(p.args);
      p.args.out = in_place.data();
      p.args.epilogue.residual = in_place.data();
      k().gemm(p.args);
      EXPECT_EQ(std::memcmp(apart.data(), in_place.data(), apart.size() * sizeof(float)), 0) << cols;
    }
  }
}

// 160 rows in one call, and in pieces of every size that a host's blocks can make of them.
TEST_P(GemmTest, CuttingRowsKeepsTheBits) {
  uint32_t seed = 4000;
  for (const size_t cols : kCols) {
    for (const bool ranges : {false, true}) {
      const size_t rows = 160;
      Problem p(k(), {3, 20, 24, 4, rows, cols, true, ranges}, seed++);
      p.use(k(), cols % 32 == 0 ? Unary::kTanh : Unary::kSilu, true, cols % 64 == 0, 0, 0);
      std::vector<float> whole(rows * p.out_ld, 0.0f);
      p.args.out = whole.data();
      k().gemm(p.args);
      for (const size_t piece : {1u, 2u, 3u, 4u, 5u, 7u, 11u, 12u, 13u, 17u, 31u, 64u, 159u}) {
        std::vector<float> cut(rows * p.out_ld, 0.0f);
        for (size_t r = 0; r < rows; r += piece) {
          GemmArgs a = p.args;
          std::vector<const float*> segments(p.segments);
          for (auto& s : segments) s += r * a.row_step;
          a.seg = segments.data();
          a.rows = std::min(piece, rows - r);
          a.out = cut.data() + r * a.out_ld;
          a.epilogue.residual += r * a.epilogue.residual_ld;
          k().gemm(a);
        }
        ASSERT_EQ(std::memcmp(whole.data(), cut.data(), whole.size() * sizeof(float)), 0)
            << "cols " << cols << " in pieces of " << piece;
      }
    }
  }
}

// One accumulator in ascending order is a contract that plan rewrites rely on: the exact bits of a naive loop with the
// same rounding.
TEST_P(GemmTest, OneSummationOrder) {
  const bool fused = std::string(k().isa) != "SCALAR" && std::string(k().isa) != "SSE4";
  for (const size_t cols : {4u, 8u, 16u, 64u, 128u}) {
    for (const size_t rows : {1u, 6u, 29u}) {
      Problem p(k(), {3, 21, 21, 1, rows, cols, true, false}, 5000);
      std::vector<float> out(rows * p.out_ld);
      p.args.out = out.data();
      k().gemm(p.args);
      for (size_t r = 0; r < rows; ++r) {
        for (size_t c = 0; c < cols; ++c) {
          volatile float sum = p.bias[c];
          for (size_t s = 0; s < 3; ++s) {
            for (size_t i = 0; i < 21; ++i) {
              const float x = p.segments[s][r * 21 + i], w = p.weights[(s * 21 + i) * cols + c];
              if (fused) {
                sum = std::fma(x, w, sum);
              } else {
                volatile float product = x * w;
                sum = sum + product;
              }
            }
          }
          ASSERT_EQ(out[r * p.out_ld + c], sum) << "row " << r << " col " << c;
        }
      }
    }
  }
}

// float16 weights are widened exactly: the bits of the same product with the widened weights as float32.
TEST_P(GemmTest, HalfWeightsGiveTheBitsOfTheWidenedOnes) {
  if (k().gemm_pack_half == nullptr) GTEST_SKIP() << k().isa << " keeps float32 weights";
  uint32_t seed = 7000;
  for (const size_t cols : kCols) {
    if (cols % 16 != 0) continue;
    for (const bool ranges : {false, true}) {
      for (const size_t rows : {1u, 2u, 3u, 4u, 5u, 6u, 9u, 13u, 29u}) {
        Problem p(k(), {3, 20, 24, 4, rows, cols, true, ranges}, seed++);
        std::vector<uint16_t> half(p.depth * cols), packed(k().gemm_packed_floats(p.depth, cols));
        for (size_t i = 0; i < half.size(); ++i) {
          // Every exponent, subnormals too; no infinity.
          half[i] = static_cast<uint16_t>(p.random.below(2) << 15 | p.random.below(20) << 10 | p.random.below(1024));
          const int exponent = half[i] >> 10 & 31, mantissa = half[i] & 1023;
          const float magnitude = exponent == 0 ? std::ldexp(static_cast<float>(mantissa), -24)
                                                : std::ldexp(static_cast<float>(1024 + mantissa), exponent - 25);
          p.weights[i] = half[i] >> 15 ? -magnitude : magnitude;
        }
        p.pack(p.weights, [&](const float* w, size_t depth, size_t wide, size_t at) {
          k().gemm_pack(w, depth, wide, p.packed.data() + at);
        });
        p.pack(half, [&](const uint16_t* w, size_t depth, size_t wide, size_t at) {
          k().gemm_pack_half(w, depth, wide, packed.data() + at);
        });
        p.use(k(), Unary::kTanh, true, false, 0, 0);
        std::vector<float> single(rows * p.out_ld, 0.0f), doubled(single);
        p.args.out = single.data();
        k().gemm(p.args);
        p.args.half = packed.data();
        p.args.weights = nullptr;
        p.args.out = doubled.data();
        k().gemm(p.args);
        ASSERT_EQ(std::memcmp(single.data(), doubled.data(), single.size() * sizeof(float)), 0)
            << "cols " << cols << " rows " << rows;
      }
    }
  }
}

// A gate in the epilogue: the bits of the product followed by the gated unit.
TEST_P(GemmTest, GateHasTheBitsOfItsOwnPass) {
  uint32_t seed = 8000;
  const Unary acts[][2] = {
      {Unary::kTanh, Unary::kSigmoid}, {Unary::kNone, Unary::kSigmoid}, {Unary::kSilu, Unary::kTanh}};
  for (const size_t cols : {32u, 64u, 96u, 128u, 160u}) {
    for (const size_t rows : {1u, 2u, 3u, 4u, 5u, 7u, 13u, 30u}) {
      for (const auto& act : acts) {
        Problem p(k(), {2, 9, 11, 2, rows, cols, true, false}, seed++);
        const size_t half = cols / 2, turn = k().gate_cols();
        std::vector<float> apart(rows * cols), fused(rows * half), gated(rows * half);
        p.args.out = apart.data();
        p.args.out_ld = cols;
        k().gemm(p.args);
        k().glu({act[0], act[1], apart.data(), apart.data() + half, cols, gated.data(), half, rows, half});
        Buffer turned(p.depth * cols, 0), bias(cols, 1);
        for (size_t c = 0; c < cols; ++c) {
          const size_t to = (2 * (c % half / turn) + c / half) * turn + c % half % turn;
          for (size_t d = 0; d < p.depth; ++d) turned[d * cols + to] = p.weights[d * cols + c];
          bias[to] = p.bias[c];
        }
        k().gemm_pack(turned.data(), p.depth, cols, p.packed.data());
        p.args.bias = bias.data();
        p.args.epilogue.act = act[0];
        p.args.epilogue.gate = true;
        p.args.epilogue.gate_act = act[1];
        p.args.out = fused.data();
        p.args.out_ld = half;
        k().gemm(p.args);
        ASSERT_EQ(std::memcmp(fused.data(), gated.data(), fused.size() * sizeof(float)), 0)
            << "cols " << cols << " rows " << rows;
      }
    }
  }
}

// Two layers in one product: the bits of each by itself.
TEST_P(GemmTest, PartsHaveTheBitsOfTwoProducts) {
  uint32_t seed = 9000;
  for (const size_t cols : {32u, 64u, 96u, 192u}) {
    for (size_t split = 16; split < cols; split += 16) {
      for (const size_t rows : {1u, 2u, 4u, 5u, 13u}) {
        for (int form = 0; form < 4; ++form) {
          Problem p(k(), {2, 9, 11, 2, rows, cols, true, false}, seed++);
          const size_t rest = cols - split;
          const auto layer = [&](size_t first, size_t width, float* out, const Epilogue& epilogue) {
            Buffer own(p.depth * width, 0), packed(k().gemm_packed_floats(p.depth, width), 0);
            for (size_t i = 0; i < own.size(); ++i) own[i] = p.weights[i / width * cols + first + i % width];
            k().gemm_pack(own.data(), p.depth, width, packed.data());
            GemmArgs a = p.args;
            a.weights = packed.data();
            a.bias = p.bias.data() + first;
            a.cols = a.out_ld = width;
            a.out = out;
            a.epilogue = epilogue;
            k().gemm(a);
          };
          Epilogue a, b;
          a.residual = p.residual.data();
          a.residual_ld = b.residual_ld = p.residual_ld;
          a.residual_before_act = form == 1;
          if (form != 0) a.act = Unary::kTanh;
          b.act = form == 2 ? Unary::kSilu : Unary::kNone;
          if (form == 3) b.residual = p.residual.data() + split;
          std::vector<float> one(rows * split), two(rows * rest), one_part(one), two_part(two);
          layer(0, split, one.data(), a);
          layer(split, rest, two.data(), b);
          const GemmPart part{split, two_part.data(), rest, b};
          p.args.epilogue = a;
          p.args.part = &part;
          p.args.out = one_part.data();
          p.args.out_ld = split;
          k().gemm(p.args);
          ASSERT_EQ(std::memcmp(one.data(), one_part.data(), one.size() * sizeof(float)), 0) << cols << " " << split;
          ASSERT_EQ(std::memcmp(two.data(), two_part.data(), two.size() * sizeof(float)), 0) << cols << " " << split;
        }
      }
    }
  }
}

TEST_P(GemmTest, NoRowsWriteNothing) {
  Problem p(k(), {1, 8, 8, 1, 1, 16, true, false}, 6000);
  Output out(1, 0, p.out_ld, 0);
  p.args.rows = 0;
  p.args.out = out.data();
  k().gemm(p.args);
  out.expect_canaries();
}

RTV_ALL_KERNELS(GemmTest);

}  // namespace
}  // namespace rtvoice::simd
