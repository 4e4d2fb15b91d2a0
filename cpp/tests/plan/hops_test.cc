// A plan for another number of hops is the plan that compiling for that number gives, with the weights of the first.
#include <gtest/gtest.h>

#include "networks.h"
#include "plan/plan.h"

namespace rtvoice {
namespace {

using bench::NetworkPtr;

std::vector<float> streamed(const std::shared_ptr<const Plan>& plan, const std::vector<float>& in) {
  Instance instance(plan, 0);
  std::vector<float> out(in.size());
  const size_t most = plan->max_hops(), hop = static_cast<size_t>(plan->graph().hop), hops = in.size() / hop;
  for (size_t at = 0; at < hops;) {
    const size_t now = std::min(most, hops - at);
    EXPECT_EQ(instance.run(in.data() + at * hop, out.data() + at * hop, now), 0u);
    at += now;
  }
  return out;
}

TEST(Hops, AnotherNumberOfHopsChangesMemoryOnly) {
  for (const NetworkPtr& graph :
       {bench::temporal(16, 12, Op::kTanh), bench::wavenet(32, 3, true), bench::cell(Op::kGru, 24, false),
        bench::cell(Op::kLstm, 24, true), bench::resampled(3, 5, 4, 6)}) {
    std::string error;
    const std::shared_ptr<const Plan> one = Plan::compile(graph, 1, &error);
    ASSERT_NE(one, nullptr) << error;
    std::vector<float> in(20 * static_cast<size_t>(graph->hop));
    bench::Numbers numbers(9);
    for (float& value : in) value = 0.5f * numbers.next();
    const std::vector<float> expected = streamed(one, in);
    for (const size_t hops : {2u, 7u, 1u}) {
      const std::shared_ptr<const Plan> again = one->for_hops(hops, &error), fresh = Plan::compile(graph, hops, &error);
      ASSERT_NE(again, nullptr) << error;
      ASSERT_NE(fresh, nullptr) << error;
      EXPECT_EQ(again->info().state_bytes, fresh->info().state_bytes);
      EXPECT_EQ(again->info().scratch_bytes, fresh->info().scratch_bytes);
      EXPECT_EQ(again->info().weight_bytes, one->info().weight_bytes);
      EXPECT_EQ(streamed(again, in), expected) << hops;
      EXPECT_EQ(streamed(fresh, in), expected) << hops;
    }
  }
}

TEST(Hops, TooManyAreRefused) {
  std::string error;
  const std::shared_ptr<const Plan> one = Plan::compile(bench::temporal(64, 160, Op::kTanh), 1, &error);
  ASSERT_NE(one, nullptr) << error;
  EXPECT_EQ(one->for_hops(size_t{1} << 20, &error), nullptr);
  EXPECT_NE(error.find("MiB"), std::string::npos) << error;
}

}  // namespace
}  // namespace rtvoice
