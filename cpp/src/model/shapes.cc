// Shape rules: weights against the sizes of a node, rates of its inputs, and the row's own rule.
#include "model/shapes.h"

#include <algorithm>
#include <cstring>

#include "model/limits.h"

namespace rtvoice {
namespace {

std::string str(int64_t value) { return std::to_string(value); }

std::string describe(const std::vector<int64_t>& shape) {
  std::string out = "[";
  for (size_t i = 0; i < shape.size(); ++i) out += (i == 0 ? "" : ", ") + str(shape[i]);
  return out + "]";
}

// One axis of a weight against its term ("Cout", "C/groups", "3H", "C|1"): binds a size that is still free, else
// compares.
class AxisMatcher {
 public:
  AxisMatcher(NodeShape* shape, const std::string& term) : shape_(*shape), term_(term) {}

  bool match(int64_t size) {
    if (term_ == "C|1") return size == 1 || expect(size, shape_.c, " or 1");
    int64_t factor = 1, divisor = 1;
    std::string name = term_;
    if (name[0] >= '0' && name[0] <= '9') {
      factor = name[0] - '0';
      name.erase(0, 1);
    }
    const size_t slash = name.find('/');
    if (slash != std::string::npos) {
      divisor = shape_.attrs.groups;
      name.erase(slash);
    }
    int64_t* bound = slot(name);
    if (*bound == 0) {  // at most 2^48 * 2^14, from the container's and the table's limits
      if (size % factor != 0) {
        expected = "a multiple of " + str(factor);
        return false;
      }
      *bound = size / factor * divisor;
      return true;
    }
    return expect(size, *bound / divisor * factor, "");
  }

  std::string expected;

 private:
  int64_t* slot(const std::string& name) {
    if (name == "C") return &shape_.c;
    if (name == "Cout") return &shape_.cout;
    if (name == "K") return &shape_.taps;
    return name == "B" ? &shape_.band_taps : &shape_.hidden;
  }

  bool expect(int64_t size, int64_t wanted, const char* rest) {
    expected = str(wanted) + rest;
    return size == wanted;
  }

