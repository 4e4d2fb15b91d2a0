// The few entries of onnxruntime's C interface that the comparison calls, by their place in its function table.
//
// The table only ever grows at its end, so an entry's index holds for every version from the one that added it (all of
// these: version 14 and before). The wheel ships the library without a header; nothing of it is needed to build this.
#pragma once

#include <cstddef>
#include <cstdint>

namespace rtvoice::peers::ort {

// Opaque handles.
struct Status;
struct Env;
struct Session;
struct SessionOptions;
struct Allocator;
struct MemoryInfo;
struct Value;
struct TypeInfo;
struct TensorInfo;
struct IoBinding;
struct RunOptions;

constexpr uint32_t kApiVersion = 14;
constexpr int kLogError = 3, kOptimiseAll = 99, kSequential = 0, kArenaAllocator = 1, kDefaultMemory = 0, kFloat = 1;

struct ApiBase {
  const void* const* (*get_api)(uint32_t version);
  const char* (*version)();
};
using GetApiBase = const ApiBase* (*)();

// An entry: its index and its signature.
template <size_t kIndex, typename Signature>
struct Entry;
template <size_t kIndex, typename Result, typename... Arguments>
struct Entry<kIndex, Result(Arguments...)> {
  const void* const* table = nullptr;
  Result operator()(Arguments... arguments) const {
    return reinterpret_cast<Result (*)(Arguments...)>(const_cast<void*>(table[kIndex]))(arguments...);
  }
};

struct Api {
  Entry<2, const char*(const Status*)> error_message;
  Entry<3, Status*(int level, const char* id, Env**)> create_env;
  Entry<7, Status*(const Env*, const char* path, const SessionOptions*, Session**)> create_session;
  Entry<10, Status*(SessionOptions**)> create_options;
  Entry<13, Status*(SessionOptions*, int)> set_execution_mode;
  Entry<23, Status*(SessionOptions*, int)> set_optimisation;
  Entry<24, Status*(SessionOptions*, int)> set_intra_threads;
  Entry<25, Status*(SessionOptions*, int)> set_inter_threads;
  Entry<30, Status*(const Session*, size_t*)> input_count;
  Entry<31, Status*(const Session*, size_t*)> output_count;
  Entry<33, Status*(const Session*, size_t, TypeInfo**)> input_type;
  Entry<34, Status*(const Session*, size_t, TypeInfo**)> output_type;
  Entry<36, Status*(const Session*, size_t, Allocator*, char**)> input_name;
  Entry<37, Status*(const Session*, size_t, Allocator*, char**)> output_name;
  Entry<49, Status*(const MemoryInfo*, void*, size_t bytes, const int64_t* shape, size_t rank, int type, Value**)>
      tensor_over;
  Entry<55, Status*(const TypeInfo*, const TensorInfo**)> tensor_info;
  Entry<60, Status*(const TensorInfo*, int*)> element_type;
  Entry<61, Status*(const TensorInfo*, size_t*)> rank;
  Entry<62, Status*(const TensorInfo*, int64_t*, size_t)> dimensions;
  Entry<69, Status*(int allocator, int memory, MemoryInfo**)> cpu_memory;
  Entry<76, Status*(Allocator*, void*)> free_name;
  Entry<78, Status*(Allocator**)> default_allocator;
  Entry<93, void(Status*)> release_status;
  Entry<94, void(MemoryInfo*)> release_memory;
  Entry<95, void(Session*)> release_session;
  Entry<96, void(Value*)> release_value;
  Entry<98, void(TypeInfo*)> release_type;
  Entry<100, void(SessionOptions*)> release_options;
  Entry<133, Status*(Session*, const RunOptions*, const IoBinding*)> run_with_binding;
  Entry<134, Status*(Session*, IoBinding**)> create_binding;
  Entry<135, void(IoBinding*)> release_binding;
  Entry<136, Status*(IoBinding*, const char*, const Value*)> bind_input;
  Entry<137, Status*(IoBinding*, const char*, const Value*)> bind_output;
};
// Every entry is one pointer to the same table.
static_assert(sizeof(Api) % sizeof(void*) == 0);

}  // namespace rtvoice::peers::ort
