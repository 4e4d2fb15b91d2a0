// Subnormals are flushed inside the call, the caller's floating-point mode neither matters nor changes.
#include "host.h"

#if defined(__x86_64__)
#include <immintrin.h>

namespace rtvoice::test {
namespace {

constexpr unsigned kDefault = 0x1f80, kFlushZero = 0x8000, kDenormalsZero = 0x0040, kRoundDown = 0x2000,
                   kRoundUp = 0x4000, kTruncate = 0x6000, kSomeFlags = 0x0025;

// Odd modes a host may be in, flags that have already been raised among them.
const unsigned kModes[] = {kDefault,
                           kDefault | kFlushZero | kDenormalsZero,
                           kDefault | kRoundDown | kSomeFlags,
                           kDefault | kRoundUp,
                           kDefault | kTruncate | kFlushZero,
                           kDefault | kDenormalsZero | kSomeFlags};

class Mode {
 public:
  explicit Mode(unsigned mode) : before_(_mm_getcsr()) { _mm_setcsr(mode); }
  ~Mode() { _mm_setcsr(before_); }

 private:
  unsigned before_;
};

TEST(CApiFloatMode, TheCallersModeComesBackExactly) {
  const ModelHandle model = open_model(control_model());
  const EngineHandle engine = make_engine(model);
  Samples room = test_signal(1024);
  for (const unsigned mode : kModes) {
    const Mode set_mode(mode);
    rtv_engine_process(engine.get(), room.data(), room.data(), 1024);
    EXPECT_EQ(_mm_getcsr(), mode);
    rtv_engine_process(engine.get(), room.data(), room.data(), 4096 > room.size() ? 0 : 1);
    EXPECT_EQ(_mm_getcsr(), mode);
    rtv_engine_reset(engine.get());
    EXPECT_EQ(_mm_getcsr() & ~0x3fu, mode & ~0x3fu);
  }
}

TEST(CApiFloatMode, TheCallersModeChangesNoBit) {
  std::vector<Bytes> models = {control_model(), gru_model(), voice_model()};
  if (const std::string path = shipped_model("default"); !path.empty()) models.push_back(read_file(path));
  for (const Bytes& bytes : models) {
    for (const uint32_t rate : {48000u, 44100u}) {
      const Samples in = test_signal(rate / 2);
      const Samples expected = stream(make_engine(open_model(bytes), default_config(rate)), in);
      for (const unsigned mode : kModes) {
        const Mode set_mode(mode);
        const EngineHandle engine =
            make_engine(open_model(bytes), default_config(rate));  // weights and filters are made in it too
        EXPECT_EQ(_mm_getcsr() & ~0x3fu, mode & ~0x3fu);
        EXPECT_EQ(stream(engine, in), expected) << rate << " mode " << mode;
      }
    }
  }
}

// Unmasked exceptions, which some hosts set to find their own mistakes, do not reach our arithmetic.
TEST(CApiFloatMode, UnmaskedExceptionsDoNotTrap) {
  const EngineHandle engine = make_engine(open_model(overflow_model()));
  set(engine, "boost", 3e38f);
  Samples room = test_signal(1024);
  const unsigned before = _mm_getcsr();
  _mm_setcsr(kDefault & ~(_MM_MASK_OVERFLOW | _MM_MASK_INVALID | _MM_MASK_DIV_ZERO));
  const unsigned mode = _mm_getcsr();
  rtv_engine_process(engine.get(), room.data(), room.data(), 1024);
  const unsigned after = _mm_getcsr();
  _mm_setcsr(before);
  EXPECT_EQ(after, mode);
}

TEST(CApiFloatMode, SubnormalsAreFlushed) {
  // FTZ: 1e-30 * 1e-10 would be subnormal. DAZ: 1e-40 * 1e30 would be 1e-10.
  const struct {
    float scale, input;
  } cases[] = {{1e-10f, 1e-30f}, {1e30f, 1e-40f}, {1.0f, 1e-40f}};
  for (const auto& c : cases) {
    const Mode set_mode(kDefault);
    const EngineHandle engine = make_engine(open_model(scale_model(c.scale)));
    for (const float sample : stream(engine, Samples(256, c.input)))
      ASSERT_EQ(sample, 0.0f) << c.scale << " * " << c.input;
  }
}

}  // namespace
}  // namespace rtvoice::test
#endif
