// Limits of a model file, as docs/model-format.md states them: what lies beyond is refused before anything large is
// allocated.
#pragma once

#include <cstddef>
#include <cstdint>

namespace rtvoice {

constexpr size_t kMaxFileBytes = size_t{512} << 20;
constexpr size_t kMaxHeaderBytes = size_t{16} << 20;
constexpr size_t kMaxJsonValues = size_t{1} << 19;  // a JSON value costs up to ~100 bytes in memory, two in the file
constexpr int kMaxJsonDepth = 32;
constexpr size_t kMaxNodes = 4096;
constexpr size_t kMaxTensors = 4 * kMaxNodes;
constexpr size_t kMaxAxes = 8;
constexpr size_t kMaxParameters = 256;
constexpr int64_t kMaxParameterSize = 4096;
constexpr size_t kMaxOutputs = 256;
constexpr int64_t kMaxChannels = 16384;
constexpr int64_t kMaxTaps = 65536;
constexpr int64_t kMaxHop = 65536;
constexpr int64_t kMaxStep = 65536;      // stride, dilation, factor
constexpr int64_t kMaxFrames = 1048576;  // delay, pads, reach of a kernel, frames per hop
constexpr int64_t kMaxLatency = 16 * kMaxFrames;
constexpr double kMaxMemoryBytes = 1073741824.0;
constexpr double kMaxMacsPerSecond = 1e12;
constexpr double kMaxPrewarmMacs = 1e11;  // a few seconds of one core, spent when an engine is made

}  // namespace rtvoice
