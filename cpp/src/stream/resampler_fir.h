// FIR resampler: polyphase, for any ratio of two rates with a reasonable common divisor, and the ratio 1 as a plain
// delay.
#pragma once

#include <memory>
#include <string>

#include "stream/resampler.h"

namespace rtvoice {

// Whether the filters of all phases stay small enough (256 KB): true for every pair of the usual rates but 11 025 to
// 192 000 Hz and the like.
bool fir_fits(int in_rate, int out_rate);

// `config` is checked except for extra_delay at equal rates; the kind is kFir, kFirShort or kAuto (long).
std::unique_ptr<Resampler> make_fir_resampler(const ResamplerConfig& config, std::string* error);

}  // namespace rtvoice
