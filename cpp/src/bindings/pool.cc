// rtvoice._core.Pool: many streams of one model; and what a model takes of a core.
#include "bindings/parts.h"
#include "bindings/shared.h"

namespace rtvoice::bindings {
namespace {

class Pool : public Zeroed {
 public:
  Pool(Model& model, uint32_t streams, const std::vector<uint64_t>& seeds, uint32_t sample_rate, uint32_t max_frame,
       uint32_t channels, uint32_t block, const std::string& resampler, float fade_ms, bool sliced) {
    const rtv_config config = config_of(sample_rate, max_frame, channels, block, 0, resampler, fade_ms, sliced, false);
    if (seeds.size() != streams) throw py::value_error("seeds: one per stream");
    shape_ = {channels, max_frame, block, streams};
    in_.resize(streams);
    out_.resize(streams);
    const rtv_model* made = model.made().handle();
    rtv_status status;
    {
      py::gil_scoped_release release;
      status = rtv_pool_create(made, &config, streams, seeds.data(), &handle_);
    }
    check(status);
  }
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;
  ~Pool() { rtv_pool_destroy(handle_); }

  Pool& made() {
    if (handle_ == nullptr) throw py::type_error("EnginePool: __init__ was never called");
    return *this;
  }

  py::object process(const py::object& frames, const py::object& out) {
    const py::array in = check_array(frames, "frames", false, shape_);
    py::array result = output_for(in, out, shape_);
    const float* from = static_cast<const float*>(in.data());
    float* to = static_cast<float*>(result.mutable_data());
    const size_t n = static_cast<size_t>(in.shape(1)), samples = n * shape_.channels;
    rtv_status status;
    {
      const Turn turn(&busy_, "process");
      for (size_t i = 0; i < in_.size(); ++i) {
        in_[i] = from + i * samples;
        out_[i] = to + i * samples;
      }
      py::gil_scoped_release release;
      status = rtv_pool_process(handle_, in_.data(), out_.data(), static_cast<uint32_t>(n));
    }
    if (status != RTV_OK) throw py::value_error(rtv_status_string(status));
    return std::move(result);
  }

  uint32_t latency() const { return rtv_pool_latency(handle_); }
  void reset(int64_t stream) {
    const Turn turn(&busy_, "reset");
    stream < 0 ? rtv_pool_reset(handle_) : rtv_engine_reset(engine(stream));
  }
  void set(int64_t stream, const std::string& name,
           const py::array_t<float, py::array::c_style | py::array::forcecast>& values) {
    if (rtv_engine_set(engine(stream), name.c_str(), values.data(), static_cast<uint32_t>(values.size())) != RTV_OK)
      throw py::value_error("parameter '" + name + "': no such parameter, or not its number of values");
  }
  void bypass(int64_t stream, bool on) { rtv_engine_bypass(engine(stream), on ? 1 : 0); }
  void swap(int64_t stream, Model& model) {
    const rtv_model* next = model.made().handle();
    rtv_engine* one = engine(stream);
    rtv_status status;
    {
      py::gil_scoped_release release;
      status = rtv_engine_swap(one, next);
    }
    check(status);
  }
  py::array_t<float> output(int64_t stream, const std::string& name) const {
    const uint32_t size = rtv_engine_output(engine(stream), name.c_str(), nullptr, 0);
    if (size == 0) throw py::key_error(name);
    py::array_t<float> values(static_cast<py::ssize_t>(size));
    rtv_engine_output(engine(stream), name.c_str(), values.mutable_data(), size);
    return values;
  }
  py::dict stats(int64_t stream) const { return stats_of(raw(stream)); }
  py::dict memory() const { return memory_of(raw(-1)); }

 private:
  rtv_engine* engine(int64_t stream) const {
    rtv_engine* one = stream < 0 ? nullptr : rtv_pool_engine(handle_, static_cast<uint32_t>(stream));
    if (one == nullptr) throw py::index_error("the pool has " + std::to_string(in_.size()) + " streams");
    return one;
  }
  rtv_stats raw(int64_t stream) const {
    rtv_stats s;
    rtv_stats_init(&s);
    stream < 0 ? rtv_pool_stats(handle_, &s) : rtv_engine_stats(engine(stream), &s);
    return s;
  }

  std::atomic<bool> busy_{false};
  rtv_pool* handle_ = nullptr;
  FrameShape shape_;
  std::vector<const float*> in_;
  std::vector<float*> out_;
};

float model_cost(Model& model, uint32_t sample_rate, uint32_t max_frame, const std::string& resampler) {
  const rtv_config config = config_of(sample_rate, max_frame, 1, 0, 0, resampler, 20.0f, false, false);
  const rtv_model* handle = model.made().handle();
  float share = 0.0f;
  rtv_status status;
  {
    py::gil_scoped_release release;
    status = rtv_model_cost(handle, &config, &share);
  }
  check(status);
  return share;
}

}  // namespace

void add_pool(py::module_& m) {
  m.def("model_cost", &model_cost, py::arg("model"), py::arg("sample_rate"), py::arg("max_frame"), py::arg("resampler"),
        "The share of one core that a model takes, by a short trial.");
  py::class_<Pool>(m, "Pool")
      .def(py::init<Model&, uint32_t, const std::vector<uint64_t>&, uint32_t, uint32_t, uint32_t, uint32_t,
                    const std::string&, float, bool>(),
           py::arg("model"), py::arg("streams"), py::arg("seeds"), py::arg("sample_rate"), py::arg("max_frame"),
           py::arg("channels"), py::arg("block"), py::arg("resampler"), py::arg("fade_ms"), py::arg("sliced"))
      .def("process", on_instance(&Pool::process), py::arg("frames"), py::arg("out") = py::none())
      .def_property_readonly("latency", on_instance(&Pool::latency))
      .def("reset", on_instance(&Pool::reset), py::arg("stream") = -1)
      .def("set", on_instance(&Pool::set), py::arg("stream"), py::arg("name"), py::arg("values"))
      .def("bypass", on_instance(&Pool::bypass), py::arg("stream"), py::arg("on"))
      .def("swap", on_instance(&Pool::swap), py::arg("stream"), py::arg("model"))
      .def("output", on_instance(&Pool::output), py::arg("stream"), py::arg("name"))
      .def("stats", on_instance(&Pool::stats), py::arg("stream") = -1)
      .def("memory", on_instance(&Pool::memory));
}

}  // namespace rtvoice::bindings
