// Graph -> plan, in four passes: timing, fusion, steps, memory.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "plan/plan.h"
#include "plan/step_access.h"

namespace rtvoice {

// What runs with a matrix product: y = act(scale*product + shift [+ residual]) or act(...) + residual.
struct Fusion {
  int last = -1;            // the node whose value the step makes
  std::vector<int> affine;  // nodes folded into the weights
  int film = -1;            // node, or -1: scales and shifts first, by controls
  int activation = -1;      // node, or -1
  int residual_node = -1;   // add node, or -1
  int residual_input = 0;   // which of its inputs is the residual
  bool residual_before_act = false;
  int gate = -1;  // node that multiplies half of the channels, through `gate_a`, by the others, through `gate_b`; or -1
  Op gate_a = Op::kAffine, gate_b = Op::kSigmoid;
  int sibling = -1;  // node that another product's step makes along with this one's; or -1
};

// A product's weights before they are packed: [depth][cols], bias [cols].
struct Dense {
  std::vector<float> weights, bias;
  size_t depth = 0, cols = 0;
};

// tanh(x[:h]) * sigmoid(x[h:]) and its kin, found as slices, activations and a product.
struct GluFusion {
  int last = -1;
  int input = -1;  // value
  Op a = Op::kAffine, b = Op::kSigmoid;
};

class Compiler {
 public:
  Compiler(std::shared_ptr<const Graph> graph, size_t max_hops, std::string* error);
  std::shared_ptr<const Plan> compile();
  // For another number of hops: memory alone is laid out anew.
  Compiler(const Plan& like, size_t max_hops, std::string* error);
  std::shared_ptr<const Plan> lay_out_again();

 private:
  struct Input {
    uint32_t slot;
    int64_t lag;
  };

  // fuse.cc
  void find_fusions();
  void fuse_chain(int node);
  void fuse_glu(int node);
  void find_siblings();
  bool may_share(int node) const;
  bool may_gate(int root) const;
  bool may_gate_sum(int root) const;
  bool may_film(int root, int value, int film) const;
  bool inside(int node) const { return timing_->loop.inside[static_cast<size_t>(node)]; }
  int sole_consumer(int value) const;  // node, or -1 when there are several, none, or the value is an output
  const Node* node_of(int value) const;

  // compile.cc
  bool emit(int node);
  bool fail(const Node& node, const std::string& what);
  uint32_t add_slot(int64_t channels, int64_t frames, int64_t delay);
  StepSpec& add_step(int node, StepFn run, uint32_t out);
  Input input(int node, size_t index);  // expanded from control to stream rate where needed
  void read(StepSpec* step, Input input, int64_t rows_after = 0);
  void emit_pointwise(int node, StepFn run, StepSpec** step);
  void emit_channelwise(int node);
  void emit_fir(int node);

  // compile_loop.cc
  ValueTiming made_by(int node) const;  // as its step sees it: in a loop, a frame at a time
  bool emit_loop();
  void emit_sample(int node);
  void emit_attention(int node);
  bool is_held(int value) const;
  void find_held();
  void bring_in(int value, int reader);
  void take_out();

  // compile_weights.cc: convolutions, products and recurrent cells
  void emit_convolution(int node);
  bool may_run_ahead(int node) const;
  uint32_t emit_ahead(int node, Dense* dense);
  void emit_transposed(int node);
  void emit_depthwise(int node, const Tensor& weight, const Tensor& bias, int64_t kernel);
  Dense dense_product(int node);
  void emit_recurrent(int node);
  void emit_bands(int node);  // compile_bands.cc
  void emit_pick(int node);
  void apply_fusion(int node, StepSpec* step, StepEnd* end, size_t cols);
  size_t add_shares(int64_t frames);
  size_t add_weights(const std::vector<float>& values);
  size_t pack(const std::vector<float>& dense, size_t depth, size_t cols);
  // As float16 where `stored_half`, every number survives it and the product runs for `rows` rows a hop at most.
  size_t pack(const std::vector<float>& dense, size_t depth, size_t cols, bool stored_half, int64_t rows, bool* half);
  // As far as the step's ranges reach.
  size_t pack(const std::vector<float>& dense, const StepSpec& step, bool stored_half, int64_t rows, bool* half);
  static void add_ranges(StepSpec* step, size_t cout, size_t out_per_group, size_t in_per_group);
  size_t add_state(size_t floats);
  void fold_affine(int node, std::vector<float>* dense, std::vector<float>* bias, size_t depth, size_t cols,
                   size_t channels, size_t ld);

  // layout.cc
  bool lay_out();
  std::vector<StepSpec*> all_steps();
  void describe();
  void describe_memory();

  std::shared_ptr<const Graph> graph_;
  size_t max_hops_;
  std::string& error_;
  std::shared_ptr<Plan> plan_;
  const Timing* timing_ = nullptr;
  int first_node_ = 0;
  std::vector<std::vector<int>> consumers_;  // nodes, per value
  std::vector<bool> is_output_;
  std::vector<Fusion> fusions_;   // per node
  std::vector<GluFusion> glus_;   // per node
  std::vector<int> absorbed_by_;  // per node: the node that its work runs in, or -1
  std::vector<int> root_of_;      // per node: whose weights run when it is emitted
  std::vector<int> slot_of_value_;
  bool in_loop_ = false;  // what is emitted belongs to the loop
  WeightArena weights_;
};

}  // namespace rtvoice
