// Swapping models while the stream runs.
#include "host.h"

namespace rtvoice::test {
namespace {

// The new model hears the engine's latency and 20 ms, then fades in over 20 ms.
constexpr size_t kPrimeAndFade = 960 + 960;

TEST(CApiSwap, RefusesNull) {
  const ModelHandle model = open_model(tcn_model());
  const EngineHandle engine = make_engine(model);
  EXPECT_EQ(rtv_engine_swap(nullptr, model.get()), RTV_ERROR_ARGUMENT);
  EXPECT_EQ(rtv_engine_swap(engine.get(), nullptr), RTV_ERROR_ARGUMENT);
  EXPECT_NE(std::string(rtv_last_error()), "");
}

TEST(CApiSwap, RefusesMoreLatencyThanTheEngineHas) {
  const EngineHandle quick = make_engine(open_model(lookahead_model(10)));
  const Samples in = test_signal(4800);
  const Samples before = stream(quick, in);
  EXPECT_EQ(rtv_engine_swap(quick.get(), open_model(lookahead_model(11)).get()), RTV_ERROR_LATENCY);
  EXPECT_NE(std::string(rtv_last_error()).find("latency"), std::string::npos);
  rtv_engine_reset(quick.get());
  EXPECT_EQ(stream(quick, in), before) << "the refused model left no trace";
  EXPECT_EQ(rtv_engine_swap(quick.get(), open_model(lookahead_model(10)).get()), RTV_OK);
}

TEST(CApiSwap, ArrivesAtTheEnginesLatency) {
  const EngineHandle engine = make_engine(open_model(lookahead_model(50)));
  EXPECT_EQ(rtv_engine_latency(engine.get()), 50u);
  ASSERT_EQ(rtv_engine_swap(engine.get(), open_model(scale_model(3.0f)).get()), RTV_OK);  // its own latency is 0
  const Samples in = test_signal(9600);
  const Samples out = stream(engine, in);
  EXPECT_EQ(rtv_engine_latency(engine.get()), 50u);
  for (size_t i = 50; i < 960; ++i)
    ASSERT_EQ(out[i], in[i]) << "the old one, 50 ahead of its latency, while the new one listens";
  for (size_t i = 50 + kPrimeAndFade + 480; i < out.size(); ++i) ASSERT_EQ(out[i], 3.0f * in[i - 50]) << i;
  for (size_t i = 51; i < out.size(); ++i) ASSERT_LE(std::fabs(out[i]), 3.0f * 0.31f) << i;
}

TEST(CApiSwap, IsBusyUntilTheFadeIsOver) {
  const ModelHandle first = open_model(scale_model(1.0f)), second = open_model(scale_model(2.0f));
  const EngineHandle engine = make_engine(first);
  const Samples frame = test_signal(480);
  ASSERT_EQ(rtv_engine_swap(engine.get(), second.get()), RTV_OK);
  stream(engine, frame);
  EXPECT_EQ(rtv_engine_swap(engine.get(), first.get()), RTV_ERROR_BUSY);
  EXPECT_NE(std::string(rtv_last_error()), "");
  for (size_t done = 480; done < kPrimeAndFade; done += 480) stream(engine, frame);
  EXPECT_EQ(rtv_engine_swap(engine.get(), first.get()), RTV_OK);
  EXPECT_EQ(rtv_engine_swap(engine.get(), second.get()), RTV_OK) << "no frame came since: replaced";
  rtv_engine_reset(engine.get());  // ends a swap at once
  EXPECT_EQ(stream(engine, {0.25f, 0.25f}), (Samples{0.5f, 0.5f}));
  EXPECT_EQ(rtv_engine_swap(engine.get(), first.get()), RTV_OK);
}

TEST(CApiSwap, ParametersKeepTheirValuesByName) {
  const ModelHandle model = open_model(control_model());
  const EngineHandle engine = make_engine(model), expected = make_engine(model);
  for (const EngineHandle* e : {&engine, &expected}) set(*e, "gain", 3.0f);
  ASSERT_EQ(rtv_engine_swap(engine.get(), open_model(tcn_model()).get()), RTV_OK);
  rtv_engine_reset(engine.get());
  EXPECT_EQ(set(engine, "gain", 1.0f), RTV_ERROR_ARGUMENT) << "the other model has no gain";
  ASSERT_EQ(rtv_engine_swap(engine.get(), model.get()), RTV_OK);
  rtv_engine_reset(engine.get());
  rtv_engine_reset(expected.get());
  const Samples in = test_signal(9600);
  EXPECT_EQ(stream(engine, in), stream(expected, in));
}

TEST(CApiSwap, ARefusedModelLeavesTheOneBeforeItOnItsWay) {
  const EngineHandle engine = make_engine(open_model(lookahead_model(10)));
  ASSERT_EQ(rtv_engine_swap(engine.get(), open_model(scale_model(3.0f)).get()), RTV_OK);
  const uint64_t state = stats_of(engine).memory_state;
  EXPECT_EQ(rtv_engine_swap(engine.get(), open_model(lookahead_model(11)).get()), RTV_ERROR_LATENCY);
  EXPECT_EQ(stats_of(engine).memory_state, state);
  const Samples in = test_signal(9600);
  const Samples out = stream(engine, in);
  for (size_t i = 10 + kPrimeAndFade + 480; i < out.size(); ++i) ASSERT_EQ(out[i], 3.0f * in[i - 10]) << i;
  EXPECT_EQ(rtv_engine_swap(engine.get(), open_model(scale_model(2.0f)).get()), RTV_OK);
}

// The fade ends inside a frame, wherever the frames end.
TEST(CApiSwap, EveryCuttingGivesTheSameBits) {
  const ModelHandle first = open_model(tcn_model()), second = open_model(gru_model());
  const Samples in = test_signal(9600);
  Samples expected;
  for (const size_t frame : {size_t{1024}, size_t{1}, size_t{7}, size_t{480}, size_t{1021}}) {
    const EngineHandle engine = make_engine(first);
    ASSERT_EQ(rtv_engine_swap(engine.get(), second.get()), RTV_OK) << rtv_last_error();
    const Samples out = stream(engine, in, frame);
    if (expected.empty()) expected = out;
    EXPECT_EQ(out, expected) << "in frames of " << frame;
  }
}

TEST(CApiSwap, EngineMayGoInTheMiddle) {
  for (const size_t frames : {0u, 1u, 3u, 5u}) {
    const EngineHandle engine = make_engine(open_model(tcn_model()));
    ASSERT_EQ(rtv_engine_swap(engine.get(), open_model(gru_model()).get()), RTV_OK);
    for (size_t i = 0; i < frames; ++i) stream(engine, test_signal(480));
  }
}

}  // namespace
}  // namespace rtvoice::test
