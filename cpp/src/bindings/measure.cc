// What rtvoice-bench times with: calls of an engine one after the other, without Python between the clock and the call.
#include <algorithm>
#include <chrono>
#include <cstring>
#include <memory>
#include <random>
#include <thread>

#include "bindings/engine_binding.h"
#include "bindings/parts.h"
#include "simd/kernels.h"

#if defined(__linux__)
#include <time.h>
#endif

namespace rtvoice::bindings {
namespace {

using Clock = std::chrono::steady_clock;
using Times = py::array_t<int64_t>;

int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now().time_since_epoch()).count();
}

void sleep_until(int64_t ns) {
#if defined(__linux__)
  timespec when{static_cast<time_t>(ns / 1000000000), static_cast<long>(ns % 1000000000)};
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, nullptr) != 0) {
  }
#else
  std::this_thread::sleep_until(Clock::time_point(std::chrono::nanoseconds(ns)));
#endif
}

// Frames of every call in turn, from noise [rows][samples].
struct Source {
  explicit Source(const py::array& noise) : first(static_cast<const float*>(noise.data())) {
    if (noise.ndim() < 2 || noise.shape(0) < 1) throw py::value_error("noise: must be (rows, samples...)");
    rows = static_cast<size_t>(noise.shape(0));
    samples = static_cast<size_t>(noise.size()) / rows;
  }
  const float* frame(size_t i) const { return first + i % rows * samples; }
  const float* first;
  size_t rows, samples;
};

// Calls back to back, or one every `period` ns; between two calls `sweep` is written through, as other work writes to the caches. With `buffers` each call
// takes its frames through that many blocks from malloc. Gives each call's time in ns, and when it ended after the moment it was due (0 without a period).
py::tuple time_frames(Engine& engine, const py::array_t<float, py::array::c_style>& noise, size_t calls, int64_t period,
                      const py::object& sweep, int buffers) {
  const Source source(noise);
  rtv_engine* handle = engine.made().handle();
  const FrameShape& shape = engine.shape();
  const size_t frames = source.samples / shape.channels;
  if (frames < 1 || frames > shape.max_frame || (shape.block != 0 && frames != shape.block))
    throw py::value_error("noise: its rows are not frames of this engine");
  Times spent(static_cast<py::ssize_t>(calls)), late(static_cast<py::ssize_t>(calls));
  int64_t* spent_ns = spent.mutable_data();
  int64_t* late_ns = late.mutable_data();
  double* dirt = nullptr;
  size_t dirt_size = 0;
  if (!sweep.is_none()) {
    auto array = py::cast<py::array_t<double, py::array::c_style>>(sweep);
    dirt = array.mutable_data();
    dirt_size = static_cast<size_t>(array.size());
  }
  std::vector<float> out(source.samples);
  std::vector<float*> blocks(static_cast<size_t>(std::max(buffers, 0)));
  const size_t bytes = source.samples * sizeof(float);
  const Turn turn(engine.busy(), "time_frames");
  {
    const py::gil_scoped_release release;
    const int64_t start = now_ns() + period;
    for (size_t i = 0; i < calls; ++i) {
      for (size_t k = 0; k < dirt_size; ++k) dirt[k] += 1.0;
      const int64_t due = start + static_cast<int64_t>(i) * period;
      if (period != 0 && now_ns() < due) sleep_until(due);
      const float* in = source.frame(i);
      const int64_t begin = now_ns();
      if (blocks.empty()) {
        (void)rtv_engine_process(handle, in, out.data(), static_cast<uint32_t>(frames));
      } else {
        for (float*& block : blocks) block = static_cast<float*>(std::malloc(bytes));
        std::memcpy(blocks.front(), in, bytes);
        (void)rtv_engine_process(handle, blocks.front(), blocks.back(), static_cast<uint32_t>(frames));
        std::memcpy(out.data(), blocks.back(), bytes);
        for (float* block : blocks) std::free(block);
      }
      const int64_t end = now_ns();
      spent_ns[i] = end - begin;
      late_ns[i] = period != 0 ? end - due : 0;
    }
  }
  return py::make_tuple(spent, late);
}

