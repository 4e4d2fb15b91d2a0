// The step of attention over the frames before.
#include "plan/step_access.h"

namespace rtvoice {

void run_attention(const StepSpec& step, Instance& instance, size_t hops) noexcept {
  const StepAccess at{instance};
  simd::AttendArgs args{};
  args.q = at.row(step.in[0], step.lag[0]);
  args.k = at.row(step.in[1], step.lag[1]);
  args.v = at.row(step.in[2], step.lag[2]);
  args.q_ld = at.spec(step.in[0]).ld;
  args.k_ld = at.spec(step.in[1]).ld;
  args.v_ld = at.spec(step.in[2]).ld;
  args.heads = step.factor;
  args.key_channels = at.spec(step.in[0]).channels;
  args.value_channels = at.spec(step.in[2]).channels;
  args.window = step.cols;
  args.scale = step.a;
  args.shares = at.scratch(step.scratch);
  args.out = at.out(step.out);
  args.out_ld = at.spec(step.out).ld;
  args.rows = at.rows(step.out, hops);
  // Rows before the stream's own time 0 do not count; those of the output itself become silence when they are committed.
  const uint64_t frame = at.frame(step.out), first = step.delay + step.cols - 1;
  const uint64_t missing = frame < first ? first - frame : 0;
  const size_t late = missing >= step.cols ? static_cast<size_t>(missing - step.cols + 1) : 0;
  if (late >= args.rows) return;
  args.missing = static_cast<size_t>(missing) - late;
  args.q += late * args.q_ld;
  args.k += late * args.k_ld;
  args.v += late * args.v_ld;
  args.out += late * args.out_ld;
  args.rows -= late;
  at.k().attend(args);
}

}  // namespace rtvoice
