// What stands behind the C interface's handles, and how its functions fail.
#pragma once

#include <exception>
#include <memory>
#include <new>
#include <string>

#include "engine/engine.h"
#include "engine/pool.h"
#include "rtvoice/rtvoice.h"

struct rtv_model {
  std::shared_ptr<rtvoice::Model> model;
};
struct rtv_engine {
  rtvoice::Engine* engine = nullptr;
  bool pooled = false;  // a pool's, which destroys it
  std::unique_ptr<rtvoice::Engine> owned;
};
struct rtv_pool {
  std::unique_ptr<rtvoice::Pool> pool;
  std::vector<rtv_engine> engines;
};

namespace rtvoice {

// Keeps the text for rtv_last_error.
rtv_status fail(rtv_status status, const std::string& what);

// No more than to->struct_size bytes: a host built against an older header has a shorter struct.
void copy_stats(const rtv_stats& all, rtv_stats* to) noexcept RTV_NONBLOCKING;

// Runs `body`, which may throw only for want of memory.
template <typename Body>
rtv_status guarded(Body body) {
  try {
    return body();
  } catch (const std::bad_alloc&) {
    return fail(RTV_ERROR_MEMORY, "out of memory");
  } catch (const std::exception& e) {
    return fail(RTV_ERROR_MODEL, e.what());
  }
}

}  // namespace rtvoice
