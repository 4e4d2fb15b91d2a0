/* wav.h: reads and writes WAV files of 16-bit integers or 32-bit floats. */
#ifndef WAV_H_
#define WAV_H_

#include <stddef.h>
#include <stdint.h>

typedef struct wav_audio {
  uint32_t sample_rate;
  uint32_t channels;
  int is_float; /* 32-bit float samples in the file, else 16-bit integers */
  size_t frames;
  float* samples; /* interleaved, -1 to 1; free() it */
} wav_audio;

/* NULL when it went well, else what is wrong. */
const char* wav_read(const char* path, wav_audio* audio);
const char* wav_write(const char* path, const wav_audio* audio);

#endif
