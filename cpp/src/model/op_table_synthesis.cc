// The rows of ops that make a signal out of itself: what was drawn a frame ago, and the drawing.
#include "model/limits.h"
#include "model/op_table.h"

namespace rtvoice {
namespace {

using Kind = AttributeKind;
using Value = AttributeValue;
using Attrs = Attributes;

bool rule_recall(NodeShape* n) {
  n->out.channels = n->attrs.channels;
  n->out.frames = n->attrs.frames;
  n->state_floats += static_cast<double>(n->attrs.channels);
  return true;
}

bool rule_sample(NodeShape* n) {
  const Distribution kind = n->attrs.distribution;
  const char* wanted = nullptr;
  if (kind == Distribution::kGaussian && n->c != 2) wanted = "2 for gaussian: mean, logarithm of the deviation";
  if (kind == Distribution::kLogistic && n->c % 3 != 0)
    wanted = "3 a component for logistic: logits, means, logarithms of the scales";
  if (kind == Distribution::kCategorical && (n->c < 2 || n->c > 65536)) wanted = "2 or more classes for categorical";
  if (wanted != nullptr) return n->fail("has " + std::to_string(n->c) + " channels; it must have " + wanted);
  n->out.channels = 1;
  return true;
}

AttributeRule number(const char* name, double fallback, double low, double high, void (*set)(Attrs*, const Value&)) {
  return {name, Kind::kNumber, false, fallback, low, high, nullptr, set};
}

}  // namespace

void add_synthesis_rows(std::vector<OpRow>* table) {
  constexpr double kFrames = kMaxFrames, kChannels = kMaxChannels;
  table->push_back({Op::kRecall,
                    "recall",
                    0,
                    0,
                    false,
                    {},
                    {{"of", Kind::kName, true, 0, 0, 0, nullptr, [](Attrs* a, const Value& v) { a->of = v.name; }},
                     {"channels", Kind::kInteger, true, 1, 1, kChannels, nullptr,
                      [](Attrs* a, const Value& v) { a->channels = v.integer; }},
                     {"frames", Kind::kInteger, true, 1, 1, kFrames, nullptr,
                      [](Attrs* a, const Value& v) { a->frames = v.integer; }}},
                    rule_recall});
  table->push_back({Op::kSample,
                    "sample",
                    1,
                    1,
                    true,
                    {},
                    {{"distribution", Kind::kChoice, false, 0, 0, 0, "gaussian|logistic|categorical",
                      [](Attrs* a, const Value& v) { a->distribution = static_cast<Distribution>(v.choice); }},
                     number("floor", -9.0, -40.0, 10.0, [](Attrs* a, const Value& v) { a->min = v.number; }),
                     number("limit", 1.0, 1e-6, 1e6, [](Attrs* a, const Value& v) { a->limit = v.number; }),
                     {"stream", Kind::kInteger, false, 0, 0, 4294967295.0, nullptr,
                      [](Attrs* a, const Value& v) { a->stream = static_cast<uint32_t>(v.integer); }}},
                    rule_sample});
}

}  // namespace rtvoice
