// Every shipped model and tier, and made ones: the same bits in promised blocks, in frames of any size, inline and sliced.
#include <algorithm>
#include <functional>
#include <string>

#include "c_api/host.h"
#include "short_form.h"

namespace rtvoice::test {
namespace {

struct Network {
  std::string name;
  std::function<Bytes()> bytes;
};

void PrintTo(const Network& network, std::ostream* out) { *out << network.name; }

std::vector<Network> networks() {
  std::vector<Network> all{{"tcn", [] { return tcn_model(); }},
                           {"gru", [] { return gru_model(); }},
                           {"lstm", [] { return lstm_model(); }},
                           {"control", control_model},
                           {"voice", voice_model},
                           {"synthesis", synthesis_model}};
  for (const ShippedSkin& skin : shipped_skins()) {
    for (const std::string& path : skin.tiers) {
      const std::string file = path.substr(path.rfind('/') + 1);
      all.push_back({skin.name + "_" + file.substr(0, file.rfind('.')), [path] { return read_file(path); }});
    }
  }
  return all;
}

// `late` without its first samples: how much later than `early` its engine is.
bool same_bits(const Samples& early, uint32_t early_latency, const Samples& late, uint32_t late_latency) {
  const size_t shift = late_latency - early_latency;
  return early.size() > shift && std::equal(early.begin(), early.end() - static_cast<std::ptrdiff_t>(shift),
                                            late.begin() + static_cast<std::ptrdiff_t>(shift));
}

class Det : public testing::TestWithParam<Network> {};

TEST_P(Det, BlocksAndSchedulesGiveTheSameBits) {
  const ModelHandle model = open_model(GetParam().bytes());
  for (const uint32_t rate : {48000u, 44100u, 16000u}) {
    // The least late of all: whole blocks promised where the rates allow.
    rtv_config config = default_config(rate, rate / 100);
    config.block = rate / 100;
    const Samples in = test_signal(shortened(rate / 2, 8) / config.block * config.block);
    const EngineHandle promised = make_engine(model, config);
    const Samples expected = stream(promised, in, config.block);
    const uint32_t latency = rtv_engine_latency(promised.get());
    ASSERT_TRUE(all_finite(expected));
    ASSERT_GT(peak(expected), 1e-4f);
    size_t compared = 0;
    for (const uint32_t schedule : {RTV_SCHEDULE_INLINE, RTV_SCHEDULE_SLICED}) {
      for (const uint32_t block : {0u, rate / 100, 128u, 64u, 1u}) {
        rtv_config other = default_config(rate, block == 0 ? 1024 : block);
        other.block = block;
        other.schedule = schedule;
        const EngineHandle engine = make_engine(model, other);
        std::mt19937 random(block);
        // A last frame shorter than promised would be refused.
        const auto whole = static_cast<std::ptrdiff_t>(block == 0 ? in.size() : in.size() / block * block);
        const Samples out = stream(engine, Samples(in.begin(), in.begin() + whole),
                                   [&] { return block != 0 ? size_t{block} : size_t{1 + random() % 1024}; });
        EXPECT_TRUE(same_bits(Samples(expected.begin(), expected.begin() + whole), latency, out,
                              rtv_engine_latency(engine.get())))
            << rate << " Hz, schedule " << schedule << ", block " << block;
        ++compared;
      }
    }
    EXPECT_EQ(compared, 10u);
  }
}

// Two engines of one model in one thread, by turns, and one alone: nothing is shared but the weights.
TEST_P(Det, AnotherEngineChangesNoBit) {
  const ModelHandle model = open_model(GetParam().bytes());
  const Samples in = test_signal(shortened(9600, 8)), other_in = test_signal(in.size(), 2);
  const Samples alone = stream(make_engine(model), in);
  const EngineHandle one = make_engine(model), two = make_engine(model);
  Samples out(in.size()), other(in.size());
  for (size_t at = 0; at < in.size(); at += 240) {
    const uint32_t frames = static_cast<uint32_t>(std::min<size_t>(240, in.size() - at));
    rtv_engine_process(two.get(), other_in.data() + at, other.data() + at, frames);
    rtv_engine_process(one.get(), in.data() + at, out.data() + at, frames);
  }
  EXPECT_EQ(out, alone);
}

// The comparison must see the smallest change: one sample, one unit in its last place.
TEST(DetPlanted, OneUnitInTheLastPlaceIsSeen) {
  const ModelHandle model = open_model(scale_model(1.0f));
  Samples in = test_signal(4800);
  const Samples before = stream(make_engine(model), in);
  in[1000] = std::nextafter(in[1000], 1.0f);
  const Samples after = stream(make_engine(model), in);
  EXPECT_TRUE(same_bits(before, 0, before, 0));
  EXPECT_FALSE(same_bits(before, 0, after, 0));
}

INSTANTIATE_TEST_SUITE_P(Models, Det, testing::ValuesIn(networks()), [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace rtvoice::test
