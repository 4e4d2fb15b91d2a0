// stream_files FILE.rtv...: streams noise through each model at several rates, cut differently, and fails where the bits differ.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <vector>

#include "rtvoice/rtvoice.h"

namespace {

uint32_t random_state = 1;
uint32_t next_random() { return random_state = random_state * 1664525u + 1013904223u; }

// Frames of 1 to 300 samples, or one of 1024 at a time.
bool stream(rtv_engine* engine, const std::vector<float>& in, bool whole, uint32_t channels, std::vector<float>* out) {
  out->assign(in.size(), 0.0f);
  const size_t frames = in.size() / channels;
  for (size_t at = 0; at < frames;) {
    size_t n = whole ? 1024 : next_random() % 300;
    if (n > frames - at) n = frames - at;
    // Frames of exactly their own size on the heap, so that a sanitizer sees every step beyond.
    const std::vector<float> frame(in.begin() + static_cast<ptrdiff_t>(at * channels),
                                   in.begin() + static_cast<ptrdiff_t>((at + n) * channels));
    std::vector<float> result(n * channels);
    if (n != 0 && rtv_engine_process(engine, frame.data(), result.data(), static_cast<uint32_t>(n)) != RTV_OK)
      return false;
    std::copy(result.begin(), result.end(), out->begin() + static_cast<ptrdiff_t>(at * channels));
    at += n;
  }
  return true;
}

bool check(const char* path, uint32_t rate, uint32_t channels) {
  rtv_model* model = nullptr;
  if (rtv_model_open(path, &model) != RTV_OK) {
    std::printf("%s: %s\n", path, rtv_last_error());
    return false;
  }
  rtv_config config;
  rtv_config_init(&config);
  config.sample_rate = rate;
  config.channels = channels;
  rtv_engine* engine = nullptr;
  if (rtv_engine_create(model, &config, &engine) != RTV_OK) {
    std::printf("%s: %s\n", path, rtv_last_error());
    rtv_model_close(model);
    return false;
  }
  std::vector<float> in(3000 * channels), first, second;
  for (float& sample : in) sample = static_cast<float>(next_random() >> 8) / 16777216.0f - 0.5f;
  bool good = stream(engine, in, true, channels, &first);
  rtv_engine_reset(engine);
  good = good && stream(engine, in, false, channels, &second) &&
         std::memcmp(first.data(), second.data(), first.size() * sizeof(float)) == 0;
  if (!good) std::printf("%s at %u Hz: cuttings differ\n", path, rate);
  const uint32_t latency = rtv_engine_latency(engine);
  rtv_engine_destroy(engine);
  config.schedule = RTV_SCHEDULE_SLICED;
  if (rtv_engine_create(model, &config, &engine) != RTV_OK) {
    std::printf("%s: %s\n", path, rtv_last_error());
    rtv_model_close(model);
    return false;
  }
  const size_t late = (rtv_engine_latency(engine) - latency) * channels;
  const bool sliced = stream(engine, in, false, channels, &second) &&
                      (late >= first.size() ||
                       std::memcmp(first.data(), second.data() + late, (first.size() - late) * sizeof(float)) == 0);
  if (!sliced) std::printf("%s at %u Hz: sliced differs\n", path, rate);
  rtv_engine_destroy(engine);
  rtv_model_close(model);
  good = good && sliced;
  return good;
}

}  // namespace

int main(int argc, char** argv) {
  int bad = 0;
  for (int i = 1; i < argc; ++i) {
    for (uint32_t rate : {16000u, 48000u, 44100u}) bad += check(argv[i], rate, rate == 48000u ? 2 : 1) ? 0 : 1;
  }
  std::printf("%d files, %d failures\n", argc - 1, bad);
  return bad == 0 ? 0 : 1;
}
