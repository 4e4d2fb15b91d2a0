// A file is read, compiled and run for a few hops; every promise of docs/model-format.md about bad files is checked on
// the way.
#include "fuzz_case.h"

#include <cmath>
#include <vector>

#include "model/graph.h"
#include "model/limits.h"
#ifdef RTVOICE_FUZZ_PLAN
#include "plan/plan.h"
#endif

namespace rtvoice::fuzz {
namespace {

constexpr size_t kReadSlack = size_t{64} << 20;  // beyond the file's size
// A refused plan may not have allocated what it was refused for.
[[maybe_unused]] constexpr size_t kPlanSlack = size_t{64} << 20;
// A run beyond these is left out: it would only be slow.
[[maybe_unused]] constexpr size_t kMaxRunBytes = size_t{16} << 20;
[[maybe_unused]] constexpr double kMaxRunMacs = 2e6;

bool one_line(const std::string& text) {
  for (char c : text) {
    if (c < 0x20 || c > 0x7e) return false;
  }
  return !text.empty() && text.size() < 2000;
}

std::string check_graph(const Graph& graph) {
  const std::vector<int> channels = value_channels(graph);
  if (channels.size() != 1 + graph.parameters.size() + graph.nodes.size()) return "value_channels: wrong count";
  for (int c : channels) {
    if (c < 1 || c > kMaxChannels) return "value_channels: out of range";
  }
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    for (int input : graph.nodes[i].inputs) {
      if (input < 0 || static_cast<size_t>(input) > graph.parameters.size() + i) return "a node reads a later value";
    }
    for (const Tensor* weight : {&graph.nodes[i].w0, &graph.nodes[i].w1, &graph.nodes[i].b0, &graph.nodes[i].b1}) {
      size_t count = weight->shape.empty() ? 0 : 1;
      for (int64_t axis : weight->shape) count *= static_cast<size_t>(axis);
      if (count != weight->data.size()) return "a weight's data does not fill its shape";
      for (float value : weight->data) {
        if (!std::isfinite(value)) return "a weight is not finite";
      }
    }
  }
  return "";
}

#ifdef RTVOICE_FUZZ_PLAN
void run_plan(std::shared_ptr<const Graph> graph, CaseResult* result) {
  const size_t before = allocations().now;
  allocation_mark();
  const std::shared_ptr<const Plan> plan = Plan::compile(std::move(graph), 2, &result->message);
  const size_t used = allocations().peak - before;
  if (plan == nullptr) {
    if (!one_line(result->message)) result->fault = "the plan's message is not one printable line";
    if (used > kPlanSlack) result->fault = "a refused plan allocated " + std::to_string(used) + " bytes";
    return;
  }
  result->reach = Reach::kPlanned;
  const PlanInfo& info = plan->info();
  const size_t bytes = info.weight_bytes + info.state_bytes + info.scratch_bytes;
  if (static_cast<double>(bytes) > kMaxMemoryBytes)
    result->fault = "a plan of " + std::to_string(bytes) + " bytes was accepted";
  if (used > bytes + kPlanSlack)
    result->fault = "a plan of " + std::to_string(bytes) + " bytes took " + std::to_string(used);
  if (!result->fault.empty() || bytes > kMaxRunBytes || static_cast<double>(info.macs_per_hop) > kMaxRunMacs) return;
  const double prewarm =
      plan->graph().prewarmed && std::isfinite(info.receptive_field) ? info.receptive_field / plan->graph().hop : 0.0;
  if (prewarm * static_cast<double>(info.macs_per_hop + plan->graph().hop) > 10 * kMaxRunMacs) return;
  Instance instance(plan, 1);
  const auto hop = static_cast<size_t>(plan->graph().hop);
  std::vector<float> in(2 * hop), out(2 * hop);
  for (size_t i = 0; i < in.size(); ++i) in[i] = std::sin(static_cast<float>(i)) * 0.5f;
  for (size_t hops : {size_t{1}, size_t{2}, size_t{1}}) {
    const bool good = instance.run(in.data(), out.data(), hops) == 0;
    for (size_t i = 0; good && i < hops * hop; ++i) {
      if (!std::isfinite(out[i])) result->fault = "a run gave a value that is not finite and said it was good";
    }
  }
  instance.reset();
  result->reach = Reach::kRan;
}
#endif

}  // namespace

CaseResult run_case(const uint8_t* data, size_t size) {
  CaseResult result;
  const size_t before = allocations().now;
  allocation_mark();
  std::unique_ptr<Graph> graph = read_model(data, size, &result.message);
  const size_t used = allocations().peak - before;
  if (used > size + kReadSlack)
    result.fault = "reading " + std::to_string(size) + " bytes took " + std::to_string(used);
  if (graph == nullptr) {
    if (!one_line(result.message)) result.fault = "the reader's message is not one printable line";
    return result;
  }
  result.reach = Reach::kRead;
  if (result.fault.empty()) result.fault = check_graph(*graph);
#ifdef RTVOICE_FUZZ_PLAN
  if (result.fault.empty()) run_plan(std::move(graph), &result);
#endif
  return result;
}

}  // namespace rtvoice::fuzz
