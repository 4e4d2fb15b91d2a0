// Reading the safetensors container: an untrusted file, so every number is checked before it is used.
#include "model/container.h"

#include <algorithm>

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
  } else if (dtype == "I8") {
    out->dtype = Dtype::kI8;
  } else {
    return fail(error, place + ": dtype is " + brief(dtype) + "; convert it to F32, F16, BF16 or I8");
  }
  const Json *shape = nullptr, *offsets = nullptr;
  if (!get_array(entry, "shape", place, 1, kMaxAxes, &shape, error)) return false;
  if (!get_array(entry, "data_offsets", place, 2, 2, &offsets, error)) return false;
  int64_t bytes = width_of(out->dtype);
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

// Of each I8 tensor its steps: an F32 tensor NAME.scale of as many axes, all of 1 but for at most one of the same length.
bool find_scales(Container* out, std::string* error) {
  for (StoredTensor& tensor : out->tensors) {
    if (tensor.dtype != Dtype::kI8) continue;
    const auto found = std::find_if(out->tensors.begin(), out->tensors.end(),
                                    [&](const StoredTensor& one) { return one.name == tensor.name + ".scale"; });
    bool fits =
        found != out->tensors.end() && found->dtype == Dtype::kF32 && found->shape.size() == tensor.shape.size();
    int wide = 0;
    for (size_t axis = 0; fits && axis < tensor.shape.size(); ++axis) {
      if (found->shape[axis] != 1) fits = found->shape[axis] == tensor.shape[axis] && ++wide == 1;
    }
    if (!fits) {
      return fail(error, "tensor " + in_quotes(tensor.name) + ": is I8 and needs an F32 tensor " +
                             in_quotes(tensor.name + ".scale") +
                             " of as many axes, all of 1 but for one at most; export the model again");
    }
    tensor.scale = static_cast<size_t>(found - out->tensors.begin());
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
  return find_scales(out, error);
}

}  // namespace rtvoice
