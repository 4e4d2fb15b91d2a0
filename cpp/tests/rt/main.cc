// Starts itself again with LD_DEBUG=bindings: the dynamic linker then writes a line for every symbol that it binds, so that one bound late, inside a
// region, makes a system call.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

int main(int argc, char** argv) {
  if (std::getenv("LD_DEBUG") == nullptr) {
    setenv("LD_DEBUG", "bindings", 1);
    setenv("LD_DEBUG_OUTPUT", (testing::TempDir() + "rt_guard_test.bindings").c_str(), 1);
    execv("/proc/self/exe", argv);
    std::perror("execv");
  }
  // The linker holds the file open; nobody needs its name.
  if (const char* log = std::getenv("LD_DEBUG_OUTPUT"))
    std::remove((std::string(log) + "." + std::to_string(getpid())).c_str());
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
