// Finds the loop of a graph.
#include "plan/loop.h"

namespace rtvoice {

bool find_loop(const Graph& graph, Loop* loop, std::string* error) {
  const size_t nodes = graph.nodes.size(), first_node = 1 + graph.parameters.size();
  std::vector<bool> behind(nodes, false), before(nodes, false);  // a recall; what a recall names
  loop->inside.assign(nodes, false);
  for (size_t i = 0; i < nodes; ++i) {
    const Node& node = graph.nodes[i];
    behind[i] = node.op == Op::kRecall;
    for (int value : node.inputs) {
      const size_t v = static_cast<size_t>(value);
      if (v >= first_node && behind[v - first_node]) behind[i] = true;
    }
    if (node.op == Op::kRecall) before[static_cast<size_t>(node.attrs.of_value) - first_node] = true;
  }
  for (size_t i = nodes; i-- > 0;) {
    if (!before[i]) continue;
    for (int value : graph.nodes[i].inputs) {
      const size_t v = static_cast<size_t>(value);
      if (v >= first_node) before[v - first_node] = true;
    }
  }
  for (const Node& node : graph.nodes) {
    if (node.op != Op::kRecall) continue;
    loop->frames = node.attrs.frames;
    const size_t of = static_cast<size_t>(node.attrs.of_value) - first_node;
    const char* why = !behind[of] ? "does not depend on it; use a delay" : nullptr;
    if (why != nullptr) {
      *error = "node '" + node.name + "' (recall): node '" + graph.nodes[of].name + "' " + why;
      return false;
    }
  }
  for (size_t i = 0; i < nodes; ++i) loop->inside[i] = behind[i] && before[i];
  for (int part = 0; part < 3; ++part) {
    if (part == 1) loop->first = loop->order.size();
    for (size_t i = 0; i < nodes; ++i) {
      const int its = loop->inside[i] ? 1 : behind[i] ? 2 : 0;
      if (its == part) loop->order.push_back(static_cast<int>(i));
    }
    if (part == 1) loop->last = loop->order.size();
  }
  return true;
}

}  // namespace rtvoice
