// Opening models: every status, and what the handle keeps.
#include <cstring>

#include "host.h"

namespace rtvoice::test {
namespace {

// What rtv_last_error says must be one line.
void expect_one_line(const char* part = "") {
  const std::string error = rtv_last_error();
  EXPECT_FALSE(error.empty());
  EXPECT_EQ(error.find('\n'), std::string::npos) << error;
  EXPECT_NE(error.find(part), std::string::npos) << error;
}

TEST(CApiModel, VersionStatusAndInstructionSet) {
  EXPECT_GT(rtv_version(), 0u);
  EXPECT_NE(std::string(rtv_isa()), "");
  std::vector<std::string> texts;
  for (int status = RTV_OK; status <= RTV_ERROR_STRUCT_SIZE; ++status) {
    const char* text = rtv_status_string(static_cast<rtv_status>(status));
    ASSERT_NE(text, nullptr);
    EXPECT_EQ(std::count(texts.begin(), texts.end(), text), 0) << text;
    texts.push_back(text);
  }
  EXPECT_STREQ(rtv_status_string(static_cast<rtv_status>(RTV_ERROR_STRUCT_SIZE + 1)), "unknown status");
}

TEST(CApiModel, OpenRefusesNull) {
  rtv_model* model = nullptr;
  EXPECT_EQ(rtv_model_open(nullptr, &model), RTV_ERROR_ARGUMENT);
  EXPECT_EQ(rtv_model_open("x.rtv", nullptr), RTV_ERROR_ARGUMENT);
  EXPECT_EQ(rtv_model_open_memory(nullptr, 10, &model), RTV_ERROR_ARGUMENT);
  EXPECT_EQ(rtv_model_open_memory("x", 1, nullptr), RTV_ERROR_ARGUMENT);
  expect_one_line("rtv_model_open_memory");
}

TEST(CApiModel, OpenNamesTheFileThatCannotBeRead) {
  for (const char* path : {"/nowhere/at/all.rtv", "", "/"}) {
    rtv_model* model = reinterpret_cast<rtv_model*>(8);
    EXPECT_EQ(rtv_model_open(path, &model), RTV_ERROR_FILE) << path;
    EXPECT_EQ(model, nullptr);
    expect_one_line(path);
  }
}

TEST(CApiModel, OpenRefusesWhatIsNoModel) {
  for (const std::string& bytes :
       {std::string(), std::string("x"), std::string(8, '\0'), std::string(8, '\xff'), std::string(4096, 'a')}) {
    rtv_model* model = reinterpret_cast<rtv_model*>(8);
    EXPECT_EQ(rtv_model_open_memory(bytes.data(), bytes.size(), &model), RTV_ERROR_MODEL);
    EXPECT_EQ(model, nullptr);
    expect_one_line();
  }
}

// Every prefix of a small model, and every byte of its header changed: an error or a model that can make an engine, never a crash.
TEST(CApiModel, DamagedModelsAreErrors) {
  const Bytes good = control_model();
  for (size_t size = 0; size < good.size(); size += 7) {
    rtv_model* model = nullptr;
    EXPECT_EQ(rtv_model_open_memory(good.data(), size, &model), RTV_ERROR_MODEL) << size;
    EXPECT_EQ(model, nullptr);
  }
  size_t opened = 0;
  const size_t header = 8 + good[0] + 256u * good[1];
  for (size_t at = 0; at < good.size(); at += at < header ? 1 : 61) {
    Bytes bad = good;
    bad[at] = static_cast<uint8_t>(bad[at] ^ (1 + at % 255));
    rtv_model* model = nullptr;
    if (rtv_model_open_memory(bad.data(), bad.size(), &model) != RTV_OK) continue;
    ++opened;
    const ModelHandle handle(model);
    rtv_engine* engine = nullptr;
    const rtv_config config = default_config();
    if (rtv_engine_create(model, &config, &engine) != RTV_OK) continue;
    const EngineHandle made(engine);
    stream(made, test_signal(4800));
  }
  EXPECT_GT(opened, 0u) << "changed weights still make a model";
}

TEST(CApiModel, OpenMemoryKeepsNothingOfTheCallers) {
  Bytes bytes = tcn_model();
  const ModelHandle kept = open_model(bytes);
  const EngineHandle expected = make_engine(open_model(bytes));
  std::memset(bytes.data(), 0xff, bytes.size());
  const Samples in = test_signal(4800);
  EXPECT_EQ(stream(make_engine(kept), in), stream(expected, in));
}

TEST(CApiModel, InfoIsJsonAboutTheModel) {
  EXPECT_STREQ(rtv_model_info(nullptr), "");
  const ModelHandle model = open_model(control_model());
  const nlohmann::json info = nlohmann::json::parse(rtv_model_info(model.get()));
  EXPECT_EQ(info["name"], "control");
  EXPECT_EQ(info["sample_rate"], 16000);
  EXPECT_EQ(info["latency"], 40);
  EXPECT_EQ(info["parameters"].size(), 2u);
  EXPECT_EQ(rtv_model_info(model.get()), rtv_model_info(model.get())) << "valid while the handle is";
}

TEST(CApiModel, CloseNull) {
  rtv_model_close(nullptr);
  rtv_engine_destroy(nullptr);
}

TEST(CApiModel, EnginesOutliveTheirModel) {
  ModelHandle model = open_model(gru_model());
  const EngineHandle first = make_engine(model), second = make_engine(model);
  model.reset();
  const Samples in = test_signal(4800);
  EXPECT_EQ(stream(first, in), stream(second, in, 37));
}

}  // namespace
}  // namespace rtvoice::test
