// The log's writing thread: ring to file, 16 bits, pieces with checksums, rotation, a full disk.
#include "log/writer.h"

#include <array>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>

#if !defined(_WIN32)
#include <pthread.h>

#include <csignal>
#endif

namespace rtvoice::log {
namespace {

constexpr size_t kChunkBytes = 65536;           // a piece is written when it is as long, or as old as flush_seconds
constexpr size_t kHeldBytes = 4u << 20;         // what waits while the disk takes nothing; then it is a gap
constexpr std::chrono::milliseconds kPoll(10);  // the ring holds a second and more

constexpr std::array<uint32_t, 256> crc_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t c = i;
    for (int bit = 0; bit < 8; ++bit) c = c & 1 ? 0xedb88320u ^ (c >> 1) : c >> 1;
    table[i] = c;
  }
  return table;
}
constexpr std::array<uint32_t, 256> kCrcTable = crc_table();

// 1.2 is full scale, not a sample that has wrapped.
int16_t to_pcm16(float sample) {
  const float scaled = sample * 32768.0f;
  return static_cast<int16_t>(std::lrintf(scaled >= 32767.0f    ? 32767.0f
                                          : scaled > -32768.0f  ? scaled
                                          : scaled <= -32768.0f ? -32768.0f
                                                                : 0.0f));
}

void replace(std::string* text, const char* what, const std::string& with) {
  const size_t at = text->find(what);
  if (at != std::string::npos) text->replace(at, std::strlen(what), with);
}

}  // namespace

uint32_t crc32(const void* data, size_t bytes) noexcept {
  uint32_t crc = ~0u;
  for (const auto* p = static_cast<const uint8_t*>(data); bytes != 0; --bytes, ++p)
    crc = kCrcTable[(crc ^ *p) & 255] ^ (crc >> 8);
  return ~crc;
}

double steady_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

bool Writer::start(const std::string& path, std::string header, std::string* error) {
  path_ = path;
  header_ = std::move(header);
  staging_.reserve(tap_->ring().capacity() / 4);  // no call is larger
  chunk_.reserve(kChunkBytes + 2 * staging_.capacity());
  chunk_.resize(sizeof(Chunk));
  if (!open_part(0, error)) return false;
  flushed_ = steady_seconds();
  thread_ = std::thread([this] { run(); });
  return true;
}

void Writer::stop() {
  if (!thread_.joinable()) return;
  stop_.store(true, std::memory_order_release);
  thread_.join();
}

// On the writing thread, too: a signal for a file that may not grow must not reach the host's.
void Writer::finish() {
  drain();
  settle_gap();
  const std::lock_guard<std::mutex> lock(mutex_);
  add_notes();
  const End end{{sizeof(End), kEnd, 0},
                tap_->index(),
                tap_->frames_lost() + dropped_total_,
                static_cast<uint32_t>(tap_->gaps() + gaps_),
                0};
  add(&end, sizeof end);
  std::string error;
  if (!write_chunk(&error)) {
    error_ = error;
    drop_chunk();
  } else {
    failing_ = false;
  }
  file_.close();
}

// A gap at the very end: no call came after it that would have told. The audio thread has let go, so this side may write.
void Writer::settle_gap() {
  if (!tap_->begin(0, 0)) return;
  tap_->end();
  drain();
}

void Writer::run() {
#if !defined(_WIN32)
  // A host's signal handlers are for its own threads; a file that may not grow is an error of write(), not SIGXFSZ.
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
#endif
  while (!stop_.load(std::memory_order_acquire)) {
    std::this_thread::sleep_for(kPoll);
    drain();
    const double now = steady_seconds();
    if (now - flushed_ >= options_.flush_seconds || (chunk_.size() >= kChunkBytes && !failing_)) {
      flushed_ = now;
      flush();
    }
  }
  finish();
}

