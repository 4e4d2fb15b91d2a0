// A log of one engine: ring, tap and writer together, and the text at the head of its files.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "log/tap.h"
#include "log/writer.h"

namespace rtvoice::log {

struct ModelLine {
  std::string name, tier;
  uint64_t hash = 0;
};

// What the head of a file tells, beside who turned it on.
struct Stream {
  const rtv_config* config = nullptr;
  uint32_t latency = 0;
  double ticks_per_second = 0.0;
  uint64_t now = 0;  // cycle counter
  const char* isa = "";
  const std::vector<ModelLine>* created_with = nullptr;  // best tier first
};

// The models that the stream's engine was made with, as the head of a file has them: JSON.
std::string models_text(const std::vector<ModelLine>& models);

class Log {
 public:
  // Null, a status and one line in `error`. [main-thread]
  static std::unique_ptr<Log> start(const char* path, const rtv_log_config& config, const Stream& stream,
                                    rtv_status* status, std::string* error);
  Tap* tap() { return tap_.get(); }
  Writer& writer() { return *writer_; }

 private:
  std::unique_ptr<Tap> tap_;
  std::unique_ptr<Writer> writer_;  // ends before the tap
};

}  // namespace rtvoice::log
