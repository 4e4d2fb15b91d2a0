// When to leave a tier and when to try a better one: on loads that the test makes up.
#include "engine/governor.h"

#include <gtest/gtest.h>

namespace rtvoice {
namespace {

constexpr double kRate = 48000.0;
constexpr double kCosts[] = {4.0, 1.0};

struct Drive {
  Governor governor{kRate, kCosts, 2};
  size_t tier = 0;
  double seconds = 0.0;

  // Runs calls of `frames` at `load` until a move or for `length` seconds.
  Governor::Move run(double load, double length, uint64_t frames = 480) {
    for (double end = seconds + length; seconds < end;) {
      seconds += static_cast<double>(frames) / kRate;
      governor.count(frames, load);
      const Governor::Move move = governor.decide(tier);
      if (move == Governor::Move::kStay) continue;
      tier += move == Governor::Move::kDown ? 1 : -1;
      governor.arrived();
      return move;
    }
    return Governor::Move::kStay;
  }
};

TEST(Governor, ThreeMissesInARowLeaveTheTierOneDoesNot) {
  Drive drive;
  EXPECT_EQ(drive.run(0.3, 10.0), Governor::Move::kStay);
  EXPECT_EQ(drive.run(1.5, 0.01), Governor::Move::kStay);
  EXPECT_EQ(drive.run(0.3, 1.0), Governor::Move::kStay);
  const double before = drive.seconds;
  EXPECT_EQ(drive.run(1.5, 1.0), Governor::Move::kDown);
  EXPECT_NEAR(drive.seconds - before, 0.03, 1e-9);
}

TEST(Governor, MissesFarApartLeaveNothing) {
  Drive drive;
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(drive.run(2.0, 0.01), Governor::Move::kStay);
    EXPECT_EQ(drive.run(0.2, 0.19), Governor::Move::kStay);
  }
}

TEST(Governor, ShortCallsThatMissNowAndThenCountByTime) {
  Drive drive;  // 64 samples at a time, of which every eighth runs the network and is late: 12 misses in 0.128 s
  for (int i = 0; i < 40; ++i) {
    if (drive.run(2.5, 1e-4, 64) == Governor::Move::kDown) break;
    if (drive.run(0.05, 7.0 * 64.0 / kRate - 1e-6, 64) == Governor::Move::kDown) break;
  }
  EXPECT_EQ(drive.tier, 1u);
  EXPECT_LT(drive.seconds, 0.05);
}

TEST(Governor, ClimbsBackAfterFiveCalmSecondsWhereTheBetterTierWouldFit) {
  Drive drive;
  ASSERT_EQ(drive.run(2.0, 1.0), Governor::Move::kDown);
  const double before = drive.seconds;
  EXPECT_EQ(drive.run(0.1, 20.0), Governor::Move::kUp);  // four times 0.1 fits
  EXPECT_NEAR(drive.seconds - before, 5.0, 0.05);
}

TEST(Governor, StaysDownWhereTheBetterTierWouldNotFit) {
  Drive drive;
  ASSERT_EQ(drive.run(2.0, 1.0), Governor::Move::kDown);
  EXPECT_EQ(drive.run(0.3, 200.0), Governor::Move::kStay);  // four times 0.3 does not
}

TEST(Governor, EachClimbThatFailsDoublesTheWaitUpToEightySeconds) {
  Drive drive;
  double wait = 5.0;
  for (int i = 0; i < 7; ++i) {
    ASSERT_EQ(drive.run(2.0, 1.0), Governor::Move::kDown);
    const double before = drive.seconds;
    ASSERT_EQ(drive.run(0.1, 200.0), Governor::Move::kUp);
    EXPECT_NEAR(drive.seconds - before, wait, 0.05);
    wait = wait < 80.0 ? 2.0 * wait : wait;
  }
  EXPECT_EQ(drive.run(0.4, 60.0), Governor::Move::kStay);  // made it: the next wait is the first one again
  ASSERT_EQ(drive.run(2.0, 1.0), Governor::Move::kDown);
  const double before = drive.seconds;
  ASSERT_EQ(drive.run(0.1, 200.0), Governor::Move::kUp);
  EXPECT_NEAR(drive.seconds - before, 5.0, 0.05);
}

TEST(Governor, TheLastTierStaysHoweverLateItIs) {
  Drive drive;
  ASSERT_EQ(drive.run(9.0, 1.0), Governor::Move::kDown);
  EXPECT_EQ(drive.run(9.0, 10.0), Governor::Move::kStay);
}

}  // namespace
}  // namespace rtvoice
