/* rtvoice_fmod.c: a voice as an FMOD DSP (FMOD 2.02), for FMOD Studio and the core API. Written against FMOD's documentation; not built, not run.
 *
 * A voice is one voice: the channels that come in are averaged, and all that go out carry the result. The model is the one that the environment
 * variable RTVOICE_MODEL names, else "voice.rtv" in the game's working folder.
 */
#include <fmod.h>
#include <stdlib.h>
#include <string.h>

#include "voice.h"

enum { kMix, kBypass, kParameters };

typedef struct effect {
  rtv_voice voice;
  float mix;
  int bypass;
  float mono[VOICE_MAX_FRAME];
} effect;

static effect* of(FMOD_DSP_STATE* state) { return state->plugindata; }

static FMOD_RESULT F_CALL create(FMOD_DSP_STATE* state) {
  effect* made = calloc(1, sizeof *made);
  int rate = 0;
  if (made == NULL) return FMOD_ERR_MEMORY;
  FMOD_DSP_GETSAMPLERATE(state, &rate);
  made->mix = 1.0f;
  if (voice_open(&made->voice, "voice.rtv", (uint32_t)rate, 1) != RTV_OK) {
    FMOD_DSP_LOG(state, FMOD_DEBUG_LEVEL_ERROR, "rtvoice", "%s", rtv_last_error());
    free(made);
    return FMOD_ERR_FILE_BAD;
  }
  state->plugindata = made;
  return FMOD_OK;
}

static FMOD_RESULT F_CALL release(FMOD_DSP_STATE* state) {
  voice_close(&of(state)->voice);
  free(of(state));
  return FMOD_OK;
}

static FMOD_RESULT F_CALL reset(FMOD_DSP_STATE* state) {
  rtv_engine_reset(of(state)->voice.engine);
  return FMOD_OK;
}

/* On the mixer's thread. */
static FMOD_RESULT F_CALL run(FMOD_DSP_STATE* state, float* in, float* out, unsigned int length, int channels_in,
                              int* channels_out) {
  effect* e = of(state);
  unsigned int done, i;
  int c;
  voice_control(&e->voice, e->mix, e->bypass);
  for (done = 0; done < length;) {
    const unsigned int now = length - done < VOICE_MAX_FRAME ? length - done : VOICE_MAX_FRAME;
    for (i = 0; i < now; ++i) {
      float sum = 0.0f;
      for (c = 0; c < channels_in; ++c) sum += in[(done + i) * (unsigned)channels_in + (unsigned)c];
      e->mono[i] = channels_in != 0 ? sum / (float)channels_in : 0.0f;
    }
    voice_process_interleaved(&e->voice, e->mono, e->mono, now);
    for (i = 0; i < now; ++i)
      for (c = 0; c < *channels_out; ++c) out[(done + i) * (unsigned)*channels_out + (unsigned)c] = e->mono[i];
    done += now;
  }
  return FMOD_OK;
}

static FMOD_RESULT F_CALL set_float(FMOD_DSP_STATE* state, int index, float value) {
  if (index != kMix) return FMOD_ERR_INVALID_PARAM;
  of(state)->mix = value;
  return FMOD_OK;
}

static FMOD_RESULT F_CALL get_float(FMOD_DSP_STATE* state, int index, float* value, char* text) {
  if (index != kMix) return FMOD_ERR_INVALID_PARAM;
  *value = of(state)->mix;
  if (text != NULL) text[0] = 0;
  return FMOD_OK;
}

static FMOD_RESULT F_CALL set_bool(FMOD_DSP_STATE* state, int index, FMOD_BOOL value) {
  if (index != kBypass) return FMOD_ERR_INVALID_PARAM;
  of(state)->bypass = value != 0;
  return FMOD_OK;
}

static FMOD_RESULT F_CALL get_bool(FMOD_DSP_STATE* state, int index, FMOD_BOOL* value, char* text) {
  if (index != kBypass) return FMOD_ERR_INVALID_PARAM;
  *value = of(state)->bypass;
  if (text != NULL) text[0] = 0;
  return FMOD_OK;
}

static FMOD_DSP_PARAMETER_DESC mix_description, bypass_description;
static FMOD_DSP_PARAMETER_DESC* parameters[kParameters] = {&mix_description, &bypass_description};
static FMOD_DSP_DESCRIPTION description;

F_EXPORT FMOD_DSP_DESCRIPTION* F_CALL FMODGetDSPDescription(void) {
  FMOD_DSP_INIT_PARAMDESC_FLOAT(mix_description, "Mix", "", "0 dry to 1 the voice alone", 0.0f, 1.0f, 1.0f);
  FMOD_DSP_INIT_PARAMDESC_BOOL(bypass_description, "Bypass", "", "The input, at equal latency", 0, NULL);
  memset(&description, 0, sizeof description);
  description.pluginsdkversion = FMOD_PLUGIN_SDK_VERSION;
  strcpy(description.name, "rtvoice");
  description.version = 0x00010000;
  description.numinputbuffers = 1;
  description.numoutputbuffers = 1;
  description.create = create;
  description.release = release;
  description.reset = reset;
  description.read = run;
  description.numparameters = kParameters;
  description.paramdesc = parameters;
  description.setparameterfloat = set_float;
  description.getparameterfloat = get_float;
  description.setparameterbool = set_bool;
  description.getparameterbool = get_bool;
  return &description;
}