  NodeShape& shape_;
  const std::string& term_;
};

std::vector<std::string> split(const char* text) {
  std::vector<std::string> out(1);
  for (const char* c = text; *c != '\0'; ++c) {
    if (*c == ' ') {
      out.emplace_back();
    } else {
      out.back() += *c;
    }
  }
  return out;
}

bool match_weight(const WeightRule& rule, const Tensor& weight, NodeShape* shape) {
  const std::string place = std::string("weight '") + rule.role + "'";
  if (weight.shape.empty()) return !rule.required || shape->fail(place + " is missing");
  const std::vector<std::string> terms = split(rule.shape);
  std::string pattern = "[";
  for (size_t i = 0; i < terms.size(); ++i) pattern += (i == 0 ? "" : ", ") + terms[i];
  pattern += "]";
  if (terms.size() != weight.shape.size())
    return shape->fail(place + " has shape " + describe(weight.shape) + "; it must be " + pattern);
  for (size_t axis = 0; axis < terms.size(); ++axis) {
    AxisMatcher matcher(shape, terms[axis]);
    if (!matcher.match(weight.shape[axis])) {
      std::string why = place;
      why.append(" has shape ").append(describe(weight.shape)).append("; it must be ").append(pattern);
      why.append(": axis ").append(std::to_string(axis)).append(" is ").append(str(weight.shape[axis]));
      return shape->fail(why.append(" where the input asks for ").append(matcher.expected));
    }
  }
  return true;
}

bool meet_rates(const OpRow& row, NodeShape* shape) {
  if (shape->inputs.empty()) return true;
  const ValueShape* stream = nullptr;
  double reach = 0.0;
  for (const ValueShape& input : shape->inputs) {
    reach = std::max(reach, input.reach);
    if (input.control) {
      if (row.stream_only)
        return shape->fail(std::string(row.name) +
                           " reads a control tensor, which has no time axis; it needs a stream");
      continue;
    }
    if (stream != nullptr && stream->frames != input.frames && !row.own_rates) {
      return shape->fail("inputs have different rates (" + str(stream->frames) + " and " + str(input.frames) +
                         " frames per hop); bring them to one rate first");
    }
    stream = &input;
  }
  shape->out = shape->inputs[0];
  shape->out.control = stream == nullptr;
  shape->out.frames = stream == nullptr ? 1 : stream->frames;
  shape->out.reach = reach;
  return true;
}

bool check_limits(NodeShape* shape) {
  const ValueShape& out = shape->out;
  if (out.channels < 1 || out.channels > kMaxChannels) {
    return shape->fail("makes " + str(out.channels) + " channels; the limit is " + str(kMaxChannels));
  }
  if (out.frames < 1 || out.frames > kMaxFrames) {
    return shape->fail("makes " + str(out.frames) + " frames per hop; the limit is " + str(kMaxFrames));
  }
  shape->macs += static_cast<double>(out.channels) * static_cast<double>(out.frames);
  return true;
}

}  // namespace

bool infer_node(const OpRow& row, Node* node, NodeShape* shape) {
  const int count = static_cast<int>(shape->inputs.size());
  if (count < row.min_inputs || count > row.max_inputs) {
    return shape->fail(std::string(row.name) + " has " + std::to_string(count) + " inputs; it takes " +
                       (row.min_inputs < row.max_inputs ? "at least " : "") + std::to_string(row.min_inputs));
  }
  if (!meet_rates(row, shape)) return false;
  if (count > 0) shape->c = shape->inputs[0].channels;
  const bool has_groups = row.op == Op::kConv1d || row.op == Op::kConvTranspose1d || row.op == Op::kConvBands;
  if (row.op == Op::kConvBands) {  // its weights know the channels of one band
    if (shape->c % shape->attrs.bands != 0)
      return shape->fail("bands=" + str(shape->attrs.bands) + " does not divide " + str(shape->c) + " input channels");
    shape->c /= shape->attrs.bands;
  }
  if (has_groups && shape->c % shape->attrs.groups != 0) {
    return shape->fail("groups=" + str(shape->attrs.groups) + " does not divide " + str(shape->c) + " input channels");
  }
  for (const WeightRule& rule : row.weights) {
    if (!match_weight(rule, node->*rule.slot, shape)) return false;
  }
  if (!row.rule(shape) || !check_limits(shape)) return false;
  node->attrs = shape->attrs;
  return true;
}

bool infer_shapes(const Graph& graph, std::vector<ValueShape>* values, std::string* error) {
  values->assign(1, {1, graph.hop, false, 0.0});
  for (const Parameter& parameter : graph.parameters)
    values->push_back({static_cast<int64_t>(parameter.defaults.size()), 1, true, 0.0});
  for (const Node& node : graph.nodes) {
    NodeShape shape;
    shape.attrs = node.attrs;
    shape.given = ~0u;  // the attributes are complete
    if (node.op == Op::kNoise) {
      shape.out = {node.attrs.channels, node.attrs.frames, false, 0.0};
      values->push_back(shape.out);
      continue;
    }
    for (int input : node.inputs) shape.inputs.push_back((*values)[static_cast<size_t>(input)]);
    // The row's rule reads shapes only: a node without its data is enough.
    Node probe;
    for (const WeightRule& rule : op_row(node.op).weights) (probe.*rule.slot).shape = (node.*rule.slot).shape;
    if (!infer_node(op_row(node.op), &probe, &shape)) {
      *error = "node '" + node.name + "' (" + op_name(node.op) + "): " + shape.error;
      return false;
    }
    values->push_back(shape.out);
  }
  return true;
}

std::vector<int> value_channels(const Graph& graph) {
  std::vector<ValueShape> values;
  std::string error;
  infer_shapes(graph, &values, &error);
  std::vector<int> out;
  out.reserve(values.size());
  for (const ValueShape& value : values) out.push_back(static_cast<int>(value.channels));
  return out;
}

}  // namespace rtvoice
