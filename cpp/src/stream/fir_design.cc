// Design of the linear-phase low-pass filters of the FIR resampler.
//
// Weighted least squares in closed form, rather than a Kaiser window: the error need not be the same in both bands.
// With 64 taps per low-rate sample a window with 0.43 pass edge reaches -95 dB at 0.53 of the low rate and -20 dB at
// 0.5; this design reaches -94 dB at 0.52 and -32 dB at 0.5 for 0.006 dB of ripple. An equiripple filter would gain a
// few dB more, but its ripple does not decay, which in time is an echo half a filter before the sound.
//
// The design is solved once at six times the low rate (1 ms for 192 unknowns; it grows with the cube) and interpolated
// for every other rate. There the response is band-limited to 0.57 / 6 of the sampling rate, and twelve points of
// Lagrange interpolation err by -140 dB.
#include "stream/fir_design.h"

#include <cmath>

namespace rtvoice {
namespace {

constexpr double kPi = 3.14159265358979323846;
constexpr int kOversampling = 6;
constexpr int kPoints = 12;
constexpr int kLeft = kPoints / 2 - 1;  // points before the one at or below the position

// 1 / product of (i - j) over the other points j: (-1)^(11 - i) / (i! (11 - i)!).
constexpr double kInverse[kPoints] = {-1.0 / 39916800, 1.0 / 3628800, -1.0 / 725760,  1.0 / 241920,
                                      -1.0 / 120960,   1.0 / 86400,   -1.0 / 86400,   1.0 / 120960,
                                      -1.0 / 241920,   1.0 / 725760,  -1.0 / 3628800, 1.0 / 39916800};

// Integral of cos(k w) over [from, to].
double cosine_integral(int k, double from, double to) {
  return k == 0 ? to - from : (std::sin(k * to) - std::sin(k * from)) / k;
}

// Solves A x = b for a symmetric positive definite A [n][n], whose lower triangle it overwrites; x replaces b.
void solve_cholesky(std::vector<double>& a, std::vector<double>& b) {
  const size_t n = b.size();
  for (size_t j = 0; j < n; ++j) {
    double* row_j = &a[j * n];
    double diagonal = row_j[j];
    for (size_t k = 0; k < j; ++k) diagonal -= row_j[k] * row_j[k];
    row_j[j] = std::sqrt(diagonal);
    for (size_t i = j + 1; i < n; ++i) {
      double* row_i = &a[i * n];
      double sum = row_i[j];
      for (size_t k = 0; k < j; ++k) sum -= row_i[k] * row_j[k];
      row_i[j] = sum / row_j[j];
    }
  }
  for (size_t i = 0; i < n; ++i) {
    for (size_t k = 0; k < i; ++k) b[i] -= a[i * n + k] * b[k];
    b[i] /= a[i * n + i];
  }
  for (size_t i = n; i-- > 0;) {
    for (size_t k = i + 1; k < n; ++k) b[i] -= a[k * n + i] * b[k];
    b[i] /= a[i * n + i];
  }
}

// taps[0 .. half], the centre first, at `oversampling` times the low rate.
std::vector<double> least_squares(const LowpassSpec& spec, int oversampling, int half) {
  const double pass = 2.0 * kPi * spec.pass / oversampling, stop = 2.0 * kPi * spec.stop / oversampling;
  const size_t n = static_cast<size_t>(half) + 1;
  // H(w) = sum of x[i] cos(i w). The normal equations hold integrals of cos(i w) cos(j w), sums of two entries of one
  // table.
  std::vector<double> table(2 * n - 1), matrix(n * n), x(n);
  for (int k = 0; k <= 2 * half; ++k) {
    table[k] = cosine_integral(k, 0.0, pass) + spec.stop_weight * cosine_integral(k, stop, kPi);
  }
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = 0; j <= i; ++j) matrix[i * n + j] = 0.5 * (table[i - j] + table[i + j]);
    x[i] = cosine_integral(static_cast<int>(i), 0.0, pass);
  }
  solve_cholesky(matrix, x);
  for (size_t i = 1; i < n; ++i) x[i] *= 0.5;
  return x;
}

}  // namespace

LowpassKernel::LowpassKernel(const LowpassSpec& spec) : half_length_(spec.half_length) {
  const int half = spec.half_length * kOversampling - 1;
  const std::vector<double> taps = least_squares(spec, kOversampling, half);
  const int centre = half + 1 + kPoints;
  taps_.assign(2 * static_cast<size_t>(centre) + 1, 0.0);
  for (int i = 0; i <= half; ++i) taps_[centre - i] = taps_[centre + i] = taps[i] * kOversampling;
}

double LowpassKernel::operator()(double time) const {
  if (std::abs(time) >= half_length_) return 0.0;
  const double position = time * kOversampling + half_length_ * kOversampling + kPoints;
  const double floor = std::floor(position);
  const double* taps = &taps_[static_cast<size_t>(floor) - kLeft];
  const double x = position - floor + kLeft;  // among the points 0 .. kPoints - 1
  double after[kPoints];                      // product of (x - j) over j > i
  after[kPoints - 1] = 1.0;
  for (int i = kPoints - 1; i > 0; --i) after[i - 1] = after[i] * (x - i);
  double before = 1.0, sum = 0.0;
  for (int i = 0; i < kPoints; ++i) {
    sum += taps[i] * before * after[i] * kInverse[i];
    before *= x - i;
  }
  return sum;
}

}  // namespace rtvoice
