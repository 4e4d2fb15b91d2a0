/* host_files.c: what the hosts of this folder share. */
#include "host_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int fail(const char* path, const char* why) {
  fprintf(stderr, "%s: %s\n", path, why);
  return 1;
}

/* The whole file and a zero behind it, or NULL. */
static char* read_all(const char* path, size_t* size) {
  FILE* file = fopen(path, "rb");
  char* data = NULL;
  long length = -1;
  if (file == NULL) return NULL;
  if (fseek(file, 0, SEEK_END) == 0) length = ftell(file);
  if (length >= 0 && fseek(file, 0, SEEK_SET) == 0) data = malloc((size_t)length + 1);
  if (data != NULL && fread(data, 1, (size_t)length, file) != (size_t)length) {
    free(data);
    data = NULL;
  }
  fclose(file);
  if (data == NULL) return NULL;
  data[length] = 0;
  *size = (size_t)length;
  return data;
}

int host_read(const char* path, uint32_t channels, host_audio* audio) {
  size_t size;
  char* data = read_all(path, &size);
  if (data == NULL) return fail(path, "cannot be read");
  audio->samples = (float*)(void*)data;
  audio->frames = size / sizeof(float) / channels;
  return 0;
}

int host_write(const char* path, const float* samples, size_t count) {
  FILE* file = fopen(path, "wb");
  size_t written;
  if (file == NULL) return fail(path, "cannot be written");
  written = fwrite(samples, sizeof(float), count, file);
  return (fclose(file) != 0 || written != count) ? fail(path, "cannot be written whole") : 0;
}

int host_read_sizes(const char* path, uint32_t** sizes, size_t* count) {
  size_t size, capacity = 0;
  char* text = read_all(path, &size);
  char *at = text, *end = NULL;
  *sizes = NULL;
  *count = 0;
  if (text == NULL) return fail(path, "cannot be read");
  for (;; at = end) {
    const unsigned long value = strtoul(at, &end, 10);
    if (end == at) break;
    if (*count == capacity) {
      uint32_t* larger = realloc(*sizes, (capacity = capacity * 2 + 64) * sizeof(uint32_t));
      if (larger == NULL) break;
      *sizes = larger;
    }
    (*sizes)[(*count)++] = (uint32_t)value;
  }
  free(text);
  return *count == 0 ? fail(path, "holds no frame sizes") : 0;
}

int host_open_engine(const char* model_path, uint32_t sample_rate, uint32_t channels, rtv_engine** engine) {
  rtv_model* model = NULL;
  rtv_config config;
  rtv_status status = rtv_model_open(model_path, &model);
  rtv_config_init(&config);
  config.sample_rate = sample_rate;
  config.channels = channels;
  config.max_frame = kMaxFrame;
  if (status == RTV_OK) status = rtv_engine_create(model, &config, engine);
  rtv_model_close(model); /* the engine keeps what it needs */
  return status == RTV_OK ? 0 : fail(model_path, rtv_last_error());
}

static int drive(const uint32_t* sizes, size_t count, const host_audio* in, float* out, uint32_t channels,
                 host_callback call, void* user) {
  size_t done = 0, turn = 0;
  while (done < in->frames) {
    const size_t left = in->frames - done;
    const uint32_t wanted = sizes[turn++ % count], now = wanted < left ? wanted : (uint32_t)left;
    if (turn > (in->frames + 1) * count) return fail("the list of frame sizes", "holds only zeros");
    if (call(user, in->samples + done * channels, out + done * channels, now) != 0)
      return fail("the callback", "failed");
    done += now;
  }
  return 0;
}

int host_drive(const char* sizes_path, const char* in_path, const char* out_path, uint32_t channels, host_callback call,
               void* user, size_t* frames) {
  host_audio in = {NULL, 0};
  uint32_t* sizes = NULL;
  float* out = NULL;
  size_t count = 0;
  int status = host_read(in_path, channels, &in) || host_read_sizes(sizes_path, &sizes, &count);
  if (!status) {
    out = malloc((in.frames * channels + 1) * sizeof(float));
    status = out == NULL || drive(sizes, count, &in, out, channels, call, user) ||
             host_write(out_path, out, in.frames * channels);
  }
  *frames = in.frames;
  free(out);
  free(sizes);
  free(in.samples);
  return status;
}

int host_frames_mode(char** words, rtv_engine** engine, host_callback call, void* user) {
  size_t frames = 0;
  const int status = host_open_engine(words[0], (uint32_t)strtoul(words[1], NULL, 10), 1, engine) ||
                     host_drive(words[2], words[3], words[4], 1, call, user, &frames);
  if (!status)
    printf("{\"frames\": %lu, \"latency\": %lu}\n", (unsigned long)frames, (unsigned long)rtv_engine_latency(*engine));
  rtv_engine_destroy(*engine);
  *engine = NULL;
  return status;
}

rtv_status host_process(rtv_engine* engine, const float* in, float* out, uint32_t channels, uint32_t frames) {
  rtv_status status = RTV_OK;
  while (frames != 0 && status == RTV_OK) {
    const uint32_t now = frames < kMaxFrame ? frames : kMaxFrame;
    status = rtv_engine_process(engine, in, out, now);
    in += (size_t)now * channels;
    out += (size_t)now * channels;
    frames -= now;
  }
  return status;
}
