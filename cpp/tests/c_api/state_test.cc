// From inside: after ten seconds of silence nothing subnormal is left in any model's state.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "../short_form.h"
#include "engine/processor_state.h"
#include "model/graph.h"
#include "plan/plan.h"
#include "plan/step_access.h"
#include "test_models.h"

namespace rtvoice {

namespace test {
namespace {

class State : public testing::TestWithParam<const char*> {};

Bytes bytes_of(const std::string& name) {
  if (name == "tcn") return tcn_model();
  if (name == "gru") return gru_model();
  if (name == "lstm") return lstm_model();
  if (name == "control") return control_model();
  if (name == "synthesis") return synthesis_model();
  const std::string path = shipped_model(name);
  return path.empty() ? Bytes() : read_file(path);
}

TEST_P(State, HoldsNoSubnormalsAfterSilence) {
  const Bytes bytes = bytes_of(GetParam());
  if (bytes.empty()) GTEST_SKIP() << "models/whisper/" << GetParam() << ".rtv is not there";
  std::string error;
  std::shared_ptr<const Graph> graph = read_model(bytes.data(), bytes.size(), &error);
  ASSERT_NE(graph, nullptr) << error;
  const std::shared_ptr<const Plan> plan = Plan::compile(graph, 1, &error);
  ASSERT_NE(plan, nullptr) << error;
  Instance instance(plan, 0);
  const size_t hop = static_cast<size_t>(graph->hop), rate = static_cast<size_t>(graph->sample_rate);
  std::vector<float> in(hop), out(hop);
  const FloatMode mode;
  const size_t samples = rate + shortened(10 * rate, 8);
  for (size_t n = 0; n < samples; n += hop) {
    for (size_t i = 0; i < hop; ++i) in[i] = n < rate ? 0.3f * std::sin(static_cast<float>(n + i) * 0.05f) : 0.0f;
    ASSERT_EQ(instance.run(in.data(), out.data(), 1), 0u);
  }
  const float* state = StepAccess{instance}.state(0);
  const size_t floats = plan->info().state_bytes / sizeof(float);
  size_t subnormal = 0;
  for (size_t i = 0; i < floats; ++i) {  // by their bits: with denormals-are-zero a comparison would not see them
    uint32_t bits;
    std::memcpy(&bits, state + i, sizeof bits);
    subnormal += (bits & 0x7f800000u) == 0 && (bits & 0x007fffffu) != 0;
  }
  EXPECT_EQ(subnormal, 0u) << "of " << floats;
  EXPECT_GT(floats, 0u);
  for (const float sample : out) EXPECT_NE(std::fpclassify(sample), FP_SUBNORMAL);
}

INSTANTIATE_TEST_SUITE_P(Models, State, testing::Values("tcn", "gru", "lstm", "control", "synthesis", "default", "hq"),
                         [](const auto& test) { return std::string(test.param); });

}  // namespace
}  // namespace test
}  // namespace rtvoice
