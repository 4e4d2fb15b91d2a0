// Shape rules: what each value of a graph has in channels and frames per hop, and what it costs.
#pragma once

#include <string>
#include <vector>

#include "model/op_table.h"

namespace rtvoice {

// Applies the op's row to a node whose inputs, attributes and weight shapes stand in `shape` and `node`; completes
// node->attrs. False with the reason in shape->error.
bool infer_node(const OpRow& row, Node* node, NodeShape* shape);

// The shape of every value (index as in Node::inputs) of a graph. False with one line in `error`.
bool infer_shapes(const Graph& graph, std::vector<ValueShape>* values, std::string* error);

}  // namespace rtvoice
