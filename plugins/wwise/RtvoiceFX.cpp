// RtvoiceFX.cpp: a voice as a Wwise effect. Written against Wwise's documentation; not built, not run.
#include "RtvoiceFX.h"

#include <AK/Tools/Common/AkBankReadHelpers.h>

namespace {

AK::IAkPlugin* create_effect(AK::IAkPluginMemAlloc* allocator) { return AK_PLUGIN_NEW(allocator, RtvoiceFX()); }

AK::IAkPluginParam* create_parameters(AK::IAkPluginMemAlloc* allocator) {
  return AK_PLUGIN_NEW(allocator, RtvoiceFXParams());
}

AK_IMPLEMENT_PLUGIN_FACTORY(RtvoiceFX, AkPluginTypeEffect, kRtvoiceCompany, kRtvoicePlugin)

}  // namespace

AK::IAkPluginParam* RtvoiceFXParams::Clone(AK::IAkPluginMemAlloc* allocator) {
  return AK_PLUGIN_NEW(allocator, RtvoiceFXParams(*this));
}

AKRESULT RtvoiceFXParams::Init(AK::IAkPluginMemAlloc*, const void* block, AkUInt32 size) {
  return size == 0 ? AK_Success : SetParamsBlock(block, size);
}

AKRESULT RtvoiceFXParams::Term(AK::IAkPluginMemAlloc* allocator) {
  AK_PLUGIN_DELETE(allocator, this);
  return AK_Success;
}

AKRESULT RtvoiceFXParams::SetParamsBlock(const void* block, AkUInt32 size) {
  AKRESULT result = AK_Success;
  AkUInt8* at = const_cast<AkUInt8*>(static_cast<const AkUInt8*>(block));
  mix = READBANKDATA(AkReal32, at, size);
  bypass = READBANKDATA(bool, at, size);
  CHECKBANKDATASIZE(size, result);
  return result;
}

AKRESULT RtvoiceFXParams::SetParam(AkPluginParamID id, const void* value, AkUInt32) {
  if (id == 0)
    mix = *static_cast<const AkReal32*>(value);
  else if (id == 1)
    bypass = *static_cast<const AkReal32*>(value) != 0.0f;
  else
    return AK_InvalidParameter;
  return AK_Success;
}

// The voice that RTVOICE_MODEL names, else voice.rtv in the game's working folder; each of the bus's channels is a stream of its own.
AKRESULT RtvoiceFX::Init(AK::IAkPluginMemAlloc*, AK::IAkEffectPluginContext*, AK::IAkPluginParam* parameters,
                         AkAudioFormat& format) {
  parameters_ = static_cast<RtvoiceFXParams*>(parameters);
  return voice_open(&voice_, "voice.rtv", format.uSampleRate, format.GetNumChannels()) == RTV_OK ? AK_Success : AK_Fail;
}

AKRESULT RtvoiceFX::Term(AK::IAkPluginMemAlloc* allocator) {
  voice_close(&voice_);
  AK_PLUGIN_DELETE(allocator, this);
  return AK_Success;
}

AKRESULT RtvoiceFX::Reset() {
  rtv_engine_reset(voice_.engine);
  return AK_Success;
}

AKRESULT RtvoiceFX::GetPluginInfo(AkPluginInfo& info) {
  info.eType = AkPluginTypeEffect;
  info.bIsInPlace = true;
  info.uBuildVersion = AK_WWISESDK_VERSION_COMBINED;
  return AK_Success;
}

// On Wwise's audio thread. Its buffers are planar, and may be shorter than uMaxFrames at the end of a sound.
void RtvoiceFX::Execute(AkAudioBuffer* buffer) {
  float* channels[VOICE_MAX_CHANNELS];
  const AkUInt32 count = buffer->NumChannels();
  if (count != voice_.channels || count > VOICE_MAX_CHANNELS) return;
  for (AkUInt32 c = 0; c < count; ++c) channels[c] = buffer->GetChannel(c);
  voice_control(&voice_, parameters_->mix, parameters_->bypass);
  voice_process(&voice_, channels, channels, buffer->uValidFrames);
}

AKRESULT RtvoiceFX::TimeSkip(AkUInt32) { return AK_DataReady; }
