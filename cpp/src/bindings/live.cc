// rtvoice._core.LiveStream: opens devices and shows counters; what is called back is native and never enters Python.
#include <limits>
#include <memory>

#include "bindings/engine_binding.h"
#include "bindings/parts.h"
#include "live/live_stream.h"

namespace rtvoice::bindings {
namespace {

using Samples = py::array_t<float, py::array::c_style | py::array::forcecast>;

// Holds the engines that the audio thread uses: Python may drop its own references at any time.
class LiveStream {
 public:
  LiveStream(const py::object& engine, double sample_rate, bool limiter) {
    Engine& made = py::cast<Engine&>(engine).made();
    if (made.shape().channels != 1) throw py::value_error("engine: a live stream is mono; make it with channels=1");
    live::ChainConfig config;
    config.sample_rate = sample_rate;
    config.max_frame = made.shape().max_frame;
    config.limiter = limiter;
    take(made);
    stream_ = std::make_unique<live::LiveStream>(config, made.handle());
    engine_ = engine;
  }
  LiveStream(const LiveStream&) = delete;
  LiveStream& operator=(const LiveStream&) = delete;
  ~LiveStream() {
    {
      const py::gil_scoped_release release;
      stream_->close(false);
    }
    for (const py::object& engine : {engine_, next_}) give_back(engine);
  }

  void open(const std::string& library, const py::dict& input, const py::dict& output, uint32_t block, bool two_clocks,
            double margin_ms, bool measure_cpu) {
    live::StreamConfig config;
    config.input = device(input);
    config.output = device(output);
    config.block = block;
    config.two_clocks = two_clocks;
    config.margin_ms = margin_ms;
    config.measure_cpu = measure_cpu;
    std::string error;
    bool opened;
    {
      const py::gil_scoped_release release;
      opened = stream_->open(library, config, &error);
    }
    if (!opened) {
      PyErr_SetString(PyExc_OSError, error.c_str());
      throw py::error_already_set();
    }
  }
  bool close(bool drain) {
    const py::gil_scoped_release release;
    return stream_->close(drain);
  }
  bool active() const { return stream_->active(); }

  py::dict counters() const {
    const live::StreamCounters c = stream_->counters();
    py::dict d;
    d["callbacks"] = c.callbacks;
    d["frames"] = c.frames;
    d["input_overflows"] = c.input_overflows;
    d["input_underflows"] = c.input_underflows;
    d["output_overflows"] = c.output_overflows;
    d["output_underflows"] = c.output_underflows;
    d["xruns"] = c.xruns;
    d["xruns_ours"] = c.xruns_ours;
    d["stalls"] = c.stalls;
    d["longest_gap_ms"] = c.longest_gap_ms;
    d["silent_seconds"] = c.silent_seconds;
    d["cpu_max_us"] = c.cpu_max_us;
    d["cpu_overruns"] = c.cpu_overruns;
    const rtv_stats times = stream_->times();
    d["us"] = stats_of(times)["us"];
    d["load"] = times.load;
    d["overruns"] = times.overruns;
    return d;
  }
  py::list late_calls() const {
    py::list out;
    for (const live::LateCall& call : stream_->late_calls()) {
      py::dict d;
      d["at"] = call.start;
      d["wall_us"] = 1e6 * call.wall;
      d["cpu_us"] = 1e6 * call.cpu;
      d["core"] = call.core;
      d["xrun"] = call.xrun;
      out.append(d);
    }
    return out;
  }
  py::object bridge() const {
    if (!stream_->has_bridge()) return py::none();
    const live::BridgeState s = stream_->bridge();
    py::dict d;
    d["delay_ms"] = s.delay_ms;
    d["target_ms"] = s.target_ms;
    d["drift_ppm"] = s.drift_ppm;
    d["underruns"] = s.underruns;
    d["jumps"] = s.jumps;
    d["dropped"] = s.dropped;
    d["locked"] = s.locked;
    return std::move(d);
  }
  py::dict levels() {
    live::Chain& chain = stream_->chain();
    py::dict d;
    d["input_peak"] = chain.in_meter().take_peak();
    d["output_peak"] = chain.out_meter().take_peak();
    d["input_squares"] = chain.in_meter().squares();
    d["output_squares"] = chain.out_meter().squares();
    d["frames"] = chain.in_meter().frames();
    d["gate_open"] = chain.gate_open();
    d["match_gain"] = chain.match_gain();
    d["limiter_gain"] = chain.limiter_gain();
    const uint64_t first = chain.first_sound();
    d["first_sound"] = first == live::Chain::kNever ? py::object(py::none()) : py::object(py::int_(first));
    return d;
  }
  uint32_t latency() const { return stream_->chain().latency(); }
  py::tuple claimed_latency() const {
    return py::make_tuple(stream_->claimed_input_latency(), stream_->claimed_output_latency());
  }

