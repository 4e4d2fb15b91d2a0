/* host_files.h: what the hosts of this folder share: raw audio files, lists of frame sizes, an engine by a model's path. */
#ifndef HOST_FILES_H_
#define HOST_FILES_H_

#include <rtvoice/rtvoice.h>
#include <stddef.h>
#include <stdint.h>

/* The largest frame that an engine gets from here; a host's longer blocks are cut. */
enum { kMaxFrame = 1024 };

typedef struct host_audio {
  float* samples; /* interleaved; free() it */
  size_t frames;
} host_audio;

/* Raw float32 files in the machine's byte order. 0 when it went well, else a line on standard error and 1. */
int host_read(const char* path, uint32_t channels, host_audio* audio);
int host_write(const char* path, const float* samples, size_t count);
/* Whole numbers between white space; free() *sizes. */
int host_read_sizes(const char* path, uint32_t** sizes, size_t* count);

/* An engine for frames of any size up to kMaxFrame. */
int host_open_engine(const char* model, uint32_t sample_rate, uint32_t channels, rtv_engine** engine);
/* A block of any length, in place allowed: cut into frames that the engine takes. Real-time safe. */
rtv_status host_process(rtv_engine* engine, const float* in, float* out, uint32_t channels, uint32_t frames);

/* A host's callback: `frames` from in to out. 0 when it went well. */
typedef int (*host_callback)(void* user, const float* in, float* out, uint32_t frames);
/* Calls back as a device would that asks for these sizes, again and again until the file is used up; *frames tells how long it was. The output is as long.
 * 0 when it went well. */
int host_drive(const char* sizes, const char* in, const char* out, uint32_t channels, host_callback call, void* user,
               size_t* frames);
/* The mode `--frames` of the hosts with a sound library: MODEL.rtv RATE FRAMES.txt IN.f32 OUT.f32, mono, with no device; the engine is *engine meanwhile.
 * Returns the exit status. */
int host_frames_mode(char** words, rtv_engine** engine, host_callback call, void* user);

#endif
