// Reading a model: the file, the `rtvoice` object, its parameters and outputs, and the limits on the whole.
#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstring>
#include <exception>
#include <filesystem>
#include <fstream>
#include <new>

#include "model/graph.h"
#include "model/limits.h"
#include "model/node_reader.h"
#include "model/text.h"

namespace rtvoice {
namespace {

bool is_word(const std::string& text) {
  for (char c : text) {
    const bool good =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
    if (!good) return false;
  }
  return !text.empty() && text.size() <= 32;
}

bool read_header(const Json& object, Graph* graph, std::string* error) {
  const std::string place = "rtvoice";
  if (!check_keys(object, place, {"format", "name", "sample_rate", "hop", "tier", "licence", "graph"},
                  {"description", "latency", "start", "prewarm", "loudness", "provenance", "parameters"}, error)) {
    return false;
  }
  const Json& format = object["format"];
  if (!format.is_number_integer() || format != 1) {
    return fail(error, "rtvoice: 'format' is " + brief(format) + "; this version reads format 1, update rtvoice");
  }
  int64_t sample_rate = 0, hop = 0;
  if (!get_text(object, "name", place, 1, 64, &graph->name, error)) return false;
  if (!get_text(object, "description", place, 0, 1024, &graph->description, error)) return false;
  if (!get_text(object, "licence", place, 0, 128, &graph->licence, error)) return false;
  if (!get_text(object, "tier", place, 1, 32, &graph->tier, error)) return false;
  if (!is_word(graph->tier)) {
    return fail(error, "rtvoice: 'tier' is " + in_quotes(graph->tier) +
                           "; it must be a word of letters, digits, '_', '-' or '.'");
  }
  if (!get_integer(object, "sample_rate", place, 4000, 384000, &sample_rate, error)) return false;
  if (!get_integer(object, "hop", place, 1, kMaxHop, &hop, error)) return false;
  if (!get_integer(object, "latency", place, 0, kMaxLatency, &graph->declared_latency, error)) return false;
  graph->sample_rate = static_cast<int>(sample_rate);
  graph->hop = static_cast<int>(hop);
  std::string start = "zero";
  if (!get_text(object, "start", place, 1, 32, &start, error)) return false;
  if (start != "zero" && start != "prewarmed")
    return fail(error, "rtvoice: 'start' is " + in_quotes(start) + "; it must be 'zero' or 'prewarmed'");
  graph->prewarmed = start == "prewarmed";
  if (!get_integer(object, "prewarm", place, 1, kMaxLatency, &graph->prewarm, error)) return false;
  if (graph->prewarm > 0 && !graph->prewarmed)
    return fail(error, "rtvoice: 'prewarm' belongs to start 'prewarmed'; remove it, or set 'start'");
  graph->has_loudness = object.contains("loudness") && !object["loudness"].is_null();
  if (graph->has_loudness && !get_number(object, "loudness", place, -200.0, 200.0, &graph->loudness, error))
    return false;
  if (object.contains("provenance") && !object["provenance"].is_object()) {
    return fail(error, "rtvoice: 'provenance' is " + brief(object["provenance"]) + "; it must be an object");
  }
  return true;
}

bool read_parameter(const Json& object, const std::string& position, Parameter* out, std::string* error) {
  if (!check_keys(object, position, {"name", "size", "default", "min", "max"}, {"smoothing_ms", "description"}, error))
    return false;
  if (!get_name(object, "name", position, &out->name, error)) return false;
  const std::string place = "parameter " + in_quotes(out->name);
  if (out->name == "mix") return fail(error, place + ": the name belongs to the engine's dry/wet mix; rename it");
  int64_t size = 0;
  double low = 0.0, high = 0.0, smoothing = 20.0;
  if (!get_text(object, "description", place, 0, 1024, &out->description, error)) return false;
  if (!get_integer(object, "size", place, 1, kMaxParameterSize, &size, error)) return false;
  if (!get_number(object, "min", place, -FLT_MAX, FLT_MAX, &low, error)) return false;
  if (!get_number(object, "max", place, -FLT_MAX, FLT_MAX, &high, error)) return false;
  if (!get_number(object, "smoothing_ms", place, 0.0, 1000.0, &smoothing, error)) return false;
  if (low > high) return fail(error, place + ": 'min' is above 'max'; swap them");
  const Json* defaults = nullptr;
  if (!get_array(object, "default", place, static_cast<size_t>(size), static_cast<size_t>(size), &defaults, error))
    return false;
  out->min = static_cast<float>(low);
  out->max = static_cast<float>(high);
  out->smoothing_ms = static_cast<float>(smoothing);
  for (const Json& value : *defaults) {
    double number = 0.0;
    if (!as_number(value, place + ": a number of 'default'", low, high, &number, error)) return false;
    out->defaults.push_back(static_cast<float>(number));
  }
  return true;
}

bool read_parameters(const Json& object, Graph* graph, NodeContext* context, std::string* error) {
  const Json* parameters = nullptr;
  if (!get_array(object, "parameters", "rtvoice", 0, kMaxParameters, &parameters, error)) return false;
  if (parameters == nullptr) return true;
  graph->parameters.resize(parameters->size());
  for (size_t i = 0; i < parameters->size(); ++i) {
    Parameter& parameter = graph->parameters[i];
    if (!read_parameter((*parameters)[i], "parameter " + std::to_string(i), &parameter, error)) return false;
    if (!context->values.emplace(parameter.name, static_cast<int>(context->shapes.size())).second) {
      return fail(error, "parameter " + in_quotes(parameter.name) + ": the name is taken; choose another");
    }
    context->shapes.push_back({static_cast<int64_t>(parameter.defaults.size()), 1, true, 0.0});
  }
  return true;
}

bool read_input(const Json& inputs, Graph* graph, NodeContext* context, std::string* error) {
  const std::string place = "graph.inputs";
  const Json& input = inputs[0];
  std::string name;
  int64_t channels = 0;
  if (!check_keys(input, place, {"name", "tensor", "kind", "channels"}, {}, error)) return false;
  if (!get_name(input, "name", place, &name, error) || !get_name(input, "tensor", place, &graph->input_name, error))
    return false;
  if (input["kind"] != "audio")
    return fail(error, place + ": 'kind' is " + brief(input["kind"]) + "; it must be 'audio'");
  if (!get_integer(input, "channels", place, 1, 1, &channels, error)) return false;
  context->values.emplace(graph->input_name, 0);
  context->shapes.push_back({1, graph->hop, false, 0.0});
  return true;
}

bool read_output(const Json& object, const std::string& position, const NodeContext& context, int64_t hop, Output* out,
                 std::string* error) {
  if (!check_keys(object, position, {"name", "tensor", "kind"}, {}, error)) return false;
  if (!get_name(object, "name", position, &out->name, error)) return false;
  const std::string place = "output " + in_quotes(out->name);
  std::string tensor;
  if (!get_name(object, "tensor", place, &tensor, error)) return false;
  const auto value = context.values.find(tensor);
  if (value == context.values.end())
    return fail(error, place + ": there is no tensor " + in_quotes(tensor) + "; name the input, a parameter or a node");
  out->value = value->second;
  const Json& kind = object["kind"];
  if (kind != "audio" && kind != "value")
    return fail(error, place + ": 'kind' is " + brief(kind) + "; it must be 'audio' or 'value'");
  out->audio = kind == "audio";
  const ValueShape& shape = context.shapes[static_cast<size_t>(out->value)];
  if (out->audio && (shape.control || shape.channels != 1 || shape.frames != hop)) {
    return fail(error, place + ": tensor " + in_quotes(tensor) + " has " + std::to_string(shape.channels) +
                           " channels and " + std::to_string(shape.frames) + " frames per hop" +
                           (shape.control ? " and is a control" : "") + "; an audio output has 1 and " +
                           std::to_string(hop));
  }
  return true;
}

bool read_outputs(const Json& outputs, Graph* graph, const NodeContext& context, std::string* error) {
  int audio = 0;
  for (size_t i = 0; i < outputs.size(); ++i) {
    Output output;
    if (!read_output(outputs[i], "output " + std::to_string(i), context, graph->hop, &output, error)) return false;
    for (const Output& other : graph->outputs) {
      if (other.name == output.name)
        return fail(error, "output " + in_quotes(output.name) + ": the name is taken; choose another");
    }
    audio += output.audio;
    if (audio > 1)
      return fail(error, "output " + in_quotes(output.name) +
                             ": the graph has an audio output already; use kind 'value' for others");
    graph->outputs.push_back(std::move(output));
  }
  return true;
}

// Lower bounds of what an engine needs; the plan knows the exact figures.
bool check_cost(const Graph& graph, const NodeContext& context, std::string* error) {
  double floats = context.state_floats, widest = 0.0, reach = 0.0;
  for (const StoredTensor& tensor : context.container->tensors) floats += static_cast<double>(tensor.count());
  for (const ValueShape& shape : context.shapes) {
    widest = std::max(widest, static_cast<double>(shape.channels) * static_cast<double>(shape.frames));
    reach = std::max(reach, shape.reach);
  }
  const double bytes = 4.0 * (floats + widest);
  if (bytes > kMaxMemoryBytes) {
    return fail(error, "graph: needs at least " + std::to_string(static_cast<int64_t>(bytes)) +
                           " bytes of weights, history and scratch; the limit is " +
                           std::to_string(static_cast<int64_t>(kMaxMemoryBytes)));
  }
  const double rate = context.macs * graph.sample_rate / graph.hop;
  if (rate > kMaxMacsPerSecond) {
    return fail(error, "graph: needs " + std::to_string(static_cast<int64_t>(std::min(rate / 1e6, 1e18))) +
                           " million MAC/s; the limit is " +
                           std::to_string(static_cast<int64_t>(kMaxMacsPerSecond / 1e6)) + " million");
  }
  const double hops = graph.prewarm > 0 ? std::ceil(static_cast<double>(graph.prewarm) / graph.hop) : reach + 1.0;
  if (graph.prewarmed && hops * context.macs > kMaxPrewarmMacs) {
    return fail(error, "graph: prewarming would take more than " +
                           std::to_string(static_cast<int64_t>(kMaxPrewarmMacs / 1e6)) +
                           " million MAC; use start 'zero', a shorter history or a smaller 'prewarm'");
  }
  return true;
}

// 64 bits at a time in FNV's manner, with a shift so that high bits reach low ones: 10 MB in about 2 ms. A copy whose size
// the compiler does not know is a call, and made it 9.
uint64_t hash_bytes(const void* data, size_t size) {
  const auto* bytes = static_cast<const uint8_t*>(data);
  uint64_t hash = 0xcbf29ce484222325ull ^ size;
  const auto add = [&hash](uint64_t word) {
    hash = (hash ^ word) * 0x100000001b3ull;
    hash ^= hash >> 32;
  };
  const size_t whole = size / 8 * 8;
  uint64_t word;
  for (size_t i = 0; i < whole; i += 8) {
    std::memcpy(&word, bytes + i, 8);
    add(word);
  }
  word = 0;
  if (whole < size) {
    std::memcpy(&word, bytes + whole, size - whole);
    add(word);
  }
  return hash;
}

std::unique_ptr<Graph> read_checked(const void* data, size_t size, std::string* error) {
  Container container;
  if (!read_container(data, size, &container, error)) return nullptr;
  Json object;
  if (!parse_object(container.document.data(), container.document.size(), "rtvoice", &object, error)) return nullptr;
  auto graph = std::make_unique<Graph>();
  if (!read_header(object, graph.get(), error)) return nullptr;
  const Json& body = object["graph"];
  const Json *inputs = nullptr, *outputs = nullptr, *nodes = nullptr;
  if (!check_keys(body, "graph", {"inputs", "outputs", "nodes"}, {}, error)) return nullptr;
  if (!get_array(body, "inputs", "graph", 1, 1, &inputs, error)) return nullptr;
  if (!get_array(body, "outputs", "graph", 1, kMaxOutputs, &outputs, error)) return nullptr;
  if (!get_array(body, "nodes", "graph", 0, kMaxNodes, &nodes, error)) return nullptr;
  NodeContext context;
  context.container = &container;
  context.tensor_used.resize(container.tensors.size());
  for (size_t i = 0; i < container.tensors.size(); ++i) context.tensor_index.emplace(container.tensors[i].name, i);
  if (!read_input(*inputs, graph.get(), &context, error)) return nullptr;
  if (!read_parameters(object, graph.get(), &context, error)) return nullptr;
  if (!read_nodes(*nodes, &context, &graph->nodes, error)) return nullptr;
  if (!read_outputs(*outputs, graph.get(), context, error)) return nullptr;
  if (!check_cost(*graph, context, error)) return nullptr;
  graph->metadata_json = std::move(container.document);
  graph->hash = hash_bytes(data, size);
  return graph;
}

// A file's bytes; not a vector, which would fill them with zeros first.
struct FileBytes {
  std::unique_ptr<char[]> data;
  size_t size = 0;
};

bool read_bytes(const char* path, FileBytes* out, std::string* error) {
  namespace fs = std::filesystem;
  const std::string place = std::string("file '") + (path != nullptr ? path : "") + "'";
  if (path == nullptr || *path == '\0') return fail(error, "file: the path is empty; give the path of a .rtv file");
  std::error_code code;
  const fs::path native = fs::u8path(path);
  const fs::file_status status = fs::status(native, code);
  if (status.type() == fs::file_type::not_found) return fail(error, place + ": does not exist; check the path");
  if (status.type() == fs::file_type::directory)
    return fail(error, place + ": is a directory; give the path of a .rtv file");
  if (status.type() != fs::file_type::regular)
    return fail(error, place + ": is not a readable file; give the path of a .rtv file");
  const uintmax_t size = fs::file_size(native, code);
  if (code) return fail(error, place + ": " + code.message() + "; check its permissions");
  if (size == 0) return fail(error, place + ": is empty; fetch or export it again");
  if (size > kMaxFileBytes)
    return fail(error,
                place + ": has " + std::to_string(size) + " bytes; the limit is " + std::to_string(kMaxFileBytes));
  std::ifstream stream(native, std::ios::binary);
  if (!stream) return fail(error, place + ": cannot be opened; check its permissions");
  out->size = static_cast<size_t>(size);
  out->data.reset(new char[out->size]);
  stream.read(out->data.get(), static_cast<std::streamsize>(size));
  if (static_cast<uintmax_t>(stream.gcount()) != size)
    return fail(error, place + ": could be read in part only; is it still being written?");
  return true;
}

}  // namespace

std::unique_ptr<Graph> read_model(const void* data, size_t size, std::string* error) {
  std::string ignored;
  if (error == nullptr) error = &ignored;
  try {
    return read_checked(data, size, error);
  } catch (const std::bad_alloc&) {
    *error = "file: not enough memory to read it; close other programs";
  } catch (const std::exception& exception) {
    *error = "file: cannot be read (" + in_quotes(exception.what()) + "); please report this";
  }
  return nullptr;
}

std::unique_ptr<Graph> read_model_file(const char* path, std::string* error, bool* readable) {
  std::string ignored;
  if (readable != nullptr) *readable = false;
  if (error == nullptr) error = &ignored;
  try {
    FileBytes bytes;
    if (!read_bytes(path, &bytes, error)) return nullptr;
    if (readable != nullptr) *readable = true;
    return read_model(bytes.data.get(), bytes.size, error);
  } catch (const std::exception& exception) {
    *error = "file: cannot be read (" + in_quotes(exception.what()) + "); check the path and the free memory";
  }
  return nullptr;
}

}  // namespace rtvoice
