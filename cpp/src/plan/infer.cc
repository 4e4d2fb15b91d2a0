// Rates, delays and alignment of a graph.
#include "plan/infer.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace rtvoice {
namespace {

int64_t ceil_div(int64_t a, int64_t b) { return a >= 0 ? (a + b - 1) / b : -((-a) / b); }

class Inference {
 public:
  Inference(const Graph& graph, Timing* timing, std::string* error) : graph_(graph), timing_(*timing), error_(*error) {}

  bool run() {
    const std::vector<int> channels = value_channels(graph_);
    timing_.values.assign(channels.size(), {});
    timing_.nodes.assign(graph_.nodes.size(), {});
    for (size_t v = 0; v < channels.size(); ++v) timing_.values[v].channels = channels[v];
    timing_.values[0].frames = graph_.hop;
    const size_t first_node = 1 + graph_.parameters.size();
    for (size_t p = 1; p < first_node; ++p) {
      timing_.values[p].frames = 1;
      timing_.values[p].control = true;
    }
    if (!find_loop(graph_, &timing_.loop, &error_)) return false;
    const Loop& loop = timing_.loop;
    for (size_t at = 0; at < loop.order.size(); ++at) {
      const size_t i = static_cast<size_t>(loop.order[at]);
      if (at == loop.first && loop.any()) meet_loop(first_node);
      if (loop.inside[i] ? !infer_inside(i, first_node)
                         : !infer_node(graph_.nodes[i], &timing_.nodes[i], &timing_.values[first_node + i]))
        return false;
    }
    for (const Output& output : graph_.outputs) {
      if (!output.audio) continue;
      const ValueTiming& value = timing_.values[output.value];
      if (value.control || value.channels != 1 || value.frames != graph_.hop) {
        error_ = "output '" + output.name + "': an audio output needs 1 channel and " + std::to_string(graph_.hop) +
                 " frames per hop, it has " + std::to_string(value.channels) + " and " + std::to_string(value.frames);
        return false;
      }
      timing_.latency = value.delay;
    }
    return true;
  }

 private:
  bool fail(const Node& node, const std::string& what) {
    error_ = "node '" + node.name + "' (" + op_name(node.op) + "): " + what;
    return false;
  }

  // A loop begins when the last of what it reads from outside has come.
  void meet_loop(size_t first_node) {
    Loop& loop = timing_.loop;
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      if (!loop.inside[i]) continue;
      for (int input : graph_.nodes[i].inputs) {
        const size_t v = static_cast<size_t>(input);
        if (v >= first_node && loop.inside[v - first_node]) continue;
        if (!timing_.values[v].control) loop.delay = std::max(loop.delay, timing_.values[v].delay);
      }
    }
  }

  // Within the loop time is that of its own first frame: nothing is late there, and nothing may look ahead.
  bool infer_inside(size_t i, size_t first_node) {
    const Node& node = graph_.nodes[i];
    const Loop& loop = timing_.loop;
    ValueTiming& value = timing_.values[first_node + i];
    switch (node.op) {
      case Op::kUpsample:
      case Op::kDepthToTime:
      case Op::kTimeToDepth:
      case Op::kFir:
        return fail(node, "cannot run in the loop that a recall closes; bring it before or behind the loop");
      default:
        break;
    }
    std::vector<int64_t> delays;
    for (int input : node.inputs) {
      delays.push_back(timing_.values[input].delay);
      timing_.values[input].delay = 0;
    }
    const bool good = infer_node(node, &timing_.nodes[i], &value);
    for (size_t k = delays.size(); k-- > 0;) timing_.values[node.inputs[k]].delay = delays[k];  // one may come twice
    if (!good) return false;
    if (value.frames != loop.frames)
      return fail(node, "has " + std::to_string(value.frames) + " frames per hop in a loop of " +
                            std::to_string(loop.frames) + "; all of a loop runs at one rate");
    if (value.delay != 0) return fail(node, "looks ahead in the loop that a recall closes, where nothing has come yet");
    value.delay = loop.delay;
    return true;
  }

