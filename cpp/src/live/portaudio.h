// PortAudio, loaded at run time: the same library that the Python side lists devices with, so that device numbers mean the same. Only what a stream needs.
#pragma once

#include <memory>
#include <string>

namespace rtvoice::live {

using PaStream = void;

struct PaStreamParameters {
  int device;
  int channels;
  unsigned long format;
  double latency;  // seconds, suggested
  void* host_api_info;
};

struct PaStreamInfo {
  int version;
  double input_latency, output_latency, sample_rate;
};

struct PaHostError {
  int host_api;
  long code;
  const char* text;
};

inline constexpr unsigned long kPaFloat32 = 1;
inline constexpr int kPaHostError = -9999;
// Bits of a callback's flags.
inline constexpr unsigned long kInputUnderflow = 1, kInputOverflow = 2, kOutputUnderflow = 4, kOutputOverflow = 8;

using PaCallback = int(const void* in, void* out, unsigned long frames, const void* times, unsigned long flags,
                       void* user);

// The functions of an initialised library.
class PortAudio {
 public:
  // By the name or path that dlopen takes. Null, with one line in `error`, where it cannot be loaded or lacks a function. [main-thread]
  static std::unique_ptr<PortAudio> load(const std::string& library, std::string* error);
  ~PortAudio();
  PortAudio(const PortAudio&) = delete;
  PortAudio& operator=(const PortAudio&) = delete;

  std::string text(int code) const;  // of an error, with the host's own words where it has some

  int (*open_stream)(PaStream**, const PaStreamParameters* in, const PaStreamParameters* out, double rate,
                     unsigned long frames, unsigned long flags, PaCallback*, void* user) = nullptr;
  int (*start_stream)(PaStream*) = nullptr;
  int (*stop_stream)(PaStream*) = nullptr;
  int (*abort_stream)(PaStream*) = nullptr;
  int (*close_stream)(PaStream*) = nullptr;
  int (*is_stream_active)(PaStream*) = nullptr;
  const PaStreamInfo* (*stream_info)(PaStream*) = nullptr;
  // Where the host API is ALSA: the callback's thread asks for real-time priority. Null elsewhere.
  void (*alsa_realtime)(PaStream*, int on) = nullptr;

 private:
  PortAudio() = default;
  void* handle_ = nullptr;
  const char* (*error_text_)(int) = nullptr;
  const PaHostError* (*host_error_)() = nullptr;
};

}  // namespace rtvoice::live
