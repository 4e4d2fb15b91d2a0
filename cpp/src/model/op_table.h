// The op table: one row per op says what it reads, its weights and attributes, and the rule for what it makes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/graph.h"

namespace rtvoice {

// What is known of a value before anything runs.
struct ValueShape {
  int64_t channels = 0;
  int64_t frames = 0;    // per hop
  bool control = false;  // computed from parameters only
  double reach = 0.0;    // hops of input history that it depends on, recurrent state aside
};

// A node while its row's rule looks at it.
struct NodeShape {
  std::vector<ValueShape> inputs;
  Attributes attrs;
  uint32_t given = 0;  // bit i: attribute i of the row stands in the file
  // Sizes bound by the input and the weights' shapes; 0 where the op has none.
  int64_t c = 0, cout = 0, taps = 0, hidden = 0, band_taps = 0;
  // What the rule finds; `out` starts as the first input.
  ValueShape out;
  double macs = 0.0;          // per hop
  double state_floats = 0.0;  // history that a stream must keep, at least
  std::string error;

  bool fail(std::string message) {
    error = std::move(message);
    return false;
  }
};

// A value of an attribute, in the form that its kind asks for.
struct AttributeValue {
  int64_t integer = 0, second = 0;  // second: of a pair
  double number = 0.0;
  bool flag = false;
  int choice = 0;  // position among the choices
  std::vector<int32_t> list;
  std::string name;
};

enum class AttributeKind : uint8_t { kInteger, kNumber, kFlag, kChoice, kPair, kList, kName };

struct AttributeRule {
  const char* name = nullptr;
  AttributeKind kind = AttributeKind::kInteger;
  bool required = false;
  double fallback = 0.0;          // where left out; for a choice its position
  double low = 0.0, high = 0.0;   // of integers, numbers, both halves of a pair and all of a list
  const char* choices = nullptr;  // "none|tanh"
  void (*set)(Attributes*, const AttributeValue&) = nullptr;
};

struct WeightRule {
  const char* role = nullptr;
  Tensor Node::* slot = nullptr;
  const char* shape = nullptr;  // terms by axis: "Cout C/groups K"; "C|1" is one per channel or one for all
  bool required = false;
};

struct OpRow {
  Op op{};
  const char* name = nullptr;
  int min_inputs = 1, max_inputs = 1;
  bool stream_only = false;  // has a time axis: a control tensor cannot go through it
  std::vector<WeightRule> weights;
  std::vector<AttributeRule> attributes;
  bool (*rule)(NodeShape*) = nullptr;
  bool own_rates = false;  // its inputs may have different rates: the rule says which
};

// The rows of generation: recall and sample (op_table_synthesis.cc).
void add_synthesis_rows(std::vector<OpRow>* table);

const OpRow* find_op(const std::string& name);
const OpRow& op_row(Op op);

// "weight, bias, stride": the weights and attributes of an op, for messages.
std::string describe_names(const OpRow& row);
std::string describe_ops();

}  // namespace rtvoice
