/* portaudio_host.c: microphone to speaker on one device with PortAudio.
 *
 *   portaudio_host MODEL.rtv SECONDS [RATE [BLOCK [INPUT OUTPUT]]]    48000 Hz; blocks of 128, 0: as the device likes; devices by name or "-"
 *   portaudio_host --frames MODEL.rtv RATE FRAMES.txt IN.f32 OUT.f32  without a device: the callback gets the sizes of a list
 *
 * One full-duplex callback: the engine runs in it, in place of a copy. The frame sizes that came are told at the end.
 */
#include <portaudio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host_files.h"

enum { kSizes = 64 };

typedef struct stream_state {
  rtv_engine* engine;
  unsigned long calls, flagged;
  unsigned long sizes[kSizes]; /* the first calls' frames */
} stream_state;

static int called(const void* in, void* out, unsigned long frames, const PaStreamCallbackTimeInfo* time,
                  PaStreamCallbackFlags flags, void* user) {
  stream_state* s = user;
  (void)time;
  if (s->calls < kSizes) s->sizes[s->calls] = frames;
  ++s->calls;
  s->flagged += flags != 0;
  if (in == NULL || host_process(s->engine, in, out, 1, (uint32_t)frames) != RTV_OK)
    memset(out, 0, frames * sizeof(float));
  return paContinue;
}

static int called_with(void* user, const float* in, float* out, uint32_t frames) {
  return called(in, out, frames, NULL, 0, user) != paContinue;
}

/* The index of a device whose name is or starts with `name` and that has the wanted direction, or paNoDevice. */
static PaDeviceIndex find_device(const char* name, int input) {
  PaDeviceIndex i;
  if (strcmp(name, "-") == 0) return input ? Pa_GetDefaultInputDevice() : Pa_GetDefaultOutputDevice();
  for (i = 0; i < Pa_GetDeviceCount(); ++i) {
    const PaDeviceInfo* info = Pa_GetDeviceInfo(i);
    if ((input ? info->maxInputChannels : info->maxOutputChannels) > 0 && strncmp(info->name, name, strlen(name)) == 0)
      return i;
  }
  return paNoDevice;
}

static int ended(PaError error, const char* what) {
  if (error != paNoError) fprintf(stderr, "portaudio_host: %s: %s\n", what, Pa_GetErrorText(error));
  return error != paNoError;
}

static void report(const stream_state* s) {
  unsigned long i, shown = s->calls < kSizes ? s->calls : kSizes;
  printf("{\"calls\": %lu, \"flagged\": %lu, \"latency\": %lu, \"sizes\": [", s->calls, s->flagged,
         (unsigned long)rtv_engine_latency(s->engine));
  for (i = 0; i < shown; ++i) printf(i != 0 ? ", %lu" : "%lu", s->sizes[i]);
  printf("]}\n");
}

static int run(stream_state* s, double seconds, double rate, unsigned long block, const char* input,
               const char* output) {
  PaStreamParameters from, to;
  PaStream* stream = NULL;
  int status;
  memset(&from, 0, sizeof from);
  from.device = find_device(input, 1);
  to = from;
  to.device = find_device(output, 0);
  if (from.device == paNoDevice || to.device == paNoDevice) {
    fprintf(stderr, "portaudio_host: no %s device is called %s\n", from.device == paNoDevice ? "input" : "output",
            from.device == paNoDevice ? input : output);
    return 1;
  }
  from.channelCount = to.channelCount = 1;
  from.sampleFormat = to.sampleFormat = paFloat32;
  from.suggestedLatency = Pa_GetDeviceInfo(from.device)->defaultLowInputLatency;
  to.suggestedLatency = Pa_GetDeviceInfo(to.device)->defaultLowOutputLatency;
  status = ended(Pa_OpenStream(&stream, &from, &to, rate, block, paClipOff | paDitherOff, called, s), "opening");
  if (!status) status = ended(Pa_StartStream(stream), "starting");
  if (!status) {
    Pa_Sleep((long)(seconds * 1000));
    status = ended(Pa_StopStream(stream), "stopping");
    report(s);
  }
  if (stream != NULL) Pa_CloseStream(stream);
  return status;
}

int main(int argc, char** argv) {
  const double seconds = argc > 2 ? strtod(argv[2], NULL) : 0.0;
  const unsigned long rate = argc > 3 ? strtoul(argv[3], NULL, 10) : 48000;
  const unsigned long block = argc > 4 ? strtoul(argv[4], NULL, 10) : 128;
  stream_state* s;
  int status;
  if (argc == 7 && strcmp(argv[1], "--frames") == 0) {
    stream_state driven;
    memset(&driven, 0, sizeof driven);
    return host_frames_mode(argv + 2, &driven.engine, called_with, &driven);
  }
  if ((argc < 3 || argc == 6 || argc > 7) || seconds <= 0) {
    fprintf(stderr, "usage: portaudio_host MODEL.rtv SECONDS [RATE [BLOCK [INPUT OUTPUT]]]\n");
    return 2;
  }
  s = calloc(1, sizeof *s);
  if (s == NULL) return 1;
  status = host_open_engine(argv[1], (uint32_t)rate, 1, &s->engine);
  if (!status) {
    status = ended(Pa_Initialize(), "PortAudio");
    if (!status) {
      status = run(s, seconds, (double)rate, block, argc > 6 ? argv[5] : "-", argc > 6 ? argv[6] : "-");
      Pa_Terminate();
    }
  }
  rtv_engine_destroy(s->engine);
  free(s);
  return status;
}
