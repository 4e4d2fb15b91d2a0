// Which nodes run inside another one's step.
#include "plan/compiler.h"

namespace rtvoice {
namespace {

bool is_activation(Op op) {
  switch (op) {
    case Op::kPrelu:
    case Op::kSnake:
    case Op::kRelu:
    case Op::kSilu:
    case Op::kTanh:
    case Op::kSigmoid:
    case Op::kExp:
    case Op::kSquare:
    case Op::kAbs:
    case Op::kNeg:
    case Op::kSin:
    case Op::kCos:
    case Op::kLeakyRelu:
    case Op::kElu:
    case Op::kGelu:
    case Op::kSoftplus:
    case Op::kClip:
    case Op::kSqrt:
      return true;
    default:
      return false;  // log and 1/x make the padding lanes' zeros infinite: they run apart, on the channels only
  }
}

bool is_plain(Op op) {  // pointwise, without attributes, as a gate's half
  switch (op) {
    case Op::kRelu:
    case Op::kSilu:
    case Op::kTanh:
    case Op::kSigmoid:
      return true;
    default:
      return false;
  }
}

}  // namespace

const Node* Compiler::node_of(int value) const {
  return value >= first_node_ ? &graph_->nodes[value - first_node_] : nullptr;
}

int Compiler::sole_consumer(int value) const {
  if (is_output_[value] || consumers_[value].size() != 1) return -1;
  const int consumer = consumers_[value][0];
  return value >= first_node_ && inside(value - first_node_) != inside(consumer) ? -1 : consumer;
}

void Compiler::find_fusions() {
  const size_t nodes = graph_->nodes.size();
  fusions_.assign(nodes, {});
  glus_.assign(nodes, {});
  absorbed_by_.assign(nodes, -1);
  root_of_.assign(nodes, -1);
  for (size_t i = 0; i < nodes; ++i) {
    const Op op = graph_->nodes[i].op;
    if (op == Op::kConv1d || op == Op::kConvTranspose1d || op == Op::kLinear) fuse_chain(static_cast<int>(i));
    if (op == Op::kMul) fuse_glu(static_cast<int>(i));
  }
  find_siblings();
}

// Gates want whole vectors of both halves, and all of every input row.
bool Compiler::may_gate(int root) const {
  const Node& n = graph_->nodes[root];
  const ValueTiming& value = timing_->values[first_node_ + root];
  return (n.op == Op::kConv1d || n.op == Op::kLinear) && n.attrs.groups <= 1 && !value.control &&
         value.channels % 2 == 0 && row_floats(value.channels / 2) % 16 == 0;
}

// A sum may go through a gate where a vector never holds columns of both its halves.
bool Compiler::may_gate_sum(int root) const {
  const Fusion& fusion = fusions_[root];
  return fusion.residual_node >= 0 && fusion.activation < 0 && fusion.film < 0 &&
         timing_->values[first_node_ + root].channels % 32 == 0;
}

// By controls of as many channels, which hold still mostly: one row of each serves a whole hop.
bool Compiler::may_film(int root, int value, int film) const {
  if (inside(root)) return false;
  const Node& n = graph_->nodes[root];
  const Node& f = graph_->nodes[film];
  const ValueTiming& x = timing_->values[value];
  const auto control = [&](int input) {
    const ValueTiming& in = timing_->values[input];
    return in.control && in.channels == x.channels;
  };
  return (n.op == Op::kConv1d || n.op == Op::kLinear) && n.attrs.groups <= 1 && !x.control && x.channels > 1 &&
         f.inputs[0] == value && control(f.inputs[1]) && control(f.inputs[2]) && timing_->nodes[film].lags[0] == 0;
}

namespace {

// With more rows a step's own cost is little beside its product's.
constexpr int64_t kMaxSharedRows = 4;

}  // namespace

// Whether a product may run in one step with another.
bool Compiler::may_share(int node) const {
  const int root = root_of_[node];
  if (root < 0 || absorbed_by_[node] >= 0 || fusions_[root].gate >= 0 || fusions_[root].film >= 0) return false;
  const Node& n = graph_->nodes[root];
  const ValueTiming& value = timing_->values[first_node_ + node];
  return (n.op == Op::kConv1d || n.op == Op::kLinear) && n.attrs.groups <= 1 && !value.control &&
         (inside(node) || value.frames <= kMaxSharedRows) && row_floats(value.channels) % 16 == 0;
}

// Two layers that read the same rows, as a residual and a skip path do, become one product with two outputs: at one row per hop a step costs as
// much as a small product, and twice the columns are twice the independent sums.
void Compiler::find_siblings() {
  std::vector<bool> taken(graph_->nodes.size(), false);
  const auto taps = [](const Node& n) { return n.w0.shape.size() > 2 ? n.w0.shape[2] : 1; };
  for (int i = 0; i < static_cast<int>(graph_->nodes.size()); ++i) {
    if (taken[i] || !may_share(i)) continue;
    const Node& a = graph_->nodes[root_of_[i]];
    for (int consumer : consumers_[a.inputs[0]]) {
      const int j = fusions_[consumer].last;
      if (j <= i || taken[j] || !may_share(j)) continue;
      const Node& b = graph_->nodes[consumer];
      const Fusion& other = fusions_[consumer];
      const bool same = inside(i) == inside(j) && taps(a) == taps(b) && a.attrs.dilation == b.attrs.dilation &&
                        a.attrs.stride == b.attrs.stride && a.w0.half == b.w0.half &&
                        timing_->nodes[root_of_[i]].lags[0] == timing_->nodes[consumer].lags[0];
      // The step runs where the first one's would: what the second one adds must be there by then.
      const bool ready =
          other.residual_node < 0 || graph_->nodes[other.residual_node].inputs[other.residual_input] < first_node_ + i;
      if (!same || !ready) continue;
      fusions_[root_of_[i]].sibling = j;
      taken[i] = taken[j] = true;
      break;
    }
  }
}

// Follows a product through nodes that nobody else reads.
void Compiler::fuse_chain(int node) {
  Fusion& fusion = fusions_[node];
  fusion.last = node;
  std::vector<int> chain{node};
  const std::vector<ValueTiming>& values = timing_->values;
  while (true) {
    const int value = first_node_ + fusion.last;
    const int next = sole_consumer(value);
    if (next < 0 || absorbed_by_[next] >= 0 || root_of_[next] >= 0) break;
    const Node& consumer = graph_->nodes[next];
    const bool plain = fusion.activation < 0 && fusion.residual_node < 0 && fusion.film < 0;
    if (consumer.op == Op::kAffine && plain) {
      fusion.affine.push_back(next);
    } else if (consumer.op == Op::kFilm && plain && may_film(node, value, next)) {
      fusion.film = next;
    } else if (consumer.op == Op::kGlu && (plain || may_gate_sum(node)) && may_gate(node)) {
      fusion.gate = next;
      fusion.gate_a = consumer.attrs.glu_a;
      fusion.gate_b = consumer.attrs.glu_b;
      fusion.residual_before_act = fusion.residual_node >= 0;
      chain.push_back(next);
      fusion.last = next;
      break;
    } else if (is_activation(consumer.op) && fusion.activation < 0 && (fusion.film < 0 || fusion.residual_node < 0)) {
      fusion.activation = next;
      fusion.residual_before_act = fusion.residual_node >= 0;
    } else if (consumer.op == Op::kAdd && fusion.residual_node < 0) {
      const int side = consumer.inputs[0] == value ? 1 : 0;
      const int other = consumer.inputs[side];
      // The product must be the later branch (it is read without a lag), the other one a stream of the same shape.
      if (other == value || timing_->nodes[next].lags[1 - side] != 0 ||
          values[other].channels != values[value].channels || values[other].frames != values[value].frames ||
          values[other].control != values[value].control) {
        break;
      }
      if (graph_->nodes[node].op == Op::kConvTranspose1d) break;  // its columns may run through scratch
      fusion.residual_node = next;
      fusion.residual_input = side;
    } else {
      break;
    }
    chain.push_back(next);
    fusion.last = next;
    if (fusion.activation >= 0 && fusion.residual_node >= 0) break;
  }
  for (int member : chain) {
    if (member != fusion.last) absorbed_by_[member] = fusion.last;
  }
  root_of_[fusion.last] = node;
}

void Compiler::fuse_glu(int node) {
  const Node& product = graph_->nodes[node];
  if (absorbed_by_[node] >= 0 || root_of_[node] >= 0) return;
  struct Half {
    int slice = -1, act = -1;
  } halves[2];
  for (int i = 0; i < 2; ++i) {
    int value = product.inputs[i];
    const Node* n = node_of(value);
    if (n == nullptr || sole_consumer(value) != node || absorbed_by_[value - first_node_] >= 0 ||
        root_of_[value - first_node_] >= 0)
      return;
    if (is_plain(n->op)) {
      halves[i].act = value - first_node_;
      value = n->inputs[0];
      n = node_of(value);
      if (n == nullptr || sole_consumer(value) != halves[i].act || absorbed_by_[value - first_node_] >= 0) return;
    }
    if (n->op != Op::kSlice) return;
    halves[i].slice = value - first_node_;
  }
  const Node& s0 = graph_->nodes[halves[0].slice];
  const Node& s1 = graph_->nodes[halves[1].slice];
  const int64_t channels = timing_->values[s0.inputs[0]].channels;
  if (s0.inputs[0] != s1.inputs[0] || timing_->values[s0.inputs[0]].control || channels % 2 != 0) return;
  const bool in_order = s0.attrs.start == 0 && s0.attrs.stop == channels / 2 && s1.attrs.start == channels / 2 &&
                        s1.attrs.stop == channels;
  const bool swapped = s1.attrs.start == 0 && s1.attrs.stop == channels / 2 && s0.attrs.start == channels / 2 &&
                       s0.attrs.stop == channels;
  if (!in_order && !swapped) return;
  GluFusion& glu = glus_[node];
  glu.last = node;
  glu.input = s0.inputs[0];
  const auto act = [&](const Half& half) { return half.act < 0 ? Op::kAffine : graph_->nodes[half.act].op; };
  glu.a = act(halves[in_order ? 0 : 1]);
  glu.b = act(halves[in_order ? 1 : 0]);
  for (const Half& half : halves) {
    absorbed_by_[half.slice] = node;
    if (half.act >= 0) absorbed_by_[half.act] = node;
  }
  // The product in front makes the halves, and nobody else reads them.
  const int producer = glu.input - first_node_;
  const int root = producer < 0 ? -1 : root_of_[producer];
  if (root < 0 || inside(producer) != inside(node) || is_output_[glu.input] || consumers_[glu.input].size() != 2 ||
      !may_gate(root))
    return;
  Fusion& fusion = fusions_[root];
  if (fusion.last != producer || fusion.activation >= 0 || fusion.residual_node >= 0 || fusion.gate >= 0 ||
      fusion.film >= 0)
    return;
  fusion.gate = node;
  fusion.gate_a = glu.a;
  fusion.gate_b = glu.b;
  for (int& by : absorbed_by_) {
    if (by == producer) by = node;
  }
  absorbed_by_[producer] = node;
  root_of_[producer] = -1;
  root_of_[node] = root;
  fusion.last = node;
}

}  // namespace rtvoice
