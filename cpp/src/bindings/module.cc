// rtvoice._core: the C interface as Python sees it. Frames are strict: float32, C-contiguous, (n,) or (n, channels).
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <atomic>
#include <cstdlib>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "rtvoice/rtvoice.h"

namespace py = pybind11;

namespace {

// Raises what a status means in Python: ModelError for models, OSError for files, MemoryError, ValueError for the rest.
[[noreturn]] void raise(rtv_status status, const std::string& what) {
  switch (status) {
    case RTV_ERROR_MODEL:
    case RTV_ERROR_LATENCY:
    case RTV_ERROR_BUSY: {
      py::object type = py::module_::import("rtvoice.errors").attr("ModelError");
      PyErr_SetString(type.ptr(), what.c_str());
      break;
    }
    case RTV_ERROR_FILE:
      PyErr_SetString(PyExc_OSError, what.c_str());
      break;
    case RTV_ERROR_MEMORY:
      PyErr_SetString(PyExc_MemoryError, what.c_str());
      break;
    default:
      PyErr_SetString(PyExc_ValueError, what.c_str());
      break;
  }
  throw py::error_already_set();
}

void check(rtv_status status) {
  if (status != RTV_OK) raise(status, rtv_last_error());
}

// For Engine.__new__(Engine), without __init__, pybind11 makes room and hands it out as it is: here it is zeros, so that the null handle tells.
struct Zeroed {
  static void* operator new(size_t size) {
    void* room = std::calloc(1, size);
    if (room == nullptr) throw std::bad_alloc();
    return room;
  }
  static void* operator new(size_t, void* place) { return place; }
  static void operator delete(void* room) { std::free(room); }
  static void operator delete(void*, void*) {}
};

class Model : public Zeroed {
 public:
  static Model open(const std::string& path) {
    rtv_model* handle = nullptr;
    rtv_status status;
    {
      py::gil_scoped_release release;
      status = rtv_model_open(path.c_str(), &handle);
    }
    check(status);
    return Model(handle);
  }
  static Model from_bytes(const py::bytes& data) {
    char* bytes = nullptr;
    Py_ssize_t size = 0;
    if (PyBytes_AsStringAndSize(data.ptr(), &bytes, &size) != 0) throw py::error_already_set();
    rtv_model* handle = nullptr;
    check(rtv_model_open_memory(bytes, static_cast<size_t>(size), &handle));
    return Model(handle);
  }
  Model(Model&& other) noexcept : handle_(other.handle_) { other.handle_ = nullptr; }
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;
  Model& operator=(Model&&) = delete;
  ~Model() { rtv_model_close(handle_); }
  std::string info() const { return rtv_model_info(handle_); }
  const rtv_model* handle() const { return handle_; }
  Model& made() {
    if (handle_ == nullptr) throw py::type_error("Model: made without open() or from_bytes()");
    return *this;
  }

 private:
  explicit Model(rtv_model* handle) : handle_(handle) {}
  rtv_model* handle_;
};

class Engine : public Zeroed {
 public:
  Engine(const std::vector<Model*>& tiers, uint32_t sample_rate, uint32_t max_frame, uint32_t channels, uint32_t block,
         uint64_t seed, const std::string& resampler, float fade_ms, bool sliced, bool dry)
      : channels_(channels) {
    rtv_config config;
    rtv_config_init(&config);
    config.sample_rate = sample_rate;
    config.max_frame = max_frame;
    config.channels = channels;
    config.block = block;
    config.seed = seed;
    config.fade_ms = fade_ms;
    config.schedule = sliced ? RTV_SCHEDULE_SLICED : RTV_SCHEDULE_INLINE;
    config.overload = dry ? RTV_OVERLOAD_DRY : RTV_OVERLOAD_SILENCE;
    config.resampler = resampler_of(resampler);
    max_frame_ = max_frame;
    block_ = block;
    std::vector<const rtv_model*> handles;
    for (Model* tier : tiers) {
      if (tier == nullptr) throw py::type_error("tiers: None is no model");
      handles.push_back(tier->made().handle());
    }
    rtv_status status;
    {
      py::gil_scoped_release release;
      status = rtv_engine_create_tiers(handles.data(), static_cast<uint32_t>(handles.size()), &config, &handle_);
    }
    check(status);
  }
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;
  ~Engine() { rtv_engine_destroy(handle_); }

  Engine& made() {
    if (handle_ == nullptr) throw py::type_error("Engine: __init__ was never called");
    return *this;
  }

