// Parameter targets and value outputs between threads.
#include "stream/controls.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstring>

namespace rtvoice {

[[gnu::cold]] Control::Control(std::string name, std::vector<float> values, float low, float high)
    : name_(std::move(name)),
      size_(static_cast<uint32_t>(values.size())),
      low_(low),
      high_(high),
      values_(new std::atomic<float>[values.size()]),
      taken_(new float[values.size()]) {
  for (size_t i = 0; i < values.size(); ++i) values_[i].store(values[i], std::memory_order_relaxed);
  std::copy(values.begin(), values.end(), taken_.get());
}

bool Control::set(const float* values, uint32_t count) noexcept {
  if (count != size_) return false;
  for (uint32_t i = 0; i < count; ++i) {
    if (!std::isfinite(values[i])) return false;
  }
  for (uint32_t i = 0; i < count; ++i)
    values_[i].store(std::min(std::max(values[i], low_), high_), std::memory_order_relaxed);
  version_.fetch_add(1);  // in one order with the engine's bank pointers
  return true;
}

void Control::take_new() noexcept {
  taken_version_ = version_.load(std::memory_order_acquire);
  for (uint32_t i = 0; i < size_; ++i) taken_[i] = values_[i].load(std::memory_order_relaxed);
}

void Control::publish(const float* values) noexcept {
  const uint32_t version = version_.load(std::memory_order_relaxed);
  version_.store(version + 1, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_release);
  for (uint32_t i = 0; i < size_; ++i) {
    // A host reads numbers: the log of silence is the lowest, what is no number at all is 0.
    const float value = std::isnan(values[i]) ? 0.0f : std::min(std::max(values[i], -FLT_MAX), FLT_MAX);
    values_[i].store(value, std::memory_order_relaxed);
  }
  version_.store(version + 2, std::memory_order_release);
}

void Control::read(float* values, uint32_t count) const noexcept {
  // A writer takes well under a microsecond once a hop: 16 tries only run out when it was stopped half-way, and then a mixed frame is the answer.
  for (int attempt = 0; attempt < 16; ++attempt) {
    const uint32_t before = version_.load(std::memory_order_acquire);
    for (uint32_t i = 0; i < std::min(count, size_); ++i) values[i] = values_[i].load(std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_acquire);
    if (before % 2 == 0 && version_.load(std::memory_order_relaxed) == before) return;
  }
}

[[gnu::cold]] ControlBank::ControlBank(const Graph& graph) {
  for (const Parameter& p : graph.parameters)
    parameters.push_back(std::make_unique<Control>(p.name, p.defaults, p.min, p.max));
  const std::vector<int> channels = value_channels(graph);
  for (const Output& output : graph.outputs) {
    if (output.audio) {
      outputs.push_back(nullptr);
    } else {
      outputs.push_back(std::make_unique<Control>(
          output.name, std::vector<float>(static_cast<size_t>(channels[output.value]), 0.0f), 0.0f, 0.0f));
    }
  }
}

[[gnu::cold]] bool ControlBank::fits(const Graph& graph) const {
  if (parameters.size() != graph.parameters.size() || outputs.size() != graph.outputs.size()) return false;
  for (size_t i = 0; i < parameters.size(); ++i) {
    const Parameter& p = graph.parameters[i];
    const Control& c = *parameters[i];
    if (c.name() != p.name || c.size() != p.defaults.size() || c.low() != p.min || c.high() != p.max) return false;
  }
  const std::vector<int> channels = value_channels(graph);
  for (size_t i = 0; i < outputs.size(); ++i) {
    const Output& output = graph.outputs[i];
    if (output.audio != (outputs[i] == nullptr)) return false;
    if (outputs[i] == nullptr) continue;
    if (outputs[i]->name() != output.name || outputs[i]->size() != static_cast<uint32_t>(channels[output.value]))
      return false;
  }
  return true;
}

Control* ControlBank::parameter(const char* name) const noexcept {
  for (const auto& control : parameters) {
    if (std::strcmp(control->name().c_str(), name) == 0) return control.get();
  }
  return nullptr;
}

const Control* ControlBank::output(const char* name) const noexcept {
  for (const auto& control : outputs) {
    if (control != nullptr && std::strcmp(control->name().c_str(), name) == 0) return control.get();
  }
  return nullptr;
}

}  // namespace rtvoice
