// Which tier tier="auto" takes: on costs that the test plants.
#include "engine/calibrate.h"

#include <gtest/gtest.h>

#include <map>

namespace rtvoice {
namespace {

std::shared_ptr<Model> named(const char* tier) {
  auto graph = std::make_unique<Graph>();
  graph->tier = tier;
  return std::make_shared<Model>(std::move(graph));
}

struct Planted {
  std::map<std::string, double> shares;
  std::vector<std::string> asked;
  size_t choose(double most, uint32_t channels = 1) {
    rtv_config config;
    rtv_config_init(&config);
    config.channels = channels;
    size_t chosen = 99;
    std::string error;
    const auto measure = [this](const std::shared_ptr<Model>& model, const rtv_config&, double* share, std::string*) {
      asked.push_back(model->graph().tier);
      *share = shares.at(model->graph().tier);
      return RTV_OK;
    };
    asked.clear();
    EXPECT_EQ(choose_tier({named("hq"), named("default"), named("small")}, config, most, measure, &chosen, &error),
              RTV_OK);
    return chosen;
  }
};

TEST(Calibrate, TheBestThatFitsIsTaken) {
  Planted planted{{{"hq", 0.3}, {"default", 0.05}, {"small", 0.01}}, {}};
  EXPECT_EQ(planted.choose(0.1), 1u);
  EXPECT_EQ(planted.choose(0.3), 0u);
  EXPECT_EQ(planted.choose(0.299), 1u);
  EXPECT_EQ(planted.choose(0.04), 2u);
}

TEST(Calibrate, WhereNoneFitsTheCheapestIsTakenUnmeasured) {
  Planted planted{{{"hq", 3.0}, {"default", 2.0}}, {}};
  EXPECT_EQ(planted.choose(0.1), 2u);
  EXPECT_EQ(planted.asked, (std::vector<std::string>{"hq", "default"}));
}

TEST(Calibrate, NothingBehindTheChosenOneIsMeasured) {
  Planted planted{{{"hq", 0.02}}, {}};
  EXPECT_EQ(planted.choose(0.1), 0u);
  EXPECT_EQ(planted.asked, (std::vector<std::string>{"hq"}));
}

TEST(Calibrate, ChannelsCountTogether) {
  Planted planted{{{"hq", 0.04}, {"default", 0.02}, {"small", 0.001}}, {}};
  EXPECT_EQ(planted.choose(0.1, 2), 0u);
  EXPECT_EQ(planted.choose(0.1, 4), 1u);
  EXPECT_EQ(planted.choose(0.1, 8), 2u);
}

TEST(Calibrate, AnErrorIsHandedOn) {
  rtv_config config;
  rtv_config_init(&config);
  size_t chosen = 0;
  std::string error;
  const auto fails = [](const std::shared_ptr<Model>&, const rtv_config&, double*, std::string* what) {
    *what = "planted";
    return RTV_ERROR_MEMORY;
  };
  EXPECT_EQ(choose_tier({named("hq"), named("default")}, config, 0.1, fails, &chosen, &error), RTV_ERROR_MEMORY);
  EXPECT_EQ(error, "planted");
}

}  // namespace
}  // namespace rtvoice
