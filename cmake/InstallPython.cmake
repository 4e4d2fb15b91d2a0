# What goes into the Python package beside its sources: the native module, the shipped models, device profiles, the allocation counter.
if(NOT TARGET _core)
  message(FATAL_ERROR "RTVOICE_BUILD_PYTHON is ON but the native module was not configured: cpp/src/bindings is missing")
endif()
install(TARGETS _core DESTINATION rtvoice COMPONENT python)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/models/ DESTINATION rtvoice/models COMPONENT python
        FILES_MATCHING PATTERN "*.rtv" PATTERN "README.md" PATTERN "metrics.json")
install(DIRECTORY ${PROJECT_SOURCE_DIR}/benchmarks/devices/ DESTINATION rtvoice/bench/devices COMPONENT python FILES_MATCHING PATTERN "*.json")

# The counter forwards to glibc's own entry points; other C libraries do not have them, and rtvoice-bench then says "not measured".
include(CheckCSourceCompiles)
check_c_source_compiles("extern void* __libc_memalign(unsigned long, unsigned long);
                         int main(void) { return __libc_memalign(16, 16) == 0; }" RTVOICE_HAVE_LIBC_MALLOC)
if(RTVOICE_HAVE_LIBC_MALLOC)
  add_library(rtvoice_alloc_count MODULE ${PROJECT_SOURCE_DIR}/python/rtvoice/bench/alloc_count.c)
  set_target_properties(rtvoice_alloc_count PROPERTIES PREFIX "" OUTPUT_NAME alloc_count C_VISIBILITY_PRESET default)
  install(TARGETS rtvoice_alloc_count DESTINATION rtvoice/bench COMPONENT python)
endif()
