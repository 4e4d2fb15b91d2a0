// FIR resampler: polyphase, for any ratio of two rates with a reasonable common divisor, and the ratio 1 as a plain
// delay.
//
// With in_rate / out_rate = step / phases in lowest terms, output m sits at input position m * step / phases - delay,
// so that only `phases` different filters exist; each is sampled from one continuous kernel and laid out for the dot
// product over the samples around the position. 44.1 <-> 16 kHz has 160 and 441 of them, 120 KB either way, and costs a
// tenth of libsamplerate's FASTEST.
//
// Both classes keep what they still need of the input in one flat buffer, oldest first. Moving the rest to the front
// after each block costs a copy of a few hundred floats (20 ns), and every window is then contiguous. The start is made
// of zeros.
#include "stream/resampler_fir.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <vector>

#include "simd/kernels.h"
#include "stream/fir_design.h"

namespace rtvoice {
namespace {

constexpr LowpassSpec kLong = {32, 0.44, 0.52, 1e4};
constexpr LowpassSpec kShort = {16, 0.435, 0.565, 1e4};
constexpr size_t kMaxWeights = 65536;  // floats
constexpr size_t kWindowMultiple =
    16;  // filters are filled up with zeros on their old side to whole vectors of any instruction set

// The input not yet used up, in a flat buffer.
class History {
 public:
  void init(size_t zeros, size_t capacity) {
    zeros_ = zeros;
    data_.assign(zeros + capacity, 0.0f);
    size_ = zeros;
  }
  void reset() noexcept {
    std::fill(data_.begin(), data_.end(), 0.0f);
    size_ = zeros_;
  }
  void append(const float* in, size_t n) noexcept {
    n = std::min(n, data_.size() - size_);
    if (n > 0) std::memcpy(data_.data() + size_, in, n * sizeof(float));
    size_ += n;
  }
  void drop(size_t n) noexcept {
    size_ -= n;
    if (n > 0) std::memmove(data_.data(), data_.data() + n, size_ * sizeof(float));
  }
  const float* data() const noexcept { return data_.data(); }
  size_t size() const noexcept { return size_; }

 private:
  std::vector<float> data_;
  size_t size_ = 0, zeros_ = 0;
};

class DelayLine final : public Resampler {
 public:
  DelayLine(const ResamplerConfig& config, size_t delay) : delay_(delay) { history_.init(delay, 2 * config.max_in); }
  void process(const float* in, size_t n_in, float* out, size_t n_out) noexcept RTV_NONBLOCKING override {
    history_.append(in, n_in);
    const size_t have = std::min(n_out, history_.size());
    std::copy_n(history_.data(), have, out);
    history_.drop(have);
    std::fill(out + have, out + n_out, 0.0f);
  }
  void reset() noexcept RTV_NONBLOCKING override { history_.reset(); }
  double delay_in_samples() const noexcept RTV_NONBLOCKING override { return static_cast<double>(delay_); }

 private:
  size_t delay_;
  History history_;
};

struct Ratio {
  size_t step, phases;  // in_rate / out_rate in lowest terms
  double per_low;       // input samples per sample of the lower rate
};

Ratio ratio_of(int in_rate, int out_rate) {
  const int divisor = std::gcd(in_rate, out_rate);
  const size_t step = in_rate / divisor, phases = out_rate / divisor;
  return {step, phases, std::max(1.0, static_cast<double>(step) / static_cast<double>(phases))};
}

size_t window_of(const Ratio& ratio, const LowpassSpec& spec) {
  const size_t taps = static_cast<size_t>(std::ceil(2.0 * spec.half_length * ratio.per_low));
  return (taps + kWindowMultiple - 1) / kWindowMultiple * kWindowMultiple;
}

class PolyphaseFir final : public Resampler {
 public:
  PolyphaseFir(const ResamplerConfig& config, const LowpassSpec& spec)
      : ratio_(ratio_of(config.in_rate, config.out_rate)), window_(window_of(ratio_, spec)) {
    // An output is asked for only when the whole input step that follows its position is there: the filter's new half
    // may reach into it, and the delay is that much less than half the filter.
    const double step = static_cast<double>(ratio_.step) / static_cast<double>(ratio_.phases);
    delay_ = spec.half_length * ratio_.per_low - step + config.extra_delay;
    const LowpassKernel kernel(spec);
    weights_.assign(ratio_.phases * window_, 0.0f);
    shift_.assign(ratio_.phases, 0);
    std::ptrdiff_t first_newest = 0;
    for (size_t phase = 0; phase < ratio_.phases; ++phase) {
      // The filter ends where its support, an open interval, does. 1e-9: a zero at its very end is no reason to wait
      // for a sample.
      const double end =
          static_cast<double>(phase + ratio_.step) / static_cast<double>(ratio_.phases) - config.extra_delay;
      const auto newest = static_cast<std::ptrdiff_t>(std::ceil(end - 1e-9)) - 1;
      if (phase == 0) first_newest = newest;
      shift_[phase] = static_cast<uint32_t>(newest - first_newest);
      fill_phase(kernel, static_cast<double>(phase) / static_cast<double>(ratio_.phases) - delay_, newest, phase);
    }
    const auto zeros = static_cast<size_t>(static_cast<std::ptrdiff_t>(window_) - 1 - first_newest);
    history_.init(zeros, 2 * config.max_in + ratio_.step / ratio_.phases + 1);
  }

