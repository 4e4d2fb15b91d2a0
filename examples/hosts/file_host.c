/* file_host.c: a host without a sound card. Calls the engine with a list of frame sizes, as a game or a device would.
 *
 *   file_host MODEL.rtv IN.f32 OUT.f32 FRAMES.txt RATE CHANNELS
 *
 * Raw interleaved float32 in and out; the list repeats until the input is used up. Nothing is cut off: the output starts with the engine's latency.
 */
#include <stdio.h>
#include <stdlib.h>

#include "host_files.h"

static int run(rtv_engine* engine, const host_audio* in, float* out, const uint32_t* sizes, size_t count,
               uint32_t channels) {
  size_t done = 0, turn = 0;
  while (done < in->frames) {
    const size_t left = in->frames - done;
    const uint32_t wanted = sizes[turn++ % count], now = wanted < left ? wanted : (uint32_t)left;
    const rtv_status status = host_process(engine, in->samples + done * channels, out + done * channels, channels, now);
    if (status != RTV_OK) {
      fprintf(stderr, "file_host: %s\n", rtv_status_string(status));
      return 1;
    }
    done += now;
    if (turn > (in->frames + 1) * count) { /* only zeros in the list */
      fprintf(stderr, "file_host: the list of frame sizes never ends the input\n");
      return 1;
    }
  }
  return 0;
}

int main(int argc, char** argv) {
  host_audio in = {NULL, 0};
  rtv_engine* engine = NULL;
  uint32_t* sizes = NULL;
  float* out = NULL;
  size_t count = 0;
  uint32_t rate, channels;
  int status;

  if (argc != 7 || (channels = (uint32_t)strtoul(argv[6], NULL, 10)) == 0) {
    fprintf(stderr, "usage: file_host MODEL.rtv IN.f32 OUT.f32 FRAMES.txt RATE CHANNELS\n");
    return 2;
  }
  rate = (uint32_t)strtoul(argv[5], NULL, 10);
  status = host_read(argv[2], channels, &in) || host_read_sizes(argv[4], &sizes, &count) ||
           host_open_engine(argv[1], rate, channels, &engine);
  if (!status) {
    out = malloc((in.frames * channels + 1) * sizeof(float));
    status =
        out == NULL || run(engine, &in, out, sizes, count, channels) || host_write(argv[3], out, in.frames * channels);
  }
  if (!status)
    printf("%lu samples at %lu Hz, latency %lu, %s\n", (unsigned long)in.frames, (unsigned long)rate,
           (unsigned long)rtv_engine_latency(engine), rtv_isa());
  rtv_engine_destroy(engine);
  free(out);
  free(sizes);
  free(in.samples);
  return status;
}
