// The log as a host turns it on: every sample of it at its position, whatever is lost, from whichever thread it is begun and ended.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <random>
#include <thread>

#include "host.h"
#include "log/format.h"

namespace rtvoice::test {
namespace {

std::string log_path(const char* name) { return testing::TempDir() + "rtvoice_" + name + ".rtlog"; }

// What a file holds, position by position.
struct Contents {
  uint64_t calls = 0, refused = 0, frames = 0, lost = 0, gaps = 0, end = 0, marks = 0, parameters = 0, notes = 0;
  bool ended = false, in_order = true, input_right = true;
};

// `input`: what the sample at an index was, per frame of one channel.
Contents read_log(const std::string& path, float (*input)(uint64_t) = nullptr) {
  std::ifstream stream(path, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(stream)), std::istreambuf_iterator<char>());
  Contents found;
  unsigned header = 0;
  EXPECT_EQ(std::sscanf(bytes.c_str(), "rtlog 1 %x", &header), 1);
  for (size_t at = 26 + header; at < bytes.size();) {
    log::Chunk chunk;
    std::memcpy(&chunk, bytes.data() + at, sizeof chunk);
    EXPECT_EQ(chunk.magic, log::kChunkMagic);
    at += sizeof chunk;
    for (const size_t stop = at + chunk.bytes; at < stop;) {
      log::Call record;
      std::memcpy(&record, bytes.data() + at, sizeof(log::Head) + sizeof(uint64_t));
      if (record.head.kind == log::kCall) {
        std::memcpy(&record, bytes.data() + at, sizeof record);
        found.in_order = found.in_order && record.index == found.end;
        record.status == 0 ? ++found.calls : ++found.refused;
        if (record.status == 0) found.end += record.frames;
        found.frames += record.status == 0 ? record.frames : 0;
        for (uint32_t i = 0; input != nullptr && (record.head.flags & log::kAudio) != 0 && i < record.frames; ++i) {
          float sample;
          std::memcpy(&sample, bytes.data() + at + sizeof record + i * sizeof sample, sizeof sample);
          found.input_right = found.input_right && sample == input(record.index + i);
        }
      } else if (record.head.kind == log::kGap) {
        log::Gap gap;
        std::memcpy(&gap, bytes.data() + at, sizeof gap);
        found.in_order = found.in_order && gap.index == found.end;
        ++found.gaps;
        found.lost += gap.frames;
        found.end += gap.frames;
      }
      found.marks += record.head.kind == log::kMark;
      found.parameters += record.head.kind == log::kParameter;
      found.notes += record.head.kind == log::kNote;
      found.ended = found.ended || record.head.kind == log::kEnd;
      at += record.head.size;
    }
  }
  return found;
}

rtv_log_status status_of(const EngineHandle& engine) {
  rtv_log_status status;
  rtv_log_status_init(&status);
  EXPECT_EQ(rtv_engine_log_status(engine.get(), &status), RTV_OK);
  return status;
}

float ramp(uint64_t index) { return static_cast<float>(index % 65536) * 1e-5f; }

TEST(CApiLog, WrongArgumentsAreRefusedInWords) {
  const EngineHandle engine = make_engine(open_model(scale_model(1.0f)));
  EXPECT_EQ(rtv_engine_log(nullptr, "x"), RTV_ERROR_ARGUMENT);
  EXPECT_EQ(rtv_engine_log(engine.get(), nullptr), RTV_OK) << "there is none to end";
  EXPECT_EQ(rtv_engine_log_note(engine.get(), "x"), RTV_ERROR_ARGUMENT);
  rtv_log_config config;
  rtv_log_config_init(&config);
  EXPECT_EQ(rtv_engine_log_with(engine.get(), nullptr, &config), RTV_ERROR_ARGUMENT);
  EXPECT_EQ(rtv_engine_log_with(engine.get(), "x", nullptr), RTV_ERROR_ARGUMENT);
  EXPECT_EQ(rtv_engine_log(engine.get(), "/nowhere/x.rtlog"), RTV_ERROR_FILE);
  EXPECT_NE(std::string(rtv_last_error()).find("/nowhere/x.rtlog"), std::string::npos);
  config.struct_size = 4;
  EXPECT_EQ(rtv_engine_log_with(engine.get(), "x", &config), RTV_ERROR_STRUCT_SIZE);
  for (void (*spoil)(rtv_log_config*) :
       {+[](rtv_log_config* c) { c->format = 2; }, +[](rtv_log_config* c) { c->ring_ms = 60001; },
        +[](rtv_log_config* c) { c->flush_ms = 0; }, +[](rtv_log_config* c) { c->rotate_seconds = -1.0f; }}) {
    rtv_log_config_init(&config);
    spoil(&config);
    EXPECT_EQ(rtv_engine_log_with(engine.get(), log_path("wrong").c_str(), &config), RTV_ERROR_ARGUMENT);
  }
  const std::string path = log_path("busy");
  EXPECT_EQ(rtv_engine_log(engine.get(), path.c_str()), RTV_OK);
  EXPECT_EQ(rtv_engine_log(engine.get(), path.c_str()), RTV_ERROR_BUSY);
  EXPECT_EQ(status_of(engine).active, 1u);
  EXPECT_EQ(rtv_engine_log(engine.get(), nullptr), RTV_OK);
  EXPECT_EQ(status_of(engine).active, 0u);
  rtv_log_status status;
  rtv_log_status_init(&status);
  status.struct_size = 8;
  status.frames = 77;
  EXPECT_EQ(rtv_engine_log_status(engine.get(), &status), RTV_OK);
  EXPECT_EQ(status.frames, 77u) << "beyond what an older host's struct has";
  std::remove(path.c_str());
}

// The smallest ring, and calls far faster than the audio that they make: what is lost stands there with its length, and all else at its place.
TEST(CApiLog, AFullRingLosesNoPosition) {
  const EngineHandle engine = make_engine(open_model(scale_model(1.0f)), default_config(48000, 4096));
  const std::string path = log_path("full");
  rtv_log_config config;
  rtv_log_config_init(&config);
  config.ring_ms = 0;
  ASSERT_EQ(rtv_engine_log_with(engine.get(), path.c_str(), &config), RTV_OK) << rtv_last_error();
  std::mt19937 random(1);
  Samples in(4096), out(4096);
  uint64_t index = 0;
  for (int call = 0; call < 4000; ++call) {
    const uint32_t frames = static_cast<uint32_t>(random() % 4097);
    for (uint32_t i = 0; i < frames; ++i) in[i] = ramp(index + i);
    ASSERT_EQ(rtv_engine_process(engine.get(), in.data(), out.data(), frames), RTV_OK);
    index += frames;
    if (call % 1000 == 999) std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  EXPECT_EQ(rtv_engine_log(engine.get(), nullptr), RTV_OK);
  const rtv_log_status status = status_of(engine);
  const Contents found = read_log(path, ramp);
  EXPECT_GT(found.gaps, 0u);
  EXPECT_GT(found.calls, 0u);
  EXPECT_TRUE(found.in_order);
  EXPECT_TRUE(found.input_right);
  EXPECT_TRUE(found.ended);
  EXPECT_EQ(found.end, index);
  EXPECT_EQ(found.frames, status.frames);
  EXPECT_EQ(found.lost, status.frames_lost);
  EXPECT_EQ(found.gaps, status.gaps);
  std::remove(path.c_str());
}

// Begun, annotated and ended by one thread while another processes and a third sets: no race, no lost call within a log.
TEST(CApiLogThreads, BeginAndEndWhileTheAudioRuns) {
  const ModelHandle model = open_model(control_model());
  const EngineHandle engine = make_engine(model);
  const std::string path = log_path("threads");
  std::atomic<bool> stop{false};
  std::thread audio([&] {
    const Samples in = test_signal(256);
    Samples out(256);
    for (uint32_t call = 0; !stop.load(); ++call) {
      EXPECT_EQ(rtv_engine_process(engine.get(), in.data(), out.data(), 1 + call % 256), RTV_OK);
      if (call % 500 == 499) rtv_engine_reset(engine.get());
    }
  });
  std::thread setter([&] {
    for (uint32_t n = 0; !stop.load(); ++n) {
      (void)set(engine, "gain", static_cast<float>(n % 5));
      (void)set(engine, "mix", static_cast<float>(n % 3) * 0.5f);
      if (n % 16 == 0) (void)rtv_engine_swap(engine.get(), model.get());
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
  });
  for (int round = 0; round < 12; ++round) {
    ASSERT_EQ(rtv_engine_log(engine.get(), path.c_str()), RTV_OK) << rtv_last_error();
    EXPECT_EQ(rtv_engine_log_note(engine.get(), "a note"), RTV_OK);
    std::this_thread::sleep_for(std::chrono::milliseconds(round == 0 ? 0 : 30));
    EXPECT_EQ(rtv_engine_log(engine.get(), nullptr), RTV_OK);
    const Contents found = read_log(path);
    EXPECT_TRUE(found.in_order && found.ended);
    EXPECT_EQ(found.frames, status_of(engine).frames);
    EXPECT_EQ(found.notes, 1u);
    EXPECT_TRUE(found.calls == 0 || found.marks != 0);
  }
  stop.store(true);
  audio.join();
  setter.join();
  std::remove(path.c_str());
}

// A stream of a pool is an engine as any other, whether its network runs with the others' or alone.
TEST(CApiLog, APoolsStreamIsLogged) {
  const ModelHandle model = open_model(gru_model());
  const rtv_config config = default_config();
  rtv_pool* pool = nullptr;
  ASSERT_EQ(rtv_pool_create(model.get(), &config, 3, nullptr, &pool), RTV_OK);
  const std::string path = log_path("pool");
  ASSERT_EQ(rtv_engine_log(rtv_pool_engine(pool, 1), path.c_str()), RTV_OK);
  Samples in[3], out[3];
  const float* from[3];
  float* to[3];
  uint64_t index = 0;
  for (int call = 0; call < 100; ++call) {
    for (int s = 0; s < 3; ++s) {
      in[s].assign(480, 0.0f);
      for (uint32_t i = 0; i < 480; ++i) in[s][i] = s == 1 ? ramp(index + i) : 0.5f;
      out[s].resize(480);
      from[s] = in[s].data();
      to[s] = out[s].data();
    }
    ASSERT_EQ(rtv_pool_process(pool, from, to, 480), RTV_OK);
    index += 480;
  }
  ASSERT_EQ(rtv_engine_log(rtv_pool_engine(pool, 1), nullptr), RTV_OK);
  rtv_pool_destroy(pool);
  const Contents found = read_log(path, ramp);
  EXPECT_EQ(found.frames + found.lost, index);
  EXPECT_TRUE(found.in_order && found.input_right && found.ended);
  std::remove(path.c_str());
}

// Frames over max_frame give silence, and stand in the log as refused; the index stays.
TEST(CApiLog, RefusedFramesKeepTheIndex) {
  const EngineHandle engine = make_engine(open_model(scale_model(1.0f)), default_config(48000, 64));
  const std::string path = log_path("refused");
  ASSERT_EQ(rtv_engine_log(engine.get(), path.c_str()), RTV_OK);
  Samples in(128, 0.25f), out(128);
  for (int call = 0; call < 10; ++call) {
    EXPECT_EQ(rtv_engine_process(engine.get(), in.data(), out.data(), 64), RTV_OK);
    EXPECT_EQ(rtv_engine_process(engine.get(), in.data(), out.data(), 128), RTV_ERROR_FRAME_SIZE);
  }
  ASSERT_EQ(rtv_engine_log(engine.get(), nullptr), RTV_OK);
  const Contents found = read_log(path);
  EXPECT_EQ(found.calls, 10u);
  EXPECT_EQ(found.refused, 10u);
  EXPECT_EQ(found.end, 640u);
  EXPECT_TRUE(found.in_order);
  std::remove(path.c_str());
}

}  // namespace
}  // namespace rtvoice::test
