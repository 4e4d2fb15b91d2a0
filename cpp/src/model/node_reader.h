// From the JSON of a graph's nodes to checked nodes.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "model/container.h"
#include "model/json_fields.h"
#include "model/shapes.h"

namespace rtvoice {

// What the nodes refer to, and what they add up to.
struct NodeContext {
  const Container* container = nullptr;
  std::unordered_map<std::string, int> values;           // by name, index as in Node::inputs
  std::vector<ValueShape> shapes;                        // by index
  std::unordered_map<std::string, size_t> tensor_index;  // by name
  std::vector<bool> tensor_used;
  double macs = 0.0;  // per hop
  double state_floats = 0.0;
};

// Reads all nodes: everything is checked before the first weight is widened.
bool read_nodes(const Json& nodes, NodeContext* context, std::vector<Node>* out, std::string* error);

}  // namespace rtvoice
