/* rtvoice.h: real-time neural audio on the player's own CPU. C99; usable from C, C++, C#, Rust, Unity, Unreal, Godot.
 *
 *   rtv_model* model = NULL;
 *   rtv_engine* engine = NULL;
 *   if (rtv_model_open("whisper.rtv", &model) != RTV_OK) { puts(rtv_last_error()); return 1; }
 *   rtv_config config;
 *   rtv_config_init(&config);
 *   config.sample_rate = 48000;
 *   config.max_frame = 1024;
 *   if (rtv_engine_create(model, &config, &engine) != RTV_OK) { puts(rtv_last_error()); return 1; }
 *   ... in the audio callback: rtv_engine_process(engine, in, out, frames);
 *   rtv_engine_destroy(engine);
 *   rtv_model_close(model);
 *
 * Every function ends with its thread tag:
 *   [main-thread]   may allocate, lock, read files; not for the audio callback. Different objects may be used from different threads at once.
 *   [audio-thread]  real-time safe: no allocation, lock, system call or first touch of a page; bounded work. One thread at a time per engine.
 *                   Less than 32 KiB of the calling thread's stack, whose pages are the host's to have touched.
 *   [any-thread]    real-time safe and callable from any thread while another one is in rtv_engine_process.
 */
#ifndef RTVOICE_RTVOICE_H_
#define RTVOICE_RTVOICE_H_

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#if defined(RTVOICE_BUILDING)
#define RTV_API __declspec(dllexport)
#elif defined(RTVOICE_STATIC)
#define RTV_API
#else
#define RTV_API __declspec(dllimport)
#endif
#elif defined(__GNUC__)
#define RTV_API __attribute__((visibility("default")))
#else
#define RTV_API
#endif

/* Part of a function's type: it and all that it calls allocate nothing, lock nothing and wait for nothing. Clang 20 and later hold us to it with
 * -Wfunction-effects (ctest -L rt-static) and RealtimeSanitizer at run time; nothing elsewhere. */
#if defined(__clang__) && __clang_major__ >= 20 && defined(__cplusplus)
#define RTV_NONBLOCKING [[clang::nonblocking]]
#elif defined(__clang__) && __clang_major__ >= 20
#define RTV_NONBLOCKING __attribute__((nonblocking))
#else
#define RTV_NONBLOCKING
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Status -------------------------------------------------------------------------------------------------------------------------- */

typedef enum rtv_status {
  RTV_OK = 0,
  RTV_ERROR_ARGUMENT = 1,   /* a null pointer, an unknown name, a value out of range */
  RTV_ERROR_FILE = 2,       /* a file that cannot be read, or written */
  RTV_ERROR_MODEL = 3,      /* a damaged or unsupported model; rtv_last_error names the place */
  RTV_ERROR_MEMORY = 4,     /* out of memory, or over the limits of an engine */
  RTV_ERROR_FRAME_SIZE = 5, /* more than max_frame, or not the promised block: the output is silence */
  RTV_ERROR_LATENCY = 6,    /* swap: the new model needs more latency than the engine has */
  RTV_ERROR_BUSY = 7,       /* swap: the one before is still fading in; log: one is being written */
  RTV_ERROR_STRUCT_SIZE = 8 /* a struct that was not initialised by its rtv_..._init */
} rtv_status;

/* A constant text for a status. [any-thread] */
RTV_API const char* rtv_status_string(rtv_status status) RTV_NONBLOCKING;
/* One line on the last failure of a [main-thread] function in this thread: what is wrong and the remedy. Valid until the next failure. [main-thread] */
RTV_API const char* rtv_last_error(void);
/* major * 10000 + minor * 100 + patch. [any-thread] */
RTV_API uint32_t rtv_version(void) RTV_NONBLOCKING;
/* The instruction set in use: "AVX3", "AVX2", "SSE4", "NEON", "SCALAR". [main-thread] */
RTV_API const char* rtv_isa(void);

/* ---- Models: immutable, shared by many engines ------------------------------------------------------------------------------------------ */

typedef struct rtv_model rtv_model;

