// What the comparison times: a network that runs one hop at a time from a buffer of its own into another.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace rtvoice::peers {

class Contender {
 public:
  virtual ~Contender() = default;
  virtual bool run() = 0;  // one hop; false when it failed
  float* input() { return input_.data(); }
  size_t input_floats() const { return input_.size(); }
  // The last hop's output, gathered into one buffer.
  virtual const std::vector<float>& output() = 0;
  virtual int64_t macs() const { return 0; }  // of a hop, where known

 protected:
  std::vector<float> input_, output_;
};

// The plan alone: what a network costs without a host around it, as onnxruntime's Run has none.
std::unique_ptr<Contender> open_plan(const char* path, std::string* error);
// The same through rtv_engine_process hop by hop, at a host's rate, or at the model's own for 0.
std::unique_ptr<Contender> open_engine(const char* path, uint32_t rate, std::string* error);
// An ONNX file whose inputs `state_X` are its own outputs `next_X` of the hop before. The other inputs, in order, are the input.
std::unique_ptr<Contender> open_onnxruntime(const char* library, const char* path, std::string* error);
std::string onnxruntime_version(const char* library, std::string* error);

// From now on the `cpuid` instructions at these offsets of a loaded library report no AVX-512: they are made to trap, and the
// trap answers for them. x86-64 Linux only; false and one line elsewhere.
bool mask_avx512(const char* library, const uint64_t* offsets, size_t count, std::string* error);
uint64_t masked_queries();  // how many of them were answered

}  // namespace rtvoice::peers
