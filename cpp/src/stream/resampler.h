// Sample-rate conversion between host and model, one channel, streaming, exact delay, no allocation after create.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "rtvoice/rtvoice.h"  // RTV_NONBLOCKING

namespace rtvoice {

// Bands as fractions of the lower rate; delay of one direction at a lower rate of 16 kHz (it scales); time per 10 ms of
// 44.1 -> 16 kHz with AVX-512:
//   kFir                  0.006 dB to 0.43, -32 dB at 0.5, -94 dB beyond 0.52; 1.9 to 2 ms; 3 us
//   kFirShort             0.04 dB to 0.43, -11 dB at 0.5, -87 dB beyond 0.57; 0.9 to 1 ms; 2.5 us
//   kLibsamplerateFastest 0.1 dB to 0.36 but -10.6 dB at 0.43, -89 dB at 0.5; 1.2 ms; 28 us
//   kLibsamplerateMedium  0.04 dB to 0.43, -77 dB at 0.5; 2.9 ms
//   kLibsamplerateBest    0.02 dB to 0.47, -80 dB at 0.5; 9 ms
// The FIR kinds take every pair of usual rates from 8 to 192 kHz but a few far apart (11.025 and 192); libsamplerate
// takes any.
enum class ResamplerKind : uint8_t {
  kAuto,  // kFir where it fits, else FASTEST
  kFir,
  kFirShort,
  kLibsamplerateFastest,
  kLibsamplerateMedium,
  kLibsamplerateBest,
};

// Converts a stream cut into blocks: y[m] = x(m * in_rate / out_rate - delay_in_samples()), with x = 0 before the
// start.
//
// After every call the sums over the whole stream must satisfy
//   total_out * in_rate <= total_in * out_rate                        never ahead of the input,
//   total_out * in_rate >= (total_in - max_in) * out_rate             never more than a block behind it,
// and then every output is there, for ever. A caller that rounds its output sums up adds the lead, in input samples, to
// `extra_delay`. Whoever breaks the rule gets zeros for what is missing, or loses the newest input; never a bad access.
//
// The output bits depend on the input and on the configuration, not on how either side is cut.
class Resampler {
 public:
  virtual ~Resampler() = default;
  // Takes all of `in`, fills all of `out`; sizes up to those given at create, zero allowed; `in` and `out` may be the
  // same. [audio-thread]
  virtual void process(const float* in, size_t n_in, float* out, size_t n_out) noexcept RTV_NONBLOCKING = 0;
  // As fresh. [audio-thread]
  virtual void reset() noexcept RTV_NONBLOCKING = 0;
  // At the input rate, exact, extra_delay included. With kFir and kFirShort at an integer ratio, without extra_delay, a
  // whole number of samples at the higher rate. [any-thread]
  virtual double delay_in_samples() const noexcept RTV_NONBLOCKING = 0;
};

struct ResamplerConfig {
  int in_rate = 0, out_rate = 0;   // Hz
  size_t max_in = 0, max_out = 0;  // largest block on either side
  ResamplerKind kind = ResamplerKind::kAuto;
  // In input samples, >= 0, any fraction (whole at equal rates, except with libsamplerate). Makes a path's sum whole.
  double extra_delay = 0.0;
};

// Null and a message when a rate or size is out of range, or the kind does not fit the ratio.
// [main-thread]
std::unique_ptr<Resampler> make_resampler(const ResamplerConfig& config, std::string* error);

}  // namespace rtvoice
