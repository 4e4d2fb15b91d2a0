// Several streams through one plan, so that weights are read once for all of them.
//
// A product of a slow layer has one or two rows a hop and waits for its weights. Streams of one StreamMemory lie at equal distances: their rows are
// the rows of one product, with no copying. A product's bits do not depend on how many rows it has.
#include "plan/plan.h"
#include "plan/step_access.h"

namespace rtvoice {
namespace {

// Rows a hop up to which a product is shared. With 4 streams of 8 layers of 128 (256) channels, 1 row is 2.3 (2.4) times as fast as stream by stream,
// 2 rows 1.4 (1.4), 4 rows 1.0; with 2 streams 4 rows lose 20 %, 2 rows nothing.
constexpr size_t kFewRows = 2;

bool shared(const StepSpec& step, size_t rows) { return step.run == run_gemm && rows / step.factor <= kFewRows; }

}  // namespace

bool Instance::keeps_step_with(const Instance& before) const noexcept {
  return memory_ == before.memory_ && index_ == before.index_ + 1 && turn_ == before.turn_;
}

void Instance::run_shared(const StepSpec& step, Instance* const* streams, size_t count, size_t hops) noexcept {
  const StepAccess at{*streams[0]};
  simd::GemmPart part;  // of a step with two outputs
  simd::GemmArgs args = product_of(step, at, hops, &part);
  const size_t rows = args.rows, distance = streams[0]->memory_->distance();
  const size_t in_step = args.row_step, out_step = args.out_ld, residual_step = args.epilogue.residual_ld;
  args.rows = count;
  args.row_step = args.out_ld = args.epilogue.residual_ld = distance;
  const size_t part_step = part.out_ld, part_residual_step = part.epilogue.residual_ld;
  part.out_ld = part.epilogue.residual_ld = distance;
  const float** segments = at.segments();
  for (size_t row = 0; row < rows; ++row) {
    at.k().gemm(args);
    for (size_t s = 0; s < args.num_segments; ++s) segments[s] += in_step;
    args.out += out_step;
    if (args.epilogue.residual != nullptr) args.epilogue.residual += residual_step;
    if (args.part == nullptr) continue;
    part.out += part_step;
    if (part.epilogue.residual != nullptr) part.epilogue.residual += part_residual_step;
  }
}

void Instance::run_together(Instance* const* streams, size_t count, size_t hops) noexcept {
  const std::vector<StepSpec>& steps = streams[0]->plan_->steps_;
  if (streams[0]->plan_->loop_.turns != 0) {  // frame by frame, each by itself
    for (size_t i = 0; i < count; ++i) streams[i]->run_steps(streams[i]->plan_->pieces());
    return;
  }
  const auto is_shared = [&](size_t at) {
    return count > 1 && shared(steps[at], StepAccess{*streams[0]}.rows(steps[at].out, hops));
  };
  for (size_t at = 0; at < steps.size();) {
    size_t until = at;
    while (until < steps.size() && !is_shared(until)) ++until;
    for (size_t i = 0; i < count; ++i) streams[i]->run_steps(until);
    for (at = until; at < steps.size() && is_shared(at); ++at) {
      for (size_t first = 0; first < count;) {
        size_t end = first + 1;
        while (end < count && streams[end]->keeps_step_with(*streams[end - 1])) ++end;
        run_shared(steps[at], streams + first, end - first, hops);
        first = end;
      }
      for (size_t i = 0; i < count; ++i) {
        Slot& slot = streams[i]->slots_[steps[at].out];
        streams[i]->commit(slot, slot.spec->frames * hops);
        if (steps[at].out_b >= 0) {
          Slot& second = streams[i]->slots_[static_cast<size_t>(steps[at].out_b)];
          streams[i]->commit(second, second.spec->frames * hops);
        }
        ++streams[i]->next_step_;
      }
    }
  }
}

}  // namespace rtvoice
