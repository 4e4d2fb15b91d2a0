# libsamplerate: resampling between any two rates. The release archive, not the tag's generated one, whose bytes may change.
set(BUILD_TESTING OFF)
set(LIBSAMPLERATE_EXAMPLES OFF)
set(LIBSAMPLERATE_INSTALL OFF)
rtvoice_dependency(samplerate samplerate SampleRate::samplerate libsamplerate0-dev
  https://github.com/libsndfile/libsamplerate/releases/download/0.2.2/libsamplerate-0.2.2.tar.xz
  3258da280511d24b49d6b08615bbe824d0cacc9842b0e4caf11c52cf2b043893)
