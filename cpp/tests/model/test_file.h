// A model file under construction, so that a test can damage one thing and see what the reader says.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "model/graph.h"

namespace rtvoice::test {

using Json = nlohmann::ordered_json;

struct TestTensor {
  std::string dtype;
  std::vector<int64_t> shape;
  std::vector<uint8_t> bytes;
};

struct TestFile {
  Json document;  // the `rtvoice` object
  std::map<std::string, TestTensor> tensors;
  std::function<void(Json*)> edit_header;       // last touch on the header's JSON
  std::function<void(std::string*)> edit_text;  // ... on its text
  std::function<void(std::string*)> edit_document_text;
  std::function<void(std::vector<uint8_t>*)> edit_bytes;

  void add_f32(const std::string& name, std::vector<int64_t> shape, float value = 0.5f);
  void add_words(const std::string& name, const std::string& dtype, const std::vector<uint16_t>& words);
  // Appends a node; its weights are new tensors "<name>.<role>" of the given shapes.
  Json& add_node(const std::string& op, const std::string& name, const std::vector<std::string>& inputs,
                 Json attrs = Json::object(),
                 const std::vector<std::pair<std::string, std::vector<int64_t>>>& weights = {});
  void add_output(const std::string& tensor);  // a value output named after the tensor

  std::vector<uint8_t> bytes() const;
  // Reads the file; the error is empty exactly when there is a graph.
  std::unique_ptr<Graph> read(std::string* error) const;
  std::string error() const;
};

// One audio input, 16 kHz, hop 160, one conv1d, a parameter "gain" and an audio output: valid.
TestFile valid_file();
// The same without nodes, with a stream "x" of `channels` channels from the input, and "x" as a value output.
TestFile stream_file(int64_t channels);

// A way to damage a file and what the message must contain.
struct Damage {
  const char* name;
  std::function<void(TestFile*)> apply;
  const char* expected;
};
inline void PrintTo(const Damage& damage, std::ostream* out) { *out << damage.name; }

// A valid file that suffered the damage is refused with one line that contains what is expected.
void expect_refused(TestFile file, const Damage& damage);

}  // namespace rtvoice::test
