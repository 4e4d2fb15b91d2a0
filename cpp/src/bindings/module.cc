// rtvoice._core: the C interface as Python sees it. Frames are strict: float32, C-contiguous, (n,) or (n, channels).
#include "bindings/engine_binding.h"
#include "bindings/parts.h"

using namespace rtvoice::bindings;  // NOLINT: this file is nothing else

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
      .def("begin_log", on_instance(&Engine::begin_log), py::arg("path"), py::arg("pcm16"), py::arg("redact"),
           py::arg("retention_days"), py::arg("who"), py::arg("rotate_bytes"), py::arg("rotate_seconds"),
           py::arg("keep_files"), py::arg("ring_ms"), py::arg("flush_ms"))
      .def("end_log", on_instance(&Engine::end_log))
      .def("log_note", on_instance(&Engine::log_note), py::arg("text"))
      .def("log_status", on_instance(&Engine::log_status))
      .def("pretend_load", on_instance(&Engine::pretend_load), py::arg("load"))
      .def("memory", on_instance(&Engine::memory));
  add_pool(m);
  add_measure(m);
  add_live(m);
}
