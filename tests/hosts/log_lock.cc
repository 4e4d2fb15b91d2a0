// A log's file under the system's own lock: log_lock FILE exits 0 where a second writer is refused, a reader is not, and the next writer may begin.
#include <cstdio>
#include <string>

#include "log/file.h"

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  rtvoice::log::File first, second;
  std::string error;
  if (!first.create(argv[1], &error) || !first.append("first", 5, &error)) return std::printf("%s\n", error.c_str()), 3;
  if (second.create(argv[1], &error)) return 4;
  std::printf("%s\n", error.c_str());
  char read[8] = "";
  std::FILE* reader = std::fopen(argv[1], "rb");
  if (reader == nullptr || std::fread(read, 1, sizeof read, reader) != 5) return 5;
  std::fclose(reader);
  first.close();
  if (!second.create(argv[1], &error) || second.size() != 0) return std::printf("%s\n", error.c_str()), 6;
  return 0;
}
