// The calls of a stream's products, made once: what a small one multiplies takes less time than gathering its arguments from the plan.
#include "plan/plan.h"
#include "plan/step_access.h"

namespace rtvoice {

void Instance::prepare_products() {
  const StepAccess at{*this};
  size_t segments = 0;
  std::vector<const StepSpec*> steps;
  for (const StepSpec& step : plan_->steps_) steps.push_back(&step);
  for (const StepSpec& step : plan_->loop_.ahead) steps.push_back(&step);
  for (const StepSpec& step : plan_->loop_.steps) steps.push_back(&step);
  for (const StepSpec* step : steps) segments += is_product(*step) ? step->taps : 0;
  product_segments_.resize(segments);
  products_.resize(plan_->num_products_);
  for (const Product& product : products_) calls_.push_back(&product.args);
  segments = 0;
  for (const StepSpec* each : steps) {
    const StepSpec& step = *each;
    if (!is_product(step)) continue;
    Product& product = products_[step.product];
    product.first_place = static_cast<uint32_t>(places_.size());
    product.args = product_of(step, at, 1, &product.part);
    product.rows = product.args.rows;
    const auto follow = [&](uint32_t slot, int64_t lag, const float** pointer) {
      const SlotSpec& spec = at.spec(slot);
      if (spec.ring != 0) places_.push_back({pointer, at.slot(slot).base, slot, spec.ring - 1, spec.ld, lag});
    };
    const float** own = product_segments_.data() + segments;
    segments += step.taps;
    for (size_t i = 0; i < step.taps; ++i) {
      own[i] = product.args.seg[i];
      follow(step.in[0], step.lag[0] - static_cast<int64_t>(i * step.tap_rows), own + i);
    }
    product.args.seg = own;
    const auto follow_end = [&](const StepEnd& end, uint32_t out, float** written, simd::Epilogue* epilogue) {
      follow(out, 0, const_cast<const float**>(written));
      if (end.residual < 0) return;
      const size_t residual = static_cast<size_t>(end.residual);
      follow(step.in[residual], step.lag[residual], &epilogue->residual);
    };
    follow_end(step.end, step.out, &product.args.out, &product.args.epilogue);
    if (step.out_b >= 0)
      follow_end(step.end_b, static_cast<uint32_t>(step.out_b), &product.part.out, &product.part.epilogue);
    product.num_places = static_cast<uint32_t>(places_.size()) - product.first_place;
  }
}

}  // namespace rtvoice
