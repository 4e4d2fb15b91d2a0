// Writing model files for tests, with no check of anything.
#include "test_file.h"

#include <gtest/gtest.h>

#include <cstring>

namespace rtvoice::test {

void TestFile::add_f32(const std::string& name, std::vector<int64_t> shape, float value) {
  size_t count = 1;
  for (int64_t axis : shape) count *= static_cast<size_t>(axis);
  TestTensor tensor{"F32", std::move(shape), std::vector<uint8_t>(4 * count)};
  for (size_t i = 0; i < count; ++i) std::memcpy(tensor.bytes.data() + 4 * i, &value, 4);
  tensors[name] = std::move(tensor);
}

void TestFile::add_words(const std::string& name, const std::string& dtype, const std::vector<uint16_t>& words) {
  TestTensor tensor{dtype, {static_cast<int64_t>(words.size())}, {}};
  for (uint16_t word : words) {
    tensor.bytes.push_back(static_cast<uint8_t>(word & 0xff));
    tensor.bytes.push_back(static_cast<uint8_t>(word >> 8));
  }
  tensors[name] = std::move(tensor);
}

Json& TestFile::add_node(const std::string& op, const std::string& name, const std::vector<std::string>& inputs,
                         Json attrs, const std::vector<std::pair<std::string, std::vector<int64_t>>>& weights) {
  Json node = {
      {"op", op}, {"name", name}, {"inputs", inputs}, {"attrs", std::move(attrs)}, {"weights", Json::object()}};
  for (const auto& [role, shape] : weights) {
    node["weights"][role] = name + "." + role;
    add_f32(name + "." + role, shape);
  }
  document["graph"]["nodes"].push_back(std::move(node));
  return document["graph"]["nodes"].back();
}

void TestFile::add_output(const std::string& tensor) {
  document["graph"]["outputs"].push_back({{"name", tensor}, {"tensor", tensor}, {"kind", "value"}});
}

std::vector<uint8_t> TestFile::bytes() const {
  std::string text = document.dump();
  if (edit_document_text) edit_document_text(&text);
  Json header = {{"__metadata__", {{"format", "rtvoice"}, {"rtvoice", text}}}};
  std::vector<uint8_t> data;
  for (const auto& [name, tensor] : tensors) {
    const size_t begin = data.size();
    data.insert(data.end(), tensor.bytes.begin(), tensor.bytes.end());
    header[name] = {{"dtype", tensor.dtype}, {"shape", tensor.shape}, {"data_offsets", {begin, data.size()}}};
  }
  if (edit_header) edit_header(&header);
  std::string header_text = header.dump();
  if (edit_text) edit_text(&header_text);
  std::vector<uint8_t> out(8);
  for (size_t i = 0; i < 8; ++i) out[i] = static_cast<uint8_t>(static_cast<uint64_t>(header_text.size()) >> (8 * i));
  out.insert(out.end(), header_text.begin(), header_text.end());
  out.insert(out.end(), data.begin(), data.end());
  if (edit_bytes) edit_bytes(&out);
  return out;
}

std::unique_ptr<Graph> TestFile::read(std::string* error) const {
  const std::vector<uint8_t> file = bytes();
  error->clear();
  std::unique_ptr<Graph> graph = read_model(file.data(), file.size(), error);
  EXPECT_EQ(graph != nullptr, error->empty()) << *error;
  return graph;
}

std::string TestFile::error() const {
  std::string out;
  read(&out);
  return out;
}

TestFile stream_file(int64_t channels) {
  TestFile file;
  file.document = {
      {"format", 1},
      {"name", "test"},
      {"sample_rate", 16000},
      {"hop", 160},
      {"tier", "default"},
      {"licence", "CC0-1.0"},
      {"graph",
       {{"inputs", Json::array({{{"name", "in"}, {"tensor", "audio"}, {"kind", "audio"}, {"channels", 1}}})},
        {"outputs", Json::array()},
        {"nodes", Json::array()}}}};
  file.add_node("linear", "x", {"audio"}, Json::object(), {{"weight", {channels, 1}}});
  file.add_output("x");
  return file;
}

TestFile valid_file() {
  TestFile file = stream_file(4);
  file.document["loudness"] = nullptr;
  file.document["provenance"] = {{"source", "test"}};
  file.document["parameters"] = Json::array(
      {{{"name", "gain"}, {"size", 2}, {"default", {0.5, 1.0}}, {"min", 0.0}, {"max", 4.0}, {"smoothing_ms", 10}}});
  file.add_node("conv1d", "fir", {"x"}, {{"pads", {2, 0}}}, {{"weight", {1, 4, 3}}, {"bias", {1}}});
  file.document["graph"]["outputs"].push_back({{"name", "audio"}, {"tensor", "fir"}, {"kind", "audio"}});
  return file;
}

void expect_refused(TestFile file, const Damage& damage) {
  ASSERT_EQ(file.error(), "");
  damage.apply(&file);
  const std::string error = file.error();
  EXPECT_NE(error.find(damage.expected), std::string::npos) << "message: " << error;
  EXPECT_EQ(error.find('\n'), std::string::npos) << error;
  for (char c : error) EXPECT_TRUE(c >= 0x20 && c < 0x7f) << error;
  EXPECT_LT(error.size(), 600u) << error;
}

}  // namespace rtvoice::test
