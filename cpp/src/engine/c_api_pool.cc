// The C interface over Pool and the choice of a tier.
#include "engine/c_api.h"
#include "engine/calibrate.h"

using rtvoice::fail;
using rtvoice::guarded;

extern "C" {

rtv_status rtv_pool_create(const rtv_model* model, const rtv_config* config, uint32_t streams, const uint64_t* seeds,
                           rtv_pool** out) {
  if (out != nullptr) *out = nullptr;
  if (model == nullptr || config == nullptr || out == nullptr)
    return fail(RTV_ERROR_ARGUMENT, "rtv_pool_create: model, config and out must not be NULL");
  if (config->struct_size < sizeof(rtv_config))
    return fail(RTV_ERROR_STRUCT_SIZE, "rtv_pool_create: call rtv_config_init(&config) first");
  if (streams < 1 || streams > rtvoice::Pool::kMostStreams)
    return fail(RTV_ERROR_ARGUMENT, "rtv_pool_create: streams must be 1 to 1024, it is " + std::to_string(streams));
  return guarded([&] {
    rtv_status status = RTV_OK;
    std::string error;
    auto made = std::make_unique<rtv_pool>();
    made->pool = rtvoice::Pool::make(model->model, *config, streams, seeds, &status, &error);
    if (made->pool == nullptr) return fail(status, error);
    made->engines.resize(streams);
    for (uint32_t i = 0; i < streams; ++i) {
      made->engines[i].engine = &made->pool->engine(i);
      made->engines[i].pooled = true;
    }
    *out = made.release();
    return RTV_OK;
  });
}

rtv_status rtv_pool_process(rtv_pool* pool, const float* const* in, float* const* out,
                            uint32_t frames) RTV_NONBLOCKING {
  if (pool == nullptr || in == nullptr || out == nullptr) return RTV_ERROR_ARGUMENT;
  for (size_t i = 0; i < pool->engines.size(); ++i) {
    if (in[i] != nullptr && out[i] == nullptr) return RTV_ERROR_ARGUMENT;
  }
  return pool->pool->process(in, out, frames);
}

rtv_engine* rtv_pool_engine(rtv_pool* pool, uint32_t stream) RTV_NONBLOCKING {
  return pool == nullptr || stream >= pool->engines.size() ? nullptr : &pool->engines[stream];
}

uint32_t rtv_pool_streams(const rtv_pool* pool) RTV_NONBLOCKING {
  return pool == nullptr ? 0 : static_cast<uint32_t>(pool->engines.size());
}

uint32_t rtv_pool_latency(const rtv_pool* pool) RTV_NONBLOCKING { return pool == nullptr ? 0 : pool->pool->latency(); }

void rtv_pool_reset(rtv_pool* pool) RTV_NONBLOCKING {
  if (pool != nullptr) pool->pool->reset();
}

void rtv_pool_stats(const rtv_pool* pool, rtv_stats* stats) RTV_NONBLOCKING {
  if (pool == nullptr || stats == nullptr) return;
  rtv_stats all;
  pool->pool->stats(&all);
  rtvoice::copy_stats(all, stats);
}

void rtv_pool_destroy(rtv_pool* pool) { delete pool; }

rtv_status rtv_model_cost(const rtv_model* model, const rtv_config* config, float* share) {
  if (model == nullptr || config == nullptr || share == nullptr)
    return fail(RTV_ERROR_ARGUMENT, "rtv_model_cost: arguments must not be NULL");
  if (config->struct_size < sizeof(rtv_config))
    return fail(RTV_ERROR_STRUCT_SIZE, "rtv_model_cost: call rtv_config_init(&config) first");
  return guarded([&] {
    std::string error;
    double measured = 0.0;
    const rtv_status status = rtvoice::measure_load(model->model, *config, &measured, &error);
    if (status != RTV_OK) return fail(status, error);
    *share = static_cast<float>(measured);
    return RTV_OK;
  });
}

rtv_status rtv_choose_tier(const rtv_model* const* tiers, uint32_t count, const rtv_config* config, float most,
                           uint32_t* chosen) {
  if (tiers == nullptr || config == nullptr || chosen == nullptr)
    return fail(RTV_ERROR_ARGUMENT, "rtv_choose_tier: arguments must not be NULL");
  if (count < 1 || count > rtvoice::Governor::kMostTiers)
    return fail(RTV_ERROR_ARGUMENT, "rtv_choose_tier: count must be 1 to 8, it is " + std::to_string(count));
  if (!(most > 0.0f && most <= 1.0f))
    return fail(RTV_ERROR_ARGUMENT, "rtv_choose_tier: most must be above 0, at most 1");
  for (uint32_t i = 0; i < count; ++i) {
    if (tiers[i] == nullptr) return fail(RTV_ERROR_ARGUMENT, "rtv_choose_tier: tier " + std::to_string(i) + " is NULL");
  }
  if (config->struct_size < sizeof(rtv_config))
    return fail(RTV_ERROR_STRUCT_SIZE, "rtv_choose_tier: call rtv_config_init(&config) first");
  return guarded([&] {
    std::vector<std::shared_ptr<rtvoice::Model>> models;
    for (uint32_t i = 0; i < count; ++i) models.push_back(tiers[i]->model);
    std::string error;
    size_t tier = 0;
    const rtv_status status = rtvoice::choose_tier(models, *config, most, rtvoice::measure_load, &tier, &error);
    if (status != RTV_OK) return fail(status, error);
    *chosen = static_cast<uint32_t>(tier);
    return RTV_OK;
  });
}

}  // extern "C"
