// A log of one engine: its options checked, its head written.
#include "log/log.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <system_error>

namespace rtvoice::log {
namespace {

std::string check(const rtv_log_config& c) {
  if (c.format > RTV_LOG_PCM16) return "format must be RTV_LOG_FLOAT32 or RTV_LOG_PCM16";
  if (!(c.rotate_seconds >= 0.0f && std::isfinite(c.rotate_seconds))) return "rotate_seconds must be 0 or more";
  if (c.ring_ms > 60000) return "ring_ms must be 0 to 60000, it is " + std::to_string(c.ring_ms);
  if (c.flush_ms < 1 || c.flush_ms > 60000) return "flush_ms must be 1 to 60000, it is " + std::to_string(c.flush_ms);
  return "";
}

// Without a ring of at least four of the largest calls a host that uses them would always overflow.
uint64_t ring_bytes(const rtv_log_config& c, const rtv_config& stream) {
  const uint64_t frame = c.redact ? 0 : uint64_t{2} * stream.channels * sizeof(float);
  const uint64_t calls = stream.sample_rate * uint64_t{sizeof(Call)} / 16;  // room for the heads of calls of 16 samples
  const uint64_t second = stream.sample_rate * frame + calls;
  const uint64_t largest = stream.max_frame * frame + 4096;
  return std::max(second * c.ring_ms / 1000, 4 * largest) + 65536;
}

std::string date(std::time_t time) {
  char text[32] = "";
  std::tm parts{};
#if defined(_WIN32)
  gmtime_s(&parts, &time);
#else
  gmtime_r(&time, &parts);
#endif
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

std::string one_line(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 32 || c == '%') c = ' ';
  }
  return text.substr(0, 200);
}

std::string turned_on_by(const rtv_log_config& c) {
  if (c.who != nullptr && c.who[0] != '\0') return one_line(c.who);
  for (const char* variable : {"USER", "LOGNAME", "USERNAME"}) {
    if (const char* user = std::getenv(variable); user != nullptr && user[0] != '\0') return one_line(user);
  }
  return "someone unnamed";
}

// A JSON string. The model's file and the host may have given bytes that are no text: the reader takes them as such.
std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : one_line(text)) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

std::string header_text(const rtv_log_config& c, const Stream& stream) {
  using Clock = std::chrono::system_clock;
  const double unix = std::chrono::duration<double>(Clock::now().time_since_epoch()).count();
  const std::time_t now = static_cast<std::time_t>(unix);
  const std::string who = turned_on_by(c);
  const char* audio = c.redact ? "none" : c.format == RTV_LOG_PCM16 ? "pcm16" : "float32";
  std::string text = "turned on by " + who + " at " + date(now) + "; ";
  text += c.redact ? "timing and events only, no audio; " : "holds audio of a person's voice where one spoke; ";
  text += c.retention_days == 0 ? std::string("no date of deletion was given\n")
                                : "to be deleted by " + date(now + std::time_t{86400} * c.retention_days) + "\n";
  char session[17];
  std::snprintf(
      session, sizeof session, "%016llx",
      static_cast<unsigned long long>((stream.now ^ static_cast<uint64_t>(unix * 1e6) * 0x9e3779b97f4a7c15ull)));
  const rtv_config& config = *stream.config;
  char numbers[1024];
  std::snprintf(
      numbers, sizeof numbers,
      "{\"part\":%%PART%%,\"first_index\":%%INDEX%%,\"format\":1,\"rtvoice\":%u,\"session\":\"%s\","
      "\"unix_time\":%.6f,\"retention_days\":%u,\"audio\":\"%s\",\"isa\":\"%s\",\"ticks_per_second\":%.17g,"
      "\"latency\":%%LATE%%,\"sample_rate\":%u,\"channels\":%u,\"max_frame\":%u,\"block\":%u,\"resampler\":%u,"
      "\"seed\":%llu,\"fade_ms\":%.9g,\"schedule\":%u,\"overload\":%u",
      RTVOICE_VERSION_NUMBER, session, unix, c.retention_days, audio, stream.isa, stream.ticks_per_second,
      config.sample_rate, config.channels, config.max_frame, config.block, config.resampler,
      static_cast<unsigned long long>(config.seed), static_cast<double>(config.fade_ms), config.schedule,
      config.overload);
  text += numbers;
  text += ",\"turned_on_by\":" + quoted(who) + ",\"created_with\":[";
  return text + "%MODELS%]}\n";
}

}  // namespace

std::string models_text(const std::vector<ModelLine>& models) {
  std::string text;
  for (const ModelLine& line : models) {
    char hash[17];
    std::snprintf(hash, sizeof hash, "%016llx", static_cast<unsigned long long>(line.hash));
    text += &line == models.data() ? "" : ",";
    text += "{\"name\":" + quoted(line.name) + ",\"tier\":" + quoted(line.tier) + ",\"hash\":\"" + hash + "\"}";
  }
  return text;
}

std::unique_ptr<Log> Log::start(const char* path, const rtv_log_config& config, const Stream& stream,
                                rtv_status* status, std::string* error) {
  *status = RTV_ERROR_ARGUMENT;
  *error = check(config);
  if (!error->empty()) return nullptr;
  Options options;
  options.pcm16 = config.format == RTV_LOG_PCM16;
  options.rotate_bytes = config.rotate_bytes;
  options.rotate_seconds = config.rotate_seconds;
  options.keep_files = config.keep_files;
  options.flush_seconds = config.flush_ms * 1e-3;
  std::unique_ptr<Log> log(new Log);
  log->tap_ = std::make_unique<Tap>(ring_bytes(config, *stream.config), stream.config->channels, config.redact == 0,
                                    stream.now);
  log->tap_->rehearse();
  log->writer_ = std::make_unique<Writer>(log->tap_.get(), options);
  log->writer_->set_engine({stream.latency, models_text(*stream.created_with)});
  *status = RTV_ERROR_FILE;
  try {
    if (!log->writer_->start(path, header_text(config, stream), error)) return nullptr;
  } catch (const std::system_error&) {
    *error = "the system gives no thread to write the log with";
    *status = RTV_ERROR_MEMORY;
    return nullptr;
  }
  *status = RTV_OK;
  return log;
}

}  // namespace rtvoice::log
