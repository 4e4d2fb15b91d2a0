// What is not a number, in the input or made by the model, never stays.
#include <cstring>
#include <limits>

#include "host.h"

namespace rtvoice::test {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN(), kInfinity = std::numeric_limits<float>::infinity(),
                kLargest = std::numeric_limits<float>::max();

std::vector<std::pair<const char*, Bytes>> models() {
  std::vector<std::pair<const char*, Bytes>> all = {
      {"tcn", tcn_model()}, {"gru", gru_model()}, {"lstm", lstm_model()}, {"control", control_model()}};
  if (const std::string path = shipped_model("default"); !path.empty()) all.emplace_back("whisper", read_file(path));
  return all;
}

// Stronger than recovering: the output is that of zeros in their place.
TEST(CApiNonFinite, InputThatIsNotFiniteCountsAsZero) {
  float signalling;
  const uint32_t bits = 0x7f800001u;
  std::memcpy(&signalling, &bits, sizeof bits);
  for (const auto& [name, bytes] : models()) {
    const ModelHandle model = open_model(bytes);
    for (const uint32_t rate : {48000u, 44100u}) {
      Samples bad = test_signal(rate / 4), zeroed = bad;
      const float values[] = {kNan, kInfinity, -kInfinity, -kNan, signalling};
      uint64_t count = 0;
      for (size_t i = 1000; i < 2500; i += i < 1500 ? 1 : 97, ++count) bad[i] = values[i % 5], zeroed[i] = 0.0f;
      const EngineHandle engine = make_engine(model, default_config(rate));
      const Samples out = stream(engine, bad, 113);
      EXPECT_TRUE(all_finite(out)) << name;
      EXPECT_EQ(out, stream(make_engine(model, default_config(rate)), zeroed)) << name << " " << rate;
      EXPECT_EQ(stats_of(engine).nonfinite, count) << name;
    }
  }
}

// Finite but absurd input may overflow anywhere; the output stays finite and is the usual one after the model's memory has passed.
TEST(CApiNonFinite, HugeInputPasses) {
  for (const auto& [name, bytes] : models()) {
    const ModelHandle model = open_model(bytes);
    for (const uint32_t rate : {48000u, 44100u}) {
      for (const float huge : {1e10f, 1e19f, 1e30f, kLargest}) {
        Samples in = test_signal(rate);
        for (size_t i = 1000; i < 1300; ++i) in[i] = i % 3 == 0 ? -huge : huge;
        const EngineHandle engine = make_engine(model, default_config(rate));
        const Samples out = stream(engine, in, 480);
        ASSERT_TRUE(all_finite(out)) << name << " " << rate << " " << huge;
        EXPECT_GT(peak(out, out.size() - 4800), 1e-3f) << name << " " << rate << " " << huge << ": silent for good";
        EXPECT_LT(peak(out, out.size() - 4800), 10.0f) << name << " " << rate << " " << huge;
      }
    }
  }
}

// The dry path and fades too: 3.4e38 against -3.4e38.
TEST(CApiNonFinite, HugeInputPassesTheMix) {
  const EngineHandle engine = make_engine(open_model(scale_model(-1.0f)));
  set(engine, "mix", 0.5f);
  EXPECT_TRUE(all_finite(stream(engine, Samples(4800, kLargest))));
}

void expect_recovery(const Bytes& bytes, const char* name, size_t memory) {
  const ModelHandle model = open_model(bytes);
  const EngineHandle good = make_engine(model), hurt = make_engine(model);
  const Samples in = test_signal(9600), more = test_signal(48000, 2);
  stream(good, in);
  set(hurt, "boost", 3e38f);
  EXPECT_TRUE(all_finite(stream(hurt, in))) << name;
  // Gates take infinity minus infinity as a number: a cell stays bounded by itself.
  EXPECT_EQ(stats_of(hurt).nonfinite > 0, memory == 0) << name;
  set(hurt, "boost", 1.0f);
  // The parameter glides over 20 ms first. Then 0.2 s of silence, so that memories that fade agree to the last bits.
  Samples pause(4800 + memory);
  stream(good, pause);
  EXPECT_TRUE(all_finite(stream(hurt, pause))) << name;
  const Samples expected = stream(good, more), out = stream(hurt, more);
  float worst = 0.0f;
  for (size_t i = 0; i < out.size(); ++i) worst = std::max(worst, std::fabs(out[i] - expected[i]));
  EXPECT_LE(worst, memory == 0 ? 0.0f : 1e-6f) << name;
  EXPECT_GT(peak(expected), 1e-4f) << name;
}

TEST(CApiNonFinite, AModelThatOverflowsRecovers) { expect_recovery(overflow_model(), "convolution", 0); }
TEST(CApiNonFinite, AGruThatOverflowsRecovers) { expect_recovery(recurrent_overflow_model("gru"), "gru", 48000); }
TEST(CApiNonFinite, AnLstmThatOverflowsRecovers) { expect_recovery(recurrent_overflow_model("lstm"), "lstm", 48000); }

}  // namespace
}  // namespace rtvoice::test