  py::object process(const py::object& frame, const py::object& out) {
    const py::array in = check_array(frame, "frame", false);
    py::array result;
    if (out.is_none()) {
      result = py::array_t<float>(std::vector<py::ssize_t>(in.shape(), in.shape() + in.ndim()));
    } else {
      result = check_array(out, "out", true);
      bool same = result.ndim() == in.ndim();
      for (py::ssize_t i = 0; same && i < in.ndim(); ++i) same = result.shape(i) == in.shape(i);
      if (!same)
        throw py::value_error("out: its shape must be the frame's, " + shape_text(in) + ", it is " +
                              shape_text(result));
    }
    const uint32_t frames = static_cast<uint32_t>(in.shape(0));
    const float* from = static_cast<const float*>(in.data());
    float* to = static_cast<float*>(result.mutable_data());
    if (from != to && from < to + in.size() && to < from + in.size()) {
      throw py::value_error("out: overlaps the frame; give the frame itself or another array");
    }
    rtv_status status;
    {
      const Turn turn(&busy_, "process");
      py::gil_scoped_release release;
      status = rtv_engine_process(handle_, from, to, frames);
    }
    if (status != RTV_OK) throw py::value_error(rtv_status_string(status));
    return std::move(result);
  }

  uint32_t latency() const { return rtv_engine_latency(handle_); }
  void reset() {
    const Turn turn(&busy_, "reset");
    rtv_engine_reset(handle_);
  }
  void set(const std::string& name, const py::array_t<float, py::array::c_style | py::array::forcecast>& values) {
    const rtv_status status =
        rtv_engine_set(handle_, name.c_str(), values.data(), static_cast<uint32_t>(values.size()));
    if (status != RTV_OK) {
      throw py::value_error("parameter '" + name + "': no such parameter, not its number of values (" +
                            std::to_string(values.size()) + " given), or a value that is not finite");
    }
  }
  bool bypass() const { return bypass_; }
  void set_bypass(bool on) {
    bypass_ = on;
    rtv_engine_bypass(handle_, on ? 1 : 0);
  }
  void swap(Model& model) {
    const rtv_model* next = model.made().handle();
    rtv_status status;
    {
      py::gil_scoped_release release;
      status = rtv_engine_swap(handle_, next);
    }
    check(status);
  }
  uint32_t tier() const {
    rtv_stats s;
    rtv_stats_init(&s);
    rtv_engine_stats(handle_, &s);
    return s.tier;
  }
  void hold_tier(int32_t tier) {
    if (rtv_engine_tier(handle_, tier) != RTV_OK) throw py::value_error("tier: there is none of that number");
  }
  py::array_t<float> output(const std::string& name) const {
    const uint32_t size = rtv_engine_output(handle_, name.c_str(), nullptr, 0);
    if (size == 0) throw py::key_error(name);
    py::array_t<float> values(static_cast<py::ssize_t>(size));
    rtv_engine_output(handle_, name.c_str(), values.mutable_data(), size);
    return values;
  }
  py::dict stats() const {
    rtv_stats s;
    rtv_stats_init(&s);
    rtv_engine_stats(handle_, &s);
    py::dict us, result;
    us["p50"] = s.us_p50;
    us["p90"] = s.us_p90;
    us["p99"] = s.us_p99;
    us["p999"] = s.us_p999;
    us["max"] = s.us_max;
    result["frames"] = s.frames;
    result["calls"] = s.calls;
    result["us"] = us;
    result["load"] = s.load;
    result["overruns"] = s.overruns;
    result["nonfinite"] = s.nonfinite;
    result["tier"] = s.tier;
    result["tier_changes"] = s.tier_changes;
    return result;
  }
  py::dict latency_parts() const {
    rtv_stats s;
    rtv_stats_init(&s);
    rtv_engine_stats(handle_, &s);
    py::dict parts;  // milliseconds
    parts["model"] = s.latency_model_ms;
    parts["resampler"] = s.latency_resampler_ms;
    parts["buffering"] = s.latency_buffering_ms;
    return parts;
  }
  py::dict memory() const {
    rtv_stats s;
    rtv_stats_init(&s);
    rtv_engine_stats(handle_, &s);
    py::dict bytes;
    bytes["weights"] = s.memory_weights;
    bytes["state"] = s.memory_state;
    bytes["scratch"] = s.memory_scratch;
    return bytes;
  }

