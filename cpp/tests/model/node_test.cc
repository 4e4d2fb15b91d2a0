// Nodes: every op in its plain and full form, and what is said about each kind of bad node.
#include <gtest/gtest.h>

#include "model/limits.h"
#include "test_file.h"

namespace rtvoice::test {
namespace {

using Shapes = std::vector<std::pair<std::string, std::vector<int64_t>>>;

constexpr int64_t kC = 6;  // channels of "x", at 160 frames per hop

// A good node over "x" (or the inputs given) and the channels that it makes.
struct Good {
  const char* name;
  const char* op;
  std::vector<std::string> inputs;
  Json attrs;
  Shapes weights;
  int channels;
  Op parsed;
};
void PrintTo(const Good& good, std::ostream* out) { *out << good.name; }

const std::vector<Good> kGood = {
    {"conv1d", "conv1d", {"x"}, Json::object(), {{"weight", {8, 6, 3}}}, 8, Op::kConv1d},
    {"conv1d_full",
     "conv1d",
     {"x"},
     {{"stride", 4}, {"dilation", 3}, {"groups", 2}, {"pads", {-3, 5}}},
     {{"weight", {8, 3, 5}}, {"bias", {8}}},
     8,
     Op::kConv1d},
    {"depthwise", "conv1d", {"x"}, {{"groups", 6}}, {{"weight", {6, 1, 3}}}, 6, Op::kConv1d},
    {"conv_transpose1d", "conv_transpose1d", {"x"}, Json::object(), {{"weight", {6, 8, 3}}}, 8, Op::kConvTranspose1d},
    {"conv_transpose1d_full",
     "conv_transpose1d",
     {"x"},
     {{"stride", 4}, {"dilation", 2}, {"groups", 3}, {"crop", {3, -1}}},
     {{"weight", {6, 2, 5}}, {"bias", {6}}},
     6,
     Op::kConvTranspose1d},
    {"linear", "linear", {"x"}, Json::object(), {{"weight", {9, 6}}, {"bias", {9}}}, 9, Op::kLinear},
    {"linear_of_control", "linear", {"gain"}, Json::object(), {{"weight", {9, 2}}}, 9, Op::kLinear},
    {"affine_empty", "affine", {"x"}, Json::object(), {}, 6, Op::kAffine},
    {"affine", "affine", {"x"}, Json::object(), {{"scale", {6}}, {"shift", {1}}}, 6, Op::kAffine},
    {"gru",
     "gru",
     {"x"},
     {{"linear_before_reset", false}},
     {{"weight_ih", {12, 6}}, {"weight_hh", {12, 4}}, {"bias_ih", {12}}, {"bias_hh", {12}}},
     4,
     Op::kGru},
    {"lstm",
     "lstm",
     {"x"},
     Json::object(),
     {{"weight_ih", {16, 6}}, {"weight_hh", {16, 4}}, {"bias_hh", {16}}},
     4,
     Op::kLstm},
    {"lstm_started",
     "lstm",
     {"x"},
     Json::object(),
     {{"weight_ih", {16, 6}}, {"weight_hh", {16, 4}}, {"initial_h", {4}}, {"initial_c", {4}}},
     4,
     Op::kLstm},
    {"layer_norm", "layer_norm", {"x"}, {{"eps", 1e-6}}, {{"weight", {6}}, {"bias", {6}}}, 6, Op::kLayerNorm},
    {"rms_norm", "rms_norm", {"x"}, Json::object(), {}, 6, Op::kRmsNorm},
    {"relu", "relu", {"x"}, Json::object(), {}, 6, Op::kRelu},
    {"silu", "silu", {"x"}, Json::object(), {}, 6, Op::kSilu},
    {"tanh", "tanh", {"x"}, Json::object(), {}, 6, Op::kTanh},
    {"sigmoid", "sigmoid", {"x"}, Json::object(), {}, 6, Op::kSigmoid},
    {"exp", "exp", {"x"}, Json::object(), {}, 6, Op::kExp},
    {"log", "log", {"x"}, Json::object(), {}, 6, Op::kLog},
    {"sqrt", "sqrt", {"x"}, Json::object(), {}, 6, Op::kSqrt},
    {"square", "square", {"x"}, Json::object(), {}, 6, Op::kSquare},
    {"abs", "abs", {"x"}, Json::object(), {}, 6, Op::kAbs},
    {"neg", "neg", {"x"}, Json::object(), {}, 6, Op::kNeg},
    {"reciprocal", "reciprocal", {"x"}, Json::object(), {}, 6, Op::kReciprocal},
    {"sin", "sin", {"x"}, Json::object(), {}, 6, Op::kSin},
    {"cos", "cos", {"x"}, Json::object(), {}, 6, Op::kCos},
    {"leaky_relu", "leaky_relu", {"x"}, {{"alpha", 1}}, {}, 6, Op::kLeakyRelu},
    {"elu", "elu", {"x"}, Json::object(), {}, 6, Op::kElu},
    {"gelu", "gelu", {"x"}, {{"approximate", "tanh"}}, {}, 6, Op::kGelu},
    {"softplus", "softplus", {"x"}, {{"beta", 2.5}}, {}, 6, Op::kSoftplus},
    {"clip", "clip", {"x"}, {{"min", -1}, {"max", 1}}, {}, 6, Op::kClip},
    {"prelu", "prelu", {"x"}, Json::object(), {{"weight", {1}}}, 6, Op::kPrelu},
    {"snake", "snake", {"x"}, Json::object(), {{"alpha", {6}}, {"beta", {1}}}, 6, Op::kSnake},
    {"add", "add", {"x", "one"}, Json::object(), {}, 6, Op::kAdd},
    {"sub", "sub", {"one", "x"}, Json::object(), {}, 6, Op::kSub},
    {"mul", "mul", {"x", "x"}, Json::object(), {}, 6, Op::kMul},
    {"div", "div", {"one", "gain"}, Json::object(), {}, 2, Op::kDiv},
    {"film", "film", {"x", "one", "x"}, {{"offset", 1}}, {}, 6, Op::kFilm},
    {"glu", "glu", {"x"}, {{"a", "tanh"}, {"b", "cos"}}, {}, 3, Op::kGlu},
    {"concat", "concat", {"x", "gain", "one"}, Json::object(), {}, 9, Op::kConcat},
    {"slice", "slice", {"x"}, {{"start", 1}, {"stop", 6}}, {}, 5, Op::kSlice},
    {"delay", "delay", {"x"}, {{"frames", 0}}, {}, 6, Op::kDelay},
    {"advance", "advance", {"x"}, {{"frames", 7}}, {}, 6, Op::kAdvance},
    {"upsample",
     "upsample",
     {"x"},
     {{"factor", 3}, {"mode", "linear"}, {"coordinates", "asymmetric"}},
     {},
     6,
     Op::kUpsample},
    {"avg_pool", "avg_pool", {"x"}, {{"kernel", 5}}, {}, 6, Op::kAvgPool},
    {"avg_pool_full", "avg_pool", {"x"}, {{"kernel", 7}, {"stride", 2}, {"pads", {3, 3}}}, {}, 6, Op::kAvgPool},
    {"depth_to_time", "depth_to_time", {"x"}, {{"factor", 3}, {"order", "time"}}, {}, 2, Op::kDepthToTime},
    {"time_to_depth", "time_to_depth", {"x"}, {{"factor", 16}}, {}, 96, Op::kTimeToDepth},
    {"noise", "noise", {}, {{"channels", 5}, {"frames", 2}, {"stream", 4294967295ll}}, {}, 5, Op::kNoise},
    {"conv_bands", "conv_bands", {"x"}, {{"bands", 3}}, {{"weight", {8, 2, 2, 3}}}, 8, Op::kConvBands},
    {"conv_bands_full",
     "conv_bands",
     {"x"},
     {{"bands", 3},
      {"dilation", 2},
      {"groups", 2},
      {"pads", {2, -1}},
      {"band_stride", 2},
      {"band_dilation", 2},
      {"band_pads", {2, 1}}},
     {{"weight", {4, 1, 3, 2}}, {"bias", {4}}},
     8,
     Op::kConvBands},
    {"pick", "pick", {"x"}, {{"index", {5, -1, 0, 0}}}, {}, 4, Op::kPick},
    {"pick_of_control", "pick", {"gain"}, {{"index", {1}}}, {}, 1, Op::kPick},
    {"leaky_sum", "leaky_sum", {"x"}, Json::object(), {{"decay", {6}}, {"start", {1}}}, 6, Op::kLeakySum},
    {"softmax", "softmax", {"x"}, Json::object(), {}, 6, Op::kSoftmax},
    {"softmax_of_control", "softmax", {"gain"}, Json::object(), {}, 2, Op::kSoftmax},
    {"phase", "phase", {"x"}, Json::object(), {}, 6, Op::kPhase},
    {"harmonics", "harmonics", {"one", "one"}, {{"count", 80}, {"limit", 0.25}}, {}, 1, Op::kHarmonics},
    {"warp", "warp", {"x", "one"}, Json::object(), {}, 6, Op::kWarp},
    {"warp_of_control", "warp", {"gain", "one"}, Json::object(), {}, 2, Op::kWarp},
    {"fir", "fir", {"one", "x"}, {{"interpolate", true}}, {}, 1, Op::kFir},
    {"noise_uniform",
     "noise",
     {},
     {{"channels", 5}, {"frames", 2}, {"distribution", "uniform"}, {"low", 0}},
     {},
     5,
     Op::kNoise},
};

TestFile base() {
  TestFile file = stream_file(kC);
  file.document["parameters"] =
      Json::array({{{"name", "gain"}, {"size", 2}, {"default", {0.5, 1.0}}, {"min", 0.0}, {"max", 4.0}}});
  file.add_node("slice", "one", {"x"}, {{"start", 0}, {"stop", 1}});
  return file;
}

class GoodNode : public testing::TestWithParam<Good> {};
TEST_P(GoodNode, IsRead) {
  const Good& good = GetParam();
  TestFile file = base();
  file.add_node(good.op, "y", good.inputs, good.attrs, good.weights);
  std::string error;
  const std::unique_ptr<Graph> graph = file.read(&error);
  ASSERT_NE(graph, nullptr) << error;
  EXPECT_EQ(graph->nodes.back().op, good.parsed);
  EXPECT_STREQ(op_name(good.parsed), good.op);
  EXPECT_EQ(value_channels(*graph).back(), good.channels);
}
INSTANTIATE_TEST_SUITE_P(All, GoodNode, testing::ValuesIn(kGood),
                         [](const auto& item) { return std::string(item.param.name); });

Attributes attributes_of(const char* op, const std::vector<std::string>& inputs, const Json& attrs,
                         const Shapes& weights = {}) {
  TestFile file = base();
  file.add_node(op, "y", inputs, attrs, weights);
  std::string error;
  const std::unique_ptr<Graph> graph = file.read(&error);
  EXPECT_NE(graph, nullptr) << error;
  return graph != nullptr ? graph->nodes.back().attrs : Attributes{};
}

TEST(Attributes, AreParsed) {
  const Attributes conv = attributes_of(
      "conv1d", {"x"}, {{"stride", 4}, {"dilation", 3}, {"groups", 2}, {"pads", {-3, 5}}}, {{"weight", {8, 3, 5}}});
  EXPECT_EQ(conv.stride, 4);
  EXPECT_EQ(conv.dilation, 3);
  EXPECT_EQ(conv.groups, 2);
  EXPECT_EQ(conv.pad_left, -3);
  EXPECT_EQ(conv.pad_right, 5);
  EXPECT_EQ(conv.kernel, 5);
  const Attributes crop = attributes_of("conv_transpose1d", {"x"}, {{"crop", {2, 1}}}, {{"weight", {6, 8, 3}}});
  EXPECT_EQ(crop.pad_left, 2);
  EXPECT_EQ(crop.pad_right, 1);
  EXPECT_FALSE(
      attributes_of("gru", {"x"}, {{"linear_before_reset", false}}, {{"weight_ih", {12, 6}}, {"weight_hh", {12, 4}}})
          .linear_before_reset);
  EXPECT_TRUE(attributes_of("gelu", {"x"}, {{"approximate", "tanh"}}).gelu_tanh);
  const Attributes up =
      attributes_of("upsample", {"x"}, {{"factor", 3}, {"mode", "linear"}, {"coordinates", "asymmetric"}});
  EXPECT_EQ(up.factor, 3);
  EXPECT_TRUE(up.linear_mode);
  EXPECT_FALSE(up.half_pixel);
  const Attributes glu = attributes_of("glu", {"x"}, {{"a", "relu"}, {"b", "cos"}});
  EXPECT_EQ(glu.glu_a, Op::kRelu);
  EXPECT_EQ(glu.glu_b, Op::kCos);
  EXPECT_TRUE(attributes_of("depth_to_time", {"x"}, {{"factor", 3}, {"order", "time"}}).order_time);
  const Attributes gaussian =
      attributes_of("noise", {}, {{"channels", 5}, {"frames", 2}, {"mean", 3}, {"std", 0.5}, {"stream", 4294967295ll}});
  EXPECT_TRUE(gaussian.gaussian);
  EXPECT_EQ(gaussian.channels, 5);
  EXPECT_EQ(gaussian.frames, 2);
  EXPECT_EQ(gaussian.p0, 3.0);
  EXPECT_EQ(gaussian.p1, 0.5);
  EXPECT_EQ(gaussian.stream, 4294967295u);
}

TEST(Attributes, HaveTheOpsDefaults) {
  EXPECT_EQ(attributes_of("leaky_relu", {"x"}, Json::object()).alpha, 0.01);
  EXPECT_EQ(attributes_of("elu", {"x"}, Json::object()).alpha, 1.0);
  EXPECT_EQ(attributes_of("softplus", {"x"}, Json::object()).beta, 1.0);
  EXPECT_EQ(attributes_of("layer_norm", {"x"}, Json::object()).eps, 1e-5);
  EXPECT_EQ(attributes_of("film", {"x", "x", "x"}, Json::object()).offset, 0.0);
  EXPECT_EQ(attributes_of("avg_pool", {"x"}, {{"kernel", 5}}).stride, 5);
  EXPECT_EQ(attributes_of("avg_pool", {"x"}, {{"kernel", 5}, {"stride", 1}}).stride, 1);
  const Attributes glu = attributes_of("glu", {"x"}, Json::object());
  EXPECT_EQ(glu.glu_a, Op::kAffine);
  EXPECT_EQ(glu.glu_b, Op::kSigmoid);
  const Attributes uniform = attributes_of("noise", {}, {{"channels", 1}, {"frames", 1}, {"distribution", "uniform"}});
  EXPECT_EQ(uniform.p0, -1.0);
  EXPECT_EQ(uniform.p1, 1.0);
  const Attributes up = attributes_of("upsample", {"x"}, {{"factor", 2}});
  EXPECT_FALSE(up.linear_mode);
  EXPECT_TRUE(up.half_pixel);
}

TEST(Nodes, PutWeightsIntoTheirSlots) {
  TestFile file = base();
  file.add_node("gru", "y", {"x"}, Json::object(), {{"weight_ih", {12, 6}}, {"weight_hh", {12, 4}}, {"bias_hh", {12}}});
  std::string error;
  const std::unique_ptr<Graph> graph = file.read(&error);
  ASSERT_NE(graph, nullptr) << error;
  const Node& gru = graph->nodes.back();
  EXPECT_EQ(gru.w0.data.size(), 72u);
  EXPECT_EQ(gru.w1.data.size(), 48u);
  EXPECT_TRUE(gru.b0.empty());
  EXPECT_EQ(gru.b1.data.size(), 12u);
}

TEST(Nodes, MayBeAsManyAsTheLimit) {
  TestFile file = stream_file(1);
  std::string last = "x";
  for (size_t i = 1; i < kMaxNodes; ++i) {
    file.add_node("tanh", "n" + std::to_string(i), {last});
    last = "n" + std::to_string(i);
  }
  EXPECT_EQ(file.error(), "");
}

Json& last_node(TestFile* f) { return f->document["graph"]["nodes"].back(); }
// A damage that adds one bad node "y".
std::function<void(TestFile*)> add_over(const char* op, std::vector<std::string> inputs, Json attrs,
                                        Shapes weights = {}) {
  return [=](TestFile* f) { f->add_node(op, "y", inputs, attrs, weights); };
}
std::function<void(TestFile*)> add(const char* op, Json attrs, Shapes weights = {}) {
  return add_over(op, {"x"}, std::move(attrs), std::move(weights));
}
const Json kNone = Json::object();

const std::vector<Damage> kDamages = {
    {"not_object", [](TestFile* f) { f->document["graph"]["nodes"].push_back(3); },
     "node 2: is 3; it must be an object"},
    {"op_missing", [](TestFile* f) { last_node(f).erase("op"); }, "node 1: 'op' is missing"},
    {"unknown_key", [](TestFile* f) { last_node(f)["attributes"] = 1; }, "node 1: unknown key 'attributes'"},
    {"op_unknown", add("conv2d", kNone), "node 'y': op is 'conv2d'; the ops are: conv1d, conv_transpose1d, linear"},
    {"op_number", [](TestFile* f) { last_node(f)["op"] = 7; }, "op is 7"},
    {"name_empty", [](TestFile* f) { last_node(f)["name"] = ""; }, "node 1: 'name' is ''"},
    {"name_taken", [](TestFile* f) { last_node(f)["name"] = "gain"; }, "node 'gain' (slice): the name is taken"},
    {"name_of_input", [](TestFile* f) { last_node(f)["name"] = "audio"; }, "the name is taken"},
    {"inputs_text", [](TestFile* f) { last_node(f)["inputs"] = "x"; }, "'inputs' is 'x'; it must be an array"},
    {"input_number", [](TestFile* f) { last_node(f)["inputs"][0] = 1; }, "an input is 1"},
    {"input_unknown", add_over("tanh", {"ghost"}, kNone),
     "node 'y' (tanh): input 'ghost' is not the audio input, a parameter or an earlier node"},
    {"input_later", [](TestFile* f) { last_node(f)["inputs"][0] = "one"; }, "input 'one' is not"},
    {"input_itself", add_over("tanh", {"y"}, kNone), "input 'y' is not"},
    {"inputs_none", add_over("tanh", std::vector<std::string>{}, kNone), "tanh has 0 inputs; it takes 1"},
    {"inputs_three", add_over("add", {"x", "x", "x"}, kNone), "add has 3 inputs; it takes 2"},
    {"concat_one", add_over("concat", {"x"}, kNone), "concat has 1 inputs; it takes at least 2"},
    {"noise_with_input", add_over("noise", {"x"}, {{"channels", 1}, {"frames", 1}}), "noise has 1 inputs; it takes 0"},
    {"attrs_array", [](TestFile* f) { last_node(f)["attrs"] = Json::array(); },
     "'attrs' is an array of 0; it must be an object"},
    {"attr_unknown", add("tanh", {{"alpha", 1}}), "has no attribute 'alpha'; it has: none"},
    {"attr_missing", add("delay", kNone), "attribute 'frames' is missing"},
    {"attr_low", add("conv1d", {{"stride", 0}}, {{"weight", {1, 6, 1}}}),
     "attribute 'stride' is 0; it must lie in 1..65536"},
    {"attr_high", add("conv1d", {{"dilation", 65537}}, {{"weight", {1, 6, 1}}}), "attribute 'dilation' is 65537"},
    {"attr_beyond_64_bits", add("delay", {{"frames", 18446744073709551615ull}}),
     "attribute 'frames' is 18446744073709551615"},
    {"attr_float_for_int", add("delay", {{"frames", 1.0}}), "attribute 'frames' is 1.0; it must be an integer"},
    {"attr_text_for_number", add("elu", {{"alpha", "1"}}), "attribute 'alpha' is '1'; it must be a number"},
    {"attr_overflows_float32", add("elu", {{"alpha", 1e300}}), "attribute 'alpha' is 1e+300"},
    {"attr_null", add("elu", {{"alpha", nullptr}}), "attribute 'alpha' is null"},
    {"attr_flag", add("gru", {{"linear_before_reset", 1}}, {{"weight_ih", {12, 6}}, {"weight_hh", {12, 4}}}),
     "is 1; it must be true or false"},
    {"attr_choice", add("gelu", {{"approximate", "erf"}}),
     "attribute 'approximate' is 'erf'; it must be one of none|tanh"},
    {"attr_choice_prefix", add("gelu", {{"approximate", "non"}}), "it must be one of none|tanh"},
    {"attr_choice_joined", add("gelu", {{"approximate", "none|tanh"}}), "it must be one of none|tanh"},
    {"attr_choice_empty", add("gelu", {{"approximate", ""}}), "attribute 'approximate' is ''"},
    {"attr_pair_short", add("conv1d", {{"pads", {1}}}, {{"weight", {1, 6, 1}}}),
     "attribute 'pads' is an array of 1; it must be two integers"},
    {"attr_pair_high", add("conv1d", {{"pads", {0, 1048577}}}, {{"weight", {1, 6, 1}}}), "attribute 'pads' is 1048577"},
    {"weights_array", [](TestFile* f) { last_node(f)["weights"] = Json::array(); },
     "'weights' is an array of 0; it must be an object"},
    {"weight_unknown", add("conv1d", kNone, {{"weight", {1, 6, 1}}, {"gain", {1}}}),
     "has no weight 'gain'; it has: weight, bias, stride, dilation, groups, pads"},
    {"weight_missing", add("conv1d", kNone), "weight 'weight' is missing"},
    {"weight_number",
     [](TestFile* f) {
       last_node(f)["weights"]["weight"] = 1;
       last_node(f)["op"] = "linear";
       last_node(f)["attrs"] = kNone;
     },
     "weight 'weight' is 1"},
    {"weight_ghost", [](TestFile* f) { f->add_node("prelu", "y", {"x"})["weights"]["weight"] = "ghost"; },
     "names tensor 'ghost', which the file does not have"},
    {"weight_shared", [](TestFile* f) { f->add_node("linear", "y", {"audio"})["weights"]["weight"] = "x.weight"; },
     "names tensor 'x.weight', which another weight uses"},
    {"weight_rank", add("conv1d", kNone, {{"weight", {1, 6}}}),
     "weight 'weight' has shape [1, 6]; it must be [Cout, C/groups, K]"},
    {"weight_axis", add("conv1d", kNone, {{"weight", {1, 5, 3}}}), "axis 1 is 5 where the input asks for 6"},
    {"weight_axis_grouped", add("conv1d", {{"groups", 2}}, {{"weight", {4, 6, 3}}}),
     "axis 1 is 6 where the input asks for 3"},
    {"bias_length", add("conv1d", kNone, {{"weight", {2, 6, 3}}, {"bias", {3}}}),
     "weight 'bias' has shape [3]; it must be [Cout]: axis 0 is 3 where the input asks for 2"},
    {"gru_rows", add("gru", kNone, {{"weight_ih", {13, 6}}, {"weight_hh", {13, 4}}}),
     "axis 0 is 13 where the input asks for a multiple of 3"},
    {"gru_hidden", add("gru", kNone, {{"weight_ih", {12, 6}}, {"weight_hh", {12, 5}}}),
     "axis 1 is 5 where the input asks for 4"},
    {"lstm_bias", add("lstm", kNone, {{"weight_ih", {16, 6}}, {"weight_hh", {16, 4}}, {"bias_ih", {4}}}),
     "weight 'bias_ih' has shape [4]"},
    {"lstm_start", add("lstm", kNone, {{"weight_ih", {16, 6}}, {"weight_hh", {16, 4}}, {"initial_c", {16}}}),
     "weight 'initial_c' has shape [16]"},
    {"gru_start", add("gru", kNone, {{"weight_ih", {12, 6}}, {"weight_hh", {12, 4}}, {"initial_c", {4}}}),
     "has no weight 'initial_c'"},
    {"per_channel", add("prelu", kNone, {{"weight", {2}}}), "axis 0 is 2 where the input asks for 6 or 1"},
    {"groups_in", add("conv1d", {{"groups", 4}}, {{"weight", {4, 1, 1}}}), "groups=4 does not divide 6 input channels"},
    {"groups_out", add("conv1d", {{"groups", 3}}, {{"weight", {4, 2, 1}}}),
     "groups=3 does not divide 4 output channels"},
    {"stride_rate", add("conv1d", {{"stride", 7}}, {{"weight", {1, 6, 1}}}),
     "stride 7 does not divide the 160 input frames per hop"},
    {"pool_rate", add("avg_pool", {{"kernel", 7}}), "stride 7 does not divide"},
    {"depth_rate", add("time_to_depth", {{"factor", 7}}), "factor 7 does not divide the 160"},
    {"depth_channels", add("depth_to_time", {{"factor", 4}}), "factor 4 does not divide 6 channels"},
    {"taps", add("conv1d", kNone, {{"weight", {1, 6, 65537}}}), "has 65537 taps; the limit is 65536"},
    {"reach", add("conv1d", {{"dilation", 65536}}, {{"weight", {1, 6, 20}}}),
     "a kernel of 20 taps reaches over 1245184 frames"},
    {"crop_negative", add("conv_transpose1d", {{"crop", {-1, 0}}}, {{"weight", {6, 1, 1}}}),
     "attribute 'crop' starts with -1"},
    {"bands_missing", add("conv_bands", kNone, {{"weight", {1, 6, 1, 1}}}), "attribute 'bands' is missing"},
    {"bands_odd", add("conv_bands", {{"bands", 4}}, {{"weight", {1, 1, 1, 1}}}),
     "bands=4 does not divide 6 input channels"},
    {"bands_groups", add("conv_bands", {{"bands", 3}, {"groups", 4}}, {{"weight", {4, 1, 1, 1}}}),
     "groups=4 does not divide 2 input channels"},
    {"bands_width", add("conv_bands", {{"bands", 3}}, {{"weight", {1, 3, 1, 1}}}), "axis 1 is 3"},
    {"bands_reach", add("conv_bands", {{"bands", 3}, {"band_dilation", 3}}, {{"weight", {1, 2, 1, 2}}}),
     "reaches over 4 bands does not fit into 3 bands"},
    {"bands_taps", add("conv_bands", {{"bands", 3}, {"dilation", 65536}}, {{"weight", {1, 2, 20, 1}}}),
     "a kernel of 20 taps reaches over 1245184 frames"},
    {"bands_channels", add("conv_bands", {{"bands", 3}, {"band_pads", {0, 16384}}}, {{"weight", {1, 2, 1, 1}}}),
     "makes more than 16384 channels"},
    {"bands_negative", add("conv_bands", {{"bands", 3}, {"band_pads", {-1, 0}}}, {{"weight", {1, 2, 1, 1}}}),
     "attribute 'band_pads' is -1"},
    {"bands_of_control",
     [](TestFile* f) { f->add_node("conv_bands", "y", {"gain"}, {{"bands", 2}}, {{"weight", {1, 1, 1, 1}}}); },
     "reads a control tensor"},
    {"pick_empty", add("pick", {{"index", Json::array()}}), "it must be a list of 1 to 16384 integers"},
    {"pick_number", add("pick", {{"index", 3}}), "it must be a list of 1 to 16384 integers"},
    {"pick_text", add("pick", {{"index", {1, "2"}}}), "attribute 'index' is"},
    {"pick_beyond", add("pick", {{"index", {6}}}), "index holds 6, the input has 6 channels"},
    {"pick_below", add("pick", {{"index", {-2}}}), "attribute 'index' is -2"},
    {"leaky_sum_decay", add("leaky_sum", kNone), "weight 'decay' is missing"},
    {"leaky_sum_width", add("leaky_sum", kNone, {{"decay", {5}}}), "where the input asks for 6 or 1"},
    {"channels", add("linear", kNone, {{"weight", {16385, 6}}}), "makes 16385 channels; the limit is 16384"},
    {"frames", add("upsample", {{"factor", 65536}}), "makes 10485760 frames per hop; the limit is 1048576"},
    {"clip_order", add("clip", {{"min", 1}, {"max", 0}}), "min=1.000000 is above max=0.000000"},
    {"eps_zero", add("layer_norm", {{"eps", 0}}), "attribute 'eps' is 0"},
    {"glu_odd", [](TestFile* f) { f->add_node("glu", "y", {"one"}); },
     "needs an even number of channels, the input has 1"},
    {"glu_unknown", add("glu", {{"b", "none"}}), "attribute 'b' is 'none'"},
    {"slice_empty", add("slice", {{"start", 2}, {"stop", 2}}), "start=2, stop=2 is not a range within 6 channels"},
    {"slice_beyond", add("slice", {{"start", 2}, {"stop", 7}}), "start=2, stop=7 is not a range"},
    {"slice_negative", add("slice", {{"start", -1}, {"stop", 2}}), "attribute 'start' is -1"},
    {"add_channels", add_over("add", {"x", "gain"}, kNone),
     "inputs have 6 and 2 channels; they must be equal, or one of them 1"},
    {"film_channels", add_over("film", {"x", "one", "gain"}, kNone), "beta has 2 channels; it must have 6"},
    {"film_wider_gamma", add_over("film", {"one", "x", "x"}, kNone), "gamma has 6 channels; it must have 1"},
    {"concat_wide",
     [](TestFile* f) {
       f->add_node("linear", "w", {"x"}, kNone, {{"weight", {16384, 6}}});
       f->add_node("concat", "y", {"w", "one"});
     },
     "makes 16385 channels"},
    {"rates",
     [](TestFile* f) {
       f->add_node("upsample", "up", {"x"}, {{"factor", 2}});
       f->add_node("add", "y", {"x", "up"});
     },
     "inputs have different rates (160 and 320 frames per hop)"},
    {"control_over_time", add_over("delay", {"gain"}, {{"frames", 1}}),
     "delay reads a control tensor, which has no time axis"},
    {"control_conv", add_over("conv1d", {"gain"}, kNone, {{"weight", {1, 2, 1}}}), "conv1d reads a control tensor"},
    {"phase_of_control", add_over("phase", {"gain"}, kNone), "phase reads a control tensor"},
    {"harmonics_wide", add_over("harmonics", {"x", "one"}, {{"count", 1}}), "phase has 6 channels; it must have 1"},
    {"harmonics_rates",
     [](TestFile* f) {
       f->add_node("avg_pool", "slow", {"one"}, {{"kernel", 4}});
       f->add_node("harmonics", "y", {"one", "slow"}, {{"count", 1}});
     },
     "inputs have different rates"},
    {"harmonics_count", add_over("harmonics", {"one", "one"}, {{"count", 65537}}), "attribute 'count' is 65537"},
    {"harmonics_limit", add_over("harmonics", {"one", "one"}, {{"count", 1}, {"limit", 0.75}}),
     "attribute 'limit' is 0.75"},
    {"warp_ratio", add_over("warp", {"x", "gain"}, kNone), "ratio has 2 channels; it must have 1"},
    {"fir_wide", add_over("fir", {"x", "one"}, kNone), "x has 6 channels; it must have 1"},
    {"fir_taps_faster", [](TestFile* f) {
       f->add_node("avg_pool", "slow", {"one"}, {{"kernel", 4}});
       f->add_node("fir", "y", {"slow", "x"});
     },
     "the taps' 160 frames per hop do not divide x's 40"},
    {"fir_of_control", add_over("fir", {"one", "gain"}, kNone), "fir reads a control tensor"},
    {"noise_std", add_over("noise", std::vector<std::string>{}, {{"channels", 1}, {"frames", 1}, {"std", -1}}),
     "attribute 'std' is -1"},
    {"noise_low_for_gaussian",
     add_over("noise", std::vector<std::string>{}, {{"channels", 1}, {"frames", 1}, {"low", 0}}),
     "attribute 'low' belongs to uniform noise"},
    {"noise_mean_for_uniform",
     add_over("noise", std::vector<std::string>{},
              {{"channels", 1}, {"frames", 1}, {"mean", 0}, {"distribution", "uniform"}}),
     "attribute 'mean' belongs to gaussian noise"},
    {"noise_order",
     add_over("noise", std::vector<std::string>{},
              {{"channels", 1}, {"frames", 1}, {"low", 2}, {"distribution", "uniform"}}),
     "low=2.000000 is above high=1.000000"},
    {"noise_stream",
     add_over("noise", std::vector<std::string>{}, {{"channels", 1}, {"frames", 1}, {"stream", 4294967296ll}}),
     "attribute 'stream' is 4294967296"},
};

class NodeDamage : public testing::TestWithParam<Damage> {};
TEST_P(NodeDamage, IsRefused) { expect_refused(base(), GetParam()); }
INSTANTIATE_TEST_SUITE_P(All, NodeDamage, testing::ValuesIn(kDamages),
                         [](const auto& item) { return std::string(item.param.name); });

}  // namespace
}  // namespace rtvoice::test
