// The checked graph of a model file: what the reader returns and the plan compiles.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace rtvoice {

enum class Op : uint8_t {
  kConv1d,
  kConvTranspose1d,
  kLinear,
  kAffine,
  kGru,
  kLstm,
  kLayerNorm,
  kRmsNorm,
  kRelu,
  kSilu,
  kTanh,
  kSigmoid,
  kExp,
  kLog,
  kSqrt,
  kSquare,
  kAbs,
  kNeg,
  kReciprocal,
  kSin,
  kCos,
  kLeakyRelu,
  kElu,
  kGelu,
  kSoftplus,
  kClip,
  kPrelu,
  kSnake,
  kAdd,
  kSub,
  kMul,
  kDiv,
  kFilm,
  kGlu,
  kConcat,
  kSlice,
  kDelay,
  kAdvance,
  kUpsample,
  kAvgPool,
  kDepthToTime,
  kTimeToDepth,
  kNoise,
  kSoftmax,
  kPhase,
  kHarmonics,
  kWarp,
  kFir,
  kConvBands,
  kPick,
  kLeakySum,
  kRecall,
  kSample,
  kAttention,
};
const char* op_name(Op op);

// What a sample is drawn from.
enum class Distribution : uint8_t { kGaussian, kLogistic, kCategorical };

// The attributes of all ops; an op reads its own (docs/model-format.md).
struct Attributes {
  int64_t stride = 1, dilation = 1, groups = 1;
  int64_t pad_left = 0, pad_right = 0;  // conv1d, conv_bands, avg_pool; conv_transpose1d: crop
  int64_t kernel = 1;                   // avg_pool; conv ops: from the weight's shape
  // conv_bands: along the bands of a frame; `band_kernel` from the weight's shape.
  int64_t bands = 1, band_stride = 1, band_dilation = 1, band_pad_left = 0, band_pad_right = 0, band_kernel = 1;
  int64_t heads = 1, window = 1;  // attention
  int64_t factor = 1, frames = 0, start = 0, stop = 0, channels = 0, count = 1;
  bool linear_before_reset = true, gelu_tanh = false, linear_mode = false, half_pixel = true, order_time = false,
       gaussian = true, interpolate = false;
  double alpha = 0.01, beta = 1.0, eps = 1e-5, min = 0.0, max = 0.0, offset = 0.0, limit = 0.5, p0 = 0.0,
         p1 = 1.0;                                      // noise: mean, std | low, high
  Op glu_a = Op::kAffine, glu_b = Op::kSigmoid;         // kAffine stands for "none"
  Distribution distribution = Distribution::kGaussian;  // sample
  uint32_t stream = 0;
  std::vector<int32_t> index;  // pick: channels, -1 for zero
  std::string of;              // recall: a later node
  int of_value = -1;           // its index, as in Node::inputs
};

struct Tensor {  // a weight, widened to float32
  std::vector<int64_t> shape;
  std::vector<float> data;
  bool half = false;  // the file stores 16 bits a value
  bool empty() const { return data.empty(); }
};

// What a node reads: a value of the graph by its index: 0 is the audio input, 1..P the parameters, P+1.. the nodes in order.
struct Node {
  Op op{};
  std::string name;
  std::vector<int> inputs;
  Attributes attrs;
  // By role: weight/weight_ih/scale/alpha, weight_hh/shift/beta, bias/bias_ih, bias_hh, initial_h, initial_c. Empty where absent.
  Tensor w0, w1, b0, b1, s0, s1;
};

struct Parameter {
  std::string name, description;
  std::vector<float> defaults;
  float min = 0.0f, max = 0.0f, smoothing_ms = 20.0f;
};

struct Output {
  std::string name;
  int value = 0;  // index as in Node::inputs
  bool audio = true;
};

struct Graph {
  std::string name, description, tier = "default", licence, input_name = "audio";
  int sample_rate = 0;
  int hop = 0;
  int64_t declared_latency = -1;  // -1: not declared
  bool prewarmed = false;
  int64_t prewarm = 0;  // samples of silence before a prewarmed start; 0: the receptive field
  bool has_loudness = false;
  double loudness = 0.0;
  std::string metadata_json;  // the whole `rtvoice` object as in the file
  uint64_t hash = 0;          // of the file's bytes
  std::vector<Parameter> parameters;
  std::vector<Node> nodes;
  std::vector<Output> outputs;
};

// Reads and checks a model completely: container, JSON, types, sizes, names, edges, weight shapes per op (channel counts included), limits.
// On failure returns null and puts one line into `error` that names the place ("node 'enc.3': ..."). Never throws, never allocates more than
// about three times the file. [main-thread]
std::unique_ptr<Graph> read_model(const void* data, size_t size, std::string* error);
// `readable`, where given, tells a file that could not be read from one that is no good model.
std::unique_ptr<Graph> read_model_file(const char* path, std::string* error, bool* readable = nullptr);

// Channels of every value (index as in Node::inputs), from the checked graph.
std::vector<int> value_channels(const Graph& graph);

}  // namespace rtvoice
