// The C interface over Model and Engine: argument checks, status codes, the last error's text.
#include "engine/c_api.h"

#include <cstring>
#include <string>

namespace rtvoice {

// A plain array: thread-local objects with constructors would be made lazily, on whichever thread comes first.
static thread_local char last_error[1024] = "";

rtv_status fail(rtv_status status, const std::string& what) {
  const size_t length = what.size() < sizeof last_error - 1 ? what.size() : sizeof last_error - 1;
  std::memcpy(last_error, what.data(), length);
  last_error[length] = '\0';
  return status;
}

void copy_stats(const rtv_stats& all, rtv_stats* to) noexcept {
  const uint32_t given = to->struct_size;
  std::memcpy(to, &all, given < sizeof all ? given : sizeof all);
  to->struct_size = given;
}

}  // namespace rtvoice

using rtvoice::fail;
using rtvoice::guarded;

namespace {

rtv_status take_model(std::unique_ptr<rtvoice::Graph> graph, rtv_status status, const std::string& error,
                      rtv_model** out) {
  if (graph == nullptr) return fail(status, error);
  auto model = std::make_shared<rtvoice::Model>(std::move(graph));
  std::string what;
  if (model->info(&what).empty())
    return fail(RTV_ERROR_MODEL, what);  // plans it once: what cannot stream is refused here
  *out = new rtv_model{std::move(model)};
  return RTV_OK;
}

}  // namespace

