// The rows of the op table. To add an op: a name in graph.h, a row here, a row in python/rtvoice/ops.py and
// docs/model-format.md.
#include "model/op_table.h"

#include <algorithm>
#include <cfloat>
#include <utility>

#include "model/limits.h"

namespace rtvoice {
namespace {

std::string str(int64_t value) { return std::to_string(value); }

bool divide_rate(NodeShape* n, int64_t divisor, const char* what) {
  if (n->out.frames % divisor != 0) {
    return n->fail(std::string(what) + " " + str(divisor) + " does not divide the " + str(n->out.frames) +
                   " input frames per hop; use a hop that is a multiple");
  }
  n->out.frames /= divisor;
  return true;
}

bool check_kernel(NodeShape* n) {
  const Attributes& a = n->attrs;
  if (n->taps > kMaxTaps) return n->fail("has " + str(n->taps) + " taps; the limit is " + str(kMaxTaps));
  const int64_t reach = (n->taps - 1) * a.dilation;
  if (reach > kMaxFrames) {
    return n->fail("a kernel of " + str(n->taps) + " taps reaches over " + str(reach) + " frames; the limit is " +
                   str(kMaxFrames));
  }
  if (n->cout % a.groups != 0) {
    return n->fail("groups=" + str(a.groups) + " does not divide " + str(n->cout) + " output channels");
  }
  return true;
}

void add_history(NodeShape* n, double frames) {
  n->state_floats += frames * static_cast<double>(n->c);
  n->out.reach += frames / static_cast<double>(n->inputs[0].frames);
}

bool rule_conv1d(NodeShape* n) {
  if (!check_kernel(n) || !divide_rate(n, n->attrs.stride, "stride")) return false;
  n->attrs.kernel = n->taps;
  n->out.channels = n->cout;
  n->macs = static_cast<double>(n->out.frames) * static_cast<double>(n->taps) * static_cast<double>(n->cout) *
            (static_cast<double>(n->c) / static_cast<double>(n->attrs.groups));
  add_history(n, static_cast<double>((n->taps - 1) * n->attrs.dilation + std::max<int64_t>(n->attrs.pad_left, 0)));
  return true;
}

bool rule_conv_transpose1d(NodeShape* n) {
  if (!check_kernel(n)) return false;
  if (n->attrs.pad_left < 0) {
    return n->fail("attribute 'crop' starts with " + str(n->attrs.pad_left) +
                   "; it must not be negative, use a delay node after it");
  }
  n->attrs.kernel = n->taps;
  n->out.channels = n->cout;
  n->out.frames *= n->attrs.stride;
  n->macs = static_cast<double>(n->inputs[0].frames) * static_cast<double>(n->taps) * static_cast<double>(n->c) *
            (static_cast<double>(n->cout) / static_cast<double>(n->attrs.groups));
  add_history(n, static_cast<double>((n->taps - 1) * n->attrs.dilation) / static_cast<double>(n->attrs.stride));
  return true;
}

bool rule_linear(NodeShape* n) {
  n->out.channels = n->cout;
  n->macs = static_cast<double>(n->out.frames) * static_cast<double>(n->cout) * static_cast<double>(n->c);
  return true;
}

bool recurrent(NodeShape* n, int gates) {
  n->out.channels = n->hidden;
  n->macs = static_cast<double>(n->out.frames) * gates * static_cast<double>(n->hidden) *
            static_cast<double>(n->c + n->hidden);
  return true;
}
bool rule_gru(NodeShape* n) { return recurrent(n, 3); }
bool rule_lstm(NodeShape* n) { return recurrent(n, 4); }

bool rule_clip(NodeShape* n) {
  if (n->attrs.min <= n->attrs.max) return true;
  return n->fail("min=" + std::to_string(n->attrs.min) + " is above max=" + std::to_string(n->attrs.max));
}

bool rule_arithmetic(NodeShape* n) {
  const int64_t a = n->inputs[0].channels, b = n->inputs[1].channels;
  if (a != b && a != 1 && b != 1) {
    return n->fail("inputs have " + str(a) + " and " + str(b) + " channels; they must be equal, or one of them 1");
  }
  n->out.channels = std::max(a, b);
  return true;
}

bool rule_film(NodeShape* n) {
  for (int i = 1; i <= 2; ++i) {
    const int64_t channels = n->inputs[i].channels;
    if (channels != 1 && channels != n->c) {
      return n->fail(std::string(i == 1 ? "gamma" : "beta") + " has " + str(channels) + " channels; it must have " +
                     str(n->c) + " as the input has, or 1");
    }
  }
  return true;
}

bool rule_glu(NodeShape* n) {
  if (n->c % 2 != 0) return n->fail("needs an even number of channels, the input has " + str(n->c));
  n->out.channels = n->c / 2;
  return true;
}

bool rule_concat(NodeShape* n) {
  n->out.channels = 0;
  for (const ValueShape& input : n->inputs) n->out.channels += input.channels;
  return true;
}

bool rule_slice(NodeShape* n) {
  const int64_t start = n->attrs.start, stop = n->attrs.stop;
  if (start >= stop || stop > n->c) {
    return n->fail("start=" + str(start) + ", stop=" + str(stop) + " is not a range within " + str(n->c) + " channels");
  }
  n->out.channels = stop - start;
  return true;
}

bool rule_shift(NodeShape* n) {
  add_history(n, static_cast<double>(n->attrs.frames));
  return true;
}

bool rule_upsample(NodeShape* n) {
  n->out.frames *= n->attrs.factor;
  return true;
}

bool rule_avg_pool(NodeShape* n) {
  if ((n->given & 2u) == 0) n->attrs.stride = n->attrs.kernel;  // attribute 1 is the stride
  if (!divide_rate(n, n->attrs.stride, "stride")) return false;
  n->macs = static_cast<double>(n->out.frames) * static_cast<double>(n->attrs.kernel) * static_cast<double>(n->c);
  add_history(n, static_cast<double>(n->attrs.kernel - 1 + std::max<int64_t>(n->attrs.pad_left, 0)));
  return true;
}

bool rule_depth_to_time(NodeShape* n) {
  if (n->c % n->attrs.factor != 0)
    return n->fail("factor " + str(n->attrs.factor) + " does not divide " + str(n->c) + " channels");
  n->out.channels = n->c / n->attrs.factor;
  n->out.frames *= n->attrs.factor;
  return true;
}

bool rule_time_to_depth(NodeShape* n) {
  if (!divide_rate(n, n->attrs.factor, "factor")) return false;
  n->out.channels = n->c * n->attrs.factor;
  return true;
}

bool rule_noise(NodeShape* n) {
  Attributes& a = n->attrs;
  constexpr const char* kNames[] = {"mean", "std", "low", "high"};
  for (int i = 0; i < 4; ++i) {  // attributes 3 to 6 of the row
    if ((n->given >> (3 + i) & 1u) != 0 && (i < 2) != a.gaussian) {
      return n->fail(std::string("attribute '") + kNames[i] + "' belongs to " + (a.gaussian ? "uniform" : "gaussian") +
                     " noise; remove it or set the distribution");
    }
  }
  if (!a.gaussian) {
    a.p0 = a.min;
    a.p1 = a.max;
    if (a.p0 > a.p1) return n->fail("low=" + std::to_string(a.p0) + " is above high=" + std::to_string(a.p1));
  }
  a.min = a.max = 0.0;
  n->out.channels = a.channels;
  n->out.frames = a.frames;
  return true;
}

bool rule_harmonics(NodeShape* n) {
  for (int i = 0; i < 2; ++i) {
    if (n->inputs[i].channels != 1) {
      return n->fail(std::string(i == 0 ? "phase" : "frequency") + " has " + str(n->inputs[i].channels) +
                     " channels; it must have 1");
    }
  }
  return true;
}

bool rule_warp(NodeShape* n) {
  if (n->inputs[1].channels == 1) return true;
  return n->fail("ratio has " + str(n->inputs[1].channels) + " channels; it must have 1");
}

bool rule_fir(NodeShape* n) {
  const ValueShape& x = n->inputs[0];
  const ValueShape& taps = n->inputs[1];
  if (x.channels != 1) return n->fail("x has " + str(x.channels) + " channels; it must have 1");
  if (x.frames % taps.frames != 0) {
    return n->fail("the taps' " + str(taps.frames) + " frames per hop do not divide x's " + str(x.frames));
  }
  const int64_t per_frame = x.frames / taps.frames;
  if (per_frame > kMaxStep) {
    return n->fail("one frame of taps serves " + str(per_frame) + " frames of x; the limit is " + str(kMaxStep));
  }
  n->out.channels = 1;
  n->out.frames = x.frames;
  n->macs = static_cast<double>(x.frames) * static_cast<double>(taps.channels) * (n->attrs.interpolate ? 2.0 : 1.0);
  add_history(n, static_cast<double>(taps.channels - 1));
  // The last frame's taps: a whole frame of theirs where D is no multiple of it, one more to fade from.
  n->out.reach += 2.0 / static_cast<double>(taps.frames);
  n->state_floats += 2.0 * static_cast<double>(taps.channels);
  return true;
}

bool rule_conv_bands(NodeShape* n) {
  if (!check_kernel(n)) return false;
  Attributes& a = n->attrs;
  a.kernel = n->taps;
  a.band_kernel = n->band_taps;
  const int64_t width = a.bands + a.band_pad_left + a.band_pad_right, reach = (n->band_taps - 1) * a.band_dilation + 1;
  if (n->band_taps > kMaxTaps || reach > width) {
    return n->fail("a kernel that reaches over " + str(reach) + " bands does not fit into " + str(a.bands) +
                   " bands and their padding, together " + str(width));
  }
  const int64_t bands = (width - reach) / a.band_stride + 1;
  if (bands * n->cout > kMaxChannels || n->cout > kMaxChannels)
    return n->fail("makes more than " + str(kMaxChannels) + " channels, the limit");
  n->out.channels = bands * n->cout;
  n->macs = static_cast<double>(n->out.frames) * static_cast<double>(n->out.channels) * static_cast<double>(n->taps) *
            static_cast<double>(n->band_taps) * (static_cast<double>(n->c) / static_cast<double>(a.groups));
  const double frames = static_cast<double>((n->taps - 1) * a.dilation + std::max<int64_t>(a.pad_left, 0));
  // The history, and a padded copy of every frame that the kernel reads.
  n->state_floats += frames * static_cast<double>(n->inputs[0].channels) +
                     static_cast<double>(n->taps) * static_cast<double>(width) * static_cast<double>(n->c);
  n->out.reach += frames / static_cast<double>(n->inputs[0].frames);
  return true;
}

bool rule_pick(NodeShape* n) {
  for (const int32_t channel : n->attrs.index) {
    if (channel >= n->c)
      return n->fail("index holds " + str(channel) + ", the input has " + str(n->c) + " channels, counted from 0");
  }
  n->out.channels = static_cast<int64_t>(n->attrs.index.size());
  return true;
}

bool rule_same(NodeShape*) { return true; }

using Kind = AttributeKind;
using Value = AttributeValue;
using Attrs = Attributes;

#define RTVOICE_PLAIN_CHOICES "relu|silu|tanh|sigmoid|exp|log|sqrt|square|abs|neg|reciprocal|sin|cos"

Op plain_op(int index) { return static_cast<Op>(static_cast<int>(Op::kRelu) + index); }
static_assert(static_cast<int>(Op::kCos) - static_cast<int>(Op::kRelu) == 12,
              "the plain ops stand together, in the order of the choices");

AttributeRule integer(const char* name, double fallback, double low, double high, void (*set)(Attrs*, const Value&)) {
  return {name, Kind::kInteger, false, fallback, low, high, nullptr, set};
}
AttributeRule number(const char* name, double fallback, void (*set)(Attrs*, const Value&), double low = -FLT_MAX,
                     double high = FLT_MAX) {
  return {name, Kind::kNumber, false, fallback, low, high, nullptr, set};
}
AttributeRule choice(const char* name, const char* choices, double fallback, void (*set)(Attrs*, const Value&)) {
  return {name, Kind::kChoice, false, fallback, 0.0, 0.0, choices, set};
}
AttributeRule needed(AttributeRule rule) {
  rule.required = true;
  return rule;
}

std::vector<OpRow> make_table() {
  constexpr double kStep = kMaxStep, kFrames = kMaxFrames, kChannels = kMaxChannels;
  const AttributeRule stride = integer("stride", 1, 1, kStep, [](Attrs* a, const Value& v) { a->stride = v.integer; });
  const AttributeRule dilation =
      integer("dilation", 1, 1, kStep, [](Attrs* a, const Value& v) { a->dilation = v.integer; });
  const AttributeRule groups =
      integer("groups", 1, 1, kChannels, [](Attrs* a, const Value& v) { a->groups = v.integer; });
  AttributeRule pads = {"pads", Kind::kPair, false, 0, -kFrames, kFrames, nullptr, [](Attrs* a, const Value& v) {
                          a->pad_left = v.integer;
                          a->pad_right = v.second;
                        }};
  AttributeRule crop = pads;
  crop.name = "crop";
  const AttributeRule eps = number("eps", 1e-5, [](Attrs* a, const Value& v) { a->eps = v.number; }, 1e-20, 1.0);
  const AttributeRule factor =
      needed(integer("factor", 1, 1, kStep, [](Attrs* a, const Value& v) { a->factor = v.integer; }));
  const AttributeRule frames =
      needed(integer("frames", 0, 0, kFrames, [](Attrs* a, const Value& v) { a->frames = v.integer; }));
  const AttributeRule order =
      choice("order", "channel|time", 0, [](Attrs* a, const Value& v) { a->order_time = v.choice == 1; });
  const AttributeRule before_reset = {
      "linear_before_reset", Kind::kFlag, false, 1, 0, 0, nullptr, [](Attrs* a, const Value& v) {
        a->linear_before_reset = v.flag;
      }};
  const auto set_alpha = [](Attrs* a, const Value& v) { a->alpha = v.number; };
  const auto set_min = [](Attrs* a, const Value& v) { a->min = v.number; };
  const auto set_max = [](Attrs* a, const Value& v) { a->max = v.number; };
  const WeightRule bias = {"bias", &Node::b0, "Cout", false};
  const auto recurrent_weights = [](const char* ih, const char* hh, const char* b) {
    return std::vector<WeightRule>{{"weight_ih", &Node::w0, ih, true},
                                   {"weight_hh", &Node::w1, hh, true},
                                   {"bias_ih", &Node::b0, b, false},
                                   {"bias_hh", &Node::b1, b, false},
                                   {"initial_h", &Node::s0, "H", false}};
  };
  std::vector<WeightRule> lstm_weights = recurrent_weights("4H C", "4H H", "4H");
  lstm_weights.push_back({"initial_c", &Node::s1, "H", false});

  std::vector<OpRow> table = {
      {Op::kConv1d,
       "conv1d",
       1,
       1,
       true,
       {{"weight", &Node::w0, "Cout C/groups K", true}, bias},
       {stride, dilation, groups, pads},
       rule_conv1d},
      {Op::kConvTranspose1d,
       "conv_transpose1d",
       1,
       1,
       true,
       {{"weight", &Node::w0, "C Cout/groups K", true}, bias},
       {stride, dilation, groups, crop},
       rule_conv_transpose1d},
      {Op::kLinear, "linear", 1, 1, false, {{"weight", &Node::w0, "Cout C", true}, bias}, {}, rule_linear},
      {Op::kAffine,
       "affine",
       1,
       1,
       false,
       {{"scale", &Node::w0, "C|1", false}, {"shift", &Node::w1, "C|1", false}},
       {},
       rule_same},
      {Op::kGru, "gru", 1, 1, true, recurrent_weights("3H C", "3H H", "3H"), {before_reset}, rule_gru},
      {Op::kLstm, "lstm", 1, 1, true, std::move(lstm_weights), {}, rule_lstm},
      {Op::kLayerNorm,
       "layer_norm",
       1,
       1,
       false,
       {{"weight", &Node::w0, "C", false}, {"bias", &Node::b0, "C", false}},
       {eps},
       rule_same},
      {Op::kRmsNorm, "rms_norm", 1, 1, false, {{"weight", &Node::w0, "C", false}}, {eps}, rule_same},
      {Op::kLeakyRelu, "leaky_relu", 1, 1, false, {}, {number("alpha", 0.01, set_alpha)}, rule_same},
      {Op::kElu, "elu", 1, 1, false, {}, {number("alpha", 1.0, set_alpha)}, rule_same},
      {Op::kGelu,
       "gelu",
       1,
       1,
       false,
       {},
       {choice("approximate", "none|tanh", 0, [](Attrs* a, const Value& v) { a->gelu_tanh = v.choice == 1; })},
       rule_same},
      {Op::kSoftplus,
       "softplus",
       1,
       1,
       false,
       {},
       {number(
           "beta", 1.0, [](Attrs* a, const Value& v) { a->beta = v.number; }, 1e-6, 1e6)},
       rule_same},
      {Op::kClip,
       "clip",
       1,
       1,
       false,
       {},
       {needed(number("min", 0, set_min)), needed(number("max", 0, set_max))},
       rule_clip},
      {Op::kPrelu, "prelu", 1, 1, false, {{"weight", &Node::w0, "C|1", true}}, {}, rule_same},
      {Op::kSnake,
       "snake",
       1,
       1,
       false,
       {{"alpha", &Node::w0, "C|1", true}, {"beta", &Node::w1, "C|1", false}},
       {},
       rule_same},
      {Op::kAdd, "add", 2, 2, false, {}, {}, rule_arithmetic},
      {Op::kSub, "sub", 2, 2, false, {}, {}, rule_arithmetic},
      {Op::kMul, "mul", 2, 2, false, {}, {}, rule_arithmetic},
      {Op::kDiv, "div", 2, 2, false, {}, {}, rule_arithmetic},
      {Op::kFilm,
       "film",
       3,
       3,
       false,
       {},
       {number("offset", 0, [](Attrs* a, const Value& v) { a->offset = v.number; })},
       rule_film},
      {Op::kGlu,
       "glu",
       1,
       1,
       false,
       {},
       {choice("a", "none|" RTVOICE_PLAIN_CHOICES, 0,
               [](Attrs* a, const Value& v) { a->glu_a = v.choice == 0 ? Op::kAffine : plain_op(v.choice - 1); }),
        choice("b", RTVOICE_PLAIN_CHOICES, 3, [](Attrs* a, const Value& v) { a->glu_b = plain_op(v.choice); })},
       rule_glu},
      {Op::kConcat, "concat", 2, static_cast<int>(kMaxChannels), false, {}, {}, rule_concat},
      {Op::kSlice,
       "slice",
       1,
       1,
       false,
       {},
       {needed(integer("start", 0, 0, kChannels, [](Attrs* a, const Value& v) { a->start = v.integer; })),
        needed(integer("stop", 0, 0, kChannels, [](Attrs* a, const Value& v) { a->stop = v.integer; }))},
       rule_slice},
      {Op::kDelay, "delay", 1, 1, true, {}, {frames}, rule_shift},
      {Op::kAdvance, "advance", 1, 1, true, {}, {frames}, rule_shift},
      {Op::kUpsample,
       "upsample",
       1,
       1,
       true,
       {},
       {factor, choice("mode", "nearest|linear", 0, [](Attrs* a, const Value& v) { a->linear_mode = v.choice == 1; }),
        choice("coordinates", "half_pixel|asymmetric", 0,
               [](Attrs* a, const Value& v) { a->half_pixel = v.choice == 0; })},
       rule_upsample},
      {Op::kAvgPool,
       "avg_pool",
       1,
       1,
       true,
       {},
       {needed(integer("kernel", 1, 1, kMaxTaps, [](Attrs* a, const Value& v) { a->kernel = v.integer; })), stride,
        pads},
       rule_avg_pool},
      {Op::kDepthToTime, "depth_to_time", 1, 1, true, {}, {factor, order}, rule_depth_to_time},
      {Op::kTimeToDepth, "time_to_depth", 1, 1, true, {}, {factor, order}, rule_time_to_depth},
      {Op::kNoise,
       "noise",
       0,
       0,
       false,
       {},
       {needed(integer("channels", 1, 1, kChannels, [](Attrs* a, const Value& v) { a->channels = v.integer; })),
        needed(integer("frames", 1, 1, kFrames, [](Attrs* a, const Value& v) { a->frames = v.integer; })),
        choice("distribution", "gaussian|uniform", 0, [](Attrs* a, const Value& v) { a->gaussian = v.choice == 0; }),
        number("mean", 0, [](Attrs* a, const Value& v) { a->p0 = v.number; }),
        number(
            "std", 1, [](Attrs* a, const Value& v) { a->p1 = v.number; }, 0.0),
        number("low", -1, set_min), number("high", 1, set_max),
        integer("stream", 0, 0, 4294967295.0,
                [](Attrs* a, const Value& v) { a->stream = static_cast<uint32_t>(v.integer); })},
       rule_noise},
      {Op::kSoftmax, "softmax", 1, 1, false, {}, {}, rule_same},
      {Op::kPhase, "phase", 1, 1, true, {}, {}, rule_same},
      {Op::kHarmonics,
       "harmonics",
       2,
       2,
       true,
       {},
       {needed(integer("count", 1, 1, kStep, [](Attrs* a, const Value& v) { a->count = v.integer; })),
        number(
            "limit", 0.5, [](Attrs* a, const Value& v) { a->limit = v.number; }, 1e-6, 0.5)},
       rule_harmonics},
      {Op::kWarp, "warp", 2, 2, false, {}, {}, rule_warp},
      {Op::kFir,
       "fir",
       2,
       2,
       true,
       {},
       {{"interpolate", Kind::kFlag, false, 0, 0, 0, nullptr,
         [](Attrs* a, const Value& v) { a->interpolate = v.flag; }}},
       rule_fir,
       true},
      {Op::kConvBands,
       "conv_bands",
       1,
       1,
       true,
       {{"weight", &Node::w0, "Cout C/groups K B", true}, bias},
       {needed(integer("bands", 1, 1, kChannels, [](Attrs* a, const Value& v) { a->bands = v.integer; })), dilation,
        groups, pads,
        integer("band_stride", 1, 1, kStep, [](Attrs* a, const Value& v) { a->band_stride = v.integer; }),
        integer("band_dilation", 1, 1, kStep, [](Attrs* a, const Value& v) { a->band_dilation = v.integer; }),
        {"band_pads", Kind::kPair, false, 0, 0, kChannels, nullptr,
         [](Attrs* a, const Value& v) {
           a->band_pad_left = v.integer;
           a->band_pad_right = v.second;
         }}},
       rule_conv_bands},
      {Op::kPick,
       "pick",
       1,
       1,
       false,
       {},
       {{"index", Kind::kList, true, 0, -1, kChannels - 1, nullptr,
         [](Attrs* a, const Value& v) { a->index = v.list; }}},
       rule_pick},
      {Op::kLeakySum,
       "leaky_sum",
       1,
       1,
       true,
       {{"decay", &Node::w0, "C|1", true}, {"start", &Node::w1, "C|1", false}},
       {},
       rule_same},
  };
  const std::string plain = RTVOICE_PLAIN_CHOICES "|";
  static std::vector<std::string> plain_names;  // keeps the names alive
  for (size_t begin = 0; begin < plain.size();) {
    const size_t end = plain.find('|', begin);
    plain_names.push_back(plain.substr(begin, end - begin));
    begin = end + 1;
  }
  for (size_t i = 0; i < plain_names.size(); ++i) {
    table.push_back({plain_op(static_cast<int>(i)), plain_names[i].c_str(), 1, 1, false, {}, {}, rule_same});
  }
  add_synthesis_rows(&table);
  std::sort(table.begin(), table.end(), [](const OpRow& a, const OpRow& b) { return a.op < b.op; });
  return table;
}

const std::vector<OpRow>& table() {
  static const std::vector<OpRow> rows = make_table();
  return rows;
}

}  // namespace

const OpRow* find_op(const std::string& name) {
  for (const OpRow& row : table()) {
    if (name == row.name) return &row;
  }
  return nullptr;
}

const OpRow& op_row(Op op) { return table()[static_cast<size_t>(op)]; }

std::string describe_names(const OpRow& row) {
  std::string out;
  for (const WeightRule& weight : row.weights) out += std::string(out.empty() ? "" : ", ") + weight.role;
  for (const AttributeRule& attribute : row.attributes) out += std::string(out.empty() ? "" : ", ") + attribute.name;
  return out.empty() ? "none" : out;
}

std::string describe_ops() {
  std::string out;
  for (const OpRow& row : table()) out += std::string(out.empty() ? "" : ", ") + row.name;
  return out;
}

const char* op_name(Op op) { return op_row(op).name; }

}  // namespace rtvoice
