// A model that engines share.
#include "engine/model.h"

#include <cmath>

#include "engine/processor_state.h"
#include "model/json_fields.h"

namespace rtvoice {
namespace {

// A JSON object whose fields keep the order in which they are added. nlohmann's ordered_json would be a second copy of that library in ours, 20 kB.
class Fields {
 public:
  void add(const char* name, const Json& value) {
    add_json(name, value.dump(-1, ' ', false, Json::error_handler_t::replace));
  }

  void add_json(const char* name, const std::string& json) {
    text_ += text_.empty() ? "\"" : ",\"";
    text_.append(name).append("\":").append(json);
  }

  // An array with one object for each of `items`, filled by `describe(item, &object)`.
  template <typename Items, typename Describe>
  void add_all(const char* name, const Items& items, Describe describe) {
    std::string all = "[";
    for (const auto& item : items) {
      Fields one;
      describe(item, &one);
      if (all.size() > 1) all += ',';
      all += one.json();
    }
    add_json(name, all + "]");
  }

  std::string json() const { return "{" + text_ + "}"; }

 private:
  std::string text_;
};

}  // namespace

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
  const PlanInfo& made = plan->info();
  const Graph& graph = *graph_;
  const std::vector<int> channels = value_channels(graph);
  char hash[17];
  std::snprintf(hash, sizeof hash, "%016llx", static_cast<unsigned long long>(graph.hash));

  Fields memory;
  memory.add("weights", made.weight_bytes);
  memory.add("state", made.state_bytes);
  memory.add("scratch", made.scratch_bytes);

  Fields info;
  info.add("name", graph.name);
  info.add("tier", graph.tier);
  info.add("description", graph.description);
  info.add("licence", graph.licence);
  info.add("sample_rate", graph.sample_rate);
  info.add("hop", graph.hop);
  info.add("latency", made.latency);
  info.add("start", graph.prewarmed ? "prewarmed" : "zero");
  info.add("loudness", graph.has_loudness ? Json(graph.loudness) : Json(nullptr));
  info.add("hash", hash);
  info.add_all("parameters", graph.parameters, [](const Parameter& p, Fields* to) {
    to->add("name", p.name);
    to->add("size", p.defaults.size());
    to->add("default", p.defaults);
    to->add("min", p.min);
    to->add("max", p.max);
    to->add("smoothing_ms", p.smoothing_ms);
    to->add("description", p.description);
  });
  info.add_all("inputs", std::vector<std::string>{graph.input_name}, [](const std::string& name, Fields* to) {
    to->add("name", name);
    to->add("kind", "audio");
    to->add("channels", 1);
  });
  info.add_all("outputs", graph.outputs, [&channels](const Output& output, Fields* to) {
    to->add("name", output.name);
    to->add("kind", output.audio ? "audio" : "value");
    to->add("channels", channels[output.value]);
  });
  info.add("parameter_count", made.parameter_count);
  info.add("mac_per_second", static_cast<double>(made.macs_per_hop) * graph.sample_rate / graph.hop);
  info.add_json("memory_bytes", memory.json());
  info.add("receptive_field",
           std::isinf(made.receptive_field) ? Json(nullptr) : Json(static_cast<int64_t>(made.receptive_field)));
  info.add_all("layers", made.layers, [](const LayerInfo& layer, Fields* to) {
    to->add("name", layer.name);
    to->add("op", layer.op);
    to->add("inputs", layer.inputs);
    to->add("channels", layer.channels);
    to->add("frames", layer.frames);
    to->add("delay", layer.delay);
    to->add("macs", layer.macs);
    to->add("fused", layer.fused_into.empty() ? Json(nullptr) : Json(layer.fused_into));
  });
  info_ = info.json();
  return info_;
}

}  // namespace rtvoice
