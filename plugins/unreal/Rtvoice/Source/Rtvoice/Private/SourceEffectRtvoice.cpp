// SourceEffectRtvoice.cpp: a voice as a source effect preset for Unreal's audio mixer. Written against Unreal's documentation; not built, not run.
#include "SourceEffectRtvoice.h"

#include "Misc/FileHelper.h"
#include "Misc/Paths.h"
#include "Modules/ModuleManager.h"

IMPLEMENT_MODULE(FDefaultModuleImpl, Rtvoice)

DEFINE_LOG_CATEGORY_STATIC(LogRtvoice, Log, All);

namespace {
constexpr uint32 MaxFrame = 1024;  // the longest that the engine gets; Unreal's callbacks are cut to it
}

FSourceEffectRtvoice::~FSourceEffectRtvoice() { rtv_engine_destroy(Engine); }

void FSourceEffectRtvoice::Init(const FSoundEffectSourceInitData& InitData) {
  bIsActive = true;
  SampleRate = static_cast<uint32>(InitData.SampleRate);
  Channels = static_cast<uint32>(InitData.NumSourceChannels);
  GET_EFFECT_SETTINGS(SourceEffectRtvoice);
  Open(Settings.Voice);
}

// Milliseconds, and memory: where an effect is initialised or its voice changes, never in ProcessAudio. Through Unreal's own files, so that a
// voice inside a .pak is found.
void FSourceEffectRtvoice::Open(const FString& Voice) {
  rtv_engine_destroy(Engine);
  Engine = nullptr;
  Opened = Voice;
  TArray<uint8> Bytes;
  const FString Path = FPaths::Combine(FPaths::ProjectContentDir(), Voice);
  if (!FFileHelper::LoadFileToArray(Bytes, *Path)) {
    UE_LOG(LogRtvoice, Error, TEXT("%s cannot be read; package it as an additional non-asset file"), *Path);
    return;
  }
  rtv_model* Model = nullptr;
  rtv_config Config;
  rtv_config_init(&Config);
  Config.sample_rate = SampleRate;
  Config.channels = Channels;
  Config.max_frame = MaxFrame;
  if (rtv_model_open_memory(Bytes.GetData(), static_cast<size_t>(Bytes.Num()), &Model) != RTV_OK ||
      rtv_engine_create(Model, &Config, &Engine) != RTV_OK) {
    UE_LOG(LogRtvoice, Error, TEXT("%s: %s"), *Path, UTF8_TO_TCHAR(rtv_last_error()));
  }
  rtv_model_close(Model);
}

void FSourceEffectRtvoice::OnPresetChanged() {
  GET_EFFECT_SETTINGS(SourceEffectRtvoice);
  if (Settings.Voice != Opened) {
    Open(Settings.Voice);
  }
  if (Engine != nullptr) {
    rtv_engine_set(Engine, "mix", &Settings.Mix, 1);
    rtv_engine_bypass(Engine, Settings.bBypassVoice ? 1 : 0);
  }
}

void FSourceEffectRtvoice::ProcessAudio(const FSoundEffectSourceInputData& InData, float* OutAudioBufferData) {
  const float* In = InData.InputSourceEffectBufferPtr;
  uint32 Left = static_cast<uint32>(InData.NumSamples) / Channels;
  while (Left != 0) {
    const uint32 Now = FMath::Min(Left, MaxFrame);
    // Without an engine: silence. The player's own voice does not slip through a voice that is not there.
    if (Engine == nullptr || rtv_engine_process(Engine, In, OutAudioBufferData, Now) != RTV_OK) {
      FMemory::Memzero(OutAudioBufferData, Now * Channels * sizeof(float));
    }
    In += Now * Channels;
    OutAudioBufferData += Now * Channels;
    Left -= Now;
  }
}

void USourceEffectRtvoicePreset::SetSettings(const FSourceEffectRtvoiceSettings& InSettings) {
  UpdateSettings(InSettings);
}