// Record by record, so that a burst takes no more memory than a piece.
void Writer::drain() {
  for (uint64_t bytes = tap_->ring().filled(); bytes != 0;) {
    Head head;
    tap_->ring().read(&head, sizeof head);
    staging_.resize(head.size);
    std::memcpy(staging_.data(), &head, sizeof head);
    tap_->ring().read(staging_.data() + sizeof head, head.size - sizeof head);
    bytes -= head.size;
    take(staging_.data(), head.size);
    if (chunk_.size() >= kChunkBytes && !failing_) flush();
  }
}

void Writer::add(const void* data, size_t bytes) {
  const char* from = static_cast<const char*>(data);
  chunk_.insert(chunk_.end(), from, from + bytes);
}

void Writer::take(const char* record, uint32_t size) {
  Head head;
  std::memcpy(&head, record, sizeof head);
  if (head.kind == kCall) {
    take_call(record);
    return;
  }
  if (head.kind == kGap) {
    Gap gap;
    std::memcpy(&gap, record, sizeof gap);
    index_ = gap.index + gap.frames;
  }
  if (head.kind == kEngine) {
    const std::lock_guard<std::mutex> lock(mutex_);
    engine_ = std::move(next_engine_);
  }
  add(record, size);
}

void Writer::take_call(const char* record) {
  Call call;
  std::memcpy(&call, record, sizeof call);
  const bool audio = (call.head.flags & kAudio) != 0;
  if (audio && options_.pcm16) {
    const size_t samples = size_t{2} * call.frames * tap_->channels(), size = call.head.size;
    call.head.size = static_cast<uint32_t>(whole(sizeof call + samples * sizeof(int16_t)));
    const size_t at = chunk_.size();
    chunk_.resize(at + call.head.size);
    std::memcpy(chunk_.data() + at, &call, sizeof call);
    for (size_t i = 0; i < samples && sizeof call + i * sizeof(float) < size; ++i) {
      float sample;
      std::memcpy(&sample, record + sizeof call + i * sizeof(float), sizeof sample);
      const int16_t value = to_pcm16(sample);
      std::memcpy(chunk_.data() + at + sizeof call + i * sizeof value, &value, sizeof value);
    }
  } else {
    add(record, call.head.size);
  }
  if (call.status == 0) {
    chunk_frames_ += call.frames;
    index_ = call.index + call.frames;
  }
  ++chunk_calls_;
}

void Writer::add_notes() {
  for (const std::string& text : notes_) {
    const Note note{{static_cast<uint32_t>(sizeof(Note) + whole(text.size())), kNote, 0},
                    index_,
                    static_cast<uint32_t>(text.size()),
                    0};
    add(&note, sizeof note);
    add(text.data(), text.size());
    chunk_.resize(sizeof(Chunk) + whole(chunk_.size() - sizeof(Chunk)));
  }
  notes_.clear();
}

void Writer::flush() {
  const std::lock_guard<std::mutex> lock(mutex_);
  add_notes();
  if (chunk_.size() == sizeof(Chunk)) return;
  std::string error;
  if (write_chunk(&error)) {
    failing_ = false;
    if ((options_.rotate_bytes != 0 && file_.size() >= options_.rotate_bytes) ||
        (options_.rotate_seconds > 0.0 && steady_seconds() - opened_ >= options_.rotate_seconds))
      rotate();
    return;
  }
  failing_ = true;
  error_ = error;
  if (chunk_.size() >= kHeldBytes) drop_chunk();
}

