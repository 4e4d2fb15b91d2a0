// onnxruntime through its C interface: one thread, all graph optimisations, every tensor bound to memory of ours.
//
// States swap places between hops: two bindings, one that reads A and writes B and one that reads B and writes A, so that no
// state is copied by anyone.
#include <dlfcn.h>

#include <algorithm>
#include <cstring>
#include <map>

#include "contender.h"
#include "onnxruntime_api.h"

namespace rtvoice::peers {
namespace {

struct Runtime {
  ort::Api api;
  ort::Env* env = nullptr;
  ort::MemoryInfo* memory = nullptr;
  std::string version;
};

// Kept for the process: the library cannot be unloaded safely.
Runtime* load(const char* library, std::string* error) {
  static std::map<std::string, Runtime> loaded;
  const auto found = loaded.find(library);
  if (found != loaded.end()) return &found->second;
  void* handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) return *error = dlerror(), nullptr;
  const auto get_base = reinterpret_cast<ort::GetApiBase>(dlsym(handle, "OrtGetApiBase"));
  if (get_base == nullptr) return *error = "the library has no OrtGetApiBase", nullptr;
  const ort::ApiBase* base = get_base();
  const void* const* table = base->get_api(ort::kApiVersion);
  if (table == nullptr) return *error = "the library does not offer version 14 of its interface", nullptr;
  Runtime runtime;
  runtime.version = base->version();
  for (size_t i = 0; i < sizeof(ort::Api) / sizeof(void*); ++i) {
    std::memcpy(reinterpret_cast<char*>(&runtime.api) + i * sizeof(void*), &table, sizeof(void*));
  }
  ort::Status* status = runtime.api.create_env(ort::kLogError, "rtvoice", &runtime.env);
  if (status == nullptr) {
    status = runtime.api.cpu_memory(ort::kArenaAllocator, ort::kDefaultMemory, &runtime.memory);
  }
  if (status != nullptr) return *error = runtime.api.error_message(status), nullptr;
  return &(loaded[library] = runtime);
}

struct Port {
  std::string name;
  std::vector<int64_t> shape;
  size_t floats = 1;
};

class OnnxruntimeContender : public Contender {
 public:
  explicit OnnxruntimeContender(Runtime* runtime) : runtime_(*runtime), api_(runtime->api) {}
  ~OnnxruntimeContender() override {
    for (ort::IoBinding* binding : binding_) {
      if (binding != nullptr) api_.release_binding(binding);
    }
    for (ort::Value* value : values_) api_.release_value(value);
    if (session_ != nullptr) api_.release_session(session_);
  }

  bool open(const char* path, std::string* error) {
    ort::SessionOptions* options = nullptr;
    ort::Allocator* allocator = nullptr;
    const bool made = ok(api_.create_options(&options), error) &&
                      ok(api_.set_execution_mode(options, ort::kSequential), error) &&
                      ok(api_.set_optimisation(options, ort::kOptimiseAll), error) &&
                      ok(api_.set_intra_threads(options, 1), error) && ok(api_.set_inter_threads(options, 1), error) &&
                      ok(api_.create_session(runtime_.env, path, options, &session_), error) &&
                      ok(api_.default_allocator(&allocator), error);
    if (options != nullptr) api_.release_options(options);
    return made && ports(true, allocator, &inputs_, error) && ports(false, allocator, &outputs_, error) && bind(error);
  }

  bool run() override {
    ort::Status* status = api_.run_with_binding(session_, nullptr, binding_[turn_]);
    turn_ ^= 1;
    if (status == nullptr) return true;
    api_.release_status(status);
    return false;
  }

  const std::vector<float>& output() override { return output_; }

 private:
  bool ok(ort::Status* status, std::string* error) const {
    if (status == nullptr) return true;
    *error = api_.error_message(status);
    api_.release_status(status);
    return false;
  }