/* Reads and checks a .rtv file. RTV_OK, RTV_ERROR_ARGUMENT, RTV_ERROR_FILE, RTV_ERROR_MODEL, RTV_ERROR_MEMORY. [main-thread] */
RTV_API rtv_status rtv_model_open(const char* path, rtv_model** out);
/* The same from memory; copies what it keeps. RTV_OK, RTV_ERROR_ARGUMENT, RTV_ERROR_MODEL, RTV_ERROR_MEMORY. [main-thread] */
RTV_API rtv_status rtv_model_open_memory(const void* data, size_t size, rtv_model** out);
/* Gives the handle back. Counted: engines may outlive it. NULL is allowed. [main-thread] */
RTV_API void rtv_model_close(rtv_model* model);
/* A JSON object about the model (name, rate, latency, parameters, outputs, layers, costs), valid while the handle is. [main-thread] */
RTV_API const char* rtv_model_info(const rtv_model* model);

/* ---- Engines: one stream each -------------------------------------------------------------------------------------------------------- */

typedef struct rtv_engine rtv_engine;

typedef enum rtv_resampler {
  RTV_RESAMPLER_AUTO = 0,    /* RTV_RESAMPLER_FIR where it can, else RTV_RESAMPLER_FASTEST */
  RTV_RESAMPLER_FIR = 1,     /* ratios of whole numbers up to 44.1 to 16 kHz's 441:160; 2 ms each way */
  RTV_RESAMPLER_FASTEST = 2, /* libsamplerate's SINC_FASTEST */
  RTV_RESAMPLER_MEDIUM = 3,
  RTV_RESAMPLER_BEST = 4,
  RTV_RESAMPLER_FIR_SHORT = 5 /* the same ratios; 1 ms each way, a softer pass band */
} rtv_resampler;

typedef enum rtv_schedule {
  RTV_SCHEDULE_INLINE = 0, /* the network runs in the call that completes its hop */
  RTV_SCHEDULE_SLICED =
      1 /* a hop's work is spread evenly over the calls that follow: a flat load for blocks much shorter than the hop; one
                              hop more latency, the same bits */
} rtv_schedule;

typedef enum rtv_overload {
  RTV_OVERLOAD_SILENCE = 0, /* silence while a cheaper tier takes over: never the player's real voice */
  RTV_OVERLOAD_DRY = 1      /* the dry input instead */
} rtv_overload;

typedef struct rtv_config {
  uint32_t struct_size; /* set by rtv_config_init */
  uint32_t sample_rate; /* Hz, 8000 to 192000; 48000 */
  uint32_t max_frame;   /* largest frame of a process call, 1 to 65536; 1024 */
  uint32_t channels;    /* 1 to 32, interleaved, each its own stream; 1 */
  uint32_t block;       /* 0: frames of any size. N: a promise of exactly N, for less latency; 0 */
  uint32_t resampler;   /* an rtv_resampler; RTV_RESAMPLER_AUTO */
  uint64_t seed;        /* of the model's noise; 0 */
  float fade_ms;        /* of bypass, mix and swap, 0 to 1000; 20 */
  uint32_t schedule;    /* an rtv_schedule; RTV_SCHEDULE_INLINE */
  uint32_t overload;    /* an rtv_overload: what is heard between two tiers; RTV_OVERLOAD_SILENCE */
} rtv_config;

/* Fills in struct_size and the defaults. [any-thread] */
RTV_API void rtv_config_init(rtv_config* config) RTV_NONBLOCKING;
/* Plans the network, lays out and touches all memory. RTV_OK, RTV_ERROR_ARGUMENT, RTV_ERROR_STRUCT_SIZE, RTV_ERROR_MODEL, RTV_ERROR_MEMORY. [main-thread] */
RTV_API rtv_status rtv_engine_create(const rtv_model* model, const rtv_config* config, rtv_engine** out);
/* The same with fallbacks: `count` (1 to 8) tiers of one skin, best first, with the same parameters and outputs. All are made now and delayed to the
 * slowest one's latency; the best runs. When calls keep taking longer than the audio they make (about three in a quarter of a second), it stops, the
 * output fades to silence, the next tier hears the input for the latency and 20 ms and fades in. After 5 s without a miss (doubled up to 80 s
 * whenever that fails) a better tier that would fit is tried beside the one that is heard, and cross-faded to.
 * The same statuses. [main-thread] */
