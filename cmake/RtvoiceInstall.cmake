# The C interface's libraries and their install: librtvoice.so, librtvoice.a, the header, a CMake package, a pkg-config file. The Python wheel
# takes another component (InstallPython.cmake) and needs none of this.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

# Both are made of the core's objects; an archive inside an archive is not portable.
set(objects $<TARGET_OBJECTS:rtvoice_core> $<TARGET_OBJECTS:rtvoice_isa>)

add_library(rtvoice SHARED ${objects})
add_library(rtvoice::rtvoice ALIAS rtvoice)
target_link_libraries(rtvoice PRIVATE SampleRate::samplerate Threads::Threads)
set_target_properties(rtvoice PROPERTIES
  LINKER_LANGUAGE CXX
  VERSION ${PROJECT_VERSION}
  SOVERSION ${PROJECT_VERSION_MAJOR}
  # A game ships libsamplerate beside the library.
  INSTALL_RPATH "$<IF:$<PLATFORM_ID:Darwin>,@loader_path,$ORIGIN>")
if(UNIX AND NOT APPLE)
  set(symbols ${PROJECT_SOURCE_DIR}/cmake/rtvoice.map)
  # now: no symbol is bound on the audio thread. The script hides the templates of the C++ library, whose visibility is their own.
  target_link_options(rtvoice PRIVATE -Wl,-z,now -Wl,-z,relro -Wl,--as-needed -Wl,--no-undefined -Wl,--gc-sections -Wl,--version-script=${symbols})
  set_target_properties(rtvoice PROPERTIES LINK_DEPENDS ${symbols})
endif()
if(APPLE)
  # Found beside the program, wherever that lies; and no more exported than the interface, where the linker can be told so.
  set_target_properties(rtvoice PROPERTIES INSTALL_NAME_DIR "@rpath" BUILD_WITH_INSTALL_NAME_DIR ON)
  file(WRITE ${PROJECT_BINARY_DIR}/rtvoice.exports "_rtv_*\n")
  include(CheckLinkerFlag)
  set(CMAKE_REQUIRED_QUIET ON)
  check_linker_flag(CXX -Wl,-exported_symbols_list,${PROJECT_BINARY_DIR}/rtvoice.exports RTVOICE_HAS_EXPORTS_LIST)
  if(RTVOICE_HAS_EXPORTS_LIST)
    target_link_options(rtvoice PRIVATE -Wl,-exported_symbols_list,${PROJECT_BINARY_DIR}/rtvoice.exports)
  endif()
endif()
if(RTVOICE_SANITIZE)
  target_link_options(rtvoice PRIVATE -fsanitize=${RTVOICE_SANITIZE} -Wl,-z,undefs)
endif()

add_library(rtvoice_static STATIC ${objects})
add_library(rtvoice::static ALIAS rtvoice_static)
set_target_properties(rtvoice_static PROPERTIES LINKER_LANGUAGE CXX EXPORT_NAME static)
target_link_libraries(rtvoice_static PRIVATE $<BUILD_INTERFACE:SampleRate::samplerate>)
target_compile_definitions(rtvoice_static INTERFACE RTVOICE_STATIC)
if(NOT WIN32)  # there rtvoice.lib is the shared library's import library
  set_target_properties(rtvoice_static PROPERTIES OUTPUT_NAME rtvoice)
endif()
foreach(library rtvoice rtvoice_static)
  target_include_directories(${library} INTERFACE
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/cpp/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
endforeach()

# What a C host of the static library links besides, whatever compiler drives its linker.
set(RTVOICE_STATIC_LIBS "")
if(UNIX AND NOT APPLE)
  set(RTVOICE_STATIC_LIBS stdc++ m pthread)
elseif(APPLE)
  set(RTVOICE_STATIC_LIBS c++)
endif()

install(TARGETS rtvoice rtvoice_static EXPORT rtvoice-targets
  RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT sdk
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT sdk NAMELINK_COMPONENT sdk
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT sdk)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/cpp/include/rtvoice DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT sdk)
if(TARGET samplerate)  # built here: the static library's users need it
  install(FILES $<TARGET_FILE:samplerate> DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT sdk)
endif()

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/rtvoice)
install(EXPORT rtvoice-targets NAMESPACE rtvoice:: DESTINATION ${package_dir} COMPONENT sdk)
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/rtvoiceConfig.cmake.in ${PROJECT_BINARY_DIR}/rtvoiceConfig.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/rtvoiceConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/rtvoiceConfig.cmake ${PROJECT_BINARY_DIR}/rtvoiceConfigVersion.cmake DESTINATION ${package_dir} COMPONENT sdk)

# Relative to the file itself, so that an unpacked archive works wherever it lies.
file(RELATIVE_PATH RTVOICE_PC_PREFIX "/prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/prefix")
list(TRANSFORM RTVOICE_STATIC_LIBS PREPEND "-l" OUTPUT_VARIABLE RTVOICE_PC_LIBS)
list(JOIN RTVOICE_PC_LIBS " " RTVOICE_PC_LIBS)
configure_file(${CMAKE_CURRENT_LIST_DIR}/rtvoice.pc.in ${PROJECT_BINARY_DIR}/rtvoice.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/rtvoice.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT sdk)
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE ${PROJECT_SOURCE_DIR}/THIRD_PARTY_NOTICES.md DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT sdk)
