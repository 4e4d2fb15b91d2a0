// When to leave a tier that keeps missing its deadline, and when to try a better one again.
#include "engine/governor.h"

#include <algorithm>

namespace rtvoice {

Governor::Governor(double sample_rate, const double* costs, size_t tiers)
    : sample_rate_(sample_rate), tiers_(std::min(tiers, kMostTiers)) {
  std::copy(costs, costs + tiers_, costs_);
}

void Governor::reset() noexcept {
  pressure_ = load_ = calm_ = since_climb_ = 0.0;
  hold_ = kFirstHold;
  climbed_ = false;
}

void Governor::arrived() noexcept { pressure_ = load_ = calm_ = since_climb_ = 0.0; }

void Governor::failed_climb() noexcept {
  hold_ = std::min(2.0 * hold_, kLongestHold);
  climbed_ = false;
  pressure_ = calm_ = 0.0;
}

void Governor::count(uint64_t frames, double load) noexcept {
  const double seconds = static_cast<double>(frames) / sample_rate_;
  pressure_ *= std::max(0.0, 1.0 - seconds / kMemory);
  load_ += (load - load_) * std::min(1.0, seconds / 2.0);
  since_climb_ += seconds;
  calm_ += seconds;
  if (load > 1.0) {
    pressure_ += 1.0;
    calm_ = 0.0;
  }
  if (climbed_ && since_climb_ > kProbation) {
    climbed_ = false;
    hold_ = kFirstHold;
  }
}

Governor::Move Governor::decide(size_t tier) noexcept {
  if (missing() && tier + 1 < tiers_) {
    if (climbed_) failed_climb();
    return Move::kDown;
  }
  if (tier == 0 || calm_ < hold_) return Move::kStay;
  if (load_ * costs_[tier - 1] > kHeadroom * costs_[tier]) return Move::kStay;
  climbed_ = true;
  since_climb_ = 0.0;
  calm_ = 0.0;
  return Move::kUp;
}

}  // namespace rtvoice
