// The audio thread's end of a log.
#include "log/tap.h"

namespace rtvoice::log {
namespace {

// At most `room` bytes with the zero that ends them.
void copy_text(char* to, size_t room, const char* from) noexcept {
  size_t i = 0;
  for (; i + 1 < room && from[i] != '\0'; ++i) to[i] = from[i];
  for (; i < room; ++i) to[i] = '\0';
}

}  // namespace

Tap::Tap(uint64_t ring_bytes, uint32_t channels, bool audio, uint64_t now)
    : ring_(ring_bytes), channels_(channels), audio_(audio), start_(now) {}

bool Tap::begin(uint64_t bytes, uint32_t frames) noexcept {
  if (ring_.room() < bytes + sizeof(Gap)) {
    if (lost_calls_ == 0) {
      lost_index_ = index();
      gaps_.store(gaps_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    }
    lost_frames_ += frames;
    ++lost_calls_;
    frames_lost_.store(frames_lost_.load(std::memory_order_relaxed) + frames, std::memory_order_relaxed);
    return false;
  }
  write_ = ring_.head();
  if (lost_calls_ != 0) {
    const Gap gap{{sizeof gap, kGap, 0}, lost_index_, lost_frames_, lost_calls_, kRingFull};
    put(&gap, sizeof gap);
    lost_frames_ = 0;
    lost_calls_ = 0;
  }
  return true;
}

void Tap::put(const void* from, uint64_t bytes) noexcept {
  ring_.write(write_, from, bytes);
  write_ += bytes;
}

void Tap::pad() noexcept {
  constexpr char kZeros[8] = {};
  put(kZeros, (0 - write_) % 8);
}

void Tap::end() noexcept { ring_.publish(write_); }

void Tap::advance(uint32_t frames) noexcept { index_.store(index() + frames, std::memory_order_relaxed); }

uint64_t Tap::call_bytes(uint32_t frames) const noexcept {
  return whole(sizeof(Call) + (audio_ ? uint64_t{2} * frames * channels_ * sizeof(float) : 0));
}

void Tap::begin_call(const float* in, uint32_t frames, uint64_t start) noexcept {
  call_at_ = write_;
  call_ = {{0, kCall, 0}, index(), start - start_, 0, frames, 0, 0, 0};
  write_ += sizeof call_;
  if (audio_ && in != nullptr) {
    put(in, uint64_t{frames} * channels_ * sizeof(float));
    call_.head.flags = kAudio;
  }
}

void Tap::end_call(const float* out, uint64_t ticks, bool overrun, uint32_t tier, uint32_t bad,
                   rtv_status status) noexcept {
  if (call_.head.flags != 0) put(out, uint64_t{call_.frames} * channels_ * sizeof(float));
  pad();
  call_.head.size = static_cast<uint32_t>(write_ - call_at_);
  if (overrun) call_.head.flags |= kOverrun;
  call_.ticks = ticks;
  call_.tier = tier;
  call_.nonfinite = bad;
  call_.status = static_cast<uint32_t>(status);
  ring_.write(call_at_, &call_, sizeof call_);
}

void Tap::put_parameter(const char* name, uint32_t name_bytes, const float* values, uint32_t count,
                        uint16_t flags) noexcept {
  const size_t size = sizeof(Parameter) + whole(name_bytes) + whole(count * sizeof(float));
  const Parameter head{{static_cast<uint32_t>(size), kParameter, flags}, index(), name_bytes, count};
  put(&head, sizeof head);
  put(name, name_bytes);
  pad();
  put(values, count * sizeof(float));
  pad();
}

void Tap::put_named(Kind kind, uint64_t hash, const char* name, const char* tier_name, uint32_t first, uint32_t second,
                    uint16_t flags) noexcept {
  ModelName record{{sizeof record, static_cast<uint16_t>(kind), flags}, index(), hash, first, second, {}, {}};
  copy_text(record.name, sizeof record.name, name);
  copy_text(record.tier_name, sizeof record.tier_name, tier_name);
  put(&record, sizeof record);
}

void Tap::rehearse() noexcept {
  const float samples[32] = {};
  if (begin(0, 0)) {
    put_model(0, "", "", 0, false, 0);
    put_parameter("", 0, samples, 1, 0);
    begin_call(audio_ && channels_ <= 32 ? samples : nullptr, 1, 0);
    end_call(samples, 0, false, 0, 0, RTV_OK);
  }
  (void)begin(ring_.capacity(), 0);  // no room: a gap
  (void)begin(0, 0);
  end();
  ring_.publish(0);
  advance(0);
  (void)call_bytes(0);
  gaps_.store(0);
  write_ = 0;
}

}  // namespace rtvoice::log
