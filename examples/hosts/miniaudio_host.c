/* miniaudio_host.c: microphone to speaker with miniaudio, whose one header (https://miniaud.io) is compiled in.
 *
 *   miniaudio_host MODEL.rtv SECONDS [RATE [BLOCK]]                 48000 Hz; blocks of 480, 0: as the device likes
 *   miniaudio_host MODEL.rtv SECONDS RATE BLOCK IN.f32 OUT.f32      without a sound card: a file is the microphone, another the speaker
 *   miniaudio_host --frames MODEL.rtv RATE FRAMES.txt IN.f32 OUT.f32   without a device: the callback gets the sizes of a list
 *
 * One full-duplex callback with the engine in it. A device's blocks vary; what came is told at the end.
 */
#define MA_NO_DECODING
#define MA_NO_ENCODING
#define MA_NO_GENERATION
#define MA_NO_RESOURCE_MANAGER
#define MA_NO_NODE_GRAPH
#define MA_NO_ENGINE
#define MINIAUDIO_IMPLEMENTATION
#include <miniaudio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host_files.h"

typedef struct stream_state {
  rtv_engine* engine;
  host_audio file; /* the microphone, where there is none */
  float* kept;     /* as long: what the speaker got */
  size_t done;     /* samples of the file; written by the callback, read after the device has stopped */
  unsigned long calls;
  ma_uint32 least, most;
} stream_state;

static void called(ma_device* device, void* out, const void* in, ma_uint32 frames) {
  stream_state* s = device->pUserData;
  const float* voice = in;
  ++s->calls;
  if (frames < s->least) s->least = frames;
  if (frames > s->most) s->most = frames;
  if (s->kept != NULL) {
    const size_t left = s->file.frames - s->done;
    frames = frames < left ? frames : (ma_uint32)left;
    voice = s->file.samples + s->done;
  }
  if (voice == NULL || host_process(s->engine, voice, out, 1, frames) != RTV_OK) {
    memset(out, 0, frames * sizeof(float));
    return;
  }
  if (s->kept != NULL) {
    memcpy(s->kept + s->done, out, frames * sizeof(float));
    s->done += frames;
  }
}

static int called_with(void* user, const float* in, float* out, uint32_t frames) {
  ma_device device;
  memset(&device, 0, sizeof device);
  device.pUserData = user;
  called(&device, out, in, frames);
  return 0;
}

static int run(stream_state* s, double seconds, ma_uint32 rate, ma_uint32 block) {
  const ma_backend none = ma_backend_null;
  ma_context context;
  ma_device device;
  ma_device_config config = ma_device_config_init(ma_device_type_duplex);
  int status = 1;
  config.sampleRate = rate;
  config.periodSizeInFrames = block;
  config.capture.format = config.playback.format = ma_format_f32;
  config.capture.channels = config.playback.channels = 1;
  config.dataCallback = called;
  config.pUserData = s;
  if (ma_context_init(s->kept != NULL ? &none : NULL, s->kept != NULL ? 1 : 0, NULL, &context) != MA_SUCCESS) {
    fprintf(stderr, "miniaudio_host: no sound system\n");
    return 1;
  }
  if (ma_device_init(&context, &config, &device) != MA_SUCCESS) {
    fprintf(stderr, "miniaudio_host: no microphone and speaker\n");
  } else {
    status = ma_device_start(&device) != MA_SUCCESS;
    if (!status) ma_sleep((ma_uint32)(seconds * 1000));
    ma_device_uninit(&device);
    printf("{\"backend\": \"%s\", \"calls\": %lu, \"least\": %lu, \"most\": %lu, \"frames\": %lu, \"latency\": %lu}\n",
           ma_get_backend_name(context.backend), s->calls, (unsigned long)s->least, (unsigned long)s->most,
           (unsigned long)s->done, (unsigned long)rtv_engine_latency(s->engine));
  }
  ma_context_uninit(&context);
  return status;
}

int main(int argc, char** argv) {
  const double seconds = argc > 2 ? strtod(argv[2], NULL) : 0.0;
  const ma_uint32 rate = argc > 3 ? (ma_uint32)strtoul(argv[3], NULL, 10) : 48000;
  const ma_uint32 block = argc > 4 ? (ma_uint32)strtoul(argv[4], NULL, 10) : 480;
  stream_state s;
  int status;
  memset(&s, 0, sizeof s);
  s.least = 0xffffffffu;
  if (argc == 7 && strcmp(argv[1], "--frames") == 0) return host_frames_mode(argv + 2, &s.engine, called_with, &s);
  if ((argc < 3 || argc == 6 || argc > 7) || seconds <= 0) {
    fprintf(stderr, "usage: miniaudio_host MODEL.rtv SECONDS [RATE [BLOCK [IN.f32 OUT.f32]]]\n");
    return 2;
  }
  status = host_open_engine(argv[1], rate, 1, &s.engine);
  if (!status && argc == 7) {
    status = host_read(argv[5], 1, &s.file);
    if (!status) s.kept = calloc(s.file.frames + 1, sizeof(float));
    status |= s.kept == NULL;
  }
  if (!status) status = run(&s, seconds, rate, block);
  if (!status && argc == 7) status = host_write(argv[6], s.kept, s.done);
  rtv_engine_destroy(s.engine);
  free(s.kept);
  free(s.file.samples);
  return status;
}
