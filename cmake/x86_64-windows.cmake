# 64-bit Windows from Debian's cross compiler (g++-mingw-w64-x86-64-posix), run by wine.
set(CMAKE_SYSTEM_NAME Windows)
set(CMAKE_SYSTEM_PROCESSOR x86_64)
set(CMAKE_C_COMPILER x86_64-w64-mingw32-gcc-posix)
set(CMAKE_CXX_COMPILER x86_64-w64-mingw32-g++-posix)
set(CMAKE_RC_COMPILER x86_64-w64-mingw32-windres)
# Windows aligns a stack to 16 bytes and GCC does not align it further for vectors of 32 and 64, yet moves them as if it had: the assembler turns
# such moves into those that need no alignment, which cost nothing on aligned data.
set(CMAKE_C_FLAGS_INIT "-Wa,-muse-unaligned-vector-move")
set(CMAKE_CXX_FLAGS_INIT "-Wa,-muse-unaligned-vector-move")
# One file to ship: the compiler's own libraries go into the DLL.
set(CMAKE_EXE_LINKER_FLAGS_INIT "-static")
set(CMAKE_SHARED_LINKER_FLAGS_INIT "-static")
set(CMAKE_CROSSCOMPILING_EMULATOR wine)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
# Nothing of this machine's own libraries: what is needed is built from its source, and headers are named.
set(PKG_CONFIG_EXECUTABLE "" CACHE STRING "" FORCE)
