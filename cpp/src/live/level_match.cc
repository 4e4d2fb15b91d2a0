// Makes a skin as loud as the voice that goes in.
#include "live/level_match.h"

#include <algorithm>
#include <cmath>

namespace rtvoice::live {
namespace {

constexpr double kSeconds = 1.5;  // over which loudness is taken
constexpr double kSpeech = 1e-5;  // mean square, -50 dBFS: below it nobody speaks, and nothing is learned
constexpr double kMost = 4.0;     // 12 dB either way
constexpr double kGainSeconds = 1.0;

double mean_square(const float* x, uint32_t frames) noexcept RTV_NONBLOCKING {
  double sum = 0.0;
  for (uint32_t i = 0; i < frames; ++i) sum += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  return sum / frames;
}

}  // namespace

void LevelMatch::process(const float* in, float* out, uint32_t frames, bool on, bool same) noexcept {
  if (frames == 0 || (!on && gain_ == 1.0f)) return;
  const double seconds = frames / sample_rate_;
  const double in_now = mean_square(in, frames), out_now = mean_square(out, frames);
  if (on && !same && in_now > kSpeech) {
    heard_seconds_ += seconds;
    // A plain mean at first, so that a second of speech is enough to begin with.
    const double share = seconds / std::min(kSeconds, heard_seconds_ + seconds);
    in_power_ += share * (in_now - in_power_);
    out_power_ += share * (out_now - out_power_);
  }
  double wanted = 1.0;
  if (on && !same && heard_seconds_ > 0.5 && out_power_ > 1e-9)
    wanted = std::clamp(std::sqrt(in_power_ / out_power_), 1.0 / kMost, kMost);
  float next = static_cast<float>(gain_ + (1.0 - std::exp(-seconds / kGainSeconds)) * (wanted - gain_));
  if (!on && std::abs(next - 1.0f) < 1e-4f) next = 1.0f;
  const float slope = (next - gain_) / static_cast<float>(frames);
  for (uint32_t i = 0; i < frames; ++i) out[i] *= gain_ + slope * static_cast<float>(i + 1);
  gain_ = next;
}

}  // namespace rtvoice::live