RTV_API rtv_status rtv_engine_create_tiers(const rtv_model* const* tiers, uint32_t count, const rtv_config* config,
                                           rtv_engine** out);
/* Holds one tier (0 is the best), or RTV_TIER_AUTO: as the load allows. A change is heard as above. RTV_OK; RTV_ERROR_ARGUMENT for a tier that
 * does not exist. [any-thread] */
#define RTV_TIER_AUTO (-1)
RTV_API rtv_status rtv_engine_tier(rtv_engine* engine, int32_t tier) RTV_NONBLOCKING;
/* What share of one core the model takes at this configuration, one channel: 0.01 is a hundredth. A short trial in this thread's CPU time, warm, of at
 * most 60 ms and the time that an engine takes to make; kept for the process, so that asking again is free.
 * RTV_OK, RTV_ERROR_ARGUMENT, RTV_ERROR_STRUCT_SIZE, RTV_ERROR_MODEL, RTV_ERROR_MEMORY. [main-thread] */
RTV_API rtv_status rtv_model_cost(const rtv_model* model, const rtv_config* config, float* share);
/* The first of `count` (1 to 8) tiers, best first, that takes at most the share `most` of one core, all of config's channels together, by
 * rtv_model_cost; the last one where none does. RTV_TIER_SHARE is a good `most`: caches swept by a game cost two to three times the warm share.
 * The same statuses. [main-thread] */
#define RTV_TIER_SHARE 0.1f
RTV_API rtv_status rtv_choose_tier(const rtv_model* const* tiers, uint32_t count, const rtv_config* config, float most,
                                   uint32_t* chosen);
/* No other thread may be using the engine. NULL is allowed. [main-thread] */
RTV_API void rtv_engine_destroy(rtv_engine* engine);

/* `frames` samples per channel, interleaved, nominally -1 to 1; in == out is allowed, partial overlap is not. 0 frames does nothing. Input that is
 * not finite counts as 0. RTV_OK; RTV_ERROR_FRAME_SIZE (out is silence: max_frame is never exceeded); RTV_ERROR_ARGUMENT for NULL. [audio-thread] */
RTV_API rtv_status rtv_engine_process(rtv_engine* engine, const float* in, float* out, uint32_t frames) RTV_NONBLOCKING;
/* Samples at the host's rate from an input to its output; constant while the engine lives. [any-thread] */
RTV_API uint32_t rtv_engine_latency(const rtv_engine* engine) RTV_NONBLOCKING;
/* Zero history, as when fresh; parameters jump to their last set values. Not while process runs. [audio-thread] */
RTV_API void rtv_engine_reset(rtv_engine* engine) RTV_NONBLOCKING;

/* Sets a parameter of the model, or "mix" (0 dry to 1 wet); takes effect, smoothed, at the next hop, and
 * before the first frame at once. Values are clamped to the parameter's range.
 * RTV_OK; RTV_ERROR_ARGUMENT for an unknown name, a wrong count or a value that is not finite. [any-thread] */
RTV_API rtv_status rtv_engine_set(rtv_engine* engine, const char* name, const float* values,
                                  uint32_t count) RTV_NONBLOCKING;
/* Cross-fades to the dry input at equal latency, or back. [any-thread] */
RTV_API void rtv_engine_bypass(rtv_engine* engine, int on) RTV_NONBLOCKING;
/* The newest frame of a named value output of channel 0's stream; returns how many values it has (0: no such output) and writes at most `capacity`. [any-thread] */
RTV_API uint32_t rtv_engine_output(const rtv_engine* engine, const char* name, float* values,
                                   uint32_t capacity) RTV_NONBLOCKING;
/* Prepares another model here and cross-fades to it on the audio thread, at the engine's latency; parameters keep their values by name.
 * An engine with tiers has this one instead of them all afterwards.
 * RTV_OK, RTV_ERROR_ARGUMENT, RTV_ERROR_MODEL, RTV_ERROR_MEMORY, RTV_ERROR_LATENCY, RTV_ERROR_BUSY. [main-thread] */
