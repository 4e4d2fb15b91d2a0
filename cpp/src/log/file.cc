// A file that a log grows.
#include "log/file.h"

#include <fcntl.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#if defined(_WIN32)
#include <io.h>
#include <share.h>
#include <stdlib.h>
#include <sys/stat.h>
#else
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

namespace rtvoice::log {
namespace {

#if defined(_WIN32)
constexpr unsigned long kSharingViolation = 32;  // ERROR_SHARING_VIOLATION
// Windows locks as it opens: while this is open others may read it, and none write.
int open_new(const char* path, bool* taken) {
  int file = -1;
  if (::_sopen_s(&file, path, _O_RDWR | _O_CREAT | _O_BINARY | _O_NOINHERIT, _SH_DENYWR, _S_IREAD | _S_IWRITE) != 0)
    *taken = _doserrno == kSharingViolation;
  return file;
}
int64_t write_some(int file, const char* data, uint64_t bytes) {
  return ::_write(file, data, static_cast<unsigned>(bytes < (1u << 30) ? bytes : (1u << 30)));
}
void cut(int file, uint64_t size) {
  ::_chsize_s(file, static_cast<int64_t>(size));
  ::_lseeki64(file, static_cast<int64_t>(size), SEEK_SET);
}
bool is_plain(int) { return true; }
void close_file(int file) { ::_close(file); }
#else
int open_new(const char* path, bool* taken) {
  const int file = ::open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  *taken = file >= 0 && ::flock(file, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  return file;
}
int64_t write_some(int file, const char* data, uint64_t bytes) { return ::write(file, data, bytes); }
void cut(int file, uint64_t size) {
  if (::ftruncate(file, static_cast<off_t>(size)) == 0) ::lseek(file, static_cast<off_t>(size), SEEK_SET);
}
bool is_plain(int file) {
  struct stat found;
  return ::fstat(file, &found) == 0 && S_ISREG(found.st_mode);
}
void close_file(int file) { ::close(file); }
#endif

std::string reason(int number) {
  if (number == ENOSPC) return "the disk is full";
#if defined(EDQUOT)
  if (number == EDQUOT) return "the disk quota is used up";
#endif
  if (number == EFBIG) return "the file may not grow any further";
  return std::strerror(number);
}

}  // namespace

bool File::create(const std::string& path, std::string* error) {
  close();
  path_ = path;
  size_ = 0;
  bool taken = false;
  file_ = open_new(path.c_str(), &taken);
  if (taken) {
    close();
    *error = path + " is being written by another log; name another file";
    return false;
  }
  if (file_ < 0) {
    *error = path + " cannot be written: " + reason(errno);
    return false;
  }
  cut(file_, 0);
  return true;
}

bool File::append(const void* data, uint64_t bytes, std::string* error) {
  const char* from = static_cast<const char*>(data);
  for (uint64_t done = 0; done < bytes;) {
    const int64_t now = write_some(file_, from + done, bytes - done);
    if (now > 0) {
      done += static_cast<uint64_t>(now);
    } else if (now == 0 || errno != EINTR) {
      *error = path_ + " cannot be written: " + (now == 0 ? "nothing is taken" : reason(errno));
      cut(file_, size_);
      return false;
    }
  }
  size_ += bytes;
  return true;
}

void File::discard() noexcept {
  const bool plain = file_ >= 0 && is_plain(file_);
  close();
  if (plain) remove_file(path_);
}

void File::close() noexcept {
  if (file_ >= 0) close_file(file_);
  file_ = -1;
}

bool remove_file(const std::string& path) noexcept { return std::remove(path.c_str()) == 0; }

}  // namespace rtvoice::log
