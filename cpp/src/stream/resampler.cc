// Checks a resampler's configuration and picks its implementation.
#include "stream/resampler.h"

#include <cmath>

#include "stream/resampler_fir.h"
#include "stream/resampler_libsamplerate.h"

namespace rtvoice {
namespace {

constexpr int kMinRate = 4000, kMaxRate = 384000;
constexpr size_t kMaxBlock = 1048576;
constexpr double kMaxExtraDelay = 1048576.0;

bool in_range(int rate) { return rate >= kMinRate && rate <= kMaxRate; }

}  // namespace

std::unique_ptr<Resampler> make_resampler(const ResamplerConfig& config, std::string* error) {
  std::string unused;
  if (error == nullptr) error = &unused;
  if (!in_range(config.in_rate) || !in_range(config.out_rate)) {
    *error = "sample rates must be between 4000 and 384000 Hz, not " + std::to_string(config.in_rate) + " and " +
             std::to_string(config.out_rate);
    return nullptr;
  }
  if (config.max_in == 0 || config.max_out == 0 || config.max_in > kMaxBlock || config.max_out > kMaxBlock) {
    *error = "a resampler's blocks must hold between 1 and 1048576 samples";
    return nullptr;
  }
  if (!(config.extra_delay >= 0.0 && config.extra_delay <= kMaxExtraDelay)) {
    *error = "extra_delay must be between 0 and 1048576 samples";
    return nullptr;
  }
  const bool automatic = config.kind == ResamplerKind::kAuto;
  const bool fir = automatic ? fir_fits(config.in_rate, config.out_rate)
                             : config.kind == ResamplerKind::kFir || config.kind == ResamplerKind::kFirShort;
  return fir ? make_fir_resampler(config, error) : make_libsamplerate_resampler(config, error);
}

}  // namespace rtvoice