RTV_API rtv_status rtv_engine_swap(rtv_engine* engine, const rtv_model* model);

/* ---- Statistics ------------------------------------------------------------------------------------------------------------------------ */

typedef struct rtv_stats {
  uint32_t struct_size; /* set by rtv_stats_init */
  uint32_t tier;        /* that is heard or about to be: 0 is the best */
  uint64_t frames;      /* samples per channel processed */
  uint64_t calls;
  uint64_t overruns;                             /* calls that took longer than the audio they made */
  uint64_t nonfinite;                            /* input samples replaced, and hops whose output had to be silenced */
  float us_p50, us_p90, us_p99, us_p999, us_max; /* microseconds of a call, from a histogram with 3 % wide steps */
  float load;                                    /* time spent over time of the audio processed */
  float latency_model_ms, latency_resampler_ms, latency_buffering_ms;
  uint64_t memory_weights, memory_state, memory_scratch; /* bytes */
  uint64_t tier_changes;                                 /* since create or reset */
} rtv_stats;

/* Fills in struct_size. [any-thread] */
RTV_API void rtv_stats_init(rtv_stats* stats) RTV_NONBLOCKING;
/* A snapshot since create or reset; writes no more than stats->struct_size bytes, so call rtv_stats_init before. [any-thread] */
RTV_API void rtv_engine_stats(const rtv_engine* engine, rtv_stats* stats) RTV_NONBLOCKING;

/* ---- The real-time log -----------------------------------------------------------------------------------------------------------------
 *
 *   rtv_engine_log(engine, "session.rtlog");    off until somebody turns it on
 *   ... rtv_engine_process as ever ...
 *   rtv_engine_log(engine, NULL);               writes what is left
 *
 * Input, output, frame sizes, times, parameters, swaps, tiers and resets, each with its sample position. The audio thread copies them into a ring that
 * was made beforehand; a thread of the log's own, which polls it, writes the file. When the ring is full or the disk takes nothing, a gap with its
 * position and length stands there instead, and the audio goes on. `rtvoice log show|extract|replay` reads it; docs/log.md describes the file. */

typedef enum rtv_log_format {
  RTV_LOG_FLOAT32 = 0, /* as processed: what a replay can compare bit by bit */
  RTV_LOG_PCM16 = 1    /* half the bytes; clipped at full scale */
} rtv_log_format;

typedef struct rtv_log_config {
  uint32_t struct_size;    /* set by rtv_log_config_init */
  uint32_t format;         /* an rtv_log_format; RTV_LOG_FLOAT32 */
  uint32_t redact;         /* 1: no audio, only timing and events; 0 */
  uint32_t retention_days; /* told in the head of the file: when it is to be deleted; 0: not told */
  const char* who;         /* told there too: who turned it on; NULL: the user's name */
  uint64_t rotate_bytes;   /* a new file when one is as long, NAME.0001.EXT ...; 0: never */
  float rotate_seconds;    /* the same by age; 0: never */
  uint32_t keep_files;     /* of those, the newest; 0: all */
  uint32_t ring_ms;        /* of audio that the ring holds, 0 (the least: four frames of max_frame) to 60000; 2000 */
  uint32_t flush_ms;       /* the oldest that what is not written may be, 1 to 60000; 100 */
} rtv_log_config;

typedef struct rtv_log_status {
  uint32_t struct_size; /* set by rtv_log_status_init */
  uint32_t active;      /* 1: a log is being written; 0: these are the last one's figures */
  uint64_t frames;      /* samples per channel written */
  uint64_t frames_lost; /* in gaps */
  uint64_t gaps;
  uint64_t bytes;   /* in all files */
  uint32_t files;   /* that were begun */
  uint32_t failing; /* 1: the disk takes nothing now; the log tries again */
  char error[256];  /* the disk's last failure, in one line; "" */
} rtv_log_status;

/* Fills in struct_size and the defaults. [any-thread] */
RTV_API void rtv_log_config_init(rtv_log_config* config) RTV_NONBLOCKING;
/* Begins a log with the defaults, or ends it: path NULL. A file of that name is replaced; only its owner may read it.
 * RTV_OK; RTV_ERROR_ARGUMENT; RTV_ERROR_FILE: it cannot be written, or another log is writing it; RTV_ERROR_BUSY: this engine has a log;
 * RTV_ERROR_MEMORY. [main-thread] */
