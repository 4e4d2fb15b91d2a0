// Many streams of one model on one thread: engines side by side, whose networks run together.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/engine.h"

namespace rtvoice {

class Pool {
 public:
  static constexpr size_t kMostStreams = 1024;
  // `seeds`: one per stream, or null: config's for all. Null, a status and one line in `error`. [main-thread]
  static std::unique_ptr<Pool> make(const std::shared_ptr<Model>& model, const rtv_config& config, size_t streams,
                                    const uint64_t* seeds, rtv_status* status, std::string* error);

  // A frame of every stream; where in[i] is null, that stream stands still. The bits are those of each engine alone. [audio-thread]
  rtv_status process(const float* const* in, float* const* out, uint32_t frames) noexcept RTV_NONBLOCKING;
  void reset() noexcept RTV_NONBLOCKING;                        // [audio-thread]
  void stats(rtv_stats* stats) const noexcept RTV_NONBLOCKING;  // [any-thread] of whole calls
  uint32_t latency() const noexcept RTV_NONBLOCKING { return engines_.front()->latency(); }
  size_t streams() const noexcept RTV_NONBLOCKING { return engines_.size(); }
  Engine& engine(size_t stream) noexcept RTV_NONBLOCKING { return *engines_[stream]; }

 private:
  struct Turn {  // an engine whose network runs together with others'
    Engine* engine;
    Pipeline* pipeline;
    float* out;
    size_t hops, nonfinite;
  };
  explicit Pool(const rtv_config& config);
  void run_together() noexcept RTV_NONBLOCKING;
  void touch();

  const rtv_config config_;
  double ticks_per_second_;
  std::vector<std::unique_ptr<Engine>> engines_;
  std::vector<Turn> turns_;           // room for all
  std::vector<Instance*> instances_;  // room for all channels of all
  Statistics statistics_;
};

}  // namespace rtvoice
