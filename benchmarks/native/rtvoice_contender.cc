// Our side of the comparison: the plan by itself, and the engine through its C interface.
#include <cstring>

#include "contender.h"
#include "plan/plan.h"
#include "rtvoice/rtvoice.h"

namespace rtvoice::peers {
namespace {

class PlanContender : public Contender {
 public:
  explicit PlanContender(std::shared_ptr<const Plan> plan) : plan_(std::move(plan)), instance_(plan_, 0) {
    input_.resize(static_cast<size_t>(plan_->graph().hop));
    for (size_t i = 0; i < plan_->graph().outputs.size(); ++i) {
      const Output& output = plan_->graph().outputs[i];
      if (output.audio) {
        audio_.resize(input_.size());
      } else {
        const std::vector<int> channels = value_channels(plan_->graph());
        values_.push_back({i, static_cast<size_t>(channels[static_cast<size_t>(output.value)])});
      }
    }
  }

  bool run() override { return instance_.run(input_.data(), audio_.empty() ? nullptr : audio_.data(), 1) == 0; }

  const std::vector<float>& output() override {
    output_ = audio_;
    for (const Value& value : values_) {
      const float* frame = instance_.output_frame(value.index);
      output_.insert(output_.end(), frame, frame + value.channels);
    }
    return output_;
  }

  int64_t macs() const override { return plan_->info().macs_per_hop; }

 private:
  struct Value {
    size_t index, channels;
  };
  std::shared_ptr<const Plan> plan_;
  Instance instance_;
  std::vector<float> audio_;
  std::vector<Value> values_;
};

class EngineContender : public Contender {
 public:
  EngineContender(rtv_model* model, rtv_engine* engine, size_t hop) : model_(model), engine_(engine) {
    input_.resize(hop);
    output_.resize(hop);
  }
  ~EngineContender() override {
    rtv_engine_destroy(engine_);
    rtv_model_close(model_);
  }
  bool run() override {
    return rtv_engine_process(engine_, input_.data(), output_.data(), static_cast<uint32_t>(input_.size())) == RTV_OK;
  }
  const std::vector<float>& output() override { return output_; }

 private:
  rtv_model* model_;
  rtv_engine* engine_;
};

}  // namespace

std::unique_ptr<Contender> open_plan(const char* path, std::string* error) {
  std::shared_ptr<const Graph> graph = read_model_file(path, error);
  if (graph == nullptr) return nullptr;
  std::shared_ptr<const Plan> plan = Plan::compile(graph, 1, error);
  if (plan == nullptr) return nullptr;
  return std::make_unique<PlanContender>(std::move(plan));
}

std::unique_ptr<Contender> open_engine(const char* path, uint32_t rate, std::string* error) {
  const std::shared_ptr<const Graph> graph = read_model_file(path, error);
  if (graph == nullptr) return nullptr;
  const auto own = static_cast<uint32_t>(graph->sample_rate), hop = static_cast<uint32_t>(graph->hop);
  rtv_config config;
  rtv_config_init(&config);
  config.sample_rate = rate == 0 ? own : rate;
  config.max_frame = config.block = static_cast<uint32_t>(uint64_t{hop} * config.sample_rate / own);
  rtv_model* model = nullptr;
  rtv_engine* engine = nullptr;
  if (rtv_model_open(path, &model) != RTV_OK || rtv_engine_create(model, &config, &engine) != RTV_OK) {
    *error = rtv_last_error();
    rtv_model_close(model);
    return nullptr;
  }
  return std::make_unique<EngineContender>(model, engine, static_cast<size_t>(config.block));
}

}  // namespace rtvoice::peers
