// The safetensors container: what is read from a good one, and what is said about each kind of bad one.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "test_file.h"

namespace rtvoice::test {
namespace {

void set_header_length(std::vector<uint8_t>* bytes, uint64_t length) {
  for (size_t i = 0; i < 8; ++i) (*bytes)[i] = static_cast<uint8_t>(length >> (8 * i));
}

void put_float(TestFile* file, const char* tensor, size_t index, float value) {
  std::memcpy(file->tensors[tensor].bytes.data() + 4 * index, &value, 4);
}

TestFile affine_file(const std::string& dtype, const std::vector<uint16_t>& words) {
  TestFile file = stream_file(static_cast<int64_t>(words.size()));
  file.add_node("affine", "y", {"x"})["weights"]["scale"] = "y.scale";
  file.add_words("y.scale", dtype, words);
  return file;
}

TEST(Container, ReadsAValidFile) {
  std::string error;
  const std::unique_ptr<Graph> graph = valid_file().read(&error);
  ASSERT_NE(graph, nullptr) << error;
  EXPECT_EQ(graph->name, "test");
  EXPECT_EQ(graph->input_name, "audio");
  EXPECT_EQ(graph->nodes[1].w0.shape, (std::vector<int64_t>{1, 4, 3}));
  EXPECT_EQ(graph->nodes[1].w0.data, std::vector<float>(12, 0.5f));
  EXPECT_EQ(graph->nodes[1].attrs.kernel, 3);
  EXPECT_EQ(graph->nodes[1].inputs, std::vector<int>{2});
  EXPECT_EQ(value_channels(*graph), (std::vector<int>{1, 2, 4, 1}));
}

TEST(Container, WidensHalfPrecisionExactly) {
  // 1, -2, the smallest subnormal, the largest subnormal, the smallest normal, the largest, -0.
  const TestFile file = affine_file("F16", {0x3c00, 0xc000, 0x0001, 0x03ff, 0x0400, 0x7bff, 0x8000});
  std::string error;
  const std::unique_ptr<Graph> graph = file.read(&error);
  ASSERT_NE(graph, nullptr) << error;
  const std::vector<float>& data = graph->nodes[1].w0.data;
  EXPECT_EQ(data, (std::vector<float>{1.0f, -2.0f, std::ldexp(1.0f, -24), std::ldexp(1023.0f, -24),
                                      std::ldexp(1.0f, -14), 65504.0f, -0.0f}));
  EXPECT_TRUE(std::signbit(data[6]));
}

TEST(Container, WidensBfloat16Exactly) {
  const TestFile file = affine_file("BF16", {0x3f80, 0xc000, 0x7f7f, 0x0001});
  std::string error;
  const std::unique_ptr<Graph> graph = file.read(&error);
  ASSERT_NE(graph, nullptr) << error;
  EXPECT_EQ(graph->nodes[1].w0.data,
            (std::vector<float>{1.0f, -2.0f, std::ldexp(255.0f, 120), std::ldexp(1.0f, -133)}));
}

// A linear layer of 2 rows and 3 columns in 8 bits, with steps of the given shape.
TestFile byte_file(const std::vector<int64_t>& shape, const std::vector<float>& steps) {
  TestFile file = stream_file(3);
  file.add_node("linear", "y", {"x"}, Json::object(), {{"weight", {2, 3}}});
  file.tensors["y.weight"] = {"I8", {2, 3}, {1, 2, 0x81, 0x7f, 0, 0xff}};
  file.add_f32("y.weight.scale", shape);
  for (size_t i = 0; i < steps.size(); ++i) put_float(&file, "y.weight.scale", i, steps[i]);
  return file;
}

TEST(Container, MultipliesBytesByTheirSteps) {
  const std::vector<std::pair<TestFile, std::vector<float>>> cases = {
      {byte_file({2, 1}, {0.5f, 4.0f}), {0.5f, 1.0f, -63.5f, 508.0f, 0.0f, -4.0f}},
      {byte_file({1, 3}, {1.0f, 2.0f, 3.0f}), {1.0f, 4.0f, -381.0f, 127.0f, 0.0f, -3.0f}},
      {byte_file({1, 1}, {0.25f}), {0.25f, 0.5f, -31.75f, 31.75f, 0.0f, -0.25f}}};
  for (const auto& [file, expected] : cases) {
    std::string error;
    const std::unique_ptr<Graph> graph = file.read(&error);
    ASSERT_NE(graph, nullptr) << error;
    EXPECT_EQ(graph->nodes[1].w0.data, expected);
    EXPECT_TRUE(graph->nodes[1].w0.half);
  }
}

TEST(Container, RefusesBytesWithoutStepsThatFit) {
  const char* expected = "tensor 'y.weight': is I8 and needs an F32 tensor 'y.weight.scale'";
  TestFile none = byte_file({2, 1}, {});
  none.tensors.erase("y.weight.scale");
  TestFile half = byte_file({2, 1}, {});
  half.tensors["y.weight.scale"] = {"F16", {2, 1}, {0, 0, 0, 0}};
  for (const TestFile& file : {none, half, byte_file({2}, {}), byte_file({2, 3}, {}), byte_file({3, 1}, {})}) {
    EXPECT_NE(file.error().find(expected), std::string::npos) << file.error();
  }
  TestFile own = byte_file({2, 1}, {});
  own.document["graph"]["nodes"][1]["weights"]["bias"] = "y.weight.scale";
  EXPECT_FALSE(own.error().empty());
  const TestFile infinite = byte_file({2, 1}, {std::numeric_limits<float>::infinity()});
  EXPECT_NE(infinite.error().find("is not finite"), std::string::npos) << infinite.error();
}

TEST(Container, RefusesHalvesThatAreNotFinite) {
  for (uint16_t word : std::initializer_list<uint16_t>{0x7c00, 0xfc00, 0x7c01, 0x7fff}) {
    EXPECT_NE(affine_file("F16", {0, word}).error().find("value 1 is not finite"), std::string::npos);
  }
  for (uint16_t word : std::initializer_list<uint16_t>{0x7f80, 0xff80, 0x7fc0}) {
    EXPECT_NE(affine_file("BF16", {0, word}).error().find("value 1 is not finite"), std::string::npos);
  }
}

TEST(Container, RefusesEveryTruncation) {
  const std::vector<uint8_t> bytes = valid_file().bytes();
  for (size_t size = 0; size < bytes.size(); ++size) {
    std::string error;
    EXPECT_EQ(read_model(bytes.data(), size, &error), nullptr) << size;
    EXPECT_FALSE(error.empty()) << size;
  }
}

TEST(Container, AcceptsNoErrorString) {
  const std::vector<uint8_t> bytes = valid_file().bytes();
  EXPECT_NE(read_model(bytes.data(), bytes.size(), nullptr), nullptr);
  EXPECT_EQ(read_model(bytes.data(), bytes.size() - 1, nullptr), nullptr);
  EXPECT_EQ(read_model(nullptr, 0, nullptr), nullptr);
}

TEST(Container, HashTellsFilesApart) {
  std::string error;
  TestFile file = valid_file();
  const uint64_t hash = file.read(&error)->hash;
  EXPECT_EQ(file.read(&error)->hash, hash);
  put_float(&file, "fir.weight", 11, 0.25f);
  EXPECT_NE(file.read(&error)->hash, hash);
}

TEST(Container, ToleratesTrailingSpacesAndForeignMetadata) {
  TestFile file = valid_file();
  file.edit_text = [](std::string* text) { *text += "       "; };
  file.edit_header = [](Json* header) { (*header)["__metadata__"]["other"] = "free"; };
  EXPECT_EQ(file.error(), "");
}

const std::vector<Damage> kDamages = {
    {"empty", [](TestFile* f) { f->edit_bytes = [](auto* b) { b->clear(); }; }, "too short for a model"},
    {"seven_bytes", [](TestFile* f) { f->edit_bytes = [](auto* b) { b->resize(7); }; }, "has 7 bytes"},
    {"header_length_huge", [](TestFile* f) { f->edit_bytes = [](auto* b) { set_header_length(b, ~0ull); }; },
     "the limit is 16777216"},
    {"header_length_wraps", [](TestFile* f) { f->edit_bytes = [](auto* b) { set_header_length(b, 0ull - 8); }; },
     "header length"},
    {"header_longer_than_file",
     [](TestFile* f) { f->edit_bytes = [](auto* b) { set_header_length(b, b->size() - 7); }; }, "it is cut off"},
    {"header_empty", [](TestFile* f) { f->edit_bytes = [](auto* b) { set_header_length(b, 0); }; },
     "does not start with '{'"},
    {"header_cut", [](TestFile* f) { f->edit_bytes = [](auto* b) { set_header_length(b, 40); }; },
     "header: not valid JSON at byte"},
    {"header_leading_space", [](TestFile* f) { f->edit_text = [](auto* t) { t->insert(0, " "); }; },
     "does not start with '{'"},
    {"header_bom", [](TestFile* f) { f->edit_text = [](auto* t) { t->insert(0, "\xef\xbb\xbf"); }; },
     "does not start with '{'"},
    {"header_array", [](TestFile* f) { f->edit_text = [](auto* t) { *t = "[]"; }; }, "does not start with '{'"},
    {"header_trailing_junk", [](TestFile* f) { f->edit_text = [](auto* t) { *t += "x"; }; }, "not valid JSON"},
    {"header_bad_utf8", [](TestFile* f) { f->edit_text = [](auto* t) { (*t)[3] = '\xff'; }; },
     "not valid JSON at byte"},
    {"header_duplicate_key", [](TestFile* f) { f->edit_text = [](auto* t) { t->insert(1, "\"x.weight\":0,"); }; },
     "key 'x.weight' comes twice"},
    {"header_deep",
     [](TestFile* f) {
       f->edit_text = [](auto* t) {
         t->insert(1, "\"a\":" + std::string(100000, '[') + std::string(100000, ']') + ",");
       };
     },
     "nested deeper than 32 levels"},
    {"header_many_values",
     [](TestFile* f) {
       f->edit_text = [](auto* t) {
         std::string zeros = "\"a\":[0";
         for (int i = 0; i < 600000; ++i) zeros += ",0";
         t->insert(1, zeros + "],");
       };
     },
     "more than 524288 JSON values"},
    {"header_number_overflows", [](TestFile* f) { f->edit_text = [](auto* t) { t->insert(1, "\"a\":1e999,"); }; },
     "not valid JSON"},
    {"no_metadata", [](TestFile* f) { f->edit_header = [](Json* h) { h->erase("__metadata__"); }; },
     "has no '__metadata__'"},
    {"metadata_not_object", [](TestFile* f) { f->edit_header = [](Json* h) { (*h)["__metadata__"] = 3; }; },
     "'__metadata__' is 3"},
    {"metadata_not_string",
     [](TestFile* f) { f->edit_header = [](Json* h) { (*h)["__metadata__"]["rtvoice"] = Json::object(); }; },
     "must be a string"},
    {"metadata_without_rtvoice",
     [](TestFile* f) { f->edit_header = [](Json* h) { (*h)["__metadata__"].erase("rtvoice"); }; },
     "has no 'rtvoice'; this is no model of rtvoice, try 'rtvoice import'"},
    {"tensor_not_object", [](TestFile* f) { f->edit_header = [](Json* h) { (*h)["x.weight"] = 1; }; },
     "tensor 'x.weight': is 1"},
    {"tensor_key_missing", [](TestFile* f) { f->edit_header = [](Json* h) { (*h)["x.weight"].erase("shape"); }; },
     "'shape' is missing"},
    {"tensor_key_unknown", [](TestFile* f) { f->edit_header = [](Json* h) { (*h)["x.weight"]["more"] = 1; }; },
     "unknown key 'more'"},
    {"tensor_name_empty", [](TestFile* f) { f->edit_header = [](Json* h) { (*h)[""] = (*h)["x.weight"]; }; },
     "tensor '': a tensor's name has"},
    {"tensor_name_unprintable", [](TestFile* f) { f->edit_header = [](Json* h) { (*h)["a\nb"] = (*h)["x.weight"]; }; },
     "tensor 'a?b'"},
    {"dtype_unsupported", [](TestFile* f) { f->edit_header = [](Json* h) { (*h)["x.weight"]["dtype"] = "F64"; }; },
     "dtype is 'F64'; convert it to F32, F16, BF16 or I8"},
    {"dtype_number", [](TestFile* f) { f->edit_header = [](Json* h) { (*h)["x.weight"]["dtype"] = 32; }; },
     "dtype is 32"},
    {"shape_empty", [](TestFile* f) { f->edit_header = [](Json* h) { (*h)["x.weight"]["shape"] = Json::array(); }; },
     "'shape' has 0 entries"},
    {"shape_nine_axes",
     [](TestFile* f) {
       f->edit_header = [](Json* h) { (*h)["x.weight"]["shape"] = Json::array({4, 1, 1, 1, 1, 1, 1, 1, 1}); };
     },
     "'shape' has 9 entries"},
    {"shape_zero",
     [](TestFile* f) { f->edit_header = [](Json* h) { (*h)["x.weight"]["shape"] = Json::array({0, 1}); }; },
     "an axis of 'shape' is 0"},
    {"shape_negative",
     [](TestFile* f) { f->edit_header = [](Json* h) { (*h)["x.weight"]["shape"] = Json::array({-4, -1}); }; },
     "an axis of 'shape' is -4"},
    {"shape_fraction",
     [](TestFile* f) { f->edit_header = [](Json* h) { (*h)["x.weight"]["shape"] = Json::array({4.0, 1}); }; },
     "must be an integer"},
    {"shape_overflows",
     [](TestFile* f) {
       f->edit_header = [](Json* h) { (*h)["x.weight"]["shape"] = Json::array({1 << 28, 1 << 28, 1 << 28}); };
     },
     "'shape' asks for more than the file's limit"},
    {"shape_beyond_64_bits",
     [](TestFile* f) {
       f->edit_header = [](Json* h) { (*h)["x.weight"]["shape"] = Json::array({18446744073709551615ull, 1}); };
     },
     "an axis of 'shape' is 18446744073709551615"},
    {"shape_against_offsets",
     [](TestFile* f) { f->edit_header = [](Json* h) { (*h)["x.weight"]["shape"] = Json::array({5, 1}); }; },
     "hold 16 bytes, its shape and dtype ask for 20"},
    {"offsets_one",
     [](TestFile* f) { f->edit_header = [](Json* h) { (*h)["x.weight"]["data_offsets"] = Json::array({0}); }; },
     "'data_offsets' has 1 entries"},
    {"offsets_backwards",
     [](TestFile* f) { f->edit_header = [](Json* h) { (*h)["x.weight"]["data_offsets"] = Json::array({20, 4}); }; },
     "'data_offsets[1]' is 4"},
    {"offsets_beyond",
     [](TestFile* f) {
       f->edit_header = [](Json* h) { (*h)["x.weight"]["data_offsets"] = Json::array({1000000, 1000016}); };
     },
     "'data_offsets[0]' is 1000000"},
    {"offsets_negative",
     [](TestFile* f) { f->edit_header = [](Json* h) { (*h)["x.weight"]["data_offsets"] = Json::array({-16, 0}); }; },
     "'data_offsets[0]' is -16"},
    {"offsets_overlap",
     [](TestFile* f) { f->edit_header = [](Json* h) { (*h)["x.weight"]["data_offsets"] = (Json::array({0, 16})); }; },
     "without gap or overlap"},
    {"data_missing", [](TestFile* f) { f->edit_bytes = [](auto* b) { b->pop_back(); }; },
     "tensor 'x.weight': 'data_offsets[1]'"},
    {"data_left_over", [](TestFile* f) { f->edit_bytes = [](auto* b) { b->push_back(0); }; },
     "1 bytes follow the last tensor"},
    {"tensor_unused", [](TestFile* f) { f->add_f32("spare", {3}); }, "tensor 'spare': no node uses it"},
    {"not_finite", [](TestFile* f) { put_float(f, "fir.weight", 7, std::numeric_limits<float>::infinity()); },
     "tensor 'fir.weight': value 7 is not finite"},
    {"nan", [](TestFile* f) { put_float(f, "fir.bias", 0, std::nanf("")); },
     "tensor 'fir.bias': value 0 is not finite"},
};

class ContainerDamage : public testing::TestWithParam<Damage> {};
TEST_P(ContainerDamage, IsRefused) { expect_refused(valid_file(), GetParam()); }
INSTANTIATE_TEST_SUITE_P(All, ContainerDamage, testing::ValuesIn(kDamages),
                         [](const auto& item) { return std::string(item.param.name); });

}  // namespace
}  // namespace rtvoice::test