// Under the mutex.
bool Writer::write_chunk(std::string* error) {
  uint64_t index = 0;
  std::memcpy(&index, chunk_.data() + sizeof(Chunk) + sizeof(Head), sizeof index);  // every record has it there
  const uint32_t bytes = static_cast<uint32_t>(chunk_.size() - sizeof(Chunk));
  Chunk head{kChunkMagic, bytes, chunk_number_, index, crc32(chunk_.data() + sizeof(Chunk), bytes), 0};
  head.header_crc = crc32(&head, offsetof(Chunk, header_crc));
  std::memcpy(chunk_.data(), &head, sizeof head);
  if (!file_.append(chunk_.data(), chunk_.size(), error)) return false;
  bytes_ += chunk_.size();
  frames_ += chunk_frames_;
  ++chunk_number_;
  if (dropped_calls_ != 0) ++gaps_;
  dropped_frames_ = chunk_frames_ = 0;
  dropped_calls_ = chunk_calls_ = 0;
  chunk_index_ = index_;
  chunk_.resize(sizeof(Chunk));
  return true;
}

// The disk takes nothing and no more may wait: what waits becomes a gap, told at the head of the next piece.
void Writer::drop_chunk() {
  if (dropped_calls_ == 0) dropped_index_ = chunk_index_;
  dropped_total_ += chunk_frames_;
  dropped_frames_ = index_ - dropped_index_;
  dropped_calls_ += chunk_calls_;
  chunk_index_ = index_;
  chunk_.resize(sizeof(Chunk));
  chunk_frames_ = 0;
  chunk_calls_ = 0;
  const Gap gap{{sizeof(Gap), kGap, 0}, dropped_index_, dropped_frames_, dropped_calls_, kDiskFull};
  add(&gap, sizeof gap);
  tap_->tell_again.store(true, std::memory_order_relaxed);
}

// session.rtlog, session.0001.rtlog, session.0002.rtlog ...
std::string Writer::part_path(uint32_t part) const {
  if (part == 0) return path_;
  char number[16];
  std::snprintf(number, sizeof number, ".%04u", part);
  const size_t slash = path_.find_last_of("/\\"), dot = path_.rfind('.');
  const bool extension = dot != std::string::npos && dot != 0 && (slash == std::string::npos || dot > slash + 1);
  return extension ? path_.substr(0, dot) + number + path_.substr(dot) : path_ + number;
}

void Writer::rotate() {
  std::string error;
  if (!open_part(part_ + 1, &error)) {  // this file goes on
    error_ = error;
    opened_ = steady_seconds();
    return;
  }
  ++part_;
  if (options_.keep_files != 0 && part_ >= options_.keep_files) remove_file(part_path(part_ - options_.keep_files));
  tap_->tell_again.store(true, std::memory_order_relaxed);
}

bool Writer::open_part(uint32_t part, std::string* error) {
  std::string text = header_;
  replace(&text, "%PART%", std::to_string(part));
  replace(&text, "%INDEX%", std::to_string(index_));
  replace(&text, "%LATE%", std::to_string(engine_.latency));
  replace(&text, "%MODELS%", engine_.models);
  char first[40];
  std::snprintf(first, sizeof first, "rtlog 1 %08x %08x\n", static_cast<unsigned>(text.size()),
                crc32(text.data(), text.size()));
  text = first + text;
  File next;
  if (!next.create(part_path(part), error)) return false;
  if (!next.append(text.data(), text.size(), error)) {
    next.discard();
    return false;
  }
  file_.swap(next);
  bytes_ += text.size();
  chunk_number_ = 0;
  opened_ = steady_seconds();
  return true;
}

void Writer::note(const std::string& text) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (notes_.size() < 4096) notes_.push_back(text.substr(0, 4096));
}

void Writer::status(rtv_log_status* out) {
  const std::lock_guard<std::mutex> lock(mutex_);
  out->frames = frames_;
  out->frames_lost = tap_->frames_lost() + dropped_total_;
  out->gaps = tap_->gaps() + gaps_ + (dropped_calls_ != 0 ? 1 : 0);
  out->bytes = bytes_;
  out->files = part_ + 1;
  out->failing = failing_ ? 1 : 0;
  std::snprintf(out->error, sizeof out->error, "%s", error_.c_str());
}

}  // namespace rtvoice::log