  bool infer_node(const Node& node, NodeTiming* out, ValueTiming* value) {
    const Attributes& at = node.attrs;
    if (node.op == Op::kRecall) {
      value->frames = at.frames;
      value->step = static_cast<double>(graph_.hop) / static_cast<double>(at.frames);
      value->receptive_field = std::numeric_limits<double>::infinity();
      return true;
    }
    if (node.op == Op::kNoise) {
      value->frames = at.frames;
      value->step = static_cast<double>(graph_.hop) / static_cast<double>(at.frames);
      return true;
    }
    const ValueTiming& x = timing_.values[node.inputs[0]];
    out->lags.assign(node.inputs.size(), 0);
    value->frames = x.frames;
    value->delay = x.delay;
    value->control = x.control;
    value->receptive_field = x.receptive_field;
    value->step = x.step;
    const int64_t cin = x.channels, cout = value->channels;
    switch (node.op) {
      case Op::kConv1d:
      case Op::kAvgPool: {
        if (x.control) return fail(node, "cannot run over a parameter; use linear");
        if (x.frames % at.stride != 0) return fail_rate(node, at.stride, x.frames);
        const int64_t kernel = node.op == Op::kConv1d ? node.w0.shape[2] : at.kernel;
        const int64_t reach = (kernel - 1) * at.dilation;  // taps span reach + 1 frames
        // The newest frame that the hop's last output may read is stride - 1 after its first input: what lies beyond becomes delay.
        value->delay = std::max<int64_t>(0, ceil_div(reach + 1 - at.stride - at.pad_left + x.delay, at.stride));
        out->lags[0] = value->delay * at.stride + at.pad_left - x.delay;
        value->frames = x.frames / at.stride;
        value->step = x.step * static_cast<double>(at.stride);
        value->receptive_field += static_cast<double>(reach) * x.step;
        out->macs = value->frames * kernel * (node.op == Op::kConv1d ? cout * (cin / at.groups) : cout);
        return true;
      }
      case Op::kConvBands: {
        if (x.control) return fail(node, "cannot run over a parameter; use linear");
        const int64_t reach = (at.kernel - 1) * at.dilation;
        value->delay = std::max<int64_t>(0, reach - at.pad_left + x.delay);
        out->lags[0] = value->delay + at.pad_left - x.delay;
        value->receptive_field += static_cast<double>(reach) * x.step;
        out->macs = value->frames * cout * at.kernel * at.band_kernel * (cin / at.bands / at.groups);
        return true;
      }
      case Op::kConvTranspose1d: {
        if (x.control) return fail(node, "cannot run over a parameter; use linear");
        const int64_t kernel = node.w0.shape[2];
        value->frames = x.frames * at.stride;
        value->delay = x.delay * at.stride + at.pad_left;
        value->step = x.step / static_cast<double>(at.stride);
        const int64_t past = (kernel - 1) * at.dilation / at.stride;  // whole input frames
        value->receptive_field += static_cast<double>(past) * x.step;
        out->macs = x.frames * kernel * cin * (cout / at.groups);
        return true;
      }
      case Op::kLinear:
        out->macs = x.frames * cin * cout;
        return true;
      case Op::kGru:
      case Op::kLstm:
        if (x.control) return fail(node, "cannot run over a parameter; use linear");
        out->macs = x.frames * (node.op == Op::kGru ? 3 : 4) * cout * (cin + cout);
        value->receptive_field = std::numeric_limits<double>::infinity();
        return true;
      case Op::kAdd:
      case Op::kSub:
      case Op::kMul:
      case Op::kDiv:
      case Op::kFilm:
      case Op::kConcat:
      case Op::kHarmonics:
      case Op::kWarp:
        return align(node, out, value);
      case Op::kAttention:
        if (!align(node, out, value)) return false;
        for (size_t k = 1; k < 3; ++k) out->lags[k] += at.window - 1;  // the oldest row of a window
        value->receptive_field += static_cast<double>(at.window - 1) * value->step;
        out->macs = value->frames * at.window * (cin + timing_.values[node.inputs[2]].channels);
        return true;
      case Op::kLeakySum:
        if (x.control) return fail(node, "cannot run over a parameter");
        out->macs = x.frames * cout;
        value->receptive_field = std::numeric_limits<double>::infinity();
        return true;
      case Op::kPhase:
        value->receptive_field = std::numeric_limits<double>::infinity();
        return true;
      case Op::kFir:
        return infer_fir(node, out, value);
      case Op::kDelay:
        if (x.control) return fail(node, "cannot delay a parameter");
        value->delay = std::max<int64_t>(0, x.delay - at.frames);
        out->lags[0] = value->delay + at.frames - x.delay;
        return true;
      case Op::kAdvance:
        if (x.control) return fail(node, "cannot advance a parameter");
        value->delay = x.delay + at.frames;
        return true;
      case Op::kUpsample: {
        if (x.control) return fail(node, "cannot upsample a parameter; it meets streams of any rate by itself");
        value->frames = x.frames * at.factor;
        // Linear: frame j between two inputs needs the later one.
        const int64_t wait = !at.linear_mode ? 0 : at.half_pixel ? at.factor / 2 : at.factor - 1;
        value->delay = x.delay * at.factor + wait;
        value->step = x.step / static_cast<double>(at.factor);
        if (at.linear_mode) value->receptive_field += x.step;
        return true;
      }
      case Op::kDepthToTime:
        if (x.control) return fail(node, "cannot turn a parameter's channels into time");
        value->frames = x.frames * at.factor;
        value->delay = x.delay * at.factor;
        value->step = x.step / static_cast<double>(at.factor);
        return true;
      case Op::kTimeToDepth:
        if (x.control) return fail(node, "cannot turn a parameter's frames into channels");
        if (x.frames % at.factor != 0) return fail_rate(node, at.factor, x.frames);
        value->frames = x.frames / at.factor;
        value->delay = ceil_div(x.delay, at.factor);
        out->lags[0] = value->delay * at.factor - x.delay;
        value->step = x.step * static_cast<double>(at.factor);
        value->receptive_field += static_cast<double>(at.factor - 1) * x.step;
        return true;
      default:
        return true;  // frame by frame
    }
  }

