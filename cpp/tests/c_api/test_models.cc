// Small models made in memory, and the shipped ones.
#include "test_models.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace rtvoice::test {

using nlohmann::json;

ModelWriter::ModelWriter(const std::string& name, int sample_rate, int hop) {
  document_ = {{"format", 1},       {"name", name},         {"sample_rate", sample_rate}, {"hop", hop},
               {"tier", "default"}, {"licence", "CC0-1.0"}, {"parameters", json::array()}};
  document_["graph"] = {
      {"inputs", json::array({{{"name", "audio"}, {"tensor", "audio"}, {"kind", "audio"}, {"channels", 1}}})},
      {"outputs", json::array()},
      {"nodes", json::array()}};
  header_ = json::object();
}

void ModelWriter::add_tensor(const std::string& name, const std::vector<int64_t>& shape,
                             const std::vector<float>& values) {
  const size_t begin = data_.size();
  data_.resize(begin + values.size() * sizeof(float));
  std::memcpy(data_.data() + begin, values.data(), values.size() * sizeof(float));
  header_[name] = {{"dtype", "F32"}, {"shape", shape}, {"data_offsets", {begin, data_.size()}}};
}

std::string ModelWriter::node(const std::string& op, const std::string& name, const std::vector<std::string>& inputs,
                              json attributes, const std::vector<Weight>& weights) {
  json made = {
      {"op", op}, {"name", name}, {"inputs", inputs}, {"attrs", std::move(attributes)}, {"weights", json::object()}};
  for (const Weight& weight : weights) {
    size_t count = 1;
    for (int64_t axis : weight.shape) count *= static_cast<size_t>(axis);
    std::vector<float> values(count);
    for (float& value : values) {
      random_ = random_ * 1664525u + 1013904223u;
      value = (static_cast<float>(random_ >> 8) * 0x1p-23f - 1.0f) * weight.scale;
    }
    made["weights"][weight.role] = name + "." + weight.role;
    add_tensor(name + "." + weight.role, weight.shape, values);
  }
  document_["graph"]["nodes"].push_back(std::move(made));
  return name;
}

std::string ModelWriter::constant(const std::string& op, const std::string& name, const std::string& input,
                                  const std::vector<std::pair<std::string, float>>& values) {
  json made = {{"op", op}, {"name", name}, {"inputs", {input}}, {"attrs", json::object()}, {"weights", json::object()}};
  for (const auto& [role, value] : values) {
    made["weights"][role] = name + "." + role;
    add_tensor(name + "." + role, {1}, {value});
  }
  document_["graph"]["nodes"].push_back(std::move(made));
  return name;
}

std::string ModelWriter::parameter(const std::string& name, float value, float low, float high, double smoothing_ms) {
  document_["parameters"].push_back(
      {{"name", name}, {"size", 1}, {"default", {value}}, {"min", low}, {"max", high}, {"smoothing_ms", smoothing_ms}});
  return name;
}

void ModelWriter::output(const std::string& tensor, const std::string& name, const std::string& kind) {
  document_["graph"]["outputs"].push_back({{"name", name}, {"tensor", tensor}, {"kind", kind}});
}

Bytes ModelWriter::bytes() const {
  json header = header_;
  header["__metadata__"] = {{"rtvoice", document_.dump()}};
  const std::string text = header.dump();
  Bytes out;
  for (int i = 0; i < 8; ++i) out.push_back(static_cast<uint8_t>(static_cast<uint64_t>(text.size()) >> (8 * i)));
  out.insert(out.end(), text.begin(), text.end());
  out.insert(out.end(), data_.begin(), data_.end());
  return out;
}

Bytes scale_model(float scale, int sample_rate, int hop) {
  ModelWriter w("scale", sample_rate, hop);
  w.output(w.constant("affine", "scaled", "audio", {{"scale", scale}}));
  return w.bytes();
}

Bytes lookahead_model(int frames) {
  ModelWriter w("lookahead", 48000, 1);
  w.output(w.node("advance", "ahead", {"audio"}, {{"frames", frames}}));
  return w.bytes();
}

Bytes tcn_model(int channels, int layers) {
  ModelWriter w("tcn", 48000, 32);
  std::string x = w.node("linear", "enter", {"audio"}, json::object(),
                         {{"weight", {channels, 1}, 1.0f}, {"bias", {channels}, 0.1f}});
  const float scale = 1.0f / std::sqrt(static_cast<float>(channels));
  for (int layer = 0; layer < layers; ++layer) {
    const std::string name = "body." + std::to_string(layer);
    const int dilation = 1 << layer;
    const std::string h = w.node("conv1d", name, {x}, {{"dilation", dilation}, {"pads", {2 * dilation, 0}}},
                                 {{"weight", {channels, channels, 3}, scale}, {"bias", {channels}, 0.1f}});
    x = w.node("add", name + ".sum", {x, w.node("tanh", name + ".tanh", {h})});
  }
  w.output(w.node("linear", "leave", {x}, json::object(), {{"weight", {1, channels}, 0.2f}}));
  return w.bytes();
}