RTV_API rtv_status rtv_engine_log(rtv_engine* engine, const char* path);
/* The same with options. RTV_ERROR_STRUCT_SIZE as well. [main-thread] */
RTV_API rtv_status rtv_engine_log_with(rtv_engine* engine, const char* path, const rtv_log_config* config);
/* Writes a line of text into the log at about the current position: an xrun, a device that was unplugged. At most 4096 bytes.
 * RTV_OK; RTV_ERROR_ARGUMENT: NULL, or there is no log. [main-thread] */
RTV_API rtv_status rtv_engine_log_note(rtv_engine* engine, const char* text);
/* Fills in struct_size. [any-thread] */
RTV_API void rtv_log_status_init(rtv_log_status* status) RTV_NONBLOCKING;
/* How the log is doing, or did; writes no more than status->struct_size bytes. RTV_OK, RTV_ERROR_ARGUMENT, RTV_ERROR_STRUCT_SIZE. [main-thread] */
RTV_API rtv_status rtv_engine_log_status(rtv_engine* engine, rtv_log_status* status);

/* ---- Pools: many streams of one model on one thread -------------------------------------------------------------------------------------
 *
 *   rtv_pool* pool;                                    a server's sixteen players
 *   rtv_pool_create(model, &config, 16, NULL, &pool);
 *   ... every 10 ms: rtv_pool_process(pool, in, out, 480);    in[i], out[i]: player i's frame
 *
 * Each stream is an engine with the same configuration, and gives the bits that it would give alone. Where streams keep step, layers that wait for
 * their weights read them once for all. */

typedef struct rtv_pool rtv_pool;

/* `streams`: 1 to 1024. `seeds`: one per stream, or NULL: config->seed for all. RTV_OK, RTV_ERROR_ARGUMENT, RTV_ERROR_STRUCT_SIZE,
 * RTV_ERROR_MODEL, RTV_ERROR_MEMORY. [main-thread] */
RTV_API rtv_status rtv_pool_create(const rtv_model* model, const rtv_config* config, uint32_t streams,
                                   const uint64_t* seeds, rtv_pool** out);
/* A frame of every stream, as rtv_engine_process; in[i] == out[i] is allowed, other overlaps are not. Where in[i] is NULL that stream stands still; feed
 * silence instead to keep it in step with the others. RTV_OK; RTV_ERROR_FRAME_SIZE (all outputs are silence); RTV_ERROR_ARGUMENT for NULL.
 * One thread at a time per pool. [audio-thread] */
RTV_API rtv_status rtv_pool_process(rtv_pool* pool, const float* const* in, float* const* out,
                                    uint32_t frames) RTV_NONBLOCKING;
/* A stream's engine, for set, bypass, output, stats, reset and swap, each as its own rules say (reset: not while the pool's process runs); NULL where
 * there is none. It lives as long as the pool, and is not to be destroyed. Its statistics count its share of each call. [any-thread] */
RTV_API rtv_engine* rtv_pool_engine(rtv_pool* pool, uint32_t stream) RTV_NONBLOCKING;
/* [any-thread] */
RTV_API uint32_t rtv_pool_streams(const rtv_pool* pool) RTV_NONBLOCKING;
/* Of every stream, as rtv_engine_latency. [any-thread] */
RTV_API uint32_t rtv_pool_latency(const rtv_pool* pool) RTV_NONBLOCKING;
/* All streams. Not while process runs. [audio-thread] */
RTV_API void rtv_pool_reset(rtv_pool* pool) RTV_NONBLOCKING;
/* Times are of whole calls; bytes of state and scratch, and `nonfinite`, of all streams. [any-thread] */
RTV_API void rtv_pool_stats(const rtv_pool* pool, rtv_stats* stats) RTV_NONBLOCKING;
/* No other thread may be using the pool or its engines. NULL is allowed. [main-thread] */
RTV_API void rtv_pool_destroy(rtv_pool* pool);

#ifdef __cplusplus
}
#endif
#endif /* RTVOICE_RTVOICE_H_ */
