/* rtvoice_clap.c: a voice as CLAP plugins, mono and stereo. The model lies beside the plugin, rtvoice.clap's is rtvoice.rtv, or RTVOICE_MODEL names it. */
#include <clap/entry.h>
#include <clap/ext/audio-ports.h>
#include <clap/ext/latency.h>
#include <clap/ext/params.h>
#include <clap/ext/state.h>
#include <clap/factory/plugin-factory.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "voice.h"

enum { kMix, kBypass, kParams };

typedef struct effect {
  clap_plugin_t plugin; /* first: a pointer to it is one to the effect */
  uint32_t channels;
  rtv_voice voice;
  float mix;
  int bypass;
} effect;

static char model_path[4096];

static effect* of(const clap_plugin_t* plugin) { return plugin->plugin_data; }

/* ---- Parameters ---- */

static uint32_t params_count(const clap_plugin_t* plugin) {
  (void)plugin;
  return kParams;
}

static bool params_info(const clap_plugin_t* plugin, uint32_t index, clap_param_info_t* info) {
  (void)plugin;
  if (index >= kParams) return false;
  memset(info, 0, sizeof *info);
  info->id = index;
  info->flags = CLAP_PARAM_IS_AUTOMATABLE;
  if (index == kBypass) info->flags |= CLAP_PARAM_IS_STEPPED | CLAP_PARAM_IS_BYPASS;
  strcpy(info->name, index == kMix ? "Mix" : "Bypass");
  info->max_value = 1.0;
  info->default_value = index == kMix ? 1.0 : 0.0;
  return true;
}

static bool params_value(const clap_plugin_t* plugin, clap_id id, double* value) {
  if (id >= kParams) return false;
  *value = id == kMix ? (double)of(plugin)->mix : of(plugin)->bypass;
  return true;
}

static bool params_to_text(const clap_plugin_t* plugin, clap_id id, double value, char* text, uint32_t capacity) {
  (void)plugin;
  if (id >= kParams || capacity == 0) return false;
  if (id == kMix)
    snprintf(text, capacity, "%d %%", (int)(value * 100.0 + 0.5));
  else
    snprintf(text, capacity, "%s", value >= 0.5 ? "on" : "off");
  return true;
}

static bool params_from_text(const clap_plugin_t* plugin, clap_id id, const char* text, double* value) {
  char* end = NULL;
  (void)plugin;
  if (id == kBypass && (strcmp(text, "on") == 0 || strcmp(text, "off") == 0)) {
    *value = strcmp(text, "on") == 0;
    return true;
  }
  if (id != kMix) return false;
  *value = strtod(text, &end) / 100.0;
  return end != text && *value >= 0.0 && *value <= 1.0;
}

static void take_event(effect* e, const clap_event_header_t* header) {
  const clap_event_param_value_t* event = (const clap_event_param_value_t*)(const void*)header;
  if (header->space_id != CLAP_CORE_EVENT_SPACE_ID || header->type != CLAP_EVENT_PARAM_VALUE) return;
  if (event->param_id == kMix) e->mix = event->value < 0.0 ? 0.0f : event->value > 1.0 ? 1.0f : (float)event->value;
  if (event->param_id == kBypass) e->bypass = event->value >= 0.5;
}

static void params_flush(const clap_plugin_t* plugin, const clap_input_events_t* in, const clap_output_events_t* out) {
  uint32_t i;
  (void)out;
  for (i = 0; i < in->size(in); ++i) take_event(of(plugin), in->get(in, i));
  voice_control(&of(plugin)->voice, of(plugin)->mix, of(plugin)->bypass);
}

static const clap_plugin_params_t kParamsExtension = {params_count,   params_info,      params_value,
                                                      params_to_text, params_from_text, params_flush};

/* ---- Ports, latency, state ---- */

static uint32_t ports_count(const clap_plugin_t* plugin, bool is_input) {
  (void)plugin;
  (void)is_input;
  return 1;
}

static bool ports_get(const clap_plugin_t* plugin, uint32_t index, bool is_input, clap_audio_port_info_t* info) {
  (void)is_input;
  if (index != 0) return false;
  memset(info, 0, sizeof *info);
  strcpy(info->name, is_input ? "In" : "Out");
  info->flags = CLAP_AUDIO_PORT_IS_MAIN;
  info->channel_count = of(plugin)->channels;
  info->port_type = info->channel_count == 1 ? CLAP_PORT_MONO : CLAP_PORT_STEREO;
  info->in_place_pair = 0; /* both ports have the id 0 */
  return true;
}

