// RtvoiceFX.h: a voice as a Wwise effect, in place on a bus or an actor. Written against Wwise's documentation; not built, not run.
#pragma once

#include <AK/SoundEngine/Common/IAkPlugin.h>

#include "voice.h"

// Of this plugin in the game's Wwise project; a company id of its own belongs here.
constexpr AkUInt32 kRtvoiceCompany = 64;
constexpr AkUInt32 kRtvoicePlugin = 0x5256;

// The parameters as Wwise's bank holds them, in this order.
class RtvoiceFXParams : public AK::IAkPluginParam {
 public:
  AK::IAkPluginParam* Clone(AK::IAkPluginMemAlloc* allocator) override;
  AKRESULT Init(AK::IAkPluginMemAlloc* allocator, const void* block, AkUInt32 size) override;
  AKRESULT Term(AK::IAkPluginMemAlloc* allocator) override;
  AKRESULT SetParamsBlock(const void* block, AkUInt32 size) override;
  AKRESULT SetParam(AkPluginParamID id, const void* value, AkUInt32 size) override;

  float mix = 1.0f;
  bool bypass = false;
};

class RtvoiceFX : public AK::IAkInPlaceEffectPlugin {
 public:
  AKRESULT Init(AK::IAkPluginMemAlloc* allocator, AK::IAkEffectPluginContext* context, AK::IAkPluginParam* parameters,
                AkAudioFormat& format) override;
  AKRESULT Term(AK::IAkPluginMemAlloc* allocator) override;
  AKRESULT Reset() override;
  AKRESULT GetPluginInfo(AkPluginInfo& info) override;
  void Execute(AkAudioBuffer* buffer) override;
  AKRESULT TimeSkip(AkUInt32 frames) override;

 private:
  RtvoiceFXParams* parameters_ = nullptr;
  rtv_voice voice_ = {};
};
