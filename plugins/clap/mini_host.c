/* mini_host.c: a host for one CLAP effect without a sound card: checks what a host relies on, then runs raw audio through it.
 *
 *   clap_host PLUGIN.clap ID IN.f32 OUT.f32 FRAMES.txt RATE CHANNELS [PARAMETER VALUE AT]
 *
 * Raw interleaved float32 in and out; the list of frame sizes repeats until the input is used up. A parameter's new value reaches the
 * plugin as an event of the block that holds the sample AT.
 */
#include <clap/entry.h>
#include <clap/ext/audio-ports.h>
#include <clap/ext/latency.h>
#include <clap/ext/params.h>
#include <clap/ext/state.h>
#include <clap/factory/plugin-factory.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { kMost = 65536, kMostChannels = 2 };

static int failures;

static void check(int holds, const char* what) {
  if (!holds) {
    fprintf(stderr, "clap_host: %s\n", what);
    ++failures;
  }
}

/* ---- What the plugin sees of the host ---- */

static const void* host_extension(const clap_host_t* host, const char* id) {
  (void)host;
  (void)id;
  return NULL;
}

static void host_request(const clap_host_t* host) { (void)host; }

static const clap_host_t kHost = {CLAP_VERSION_INIT, NULL,           "clap_host",  "rtvoice",    "",
                                  "0.1.0",           host_extension, host_request, host_request, host_request};

static clap_event_param_value_t event;
static uint32_t events;

static uint32_t events_size(const clap_input_events_t* list) {
  (void)list;
  return events;
}

static const clap_event_header_t* events_get(const clap_input_events_t* list, uint32_t index) {
  (void)list;
  return index < events ? &event.header : NULL;
}

static bool events_push(const clap_output_events_t* list, const clap_event_header_t* pushed) {
  (void)list;
  (void)pushed;
  return true;
}

static const clap_input_events_t kIn = {NULL, events_size, events_get};
static const clap_output_events_t kOut = {NULL, events_push};

typedef struct memory {
  unsigned char bytes[256];
  size_t size, at;
} memory;

static int64_t write_state(const clap_ostream_t* stream, const void* data, uint64_t size) {
  memory* m = stream->ctx;
  if (size == 0 || m->size == sizeof m->bytes) return 0;
  m->bytes[m->size++] = *(const unsigned char*)data; /* a host may take a byte at a time */
  return 1;
}

static int64_t read_state(const clap_istream_t* stream, void* data, uint64_t size) {
  memory* m = stream->ctx;
  if (size == 0 || m->at == m->size) return 0;
  *(unsigned char*)data = m->bytes[m->at++];
  return 1;
}

/* ---- Checks ---- */

static void set_event(clap_id id, double value, uint32_t time) {
  memset(&event, 0, sizeof event);
  event.header.size = sizeof event;
  event.header.time = time;
  event.header.space_id = CLAP_CORE_EVENT_SPACE_ID;
  event.header.type = CLAP_EVENT_PARAM_VALUE;
  event.param_id = id;
  event.note_id = -1;
  event.port_index = event.channel = event.key = -1;
  event.value = value;
}

static void check_params(const clap_plugin_t* plugin) {
  const clap_plugin_params_t* params = plugin->get_extension(plugin, CLAP_EXT_PARAMS);
  clap_param_info_t info;
  double value, back;
  char text[64];
  uint32_t i;
  check(params != NULL, "the plugin has no parameters");
  if (params == NULL) return;
  for (i = 0; i < params->count(plugin); ++i) {
    check(params->get_info(plugin, i, &info) && info.name[0] != 0, "a parameter has no info");
    check(params->get_value(plugin, info.id, &value) && value == info.default_value,
          "a parameter is not at its default");
    check(params->value_to_text(plugin, info.id, info.max_value, text, sizeof text) &&
              params->text_to_value(plugin, info.id, text, &back) && back == info.max_value,
          "a parameter's text does not lead back to its value");
  }
  check(!params->get_info(plugin, i, &info), "a parameter beyond the last has an info");
  check(!params->get_value(plugin, 999, &value), "an unknown parameter has a value");
}