  void process(const float* in, size_t n_in, float* out, size_t n_out) noexcept RTV_NONBLOCKING override {
    history_.append(in, n_in);
    size_t have = n_out;
    while (have > 0 && start(have - 1) + window_ > history_.size()) --have;  // none within the contract
    // One call per phase: its outputs are `step` inputs apart. Positions are carried on, for at 441 phases two
    // divisions each cost a quarter.
    const size_t whole = ratio_.step / ratio_.phases, part = ratio_.step % ratio_.phases;
    const size_t rows = have / ratio_.phases, longer = have % ratio_.phases;
    const float* position = history_.data();
    size_t phase = phase_;
    for (size_t first = 0; first < std::min(have, ratio_.phases); ++first) {
      const float* window = position + shift_[phase];
      simd::DotArgs args = {};
      args.seg = &window;
      args.num_segments = 1;
      args.seg_len = window_;
      args.row_step = ratio_.step;
      args.weights = weights_.data() + phase * window_;
      args.out = out + first;
      args.out_step = ratio_.phases;
      args.rows = rows + (first < longer ? 1 : 0);
      dot_(args);
      position += whole;
      phase += part;
      if (phase >= ratio_.phases) phase -= ratio_.phases, ++position;
    }
    const size_t next = phase_ + have * ratio_.step;
    history_.drop(next / ratio_.phases);
    phase_ = next % ratio_.phases;
    std::fill(out + have, out + n_out, 0.0f);
  }

  void reset() noexcept RTV_NONBLOCKING override {
    history_.reset();
    phase_ = 0;
  }

  double delay_in_samples() const noexcept RTV_NONBLOCKING override { return delay_; }

 private:
  // Where the window of the output `ahead` of the next one starts in the history.
  size_t start(size_t ahead) const noexcept {
    const size_t position = phase_ + ahead * ratio_.step;
    return position / ratio_.phases + shift_[position % ratio_.phases];
  }

  // Samples the kernel around `position`, up to the input sample `newest`; a constant keeps its value exactly in every
  // phase.
  void fill_phase(const LowpassKernel& kernel, double position, std::ptrdiff_t newest, size_t phase) {
    std::vector<double> taps(window_);
    double sum = 0.0;
    for (size_t k = 0; k < window_; ++k) {
      const double sample = static_cast<double>(newest) - static_cast<double>(window_ - 1 - k);
      taps[k] = kernel((sample - position) / ratio_.per_low);
      sum += taps[k];
    }
    for (size_t k = 0; k < window_; ++k) weights_[phase * window_ + k] = static_cast<float>(taps[k] / sum);
  }

  Ratio ratio_;
  size_t window_;
  double delay_ = 0.0;
  size_t phase_ = 0;             // of the next output
  std::vector<float> weights_;   // [phases][window], oldest sample first
  std::vector<uint32_t> shift_;  // [phases], 0 or 1: how much later a phase's window starts
  History history_;
  void (*dot_)(const simd::DotArgs&) noexcept RTV_NONBLOCKING = simd::kernels().dot;
};

}  // namespace

bool fir_fits(int in_rate, int out_rate) {
  const Ratio ratio = ratio_of(in_rate, out_rate);
  return ratio.phases <= kMaxWeights && ratio.phases * window_of(ratio, kLong) <= kMaxWeights;
}

std::unique_ptr<Resampler> make_fir_resampler(const ResamplerConfig& config, std::string* error) {
  if (!fir_fits(config.in_rate, config.out_rate)) {
    *error = "no FIR resampler from " + std::to_string(config.in_rate) + " to " + std::to_string(config.out_rate) +
             " Hz: too little in common; use libsamplerate";
    return nullptr;
  }
  if (config.in_rate != config.out_rate) {
    return std::make_unique<PolyphaseFir>(config, config.kind == ResamplerKind::kFirShort ? kShort : kLong);
  }
  const double whole = std::round(config.extra_delay);
  if (std::abs(config.extra_delay - whole) > 1e-6) {
    *error = "extra_delay must be whole at equal rates";
    return nullptr;
  }
  return std::make_unique<DelayLine>(config, static_cast<size_t>(whole));
}

}  // namespace rtvoice