  void gate(bool on, float threshold) {
    stream_->chain().controls().threshold.store(threshold);
    stream_->chain().controls().gate.store(on);
  }
  void match(bool on) { stream_->chain().controls().match.store(on); }
  void limit(bool on) { stream_->chain().controls().limit.store(on); }
  void mute(bool on) { stream_->chain().controls().mute.store(on); }
  void bypassed(bool on) { stream_->chain().controls().bypassed.store(on); }

  // True once `engine` is on its way in; false while the one before still is.
  bool exchange(const py::object& engine) {
    Engine& made = py::cast<Engine&>(engine).made();
    if (made.shape().channels != 1 || made.shape().max_frame != py::cast<Engine&>(engine_).shape().max_frame)
      throw py::value_error("engine: another's place takes one with the same max_frame and one channel");
    collect();
    if (!next_.is_none() || stream_->chain().exchanging()) return false;
    take(made);
    made.handle()->engine->inherit_log(py::cast<Engine&>(engine_).handle()->engine);
    (void)stream_->chain().exchange(made.handle());  // nobody else exchanges
    next_ = engine;
    return true;
  }
  // Whether an engine is still on its way in; lets the one go that it replaced.
  bool exchanging() {
    collect();
    return !next_.is_none();
  }

  bool probe(const Samples& chirp) {
    return stream_->chain().probe().start(std::vector<float>(chirp.data(), chirp.data() + chirp.size()));
  }
  // (what came in, what the engine made of it) by the output's count from the chirp's first sample on, or None while it lasts.
  py::object probed() const {
    live::Probe& probe = stream_->chain().probe();
    if (!probe.done()) return py::none();
    const auto copy = [](const std::vector<float>& v) {
      return py::array_t<float>(static_cast<py::ssize_t>(v.size()), v.data());
    };
    return py::make_tuple(copy(probe.heard()), copy(probe.made()));
  }
  py::tuple priority() {
    std::string why;
    const std::string what = stream_->thread().raise(&why);
    return py::make_tuple(what, why);
  }
  double cpu_seconds() const { return stream_->thread().cpu_seconds(); }

 private:
  static live::Device device(const py::dict& d) {
    live::Device device;
    device.index = py::cast<int>(d["index"]);
    device.channels = py::cast<int>(d["channels"]);
    device.rate = py::cast<double>(d["rate"]);
    device.latency = py::cast<double>(d["latency"]);
    return device;
  }
  // While it is here, Python's process() of this engine is refused.
  static void take(Engine& engine) {
    if (engine.busy()->exchange(true)) throw py::value_error("engine: another thread or stream is using it");
  }
  static void give_back(const py::object& engine) {
    if (!engine.is_none()) py::cast<Engine&>(engine).busy()->store(false);
  }
  void collect() {
    if (next_.is_none() || stream_->chain().retired() == nullptr) return;
    give_back(engine_);
    engine_ = next_;
    next_ = py::none();
  }

  std::unique_ptr<live::LiveStream> stream_;
  py::object engine_ = py::none(), next_ = py::none();
};

}  // namespace

void add_live(py::module_& m) {
  py::class_<LiveStream>(m, "LiveStream")
      .def(py::init<const py::object&, double, bool>(), py::arg("engine"), py::arg("sample_rate"), py::arg("limiter"))
      .def("open", &LiveStream::open, py::arg("library"), py::arg("input"), py::arg("output"), py::arg("block"),
           py::arg("two_clocks"), py::arg("margin_ms"), py::arg("measure_cpu"))
      .def("close", &LiveStream::close, py::arg("drain"))
      .def("active", &LiveStream::active)
      .def("counters", &LiveStream::counters)
      .def("bridge", &LiveStream::bridge)
      .def("levels", &LiveStream::levels)
      .def("latency", &LiveStream::latency)
      .def("claimed_latency", &LiveStream::claimed_latency)
      .def("gate", &LiveStream::gate, py::arg("on"), py::arg("threshold"))
      .def("match", &LiveStream::match, py::arg("on"))
      .def("limit", &LiveStream::limit, py::arg("on"))
      .def("mute", &LiveStream::mute, py::arg("on"))
      .def("bypassed", &LiveStream::bypassed, py::arg("on"))
      .def("exchange", &LiveStream::exchange, py::arg("engine"))
      .def("exchanging", &LiveStream::exchanging)
      .def("probe", &LiveStream::probe, py::arg("chirp"))
      .def("probed", &LiveStream::probed)
      .def("priority", &LiveStream::priority)
      .def("late_calls", &LiveStream::late_calls)
      .def("cpu_seconds", &LiveStream::cpu_seconds);
}

}  // namespace rtvoice::bindings