static void check_state(const clap_plugin_t* plugin) {
  const clap_plugin_state_t* state = plugin->get_extension(plugin, CLAP_EXT_STATE);
  const clap_plugin_params_t* params = plugin->get_extension(plugin, CLAP_EXT_PARAMS);
  memory kept = {{0}, 0, 0}, first = {{0}, 0, 0}, damaged = {{9}, 7, 0};
  clap_ostream_t out = {&kept, write_state};
  clap_istream_t in = {&kept, read_state};
  double value = 0.0;
  if (state == NULL || params == NULL) {
    check(0, "the plugin has no state");
    return;
  }
  out.ctx = &first;
  check(state->save(plugin, &out), "the state cannot be saved");
  set_event(0, 0.25, 0);
  events = 1;
  params->flush(plugin, &kIn, &kOut);
  events = 0;
  out.ctx = &kept;
  check(state->save(plugin, &out) && kept.size != 0, "the state cannot be saved");
  in.ctx = &first;
  check(state->load(plugin, &in) && params->get_value(plugin, 0, &value) && value == 1.0, "a state was not loaded");
  in.ctx = &kept;
  check(state->load(plugin, &in) && params->get_value(plugin, 0, &value) && value == 0.25, "a state was not loaded");
  in.ctx = &damaged;
  check(!state->load(plugin, &in), "a damaged state was taken");
  first.at = 0;
  in.ctx = &first;
  check(state->load(plugin, &in), "a state was not loaded");
}

static void check_ports(const clap_plugin_t* plugin, uint32_t channels) {
  const clap_plugin_audio_ports_t* ports = plugin->get_extension(plugin, CLAP_EXT_AUDIO_PORTS);
  clap_audio_port_info_t info;
  int input;
  for (input = 0; input < 2 && ports != NULL; ++input) {
    check(ports->count(plugin, input) == 1, "there is not one port");
    check(ports->get(plugin, 0, input, &info) && info.channel_count == channels, "a port has another channel count");
    check(!ports->get(plugin, 1, input, &info), "there is a second port");
  }
  check(ports != NULL, "the plugin has no ports");
}

/* ---- Audio ---- */

static void* read_all(const char* path, size_t* size) {
  FILE* file = fopen(path, "rb");
  char* data = NULL;
  long length = -1;
  if (file != NULL && fseek(file, 0, SEEK_END) == 0) length = ftell(file);
  if (length >= 0 && fseek(file, 0, SEEK_SET) == 0) data = calloc(1, (size_t)length + 1);
  if (data != NULL) *size = fread(data, 1, (size_t)length, file);
  if (file != NULL) fclose(file);
  return data;
}

typedef struct run_state {
  float* samples; /* interleaved */
  size_t frames;
  uint32_t channels;
  float* planes[kMostChannels];
  int has_event;
  clap_id parameter;
  double value;
  size_t at;
} run_state;

static void run_block(const clap_plugin_t* plugin, run_state* s, size_t done, uint32_t now) {
  clap_audio_buffer_t buffer;
  clap_process_t call;
  uint32_t c, i;
  for (c = 0; c < s->channels; ++c)
    for (i = 0; i < now; ++i) s->planes[c][i] = s->samples[(done + i) * s->channels + c];
  memset(&buffer, 0, sizeof buffer);
  buffer.data32 = s->planes;
  buffer.channel_count = s->channels;
  memset(&call, 0, sizeof call);
  call.steady_time = (int64_t)done;
  call.frames_count = now;
  call.audio_inputs = call.audio_outputs = &buffer; /* in place */
  call.audio_inputs_count = call.audio_outputs_count = 1;
  call.in_events = &kIn;
  call.out_events = &kOut;
  events = s->has_event && s->at >= done && s->at < done + now;
  if (events != 0) set_event(s->parameter, s->value, (uint32_t)(s->at - done));
  check(plugin->process(plugin, &call) != CLAP_PROCESS_ERROR, "a block was refused");
  events = 0;
  for (c = 0; c < s->channels; ++c)
    for (i = 0; i < now; ++i) s->samples[(done + i) * s->channels + c] = s->planes[c][i];
}

