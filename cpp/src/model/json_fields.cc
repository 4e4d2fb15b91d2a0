// Strict JSON on top of nlohmann-json: a first pass checks and counts, a second builds the document.
#include "model/json_fields.h"

#include <cmath>
#include <unordered_set>

#include "model/limits.h"
#include "model/text.h"

namespace rtvoice {
namespace {

// Walks the text without building anything, so that a hostile one is refused before it takes memory.
class StrictPass final : public nlohmann::json_sax<Json> {
 public:
  std::string problem;

  bool null() override { return count(); }
  bool boolean(bool) override { return count(); }
  bool number_integer(number_integer_t) override { return count(); }
  bool number_unsigned(number_unsigned_t) override { return count(); }
  bool number_float(number_float_t, const string_t&) override { return count(); }
  bool string(string_t&) override { return count(); }
  bool binary(binary_t&) override { return false; }
  bool start_object(size_t) override { return open(); }
  bool end_object() override { return close(); }
  bool start_array(size_t) override { return open(); }
  bool end_array() override { return close(); }
  bool key(string_t& name) override {
    if (keys_.back().insert(name).second) return count();
    problem = "key " + in_quotes(name) + " comes twice; keep one";
    return false;
  }
  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception&) override {
    problem = "not valid JSON at byte " + std::to_string(position) + "; the file is damaged, fetch or export it again";
    return false;
  }

 private:
  bool count() {
    if (++values_ <= kMaxJsonValues) return true;
    problem = "more than " + std::to_string(kMaxJsonValues) + " JSON values; make the graph smaller";
    return false;
  }
  bool open() {
    keys_.emplace_back();
    if (keys_.size() > static_cast<size_t>(kMaxJsonDepth)) {
      problem = "nested deeper than " + std::to_string(kMaxJsonDepth) + " levels; flatten it";
      return false;
    }
    return count();
  }
  bool close() {
    keys_.pop_back();
    return true;
  }

  size_t values_ = 0;
  std::vector<std::unordered_set<std::string>> keys_;
};

std::string where(const std::string& place, const char* key) { return place + ": " + in_quotes(key); }

const Json* find(const Json& object, const char* key) {
  const auto it = object.find(key);
  return it == object.end() ? nullptr : &*it;
}

std::string show(double value) {
  char text[32];
  std::snprintf(text, sizeof(text), "%g", value);
  return text;
}

}  // namespace

bool parse_object(const char* text, size_t size, const std::string& place, Json* out, std::string* error) {
  if (size == 0 || text[0] != '{')
    return fail(error, place + ": does not start with '{'; the file is damaged, fetch or export it again");
  StrictPass pass;
  if (!Json::sax_parse(text, text + size, &pass)) return fail(error, place + ": " + pass.problem);
  *out = Json::parse(text, text + size, nullptr, false);
  return out->is_object() || fail(error, place + ": not a JSON object; the file is damaged, fetch or export it again");
}

std::string brief(const Json& value) {
  if (value.is_string()) return in_quotes(value.get_ref<const std::string&>());
  if (value.is_object()) return "an object";
  if (value.is_array()) return "an array of " + std::to_string(value.size());
  return value.dump();
}

bool check_keys(const Json& object, const std::string& place, std::initializer_list<const char*> required,
                std::initializer_list<const char*> optional, std::string* error) {
  if (!object.is_object()) return fail(error, place + ": is " + brief(object) + "; it must be an object");
  for (const char* key : required) {
    if (!object.contains(key)) return fail(error, place + ": " + in_quotes(key) + " is missing; add it");
  }
  for (const auto& item : object.items()) {
    bool known = false;
    for (const char* key : required) known = known || item.key() == key;
    for (const char* key : optional) known = known || item.key() == key;
    if (!known) return fail(error, place + ": unknown key " + in_quotes(item.key()) + "; remove it or update rtvoice");
  }
  return true;
}

bool get_text(const Json& object, const char* key, const std::string& place, size_t least, size_t most,
              std::string* out, std::string* error) {
  const Json* value = find(object, key);
  if (value == nullptr) return true;
  const std::string must =
      "; it must be one line of " + std::to_string(least) + " to " + std::to_string(most) + " characters";
  if (!value->is_string()) return fail(error, where(place, key) + " is " + brief(*value) + must);
  const std::string& text = value->get_ref<const std::string&>();
  size_t characters = 0;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) return fail(error, where(place, key) + " is " + in_quotes(text) + must);
    characters += (byte & 0xc0) != 0x80;
  }
  if (characters < least || characters > most)
    return fail(error, where(place, key) + " has " + std::to_string(characters) + " characters" + must);
  *out = text;
  return true;
}

bool get_name(const Json& object, const char* key, const std::string& place, std::string* out, std::string* error) {
  const Json* value = find(object, key);
  if (value == nullptr) return true;
  if (!value->is_string() || !is_name(value->get_ref<const std::string&>())) {
    return fail(error, where(place, key) + " is " + brief(*value) + "; a name has 1 to 128 printable ASCII characters");
  }
  *out = value->get_ref<const std::string&>();
  return true;
}

bool as_integer(const Json& value, const std::string& what, int64_t low, int64_t high, int64_t* out,
                std::string* error) {
  if (!value.is_number_integer()) return fail(error, what + " is " + brief(value) + "; it must be an integer");
  const bool huge = value.is_number_unsigned() && value.get<uint64_t>() > static_cast<uint64_t>(INT64_MAX);
  if (huge || value.get<int64_t>() < low || value.get<int64_t>() > high) {
    return fail(error,
                what + " is " + brief(value) + "; it must lie in " + std::to_string(low) + ".." + std::to_string(high));
  }
  *out = value.get<int64_t>();
  return true;
}

bool as_number(const Json& value, const std::string& what, double low, double high, double* out, std::string* error) {
  if (!value.is_number()) return fail(error, what + " is " + brief(value) + "; it must be a number");
  const double number = value.get<double>();
  if (!std::isfinite(number) || number < low || number > high) {
    return fail(error, what + " is " + brief(value) + "; it must lie in " + show(low) + ".." + show(high));
  }
  *out = number;
  return true;
}

bool get_integer(const Json& object, const char* key, const std::string& place, int64_t low, int64_t high, int64_t* out,
                 std::string* error) {
  const Json* value = find(object, key);
  return value == nullptr || as_integer(*value, where(place, key), low, high, out, error);
}

bool get_number(const Json& object, const char* key, const std::string& place, double low, double high, double* out,
                std::string* error) {
  const Json* value = find(object, key);
  return value == nullptr || as_number(*value, where(place, key), low, high, out, error);
}

bool get_array(const Json& object, const char* key, const std::string& place, size_t least, size_t most,
               const Json** out, std::string* error) {
  const Json* value = find(object, key);
  if (value == nullptr) return true;
  if (!value->is_array()) return fail(error, where(place, key) + " is " + brief(*value) + "; it must be an array");
  if (value->size() < least || value->size() > most) {
    return fail(error, where(place, key) + " has " + std::to_string(value->size()) + " entries; it must have " +
                           std::to_string(least) + (least == most ? "" : ".." + std::to_string(most)));
  }
  *out = value;
  return true;
}

}  // namespace rtvoice