static const clap_plugin_audio_ports_t kPortsExtension = {ports_count, ports_get};

static uint32_t latency_get(const clap_plugin_t* plugin) { return of(plugin)->voice.latency; }

static const clap_plugin_latency_t kLatencyExtension = {latency_get};

/* A state: "rtv1", the mix as thousandths in two bytes, low one first, the bypass in one. */
static bool state_save(const clap_plugin_t* plugin, const clap_ostream_t* stream) {
  const unsigned mix = (unsigned)(of(plugin)->mix * 1000.0f + 0.5f);
  const unsigned char bytes[7] = {'r',
                                  't',
                                  'v',
                                  '1',
                                  (unsigned char)(mix & 255u),
                                  (unsigned char)(mix >> 8),
                                  (unsigned char)(of(plugin)->bypass != 0)};
  size_t done = 0;
  while (done < sizeof bytes) {
    const int64_t now = stream->write(stream, bytes + done, sizeof bytes - done);
    if (now <= 0) return false;
    done += (size_t)now;
  }
  return true;
}

static bool state_load(const clap_plugin_t* plugin, const clap_istream_t* stream) {
  unsigned char bytes[7];
  size_t done = 0;
  unsigned mix;
  while (done < sizeof bytes) {
    const int64_t now = stream->read(stream, bytes + done, sizeof bytes - done);
    if (now <= 0) return false;
    done += (size_t)now;
  }
  mix = bytes[4] + 256u * bytes[5];
  if (memcmp(bytes, "rtv1", 4) != 0 || mix > 1000u || bytes[6] > 1) return false;
  of(plugin)->mix = (float)mix / 1000.0f;
  of(plugin)->bypass = bytes[6];
  voice_control(&of(plugin)->voice, of(plugin)->mix, of(plugin)->bypass);
  return true;
}

static const clap_plugin_state_t kStateExtension = {state_save, state_load};

/* ---- The plugin ---- */

static bool init(const clap_plugin_t* plugin) {
  (void)plugin;
  return true;
}

static void destroy(const clap_plugin_t* plugin) {
  voice_close(&of(plugin)->voice);
  free(of(plugin));
}

static bool activate(const clap_plugin_t* plugin, double rate, uint32_t least, uint32_t most) {
  effect* e = of(plugin);
  (void)least;
  (void)most; /* any length is cut to what the engine takes */
  if (voice_open(&e->voice, model_path, (uint32_t)(rate + 0.5), e->channels) != RTV_OK) {
    fprintf(stderr, "rtvoice: %s\n", rtv_last_error());
    return false;
  }
  voice_control(&e->voice, e->mix, e->bypass);
  return true;
}

static void deactivate(const clap_plugin_t* plugin) { voice_close(&of(plugin)->voice); }

static bool start_processing(const clap_plugin_t* plugin) { return of(plugin)->voice.engine != NULL; }

static void stop_processing(const clap_plugin_t* plugin) { (void)plugin; }

static void reset(const clap_plugin_t* plugin) { rtv_engine_reset(of(plugin)->voice.engine); }

static void process_part(effect* e, const clap_process_t* call, uint32_t from, uint32_t to) {
  const float* in[2];
  float* out[2];
  uint32_t c;
  for (c = 0; c < e->channels; ++c) {
    in[c] = call->audio_inputs[0].data32[c] + from;
    out[c] = call->audio_outputs[0].data32[c] + from;
  }
  voice_process(&e->voice, in, out, to - from);
}

static clap_process_status process(const clap_plugin_t* plugin, const clap_process_t* call) {
  effect* e = of(plugin);
  const uint32_t events = call->in_events != NULL ? call->in_events->size(call->in_events) : 0;
  uint32_t done = 0, i;
  if (call->audio_inputs_count != 1 || call->audio_outputs_count != 1 || call->audio_inputs[0].data32 == NULL ||
      call->audio_outputs[0].data32 == NULL || call->audio_inputs[0].channel_count != e->channels ||
      call->audio_outputs[0].channel_count != e->channels)
    return CLAP_PROCESS_ERROR;
  for (i = 0; i < events; ++i) { /* in the order of their times */
    const clap_event_header_t* event = call->in_events->get(call->in_events, i);
    const uint32_t time = event->time < call->frames_count ? event->time : call->frames_count;
    if (time > done) {
      process_part(e, call, done, time);
      done = time;
    }
    take_event(e, event);
    voice_control(&e->voice, e->mix, e->bypass);
  }
  process_part(e, call, done, call->frames_count);
  return CLAP_PROCESS_CONTINUE; /* a whisper's noise does not end when the input does */
}

