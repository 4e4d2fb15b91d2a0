// Measures latency: plays a chirp instead of the voice, and records what comes back, before the engine and behind it, sample by sample of the output's count.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <utility>
#include <vector>

#include "rtvoice/rtvoice.h"

namespace rtvoice::live {

class Probe {
 public:
  explicit Probe(size_t listen) : heard_(listen), made_(listen) {}

  // Arms it; false while one is under way. Plays from the next block on. [main-thread]
  bool start(std::vector<float> chirp) {
    if (state_.load() != kIdle && state_.load() != kDone) return false;
    chirp_ = std::move(chirp);
    at_ = 0;
    state_.store(kRunning);
    return true;
  }
  void forget() noexcept { state_.store(kIdle); }  // [main-thread] while no block is under way, or after done()
  bool done() const noexcept { return state_.load() == kDone; }
  const std::vector<float>& heard() const { return heard_; }
  const std::vector<float>& made() const { return made_; }

  // `heard`: what came in; `out`: what the engine made of it, replaced by the chirp. [audio-thread]
  void process(const float* heard, float* out, uint32_t frames) noexcept RTV_NONBLOCKING {
    if (state_.load() != kRunning) return;
    for (uint32_t i = 0; i < frames; ++i, ++at_) {
      if (at_ < heard_.size()) {
        heard_[at_] = heard[i];
        made_[at_] = out[i];
      }
      out[i] = at_ < chirp_.size() ? chirp_[at_] : 0.0f;
    }
    if (at_ >= heard_.size()) state_.store(kDone);
  }

 private:
  enum State : int { kIdle, kRunning, kDone };
  std::atomic<int> state_{kIdle};
  std::vector<float> chirp_, heard_, made_;
  size_t at_ = 0;
};

}  // namespace rtvoice::live