// A player's own calls: frames of `sizes` samples from `audio`, one after the other, each when `due` ns after the start where that is not empty. Times as
// above.
py::tuple time_pattern(Engine& engine, const py::array_t<float, py::array::c_style>& audio, const Times& sizes,
                       const Times& due) {
  rtv_engine* handle = engine.made().handle();
  const FrameShape& shape = engine.shape();
  const size_t calls = static_cast<size_t>(sizes.size());
  const int64_t* frames = sizes.data();
  const int64_t* when = due.size() == 0 ? nullptr : due.data();
  size_t samples = 0;
  for (size_t i = 0; i < calls; ++i) {
    if (frames[i] < 0 || frames[i] > static_cast<int64_t>(shape.max_frame))
      throw py::value_error("sizes: " + std::to_string(frames[i]) + " is no frame of this engine");
    samples += static_cast<size_t>(frames[i]) * shape.channels;
  }
  if (static_cast<size_t>(audio.size()) < samples) throw py::value_error("audio: shorter than its frames");
  if (when != nullptr && static_cast<size_t>(due.size()) != calls) throw py::value_error("due: one for each call");
  Times spent(static_cast<py::ssize_t>(calls)), late(static_cast<py::ssize_t>(calls));
  int64_t* spent_ns = spent.mutable_data();
  int64_t* late_ns = late.mutable_data();
  const float* in = audio.data();
  std::vector<float> out(static_cast<size_t>(shape.max_frame) * shape.channels);
  const Turn turn(engine.busy(), "time_pattern");
  {
    const py::gil_scoped_release release;
    const int64_t start = now_ns();
    for (size_t i = 0; i < calls; ++i) {
      if (when != nullptr && now_ns() < start + when[i]) sleep_until(start + when[i]);
      const int64_t begin = now_ns();
      (void)rtv_engine_process(handle, in, out.data(), static_cast<uint32_t>(frames[i]));
      const int64_t end = now_ns();
      spent_ns[i] = end - begin;
      late_ns[i] = when != nullptr ? end - start - when[i] : 0;
      in += static_cast<size_t>(frames[i]) * shape.channels;
    }
  }
  return py::make_tuple(spent, late);
}

// Threads that allocate and free without rest, as a game's other threads do; they end with the object.
class Allocators {
 public:
  explicit Allocators(int threads) {
    for (int t = 0; t < threads; ++t) {
      threads_.emplace_back([this, t] {
        std::mt19937 random(static_cast<uint32_t>(t));
        std::vector<void*> held(256, nullptr);
        while (!stop_.load(std::memory_order_relaxed)) {
          void*& slot = held[random() % held.size()];
          std::free(slot);
          slot = std::malloc(1 + random() % (random() % 16 == 0 ? 262144 : 8192));
          if (slot != nullptr) *static_cast<char*>(slot) = 1;
        }
        for (void* slot : held) std::free(slot);
      });
    }
  }
  ~Allocators() { stop(); }
  void stop() {
    stop_.store(true);
    for (std::thread& thread : threads_) {
      if (thread.joinable()) thread.join();
    }
  }

 private:
  std::atomic<bool> stop_{false};
  std::vector<std::thread> threads_;
};

// This core's multiply-add peak in GFLOP/s: the best of short runs within `seconds`.
double peak_gflops(double seconds) {
  const simd::Kernels& k = simd::kernels();
  constexpr size_t kRounds = 20000;
  py::gil_scoped_release release;
  double best = 0.0;
  volatile float sink = 0.0f;
  const int64_t until = now_ns() + static_cast<int64_t>(seconds * 1e9);
  do {
    const int64_t begin = now_ns();
    sink = sink + k.peak_loop(kRounds);
    const double ns = static_cast<double>(std::max<int64_t>(1, now_ns() - begin));
    best = std::max(best, 2.0 * 12.0 * static_cast<double>(k.lanes * kRounds) / ns);
  } while (now_ns() < until);
  return best;
}

// What reading `bytes` again and again gives, in GB/s: the best of passes within `seconds`, each at least 20 us long.
double read_bandwidth(size_t bytes, double seconds) {
  const simd::Kernels& k = simd::kernels();
  const size_t unit = 8 * k.lanes, count = std::max(unit, bytes / sizeof(float) / unit * unit);
  std::vector<float> values(count + 16, 1.0f);
  float* first = values.data();
  while (reinterpret_cast<uintptr_t>(first) % 64 != 0) ++first;
  const size_t passes = std::max<size_t>(1, (size_t{2} << 20) / (count * sizeof(float)));
  py::gil_scoped_release release;
  double best = 0.0;
  volatile float sink = 0.0f;
  const int64_t until = now_ns() + static_cast<int64_t>(seconds * 1e9);
  do {
    const int64_t begin = now_ns();
    for (size_t p = 0; p < passes; ++p) sink = sink + k.read_loop(first, count);
    const double ns = static_cast<double>(std::max<int64_t>(1, now_ns() - begin));
    best = std::max(best, static_cast<double>(passes * count * sizeof(float)) / ns);
  } while (now_ns() < until);
  return best;
}

}  // namespace

void add_measure(py::module_& m) {
  m.def("time_frames", &time_frames, py::arg("engine"), py::arg("noise"), py::arg("calls"), py::arg("period") = 0,
        py::arg("sweep") = py::none(), py::arg("buffers") = 0,
        "Each call's time, and its end after it was due, in ns.");
  m.def("time_pattern", &time_pattern, py::arg("engine"), py::arg("audio"), py::arg("sizes"), py::arg("due"),
        "The same for frames of given sizes, at given moments.");
  m.def("peak_gflops", &peak_gflops, py::arg("seconds"), "This core's multiply-add peak.");
  m.def("read_bandwidth", &read_bandwidth, py::arg("bytes"), py::arg("seconds"), "GB/s of reading so many bytes.");
  py::class_<Allocators>(m, "Allocators")
      .def(py::init<int>(), py::arg("threads"))
      .def("stop", &Allocators::stop, py::call_guard<py::gil_scoped_release>());
}

}  // namespace rtvoice::bindings
