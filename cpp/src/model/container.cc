// Reading the safetensors container: an untrusted file, so every number is checked before it is used.
#include "model/container.h"

#include <algorithm>
#include <cstring>

#include "model/json_fields.h"
#include "model/limits.h"
#include "model/text.h"

namespace rtvoice {
namespace {

constexpr int64_t kMaxOffset = static_cast<int64_t>(kMaxFileBytes);

bool read_tensor(const std::string& name, const Json& entry, int64_t data_bytes, StoredTensor* out,
                 std::string* error) {
  const std::string place = "tensor " + in_quotes(name);
  if (!is_name(name, 256)) return fail(error, place + ": a tensor's name has 1 to 256 printable ASCII characters");
  if (!check_keys(entry, place, {"dtype", "shape", "data_offsets"}, {}, error)) return false;
  out->name = name;
  const Json& dtype = entry["dtype"];
  if (dtype == "F32") {
    out->dtype = Dtype::kF32;
  } else if (dtype == "F16") {
    out->dtype = Dtype::kF16;
  } else if (dtype == "BF16") {
    out->dtype = Dtype::kBf16;
  } else {
    return fail(error, place + ": dtype is " + brief(dtype) + "; convert it to F32, F16 or BF16");
  }
  const Json *shape = nullptr, *offsets = nullptr;
  if (!get_array(entry, "shape", place, 1, kMaxAxes, &shape, error)) return false;
  if (!get_array(entry, "data_offsets", place, 2, 2, &offsets, error)) return false;
  int64_t bytes = out->dtype == Dtype::kF32 ? 4 : 2;
  for (const Json& axis : *shape) {
    int64_t length = 0;
    if (!as_integer(axis, place + ": an axis of 'shape'", 1, kMaxOffset, &length, error)) return false;
    if (bytes > kMaxOffset / length)
      return fail(error,
                  place + ": 'shape' asks for more than the file's limit of " + std::to_string(kMaxOffset) + " bytes");
    bytes *= length;
    out->shape.push_back(length);
  }
  if (!as_integer((*offsets)[0], place + ": 'data_offsets[0]'", 0, data_bytes, &out->begin, error)) return false;
  if (!as_integer((*offsets)[1], place + ": 'data_offsets[1]'", out->begin, data_bytes, &out->end, error)) return false;
  if (out->end - out->begin != bytes) {
    return fail(error, place + ": 'data_offsets' hold " + std::to_string(out->end - out->begin) +
                           " bytes, its shape and dtype ask for " + std::to_string(bytes) + "; the file is damaged");
  }
  return true;
}

bool read_metadata(const Json& header, std::string* document, std::string* error) {
  constexpr const char* kRemedy = "; this is no model of rtvoice, try 'rtvoice import'";
  const auto metadata = header.find("__metadata__");
  if (metadata == header.end()) return fail(error, std::string("header: has no '__metadata__'") + kRemedy);
  if (!metadata->is_object())
    return fail(error, "header: '__metadata__' is " + brief(*metadata) + "; it must be an object of strings");
  for (const auto& item : metadata->items()) {
    if (!item.value().is_string()) {
      return fail(error, "header: '__metadata__' entry " + in_quotes(item.key()) + " is " + brief(item.value()) +
                             "; it must be a string");
    }
  }
  const auto own = metadata->find("rtvoice");
  if (own == metadata->end()) return fail(error, std::string("header: '__metadata__' has no 'rtvoice'") + kRemedy);
  *document = own->get_ref<const std::string&>();
  return true;
}

// Both cases are computed and one is chosen, so that the loop over a tensor has no branch.
float widen_half(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000u) << 16;
  const uint32_t exponent = (half >> 10) & 0x1fu;
  const uint32_t mantissa = half & 0x3ffu;
  const float small =
      static_cast<float>(mantissa) * 5.9604644775390625e-8f;  // times 2^-24: exact, and normal in float32
  uint32_t small_bits;
  std::memcpy(&small_bits, &small, sizeof(small));
  const uint32_t normal_bits = ((exponent + (exponent == 31 ? 224u : 112u)) << 23) | (mantissa << 13);
  const uint32_t bits = sign | (exponent == 0 ? small_bits : normal_bits);
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

float widen_bf16(uint16_t word) {
  const uint32_t bits = static_cast<uint32_t>(word) << 16;
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

uint16_t load_u16(const uint8_t* at) { return static_cast<uint16_t>(at[0] | at[1] << 8); }

// Exponent bits all set: infinity or NaN. On the bits, so that no compiler option can assume it away.
bool any_not_finite(const float* values, size_t count) {
  uint32_t found = 0;
  for (size_t i = 0; i < count; ++i) {
    uint32_t bits;
    std::memcpy(&bits, values + i, sizeof(bits));
    found |= static_cast<uint32_t>((bits & 0x7f800000u) == 0x7f800000u);
  }
  return found != 0;
}

}  // namespace

bool read_container(const void* bytes, size_t size, Container* out, std::string* error) {
  const auto* raw = static_cast<const uint8_t*>(bytes);
  if (size > kMaxFileBytes)
    return fail(error, "file: has " + std::to_string(size) + " bytes; the limit is " + std::to_string(kMaxFileBytes));
  if (raw == nullptr || size < 8) {
    return fail(error, "file: has " + std::to_string(size) + " bytes, too short for a model; fetch or export it again");
  }
  uint64_t header_bytes = 0;
  for (int i = 0; i < 8; ++i) header_bytes |= static_cast<uint64_t>(raw[i]) << (8 * i);
  if (header_bytes > kMaxHeaderBytes) {
    return fail(error, "file: the header length is " + std::to_string(header_bytes) + " bytes, the limit is " +
                           std::to_string(kMaxHeaderBytes) + "; this is no .rtv file or it is damaged");
  }
  if (header_bytes > size - 8) {
    return fail(error, "file: the header length is " + std::to_string(header_bytes) + " bytes, the file has " +
                           std::to_string(size) + "; it is cut off, fetch or export it again");
  }
  Json header;
  if (!parse_object(reinterpret_cast<const char*>(raw + 8), static_cast<size_t>(header_bytes), "header", &header,
                    error))
    return false;
  if (!read_metadata(header, &out->document, error)) return false;
  if (header.size() - 1 > kMaxTensors) {
    return fail(error, "header: has " + std::to_string(header.size() - 1) + " tensors; the limit is " +
                           std::to_string(kMaxTensors));
  }
  out->data = raw + 8 + header_bytes;
  const auto data_bytes = static_cast<int64_t>(size - 8 - static_cast<size_t>(header_bytes));
  for (const auto& item : header.items()) {
    if (item.key() == "__metadata__") continue;
    out->tensors.emplace_back();
    if (!read_tensor(item.key(), item.value(), data_bytes, &out->tensors.back(), error)) return false;
  }
  std::sort(out->tensors.begin(), out->tensors.end(),
            [](const StoredTensor& a, const StoredTensor& b) { return a.begin < b.begin; });
  int64_t position = 0;
  for (const StoredTensor& tensor : out->tensors) {
    if (tensor.begin != position) {
      return fail(error, "tensor " + in_quotes(tensor.name) + ": starts at data byte " + std::to_string(tensor.begin) +
                             " where the one before it ends at " + std::to_string(position) +
                             "; tensors must follow each other without gap or overlap");
    }
    position = tensor.end;
  }
  if (position != data_bytes) {
    return fail(error, "file: " + std::to_string(data_bytes - position) +
                           " bytes follow the last tensor; the file is damaged, fetch or export it again");
  }
  return true;
}

bool load_values(const Container& container, const StoredTensor& tensor, std::vector<float>* out, std::string* error) {
  const uint8_t* source = container.data + tensor.begin;
  const auto count = static_cast<size_t>(tensor.count());
  // A vector is filled with zeros when it grows: assign saves that pass where the data lies on a float's boundary, as ours does.
  const bool aligned = reinterpret_cast<uintptr_t>(source) % alignof(float) == 0;
  if (tensor.dtype == Dtype::kF32 && aligned) {
    out->assign(reinterpret_cast<const float*>(source), reinterpret_cast<const float*>(source) + count);
  } else {
    out->resize(count);
  }
  float* target = out->data();
  switch (tensor.dtype) {
    case Dtype::kF32:
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#error "the tensor data is little-endian"
#endif
      if (!aligned) std::memcpy(target, source, count * sizeof(float));
      break;
    case Dtype::kF16:
      for (size_t i = 0; i < count; ++i) target[i] = widen_half(load_u16(source + 2 * i));
      break;
    case Dtype::kBf16:
      for (size_t i = 0; i < count; ++i) target[i] = widen_bf16(load_u16(source + 2 * i));
      break;
  }
  if (!any_not_finite(target, count)) return true;
  size_t bad = 0;
  while (!any_not_finite(target + bad, 1)) ++bad;
  return fail(error, "tensor " + in_quotes(tensor.name) + ": value " + std::to_string(bad) +
                         " is not finite; export the model again");
}

}  // namespace rtvoice
