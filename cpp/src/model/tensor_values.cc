// A stored tensor's values as float32: the loops over a model's weights, apart from the readers because these must be fast.
#include <cstring>

#include "model/container.h"
#include "model/text.h"

namespace rtvoice {
namespace {

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
    case Dtype::kI8: {
      const StoredTensor& steps = container.tensors[tensor.scale];
      std::vector<float> scale;
      if (!load_values(container, steps, &scale, error)) return false;
      size_t run = 1;  // values in a row that share a step
      for (size_t axis = steps.shape.size(); axis-- > 0 && steps.shape[axis] == 1;) {
        run *= static_cast<size_t>(tensor.shape[axis]);
      }
      for (size_t i = 0; i < count; ++i) {
        target[i] = static_cast<float>(static_cast<int8_t>(source[i])) * scale[i / run % scale.size()];
      }
      break;
    }
  }
  if (!any_not_finite(target, count)) return true;
  size_t bad = 0;
  while (!any_not_finite(target + bad, 1)) ++bad;
  return fail(error, "tensor " + in_quotes(tensor.name) + ": value " + std::to_string(bad) +
                         " is not finite; export the model again");
}

}  // namespace rtvoice