static const void* get_extension(const clap_plugin_t* plugin, const char* id) {
  (void)plugin;
  if (strcmp(id, CLAP_EXT_PARAMS) == 0) return &kParamsExtension;
  if (strcmp(id, CLAP_EXT_AUDIO_PORTS) == 0) return &kPortsExtension;
  if (strcmp(id, CLAP_EXT_LATENCY) == 0) return &kLatencyExtension;
  if (strcmp(id, CLAP_EXT_STATE) == 0) return &kStateExtension;
  return NULL;
}

static void on_main_thread(const clap_plugin_t* plugin) { (void)plugin; }

/* ---- Factory and entry ---- */

/* Not const themselves: CLAP 1.1 points to them so, later versions take either. */
static const char* kMonoFeatures[] = {CLAP_PLUGIN_FEATURE_AUDIO_EFFECT, CLAP_PLUGIN_FEATURE_PITCH_SHIFTER,
                                      CLAP_PLUGIN_FEATURE_MONO, NULL};
static const char* kStereoFeatures[] = {CLAP_PLUGIN_FEATURE_AUDIO_EFFECT, CLAP_PLUGIN_FEATURE_PITCH_SHIFTER,
                                        CLAP_PLUGIN_FEATURE_STEREO, NULL};

static const clap_plugin_descriptor_t kDescriptors[] = {
    {CLAP_VERSION_INIT, "rtvoice.voice.mono", "rtvoice (mono)", "rtvoice", "", "", "", "0.1.0",
     "A neural voice in real time", kMonoFeatures},
    {CLAP_VERSION_INIT, "rtvoice.voice.stereo", "rtvoice (stereo)", "rtvoice", "", "", "", "0.1.0",
     "A neural voice in real time, each channel its own stream", kStereoFeatures},
};

static uint32_t factory_count(const clap_plugin_factory_t* factory) {
  (void)factory;
  return sizeof kDescriptors / sizeof kDescriptors[0];
}

static const clap_plugin_descriptor_t* factory_descriptor(const clap_plugin_factory_t* factory, uint32_t index) {
  return index < factory_count(factory) ? &kDescriptors[index] : NULL;
}

static const clap_plugin_t* factory_create(const clap_plugin_factory_t* factory, const clap_host_t* host,
                                           const char* id) {
  uint32_t i;
  (void)host;
  for (i = 0; i < factory_count(factory); ++i) {
    effect* made;
    if (strcmp(id, kDescriptors[i].id) != 0) continue;
    made = calloc(1, sizeof *made);
    if (made == NULL) return NULL;
    made->channels = i + 1;
    made->mix = 1.0f;
    made->plugin.desc = &kDescriptors[i];
    made->plugin.plugin_data = made;
    made->plugin.init = init;
    made->plugin.destroy = destroy;
    made->plugin.activate = activate;
    made->plugin.deactivate = deactivate;
    made->plugin.start_processing = start_processing;
    made->plugin.stop_processing = stop_processing;
    made->plugin.reset = reset;
    made->plugin.process = process;
    made->plugin.get_extension = get_extension;
    made->plugin.on_main_thread = on_main_thread;
    return &made->plugin;
  }
  return NULL;
}

static const clap_plugin_factory_t kFactory = {factory_count, factory_descriptor, factory_create};

/* rtvoice.clap, the file or on macOS the bundle: rtvoice.rtv beside it. */
static bool entry_init(const char* path) {
  const size_t length = strlen(path);
  static const char kClap[] = ".clap";
  if (length < sizeof kClap || length >= sizeof model_path || strcmp(path + length - 5, kClap) != 0) return false;
  memcpy(model_path, path, length - 5);
  strcpy(model_path + length - 5, ".rtv");
  return true;
}

static void entry_deinit(void) {}

static const void* entry_factory(const char* id) { return strcmp(id, CLAP_PLUGIN_FACTORY_ID) == 0 ? &kFactory : NULL; }

CLAP_EXPORT const clap_plugin_entry_t clap_entry = {CLAP_VERSION_INIT, entry_init, entry_deinit, entry_factory};
