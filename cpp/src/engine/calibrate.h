// What share of one core a model takes here, by a short trial; and the tier that fits. Main thread only.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/model.h"
#include "rtvoice/rtvoice.h"

namespace rtvoice {

// CPU time over audio time, warm: the median of up to 32 calls of one hop, one channel, within 60 ms. Kept for the process by the model's content, the
// rates and the resampler: a second engine costs nothing.
rtv_status measure_load(const std::shared_ptr<Model>& model, const rtv_config& config, double* share,
                        std::string* error);

using MeasureLoad =
    std::function<rtv_status(const std::shared_ptr<Model>&, const rtv_config&, double* share, std::string* error)>;

// The first of `tiers` (best first) whose load, all channels together, is at most `most`; the last where none is. Tiers behind it are not measured.
rtv_status choose_tier(const std::vector<std::shared_ptr<Model>>& tiers, const rtv_config& config, double most,
                       const MeasureLoad& measure, size_t* chosen, std::string* error);

}  // namespace rtvoice
