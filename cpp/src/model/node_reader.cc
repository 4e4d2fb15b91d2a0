// Reading nodes: names, edges, attributes and weights against the op's row, then shapes, then the weights' values.
#include "model/node_reader.h"

#include <cstring>

#include "model/limits.h"
#include "model/text.h"

namespace rtvoice {
namespace {

bool parse_attribute(const AttributeRule& rule, const Json& value, const std::string& place, AttributeValue* out,
                     std::string* error) {
  const std::string what = place + ": attribute " + in_quotes(rule.name);
  const auto low = static_cast<int64_t>(rule.low), high = static_cast<int64_t>(rule.high);
  switch (rule.kind) {
    case AttributeKind::kInteger:
      return as_integer(value, what, low, high, &out->integer, error);
    case AttributeKind::kNumber:
      return as_number(value, what, rule.low, rule.high, &out->number, error);
    case AttributeKind::kFlag:
      if (!value.is_boolean()) return fail(error, what + " is " + brief(value) + "; it must be true or false");
      out->flag = value.get<bool>();
      return true;
    case AttributeKind::kPair:
      if (!value.is_array() || value.size() != 2)
        return fail(error, what + " is " + brief(value) + "; it must be two integers");
      return as_integer(value[0], what, low, high, &out->integer, error) &&
             as_integer(value[1], what, low, high, &out->second, error);
    case AttributeKind::kList:
      if (!value.is_array() || value.empty() || value.size() > static_cast<size_t>(kMaxChannels))
        return fail(error, what + " is " + brief(value) + "; it must be a list of 1 to " +
                               std::to_string(kMaxChannels) + " integers");
      for (const Json& item : value) {
        if (!as_integer(item, what, low, high, &out->integer, error)) return false;
        out->list.push_back(static_cast<int32_t>(out->integer));
      }
      return true;
    case AttributeKind::kName:
      if (!value.is_string()) return fail(error, what + " is " + brief(value) + "; it must be the name of a node");
      out->name = value.get<std::string>();
      return true;
    case AttributeKind::kChoice:
      break;
  }
  if (value.is_string()) {
    const std::string& text = value.get_ref<const std::string&>();
    int position = 0;
    for (const char* at = rule.choices; at != nullptr; ++position) {
      const char* bar = std::strchr(at, '|');
      const size_t length = bar != nullptr ? static_cast<size_t>(bar - at) : std::strlen(at);
      if (text.size() == length && text.compare(0, length, at, length) == 0) {
        out->choice = position;
        return true;
      }
      at = bar != nullptr ? bar + 1 : nullptr;
    }
  }
  return fail(error, what + " is " + brief(value) + "; it must be one of " + rule.choices);
}

AttributeValue fallback_of(const AttributeRule& rule) {
  AttributeValue value;
  value.integer = value.second = static_cast<int64_t>(rule.fallback);
  value.number = rule.fallback;
  value.flag = rule.fallback != 0.0;
  value.choice = static_cast<int>(rule.fallback);
  return value;
}

bool read_attributes(const OpRow& row, const Json& node, const std::string& place, NodeShape* shape,
                     std::string* error) {
  static const Json none = Json::object();
  const auto found = node.find("attrs");
  const Json& attrs = found == node.end() ? none : *found;
  if (!attrs.is_object()) return fail(error, place + ": 'attrs' is " + brief(attrs) + "; it must be an object");
  size_t known = 0;
  for (size_t i = 0; i < row.attributes.size(); ++i) {
    const AttributeRule& rule = row.attributes[i];
    AttributeValue value = fallback_of(rule);
    const auto given = attrs.find(rule.name);
    if (given != attrs.end()) {
      if (!parse_attribute(rule, *given, place, &value, error)) return false;
      shape->given |= 1u << i;
      ++known;
    } else if (rule.required) {
      return fail(error, place + ": attribute " + in_quotes(rule.name) + " is missing; add it");
    }
    rule.set(&shape->attrs, value);
  }
  if (known == attrs.size()) return true;
  for (const auto& item : attrs.items()) {
    bool matched = false;
    for (const AttributeRule& rule : row.attributes) matched = matched || item.key() == rule.name;
    if (!matched)
      return fail(error, place + ": has no attribute " + in_quotes(item.key()) + "; it has: " + describe_names(row));
  }
  return true;
}

bool read_inputs(const Json& node, const std::string& place, const NodeContext& context, Node* out, NodeShape* shape,
                 std::string* error) {
  const Json* inputs = nullptr;
  if (!get_array(node, "inputs", place, 0, static_cast<size_t>(kMaxChannels), &inputs, error)) return false;
  for (const Json& input : *inputs) {
    if (!input.is_string())
      return fail(error, place + ": an input is " + brief(input) + "; it must be the name of a tensor");
    const auto value = context.values.find(input.get_ref<const std::string&>());
    if (value == context.values.end()) {
      return fail(error, place + ": input " + brief(input) +
                             " is not the audio input, a parameter or an earlier node; nodes stand in execution order");
    }
    out->inputs.push_back(value->second);
    shape->inputs.push_back(context.shapes[static_cast<size_t>(value->second)]);
  }
  return true;
}

// Finds each weight's tensor and its shape; the values come later.
bool read_weights(const OpRow& row, const Json& node, const std::string& place, NodeContext* context, Node* out,
                  std::vector<std::pair<const WeightRule*, size_t>>* found, std::string* error) {
  const auto weights = node.find("weights");
  if (weights == node.end()) return true;
  if (!weights->is_object()) return fail(error, place + ": 'weights' is " + brief(*weights) + "; it must be an object");
  for (const auto& item : weights->items()) {
    const WeightRule* rule = nullptr;
    for (const WeightRule& candidate : row.weights) {
      if (item.key() == candidate.role) rule = &candidate;
    }
    if (rule == nullptr)
      return fail(error, place + ": has no weight " + in_quotes(item.key()) + "; it has: " + describe_names(row));
    const std::string what = place + ": weight " + in_quotes(item.key());
    if (!item.value().is_string())
      return fail(error, what + " is " + brief(item.value()) + "; it must be the name of a tensor");
    const auto index = context->tensor_index.find(item.value().get_ref<const std::string&>());
    if (index == context->tensor_index.end())
      return fail(error, what + " names tensor " + brief(item.value()) + ", which the file does not have");
    const StoredTensor& stored = context->container->tensors[index->second];
    const bool scaled = stored.dtype == Dtype::kI8;
    if (context->tensor_used[index->second] || (scaled && context->tensor_used[stored.scale])) {
      return fail(
          error, what + " names tensor " + brief(item.value()) + ", which another weight uses; store it once for each");
    }
    context->tensor_used[index->second] = true;
    if (scaled) context->tensor_used[stored.scale] = true;
    (out->*rule->slot).shape = stored.shape;
    found->emplace_back(rule, index->second);
  }
  return true;
}

// A recall names a later node, which could not be looked up before.
bool resolve_recall(const NodeContext& context, size_t index, std::vector<Node>* nodes, std::string* error) {
  Node& node = (*nodes)[index];
  const std::string place = "node " + in_quotes(node.name) + " (recall)";
  const auto found = context.values.find(node.attrs.of);
  const size_t first_node = context.shapes.size() - nodes->size();
  if (found == context.values.end() || static_cast<size_t>(found->second) <= first_node + index)
    return fail(error, place + ": 'of' is " + in_quotes(node.attrs.of) + ", which is no later node; name one");
  const ValueShape& of = context.shapes[static_cast<size_t>(found->second)];
  if (of.control || of.channels != node.attrs.channels || of.frames != node.attrs.frames) {
    return fail(error, place + ": node " + in_quotes(node.attrs.of) + " has " + std::to_string(of.channels) +
                           " channels and " + std::to_string(of.frames) + " frames per hop" +
                           (of.control ? ", and is a control" : "") +
                           "; 'channels' and 'frames' must be those of a stream");
  }
  node.attrs.of_value = found->second;
  return true;
}

}  // namespace

bool read_nodes(const Json& nodes, NodeContext* context, std::vector<Node>* out, std::string* error) {
  std::vector<std::vector<std::pair<const WeightRule*, size_t>>> weights(nodes.size());
  out->resize(nodes.size());
  for (size_t i = 0; i < nodes.size(); ++i) {
    const Json& json = nodes[i];
    Node& node = (*out)[i];
    std::string place = "node " + std::to_string(i);
    if (!check_keys(json, place, {"op", "name", "inputs"}, {"attrs", "weights"}, error)) return false;
    if (!get_name(json, "name", place, &node.name, error)) return false;
    place = "node " + in_quotes(node.name);
    const Json& op = json["op"];
    const OpRow* row = op.is_string() ? find_op(op.get_ref<const std::string&>()) : nullptr;
    if (row == nullptr) return fail(error, place + ": op is " + brief(op) + "; the ops are: " + describe_ops());
    place += std::string(" (") + row->name + ")";
    node.op = row->op;
    if (context->values.count(node.name) != 0)
      return fail(error, place + ": the name is taken by an earlier tensor; choose another");
    NodeShape shape;
    if (!read_inputs(json, place, *context, &node, &shape, error)) return false;
    if (!read_attributes(*row, json, place, &shape, error)) return false;
    if (!read_weights(*row, json, place, context, &node, &weights[i], error)) return false;
    if (!infer_node(*row, &node, &shape)) return fail(error, place + ": " + shape.error);
    context->values.emplace(node.name, static_cast<int>(context->shapes.size()));
    context->shapes.push_back(shape.out);
    context->macs += shape.macs;
    context->state_floats += shape.state_floats;
  }
  for (size_t i = 0; i < out->size(); ++i) {
    if ((*out)[i].op == Op::kRecall && !resolve_recall(*context, i, out, error)) return false;
  }
  for (size_t t = 0; t < context->tensor_used.size(); ++t) {
    if (!context->tensor_used[t])
      return fail(error, "tensor " + in_quotes(context->container->tensors[t].name) +
                             ": no node uses it; remove it from the file");
  }
  for (size_t i = 0; i < nodes.size(); ++i) {
    for (const auto& weight : weights[i]) {
      const StoredTensor& stored = context->container->tensors[weight.second];
      Tensor& tensor = (*out)[i].*weight.first->slot;
      tensor.half = stored.dtype != Dtype::kF32;
      if (!load_values(*context->container, stored, &tensor.data, error)) return false;
    }
  }
  return true;
}

}  // namespace rtvoice
