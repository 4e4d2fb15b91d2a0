// Mutations. Those on bytes test the container, those on trees get past the JSON and test the graph and the plan.
#include "mutate.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>

namespace rtvoice::fuzz {
namespace {

using Json = nlohmann::ordered_json;

// A valid file taken apart.
struct Parts {
  Json header, document;
  Bytes data;
};

uint64_t read_length(const Bytes& file) {
  uint64_t length = 0;
  for (size_t i = 0; i < 8; ++i) length |= static_cast<uint64_t>(file[i]) << (8 * i);
  return length;
}

void write_length(Bytes* file, uint64_t length) {
  file->resize(std::max<size_t>(file->size(), 8));
  for (size_t i = 0; i < 8; ++i) (*file)[i] = static_cast<uint8_t>(length >> (8 * i));
}

Parts take_apart(const Bytes& file) {
  const auto length = static_cast<size_t>(read_length(file));
  Parts parts;
  parts.header = Json::parse(file.begin() + 8, file.begin() + 8 + static_cast<std::ptrdiff_t>(length));
  parts.document = Json::parse(parts.header["__metadata__"]["rtvoice"].get<std::string>());
  parts.data.assign(file.begin() + 8 + static_cast<std::ptrdiff_t>(length), file.end());
  return parts;
}

Bytes join(const std::string& header, const Bytes& data) {
  Bytes file(8 + header.size() + data.size());
  write_length(&file, header.size());
  std::copy(header.begin(), header.end(), file.begin() + 8);
  std::copy(data.begin(), data.end(), file.end() - static_cast<std::ptrdiff_t>(data.size()));
  return file;
}

Bytes put_together(Parts* parts, const std::string& document) {
  parts->header["__metadata__"]["rtvoice"] = document;
  return join(parts->header.dump(-1, ' ', false, Json::error_handler_t::replace), parts->data);
}

const char* const kTokens[] = {"0",
                               "1",
                               "-1",
                               "2",
                               "3",
                               "7",
                               "127",
                               "128",
                               "255",
                               "256",
                               "4095",
                               "4096",
                               "4097",
                               "32767",
                               "65535",
                               "65536",
                               "65537",
                               "1048575",
                               "1048576",
                               "1048577",
                               "2147483647",
                               "2147483648",
                               "4294967295",
                               "4294967296",
                               "9007199254740993",
                               "9223372036854775807",
                               "9223372036854775808",
                               "18446744073709551615",
                               "18446744073709551616",
                               "-9223372036854775808",
                               "1e308",
                               "1e309",
                               "-0.0",
                               "0.5",
                               "1e-45",
                               "1e39",
                               "true",
                               "false",
                               "null",
                               "{}",
                               "[]",
                               "\"\"",
                               "\"\\u0000\"",
                               "\"audio\"",
                               "[0,0]",
                               "NaN",
                               "\"\xff\""};

Json interesting(Random* random) {
  for (;;) {
    const char* token = kTokens[random->below(std::size(kTokens))];
    Json value = Json::parse(token, nullptr, false);
    if (!value.is_discarded()) return value;
  }
}

void flip_bits(Bytes* file, Random* random) {
  for (size_t n = 1 + random->below(8); n > 0 && !file->empty(); --n)
    (*file)[random->below(file->size())] ^= static_cast<uint8_t>(1u << random->below(8));
}

void set_bytes(Bytes* file, Random* random) {
  for (size_t n = 1 + random->below(16); n > 0 && !file->empty(); --n)
    (*file)[random->below(file->size())] = static_cast<uint8_t>(random->next());
}

void change_size(Bytes* file, Random* random) {
  if (random->below(2) == 0) {
    file->resize(random->below(file->size() + 1));
  } else {
    file->resize(file->size() + 1 + random->below(random->below(2) == 0 ? 8 : 4096),
                 static_cast<uint8_t>(random->next()));
  }
}

void edit_length(Bytes* file, Random* random) {
  const uint64_t length = read_length(*file);
  const uint64_t choices[] = {0,
                              1,
                              2,
                              7,
                              length - 1,
                              length + 1,
                              length + 8,
                              file->size() - 8,
                              file->size() - 7,
                              file->size(),
                              1ull << 24,
                              (1ull << 24) + 1,
                              1ull << 31,
                              1ull << 32,
                              (1ull << 32) + length,
                              1ull << 63,
                              ~0ull,
                              ~0ull - 7,
                              random->next()};
  write_length(file, choices[random->below(std::size(choices))]);
}

// Starts and ends of the JSON tokens of a text: numbers, words, strings, brackets.
std::vector<std::pair<size_t, size_t>> tokens_of(const std::string& text) {
  std::vector<std::pair<size_t, size_t>> out;
  for (size_t i = 0; i < text.size();) {
    size_t end = i + 1;
    if (text[i] == '"') {
      while (end < text.size() && text[end] != '"') end += text[end] == '\\' ? 2 : 1;
      end = std::min(end + 1, text.size());
    } else if (std::strchr("{}[],: ", text[i]) == nullptr) {
      while (end < text.size() && std::strchr("{}[],: \"", text[end]) == nullptr) ++end;
    }
    out.emplace_back(i, end);
    i = end;
  }
  return out;
}

void edit_tokens(std::string* text, const std::string& other, Random* random) {
  for (size_t n = 1 + random->below(3); n > 0 && !text->empty(); --n) {
    const auto tokens = tokens_of(*text);
    const auto& [begin, end] = tokens[random->below(tokens.size())];
    switch (random->below(5)) {
      case 0:
        text->replace(begin, end - begin, kTokens[random->below(std::size(kTokens))]);
        break;
      case 1: {
        const auto& [b2, e2] = tokens[random->below(tokens.size())];
        text->replace(begin, end - begin, text->substr(b2, e2 - b2));
        break;
      }
      case 2:
        text->erase(begin, end - begin);
        break;
      case 3:
        text->insert(begin, text->substr(begin, end - begin));
        break;
      default: {  // a run of tokens from another file
        const auto theirs = tokens_of(other);
        const size_t first = random->below(theirs.size()),
                     last = std::min(theirs.size() - 1, first + random->below(12));
        text->replace(begin, end - begin, other.substr(theirs[first].first, theirs[last].second - theirs[first].first));
      }
    }
  }
}

void collect(Json* value, std::vector<Json*>* out) {
  out->push_back(value);
  if (value->is_structured()) {
    for (Json& child : *value) collect(&child, out);
  }
}

void edit_number(Json* value, Random* random) {
  if (!value->is_number_integer()) {
    *value =
        random->below(2) == 0 ? interesting(random) : Json(value->get<double>() * (random->below(2) == 0 ? -1.0 : 1e3));
    return;
  }
  const auto number = static_cast<uint64_t>(value->get<int64_t>());  // unsigned, as it may be the least or the most
  const uint64_t choices[] = {number + 1, number - 1, 0 - number, number / 2, number * 2, 0, 1};
  *value = random->below(4) == 0 ? interesting(random)
                                 : Json(static_cast<int64_t>(choices[random->below(std::size(choices))]));
}

void edit_tree(Json* tree, Json* other, Random* random) {
  for (size_t n = 1 + random->below(3); n > 0; --n) {
    std::vector<Json*> places, theirs;
    collect(tree, &places);
    collect(other, &theirs);
    Json* place = places[random->below(places.size())];
    switch (random->below(6)) {
      case 0:
      case 1:
        if (place->is_number()) {
          edit_number(place, random);
        } else if (!place->is_structured()) {
          *place = interesting(random);
        }
        break;
      case 2: {
        const Json copy = *theirs[random->below(theirs.size())];
        if (copy.size() < 64) *place = copy;
        break;
      }
      case 3: {
        const Json copy = *places[random->below(places.size())];
        if (copy.size() < 64) *place = copy;
        break;
      }
      case 4:
        if (place->is_structured() && !place->empty()) {
          auto it = place->begin();
          std::advance(it, static_cast<std::ptrdiff_t>(random->below(place->size())));
          place->erase(it);
        }
        break;
      default:
        if (place->is_array() && !place->empty()) {
          const size_t a = random->below(place->size()), b = random->below(place->size());
          if (random->below(2) == 0) {
            std::swap((*place)[a], (*place)[b]);
          } else {
            const Json copy = (*place)[a];
            place->push_back(copy);
          }
        }
    }
  }
}

// Gives one or two tensors another shape, with the data that it asks for: the container stays good, the graph may not.
void reshape(Parts* parts, Random* random) {
  std::vector<std::string> names;
  for (const auto& item : parts->header.items()) {
    if (item.key() != "__metadata__") names.push_back(item.key());
  }
  std::map<std::string, Bytes> data;
  for (const std::string& name : names) {
    const Json& offsets = parts->header[name]["data_offsets"];
    data[name].assign(parts->data.begin() + offsets[0].get<std::ptrdiff_t>(),
                      parts->data.begin() + offsets[1].get<std::ptrdiff_t>());
  }
  for (size_t n = 1 + random->below(2); n > 0 && !names.empty(); --n) {
    const std::string& name = names[random->below(names.size())];
    Json& shape = parts->header[name]["shape"];
    Json& axis = shape[random->below(shape.size())];
    const auto old = axis.get<int64_t>();
    const int64_t choices[] = {old + 1, std::max<int64_t>(old - 1, 1), old * 2, 1, 3, 16, 17, 64, 300};
    axis = choices[random->below(std::size(choices))];
    size_t count = parts->header[name]["dtype"] == "F32" ? 4 : 2;
    for (const Json& length : shape) count *= length.get<size_t>();
    Bytes& bytes = data[name];
    if (count > (size_t{1} << 20) || bytes.empty()) continue;
    const size_t had = bytes.size();
    bytes.resize(count);
    for (size_t i = had; i < count; ++i) bytes[i] = bytes[i - had];
  }
  parts->data.clear();
  for (const std::string& name : names) {
    const size_t begin = parts->data.size();
    parts->data.insert(parts->data.end(), data[name].begin(), data[name].end());
    parts->header[name]["data_offsets"] = {begin, parts->data.size()};
  }
}

void edit_values(Bytes* data, Random* random) {
  static const uint32_t kBits[] = {0x7f800000u, 0xff800000u, 0x7fc00000u, 0x7f7fffffu,
                                   0x00000001u, 0x80000000u, 0x00800000u, 0x7149f2cau};
  for (size_t n = 1 + random->below(4); n > 0 && data->size() >= 4; --n) {
    const uint32_t bits = kBits[random->below(std::size(kBits))];
    std::memcpy(data->data() + random->below(data->size() / 4) * 4, &bits, 4);
  }
}

}  // namespace

Bytes mutate(const std::vector<Bytes>& seeds, uint64_t index) {
  Random random(index * 0x2545f4914f6cdd1dull + 1);
  const Bytes& seed = seeds[random.below(seeds.size())];
  const Bytes& other = seeds[random.below(seeds.size())];
  Bytes file = seed;
  const size_t kind = random.below(16);
  if (kind == 0) flip_bits(&file, &random);
  if (kind == 1) set_bytes(&file, &random);
  if (kind == 2) change_size(&file, &random);
  if (kind == 3) edit_length(&file, &random);
  if (kind == 4) {  // splice of two files anywhere
    const size_t at = random.below(file.size());
    const size_t from = random.below(other.size());
    file.resize(at);
    file.insert(file.end(), other.begin() + static_cast<std::ptrdiff_t>(from), other.end());
  }
  if (kind < 5) return file;
  Parts parts = take_apart(seed), theirs = take_apart(other);
  std::string document = parts.document.dump();
  if (kind <= 7) {
    edit_tokens(&document, theirs.document.dump(), &random);
  } else if (kind == 8) {
    std::string header = parts.header.dump();
    edit_tokens(&header, theirs.header.dump(), &random);
    return join(header, parts.data);
  } else if (kind == 9) {
    edit_tree(&parts.header, &theirs.header, &random);
    return join(parts.header.dump(-1, ' ', false, Json::error_handler_t::replace), parts.data);
  } else if (kind == 10) {
    edit_values(&parts.data, &random);
  } else if (kind == 11) {
    return join(parts.header.dump(), theirs.data);
  } else {
    if (kind >= 14) reshape(&parts, &random);
    if (kind != 15) edit_tree(&parts.document, &theirs.document, &random);
    document = parts.document.dump(-1, ' ', false, Json::error_handler_t::replace);
  }
  return put_together(&parts, document);
}

}  // namespace rtvoice::fuzz
