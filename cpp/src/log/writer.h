// The log's other end: a thread that polls the ring and writes files, so that the audio thread never has to wake anyone.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "log/file.h"
#include "log/tap.h"

namespace rtvoice::log {

struct Options {
  bool pcm16 = false, redact = false;
  uint64_t rotate_bytes = 0;
  double rotate_seconds = 0.0;
  uint32_t keep_files = 0;  // 0: all
  double flush_seconds = 0.1;
};

// What the head of a file tells of the engine whose log it is.
struct EngineLines {
  uint32_t latency = 0;
  std::string models;  // JSON
};

class Writer {
 public:
  Writer(Tap* tap, const Options& options) : tap_(tap), options_(options) {}
  ~Writer() { stop(); }

  void set_engine(EngineLines lines) { engine_ = std::move(lines); }  // before start
  // The engine that a kEngine record will name. [main-thread]
  void next_engine(EngineLines lines) {
    const std::lock_guard<std::mutex> lock(mutex_);
    next_engine_ = std::move(lines);
  }
  // Makes the first file and starts the thread. `header`: the text of a file's head, with %PART%, %INDEX%, %LATE% and %MODELS% for what differs between
  // files.
  bool start(const std::string& path, std::string header, std::string* error);
  // Writes what is left, and ends. The audio thread has let go of the tap.
  void stop();
  void note(const std::string& text);
  void status(rtv_log_status* status);

 private:
  void run();
  void finish();
  void drain();
  void take(const char* record, uint32_t size);
  void take_call(const char* record);
  void add(const void* data, size_t bytes);
  void settle_gap();
  void add_notes();
  void flush();
  bool write_chunk(std::string* error);
  void drop_chunk();
  void rotate();
  bool open_part(uint32_t part, std::string* error);
  std::string part_path(uint32_t part) const;

  Tap* tap_;
  const Options options_;
  std::string path_, header_;
  EngineLines engine_;
  File file_;
  uint32_t part_ = 0;
  uint64_t chunk_number_ = 0;
  double opened_ = 0.0, flushed_ = 0.0;                      // seconds of the steady clock
  std::vector<char> staging_, chunk_;                        // chunk_: room for its header first
  uint64_t chunk_frames_ = 0, chunk_index_ = 0, index_ = 0;  // in the chunk; where it begins; behind its last record
  uint32_t chunk_calls_ = 0;
  uint64_t dropped_index_ = 0, dropped_frames_ = 0;  // since the last chunk that was written
  uint32_t dropped_calls_ = 0;

  std::thread thread_;
  std::atomic<bool> stop_{false};
  std::mutex mutex_;  // between main threads and this one
  std::vector<std::string> notes_;
  EngineLines next_engine_;
  std::string error_;
  uint64_t frames_ = 0, dropped_total_ = 0, gaps_ = 0, bytes_ = 0;
  bool failing_ = false;
};

uint32_t crc32(const void* data, size_t bytes) noexcept;
double steady_seconds();

}  // namespace rtvoice::log
