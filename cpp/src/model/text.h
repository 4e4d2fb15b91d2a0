// One-line messages: how the reader quotes what it found in an untrusted file.
#pragma once

#include <string>

namespace rtvoice {

// The text in quotes, at most 64 bytes of it, with everything but printable ASCII replaced.
inline std::string in_quotes(const std::string& text) {
  constexpr size_t kMost = 64;
  std::string out = "'";
  for (size_t i = 0; i < text.size() && i < kMost; ++i) out += text[i] >= 0x20 && text[i] < 0x7f ? text[i] : '?';
  return out + (text.size() > kMost ? "...'" : "'");
}

inline bool fail(std::string* error, std::string message) {
  *error = std::move(message);
  return false;
}

// 1 to `most` printable ASCII characters.
inline bool is_name(const std::string& text, size_t most = 128) {
  if (text.empty() || text.size() > most) return false;
  for (char c : text) {
    if (c < 0x20 || c > 0x7e) return false;
  }
  return true;
}

}  // namespace rtvoice