  // x at one rate, taps at another that divides it. Where the delay is no multiple of the taps' frame, their frames begin within a hop's.
  bool infer_fir(const Node& node, NodeTiming* out, ValueTiming* value) {
    const ValueTiming &x = timing_.values[node.inputs[0]], &taps = timing_.values[node.inputs[1]];
    if (x.frames % taps.frames != 0) return fail_rate(node, taps.frames, x.frames);
    const int64_t per_frame = x.frames / taps.frames;
    value->delay = std::max(x.delay, taps.delay * per_frame);
    out->lags = {value->delay - x.delay, value->delay / per_frame - taps.delay};
    const double past = static_cast<double>(taps.channels - 1) * x.step,
                 faded = node.attrs.interpolate ? taps.step : 0.0;
    value->receptive_field = std::max(x.receptive_field + past, taps.receptive_field + faded);
    out->macs = x.frames * taps.channels * (node.attrs.interpolate ? 2 : 1);
    return true;
  }

  bool fail_rate(const Node& node, int64_t by, int64_t frames) {
    return fail(node, "its input has " + std::to_string(frames) + " frames per hop, which " + std::to_string(by) +
                          " does not divide; use a hop that is a multiple");
  }

  // Inputs that meet: the later one sets the delay, the others are read that much further back.
  bool align(const Node& node, NodeTiming* out, ValueTiming* value) {
    const ValueTiming* first = nullptr;
    for (int input : node.inputs) {
      const ValueTiming& x = timing_.values[input];
      if (x.control) continue;
      if (first == nullptr) {
        first = &x;
        value->delay = 0;
        value->receptive_field = 0.0;
      } else if (x.frames != first->frames) {
        return fail(node, "inputs of " + std::to_string(first->frames) + " and " + std::to_string(x.frames) +
                              " frames per hop cannot meet");
      }
      value->delay = std::max(value->delay, x.delay);
      value->receptive_field = std::max(value->receptive_field, x.receptive_field);
    }
    value->control = first == nullptr;
    if (first == nullptr) return true;
    value->frames = first->frames;
    value->step = first->step;
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      const ValueTiming& x = timing_.values[node.inputs[i]];
      if (!x.control) out->lags[i] = value->delay - x.delay;
    }
    return true;
  }

  const Graph& graph_;
  Timing& timing_;
  std::string& error_;
};

}  // namespace

bool infer_timing(const Graph& graph, Timing* timing, std::string* error) {
  return Inference(graph, timing, error).run();
}

}  // namespace rtvoice
