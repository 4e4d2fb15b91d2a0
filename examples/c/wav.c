/* wav.c: a small WAV reader and writer for little- and big-endian machines. */
#include "wav.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FORMAT_PCM = 1, FORMAT_FLOAT = 3, FORMAT_EXTENSIBLE = 0xfffe };

static uint32_t get16(const unsigned char* p) { return (uint32_t)p[0] | (uint32_t)p[1] << 8; }
static uint32_t get32(const unsigned char* p) { return get16(p) | get16(p + 2) << 16; }
static void put16(unsigned char* p, uint32_t v) {
  p[0] = (unsigned char)(v & 0xff);
  p[1] = (unsigned char)(v >> 8 & 0xff);
}
static void put32(unsigned char* p, uint32_t v) {
  put16(p, v);
  put16(p + 2, v >> 16);
}

static float decode(const unsigned char* p, int is_float) {
  float value;
  uint32_t bits;
  if (!is_float) return (float)(get16(p) >= 0x8000u ? (int32_t)get16(p) - 0x10000 : (int32_t)get16(p)) / 32768.0f;
  bits = get32(p);
  memcpy(&value, &bits, sizeof value);
  return value;
}

static void encode(unsigned char* p, float value, int is_float) {
  uint32_t bits;
  if (is_float) {
    memcpy(&bits, &value, sizeof bits);
    put32(p, bits);
    return;
  }
  value *= 32768.0f;
  if (!(value > -32768.0f)) value = -32768.0f;
  if (value > 32767.0f) value = 32767.0f;
  put16(p, (uint32_t)(int32_t)(value < 0.0f ? value - 0.5f : value + 0.5f) & 0xffffu);
}

static const char* read_format(const unsigned char* body, size_t size, wav_audio* audio) {
  uint32_t format, bits;
  if (size < 16) return "its fmt chunk is too short";
  format = get16(body);
  if (format == FORMAT_EXTENSIBLE && size >= 26) format = get16(body + 24);
  audio->channels = get16(body + 2);
  audio->sample_rate = get32(body + 4);
  bits = get16(body + 14);
  audio->is_float = format == FORMAT_FLOAT;
  if (!(format == FORMAT_PCM && bits == 16) && !(format == FORMAT_FLOAT && bits == 32))
    return "only 16-bit integers and 32-bit floats are read";
  return audio->channels == 0 ? "it has no channels" : NULL;
}

static const char* parse(const unsigned char* data, size_t size, wav_audio* audio) {
  size_t at = 12;
  if (size < 12 || memcmp(data, "RIFF", 4) != 0 || memcmp(data + 8, "WAVE", 4) != 0) return "not a WAV file";
  while (size - at >= 8) {
    const unsigned char* body = data + at + 8;
    size_t length = get32(data + at + 4), i, width;
    if (length > size - at - 8) length = size - at - 8; /* a recording that was cut off */
    if (memcmp(data + at, "fmt ", 4) == 0) {
      const char* error = read_format(body, length, audio);
      if (error != NULL) return error;
    } else if (memcmp(data + at, "data", 4) == 0) {
      if (audio->channels == 0) return "no fmt chunk before the data";
      width = audio->is_float ? 4 : 2;
      audio->frames = length / (width * audio->channels);
      audio->samples = malloc(audio->frames * audio->channels * sizeof(float) + 1);
      if (audio->samples == NULL) return "out of memory";
      for (i = 0; i < audio->frames * audio->channels; ++i)
        audio->samples[i] = decode(body + i * width, audio->is_float);
      return NULL;
    }
    length += length & 1; /* chunks are padded to even lengths */
    at = length > size - at - 8 ? size : at + 8 + length;
  }
  return "it has no data chunk";
}

const char* wav_read(const char* path, wav_audio* audio) {
  FILE* file = fopen(path, "rb");
  unsigned char* data;
  const char* error;
  long size;
  memset(audio, 0, sizeof *audio);
  if (file == NULL) return "cannot be opened";
  size = fseek(file, 0, SEEK_END) == 0 ? ftell(file) : -1;
  data = size < 0 || fseek(file, 0, SEEK_SET) != 0 ? NULL : malloc((size_t)size + 1);
  if (data == NULL || fread(data, 1, (size_t)size, file) != (size_t)size) {
    error = "cannot be read";
  } else {
    error = parse(data, (size_t)size, audio);
  }
  free(data);
  fclose(file);
  return error;
}

const char* wav_write(const char* path, const wav_audio* audio) {
  unsigned char header[44] = {0}, sample[4];
  const uint32_t width = audio->is_float ? 4 : 2, row = width * audio->channels;
  const size_t count = audio->frames * audio->channels;
  const uint32_t bytes = (uint32_t)(count * width);
  FILE* file = fopen(path, "wb");
  size_t i, written = 0;
  if (file == NULL) return "cannot be opened for writing";
  memcpy(header, "RIFF", 4);
  put32(header + 4, 36 + bytes);
  memcpy(header + 8, "WAVEfmt ", 8);
  put32(header + 16, 16);
  put16(header + 20, audio->is_float ? FORMAT_FLOAT : FORMAT_PCM);
  put16(header + 22, audio->channels);
  put32(header + 24, audio->sample_rate);
  put32(header + 28, audio->sample_rate * row);
  put16(header + 32, row);
  put16(header + 34, 8 * width);
  memcpy(header + 36, "data", 4);
  put32(header + 40, bytes);
  i = fwrite(header, 1, sizeof header, file) == sizeof header ? 0 : count;
  for (; i < count; ++i) {
    encode(sample, audio->samples[i], audio->is_float);
    written += fwrite(sample, width, 1, file);
  }
  return fclose(file) == 0 && written == count ? NULL : "cannot be written";
}
