// The nodes of a graph that run frame by frame, because they read what one of them made a frame ago.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/graph.h"

namespace rtvoice {

// A graph has one loop or none: what lies on a way from a recall to a node that some recall names. Two feedbacks that know nothing of each other
// run in it side by side.
struct Loop {
  std::vector<int> order;      // all nodes: those in front of the loop, its own, the rest
  std::vector<bool> inside;    // per node
  size_t first = 0, last = 0;  // its nodes in `order`: [first, last)
  int64_t frames = 0;          // a hop
  int64_t delay = 0;           // of everything in it
  bool any() const { return last > first; }
};

// False with one line in `error` where a recall closes no loop.
bool find_loop(const Graph& graph, Loop* loop, std::string* error);

}  // namespace rtvoice
