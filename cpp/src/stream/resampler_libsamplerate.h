// Any-ratio resampler over libsamplerate, with an exact delay and without surprises.
#pragma once

#include <memory>
#include <string>

#include "stream/resampler.h"

namespace rtvoice {

// `config` is checked; the kind is one of the three of libsamplerate.
std::unique_ptr<Resampler> make_libsamplerate_resampler(const ResamplerConfig& config, std::string* error);

}  // namespace rtvoice
