// Integer-ratio resampler: one polyphase FIR filter, either way, and the ratio 1 as a plain delay.
#pragma once

#include <memory>
#include <string>

#include "stream/resampler.h"

namespace rtvoice {

constexpr int kMaxFirRatio = 12;

// The integer ratio of the two rates, or 0 when there is none up to kMaxFirRatio.
int fir_ratio(int in_rate, int out_rate);

// `config` is checked except for extra_delay against the ratio; the kind is kFir or kFirShort.
std::unique_ptr<Resampler> make_fir_resampler(const ResamplerConfig& config, std::string* error);

}  // namespace rtvoice
