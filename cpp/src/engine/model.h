// A model that engines share: the checked graph and the plans made from it.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "plan/plan.h"

namespace rtvoice {

class Model {
 public:
  explicit Model(std::unique_ptr<Graph> graph) : graph_(std::move(graph)) {}
  const Graph& graph() const { return *graph_; }
  // Plans differ only in how many hops one run may take: all share their weights, and engines of one kind the whole. [main-thread]
  std::shared_ptr<const Plan> plan(size_t max_hops, std::string* error);
  // The JSON object of rtv_model_info, made once; empty and `error` when the graph has no plan. [main-thread]
  const std::string& info(std::string* error);

 private:
  std::shared_ptr<const Graph> graph_;
  std::mutex mutex_;
  std::shared_ptr<const Plan> first_;  // for one hop
  std::map<size_t, std::weak_ptr<const Plan>> plans_;
  std::string info_;
};

}  // namespace rtvoice
