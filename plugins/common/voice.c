/* voice.c: what every plugin around rtvoice does. */
#include "voice.h"

#include <stdlib.h>
#include <string.h>

static rtv_status start(rtv_voice* voice, const rtv_model* model, uint32_t sample_rate, uint32_t channels) {
  rtv_config config;
  rtv_status status;
  rtv_config_init(&config);
  config.sample_rate = sample_rate;
  config.channels = channels;
  config.max_frame = VOICE_MAX_FRAME;
  status = rtv_engine_create(model, &config, &voice->engine);
  if (status != RTV_OK) return status;
  voice->channels = channels;
  voice->latency = rtv_engine_latency(voice->engine);
  voice->mix = 1.0f;
  voice->woven = calloc((size_t)VOICE_MAX_FRAME * channels, sizeof(float));
  if (voice->woven == NULL) {
    voice_close(voice);
    return RTV_ERROR_MEMORY;
  }
  return RTV_OK;
}

rtv_status voice_open(rtv_voice* voice, const char* path, uint32_t sample_rate, uint32_t channels) {
  const char* chosen = getenv("RTVOICE_MODEL");
  rtv_model* model = NULL;
  rtv_status status;
  memset(voice, 0, sizeof *voice);
  status = rtv_model_open(chosen != NULL && chosen[0] != 0 ? chosen : path, &model);
  if (status == RTV_OK) status = start(voice, model, sample_rate, channels);
  rtv_model_close(model); /* the engine keeps what it needs */
  return status;
}

rtv_status voice_open_memory(rtv_voice* voice, const void* data, size_t size, uint32_t sample_rate, uint32_t channels) {
  rtv_model* model = NULL;
  rtv_status status;
  memset(voice, 0, sizeof *voice);
  status = rtv_model_open_memory(data, size, &model);
  if (status == RTV_OK) status = start(voice, model, sample_rate, channels);
  rtv_model_close(model);
  return status;
}

void voice_close(rtv_voice* voice) {
  rtv_engine_destroy(voice->engine);
  free(voice->woven);
  memset(voice, 0, sizeof *voice);
}

void voice_control(rtv_voice* voice, float mix, int bypass) {
  if (voice->engine == NULL) return;
  /* What is refused, a value that is not finite, is not remembered either. */
  if (mix != voice->mix && rtv_engine_set(voice->engine, "mix", &mix, 1) == RTV_OK) voice->mix = mix;
  if (!bypass != !voice->bypass) rtv_engine_bypass(voice->engine, voice->bypass = bypass);
}

void voice_process_interleaved(rtv_voice* voice, const float* in, float* out, uint32_t frames) {
  while (frames != 0) {
    const uint32_t now = frames < VOICE_MAX_FRAME ? frames : VOICE_MAX_FRAME;
    const size_t samples = (size_t)now * voice->channels;
    if (voice->engine == NULL || rtv_engine_process(voice->engine, in, out, now) != RTV_OK)
      memset(out, 0, samples * sizeof(float));
    in += samples;
    out += samples;
    frames -= now;
  }
}

void voice_process(rtv_voice* voice, const float* const* in, float* const* out, uint32_t frames) {
  const uint32_t channels = voice->channels;
  uint32_t done, c, i;
  if (channels == 1) {
    voice_process_interleaved(voice, in[0], out[0], frames);
    return;
  }
  for (done = 0; done < frames;) {
    const uint32_t now = frames - done < VOICE_MAX_FRAME ? frames - done : VOICE_MAX_FRAME;
    for (c = 0; c < channels; ++c)
      for (i = 0; i < now; ++i) voice->woven[(size_t)i * channels + c] = in[c][done + i];
    voice_process_interleaved(voice, voice->woven, voice->woven, now);
    for (c = 0; c < channels; ++c)
      for (i = 0; i < now; ++i) out[c][done + i] = voice->woven[(size_t)i * channels + c];
    done += now;
  }
}
