// Two sound devices with clocks of their own on a simulated time line: hours of callbacks in seconds, with the lateness that callbacks have.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "live/bridge.h"

namespace rtvoice::test {

struct DevicesConfig {
  double in_rate = 48000.0, out_rate = 48000.0;  // nominal
  double in_ppm = 150.0, out_ppm = -150.0;       // how far off the clocks really are
  uint32_t in_block = 128, out_block = 128;
  double mean_lateness = 2e-4;  // seconds, of a callback: exponentially distributed
  double most_lateness = 1.5e-3;
  double seconds = 60.0;
  double settle = 10.0;  // not judged
};

struct DevicesResult {
  double least_ms = 1e9, most_ms = -1e9, mean_ms = 0.0;  // the true delay, seen in the phase of a tone
  double worst_click = 0.0;  // the largest sample that a pure tone does not explain, as a part of the tone
  double early_click = 0.0;  // the same before `settle`
  uint64_t measured = 0;
};

class Devices {
 public:
  Devices(const DevicesConfig& config, live::Bridge* bridge) : c_(config), bridge_(bridge) {}

  // A device that stands still from `at` for `seconds`: its callbacks do not come, and its samples are lost.
  void stop_input(double at, double seconds) { in_stop_ = at, in_gone_ = seconds; }
  void stop_output(double at, double seconds) { out_stop_ = at, out_gone_ = seconds; }

  DevicesResult run() {
    const double in_true = c_.in_rate * (1.0 + 1e-6 * c_.in_ppm), out_true = c_.out_rate * (1.0 + 1e-6 * c_.out_ppm);
    std::vector<float> tone(kPeriod + c_.in_block), in(c_.in_block), out(c_.out_block);
    for (size_t i = 0; i < tone.size(); ++i)
      tone[i] = static_cast<float>(kLevel * std::sin(kTwoPi * static_cast<double>(i) / kPeriod));
    const double omega = kTwoPi / kPeriod * in_true / out_true, turn = 2.0 * std::cos(omega);
    double in_due = c_.in_block / in_true, out_due = 0.0, in_called = 0.0, out_called = 0.0, next_measure = c_.settle;
    double before = 0.0, before_that = 0.0;
    size_t phase = 0;
    double sum = 0.0;
    while (out_due < c_.seconds) {
      if (in_due <= out_due) {
        const float* samples = tone.data() + phase;
        phase = (phase + c_.in_block) % kPeriod;
        if (in_due < in_stop_ || in_due >= in_stop_ + in_gone_) {
          in_called = std::max(in_called + 1e-6, in_due + lateness());
          bridge_->write(samples, 1, c_.in_block, in_called);
        }
        in_due += c_.in_block / in_true;
        continue;
      }
      if (out_due < out_stop_ || out_due >= out_stop_ + out_gone_) {
        out_called = std::max(out_called + 1e-6, out_due + lateness());
        bridge_->read(out.data(), c_.out_block, out_called);
        for (const float y : out) {
          const double odd = std::abs(y - turn * before + before_that) / kLevel;
          double& worst = out_due < c_.settle ? result_.early_click : result_.worst_click;
          worst = std::max(worst, odd);
          before_that = before;
          before = y;
        }
        if (out_due >= next_measure) {
          next_measure += 0.25;
          sum += measure(out, out_due, in_true, out_true);
        }
      }
      out_due += c_.out_block / out_true;
    }
    if (result_.measured != 0) result_.mean_ms = sum / static_cast<double>(result_.measured);
    return result_;
  }

 private:
  static constexpr size_t kPeriod = 240;  // samples: 200 Hz at 48 kHz
  static constexpr double kTwoPi = 6.283185307179586, kLevel = 0.5;

  double lateness() { return std::min(c_.most_lateness, late_(random_) * c_.mean_lateness); }

  // How long ago, by the input's true clock, what is heard now came in: from the tone's phase, near the bridge's target.
  double measure(const std::vector<float>& out, double due, double in_true, double out_true) {
    double sine = 0.0, cosine = 0.0, ss = 0.0, sc = 0.0, cc = 0.0;
    for (size_t i = 0; i < out.size(); ++i) {
      const double at = kTwoPi / kPeriod * std::fmod(in_true * (due + static_cast<double>(i) / out_true), kPeriod);
      const double s = std::sin(at), c = std::cos(at);
      sine += out[i] * s, cosine += out[i] * c;
      ss += s * s, sc += s * c, cc += c * c;
    }
    const double det = ss * cc - sc * sc, a = (sine * cc - cosine * sc) / det, b = (cosine * ss - sine * sc) / det;
    // a sin + b cos = r sin(at - lag)
    const double lag = std::atan2(-b, a) / kTwoPi * kPeriod, target = 1e-3 * bridge_->state().target_ms * c_.in_rate;
    const double delay = lag + kPeriod * std::round((target - lag) / kPeriod), ms = 1e3 * delay / c_.in_rate;
    result_.least_ms = std::min(result_.least_ms, ms);
    result_.most_ms = std::max(result_.most_ms, ms);
    ++result_.measured;
    return ms;
  }

  const DevicesConfig c_;
  live::Bridge* bridge_;
  std::mt19937 random_{3};
  std::exponential_distribution<double> late_{1.0};
  double in_stop_ = 1e18, in_gone_ = 0.0, out_stop_ = 1e18, out_gone_ = 0.0;
  DevicesResult result_;
};

}  // namespace rtvoice::test
