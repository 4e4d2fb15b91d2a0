// The `rtvoice` object outside its nodes: header, parameters, input, outputs, limits on the whole.
#include <gtest/gtest.h>

#include "test_file.h"

namespace rtvoice::test {
namespace {

TEST(Document, IsReadCompletely) {
  TestFile file = valid_file();
  file.document["description"] = "a line";
  file.document["latency"] = 7;
  file.document["start"] = "prewarmed";
  file.document["prewarm"] = 24000;
  file.document["loudness"] = -23.5;
  file.document["tier"] = "hq";
  std::string error;
  const std::unique_ptr<Graph> graph = file.read(&error);
  ASSERT_NE(graph, nullptr) << error;
  EXPECT_EQ(graph->description, "a line");
  EXPECT_EQ(graph->declared_latency, 7);
  EXPECT_TRUE(graph->prewarmed);
  EXPECT_EQ(graph->prewarm, 24000);
  EXPECT_TRUE(graph->has_loudness);
  EXPECT_EQ(graph->loudness, -23.5);
  EXPECT_EQ(graph->tier, "hq");
  EXPECT_EQ(graph->licence, "CC0-1.0");
  EXPECT_EQ(graph->sample_rate, 16000);
  EXPECT_EQ(graph->hop, 160);
  EXPECT_EQ(graph->metadata_json, file.document.dump());
  ASSERT_EQ(graph->parameters.size(), 1u);
  EXPECT_EQ(graph->parameters[0].defaults, (std::vector<float>{0.5f, 1.0f}));
  EXPECT_EQ(graph->parameters[0].max, 4.0f);
  EXPECT_EQ(graph->parameters[0].smoothing_ms, 10.0f);
  ASSERT_EQ(graph->outputs.size(), 2u);
  EXPECT_FALSE(graph->outputs[0].audio);
  EXPECT_EQ(graph->outputs[1].value, 3);
}

TEST(Document, OptionalKeysHaveDefaults) {
  TestFile file = valid_file();
  for (const char* key : {"loudness", "provenance", "parameters"}) file.document.erase(key);
  std::string error;
  const std::unique_ptr<Graph> graph = file.read(&error);
  ASSERT_NE(graph, nullptr) << error;
  EXPECT_EQ(graph->declared_latency, -1);
  EXPECT_FALSE(graph->prewarmed);
  EXPECT_FALSE(graph->has_loudness);
}

TEST(Document, NamesMayBeUtf8) {
  TestFile file = valid_file();
  file.document["name"] = "\xc3\xa9" + std::string(63, 'a');  // 64 characters, 65 bytes
  EXPECT_EQ(file.error(), "");
}

TEST(Document, AGraphWithoutNodesPassesItsInputOn) {
  TestFile file = valid_file();
  file.tensors.clear();
  file.document["graph"]["nodes"] = Json::array();
  file.document["graph"]["outputs"] = Json::array({{{"name", "out"}, {"tensor", "audio"}, {"kind", "audio"}}});
  EXPECT_EQ(file.error(), "");
}

Json& outputs(TestFile* f) { return f->document["graph"]["outputs"]; }
Json& input(TestFile* f) { return f->document["graph"]["inputs"][0]; }
Json& parameter(TestFile* f) { return f->document["parameters"][0]; }

const std::vector<Damage> kDamages = {
    {"text_not_json", [](TestFile* f) { f->edit_document_text = [](auto* t) { t->pop_back(); }; },
     "rtvoice: not valid JSON at byte"},
    {"text_empty", [](TestFile* f) { f->edit_document_text = [](auto* t) { t->clear(); }; },
     "rtvoice: does not start with '{'"},
    {"text_duplicate", [](TestFile* f) { f->edit_document_text = [](auto* t) { t->insert(1, "\"hop\":1,"); }; },
     "key 'hop' comes twice"},
    {"text_nan", [](TestFile* f) { f->edit_document_text = [](auto* t) { t->insert(1, "\"a\":NaN,"); }; },
     "not valid JSON"},
    {"unknown_key", [](TestFile* f) { f->document["colour"] = 1; }, "unknown key 'colour'"},
    {"format_missing", [](TestFile* f) { f->document.erase("format"); }, "'format' is missing"},
    {"format_newer", [](TestFile* f) { f->document["format"] = 2; },
     "'format' is 2; this version reads format 1, update rtvoice"},
    {"format_string", [](TestFile* f) { f->document["format"] = "1"; }, "'format' is '1'"},
    {"format_float", [](TestFile* f) { f->document["format"] = 1.0; }, "'format' is 1.0"},
    {"name_missing", [](TestFile* f) { f->document.erase("name"); }, "'name' is missing"},
    {"name_empty", [](TestFile* f) { f->document["name"] = ""; }, "'name' has 0 characters"},
    {"name_long", [](TestFile* f) { f->document["name"] = std::string(65, 'a'); }, "'name' has 65 characters"},
    {"name_two_lines", [](TestFile* f) { f->document["name"] = "a\nb"; }, "'name' is 'a?b'; it must be one line"},
    {"name_number", [](TestFile* f) { f->document["name"] = 5; }, "'name' is 5"},
    {"description_long", [](TestFile* f) { f->document["description"] = std::string(1025, 'a'); },
     "'description' has 1025 characters"},
    {"licence_missing", [](TestFile* f) { f->document.erase("licence"); }, "'licence' is missing"},
    {"licence_null", [](TestFile* f) { f->document["licence"] = nullptr; }, "'licence' is null"},
    {"tier_missing", [](TestFile* f) { f->document.erase("tier"); }, "'tier' is missing"},
    {"tier_two_words", [](TestFile* f) { f->document["tier"] = "very good"; }, "'tier' is 'very good'"},
    {"rate_low", [](TestFile* f) { f->document["sample_rate"] = 999; },
     "'sample_rate' is 999; it must lie in 4000..384000"},
    {"rate_high", [](TestFile* f) { f->document["sample_rate"] = 384001; }, "'sample_rate' is 384001"},
    {"rate_fraction", [](TestFile* f) { f->document["sample_rate"] = 16000.5; },
     "'sample_rate' is 16000.5; it must be an integer"},
    {"hop_zero", [](TestFile* f) { f->document["hop"] = 0; }, "'hop' is 0"},
    {"hop_high", [](TestFile* f) { f->document["hop"] = 65537; }, "'hop' is 65537"},
    {"hop_beyond_64_bits", [](TestFile* f) { f->document["hop"] = 18446744073709551615ull; },
     "'hop' is 18446744073709551615"},
    {"latency_negative", [](TestFile* f) { f->document["latency"] = -1; }, "'latency' is -1"},
    {"latency_null", [](TestFile* f) { f->document["latency"] = nullptr; }, "'latency' is null"},
    {"start_unknown", [](TestFile* f) { f->document["start"] = "warm"; },
     "'start' is 'warm'; it must be 'zero' or 'prewarmed'"},
    {"loudness_text", [](TestFile* f) { f->document["loudness"] = "loud"; },
     "'loudness' is 'loud'; it must be a number"},
    {"loudness_range", [](TestFile* f) { f->document["loudness"] = 1e9; }, "'loudness' is 1000000000.0"},
    {"provenance_text", [](TestFile* f) { f->document["provenance"] = "home"; }, "'provenance' is 'home'"},
    {"graph_missing", [](TestFile* f) { f->document.erase("graph"); }, "'graph' is missing"},
    {"graph_array", [](TestFile* f) { f->document["graph"] = Json::array(); },
     "graph: is an array of 0; it must be an object"},
    {"graph_unknown_key", [](TestFile* f) { f->document["graph"]["edges"] = 1; }, "graph: unknown key 'edges'"},
    {"nodes_missing", [](TestFile* f) { f->document["graph"].erase("nodes"); }, "graph: 'nodes' is missing"},
    {"nodes_object", [](TestFile* f) { f->document["graph"]["nodes"] = Json::object(); },
     "'nodes' is an object; it must be an array"},
    {"nodes_too_many", [](TestFile* f) { f->document["graph"]["nodes"] = Json(std::vector<int>(4097, 0)); },
     "'nodes' has 4097 entries; it must have 0..4096"},
    {"inputs_none", [](TestFile* f) { f->document["graph"]["inputs"] = Json::array(); },
     "'inputs' has 0 entries; it must have 1"},
    {"inputs_two", [](TestFile* f) { f->document["graph"]["inputs"].push_back(input(f)); }, "'inputs' has 2 entries"},
    {"input_kind", [](TestFile* f) { input(f)["kind"] = "midi"; }, "'kind' is 'midi'; it must be 'audio'"},
    {"input_channels", [](TestFile* f) { input(f)["channels"] = 2; }, "'channels' is 2; it must lie in 1..1"},
    {"input_name", [](TestFile* f) { input(f)["name"] = ""; }, "'name' is ''"},
    {"input_tensor", [](TestFile* f) { input(f)["tensor"] = 1; }, "'tensor' is 1"},
    {"input_unknown_key", [](TestFile* f) { input(f)["rate"] = 1; }, "unknown key 'rate'"},
    {"outputs_none", [](TestFile* f) { outputs(f) = Json::array(); }, "'outputs' has 0 entries; it must have 1..256"},
    {"outputs_too_many",
     [](TestFile* f) {
       while (outputs(f).size() < 257) outputs(f).push_back(outputs(f)[0]);
     },
     "'outputs' has 257 entries"},
    {"output_tensor_unknown", [](TestFile* f) { outputs(f)[0]["tensor"] = "ghost"; },
     "output 'x': there is no tensor 'ghost'"},
    {"output_kind", [](TestFile* f) { outputs(f)[0]["kind"] = "video"; },
     "'kind' is 'video'; it must be 'audio' or 'value'"},
    {"output_name_twice", [](TestFile* f) { outputs(f)[0]["name"] = "audio"; }, "output 'audio': the name is taken"},
    {"output_name_unprintable", [](TestFile* f) { outputs(f)[0]["name"] = "\xc3\xa9"; },
     "'name' is '?"
     "?'"},
    {"output_two_audio",
     [](TestFile* f) { outputs(f).push_back({{"name", "b"}, {"tensor", "fir"}, {"kind", "audio"}}); },
     "has an audio output already"},
    {"output_audio_channels", [](TestFile* f) { outputs(f)[1]["tensor"] = "x"; },
     "tensor 'x' has 4 channels and 160 frames per hop; an audio output has 1 and 160"},
    {"output_audio_control",
     [](TestFile* f) {
       f->document["hop"] = 1;
       parameter(f)["size"] = 1;
       parameter(f)["default"] = Json::array({0.5});
       outputs(f)[1]["tensor"] = "gain";
     },
     "and is a control"},
    {"parameters_object", [](TestFile* f) { f->document["parameters"] = Json::object(); }, "'parameters' is an object"},
    {"parameters_too_many", [](TestFile* f) { f->document["parameters"] = Json(std::vector<int>(257, 0)); },
     "'parameters' has 257 entries"},
    {"parameter_key_missing", [](TestFile* f) { parameter(f).erase("min"); }, "parameter 0: 'min' is missing"},
    {"parameter_unknown_key", [](TestFile* f) { parameter(f)["step"] = 1; }, "parameter 0: unknown key 'step'"},
    {"parameter_name_bad", [](TestFile* f) { parameter(f)["name"] = std::string(129, 'p'); }, "a name has 1 to 128"},
    {"parameter_name_taken", [](TestFile* f) { parameter(f)["name"] = "audio"; },
     "parameter 'audio': the name is taken"},
    {"parameter_twice", [](TestFile* f) { f->document["parameters"].push_back(parameter(f)); },
     "parameter 'gain': the name is taken"},
    {"parameter_size", [](TestFile* f) { parameter(f)["size"] = 4097; }, "parameter 'gain': 'size' is 4097"},
    {"parameter_default_short", [](TestFile* f) { parameter(f)["size"] = 3; },
     "'default' has 2 entries; it must have 3"},
    {"parameter_default_text", [](TestFile* f) { parameter(f)["default"][1] = "a"; }, "a number of 'default' is 'a'"},
    {"parameter_default_beyond", [](TestFile* f) { parameter(f)["default"][1] = 4.5; },
     "a number of 'default' is 4.5; it must lie in 0..4"},
    {"parameter_min_above_max", [](TestFile* f) { parameter(f)["min"] = 5; }, "'min' is above 'max'"},
    {"parameter_max_overflow", [](TestFile* f) { parameter(f)["max"] = 1e39; }, "'max' is 1e+39"},
    {"parameter_smoothing", [](TestFile* f) { parameter(f)["smoothing_ms"] = 1001; }, "'smoothing_ms' is 1001"},
    {"memory_of_history",
     [](TestFile* f) {
       f->add_node("linear", "wide", {"audio"}, Json::object(), {{"weight", {1024, 1}}});
       f->add_node("delay", "late", {"wide"}, {{"frames", 1000000}});
     },
     "bytes of weights, history and scratch; the limit is 1073741824"},
    {"memory_of_scratch",
     [](TestFile* f) {
       f->add_node("linear", "wide", {"audio"}, Json::object(), {{"weight", {16384, 1}}});
       f->add_node("upsample", "more", {"wide"}, {{"factor", 1024}});
     },
     "bytes of weights, history and scratch"},
    {"macs",
     [](TestFile* f) {
       f->document["hop"] = 1;
       f->document["sample_rate"] = 384000;
       f->add_node("linear", "a", {"audio"}, Json::object(), {{"weight", {2048, 1}}});
       f->add_node("linear", "b", {"a"}, Json::object(), {{"weight", {2048, 2048}}});
     },
     "million MAC/s; the limit is 1000000 million"},
    {"prewarm",
     [](TestFile* f) {
       f->document["start"] = "prewarmed";
       std::string last = "x";
       for (int i = 0; i < 16; ++i) {
         f->add_node("delay", "late" + std::to_string(i), {last}, {{"frames", 1048576}});
         last = "late" + std::to_string(i);
       }
       f->add_node("linear", "work", {last}, Json::object(), {{"weight", {2048, 4}}});
     },
     "prewarming would take more than 100000 million MAC"},
    {"prewarm_long",
     [](TestFile* f) {
       f->document["start"] = "prewarmed";
       f->document["prewarm"] = 16777216;
       f->add_node("linear", "work", {"x"}, Json::object(), {{"weight", {2048, 4}}});
     },
     "prewarming would take more than 100000 million MAC"},
    {"prewarm_of_zero_start", [](TestFile* f) { f->document["prewarm"] = 100; },
     "'prewarm' belongs to start 'prewarmed'"},
    {"prewarm_nothing",
     [](TestFile* f) {
       f->document["start"] = "prewarmed";
       f->document["prewarm"] = 0;
     },
     "'prewarm'"},
};

class DocumentDamage : public testing::TestWithParam<Damage> {};
TEST_P(DocumentDamage, IsRefused) { expect_refused(valid_file(), GetParam()); }
INSTANTIATE_TEST_SUITE_P(All, DocumentDamage, testing::ValuesIn(kDamages),
                         [](const auto& item) { return std::string(item.param.name); });

}  // namespace
}  // namespace rtvoice::test
