// The header alone, in C++11.
#include "rtvoice/rtvoice.h"

uint32_t header_in_cxx();
uint32_t header_in_cxx() { return rtv_version() + static_cast<uint32_t>(sizeof(rtv_config) + sizeof(rtv_stats)); }
