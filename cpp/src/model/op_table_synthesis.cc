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

bool rule_attention(NodeShape* n) {
  const int64_t heads = n->attrs.heads, value = n->inputs[2].channels, window = n->attrs.window;
  if (n->inputs[1].channels != n->c)
    return n->fail("q has " + std::to_string(n->c) + " channels and k " + std::to_string(n->inputs[1].channels) +
                   "; they must be equal");
  if (n->c % heads != 0 || value % heads != 0)
    return n->fail("heads=" + std::to_string(heads) + " does not divide the channels of q, k and v");
  for (const ValueShape& input : n->inputs) {
    if (input.control) return n->fail("reads a control tensor, which has no time axis; it needs streams");
  }
  n->out.channels = value;
  const double past = static_cast<double>(window - 1);
  n->macs = static_cast<double>(n->out.frames) * static_cast<double>(window) * static_cast<double>(n->c + value);
  n->state_floats += past * static_cast<double>(n->c + value);
  n->out.reach += past / static_cast<double>(n->inputs[0].frames);
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
  table->push_back({Op::kAttention,
                    "attention",
                    3,
                    3,
                    true,
                    {},
                    {{"heads", Kind::kInteger, true, 1, 1, kChannels, nullptr,
                      [](Attrs* a, const Value& v) { a->heads = v.integer; }},
                     {"window", Kind::kInteger, true, 1, 1, kMaxTaps, nullptr,
                      [](Attrs* a, const Value& v) { a->window = v.integer; }},
                     number("scale", 0.0, 0.0, 1e6, [](Attrs* a, const Value& v) { a->alpha = v.number; })},
                    rule_attention});
}

}  // namespace rtvoice
