// The real-time log's records, as the audio thread writes them and a file holds them (docs/log.md). Little-endian, sizes in whole 8 bytes.
#pragma once

#include <cstddef>
#include <cstdint>

namespace rtvoice::log {

enum Kind : uint16_t {
  kCall = 1,
  kMark = 2,
  kModel = 3,
  kParameter = 4,
  kMix = 5,
  kHold = 6,
  kGap = 7,
  kNote = 8,
  kEnd = 9,
  kEngine = 10,
};

struct Head {
  uint32_t size;  // with this head
  uint16_t kind, flags;
};
// Flags of kModel, kParameter, kMix, kHold: what is told again, not a change.
constexpr uint16_t kTold = 1;

// Behind it, when flags has kAudio: the input's frames * channels samples, then the output's.
struct Call {
  Head head;
  uint64_t index;         // of its first sample per channel, since the log began; gaps count
  uint64_t start, ticks;  // cycle counter: since the log began; of the call
  uint32_t frames, tier;
  uint32_t nonfinite;  // as rtv_stats counts them
  uint32_t status;     // an rtv_status; not RTV_OK: refused, and the index stays
};
constexpr uint16_t kAudio = 1, kOverrun = 2;

// Where a replay may begin: the state follows, in `records` records.
struct Mark {
  Head head;
  uint64_t index;
  uint32_t reason, records;
};
constexpr uint32_t kStartedLate = 0, kStartedFresh = 1, kReset = 2;

struct ModelName {
  Head head;
  uint64_t index, hash;
  uint32_t tier, incoming;  // which of the engine's tiers; 1: it fades in from here on
  char name[48], tier_name[16];
};

// Behind it: the name, the values, each filled up to 8 bytes.
struct Parameter {
  Head head;
  uint64_t index;
  uint32_t name_bytes, count;
};

struct Mix {
  Head head;
  uint64_t index;
  float mix;
  uint32_t bypass;
};

struct Hold {
  Head head;
  uint64_t index;
  int32_t tier;
  uint32_t unused;
};

struct Gap {
  Head head;
  uint64_t index, frames;
  uint32_t calls, reason;
};
constexpr uint32_t kRingFull = 1, kDiskFull = 2;

struct Note {  // behind it: the text, filled up to 8 bytes
  Head head;
  uint64_t index;
  uint32_t bytes, unused;
};

struct End {
  Head head;
  uint64_t index, frames_lost;
  uint32_t gaps, unused;
};

// Another engine goes on with this log from here, fresh: its mark and state follow. What it was made with is in the head of the files that begin behind it.
struct EngineChange {
  Head head;
  uint64_t index, hash;
  uint32_t latency, unused;
  char name[48], tier_name[16];
};

// Before the records of a piece of the file, which holds whole ones only.
struct Chunk {
  uint32_t magic, bytes;     // of the records
  uint64_t number, index;    // from 0 in each file; of its first record
  uint32_t crc, header_crc;  // of the records; of this header up to here
};
constexpr uint32_t kChunkMagic = 0x4b434c52u;  // "RLCK"

static_assert(sizeof(Call) == 48 && sizeof(Mark) == 24 && sizeof(ModelName) == 96 && sizeof(Parameter) == 24 &&
                  sizeof(Mix) == 24 && sizeof(Hold) == 24 && sizeof(Gap) == 32 && sizeof(Note) == 24 &&
                  sizeof(End) == 32 && sizeof(EngineChange) == sizeof(ModelName) && sizeof(Chunk) == 32,
              "the file's layout");

constexpr size_t whole(size_t bytes) { return (bytes + 7) / 8 * 8; }

}  // namespace rtvoice::log
