/* file_host.c: a host without a sound card. Calls the engine with a list of frame sizes, as a game or a device would.
 *
 *   file_host MODEL.rtv IN.f32 OUT.f32 FRAMES.txt RATE CHANNELS
 *
 * Raw interleaved float32 in and out; the list repeats until the input is used up. Nothing is cut off: the output starts with the engine's latency.
 */
#include <stdio.h>
#include <stdlib.h>

#include "host_files.h"

typedef struct stream {
  rtv_engine* engine;
  uint32_t channels;
} stream;

static int called(void* user, const float* in, float* out, uint32_t frames) {
  const stream* s = user;
  return host_process(s->engine, in, out, s->channels, frames) != RTV_OK;
}

int main(int argc, char** argv) {
  stream s = {NULL, 0};
  size_t frames = 0;
  uint32_t rate;
  int status;

  if (argc != 7 || (s.channels = (uint32_t)strtoul(argv[6], NULL, 10)) == 0) {
    fprintf(stderr, "usage: file_host MODEL.rtv IN.f32 OUT.f32 FRAMES.txt RATE CHANNELS\n");
    return 2;
  }
  rate = (uint32_t)strtoul(argv[5], NULL, 10);
  status = host_open_engine(argv[1], rate, s.channels, &s.engine) ||
           host_drive(argv[4], argv[2], argv[3], s.channels, called, &s, &frames);
  if (!status)
    printf("%lu samples at %lu Hz, latency %lu, %s\n", (unsigned long)frames, (unsigned long)rate,
           (unsigned long)rtv_engine_latency(s.engine), rtv_isa());
  rtv_engine_destroy(s.engine);
  return status;
}
