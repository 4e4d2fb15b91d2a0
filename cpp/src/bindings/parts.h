// The module's other parts.
#pragma once

#include <pybind11/pybind11.h>

namespace rtvoice::bindings {

void add_pool(pybind11::module_& m);     // Pool, and the choice of a tier
void add_measure(pybind11::module_& m);  // what rtvoice-bench times with
void add_live(pybind11::module_& m);     // LiveStream: devices and an engine

}  // namespace rtvoice::bindings
