/* voice.h: what every plugin around rtvoice does: opens a model, cuts a host's blocks to what the engine takes, weaves planar channels,
 * passes mix and bypass on when they change. */
#ifndef RTVOICE_PLUGINS_VOICE_H_
#define RTVOICE_PLUGINS_VOICE_H_

#include <rtvoice/rtvoice.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The longest frame that the engine gets; a host's blocks may be of any length. */
#define VOICE_MAX_FRAME 1024u
#define VOICE_MAX_CHANNELS 32u

typedef struct rtv_voice {
  rtv_engine* engine;
  uint32_t channels;
  uint32_t latency; /* samples */
  float mix;
  int bypass;
  float* woven; /* VOICE_MAX_FRAME frames of all channels */
} rtv_voice;

/* The model's path: `path`, or what the environment variable RTVOICE_MODEL says. On failure rtv_last_error() tells. [main-thread] */
rtv_status voice_open(rtv_voice* voice, const char* path, uint32_t sample_rate, uint32_t channels);
/* The same with a model in memory. [main-thread] */
rtv_status voice_open_memory(rtv_voice* voice, const void* data, size_t size, uint32_t sample_rate, uint32_t channels);
/* A voice that was never opened, but is zero, may be closed. [main-thread] */
void voice_close(rtv_voice* voice);

/* Cheap when nothing has changed: a plugin calls it in each block. [audio-thread] */
void voice_control(rtv_voice* voice, float mix, int bypass);
/* `frames` samples of each channel in its own array; in[i] == out[i] is allowed. Without an engine: silence. [audio-thread] */
void voice_process(rtv_voice* voice, const float* const* in, float* const* out, uint32_t frames);
/* The same, interleaved. [audio-thread] */
void voice_process_interleaved(rtv_voice* voice, const float* in, float* out, uint32_t frames);

#ifdef __cplusplus
}
#endif
#endif /* RTVOICE_PLUGINS_VOICE_H_ */
