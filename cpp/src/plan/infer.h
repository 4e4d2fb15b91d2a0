// Rates, delays and alignment of a graph: how many frames per hop each value has, how late it is, and which rows of its inputs a node reads.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/graph.h"
#include "plan/loop.h"

namespace rtvoice {

// A value of the graph (index as in Node::inputs) as a stream: streamed[n] = offline[n - delay], zero for n < delay.
struct ValueTiming {
  int64_t channels = 0;
  int64_t frames = 0;            // per hop
  int64_t delay = 0;             // in frames of this value
  bool control = false;          // computed from parameters only: one frame per hop, meets streams of any rate
  double receptive_field = 1.0;  // in input samples; infinite behind a recurrent layer
  double step = 1.0;             // input samples per frame
};

// How a node reads its inputs. Output frame t of a hop reads input rows (first row of the hop) + t*stride - lag.
struct NodeTiming {
  std::vector<int64_t> lags;  // per input; conv1d and avg_pool: the lag of tap 0
  int64_t macs = 0;           // multiply-accumulates per hop
};

struct Timing {
  std::vector<ValueTiming> values;
  std::vector<NodeTiming> nodes;
  Loop loop;
  int64_t latency = 0;  // of the audio output, in samples
};

// Channels come from the checked graph. False with one line in `error` when the graph cannot stream.
bool infer_timing(const Graph& graph, Timing* timing, std::string* error);

}  // namespace rtvoice
