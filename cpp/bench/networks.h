// The networks that network_bench runs, with random weights: one per row of the target table.
#pragma once

#include <cmath>
#include <cstring>
#include <string>

#include "bench_util.h"
#include "model/graph.h"

namespace rtvoice::bench {

// Value 0 is the audio; each node makes the next value. `half`: weights that float16 holds, stored so.
class NetworkBuilder {
 public:
  NetworkBuilder(std::string name, int hop, bool half) : graph_(std::make_shared<Graph>()), half_(half), numbers_(1) {
    graph_->name = std::move(name);
    graph_->sample_rate = 16000;
    graph_->hop = hop;
  }

  struct Conv {
    int64_t in, out, taps = 1, dilation = 1, stride = 1;
    bool depthwise = false;
  };
  int conv(int x, const Conv& c) {
    Node n = node(Op::kConv1d, {x});
    const int64_t per_group = c.depthwise ? 1 : c.in;
    n.w0 = weight({c.out, per_group, c.taps}, static_cast<double>(per_group * c.taps));
    n.b0 = weight({c.out}, 100.0);
    n.attrs.dilation = c.dilation;
    n.attrs.stride = c.stride;
    n.attrs.groups = c.depthwise ? c.in : 1;
    n.attrs.pad_left = (c.taps - 1) * c.dilation + 1 - c.stride;
    return add(std::move(n));
  }
  int transposed(int x, int64_t in, int64_t out, int64_t taps, int64_t stride) {
    Node n = node(Op::kConvTranspose1d, {x});
    n.w0 = weight({in, out, taps}, static_cast<double>(in * taps / stride));
    n.b0 = weight({out}, 100.0);
    n.attrs.stride = stride;
    return add(std::move(n));
  }
  int recurrent(Op op, int x, int64_t in, int64_t hidden) {
    const int64_t gates = op == Op::kGru ? 3 : 4;
    Node n = node(op, {x});
    n.w0 = weight({gates * hidden, in}, static_cast<double>(in));
    n.w1 = weight({gates * hidden, hidden}, static_cast<double>(hidden));
    n.b0 = weight({gates * hidden}, 100.0);
    n.b1 = weight({gates * hidden}, 100.0);
    return add(std::move(n));
  }
  int unary(Op op, int x) { return add(node(op, {x})); }
  int sum(int x, int y) { return add(node(Op::kAdd, {x, y})); }
  int gate(int x) {
    Node n = node(Op::kGlu, {x});
    n.attrs.glu_a = Op::kTanh;
    return add(std::move(n));
  }
  std::shared_ptr<const Graph> audio(int x) {
    Output output;
    output.name = "audio";
    output.value = x;
    graph_->outputs.push_back(output);
    return graph_;
  }

 private:
  Node node(Op op, std::vector<int> inputs) {
    Node made;
    made.op = op;
    made.name = "n" + std::to_string(graph_->nodes.size());
    made.inputs = std::move(inputs);
    return made;
  }
  int add(Node made) {
    graph_->nodes.push_back(std::move(made));
    return static_cast<int>(graph_->nodes.size());
  }
  // As large as keeps signals between layers near 1.
  Tensor weight(std::vector<int64_t> shape, double fan_in) {
    Tensor tensor;
    size_t count = 1;
    for (int64_t n : shape) count *= static_cast<size_t>(n);
    tensor.shape = std::move(shape);
    tensor.half = half_ && tensor.shape.size() > 1;
    tensor.data.resize(count);
    const float scale = std::exp2(std::round(std::log2(static_cast<float>(1.0 / std::sqrt(fan_in)))));
    for (float& value : tensor.data) {
      value = numbers_.next();
      if (tensor.half) value = std::round(value * 1024.0f) / 1024.0f;
      value *= scale;
    }
    return tensor;
  }

  std::shared_ptr<Graph> graph_;
  bool half_;
  Numbers numbers_;
};

using NetworkPtr = std::shared_ptr<const Graph>;

// 14 dilated layers of 3 taps with a residual.
inline NetworkPtr temporal(int64_t channels, int hop, Op act) {
  NetworkBuilder b("tcn", hop, false);
  int x = b.conv(0, {1, channels});
  for (int i = 0; i < 14; ++i) {
    const int y = b.unary(act, b.conv(x, {channels, channels, 3, int64_t{1} << (i % 7)}));
    x = b.sum(y, x);
  }
  return b.audio(b.conv(x, {channels, 1}));
}

// Undilated layers at a low rate: bytes of weights.
inline NetworkPtr low_rate(int64_t channels, int64_t taps, int layers, int hop, bool half) {
  NetworkBuilder b("low", hop, half);
  int x = b.conv(0, {1, channels});
  for (int i = 0; i < layers; ++i) {
    const int y = b.unary(Op::kTanh, b.conv(x, {channels, channels, taps}));
    x = b.sum(y, x);
  }
  return b.audio(b.conv(x, {channels, 1}));
}

// Widen, filter each channel, narrow, with a residual.
inline NetworkPtr separable(int64_t channels, int64_t wide, int64_t taps, int blocks, int hop) {
  NetworkBuilder b("separable", hop, false);
  int x = b.conv(0, {1, channels});
  for (int i = 0; i < blocks; ++i) {
    int y = b.unary(Op::kRelu, b.conv(x, {channels, wide}));
    y = b.unary(Op::kRelu, b.conv(y, {wide, wide, taps, 1, 1, true}));
    x = b.sum(b.conv(y, {wide, channels}), x);
  }
  return b.audio(b.conv(x, {channels, 1}));
}

// Down and up again by `stride`, four times; `frames` at the lower rate.
inline NetworkPtr resampled(int64_t channels, int64_t wide, int64_t stride, int frames) {
  NetworkBuilder b("resampled", frames * static_cast<int>(stride), false);
  int x = b.conv(0, {1, channels});
  for (int i = 0; i < 4; ++i) {
    const int y = b.conv(x, {channels, wide, 2 * stride, 1, stride});
    x = b.transposed(y, wide, channels, 2 * stride, stride);
  }
  return b.audio(b.conv(x, {channels, 1}));
}

// One frame of one cell.
inline NetworkPtr cell(Op op, int64_t hidden, bool half) {
  NetworkBuilder b("cell", 1, half);
  const int x = b.conv(0, {1, hidden});
  return b.audio(b.conv(b.recurrent(op, x, hidden, hidden), {hidden, 1}));
}

// Gated layers of two taps with residual and skip, sample by sample.
inline NetworkPtr wavenet(int64_t channels, int layers, bool half) {
  NetworkBuilder b("wavenet", 1, half);
  int x = b.conv(0, {1, channels}), skip = -1;
  for (int i = 0; i < layers; ++i) {
    const int z = b.gate(b.conv(x, {channels, 2 * channels, 2, int64_t{1} << (i % 10)}));
    const int s = b.conv(z, {channels, channels});
    skip = skip < 0 ? s : b.sum(s, skip);
    x = b.sum(b.conv(z, {channels, channels}), x);
  }
  return b.audio(b.conv(b.unary(Op::kRelu, skip), {channels, 1}));
}

}  // namespace rtvoice::bench
