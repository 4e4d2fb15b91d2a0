// Sample-rate conversion between host and model, one channel, streaming, exact delay, no allocation after create.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace rtvoice {

enum class ResamplerKind : uint8_t { kAuto, kFir, kLibsamplerateFastest, kLibsamplerateMedium, kLibsamplerateBest };

// Converts blocks of a fixed sequence of sizes: the caller feeds `n_in` samples and takes exactly `n_out`, where over the whole stream
// the sums stay within one block of n_in*out_rate/in_rate. y[m] = x((m*in_rate/out_rate) - delay()), x = 0 before the start.
class Resampler {
 public:
  virtual ~Resampler() = default;
  // Up to the sizes given at create. [audio-thread] Real-time safe.
  virtual void process(const float* in, size_t n_in, float* out, size_t n_out) noexcept = 0;
  virtual void reset() noexcept = 0;
  virtual double delay_in_samples() const noexcept = 0;   // at the input rate, exact
};

struct ResamplerConfig {
  int in_rate = 0, out_rate = 0;
  size_t max_in = 0, max_out = 0;      // largest block on either side
  ResamplerKind kind = ResamplerKind::kAuto;   // auto: FIR for integer ratios either way, else libsamplerate FASTEST
  double extra_delay = 0.0;            // in input samples, >= 0, may be fractional (libsamplerate) so that sums become whole
};
std::unique_ptr<Resampler> make_resampler(const ResamplerConfig& config, std::string* error);

}  // namespace rtvoice
