// What the bindings share: errors, models, the shape of frames, and one thread at a time.
#pragma once

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

namespace rtvoice::bindings {

namespace py = pybind11;

// Raises what a status means in Python: ModelError for models, OSError for files, MemoryError, ValueError for the rest.
[[noreturn]] inline void raise(rtv_status status, const std::string& what) {
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

inline void check(rtv_status status) {
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

inline uint32_t resampler_of(const std::string& name) {
  const char* names[] = {"auto", "fir", "fastest", "medium", "best", "fir-short"};
  for (uint32_t i = 0; i < 6; ++i) {
    if (name == names[i]) return i;
  }
  throw py::value_error("resampler must be auto, fir, fir-short, fastest, medium or best, it is '" + name + "'");
}
inline std::string shape_text(const py::array& a) {
  std::string text = "(";
  for (py::ssize_t i = 0; i < a.ndim(); ++i)
    text += std::to_string(a.shape(i)) + (i + 1 < a.ndim() ? ", " : a.ndim() == 1 ? ",)" : ")");
  return text + (a.ndim() == 0 ? ")" : "");
}
// What frames must be: float32, C-contiguous, `leading` (a pool's streams, or none) before (n,) or (n, channels).
struct FrameShape {
  uint32_t channels = 1, max_frame = 0, block = 0, streams = 0;  // streams 0: an engine's frame
  std::string wanted() const {
    const std::string lead = streams == 0 ? "" : std::to_string(streams) + ", ", n = std::to_string(channels);
    const std::string flat = streams == 0 ? "(n,)" : "(" + lead + "n)";
    return channels == 1 ? flat + " or (" + lead + "n, 1)" : "(" + lead + "n, " + n + ")";
  }
  py::ssize_t axis() const { return streams == 0 ? 0 : 1; }
  bool holds(const py::array& a) const {
    const py::ssize_t lead = axis();
    if (lead == 1 && (a.ndim() == 0 || a.shape(0) != static_cast<py::ssize_t>(streams))) return false;
    return (a.ndim() == lead + 1 && channels == 1) ||
           (a.ndim() == lead + 2 && a.shape(lead + 1) == static_cast<py::ssize_t>(channels));
  }
};

inline py::array check_array(const py::object& object, const char* what, bool writable, const FrameShape& shape) {
  const std::string name(what);
  if (!py::isinstance<py::array>(object)) throw py::value_error(name + ": must be a numpy array of float32");
  py::array a = py::reinterpret_borrow<py::array>(object);
  if (!a.dtype().is(py::dtype::of<float>()) && !a.dtype().equal(py::dtype::of<float>())) {
    throw py::value_error(name + ": must be float32, it is " + std::string(py::str(a.dtype())) +
                          "; use .astype(numpy.float32)");
  }
  if (!shape.holds(a))
    throw py::value_error(name + ": its shape must be " + shape.wanted() + ", it is " + shape_text(a));
  if ((a.flags() & py::array::c_style) == 0)
    throw py::value_error(name + ": must be C-contiguous; use numpy.ascontiguousarray");
  if ((a.flags() & py::detail::npy_api::NPY_ARRAY_ALIGNED_) == 0)
    throw py::value_error(name + ": does not lie at whole floats in memory; use .copy()");
  if (writable && !a.writeable()) throw py::value_error(name + ": must be writable");
  const py::ssize_t n = a.shape(shape.axis());
  if (n > static_cast<py::ssize_t>(shape.max_frame)) {
    throw py::value_error(name + ": has " + std::to_string(n) +
                          " samples, more than max_frame = " + std::to_string(shape.max_frame));
  }
  if (shape.block != 0 && n != 0 && n != static_cast<py::ssize_t>(shape.block)) {
    throw py::value_error(name + ": has " + std::to_string(n) + " samples, the engine was promised blocks of exactly " +
                          std::to_string(shape.block));
  }
  return a;
}

// The output for a checked frame: `out`, or a new array.
inline py::array output_for(const py::array& in, const py::object& out, const FrameShape& shape) {
  if (out.is_none()) return py::array_t<float>(std::vector<py::ssize_t>(in.shape(), in.shape() + in.ndim()));
  py::array result = check_array(out, "out", true, shape);
  bool same = result.ndim() == in.ndim();
  for (py::ssize_t i = 0; same && i < in.ndim(); ++i) same = result.shape(i) == in.shape(i);
  if (!same)
    throw py::value_error("out: its shape must be the frame's, " + shape_text(in) + ", it is " + shape_text(result));
  const float* from = static_cast<const float*>(in.data());
  const float* to = static_cast<const float*>(result.data());
  if (from != to && from < to + in.size() && to < from + in.size())
    throw py::value_error("out: overlaps the frame; give the frame itself or another array");
  return result;
}

// An engine's configuration from Python's arguments.
inline rtv_config config_of(uint32_t sample_rate, uint32_t max_frame, uint32_t channels, uint32_t block, uint64_t seed,
                            const std::string& resampler, float fade_ms, bool sliced, bool dry) {
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
  return config;
}

inline py::dict stats_of(const rtv_stats& s) {
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

inline py::dict memory_of(const rtv_stats& s) {
  py::dict bytes;
  bytes["weights"] = s.memory_weights;
  bytes["state"] = s.memory_state;
  bytes["scratch"] = s.memory_scratch;
  return bytes;
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

// Methods that refuse an instance whose __init__ never ran.
template <typename R, typename C, typename... A>
auto on_instance(R (C::*method)(A...)) {
  return [method](C& self, A... args) -> R { return (self.made().*method)(std::forward<A>(args)...); };
}
template <typename R, typename C, typename... A>
auto on_instance(R (C::*method)(A...) const) {
  return [method](C& self, A... args) -> R { return (self.made().*method)(std::forward<A>(args)...); };
}

}  // namespace rtvoice::bindings
