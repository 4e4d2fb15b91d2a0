// The C interface over an engine's log.
#include <cstring>

#include "engine/c_api.h"

using rtvoice::fail;
using rtvoice::guarded;

extern "C" {

void rtv_log_config_init(rtv_log_config* config) RTV_NONBLOCKING {
  if (config == nullptr) return;
  std::memset(config, 0, sizeof *config);
  config->struct_size = sizeof *config;
  config->ring_ms = 2000;
  config->flush_ms = 100;
}

rtv_status rtv_engine_log_with(rtv_engine* engine, const char* path, const rtv_log_config* config) {
  if (engine == nullptr || path == nullptr || config == nullptr)
    return fail(RTV_ERROR_ARGUMENT, "rtv_engine_log_with: arguments must not be NULL");
  if (config->struct_size < sizeof(rtv_log_config))
    return fail(RTV_ERROR_STRUCT_SIZE, "rtv_engine_log_with: call rtv_log_config_init(&config) first");
  return guarded([&] {
    std::string error;
    const rtv_status status = engine->engine->begin_log(path, *config, &error);
    return status == RTV_OK ? status : fail(status, error);
  });
}

rtv_status rtv_engine_log(rtv_engine* engine, const char* path) {
  if (engine == nullptr) return fail(RTV_ERROR_ARGUMENT, "rtv_engine_log: engine must not be NULL");
  if (path == nullptr) {
    engine->engine->end_log();
    return RTV_OK;
  }
  rtv_log_config config;
  rtv_log_config_init(&config);
  return rtv_engine_log_with(engine, path, &config);
}

rtv_status rtv_engine_log_note(rtv_engine* engine, const char* text) {
  if (engine == nullptr || text == nullptr)
    return fail(RTV_ERROR_ARGUMENT, "rtv_engine_log_note: arguments must not be NULL");
  return guarded([&] {
    const rtv_status status = engine->engine->note(text);
    return status == RTV_OK ? status : fail(status, "rtv_engine_log_note: this engine has no log; begin one first");
  });
}

void rtv_log_status_init(rtv_log_status* status) RTV_NONBLOCKING {
  if (status == nullptr) return;
  std::memset(status, 0, sizeof *status);
  status->struct_size = sizeof *status;
}

rtv_status rtv_engine_log_status(rtv_engine* engine, rtv_log_status* status) {
  if (engine == nullptr || status == nullptr)
    return fail(RTV_ERROR_ARGUMENT, "rtv_engine_log_status: arguments must not be NULL");
  const uint32_t given = status->struct_size;
  if (given < sizeof given)
    return fail(RTV_ERROR_STRUCT_SIZE, "rtv_engine_log_status: call rtv_log_status_init(&status) first");
  rtv_log_status all{};
  engine->engine->log_status(&all);
  std::memcpy(status, &all, given < sizeof all ? given : sizeof all);
  status->struct_size = given;
  return RTV_OK;
}

}  // extern "C"
