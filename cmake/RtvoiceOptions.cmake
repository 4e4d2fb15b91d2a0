# Compile options of all our targets.
add_library(rtvoice_options INTERFACE)
target_include_directories(rtvoice_options INTERFACE ${PROJECT_SOURCE_DIR}/cpp/src ${PROJECT_SOURCE_DIR}/cpp/include)
if(CMAKE_CXX_COMPILER_ID MATCHES "GNU|Clang")
  # No contraction outside the kernels' explicit FMAs: the same source must give the same bits at every T.
  target_compile_options(rtvoice_options INTERFACE -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -ffp-contract=off)
  if(RTVOICE_SANITIZE)
    target_compile_options(rtvoice_options INTERFACE -fsanitize=${RTVOICE_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all -g)
    target_link_options(rtvoice_options INTERFACE -fsanitize=${RTVOICE_SANITIZE})
  endif()
endif()
