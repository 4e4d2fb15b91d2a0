// SourceEffectRtvoice.h: a voice as a source effect preset for Unreal's audio mixer. Written against Unreal's documentation; not built, not run.
#pragma once

#include "CoreMinimal.h"
#include "Engine/EngineTypes.h"
#include "Sound/SoundEffectSource.h"
#include "SourceEffectRtvoice.generated.h"
#include "rtvoice/rtvoice.h"

USTRUCT(BlueprintType)
struct RTVOICE_API FSourceEffectRtvoiceSettings {
  GENERATED_USTRUCT_BODY()

  /** The voice, a .rtv file, relative to the project's content folder; package it as an additional non-asset file. */
  UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "Rtvoice")
  FString Voice = TEXT("Voices/whisper.rtv");

  /** 0: as it came in. 1: the voice alone. */
  UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "Rtvoice", meta = (ClampMin = "0.0", ClampMax = "1.0"))
  float Mix = 1.0f;

  /** The input, at equal latency. */
  UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "Rtvoice")
  bool bBypassVoice = false;
};

class RTVOICE_API FSourceEffectRtvoice : public FSoundEffectSource {
 public:
  virtual ~FSourceEffectRtvoice() override;

  virtual void Init(const FSoundEffectSourceInitData& InitData) override;
  virtual void OnPresetChanged() override;
  virtual void ProcessAudio(const FSoundEffectSourceInputData& InData, float* OutAudioBufferData) override;

 private:
  void Open(const FString& Voice);

  rtv_engine* Engine = nullptr;
  FString Opened;
  uint32 SampleRate = 48000;
  uint32 Channels = 1;
};

UCLASS(ClassGroup = AudioSourceEffect, meta = (BlueprintSpawnableComponent))
class RTVOICE_API USourceEffectRtvoicePreset : public USoundEffectSourcePreset {
  GENERATED_BODY()

 public:
  EFFECT_PRESET_METHODS(SourceEffectRtvoice)

  virtual FColor GetPresetColor() const override { return FColor(80, 130, 160); }

  UFUNCTION(BlueprintCallable, Category = "Rtvoice")
  void SetSettings(const FSourceEffectRtvoiceSettings& InSettings);

  UPROPERTY(EditAnywhere, Category = "Rtvoice", meta = (ShowOnlyInnerProperties))
  FSourceEffectRtvoiceSettings Settings;
};
