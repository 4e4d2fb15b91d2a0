// Creating engines: every bad configuration is refused by name, every good one works.
#include <limits>

#include "host.h"

namespace rtvoice::test {
namespace {

rtv_status create(const ModelHandle& model, const rtv_config& config) {
  rtv_engine* engine = reinterpret_cast<rtv_engine*>(8);
  const rtv_status status = rtv_engine_create(model.get(), &config, &engine);
  EXPECT_EQ(status == RTV_OK, engine != nullptr);
  EXPECT_TRUE(status == RTV_OK || rtv_last_error()[0] != '\0');
  const EngineHandle closes(engine);
  return status;
}

TEST(CApiCreate, ConfigInitFillsInTheDefaults) {
  rtv_config_init(nullptr);
  rtv_config config;
  rtv_config_init(&config);
  EXPECT_EQ(config.struct_size, sizeof config);
  EXPECT_EQ(config.sample_rate, 48000u);
  EXPECT_EQ(config.max_frame, 1024u);
  EXPECT_EQ(config.channels, 1u);
  EXPECT_EQ(config.block, 0u);
  EXPECT_EQ(config.resampler, static_cast<uint32_t>(RTV_RESAMPLER_AUTO));
  EXPECT_EQ(config.seed, 0u);
  EXPECT_EQ(config.fade_ms, 20.0f);
}

TEST(CApiCreate, RefusesNull) {
  const ModelHandle model = open_model(tcn_model());
  const rtv_config config = default_config();
  rtv_engine* engine = reinterpret_cast<rtv_engine*>(8);
  EXPECT_EQ(rtv_engine_create(nullptr, &config, &engine), RTV_ERROR_ARGUMENT);
  EXPECT_EQ(engine, nullptr);
  EXPECT_EQ(rtv_engine_create(model.get(), nullptr, &engine), RTV_ERROR_ARGUMENT);
  EXPECT_EQ(rtv_engine_create(model.get(), &config, nullptr), RTV_ERROR_ARGUMENT);
}

TEST(CApiCreate, RefusesStructsThatWereNotInitialised) {
  const ModelHandle model = open_model(tcn_model());
  rtv_config config = default_config();
  for (const size_t size : {size_t{0}, size_t{4}, sizeof config - 1}) {
    config.struct_size = static_cast<uint32_t>(size);
    EXPECT_EQ(create(model, config), RTV_ERROR_STRUCT_SIZE) << size;
  }
  config.struct_size = sizeof config + 16;  // a host built against a later header
  EXPECT_EQ(create(model, config), RTV_OK);
}

TEST(CApiCreate, RefusesValuesOutOfRange) {
  const ModelHandle model = open_model(tcn_model());
  constexpr uint32_t kMost = std::numeric_limits<uint32_t>::max();
  const struct {
    const char* name;
    uint32_t rtv_config::* field;
    std::vector<uint32_t> bad;
  } fields[] = {{"sample_rate", &rtv_config::sample_rate, {0, 1, 7999, 192001, 1u << 31, kMost}},
                {"max_frame", &rtv_config::max_frame, {0, 65537, 1u << 31, kMost}},
                {"channels", &rtv_config::channels, {0, 33, 1u << 31, kMost}},
                {"block", &rtv_config::block, {1025, 65536, kMost}},
                {"resampler", &rtv_config::resampler, {6, 100, kMost}},
                {"schedule", &rtv_config::schedule, {2, 100, kMost}}};
  for (const auto& field : fields) {
    for (const uint32_t value : field.bad) {
      rtv_config config = default_config();
      config.*field.field = value;
      EXPECT_EQ(create(model, config), RTV_ERROR_ARGUMENT) << field.name << " " << value;
      EXPECT_NE(std::string(rtv_last_error()).find(field.name), std::string::npos) << rtv_last_error();
    }
  }
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const float fade : {-1.0f, -1e-20f, 1000.1f, kInfinity, -kInfinity, std::numeric_limits<float>::quiet_NaN()}) {
    rtv_config config = default_config();
    config.fade_ms = fade;
    EXPECT_EQ(create(model, config), RTV_ERROR_ARGUMENT) << fade;
    EXPECT_NE(std::string(rtv_last_error()).find("fade_ms"), std::string::npos);
  }
}

TEST(CApiCreate, RefusesFiltersWithTooManyPhases) {
  const ModelHandle model = open_model(control_model());
  for (const uint32_t kind : {RTV_RESAMPLER_FIR, RTV_RESAMPLER_FIR_SHORT}) {
    rtv_config config = default_config(44101);  // a prime: 441 and 160 phases are few enough
    config.resampler = kind;
    EXPECT_EQ(create(model, config), RTV_ERROR_ARGUMENT);
  }
}

TEST(CApiCreate, EveryRateChannelCountAndResamplerWorks) {
  for (const Bytes& bytes : {control_model(), tcn_model(4, 2)}) {
    const ModelHandle model = open_model(bytes);
    for (const uint32_t rate : {8000u, 11025u, 16000u, 22050u, 24000u, 32000u, 44100u, 48000u, 88200u, 96000u, 176400u,
                                192000u, 8001u, 191999u}) {
      for (const uint32_t kind : {RTV_RESAMPLER_AUTO, RTV_RESAMPLER_FASTEST}) {
        rtv_config config = default_config(rate, 600, 2);
        config.resampler = kind;
        const EngineHandle engine = make_engine(model, config);
        ASSERT_NE(engine, nullptr) << rate;
        EXPECT_LE(rtv_engine_latency(engine.get()), rate / 20) << rate << ": 50 ms";
        const Samples out = stream(engine, test_signal(2 * rate / 10), 600, 2);
        EXPECT_TRUE(all_finite(out)) << rate;
        EXPECT_GT(peak(out), 1e-4f) << rate;
      }
    }
  }
}

TEST(CApiCreate, ExtremesOfEachFieldWork) {
  const ModelHandle model = open_model(tcn_model(4, 2));
  for (const uint32_t channels : {1u, 2u, 7u, 32u})
    EXPECT_EQ(create(model, default_config(48000, 1024, channels)), RTV_OK);
  for (const uint32_t frame : {1u, 2u, 65536u}) EXPECT_EQ(create(model, default_config(48000, frame)), RTV_OK);
  for (const float fade : {0.0f, 1e-30f, 1000.0f}) {
    rtv_config config = default_config();
    config.fade_ms = fade;
    EXPECT_EQ(create(model, config), RTV_OK);
  }
}

TEST(CApiCreate, SeedChangesTheNoise) {
  const ModelHandle model = open_model(control_model());
  const Samples in = test_signal(9600);
  std::vector<Samples> out;
  for (const uint64_t seed : {uint64_t{0}, uint64_t{0}, uint64_t{1}, ~uint64_t{0}}) {
    rtv_config config = default_config();
    config.seed = seed;
    const EngineHandle engine = make_engine(model, config);
    set(engine, "hiss", 1.0f);
    out.push_back(stream(engine, in));
  }
  EXPECT_EQ(out[0], out[1]);
  EXPECT_NE(out[0], out[2]);
  EXPECT_NE(out[2], out[3]);
}

}  // namespace
}  // namespace rtvoice::test
