// A plan's loop: its steps frame by frame, each frame reading what the one before it drew.
#include <cstring>

#include "plan/plan.h"
#include "plan/step_access.h"

namespace rtvoice {
namespace {

void copy_row(float* to, const float* from, size_t floats) { std::memcpy(to, from, floats * sizeof(float)); }

}  // namespace

void Instance::run_loop(size_t turn) noexcept {
  const StepAccess at{*this};
  const LoopSpec& loop = plan_->loop_;
  const size_t total = loop.frames * batch_hops_, begin = turn * total / loop.turns,
               end = (turn + 1) * total / loop.turns;
  // Frames before the loop's own time 0 leave it as it is; their rows outside become silence when they are committed.
  const uint64_t frame = loop_frame_;
  for (size_t t = begin; t < end; ++t) {
    if (frame + t < loop.delay) continue;
    loop_hop_ = t / loop.frames;
    for (const LoopSpec::Input& in : loop.inputs) {
      if (in.factor != 1 && t % in.factor != 0) continue;
      const size_t ld = at.spec(in.from).ld;
      copy_row(at.out(in.to), at.row(in.from, in.lag) + t / in.factor * ld, ld);
      if (in.factor == 1 && at.spec(in.to).history != 0) commit(slots_[in.to], 1);
    }
    for (const LoopSpec::Recall& recall : loop.recalls) {
      copy_row(at.out(recall.to), at.state(recall.state), at.spec(recall.to).ld);
      if (at.spec(recall.to).history != 0) commit(slots_[recall.to], 1);
    }
    for (const StepSpec& step : loop.steps) run_step(step, 1);
    for (const LoopSpec::Output& out : loop.outputs) {
      const size_t ld = at.spec(out.to).ld;
      copy_row(at.out(out.to) + t * ld, at.row(out.from, 0), ld);
    }
    for (const LoopSpec::Recall& recall : loop.recalls) {
      const size_t ld = at.spec(recall.from).ld;
      copy_row(at.state(recall.state), at.row(recall.from, 0), ld);
      if ((t + 1) % loop.frames == 0) at.check_state(at.state(recall.state), at.spec(recall.from).channels, 0);
    }
    for (uint32_t index : loop.counted) {
      Slot& slot = slots_[index];
      ++slot.frame;
      if (slot.spec->ring != 0) slot.pos = (slot.pos + 1) & (slot.spec->ring - 1);
    }
  }
  loop_hop_ = 0;
  if (turn + 1 < loop.turns) return;
  loop_frame_ += total;
  for (const LoopSpec::Output& out : loop.outputs) commit(slots_[out.to], total);
}

}  // namespace rtvoice
