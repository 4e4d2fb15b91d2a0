/* convert_wav.c: a C host. Runs a WAV file through a model as an audio callback would: frame by frame.
 *
 *   convert_wav MODEL.rtv IN.wav OUT.wav [FRAME]      FRAME: samples per call, 480 when left out
 *
 * The output is as long as the input and in time with it: the engine's latency is cut off at its start and fed with silence at its end.
 */
#include <rtvoice/rtvoice.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wav.h"

static int report(const char* what, const char* why) {
  fprintf(stderr, "convert_wav: %s: %s\n", what, why);
  return 1;
}

/* Returns 0, or 1 after saying which of the two files does not do. */
static int make_engine(const char* path, const char* wav, const wav_audio* audio, uint32_t frame, rtv_engine** engine) {
  rtv_model* model = NULL;
  rtv_config config;
  rtv_status status = rtv_model_open(path, &model);
  if (status != RTV_OK) return report(path, rtv_last_error());
  rtv_config_init(&config);
  config.sample_rate = audio->sample_rate;
  config.channels = audio->channels;
  config.max_frame = frame;
  status = rtv_engine_create(model, &config, engine);
  rtv_model_close(model); /* the engine keeps what it needs */
  return status == RTV_OK ? 0 : report(status == RTV_ERROR_ARGUMENT ? wav : path, rtv_last_error());
}

/* Replaces the audio by the engine's output. `room` holds one frame. */
static rtv_status convert(rtv_engine* engine, wav_audio* audio, uint32_t frame, float* room) {
  const size_t channels = audio->channels, latency = rtv_engine_latency(engine), total = audio->frames + latency;
  size_t done = 0;
  while (done < total) {
    const size_t now = total - done < frame ? total - done : frame;
    const size_t left = done < audio->frames ? audio->frames - done : 0, real = left < now ? left : now;
    const size_t skip = done >= latency ? 0 : latency - done < now ? latency - done : now;
    rtv_status status;
    memset(room, 0, now * channels * sizeof(float));
    if (real != 0) memcpy(room, audio->samples + done * channels, real * channels * sizeof(float));
    status = rtv_engine_process(engine, room, room, (uint32_t)now);
    if (status != RTV_OK) return status;
    /* What comes out belongs `latency` earlier, where the input has been read already. */
    if (skip < now)
      memcpy(audio->samples + (done + skip - latency) * channels, room + skip * channels,
             (now - skip) * channels * sizeof(float));
    done += now;
  }
  return RTV_OK;
}

int main(int argc, char** argv) {
  char* rest = NULL;
  const long frame = argc == 5 ? strtol(argv[4], &rest, 10) : 480;
  wav_audio audio;
  rtv_engine* engine = NULL;
  rtv_stats stats;
  float* room;
  const char* error;
  rtv_status status;

  if (argc < 4 || argc > 5 || frame < 1 || frame > 65536 || (rest != NULL && *rest != '\0')) {
    fprintf(stderr, "usage: convert_wav MODEL.rtv IN.wav OUT.wav [FRAME, 1 to 65536]\n");
    return 2;
  }
  error = wav_read(argv[2], &audio);
  if (error != NULL) return report(argv[2], error);
  if (make_engine(argv[1], argv[2], &audio, (uint32_t)frame, &engine) != 0) {
    free(audio.samples);
    return 1;
  }
  room = malloc((size_t)frame * audio.channels * sizeof(float));
  status = room == NULL ? RTV_ERROR_MEMORY : convert(engine, &audio, (uint32_t)frame, room);
  error = status == RTV_OK ? wav_write(argv[3], &audio) : rtv_status_string(status);
  rtv_stats_init(&stats);
  rtv_engine_stats(engine, &stats);
  if (error == NULL) {
    printf("%s: %lu samples at %lu Hz, latency %lu samples, median %.1f us a frame of %ld\n", argv[3],
           (unsigned long)audio.frames, (unsigned long)audio.sample_rate, (unsigned long)rtv_engine_latency(engine),
           (double)stats.us_p50, frame);
  }
  free(room);
  free(audio.samples);
  rtv_engine_destroy(engine);
  return error == NULL ? 0 : report(argv[3], error);
}
