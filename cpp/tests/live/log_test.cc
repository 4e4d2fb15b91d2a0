// A log whose engine is replaced while the sound runs: it goes on in the next one without a lost sample, and whoever ends it meanwhile ends it.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include "../c_api/host.h"
#include "engine/c_api.h"
#include "live/chain.h"
#include "log/format.h"

namespace rtvoice::test {
namespace {

struct Contents {
  uint64_t calls = 0, engines = 0, marks = 0, gaps = 0, end = 0, latency = 0;
  bool in_order = true, ended = false;
};

Contents read(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(stream)), std::istreambuf_iterator<char>());
  Contents found;
  unsigned header = 0;
  EXPECT_EQ(std::sscanf(bytes.c_str(), "rtlog 1 %x", &header), 1);
  for (size_t at = 26 + header; at < bytes.size();) {
    log::Chunk chunk;
    std::memcpy(&chunk, bytes.data() + at, sizeof chunk);
    at += sizeof chunk;
    for (const size_t stop = at + chunk.bytes; at < stop;) {
      log::Head head;
      std::memcpy(&head, bytes.data() + at, sizeof head);
      if (head.kind == log::kCall) {
        log::Call call;
        std::memcpy(&call, bytes.data() + at, sizeof call);
        found.in_order = found.in_order && call.index == found.end;
        found.end += call.frames;
        ++found.calls;
      } else if (head.kind == log::kEngine) {
        log::EngineChange change;
        std::memcpy(&change, bytes.data() + at, sizeof change);
        found.in_order = found.in_order && change.index == found.end;
        found.latency = change.latency;
        ++found.engines;
      }
      found.marks += head.kind == log::kMark;
      found.gaps += head.kind == log::kGap;
      found.ended = found.ended || head.kind == log::kEnd;
      at += head.size;
    }
  }
  return found;
}

// What the binding does: the log first, then the sound.
void exchange(live::Chain* chain, rtv_engine* from, rtv_engine* to) {
  while (chain->exchanging()) {
    (void)chain->retired();
    std::this_thread::yield();
  }
  to->engine->inherit_log(from->engine);
  ASSERT_TRUE(chain->exchange(to));
}

TEST(LiveLog, GoesOnInTheEngineThatTakesOver) {
  const EngineHandle first = make_engine(open_model(scale_model(0.5f)));
  const std::string path = testing::TempDir() + "rtvoice_live_hand_over.rtlog";
  ASSERT_EQ(rtv_engine_log(first.get(), path.c_str()), RTV_OK) << rtv_last_error();
  const EngineHandle second = make_engine(open_model(lookahead_model(100)));
  live::ChainConfig config;
  config.max_frame = default_config().max_frame;
  live::Chain chain(config, first.get());
  Samples block(128, 0.25f);
  for (int i = 0; i < 10; ++i) chain.process(block.data(), block.data(), 128);
  exchange(&chain, first.get(), second.get());
  EXPECT_EQ(rtv_engine_log(first.get(), nullptr), RTV_OK) << "it is not this engine's any more";
  for (int i = 0; i < 90; ++i) chain.process(block.data(), block.data(), 128);
  EXPECT_EQ(rtv_engine_log(second.get(), nullptr), RTV_OK);
  const Contents found = read(path);
  EXPECT_EQ(found.end, 100u * 128u);
  EXPECT_EQ(found.calls, 100u);
  EXPECT_EQ(found.engines, 1u);
  EXPECT_EQ(found.marks, 2u);
  EXPECT_EQ(found.gaps, 0u);
  EXPECT_EQ(found.latency, rtv_engine_latency(second.get()));
  EXPECT_TRUE(found.in_order);
  EXPECT_TRUE(found.ended);
  std::remove(path.c_str());
}

// Also for ThreadSanitizer: the sound's thread takes logs over while another one hands them on, ends them and begins others.
TEST(LiveLog, MayBeEndedAtAnyMomentOfAnExchange) {
  const ModelHandle model = open_model(scale_model(0.5f));
  std::vector<EngineHandle> engines;
  engines.push_back(make_engine(model));
  live::ChainConfig config;
  config.max_frame = default_config().max_frame;
  live::Chain chain(config, engines.front().get());
  std::atomic<bool> running{true};
  std::thread sound([&] {
    Samples block(64, 0.25f);
    while (running.load()) {
      chain.process(block.data(), block.data(), 64);
      std::this_thread::sleep_for(std::chrono::microseconds(20));
    }
  });
  const std::string path = testing::TempDir() + "rtvoice_live_many.rtlog";
  uint64_t engines_seen = 0, calls = 0;
  for (int round = 0; round < 16; ++round) {
    rtv_engine* heard = engines.back().get();
    EXPECT_EQ(rtv_engine_log(heard, path.c_str()), RTV_OK) << rtv_last_error();
    if (round % 3 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));
    engines.push_back(make_engine(model));
    exchange(&chain, heard, engines.back().get());
    if (round % 2 == 0) std::this_thread::sleep_for(std::chrono::microseconds(700 * round));
    EXPECT_EQ(rtv_engine_log(engines.back().get(), nullptr), RTV_OK);
    const Contents found = read(path);
    EXPECT_TRUE(found.in_order);
    EXPECT_TRUE(found.ended);
    EXPECT_LE(found.engines, 1u);
    engines_seen += found.engines;
    calls += found.calls;
  }
  running.store(false);
  sound.join();
  EXPECT_GT(engines_seen, 0u);
  EXPECT_GT(calls, 0u);
  std::remove(path.c_str());
}

}  // namespace
}  // namespace rtvoice::test
