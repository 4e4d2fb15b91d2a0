/* sdl_host.c: microphone to speaker with SDL2, as a game with voice chat would have it.
 *
 *   sdl_host MODEL.rtv SECONDS [RATE [BLOCK [AHEAD]]]      48000 Hz, blocks of 512 samples, 2 blocks ahead
 *   sdl_host --frames MODEL.rtv RATE FRAMES.txt IN.f32 OUT.f32   without a device: both callbacks get the sizes of a list
 *
 * The microphone's callback runs the engine and fills a ring; the speaker's callback empties it. Two devices have two clocks: AHEAD blocks are stored
 * before the first is played, and a block that is not there in time is silence. SDL_AUDIODRIVER=disk takes and makes files instead of devices.
 */
#define SDL_MAIN_HANDLED
#include <SDL.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host_files.h"

enum { kRing = 1 << 18 }; /* samples: 5 s at 48 kHz */

typedef struct bridge {
  rtv_engine* engine;
  float ring[kRing];
  float room[kMaxFrame * 64];
  SDL_atomic_t written, read; /* samples, counted on by one thread each; they wrap around */
  uint32_t ahead;             /* samples to store before the first is played */
  int playing;
  SDL_atomic_t over; /* the microphone is being closed: what is missing now is only the end */
  uint32_t silent;   /* blocks played before the first one was there */
  uint32_t missing;  /* blocks that were not there in time */
  uint32_t dropped;  /* blocks for which the ring had no room */
} bridge;

static uint32_t stored(bridge* b) { return (uint32_t)SDL_AtomicGet(&b->written) - (uint32_t)SDL_AtomicGet(&b->read); }

/* The microphone's thread. */
static void captured(void* user, Uint8* bytes, int size) {
  bridge* b = user;
  const uint32_t frames = (uint32_t)size / sizeof(float), at = (uint32_t)SDL_AtomicGet(&b->written) % kRing;
  const uint32_t first = frames < kRing - at ? frames : kRing - at;
  host_process(b->engine, (const float*)(const void*)bytes, b->room, 1, frames);
  if (stored(b) + frames > kRing) {
    ++b->dropped;
    return;
  }
  memcpy(b->ring + at, b->room, first * sizeof(float));
  memcpy(b->ring, b->room + first, (frames - first) * sizeof(float));
  SDL_AtomicAdd(&b->written, (int)frames);
}

/* The speaker's thread. */
static void wanted(void* user, Uint8* bytes, int size) {
  bridge* b = user;
  float* out = (float*)(void*)bytes;
  const uint32_t frames = (uint32_t)size / sizeof(float), at = (uint32_t)SDL_AtomicGet(&b->read) % kRing;
  const uint32_t first = frames < kRing - at ? frames : kRing - at;
  if (!b->playing && stored(b) >= b->ahead) b->playing = 1;
  if (!b->playing || stored(b) < frames) {
    if (b->playing)
      ++b->missing;
    else
      ++b->silent;
    memset(bytes, 0, (size_t)size);
    return;
  }
  memcpy(out, b->ring + at, first * sizeof(float));
  memcpy(out + first, b->ring, (frames - first) * sizeof(float));
  SDL_AtomicAdd(&b->read, (int)frames);
}

/* Both callbacks in turn, as two devices with one clock would call them. */
static int called_with(void* user, const float* in, float* out, uint32_t frames) {
  memcpy(out, in, frames * sizeof(float));
  captured(user, (Uint8*)(void*)out, (int)(frames * sizeof(float)));
  wanted(user, (Uint8*)(void*)out, (int)(frames * sizeof(float)));
  return ((bridge*)user)->missing != 0 || ((bridge*)user)->dropped != 0;
}

static SDL_AudioDeviceID open_device(bridge* b, int capture, int rate, int block) {
  SDL_AudioSpec spec, got;
  SDL_AudioDeviceID device;
  memset(&spec, 0, sizeof spec);
  spec.freq = rate;
  spec.format = AUDIO_F32SYS;
  spec.channels = 1;
  spec.samples = (Uint16)block;
  spec.callback = capture ? captured : wanted;
  spec.userdata = b;
  device = SDL_OpenAudioDevice(NULL, capture, &spec, &got, 0); /* SDL converts where the device is another kind */
  if (device == 0) fprintf(stderr, "sdl_host: no %s: %s\n", capture ? "microphone" : "speaker", SDL_GetError());
  return device;
}

static int run(bridge* b, double seconds, int rate, int block) {
  const SDL_AudioDeviceID microphone = open_device(b, 1, rate, block);
  const SDL_AudioDeviceID speaker = microphone != 0 ? open_device(b, 0, rate, block) : 0;
  rtv_stats stats;
  if (speaker != 0) {
    SDL_PauseAudioDevice(microphone, 0);
    SDL_PauseAudioDevice(speaker, 0);
    do { /* a game would draw here */
      SDL_Delay(5);
      rtv_stats_init(&stats);
      rtv_engine_stats(b->engine, &stats);
    } while ((double)stats.frames < seconds * rate);
    SDL_AtomicSet(&b->over, 1);
    SDL_CloseAudioDevice(microphone);
    while (stored(b) >= (uint32_t)block && b->playing) SDL_Delay(1);
    SDL_CloseAudioDevice(speaker);
    printf(
        "{\"driver\": \"%s\", \"block\": %d, \"frames\": %lu, \"latency\": %lu, \"silent_blocks\": %lu, "
        "\"missing_blocks\": %lu, "
        "\"dropped_blocks\": %lu, \"p99_us\": %.1f}\n",
        SDL_GetCurrentAudioDriver(), block, (unsigned long)stats.frames, (unsigned long)rtv_engine_latency(b->engine),
        (unsigned long)b->silent, (unsigned long)b->missing, (unsigned long)b->dropped, (double)stats.us_p99);
  } else if (microphone != 0) {
    SDL_CloseAudioDevice(microphone);
  }
  return speaker == 0;
}

int main(int argc, char** argv) {
  const double seconds = argc > 2 ? strtod(argv[2], NULL) : 0.0;
  const int rate = argc > 3 ? atoi(argv[3]) : 48000, block = argc > 4 ? atoi(argv[4]) : 512;
  const int ahead = argc > 5 ? atoi(argv[5]) : 2;
  bridge* b;
  int status;
  if (argc == 7 && strcmp(argv[1], "--frames") == 0) {
    b = calloc(1, sizeof *b);
    status = b == NULL || host_frames_mode(argv + 2, &b->engine, called_with, b) != 0;
    free(b);
    return status;
  }
  if (argc < 3 || argc > 6 || seconds <= 0 || rate < 8000 || block < 16 || block > 32768 || ahead < 1 ||
      (int64_t)(ahead + 1) * block > kRing) {
    fprintf(stderr, "usage: sdl_host MODEL.rtv SECONDS [RATE [BLOCK, 16 to 32768 [AHEAD, 1 or more]]]\n");
    return 2;
  }
  b = calloc(1, sizeof *b);
  if (b == NULL) return 1;
  b->ahead = (uint32_t)(ahead * block);
  status = host_open_engine(argv[1], (uint32_t)rate, 1, &b->engine);
  if (status == 0) {
    SDL_SetMainReady();
    status = SDL_Init(SDL_INIT_AUDIO) != 0;
    if (status)
      fprintf(stderr, "sdl_host: %s\n", SDL_GetError());
    else
      status = run(b, seconds, rate, block);
    SDL_Quit();
  }
  rtv_engine_destroy(b->engine);
  free(b);
  return status;
}