  bool ports(bool in, ort::Allocator* allocator, std::vector<Port>* out, std::string* error) {
    size_t count = 0;
    if (!ok(in ? api_.input_count(session_, &count) : api_.output_count(session_, &count), error)) return false;
    for (size_t i = 0; i < count; ++i) {
      Port port;
      char* name = nullptr;
      ort::TypeInfo* type = nullptr;
      const ort::TensorInfo* info = nullptr;
      int element = 0;
      size_t rank = 0;
      const bool named = ok(
          in ? api_.input_name(session_, i, allocator, &name) : api_.output_name(session_, i, allocator, &name), error);
      if (!named) return false;
      port.name = name;
      if (!ok(api_.free_name(allocator, name), error) ||
          !ok(in ? api_.input_type(session_, i, &type) : api_.output_type(session_, i, &type), error) ||
          !ok(api_.tensor_info(type, &info), error) || !ok(api_.element_type(info, &element), error) ||
          !ok(api_.rank(info, &rank), error)) {
        return false;
      }
      port.shape.resize(rank);
      if (!ok(api_.dimensions(info, port.shape.data(), rank), error)) return false;
      api_.release_type(type);
      for (int64_t n : port.shape) {
        if (n < 1 || element != ort::kFloat) return *error = port.name + " is not of float32 and fixed size", false;
        port.floats *= static_cast<size_t>(n);
      }
      out->push_back(std::move(port));
    }
    return true;
  }

  static bool is_state(const Port& port, const char* prefix) { return port.name.rfind(prefix, 0) == 0; }

  ort::Value* tensor(float* data, const Port& port, std::string* error) {
    ort::Value* value = nullptr;
    if (!ok(api_.tensor_over(runtime_.memory, data, port.floats * sizeof(float), port.shape.data(), port.shape.size(),
                             ort::kFloat, &value),
            error)) {
      return nullptr;
    }
    values_.push_back(value);
    return value;
  }

  bool bind_one(size_t turn, bool in, const Port& port, float* data, std::string* error) {
    ort::Value* value = tensor(data, port, error);
    return value != nullptr && ok(in ? api_.bind_input(binding_[turn], port.name.c_str(), value)
                                     : api_.bind_output(binding_[turn], port.name.c_str(), value),
                                  error);
  }

  bool bind(std::string* error) {
    size_t in = 0, out = 0, state = 0;
    for (const Port& port : inputs_) (is_state(port, "state_") ? state : in) += (port.floats + 15) / 16 * 16;
    for (const Port& port : outputs_) out += is_state(port, "next_") ? 0 : port.floats;
    // Packed without gaps: what the caller fills and reads. States start at 64-byte boundaries.
    in = 0;
    for (const Port& port : inputs_) in += is_state(port, "state_") ? 0 : port.floats;
    input_.assign(in, 0.0f);
    output_.assign(out, 0.0f);
    for (auto& half : states_) half.assign(state + 16, 0.0f);
    for (size_t turn = 0; turn < 2; ++turn) {
      if (!ok(api_.create_binding(session_, &binding_[turn]), error)) return false;
      size_t input_at = 0, output_at = 0, state_at = 0;
      std::map<std::string, float*> next;
      for (const Port& port : inputs_) {
        float* data = input_.data() + input_at;
        if (is_state(port, "state_")) {
          data = aligned(states_[turn]) + state_at;
          next["next_" + port.name.substr(6)] = aligned(states_[turn ^ 1]) + state_at;
          state_at += (port.floats + 15) / 16 * 16;
        } else {
          input_at += port.floats;
        }
        if (!bind_one(turn, true, port, data, error)) return false;
      }
      for (const Port& port : outputs_) {
        float* data = output_.data() + output_at;
        if (is_state(port, "next_")) {
          const auto found = next.find(port.name);
          if (found == next.end()) return *error = port.name + " has no state", false;
          data = found->second;
        } else {
          output_at += port.floats;
        }
        if (!bind_one(turn, false, port, data, error)) return false;
      }
    }
    return true;
  }

  static float* aligned(std::vector<float>& buffer) {
    const uintptr_t at = reinterpret_cast<uintptr_t>(buffer.data());
    return buffer.data() + ((at + 63) / 64 * 64 - at) / sizeof(float);
  }

  const Runtime& runtime_;
  const ort::Api& api_;
  ort::Session* session_ = nullptr;
  std::vector<Port> inputs_, outputs_;
  std::vector<float> states_[2];
  std::vector<ort::Value*> values_;
  ort::IoBinding* binding_[2] = {};
  size_t turn_ = 0;
};

}  // namespace

std::unique_ptr<Contender> open_onnxruntime(const char* library, const char* path, std::string* error) {
  Runtime* runtime = load(library, error);
  if (runtime == nullptr) return nullptr;
  auto made = std::make_unique<OnnxruntimeContender>(runtime);
  if (!made->open(path, error)) return nullptr;
  return made;
}

std::string onnxruntime_version(const char* library, std::string* error) {
  const Runtime* runtime = load(library, error);
  return runtime == nullptr ? "" : runtime->version;
}

}  // namespace rtvoice::peers
