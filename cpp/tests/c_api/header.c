/* The header alone, in C99. */
#include "rtvoice/rtvoice.h"

uint32_t header_in_c(void);
uint32_t header_in_c(void) { return rtv_version() + (uint32_t)sizeof(rtv_config) + (uint32_t)sizeof(rtv_stats); }