static void run(const clap_plugin_t* plugin, run_state* s, char* sizes) {
  size_t done = 0, turns = 0;
  char *at = sizes, *end;
  while (done < s->frames && turns++ < 10 * s->frames) {
    unsigned long wanted = strtoul(at, &end, 10);
    if (end == at) {
      at = sizes;
      continue;
    }
    at = end;
    if (wanted > kMost) wanted = kMost;
    if (wanted > s->frames - done) wanted = (unsigned long)(s->frames - done);
    run_block(plugin, s, done, (uint32_t)wanted);
    done += wanted;
  }
  check(done == s->frames, "the list of frame sizes never ends the input");
}

static int hosted(const clap_plugin_entry_t* entry, char** argv, run_state* s, char* sizes, double rate) {
  const clap_plugin_factory_t* factory = entry->get_factory(CLAP_PLUGIN_FACTORY_ID);
  const clap_plugin_t* plugin = factory == NULL ? NULL : factory->create_plugin(factory, &kHost, argv[2]);
  const clap_plugin_latency_t* latency;
  check(factory != NULL && entry->get_factory("nonsense") == NULL, "the entry has no factory, or one for every name");
  check(factory != NULL && factory->create_plugin(factory, &kHost, "nonsense") == NULL, "an unknown plugin was made");
  if (plugin == NULL || !plugin->init(plugin)) {
    fprintf(stderr, "clap_host: %s holds no plugin %s\n", argv[1], argv[2]);
    return 1;
  }
  check_params(plugin);
  check_state(plugin);
  check_ports(plugin, s->channels);
  if (!plugin->activate(plugin, rate, 0, kMost) || !plugin->start_processing(plugin)) {
    fprintf(stderr, "clap_host: the plugin cannot be activated\n");
    plugin->destroy(plugin);
    return 1;
  }
  latency = plugin->get_extension(plugin, CLAP_EXT_LATENCY);
  run(plugin, s, sizes);
  printf("%s: %lu samples, latency %lu\n", plugin->desc->name, (unsigned long)s->frames,
         (unsigned long)(latency != NULL ? latency->get(plugin) : 0));
  plugin->reset(plugin);
  plugin->stop_processing(plugin);
  plugin->deactivate(plugin);
  plugin->destroy(plugin);
  return failures != 0;
}

int main(int argc, char** argv) {
  run_state s;
  size_t size = 0, ignored;
  char* sizes;
  void* library;
  const clap_plugin_entry_t* entry;
  int status = 1;
  uint32_t c;
  memset(&s, 0, sizeof s);
  if (argc != 8 && argc != 11) {
    fprintf(stderr, "usage: clap_host PLUGIN.clap ID IN.f32 OUT.f32 FRAMES.txt RATE CHANNELS [PARAMETER VALUE AT]\n");
    return 2;
  }
  s.channels = (uint32_t)strtoul(argv[7], NULL, 10);
  if (s.channels < 1 || s.channels > kMostChannels) return 2;
  if (argc == 11) {
    s.has_event = 1;
    s.parameter = (clap_id)strtoul(argv[8], NULL, 10);
    s.value = strtod(argv[9], NULL);
    s.at = strtoul(argv[10], NULL, 10);
  }
  s.samples = read_all(argv[3], &size);
  s.frames = size / sizeof(float) / s.channels;
  sizes = read_all(argv[5], &ignored);
  for (c = 0; c < s.channels; ++c) s.planes[c] = calloc(kMost, sizeof(float));
  library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  entry = library == NULL ? NULL : (const clap_plugin_entry_t*)dlsym(library, "clap_entry");
  if (s.samples == NULL || sizes == NULL || entry == NULL || !entry->init(argv[1])) {
    fprintf(stderr, "clap_host: %s\n", entry == NULL ? "no CLAP plugin is there" : "a file cannot be read");
  } else {
    status = hosted(entry, argv, &s, sizes, strtod(argv[6], NULL));
    entry->deinit();
  }
  if (status == 0) {
    FILE* file = fopen(argv[4], "wb");
    status = file == NULL || fwrite(s.samples, sizeof(float), s.frames * s.channels, file) != s.frames * s.channels;
    if (file != NULL) status |= fclose(file) != 0;
  }
  if (library != NULL) dlclose(library);
  for (c = 0; c < s.channels; ++c) free(s.planes[c]);
  free(s.samples);
  free(sizes);
  return status;
}