extern "C" {

const char* rtv_status_string(rtv_status status) RTV_NONBLOCKING {
  switch (status) {
    case RTV_OK:
      return "ok";
    case RTV_ERROR_ARGUMENT:
      return "bad argument";
    case RTV_ERROR_FILE:
      return "file cannot be read";
    case RTV_ERROR_MODEL:
      return "damaged or unsupported model";
    case RTV_ERROR_MEMORY:
      return "out of memory";
    case RTV_ERROR_FRAME_SIZE:
      return "frame size not agreed at create";
    case RTV_ERROR_LATENCY:
      return "the model needs more latency than the engine has";
    case RTV_ERROR_BUSY:
      return "a swap is in progress";
    case RTV_ERROR_STRUCT_SIZE:
      return "struct not initialised";
  }
  return "unknown status";
}

const char* rtv_last_error(void) { return rtvoice::last_error; }
uint32_t rtv_version(void) RTV_NONBLOCKING { return RTVOICE_VERSION_NUMBER; }
const char* rtv_isa(void) { return rtvoice::simd::kernels().isa; }

rtv_status rtv_model_open(const char* path, rtv_model** out) {
  if (out != nullptr) *out = nullptr;
  if (path == nullptr || out == nullptr)
    return fail(RTV_ERROR_ARGUMENT, "rtv_model_open: path and out must not be NULL");
  return guarded([&] {
    std::string error;
    bool readable = true;
    std::unique_ptr<rtvoice::Graph> graph = rtvoice::read_model_file(path, &error, &readable);
    return take_model(std::move(graph), readable ? RTV_ERROR_MODEL : RTV_ERROR_FILE, error, out);
  });
}

rtv_status rtv_model_open_memory(const void* data, size_t size, rtv_model** out) {
  if (out != nullptr) *out = nullptr;
  if (data == nullptr || out == nullptr)
    return fail(RTV_ERROR_ARGUMENT, "rtv_model_open_memory: data and out must not be NULL");
  return guarded([&] {
    std::string error;
    std::unique_ptr<rtvoice::Graph> graph = rtvoice::read_model(data, size, &error);
    return take_model(std::move(graph), RTV_ERROR_MODEL, error, out);
  });
}

void rtv_model_close(rtv_model* model) { delete model; }

const char* rtv_model_info(const rtv_model* model) {
  if (model == nullptr) return "";
  std::string error;
  return model->model->info(&error).c_str();
}

void rtv_config_init(rtv_config* config) RTV_NONBLOCKING {
  if (config == nullptr) return;
  std::memset(config, 0, sizeof *config);
  config->struct_size = sizeof *config;
  config->sample_rate = 48000;
  config->max_frame = 1024;
  config->channels = 1;
  config->fade_ms = 20.0f;
}

rtv_status rtv_engine_create_tiers(const rtv_model* const* tiers, uint32_t count, const rtv_config* config,
                                   rtv_engine** out) {
  if (out != nullptr) *out = nullptr;
  if (tiers == nullptr || config == nullptr || out == nullptr)
    return fail(RTV_ERROR_ARGUMENT, "rtv_engine_create_tiers: arguments must not be NULL");
  if (count < 1 || count > rtvoice::Governor::kMostTiers)
    return fail(RTV_ERROR_ARGUMENT, "rtv_engine_create_tiers: count must be 1 to 8, it is " + std::to_string(count));
  for (uint32_t i = 0; i < count; ++i) {
    if (tiers[i] == nullptr)
      return fail(RTV_ERROR_ARGUMENT, "rtv_engine_create_tiers: tier " + std::to_string(i) + " is NULL");
  }
  if (config->struct_size < sizeof(rtv_config))
    return fail(RTV_ERROR_STRUCT_SIZE, "rtv_engine_create: call rtv_config_init(&config) first");
  return guarded([&] {
    rtv_status status = RTV_OK;
    std::string error;
    std::vector<std::shared_ptr<rtvoice::Model>> models;
    for (uint32_t i = 0; i < count; ++i) models.push_back(tiers[i]->model);
    std::unique_ptr<rtvoice::Engine> engine = rtvoice::Engine::make(models, *config, &status, &error);
    if (engine == nullptr) return fail(status, error);
    *out = new rtv_engine{engine.get(), false, std::move(engine)};
    return RTV_OK;
  });
}

rtv_status rtv_engine_create(const rtv_model* model, const rtv_config* config, rtv_engine** out) {
  if (out != nullptr) *out = nullptr;
  if (model == nullptr || config == nullptr || out == nullptr)
    return fail(RTV_ERROR_ARGUMENT, "rtv_engine_create: arguments must not be NULL");
  return rtv_engine_create_tiers(&model, 1, config, out);
}

rtv_status rtv_engine_tier(rtv_engine* engine, int32_t tier) RTV_NONBLOCKING {
  return engine == nullptr ? RTV_ERROR_ARGUMENT : engine->engine->hold_tier(tier);
}

void rtv_engine_destroy(rtv_engine* engine) {
  if (engine != nullptr && !engine->pooled) delete engine;
}

rtv_status rtv_engine_process(rtv_engine* engine, const float* in, float* out, uint32_t frames) RTV_NONBLOCKING {
  if (engine == nullptr || ((in == nullptr || out == nullptr) && frames != 0)) return RTV_ERROR_ARGUMENT;
  return engine->engine->process(in, out, frames);
}

uint32_t rtv_engine_latency(const rtv_engine* engine) RTV_NONBLOCKING {
  return engine == nullptr ? 0 : engine->engine->latency();
}

void rtv_engine_reset(rtv_engine* engine) RTV_NONBLOCKING {
  if (engine != nullptr) engine->engine->reset();
}

rtv_status rtv_engine_set(rtv_engine* engine, const char* name, const float* values, uint32_t count) RTV_NONBLOCKING {
  if (engine == nullptr || name == nullptr || values == nullptr) return RTV_ERROR_ARGUMENT;
  return engine->engine->set(name, values, count);
}

void rtv_engine_bypass(rtv_engine* engine, int on) RTV_NONBLOCKING {
  if (engine != nullptr) engine->engine->bypass(on != 0);
}

uint32_t rtv_engine_output(const rtv_engine* engine, const char* name, float* values,
                           uint32_t capacity) RTV_NONBLOCKING {
  if (engine == nullptr || name == nullptr || (values == nullptr && capacity != 0)) return 0;
  return engine->engine->output(name, values, capacity);
}

rtv_status rtv_engine_swap(rtv_engine* engine, const rtv_model* model) {
  if (engine == nullptr || model == nullptr)
    return fail(RTV_ERROR_ARGUMENT, "rtv_engine_swap: arguments must not be NULL");
  return guarded([&] {
    std::string error;
    const rtv_status status = engine->engine->swap(model->model, &error);
    return status == RTV_OK ? status : fail(status, error);
  });
}

void rtv_stats_init(rtv_stats* stats) RTV_NONBLOCKING {
  if (stats == nullptr) return;
  std::memset(stats, 0, sizeof *stats);
  stats->struct_size = sizeof *stats;
}

void rtv_engine_stats(const rtv_engine* engine, rtv_stats* stats) RTV_NONBLOCKING {
  if (engine == nullptr || stats == nullptr) return;
  rtv_stats all;
  engine->engine->stats(&all);
  rtvoice::copy_stats(all, stats);
}

}  // extern "C"
