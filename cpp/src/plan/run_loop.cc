// A plan's loop: its steps frame by frame, each frame reading what the one before it drew.
#include <algorithm>
#include <cstring>

#include "plan/plan.h"
#include "plan/step_access.h"

namespace rtvoice {
namespace {

void copy_row(float* to, const float* from, size_t floats) { std::memcpy(to, from, floats * sizeof(float)); }

}  // namespace

// What frame `t` of the run reads: rows from outside, and what was drawn before. Returns the frame in which a row from outside changes next: asking
// every frame whether it does is a division for each of a network's 20 layers, 1 % of a sample.
size_t Instance::enter_loop(size_t t, size_t next) noexcept {
  const StepAccess at{*this};
  const LoopSpec& loop = plan_->loop_;
  const bool changes = t >= next;
  if (changes) next = SIZE_MAX;
  for (size_t i = 0; changes && i < loop.inputs.size(); ++i) {
    const LoopSpec::Input& in = loop.inputs[i];
    const size_t since = in.factor != 1 ? t % in.factor : 0;
    next = std::min(next, t - since + in.factor);
    if (since != 0) continue;
    const size_t ld = at.spec(in.from).ld;
    copy_row(at.out(in.to), at.row(in.from, in.lag) + t / in.factor * ld, ld);
    if (in.factor == 1 && at.spec(in.to).history != 0) commit(slots_[in.to], 1);
  }
  for (const LoopSpec::Recall& recall : loop.recalls) {
    copy_row(at.out(recall.to), at.state(recall.state), at.spec(recall.to).ld);
    if (at.spec(recall.to).history != 0) commit(slots_[recall.to], 1);
  }
  return next;
}

// What they write is read row by row where it lies; the mirrors of its rings are for what runs ahead, a frame later.
void Instance::run_products(const LoopSpec::Run& run) noexcept {
  const StepAccess at{*this};
  const size_t number = plan_->loop_.steps[run.first].product;
  const Product &first = products_[number], &last = products_[number + run.count - 1];
  // A loop's rings keep step with each other: what is counted, is counted from one start.
  const std::vector<LoopSpec::Counted>& counted = plan_->loop_.counted;
  const uint64_t frame = counted.empty() ? 0 : slots_[counted.front().slot].frame;
  at.move_places(first.first_place, last.first_place + last.num_places - first.first_place, frame);
  at.k().gemm_rows(calls_.data() + number, run.count);
  for (const uint32_t slot : run.kept) {
    if (slots_[slot].pos < slots_[slot].spec->mirror) commit(slots_[slot], 1);
  }
}

void Instance::run_loop(size_t begin, size_t end) noexcept {
  const StepAccess at{*this};
  const LoopSpec& loop = plan_->loop_;
  const size_t total = loop.frames * batch_hops_, last = end * total / loop.turns;
  size_t ready = 0;  // frames for which what runs ahead has run
  size_t next = 0;   // frame in which a row from outside changes
  for (size_t t = begin * total / loop.turns; t < last; ++t) {
    // Frames before the loop's own time 0 leave it as it is; their rows outside become silence when they are committed.
    if (loop_frame_ + t < loop.delay) continue;
    loop_hop_ = t / loop.frames;
    next = enter_loop(t, next);
    if (t >= ready) {
      ready = (t / LoopSpec::kAhead + 1) * LoopSpec::kAhead;
      ready = ready < last ? ready : last;
      for (const StepSpec& step : loop.ahead) run_step(step, ready - t);
    }
    for (const LoopSpec::Run& run : loop.runs) {
      if (run.products) {
        run_products(run);
      } else {
        run_step(loop.steps[run.first], 1);
      }
    }
    for (const LoopSpec::Output& out : loop.outputs) {
      const size_t ld = at.spec(out.to).ld;
      copy_row(at.out(out.to) + t * ld, at.row(out.from, 0), ld);
    }
    for (const LoopSpec::Recall& recall : loop.recalls) {
      const size_t ld = at.spec(recall.from).ld;
      copy_row(at.state(recall.state), at.row(recall.from, 0), ld);
      if ((t + 1) % loop.frames == 0) at.check_state(at.state(recall.state), at.spec(recall.from).channels, 0);
    }
    for (const LoopSpec::Counted& counted : loop.counted) {
      Slot& slot = slots_[counted.slot];
      ++slot.frame;
      slot.pos = (slot.pos + 1) & counted.mask;
    }
  }
  loop_hop_ = 0;
  if (end < loop.turns) return;
  loop_frame_ += total;
  for (const LoopSpec::Output& out : loop.outputs) commit(slots_[out.to], total);
}

}  // namespace rtvoice