namespace {

std::string add_recurrent(ModelWriter* w, const std::string& op, const std::string& name, const std::string& x,
                          int inputs, int hidden, float scale) {
  const int gates = op == "gru" ? 3 : 4;
  return w->node(op, name, {x}, json::object(),
                 {{"weight_ih", {gates * hidden, inputs}, scale},
                  {"weight_hh", {gates * hidden, hidden}, 1.0f / std::sqrt(static_cast<float>(hidden))},
                  {"bias_ih", {gates * hidden}, 0.1f},
                  {"bias_hh", {gates * hidden}, 0.1f}});
}

Bytes recurrent_model(const std::string& op, int hidden) {
  ModelWriter w(op, 48000, 8);
  const std::string h = add_recurrent(&w, op, "cell", "audio", 1, hidden, 1.0f);
  w.output(w.node("linear", "leave", {h}, json::object(), {{"weight", {1, hidden}, 0.3f}}));
  return w.bytes();
}

}  // namespace

Bytes gru_model(int hidden) { return recurrent_model("gru", hidden); }
Bytes lstm_model(int hidden) { return recurrent_model("lstm", hidden); }

Bytes control_model() {
  ModelWriter w("control", 16000, 80);
  const std::string gain = w.parameter("gain", 1.0f, 0.0f, 4.0f), hiss = w.parameter("hiss", 0.0f, 0.0f, 1.0f);
  const std::string h =
      w.node("conv1d", "filter", {"audio"}, {{"pads", {40, 40}}}, {{"weight", {8, 1, 81}, 0.3f}, {"bias", {8}, 0.1f}});
  std::string y = w.node("linear", "sum", {w.node("tanh", "bend", {h})}, json::object(), {{"weight", {1, 8}, 0.4f}});
  const std::string noise = w.node("noise", "noise", {}, {{"channels", 1}, {"frames", 80}, {"std", 0.1}});
  y = w.node("add", "out", {w.node("mul", "amplified", {y, gain}), w.node("mul", "hissing", {noise, hiss})});
  w.output(y);
  w.output(w.node("avg_pool", "energy", {w.node("square", "power", {"audio"})}, {{"kernel", 80}}), "energy", "value");
  return w.bytes();
}

Bytes voice_model() {
  ModelWriter w("voice", 16000, 80);
  const std::string gain = w.parameter("gain", 1.0f, 0.0f, 4.0f);
  const std::string frames = w.node("conv1d", "frames", {"audio"}, {{"stride", 40}, {"pads", {40, 0}}},
                                    {{"weight", {9, 1, 80}, 0.3f}, {"bias", {9}, 0.1f}});
  const std::string shares = w.node("softmax", "shares", {frames});
  const std::string pitch =
      w.node("linear", "pitch", {shares}, json::object(), {{"weight", {1, 9}, 0.01f}, {"bias", {1}, 0.02f}});
  const std::string turns = w.node("upsample", "turns", {w.node("abs", "positive", {pitch})},
                                   {{"factor", 40}, {"mode", "linear"}, {"coordinates", "asymmetric"}});
  const std::string pulses =
      w.node("harmonics", "pulses", {w.node("phase", "phase", {turns}), turns}, {{"count", 100}, {"limit", 0.45}});
  const std::string taps = w.node("warp", "taps", {frames, gain});
  w.output(w.node("fir", "filtered", {pulses, taps}, {{"interpolate", true}}));
  return w.bytes();
}

