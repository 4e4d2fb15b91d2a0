// The instruction sets against each other: close on every processor, and the same bits for one set on a processor and on an emulated older one.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "../c_api/test_models.h"

namespace rtvoice::test {
namespace {

struct Rendering {
  std::string isa;  // what was used
  std::vector<float> samples;
};

// `before`: environment or emulator in front of the program.
Rendering render(const std::string& before, const std::string& model) {
  Rendering made;
  const std::string errors =
      testing::TempDir() + "isa_render." + std::to_string(::testing::UnitTest::GetInstance()->random_seed()) + ".txt";
  FILE* pipe = popen((before + " " RTVOICE_ISA_RENDER " " + model + " 2>" + errors).c_str(), "r");
  if (pipe == nullptr) return made;
  float buffer[4096];
  for (size_t n; (n = std::fread(buffer, sizeof(float), 4096, pipe)) != 0;)
    made.samples.insert(made.samples.end(), buffer, buffer + n);
  EXPECT_EQ(pclose(pipe), 0) << before;
  const Bytes name = read_file(errors);
  made.isa.assign(name.begin(), std::find(name.begin(), name.end(), '\n'));
  return made;
}

class Isa : public testing::TestWithParam<const char*> {
 protected:
  // What isa_render is told: a made model's name, or a shipped one's path.
  static std::string model() {
    const std::string name = GetParam();
    return name == "gru" || name == "synthesis" ? name : shipped_model(name);
  }
};

TEST_P(Isa, SetsAgree) {
  if (model().empty()) GTEST_SKIP() << "models/whisper/" << GetParam() << ".rtv is not there";
  const Rendering reference = render("RTVOICE_ISA=SCALAR", model());
  ASSERT_EQ(reference.isa, "SCALAR");
  ASSERT_EQ(reference.samples.size(), 48000u);
  float most = 0.0f;
  for (const float sample : reference.samples) most = std::max(most, std::fabs(sample));
  ASSERT_GT(most, 1e-3f);
  for (const char* isa : {"SSE4", "AVX2", "AVX3"}) {
    const Rendering other = render(std::string("RTVOICE_ISA=") + isa, model());
    if (other.isa != isa) {
      std::printf("NOT COMPARED: this processor has no %s\n", isa);
      continue;
    }
    ASSERT_EQ(other.samples.size(), reference.samples.size());
    float worst = 0.0f;
    for (size_t i = 0; i < other.samples.size(); ++i)
      worst = std::max(worst, std::fabs(other.samples[i] - reference.samples[i]));
    std::printf("%s %s against scalar: largest difference %.3g, peak %.3g\n", GetParam(), isa,
                static_cast<double>(worst), static_cast<double>(most));
    EXPECT_LE(worst, 1e-4f * std::max(1.0f, most)) << isa;
  }
}

TEST_P(Isa, EmulatedProcessorWithoutAvxGivesTheSameBits) {
  if (model().empty()) GTEST_SKIP() << "models/whisper/" << GetParam() << ".rtv is not there";
  if (std::system("command -v qemu-x86_64 >/dev/null 2>&1") != 0)
    GTEST_SKIP() << "qemu-x86_64 is not installed (Debian: qemu-user)";
  const struct {
    const char *processor, *isa;
  } cases[] = {{"Nehalem", "SSE4"}, {"core2duo", "SCALAR"}};
  for (const auto& c : cases) {
    // qemu names what this emulation lacks of a processor; that goes to the file of errors, ahead of the program's own line.
    const Rendering emulated = render(std::string("qemu-x86_64 -cpu ") + c.processor, model());
    const Rendering native = render(std::string("RTVOICE_ISA=") + c.isa, model());
    ASSERT_EQ(emulated.samples.size(), 48000u) << c.processor;
    ASSERT_EQ(native.isa, c.isa);
    EXPECT_EQ(emulated.samples, native.samples) << c.processor;
  }
}

INSTANTIATE_TEST_SUITE_P(Models, Isa, testing::Values("gru", "synthesis", "default", "hq"),
                         [](const auto& test) { return std::string(test.param); });

}  // namespace
}  // namespace rtvoice::test
