// rtvoice._core.Engine.
#pragma once

#include "bindings/shared.h"
#include "engine/c_api.h"

namespace rtvoice::bindings {

class Engine : public Zeroed {
 public:
  Engine(const std::vector<Model*>& tiers, uint32_t sample_rate, uint32_t max_frame, uint32_t channels, uint32_t block,
         uint64_t seed, const std::string& resampler, float fade_ms, bool sliced, bool dry) {
    const rtv_config config = config_of(sample_rate, max_frame, channels, block, seed, resampler, fade_ms, sliced, dry);
    shape_ = {channels, max_frame, block, 0};
    std::vector<const rtv_model*> handles;
    for (Model* tier : tiers) {
      if (tier == nullptr) throw py::type_error("tiers: None is no model");
      handles.push_back(tier->made().handle());
    }
    rtv_status status;
    {
      py::gil_scoped_release release;
      status = rtv_engine_create_tiers(handles.data(), static_cast<uint32_t>(handles.size()), &config, &handle_);
    }
    check(status);
  }
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;
  ~Engine() { rtv_engine_destroy(handle_); }

  Engine& made() {
    if (handle_ == nullptr) throw py::type_error("Engine: __init__ was never called");
    return *this;
  }

  py::object process(const py::object& frame, const py::object& out) {
    const py::array in = check_array(frame, "frame", false, shape_);
    py::array result = output_for(in, out, shape_);
    const uint32_t frames = static_cast<uint32_t>(in.shape(0));
    const float* from = static_cast<const float*>(in.data());
    float* to = static_cast<float*>(result.mutable_data());
    rtv_status status;
    {
      const Turn turn(&busy_, "process");
      py::gil_scoped_release release;
      status = rtv_engine_process(handle_, from, to, frames);
    }
    if (status != RTV_OK) throw py::value_error(rtv_status_string(status));
    return std::move(result);
  }

  uint32_t latency() const { return rtv_engine_latency(handle_); }
  void reset() {
    const Turn turn(&busy_, "reset");
    rtv_engine_reset(handle_);
  }
  void set(const std::string& name, const py::array_t<float, py::array::c_style | py::array::forcecast>& values) {
    const rtv_status status =
        rtv_engine_set(handle_, name.c_str(), values.data(), static_cast<uint32_t>(values.size()));
    if (status != RTV_OK) {
      throw py::value_error("parameter '" + name + "': no such parameter, not its number of values (" +
                            std::to_string(values.size()) + " given), or a value that is not finite");
    }
  }
  bool bypass() const { return bypass_; }
  void set_bypass(bool on) {
    bypass_ = on;
    rtv_engine_bypass(handle_, on ? 1 : 0);
  }
  void swap(Model& model) {
    const rtv_model* next = model.made().handle();
    rtv_status status;
    {
      py::gil_scoped_release release;
      status = rtv_engine_swap(handle_, next);
    }
    check(status);
  }
  uint32_t tier() const {
    rtv_stats s;
    rtv_stats_init(&s);
    rtv_engine_stats(handle_, &s);
    return s.tier;
  }
  void hold_tier(int32_t tier) {
    if (rtv_engine_tier(handle_, tier) != RTV_OK) throw py::value_error("tier: there is none of that number");
  }
  py::array_t<float> output(const std::string& name) const {
    const uint32_t size = rtv_engine_output(handle_, name.c_str(), nullptr, 0);
    if (size == 0) throw py::key_error(name);
    py::array_t<float> values(static_cast<py::ssize_t>(size));
    rtv_engine_output(handle_, name.c_str(), values.mutable_data(), size);
    return values;
  }
  py::dict stats() const {
    rtv_stats s;
    rtv_stats_init(&s);
    rtv_engine_stats(handle_, &s);
    return stats_of(s);
  }
  py::dict latency_parts() const {
    rtv_stats s;
    rtv_stats_init(&s);
    rtv_engine_stats(handle_, &s);
    py::dict parts;  // milliseconds
    parts["model"] = s.latency_model_ms;
    parts["resampler"] = s.latency_resampler_ms;
    parts["buffering"] = s.latency_buffering_ms;
    return parts;
  }
  py::dict memory() const {
    rtv_stats s;
    rtv_stats_init(&s);
    rtv_engine_stats(handle_, &s);
    return memory_of(s);
  }
  void begin_log(const std::string& path, bool pcm16, bool redact, uint32_t retention_days, const std::string& who,
                 uint64_t rotate_bytes, float rotate_seconds, uint32_t keep_files, uint32_t ring_ms,
                 uint32_t flush_ms) {
    rtv_log_config config;
    rtv_log_config_init(&config);
    config.format = pcm16 ? RTV_LOG_PCM16 : RTV_LOG_FLOAT32;
    config.redact = redact ? 1 : 0;
    config.retention_days = retention_days;
    config.who = who.c_str();
    config.rotate_bytes = rotate_bytes;
    config.rotate_seconds = rotate_seconds;
    config.keep_files = keep_files;
    config.ring_ms = ring_ms;
    config.flush_ms = flush_ms;
    rtv_status status;
    {
      py::gil_scoped_release release;
      status = rtv_engine_log_with(handle_, path.c_str(), &config);
    }
    if (status == RTV_ERROR_BUSY) throw py::value_error(rtv_last_error());
    check(status);
  }
  void end_log() {
    py::gil_scoped_release release;
    (void)rtv_engine_log(handle_, nullptr);
  }
  void log_note(const std::string& text) { check(rtv_engine_log_note(handle_, text.c_str())); }
  py::dict log_status() const {
    rtv_log_status s;
    rtv_log_status_init(&s);
    {
      py::gil_scoped_release release;
      check(rtv_engine_log_status(handle_, &s));
    }
    py::dict result;
    result["active"] = s.active != 0;
    result["frames"] = s.frames;
    result["frames_lost"] = s.frames_lost;
    result["gaps"] = s.gaps;
    result["bytes"] = s.bytes;
    result["files"] = s.files;
    result["failing"] = s.failing != 0;
    result["error"] = py::str(s.error);
    return result;
  }
  // A replay's calls take as long as those in the log did, so that tiers move where they moved.
  void pretend_load(double load) { handle_->engine->pretend_load(load); }
  rtv_engine* handle() const { return handle_; }
  const FrameShape& shape() const { return shape_; }
  std::atomic<bool>* busy() { return &busy_; }

 private:
  std::atomic<bool> busy_{false};
  rtv_engine* handle_ = nullptr;
  FrameShape shape_;
  bool bypass_ = false;
};

}  // namespace rtvoice::bindings