Bytes synthesis_model() {
  constexpr int kChannels = 32;
  ModelWriter w("synthesis", 16000, 80);
  const json none = json::object();
  const auto linear = [&](const std::string& name, const std::string& x, int in, int out, float scale) {
    return w.node("linear", name, {x}, none, {{"weight", {out, in}, scale}, {"bias", {out}, 0.1f}});
  };
  const std::string gain = w.parameter("gain", 1.0f, 0.0f, 4.0f);
  const std::string frames = w.node("conv1d", "frames", {"audio"}, {{"stride", 16}, {"pads", {16, 0}}},
                                    {{"weight", {16, 1, 32}, 0.5f}, {"bias", {16}, 0.1f}});
  const std::string heard =
      w.node("attention", "heard",
             {linear("q", frames, 16, 8, 0.5f), linear("k", frames, 16, 8, 0.5f), linear("v", frames, 16, 8, 0.5f)},
             {{"heads", 2}, {"window", 9}});
  const std::string bands =
      w.node("conv_bands", "bands", {heard}, {{"bands", 8}, {"pads", {1, 0}}, {"band_pads", {1, 0}}},
             {{"weight", {3, 1, 2, 2}, 0.5f}, {"bias", {3}, 0.1f}});
  json index = {23, -1};
  for (int i = 0; i < 22; ++i) index.push_back(i);
  const std::string picked = w.node("pick", "picked", {bands}, {{"index", index}});
  const std::string kept = w.constant("leaky_sum", "kept", picked, {{"decay", 0.5f}});
  const auto recall = [&](const std::string& of) {
    return w.node("recall", of + ".before", {}, {{"of", of}, {"channels", 1}, {"frames", 80}});
  };
  const std::string before = w.node("concat", "before", {recall("mean"), recall("mixture"), recall("class")});
  std::string h = linear("enter", before, 3, kChannels, 0.5f), total;
  for (int layer = 0; layer < 3; ++layer) {
    const std::string name = "body." + std::to_string(layer);
    const int dilation = 4 << layer;  // the older tap of the last two runs ahead
    std::string steer = linear(name + ".steer", kept, 24, 2 * kChannels, 0.2f);
    if (layer == 0) steer = w.node("mul", name + ".weighed", {steer, gain});
    const std::string late =
        w.node("conv1d", name, {h}, {{"dilation", dilation}, {"pads", {dilation, 0}}},
               {{"weight", {2 * kChannels, kChannels, 2}, 0.15f}, {"bias", {2 * kChannels}, 0.1f}});
    const std::string sum =
        w.node("add", name + ".sum", {late, w.node("upsample", name + ".held", {steer}, {{"factor", 16}})});
    const std::string z = w.node("glu", name + ".gate", {sum}, {{"a", "tanh"}, {"b", "sigmoid"}});
    const std::string skip = linear(name + ".skip", z, kChannels, kChannels, 0.15f);
    total = total.empty() ? skip : w.node("add", name + ".total", {skip, total});
    h = w.node("add", name + ".kept", {linear(name + ".keep", z, kChannels, kChannels, 0.15f), h});
  }
  const std::string said = w.node("relu", "said", {total});
  const auto draw = [&](const std::string& name, const std::string& distribution, int channels, int stream) {
    return w.node("sample", name, {linear(name + ".of", said, kChannels, channels, 0.1f)},
                  {{"distribution", distribution}, {"stream", stream}, {"floor", -3.0}});
  };
  const std::string drawn =
      w.node("concat", "drawn",
             {draw("mean", "gaussian", 2, 1), draw("mixture", "logistic", 9, 2), draw("class", "categorical", 16, 3)});
  w.output(linear("leave", drawn, 3, 1, 0.3f));
  return w.bytes();
}

Bytes overflow_model() {
  ModelWriter w("overflow", 48000, 16);
  const std::string boosted = w.node("mul", "boosted", {"audio", w.parameter("boost", 1.0f, 0.0f, 3e38f)});
  const std::string h =
      w.node("conv1d", "mixed", {boosted}, {{"pads", {4, 0}}}, {{"weight", {4, 1, 5}, 4.0f}, {"bias", {4}, 0.1f}});
  const std::string rectified = w.node("relu", "rectified", {w.node("square", "power", {h})});
  w.output(w.node("linear", "leave", {rectified}, json::object(), {{"weight", {1, 4}, 0.5f}}));
  return w.bytes();
}

Bytes recurrent_overflow_model(const std::string& op) {
  ModelWriter w(op + " overflow", 48000, 16);
  const std::string boosted = w.node("mul", "boosted", {"audio", w.parameter("boost", 1.0f, 0.0f, 3e38f)});
  // Two inputs of opposite sign and large weights: infinity minus infinity inside the gates.
  const std::string h = add_recurrent(
      &w, op, "cell", w.node("concat", "both", {boosted, w.node("neg", "minus", {boosted})}), 2, 8, 100.0f);
  w.output(w.node("linear", "leave", {w.node("relu", "rectified", {h})}, json::object(), {{"weight", {1, 8}, 0.5f}}));
  return w.bytes();
}

std::string shipped_model(const std::string& tier) {
  const std::string path = std::string(RTVOICE_MODELS_DIR) + "/whisper/" + tier + ".rtv";
  return std::ifstream(path).good() ? path : std::string();
}

std::vector<ShippedSkin> shipped_skins() {
  namespace fs = std::filesystem;
  std::vector<ShippedSkin> skins;
  std::error_code error;
  for (const fs::directory_entry& folder : fs::directory_iterator(RTVOICE_MODELS_DIR, error)) {
    ShippedSkin skin{folder.path().filename().string(), {}};
    for (const fs::directory_entry& file : fs::directory_iterator(folder.path(), error)) {
      if (file.path().extension() == ".rtv") skin.tiers.push_back(file.path().string());
    }
    std::sort(skin.tiers.begin(), skin.tiers.end(), [](const std::string& a, const std::string& b) {
      return fs::file_size(a) != fs::file_size(b) ? fs::file_size(a) > fs::file_size(b) : a < b;
    });
    if (!skin.tiers.empty()) skins.push_back(std::move(skin));
  }
  std::sort(skins.begin(), skins.end(), [](const ShippedSkin& a, const ShippedSkin& b) { return a.name < b.name; });
  return skins;
}

Bytes read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return Bytes(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
}

}  // namespace rtvoice::test
