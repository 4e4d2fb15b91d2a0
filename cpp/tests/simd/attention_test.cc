// Attention against float64, at any number of rows before the stream; padding neither read nor written.
#include "simd_test_util.h"

namespace rtvoice::simd {
namespace {

using AttentionTest = KernelTest;

struct Shape {
  size_t heads, depth, width, window, missing, rows;  // depth, width: of a head
};

// One row's head in double precision.
std::vector<double> expected(const AttendArgs& args, const Shape& shape, size_t r, size_t head) {
  const size_t skip = args.missing > r ? args.missing - r : 0;
  std::vector<double> scores, out(shape.width, 0.0);
  double most = -1e30, sum = 0.0;
  for (size_t j = skip; j < args.window; ++j) {
    double score = 0.0;
    for (size_t c = head * shape.depth; c < (head + 1) * shape.depth; ++c)
      score += static_cast<double>(args.q[r * args.q_ld + c]) * static_cast<double>(args.k[(r + j) * args.k_ld + c]);
    scores.push_back(score * static_cast<double>(args.scale));
    most = std::max(most, scores.back());
  }
  for (double& score : scores) sum += score = std::exp(score - most);
  for (size_t j = 0; j < scores.size(); ++j) {
    for (size_t c = 0; c < shape.width; ++c)
      out[c] += scores[j] / sum * static_cast<double>(args.v[(r + skip + j) * args.v_ld + head * shape.width + c]);
  }
  return out;
}

TEST_P(AttentionTest, MatchesFloat64AndIsTheSameRowByRow) {
  uint32_t seed = 0;
  for (const Shape& shape : {Shape{1, 1, 1, 1, 0, 1}, Shape{2, 4, 4, 9, 8, 12}, Shape{4, 2, 3, 70, 0, 3},
                             Shape{3, 5, 7, 16, 15, 2}, Shape{1, 64, 65, 33, 5, 7}, Shape{8, 16, 16, 50, 49, 60},
                             Shape{2, 33, 130, 17, 3, 4}, Shape{1, 8, 31, 2, 1, 5}}) {
    Random random(++seed);
    const size_t depth = shape.heads * shape.depth, width = shape.heads * shape.width;
    const size_t past = shape.rows + shape.window - 1, q_ld = depth + 3, k_ld = depth + 1, v_ld = width + 2;
    Buffer q((shape.rows - 1) * q_ld + depth, random.below(4)), k((past - 1) * k_ld + depth, random.below(4)),
        v((past - 1) * v_ld + width, random.below(4)), shares(shape.window, 1);
    q.fill(random, 2.0f);
    k.fill(random, 2.0f);
    v.fill(random);
    for (size_t r = 0; r < shape.missing; ++r) {  // rows before the stream, which would spoil every sum
      for (size_t c = 0; c < depth; ++c) k[r * k_ld + c] = NAN;
      for (size_t c = 0; c < width; ++c) v[r * v_ld + c] = NAN;
    }
    for (size_t r = 0; r + 1 < past; ++r) {
      k[r * k_ld + depth] = NAN;
      v[r * v_ld + width] = v[r * v_ld + width + 1] = NAN;
    }
    Output out(shape.rows, width, width + 5, 1);
    const AttendArgs args{q.data(),      k.data(),   v.data(),  q_ld,         k_ld,          v_ld,
                          shape.heads,   depth,      width,     shape.window, shape.missing, 0.7f,
                          shares.data(), out.data(), width + 5, shape.rows};
    this->k().attend(args);
    out.expect_canaries();
    for (size_t r = 0; r < shape.rows; ++r) {
      for (size_t head = 0; head < shape.heads; ++head) {
        const std::vector<double> y = expected(args, shape, r, head);
        for (size_t c = 0; c < shape.width; ++c)
          ASSERT_NEAR(out.at(r, head * shape.width + c), y[c], 4e-6) << "shape " << seed << " row " << r;
      }
      std::vector<float> alone(width);
      AttendArgs one = args;
      one.q += r * q_ld;
      one.k += r * k_ld;
      one.v += r * v_ld;
      one.missing = args.missing > r ? args.missing - r : 0;
      one.out = alone.data();
      one.rows = 1;
      this->k().attend(one);
      for (size_t c = 0; c < width; ++c) ASSERT_EQ(alone[c], out.at(r, c));
    }
  }
}

RTV_ALL_KERNELS(AttentionTest);

}  // namespace
}  // namespace rtvoice::simd
