// Many streams of one model on one thread.
#include "engine/pool.h"

#include <algorithm>
#include <cstring>

#include "engine/processor_state.h"

namespace rtvoice {
namespace {

constexpr double kMemoryLimit = 4294967296.0;  // bytes of state and scratch, all streams together

}  // namespace

[[gnu::cold]] Pool::Pool(const rtv_config& config) : config_(config), ticks_per_second_(ticks_per_second()) {}

[[gnu::cold]] std::unique_ptr<Pool> Pool::make(const std::shared_ptr<Model>& model, const rtv_config& config,
                                               size_t streams, const uint64_t* seeds, rtv_status* status,
                                               std::string* error) {
  std::unique_ptr<Pool> pool(new Pool(config));
  StreamShare share(streams * std::max<uint32_t>(config.channels, 1));
  double bytes = 0.0;
  for (size_t i = 0; i < streams; ++i) {
    rtv_config of_stream = config;
    if (seeds != nullptr) of_stream.seed = seeds[i];
    std::unique_ptr<Engine> engine = Engine::make({model}, of_stream, status, error, &share);
    if (engine == nullptr) return nullptr;
    rtv_stats stats;
    engine->stats(&stats);
    bytes += static_cast<double>(stats.memory_state + stats.memory_scratch);
    if (i == 0) bytes *= static_cast<double>(streams);  // all at once lie in the first one's
    if (i == 0 && bytes > kMemoryLimit) {
      *status = RTV_ERROR_MEMORY;
      *error = "model '" + model->graph().name + "' with " + std::to_string(streams) + " streams takes " +
               std::to_string(static_cast<long long>(bytes / 1048576.0)) + " MiB, more than 4096; use fewer streams";
      return nullptr;
    }
    pool->engines_.push_back(std::move(engine));
  }
  pool->turns_.resize(streams);
  pool->instances_.resize(share.streams);
  pool->touch();
  pool->reset();
  *status = RTV_OK;
  return pool;
}

// Code for every number of streams that may run together, before the audio thread's first frame; beyond 16 rows the kernels' tiles repeat.
[[gnu::cold]] void Pool::touch() {
  const FloatMode mode;
  const std::vector<float> silence(static_cast<size_t>(config_.max_frame) * config_.channels);
  std::vector<std::vector<float>> out(streams(), std::vector<float>(silence.size()));
  std::vector<const float*> in(streams(), nullptr);
  std::vector<float*> to(streams());
  for (size_t i = 0; i < streams(); ++i) to[i] = out[i].data();
  const uint32_t frames = config_.block != 0 ? config_.block : config_.max_frame;
  for (size_t count = 1; count <= std::min<size_t>(streams(), 17); ++count) {
    in[count - 1] = silence.data();
    for (size_t i = 0; i < count; ++i) engines_[i]->reset();
    process(in.data(), to.data(), frames);
  }
  std::fill(in.begin(), in.end(), silence.data());
  process(in.data(), to.data(), frames);
}

// Engines with the same plan and as many hops due, one after the other.
void Pool::run_together() noexcept {
  const size_t channels = config_.channels;
  for (size_t first = 0; first < streams();) {
    Turn& turn = turns_[first];
    size_t end = first, count = 0;
    const auto joins = [&](const Turn& other) {
      return other.pipeline != nullptr && other.hops == turn.hops && &other.pipeline->plan() == &turn.pipeline->plan();
    };
    if (turn.pipeline == nullptr || turn.hops == 0) {
      ++first;
      continue;
    }
    for (; end < streams() && joins(turns_[end]); ++end) {
      for (size_t c = 0; c < channels; ++c) instances_[count++] = turns_[end].pipeline->instance(c);
    }
    Instance::run_together(instances_.data(), count, turn.hops);
    first = end;
  }
}

rtv_status Pool::process(const float* const* in, float* const* out, uint32_t frames) noexcept {
  if (frames == 0) return RTV_OK;
  if (engines_.front()->refuses(frames)) {
    const size_t bytes = static_cast<size_t>(frames) * config_.channels * sizeof(float);
    for (size_t i = 0; i < streams(); ++i) {
      if (in[i] != nullptr) std::memset(out[i], 0, bytes);
    }
    return RTV_ERROR_FRAME_SIZE;
  }
  const FloatMode mode;
  const uint64_t start = read_ticks();
  size_t joined = 0;
  for (size_t i = 0; i < streams(); ++i) {
    turns_[i] = {engines_[i].get(), nullptr, out[i], 0, 0};
    if (in[i] == nullptr) continue;
    turns_[i].pipeline = engines_[i]->begin(in[i], frames);
    if (turns_[i].pipeline != nullptr) {
      ++joined;
    } else {
      (void)engines_[i]->process(in[i], out[i], frames);
    }
  }
  for (bool running = joined != 0; running;) {
    running = false;
    for (Turn& turn : turns_) {
      // A frame that is done has no hops due; asking again would only hand out nothing.
      if (turn.pipeline == nullptr) continue;
      turn.hops = turn.pipeline->advance();
      running = running || turn.hops != 0;
    }
    if (!running) break;
    run_together();
    for (Turn& turn : turns_) {
      if (turn.pipeline != nullptr && turn.hops != 0) turn.nonfinite += turn.pipeline->settle();
    }
  }
  const uint64_t each = joined == 0 ? 0 : (read_ticks() - start) / joined;
  for (Turn& turn : turns_) {
    if (turn.pipeline != nullptr) turn.engine->end(turn.out, frames, turn.nonfinite, each);
  }
  const double budget = static_cast<double>(frames) / config_.sample_rate * ticks_per_second_;
  statistics_.record(frames, read_ticks() - start, static_cast<uint64_t>(budget));
  return RTV_OK;
}

void Pool::reset() noexcept {
  for (const auto& engine : engines_) engine->reset();
  statistics_.reset();
}

void Pool::stats(rtv_stats* out) const noexcept {
  engines_.front()->stats(out);
  uint64_t nonfinite = out->nonfinite;
  for (size_t i = 1; i < streams(); ++i) {
    rtv_stats stats;
    engines_[i]->stats(&stats);
    nonfinite += stats.nonfinite;
    out->memory_state += stats.memory_state;
    out->memory_scratch += stats.memory_scratch;
  }
  statistics_.describe(out, ticks_per_second_, config_.sample_rate);
  out->nonfinite = nonfinite;
}

}  // namespace rtvoice
