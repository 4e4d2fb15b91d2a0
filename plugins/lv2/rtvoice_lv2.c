/* rtvoice_lv2.c: a voice as an LV2 plugin, mono. The bundle's voice.rtv is the model, or the one that RTVOICE_MODEL names. */
#include <lv2/core/lv2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "voice.h"

enum port { kIn, kOut, kMix, kEnabled, kLatency, kPorts };

typedef struct plugin {
  rtv_voice voice;
  float* ports[kPorts];
} plugin;

static LV2_Handle instantiate(const LV2_Descriptor* descriptor, double rate, const char* bundle,
                              const LV2_Feature* const* features) {
  static const char kModel[] = "voice.rtv";
  const size_t length = strlen(bundle);
  char* path = malloc(length + sizeof kModel + 1);
  plugin* made = calloc(1, sizeof *made);
  rtv_status status = RTV_ERROR_MEMORY;
  (void)descriptor;
  (void)features;
  if (path != NULL && made != NULL) {
    sprintf(path, "%s%s%s", bundle, length != 0 && bundle[length - 1] == '/' ? "" : "/", kModel);
    status = voice_open(&made->voice, path, (uint32_t)(rate + 0.5), 1);
    if (status != RTV_OK) fprintf(stderr, "rtvoice: %s\n", rtv_last_error());
  }
  free(path);
  if (status == RTV_OK) return made;
  free(made);
  return NULL;
}

static void connect_port(LV2_Handle instance, uint32_t port, void* data) {
  if (port < kPorts) ((plugin*)instance)->ports[port] = data;
}

static void activate(LV2_Handle instance) { rtv_engine_reset(((plugin*)instance)->voice.engine); }

static void run(LV2_Handle instance, uint32_t frames) {
  plugin* p = instance;
  const float* in = p->ports[kIn];
  float* out = p->ports[kOut];
  voice_control(&p->voice, p->ports[kMix] != NULL ? *p->ports[kMix] : 1.0f,
                p->ports[kEnabled] != NULL && *p->ports[kEnabled] <= 0.0f);
  if (p->ports[kLatency] != NULL) *p->ports[kLatency] = (float)p->voice.latency;
  if (in != NULL && out != NULL) voice_process(&p->voice, &in, &out, frames);
}

static void cleanup(LV2_Handle instance) {
  voice_close(&((plugin*)instance)->voice);
  free(instance);
}

static const LV2_Descriptor kDescriptor = {
    "urn:rtvoice:voice", instantiate, connect_port, activate, run, NULL, cleanup, NULL};

LV2_SYMBOL_EXPORT const LV2_Descriptor* lv2_descriptor(uint32_t index) { return index == 0 ? &kDescriptor : NULL; }
