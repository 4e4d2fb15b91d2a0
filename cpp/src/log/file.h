// A file that a log grows: whole pieces or nothing, one log at a time, readable by its owner alone.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

namespace rtvoice::log {

class File {
 public:
  File() = default;
  ~File() { close(); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  // Empty, and ours: false and one line in `error` where it cannot be made or another log is writing it.
  bool create(const std::string& path, std::string* error);
  // All of it; else none of it is left there, and `error` says why.
  bool append(const void* data, uint64_t bytes, std::string* error);
  void close() noexcept;
  void discard() noexcept;  // and remove it, unless it is a device or a pipe
  void swap(File& other) noexcept {
    std::swap(file_, other.file_);
    std::swap(size_, other.size_);
    path_.swap(other.path_);
  }
  uint64_t size() const { return size_; }

 private:
  int file_ = -1;
  uint64_t size_ = 0;
  std::string path_;
};

bool remove_file(const std::string& path) noexcept;

}  // namespace rtvoice::log
