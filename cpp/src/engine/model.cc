// A model that engines share.
#include "engine/model.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/processor_state.h"

namespace rtvoice {

std::shared_ptr<const Plan> Model::plan(size_t max_hops, std::string* error) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const FloatMode mode;  // packing rounds as the audio thread does, whatever the caller's mode
  if (first_ == nullptr) first_ = Plan::compile(graph_, 1, error);
  if (first_ == nullptr || max_hops <= 1) return first_;
  std::weak_ptr<const Plan>& cached = plans_[max_hops];
  std::shared_ptr<const Plan> plan = cached.lock();
  if (plan == nullptr) {
    plan = first_->for_hops(max_hops, error);
    cached = plan;
  }
  return plan;
}

const std::string& Model::info(std::string* error) {
  static const std::string empty;
  const std::shared_ptr<const Plan> plan = this->plan(1, error);
  if (plan == nullptr) return empty;
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!info_.empty()) return info_;
  using Json = nlohmann::ordered_json;
  const PlanInfo& made = plan->info();
  const Graph& graph = *graph_;
  Json info;
  info["name"] = graph.name;
  info["tier"] = graph.tier;
  info["description"] = graph.description;
  info["licence"] = graph.licence;
  info["sample_rate"] = graph.sample_rate;
  info["hop"] = graph.hop;
  info["latency"] = made.latency;
  info["start"] = graph.prewarmed ? "prewarmed" : "zero";
  info["loudness"] = graph.has_loudness ? Json(graph.loudness) : Json(nullptr);
  char hash[17];
  std::snprintf(hash, sizeof hash, "%016llx", static_cast<unsigned long long>(graph.hash));
  info["hash"] = hash;
  info["parameters"] = Json::array();
  for (const Parameter& p : graph.parameters) {
    info["parameters"].push_back({{"name", p.name},
                                  {"size", p.defaults.size()},
                                  {"default", p.defaults},
                                  {"min", p.min},
                                  {"max", p.max},
                                  {"smoothing_ms", p.smoothing_ms},
                                  {"description", p.description}});
  }
  const std::vector<int> channels = value_channels(graph);
  info["inputs"] = Json::array({{{"name", graph.input_name}, {"kind", "audio"}, {"channels", 1}}});
  info["outputs"] = Json::array();
  for (const Output& output : graph.outputs) {
    info["outputs"].push_back(
        {{"name", output.name}, {"kind", output.audio ? "audio" : "value"}, {"channels", channels[output.value]}});
  }
  info["parameter_count"] = made.parameter_count;
  info["mac_per_second"] = static_cast<double>(made.macs_per_hop) * graph.sample_rate / graph.hop;
  info["memory_bytes"] = {{"weights", made.weight_bytes}, {"state", made.state_bytes}, {"scratch", made.scratch_bytes}};
  info["receptive_field"] =
      std::isinf(made.receptive_field) ? Json(nullptr) : Json(static_cast<int64_t>(made.receptive_field));
  info["layers"] = Json::array();
  for (const LayerInfo& layer : made.layers) {
    info["layers"].push_back({{"name", layer.name},
                              {"op", layer.op},
                              {"inputs", layer.inputs},
                              {"channels", layer.channels},
                              {"frames", layer.frames},
                              {"delay", layer.delay},
                              {"macs", layer.macs},
                              {"fused", layer.fused_into.empty() ? Json(nullptr) : Json(layer.fused_into)}});
  }
  info_ = info.dump(-1, ' ', false, Json::error_handler_t::replace);
  return info_;
}

}  // namespace rtvoice
