// Strict JSON: parsing with limits, and typed access to the fields of an object with messages that name the place.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>

namespace rtvoice {

using Json = nlohmann::json;

// Parses one JSON object: valid UTF-8, no duplicate keys, at most kMaxJsonDepth levels and kMaxJsonValues values.
bool parse_object(const char* text, size_t size, const std::string& place, Json* out, std::string* error);

// A short rendering of a value for messages.
std::string brief(const Json& value);

// The object has all of `required`, and nothing else but `optional`.
bool check_keys(const Json& object, const std::string& place, std::initializer_list<const char*> required,
                std::initializer_list<const char*> optional, std::string* error);

// Each reads object[key] into `out`; a key that is absent leaves `out` as it is.
bool get_text(const Json& object, const char* key, const std::string& place, size_t least, size_t most,
              std::string* out, std::string* error);
bool get_name(const Json& object, const char* key, const std::string& place, std::string* out, std::string* error);
bool get_integer(const Json& object, const char* key, const std::string& place, int64_t low, int64_t high, int64_t* out,
                 std::string* error);
bool get_number(const Json& object, const char* key, const std::string& place, double low, double high, double* out,
                std::string* error);
bool get_array(const Json& object, const char* key, const std::string& place, size_t least, size_t most,
               const Json** out, std::string* error);

// A value itself, for elements of arrays; `what` names it.
bool as_integer(const Json& value, const std::string& what, int64_t low, int64_t high, int64_t* out,
                std::string* error);
bool as_number(const Json& value, const std::string& what, double low, double high, double* out, std::string* error);

}  // namespace rtvoice