 private:
  static uint32_t resampler_of(const std::string& name) {
    const char* names[] = {"auto", "fir", "fastest", "medium", "best", "fir-short"};
    for (uint32_t i = 0; i < 6; ++i) {
      if (name == names[i]) return i;
    }
    throw py::value_error("resampler must be auto, fir, fir-short, fastest, medium or best, it is '" + name + "'");
  }
  static std::string shape_text(const py::array& a) {
    std::string text = "(";
    for (py::ssize_t i = 0; i < a.ndim(); ++i)
      text += std::to_string(a.shape(i)) + (i + 1 < a.ndim() ? ", " : a.ndim() == 1 ? ",)" : ")");
    return text + (a.ndim() == 0 ? ")" : "");
  }
  py::array check_array(const py::object& object, const char* what, bool writable) const {
    const std::string name(what);
    if (!py::isinstance<py::array>(object)) throw py::value_error(name + ": must be a numpy array of float32");
    py::array a = py::reinterpret_borrow<py::array>(object);
    if (!a.dtype().is(py::dtype::of<float>()) && !a.dtype().equal(py::dtype::of<float>())) {
      throw py::value_error(name + ": must be float32, it is " + std::string(py::str(a.dtype())) +
                            "; use .astype(numpy.float32)");
    }
    if (!(a.ndim() == 1 && channels_ == 1) && !(a.ndim() == 2 && a.shape(1) == static_cast<py::ssize_t>(channels_))) {
      const std::string wanted = channels_ == 1 ? "(n,) or (n, 1)" : "(n, " + std::to_string(channels_) + ")";
      throw py::value_error(name + ": its shape must be " + wanted + ", it is " + shape_text(a));
    }
    if ((a.flags() & py::array::c_style) == 0)
      throw py::value_error(name + ": must be C-contiguous; use numpy.ascontiguousarray");
    if ((a.flags() & py::detail::npy_api::NPY_ARRAY_ALIGNED_) == 0)
      throw py::value_error(name + ": does not lie at whole floats in memory; use .copy()");
    if (writable && !a.writeable()) throw py::value_error(name + ": must be writable");
    if (a.shape(0) > static_cast<py::ssize_t>(max_frame_)) {
      throw py::value_error(name + ": has " + std::to_string(a.shape(0)) +
                            " samples, more than max_frame = " + std::to_string(max_frame_));
    }
    if (block_ != 0 && a.shape(0) != 0 && a.shape(0) != static_cast<py::ssize_t>(block_)) {
      throw py::value_error(name + ": has " + std::to_string(a.shape(0)) +
                            " samples, the engine was promised blocks of exactly " + std::to_string(block_));
    }
    return a;
  }

  // The C interface takes one thread at a time; Python's threads get an error instead of a crash.
  class Turn {
   public:
    Turn(std::atomic<bool>* busy, const char* what) : busy_(busy) {
      if (busy_->exchange(true, std::memory_order_acquire)) {
        throw py::value_error(
            std::string(what) +
            ": another thread is in process() or reset() of this engine; one at a time, or an engine each");
      }
    }
    ~Turn() { busy_->store(false, std::memory_order_release); }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

   private:
    std::atomic<bool>* busy_;
  };

  std::atomic<bool> busy_{false};
  rtv_engine* handle_ = nullptr;
  uint32_t channels_, max_frame_ = 0, block_ = 0;
  bool bypass_ = false;
};

// Methods that refuse an instance whose __init__ never ran.
template <typename R, typename C, typename... A>
auto on_instance(R (C::*method)(A...)) {
  return [method](C& self, A... args) -> R { return (self.made().*method)(std::forward<A>(args)...); };
}
template <typename R, typename C, typename... A>
auto on_instance(R (C::*method)(A...) const) {
  return [method](C& self, A... args) -> R { return (self.made().*method)(std::forward<A>(args)...); };
}

}  // namespace

PYBIND11_MODULE(_core, m, py::mod_gil_not_used()) {
  m.doc() = "The native core of rtvoice.";
  m.def("isa", [] { return std::string(rtv_isa()); }, "The instruction set in use.");
  m.def("version", [] {
    const uint32_t v = rtv_version();
    return std::to_string(v / 10000) + "." + std::to_string(v / 100 % 100) + "." + std::to_string(v % 100);
  });
  py::class_<Model>(m, "Model")
      .def_static("open", &Model::open, py::arg("path"))
      .def_static("from_bytes", &Model::from_bytes, py::arg("data"))
      .def("info", on_instance(&Model::info));
  py::class_<Engine>(m, "Engine")
      .def(py::init<const std::vector<Model*>&, uint32_t, uint32_t, uint32_t, uint32_t, uint64_t, const std::string&,
                    float, bool, bool>(),
           py::arg("tiers"), py::arg("sample_rate"), py::arg("max_frame"), py::arg("channels"), py::arg("block"),
           py::arg("seed"), py::arg("resampler"), py::arg("fade_ms"), py::arg("sliced"), py::arg("dry"))
      .def("tier", on_instance(&Engine::tier))
      .def("hold_tier", on_instance(&Engine::hold_tier), py::arg("tier"))
      .def("process", on_instance(&Engine::process), py::arg("frame"), py::arg("out") = py::none())
      .def_property_readonly("latency", on_instance(&Engine::latency))
      .def("latency_parts", on_instance(&Engine::latency_parts))
      .def("reset", on_instance(&Engine::reset))
      .def("set", on_instance(&Engine::set), py::arg("name"), py::arg("values"))
      .def_property("bypass", on_instance(&Engine::bypass), on_instance(&Engine::set_bypass))
      .def("stats", on_instance(&Engine::stats))
      .def("swap", on_instance(&Engine::swap), py::arg("model"))
      .def("output", on_instance(&Engine::output), py::arg("name"))
      .def("memory", on_instance(&Engine::memory));
}
