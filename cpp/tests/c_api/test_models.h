// Small models made in memory, and the shipped ones: what tests of the C interface run.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

namespace rtvoice::test {

// Writes .rtv bytes with no check of anything. Weights are seeded random numbers.
class ModelWriter {
 public:
  ModelWriter(const std::string& name, int sample_rate, int hop);

  struct Weight {
    std::string role;
    std::vector<int64_t> shape;
    float scale;  // uniform in -scale to scale
  };
  // All three return the name of the tensor they make.
  std::string node(const std::string& op, const std::string& name, const std::vector<std::string>& inputs,
                   nlohmann::json attributes = nlohmann::json::object(), const std::vector<Weight>& weights = {});
  std::string constant(const std::string& op, const std::string& name, const std::string& input,
                       const std::vector<std::pair<std::string, float>>& values);  // one-element weights
  std::string parameter(const std::string& name, float value, float low, float high, double smoothing_ms = 20.0);
  void output(const std::string& tensor, const std::string& name = "audio", const std::string& kind = "audio");
  std::vector<uint8_t> bytes() const;

 private:
  void add_tensor(const std::string& name, const std::vector<int64_t>& shape, const std::vector<float>& values);

  nlohmann::json document_, header_;
  std::vector<uint8_t> data_;
  uint32_t random_ = 12345;
};

using Bytes = std::vector<uint8_t>;

Bytes scale_model(float scale, int sample_rate = 48000, int hop = 1);  // y = scale * x, no latency
Bytes lookahead_model(int frames);                                     // y[n] = x[n + frames]
Bytes tcn_model(int channels = 16, int layers = 6);                    // dilated, tanh; 48 kHz, hop 32
constexpr int kTcnReceptiveField = 1 + 2 * 63;                         // of the default tcn_model
Bytes gru_model(int hidden = 24);                                      // 48 kHz, hop 8
Bytes lstm_model(int hidden = 24);
// Everything that a host can set and read: parameters "gain" (0 to 4, 1) and "hiss" (0 to 1, 0), value output "energy"; 16 kHz, hop 80, latency 40.
Bytes control_model();
// Source and filter: pulses of a pitch that the input moves, through taps that it moves too, warped by "gain"; 16 kHz, hop 80.
Bytes voice_model();
// Sample by sample: gated layers that read what was drawn before, from each distribution, steered by frames that attend to those before; "gain" weighs
// the steering. 16 kHz, hop 80, latency 0.
Bytes synthesis_model();
// y = (x * boost)^2 behind a relu, boost up to 3e38: overflows when told to.
Bytes overflow_model();
// The same boost into a GRU or LSTM whose output passes a relu: what is not a number could hide in its state.
Bytes recurrent_overflow_model(const std::string& op);

// models/whisper/TIER.rtv of the source tree; empty where it is not there.
std::string shipped_model(const std::string& tier);
// A folder of models/ that holds .rtv files: their paths, the costliest tier (the largest file) first.
struct ShippedSkin {
  std::string name;
  std::vector<std::string> tiers;
};
std::vector<ShippedSkin> shipped_skins();
Bytes read_file(const std::string& path);

}  // namespace rtvoice::test
