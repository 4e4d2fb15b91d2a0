// PortAudio, loaded at run time.
#include "live/portaudio.h"

#if defined(_WIN32)
#include <windows.h>
#else
#include <dlfcn.h>
#endif

namespace rtvoice::live {
namespace {

#if defined(_WIN32)
void* open_library(const std::string& name, std::string* error) {
  void* handle = reinterpret_cast<void*>(LoadLibraryA(name.c_str()));
  if (handle == nullptr) *error = name + ": Windows error " + std::to_string(GetLastError());
  return handle;
}
void* symbol(void* handle, const char* name) {
  return reinterpret_cast<void*>(GetProcAddress(reinterpret_cast<HMODULE>(handle), name));
}
void close_library(void* handle) { FreeLibrary(reinterpret_cast<HMODULE>(handle)); }
#else
void* open_library(const std::string& name, std::string* error) {
  void* handle = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
  const char* why = handle == nullptr ? dlerror() : nullptr;
  if (handle == nullptr) *error = why == nullptr ? name + " cannot be loaded" : why;
  return handle;
}
void* symbol(void* handle, const char* name) { return dlsym(handle, name); }
void close_library(void* handle) { dlclose(handle); }
#endif

template <typename Function>
bool find(void* handle, const char* name, Function* function) {
  *function = reinterpret_cast<Function>(symbol(handle, name));
  return *function != nullptr;
}

}  // namespace

std::unique_ptr<PortAudio> PortAudio::load(const std::string& library, std::string* error) {
  std::unique_ptr<PortAudio> api(new PortAudio);
  api->handle_ = open_library(library, error);
  if (api->handle_ == nullptr) return nullptr;
  void* h = api->handle_;
  const bool whole = find(h, "Pa_OpenStream", &api->open_stream) && find(h, "Pa_StartStream", &api->start_stream) &&
                     find(h, "Pa_StopStream", &api->stop_stream) && find(h, "Pa_AbortStream", &api->abort_stream) &&
                     find(h, "Pa_CloseStream", &api->close_stream) &&
                     find(h, "Pa_IsStreamActive", &api->is_stream_active) &&
                     find(h, "Pa_GetStreamInfo", &api->stream_info) && find(h, "Pa_GetErrorText", &api->error_text_) &&
                     find(h, "Pa_GetLastHostErrorInfo", &api->host_error_);
  find(h, "PaAlsa_EnableRealtimeScheduling", &api->alsa_realtime);
  if (!whole) {
    *error = library + " is no PortAudio 19; install it (Debian: apt-get install libportaudio2)";
    return nullptr;
  }
  return api;
}

PortAudio::~PortAudio() {
  if (handle_ != nullptr) close_library(handle_);
}

std::string PortAudio::text(int code) const {
  std::string text = error_text_(code);
  if (code == kPaHostError) {
    const PaHostError* host = host_error_();
    if (host != nullptr && host->text != nullptr && host->text[0] != '\0') text += std::string(": ") + host->text;
  }
  return text;
}

}  // namespace rtvoice::live
