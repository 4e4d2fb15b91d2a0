// Makes a skin as loud as the voice that goes in, softly: by the loudness of seconds, within 12 dB, slower than words.
#pragma once

#include <cstdint>

#include "rtvoice/rtvoice.h"

namespace rtvoice::live {

class LevelMatch {
 public:
  explicit LevelMatch(double sample_rate) : sample_rate_(sample_rate) {}
  // `in` is what the engine heard, `out` what it made, changed in place. Where it is off, or `same` says that the output is the input, the gain
  // goes back to 1. [audio-thread]
  void process(const float* in, float* out, uint32_t frames, bool on, bool same) noexcept RTV_NONBLOCKING;
  float gain() const noexcept RTV_NONBLOCKING { return gain_; }

 private:
  const double sample_rate_;
  double in_power_ = 0.0, out_power_ = 0.0, heard_seconds_ = 0.0;
  float gain_ = 1.0f;
};

}  // namespace rtvoice::live
