// Gate, limiter, mute and level match: what they let through untouched, what they hold back, and that none of them clicks.
#include "live/dynamics.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "live/level_match.h"

namespace rtvoice::test {
namespace {

constexpr double kRate = 48000.0;
using Samples = std::vector<float>;

Samples tone(size_t count, float level, double hertz = 300.0) {
  Samples out(count);
  for (size_t i = 0; i < count; ++i)
    out[i] = level * static_cast<float>(std::sin(6.283185307179586 * hertz * static_cast<double>(i) / kRate));
  return out;
}

float loudest(const Samples& x, size_t from, size_t to) {
  float most = 0.0f;
  for (size_t i = from; i < to; ++i) most = std::max(most, std::abs(x[i]));
  return most;
}

// The largest second difference beyond the tone's own: what a step in the gain shows up in.
float roughness(const Samples& x) {
  float most = 0.0f;
  for (size_t i = 2; i < x.size(); ++i) most = std::max(most, std::abs(x[i] - 2 * x[i - 1] + x[i - 2]));
  return most;
}

TEST(NoiseGate, SilencesWhatIsBelowAndLetsSpeechThroughUntouched) {
  live::NoiseGate gate(kRate);
  Samples quiet = tone(96000, 0.001f), loud = tone(48000, 0.1f);
  gate.process(quiet.data(), 96000, true, 0.01f);
  EXPECT_EQ(loudest(quiet, 48000, 96000), 0.0f);
  EXPECT_FALSE(gate.open());
  const Samples before = loud;
  gate.process(loud.data(), 48000, true, 0.01f);
  EXPECT_TRUE(gate.open());
  EXPECT_TRUE(std::equal(loud.begin() + 480, loud.end(), before.begin() + 480)) << "all open after 10 ms";
  EXPECT_LT(roughness(loud), 0.01f * 0.1f) << "an opening at once has a step of a tenth of the tone or more";
}

TEST(NoiseGate, DoesNotCloseBetweenWords) {
  live::NoiseGate gate(kRate);
  Samples word = tone(24000, 0.1f), pause = tone(4800, 0.001f);
  gate.process(word.data(), 24000, true, 0.01f);
  gate.process(pause.data(), 4800, true, 0.01f);  // 100 ms
  EXPECT_TRUE(gate.open());
}

TEST(NoiseGate, ChangesNoBitWhereItIsOff) {
  live::NoiseGate gate(kRate);
  Samples x = tone(4800, 0.0001f);
  const Samples before = x;
  gate.process(x.data(), 4800, false, 0.5f);
  EXPECT_EQ(x, before);
}

TEST(Limiter, HoldsEveryPeakAtTheCeilingHoweverItIsCut) {
  std::mt19937 random(5);
  std::normal_distribution<float> noise(0.0f, 0.7f);
  Samples x(96000);
  for (float& v : x) v = noise(random);
  Samples whole = x, cut = x;
  live::Limiter one(kRate), other(kRate);
  one.process(whole.data(), 96000, true);
  for (size_t at = 0; at < cut.size();) {
    const size_t n = std::min<size_t>(1 + random() % 700, cut.size() - at);
    other.process(cut.data() + at, static_cast<uint32_t>(n), true);
    at += n;
  }
  EXPECT_EQ(whole, cut);
  EXPECT_LE(loudest(whole, 0, whole.size()), live::Limiter::kCeiling);
  EXPECT_GT(loudest(whole, 0, whole.size()), 0.8f * live::Limiter::kCeiling);
}

TEST(Limiter, IsADelayOfAMillisecondWhereNothingIsLoud) {
  live::Limiter limiter(kRate);
  EXPECT_EQ(limiter.delay(), 48u);
  const Samples x = tone(9600, 0.5f);
  Samples y = x;
  limiter.process(y.data(), 9600, true);
  EXPECT_TRUE(std::equal(y.begin() + 48, y.end(), x.begin()));
}

TEST(Limiter, RampsInsteadOfClipping) {
  live::Limiter limiter(kRate);
  Samples x = tone(48000, 0.5f);
  const Samples loud = tone(4800, 2.0f);
  std::copy(loud.begin(), loud.end(), x.begin() + 24000);
  Samples y = x;
  limiter.process(y.data(), 48000, true);
  // A clipped tone of 2.0 has corners; a limited one is a tone again once the gain stands.
  const Samples middle(y.begin() + 24000 + 2400, y.begin() + 24000 + 4800);
  EXPECT_LT(roughness(middle), 1.1f * roughness(tone(4800, live::Limiter::kCeiling)));
}

TEST(Mute, ReachesSilenceAndComesBackWithoutAStep) {
  live::Mute mute(kRate);
  Samples x = tone(4800, 0.5f);
  mute.process(x.data(), 2400, true);
  EXPECT_EQ(loudest(x, 960, 2400), 0.0f);
  mute.process(x.data() + 2400, 2400, false);
  EXPECT_GT(loudest(x, 3600, 4800), 0.49f);
  EXPECT_LT(roughness(x), 2.0f * roughness(tone(4800, 0.5f)) + 0.005f);
}

TEST(LevelMatch, BringsASkinToTheLoudnessOfTheVoiceAndBackAgain) {
  live::LevelMatch match(kRate);
  const Samples in = tone(480, 0.2f), made = tone(480, 0.07f);
  Samples out(480);
  for (int i = 0; i < 1000; ++i) {
    std::copy(made.begin(), made.end(), out.begin());
    match.process(in.data(), out.data(), 480, true, false);
  }
  EXPECT_NEAR(loudest(out, 0, 480) / 0.2f, 1.0f, 0.03f);
  for (int i = 0; i < 2000; ++i) {
    std::copy(made.begin(), made.end(), out.begin());
    match.process(in.data(), out.data(), 480, false, false);
  }
  EXPECT_EQ(out, made);
  EXPECT_EQ(match.gain(), 1.0f);
}

TEST(LevelMatch, LearnsNothingFromSilenceAndStaysWithinTwelveDecibels) {
  live::LevelMatch match(kRate);
  const Samples silence(480, 0.0f), voice = tone(480, 0.5f), faint = tone(480, 1e-4f);
  Samples out(480);
  for (int i = 0; i < 500; ++i) {
    std::copy(faint.begin(), faint.end(), out.begin());
    match.process(silence.data(), out.data(), 480, true, false);
  }
  EXPECT_EQ(match.gain(), 1.0f);
  for (int i = 0; i < 2000; ++i) {
    std::copy(faint.begin(), faint.end(), out.begin());
    match.process(voice.data(), out.data(), 480, true, false);
  }
  EXPECT_LE(match.gain(), 4.0f);
  EXPECT_GT(match.gain(), 3.9f);
}

}  // namespace
}  // namespace rtvoice::test
