// The safetensors container: where each tensor lies in the file, and its values as float32.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "model/graph.h"

namespace rtvoice {

enum class Dtype : uint8_t { kF32, kF16, kBf16, kI8 };

inline int64_t width_of(Dtype dtype) { return dtype == Dtype::kF32 ? 4 : dtype == Dtype::kI8 ? 1 : 2; }

struct StoredTensor {
  std::string name;
  Dtype dtype{};
  std::vector<int64_t> shape;
  int64_t begin = 0, end = 0;  // bytes from the start of the data
  size_t scale = 0;            // of an I8 tensor: which tensor holds the steps of its values
  int64_t count() const { return (end - begin) / width_of(dtype); }
};

struct Container {
  std::vector<StoredTensor> tensors;  // in the order of the data
  std::string document;               // the metadata string `rtvoice`
  const uint8_t* data = nullptr;      // start of the tensor data, within the caller's bytes
};

// Checks the container completely but for the values: sizes, header, names, types, shapes, offsets without gaps or
// overlaps.
bool read_container(const void* bytes, size_t size, Container* out, std::string* error);

// Widens a tensor to float32, times its steps where it has such, and checks that it is finite.
bool load_values(const Container& container, const StoredTensor& tensor, std::vector<float>* out, std::string* error);

}  // namespace rtvoice
