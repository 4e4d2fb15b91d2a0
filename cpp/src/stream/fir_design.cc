// Design of the linear-phase low-pass filters of the integer-ratio resampler.
//
// Least squares rather than a Kaiser window: the error need not be the same in both bands. At 64 taps per low-rate
// sample a window with 0.43 pass edge reaches -95 dB at 0.53 of the low rate and -20 dB at 0.5; this design reaches -94
// dB at 0.52 and -32 dB at 0.5 for 0.006 dB of ripple. At 32 taps a window misses -60 dB at 0.57 where this reaches
// -88. An equiripple filter would gain a few dB more, but its ripple does not decay, which in time is an echo half a
// filter before the sound.
#include "stream/fir_design.h"

#include <cmath>

namespace rtvoice {
namespace {

constexpr double kPi = 3.14159265358979323846;

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

}  // namespace

std::vector<double> design_lowpass(const LowpassSpec& spec) {
  const double pass = 2.0 * kPi * spec.pass / spec.ratio, stop = 2.0 * kPi * spec.stop / spec.ratio;
  const int half = spec.half_length;
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

  std::vector<double> taps(2 * n - 1);
  taps[half] = x[0];
  for (int i = 1; i <= half; ++i) taps[half - i] = taps[half + i] = 0.5 * x[i];

  for (int phase = 0; phase < spec.ratio; ++phase) {
    double sum = 0.0;
    for (size_t k = phase; k < taps.size(); k += spec.ratio) sum += taps[k];
    for (size_t k = phase; k < taps.size(); k += spec.ratio) taps[k] /= sum * spec.ratio;
  }
  return taps;
}

}  // namespace rtvoice
