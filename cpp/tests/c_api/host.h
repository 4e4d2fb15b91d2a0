// A host in a few lines: handles that close themselves, a test signal, and streaming in frames of any size.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "rtvoice/rtvoice.h"
#include "test_models.h"

namespace rtvoice::test {

struct CloseModel {
  void operator()(rtv_model* model) const { rtv_model_close(model); }
};
struct DestroyEngine {
  void operator()(rtv_engine* engine) const { rtv_engine_destroy(engine); }
};
using ModelHandle = std::unique_ptr<rtv_model, CloseModel>;
using EngineHandle = std::unique_ptr<rtv_engine, DestroyEngine>;
using Samples = std::vector<float>;

inline ModelHandle open_model(const Bytes& bytes) {
  rtv_model* model = nullptr;
  EXPECT_EQ(rtv_model_open_memory(bytes.data(), bytes.size(), &model), RTV_OK) << rtv_last_error();
  return ModelHandle(model);
}

inline ModelHandle open_model(const std::string& path) {
  rtv_model* model = nullptr;
  EXPECT_EQ(rtv_model_open(path.c_str(), &model), RTV_OK) << rtv_last_error();
  return ModelHandle(model);
}

inline rtv_config default_config(uint32_t sample_rate = 48000, uint32_t max_frame = 1024, uint32_t channels = 1) {
  rtv_config config;
  rtv_config_init(&config);
  config.sample_rate = sample_rate;
  config.max_frame = max_frame;
  config.channels = channels;
  return config;
}

inline EngineHandle make_engine(const ModelHandle& model, const rtv_config& config = default_config()) {
  rtv_engine* engine = nullptr;
  EXPECT_EQ(rtv_engine_create(model.get(), &config, &engine), RTV_OK) << rtv_last_error();
  return EngineHandle(engine);
}

// A buzz with noise, -0.3 to 0.3.
inline Samples test_signal(size_t count, uint32_t seed = 1) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> noise(-0.05f, 0.05f);
  Samples out(count);
  for (size_t i = 0; i < count; ++i)
    out[i] = 0.25f * std::sin(static_cast<float>(i % 4800) * 0.0261799f * (1.0f + static_cast<float>(seed % 3))) +
             noise(random);
  return out;
}

// Streams interleaved `in` in frames whose sizes `next` gives.
inline Samples stream(const EngineHandle& engine, const Samples& in, const std::function<size_t()>& next,
                      size_t channels = 1) {
  Samples out(in.size());
  const size_t total = in.size() / channels;
  for (size_t done = 0; done < total;) {
    const size_t now = std::min(next(), total - done);
    EXPECT_EQ(rtv_engine_process(engine.get(), in.data() + done * channels, out.data() + done * channels,
                                 static_cast<uint32_t>(now)),
              RTV_OK);
    done += now;
  }
  return out;
}

inline Samples stream(const EngineHandle& engine, const Samples& in, size_t frame = 480, size_t channels = 1) {
  return stream(engine, in, [frame] { return frame; }, channels);
}

inline rtv_stats stats_of(const EngineHandle& engine) {
  rtv_stats stats;
  rtv_stats_init(&stats);
  rtv_engine_stats(engine.get(), &stats);
  return stats;
}

inline bool all_finite(const Samples& samples) {
  return std::all_of(samples.begin(), samples.end(), [](float s) { return std::isfinite(s); });
}

inline float peak(const Samples& samples, size_t from = 0) {
  float most = 0.0f;
  for (size_t i = from; i < samples.size(); ++i) most = std::max(most, std::fabs(samples[i]));
  return most;
}

inline Samples tail(const Samples& samples, size_t from) {
  return Samples(samples.begin() + static_cast<std::ptrdiff_t>(from), samples.end());
}

inline rtv_status set(const EngineHandle& engine, const char* name, float value) {
  return rtv_engine_set(engine.get(), name, &value, 1);
}

}  // namespace rtvoice::test
