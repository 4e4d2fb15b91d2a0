// rtvoice_godot4.cc: the audio effect AudioEffectRtvoice for Godot 4 (GDExtension, 4.1 and later), for a bus of the audio server.
//
//   var effect := AudioEffectRtvoice.new()
//   var error := effect.open(FileAccess.get_file_as_bytes("res://rtvoice/voice.rtv"), AudioServer.get_mix_rate())    # "" when it went well
//   AudioServer.add_bus_effect(AudioServer.get_bus_index("Voice"), effect)
//   effect.set_mix(0.8); effect.set_bypass(true); effect.latency()
#include <gdextension_interface.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <vector>

#include "voice.h"

#if defined(_WIN32)
#define EXPORT extern "C" __declspec(dllexport)
#else
#define EXPORT extern "C" __attribute__((visibility("default")))
#endif

namespace {

// ---- Godot's functions ----

struct Godot {
  GDExtensionClassLibraryPtr library;
  GDExtensionInterfaceStringNewWithUtf8Chars string_new;
  GDExtensionInterfaceVariantGetPtrConstructor constructor;
  GDExtensionInterfaceVariantGetPtrDestructor destructor;
  GDExtensionInterfaceVariantGetPtrBuiltinMethod builtin_method;
  GDExtensionInterfaceGetVariantFromTypeConstructor from_type;
  GDExtensionInterfaceGetVariantToTypeConstructor to_type;
  GDExtensionInterfacePackedByteArrayOperatorIndexConst byte_at;
  GDExtensionInterfaceClassdbRegisterExtensionClass register_class;
  GDExtensionInterfaceClassdbRegisterExtensionClassMethod register_method;
  GDExtensionInterfaceClassdbUnregisterExtensionClass unregister_class;
  GDExtensionInterfaceClassdbConstructObject construct;
  GDExtensionInterfaceObjectSetInstance set_instance;
  GDExtensionInterfaceRefSetObject ref_set;
  GDExtensionPtrBuiltInMethod bytes_size;
};

Godot godot;

template <class Function>
bool find(GDExtensionInterfaceGetProcAddress get, const char* name, Function* function) {
  *function = reinterpret_cast<Function>(get(name));
  return *function != nullptr;
}

// A String or StringName is one pointer. A StringName's is the same for the same text, so that names may be compared by it.
struct Text {
  explicit Text(const char* utf8) { godot.string_new(&data, utf8); }
  ~Text() { godot.destructor(GDEXTENSION_VARIANT_TYPE_STRING)(&data); }
  Text(const Text&) = delete;
  Text& operator=(const Text&) = delete;
  void* data = nullptr;
};

struct Name {
  explicit Name(const char* text) {
    Text string(text);
    GDExtensionConstTypePtr arguments[] = {&string.data};
    godot.constructor(GDEXTENSION_VARIANT_TYPE_STRING_NAME, 2)(&data, arguments);
  }
  ~Name() { godot.destructor(GDEXTENSION_VARIANT_TYPE_STRING_NAME)(&data); }
  Name(const Name&) = delete;
  Name& operator=(const Name&) = delete;
  bool operator==(GDExtensionConstStringNamePtr other) const { return data == *static_cast<void* const*>(other); }
  void* data = nullptr;
};

struct Names {
  Name effect{"AudioEffectRtvoice"}, instance{"AudioEffectRtvoiceInstance"};
  Name effect_base{"AudioEffect"}, instance_base{"AudioEffectInstance"};
  Name instantiate{"_instantiate"}, process{"_process"}, process_silence{"_process_silence"}, none{""};
};

Names* names;

// ---- What an effect and its instances share ----

struct Shared {
  std::vector<unsigned char> model;
  std::atomic<uint32_t> rate{0}, latency{0};
  std::atomic<float> mix{1.0f};
  std::atomic<bool> bypass{false};
};

struct Effect {
  std::shared_ptr<Shared> shared;
};

struct Instance {
  std::shared_ptr<Shared> shared;
  rtv_voice voice;
};

GDExtensionObjectPtr make_instance(void*) {
  GDExtensionObjectPtr object = godot.construct(&names->instance_base.data);
  Instance* made = new (std::nothrow) Instance();
  if (made != nullptr) std::memset(&made->voice, 0, sizeof made->voice);
  godot.set_instance(object, &names->instance.data, made);
  return object;
}

void free_instance(void*, GDExtensionClassInstancePtr self) {
  Instance* instance = static_cast<Instance*>(self);
  if (instance != nullptr) voice_close(&instance->voice);
  delete instance;
}

// _process(const void* source, AudioFrame* target, int32 frames) on the audio thread. An AudioFrame is left and right, as floats.
void call_process(GDExtensionClassInstancePtr self, const GDExtensionConstTypePtr* arguments, GDExtensionTypePtr) {
  Instance* instance = static_cast<Instance*>(self);
  const float* in = *static_cast<const float* const*>(arguments[0]);
  float* out = *static_cast<float* const*>(arguments[1]);
  const uint32_t frames = static_cast<uint32_t>(*static_cast<const int64_t*>(arguments[2]));
  if (instance == nullptr || instance->voice.engine == nullptr) {
    std::memset(out, 0, frames * 2 * sizeof(float));
    return;
  }
  voice_control(&instance->voice, instance->shared->mix.load(std::memory_order_relaxed),
                instance->shared->bypass.load(std::memory_order_relaxed));
  voice_process_interleaved(&instance->voice, in, out, frames);
}

// Called also when the bus is silent: the latency's tail has to come out, and time goes on.
void call_process_silence(GDExtensionClassInstancePtr, const GDExtensionConstTypePtr*, GDExtensionTypePtr result) {
  *static_cast<GDExtensionBool*>(result) = 1;
}

GDExtensionClassCallVirtual instance_virtual(void*, GDExtensionConstStringNamePtr name) {
  if (names->process == name) return call_process;
  if (names->process_silence == name) return call_process_silence;
  return nullptr;
}

GDExtensionObjectPtr make_effect(void*) {
  GDExtensionObjectPtr object = godot.construct(&names->effect_base.data);
  Effect* made = new (std::nothrow) Effect{std::make_shared<Shared>()};
  godot.set_instance(object, &names->effect.data, made);
  return object;
}

void free_effect(void*, GDExtensionClassInstancePtr self) { delete static_cast<Effect*>(self); }

// _instantiate() -> AudioEffectInstance: on the main thread, whenever the effect is put on a bus.
void call_instantiate(GDExtensionClassInstancePtr self, const GDExtensionConstTypePtr*, GDExtensionTypePtr result) {
  const std::shared_ptr<Shared>& shared = static_cast<Effect*>(self)->shared;
  GDExtensionObjectPtr object = godot.construct(&names->instance_base.data);
  Instance* instance = new (std::nothrow) Instance();
  if (instance != nullptr) {
    instance->shared = shared;
    std::memset(&instance->voice, 0, sizeof instance->voice);
    if (!shared->model.empty())
      voice_open_memory(&instance->voice, shared->model.data(), shared->model.size(), shared->rate.load(), 2);
  }
  godot.set_instance(object, &names->instance.data, instance);
  godot.ref_set(result, object);
}

GDExtensionClassCallVirtual effect_virtual(void*, GDExtensionConstStringNamePtr name) {
  return names->instantiate == name ? call_instantiate : nullptr;
}

// ---- Methods: one body, called with typed arguments or with Variants ----

// Opens once, to say at once what is wrong and how late the voice is. The next _instantiate takes the model.
void open(Effect* effect, GDExtensionTypePtr bytes, double rate, void* error) {
  int64_t size = 0;
  rtv_voice trial;
  godot.bytes_size(bytes, nullptr, &size, 0);
  const uint8_t* data = size > 0 ? godot.byte_at(bytes, 0) : nullptr;
  const uint32_t whole = rate > 0.0 && rate < 1e6 ? static_cast<uint32_t>(rate + 0.5) : 0;
  const rtv_status status = voice_open_memory(&trial, data, static_cast<size_t>(size), whole, 2);
  if (status == RTV_OK) {
    auto shared = std::make_shared<Shared>();
    shared->model.assign(data, data + size);
    shared->rate = whole;
    shared->latency = trial.latency;
    shared->mix = effect->shared->mix.load();
    shared->bypass = effect->shared->bypass.load();
    effect->shared = shared;
    voice_close(&trial);
  }
  godot.string_new(error, status == RTV_OK ? "" : rtv_last_error());
}

enum Method { kOpen, kLatency, kSetMix, kSetBypass };

void typed(void* method, GDExtensionClassInstancePtr self, const GDExtensionConstTypePtr* arguments,
           GDExtensionTypePtr result) {
  Effect* effect = static_cast<Effect*>(self);
  switch (static_cast<Method>(reinterpret_cast<intptr_t>(method))) {
    case kOpen:
      godot.destructor(GDEXTENSION_VARIANT_TYPE_STRING)(result);
      open(effect, const_cast<void*>(arguments[0]), *static_cast<const double*>(arguments[1]), result);
      break;
    case kLatency:
      *static_cast<int64_t*>(result) = effect->shared->latency;
      break;
    case kSetMix:
      effect->shared->mix = static_cast<float>(*static_cast<const double*>(arguments[0]));
      break;
    case kSetBypass:
      effect->shared->bypass = *static_cast<const GDExtensionBool*>(arguments[0]) != 0;
      break;
  }
}

template <class Value>
Value value_of(GDExtensionConstVariantPtr variant, GDExtensionVariantType type) {
  Value value{};
  godot.to_type(type)(&value, const_cast<void*>(variant));
  return value;
}

void dynamic(void* method, GDExtensionClassInstancePtr self, const GDExtensionConstVariantPtr* arguments,
             GDExtensionInt count, GDExtensionVariantPtr result, GDExtensionCallError* error) {
  static const GDExtensionInt kCounts[] = {2, 0, 1, 1};
  const Method which = static_cast<Method>(reinterpret_cast<intptr_t>(method));
  Effect* effect = static_cast<Effect*>(self);
  if (count != kCounts[which]) {
    error->error =
        count < kCounts[which] ? GDEXTENSION_CALL_ERROR_TOO_FEW_ARGUMENTS : GDEXTENSION_CALL_ERROR_TOO_MANY_ARGUMENTS;
    error->argument = error->expected = static_cast<int32_t>(kCounts[which]);
    return;
  }
  if (which == kOpen) {
    struct {
      void* opaque[2];
    } bytes{};
    void* text = nullptr;
    godot.to_type(GDEXTENSION_VARIANT_TYPE_PACKED_BYTE_ARRAY)(&bytes, const_cast<void*>(arguments[0]));
    open(effect, &bytes, value_of<double>(arguments[1], GDEXTENSION_VARIANT_TYPE_FLOAT), &text);
    godot.from_type(GDEXTENSION_VARIANT_TYPE_STRING)(result, &text);
    godot.destructor(GDEXTENSION_VARIANT_TYPE_STRING)(&text);
    godot.destructor(GDEXTENSION_VARIANT_TYPE_PACKED_BYTE_ARRAY)(&bytes);
  } else if (which == kLatency) {
    int64_t samples = effect->shared->latency;
    godot.from_type(GDEXTENSION_VARIANT_TYPE_INT)(result, &samples);
  } else if (which == kSetMix) {
    effect->shared->mix = static_cast<float>(value_of<double>(arguments[0], GDEXTENSION_VARIANT_TYPE_FLOAT));
  } else {
    effect->shared->bypass = value_of<GDExtensionBool>(arguments[0], GDEXTENSION_VARIANT_TYPE_BOOL) != 0;
  }
}

// ---- Registration ----

void add_method(Method which, const char* text, std::vector<GDExtensionVariantType> types,
                GDExtensionVariantType result) {
  Name name(text);
  Text none("");
  GDExtensionPropertyInfo plain = {
      GDEXTENSION_VARIANT_TYPE_NIL, &names->none.data, &names->none.data, 0, &none.data, 6};
  std::vector<GDExtensionPropertyInfo> arguments(types.size(), plain);
  std::vector<GDExtensionClassMethodArgumentMetadata> metadata(types.size(), GDEXTENSION_METHOD_ARGUMENT_METADATA_NONE);
  for (size_t i = 0; i < types.size(); ++i) arguments[i].type = types[i];
  GDExtensionPropertyInfo returned = plain;
  returned.type = result;
  GDExtensionClassMethodInfo info{};
  info.name = &name.data;
  info.method_userdata = reinterpret_cast<void*>(static_cast<intptr_t>(which));
  info.call_func = dynamic;
  info.ptrcall_func = typed;
  info.method_flags = GDEXTENSION_METHOD_FLAGS_DEFAULT;
  info.has_return_value = result != GDEXTENSION_VARIANT_TYPE_NIL;
  info.return_value_info = &returned;
  info.argument_count = static_cast<uint32_t>(types.size());
  info.arguments_info = arguments.data();
  info.arguments_metadata = metadata.data();
  godot.register_method(godot.library, &names->effect.data, &info);
}

void initialize(void*, GDExtensionInitializationLevel level) {
  if (level != GDEXTENSION_INITIALIZATION_SCENE) return;
  names = new (std::nothrow) Names();
  if (names == nullptr) return;
  const Name size("size");
  godot.bytes_size = godot.builtin_method(GDEXTENSION_VARIANT_TYPE_PACKED_BYTE_ARRAY, &size.data, 3173160232);
  GDExtensionClassCreationInfo instance{};
  instance.create_instance_func = make_instance;
  instance.free_instance_func = free_instance;
  instance.get_virtual_func = instance_virtual;
  godot.register_class(godot.library, &names->instance.data, &names->instance_base.data, &instance);
  GDExtensionClassCreationInfo effect{};
  effect.create_instance_func = make_effect;
  effect.free_instance_func = free_effect;
  effect.get_virtual_func = effect_virtual;
  godot.register_class(godot.library, &names->effect.data, &names->effect_base.data, &effect);
  add_method(kOpen, "open", {GDEXTENSION_VARIANT_TYPE_PACKED_BYTE_ARRAY, GDEXTENSION_VARIANT_TYPE_FLOAT},
             GDEXTENSION_VARIANT_TYPE_STRING);
  add_method(kLatency, "latency", {}, GDEXTENSION_VARIANT_TYPE_INT);
  add_method(kSetMix, "set_mix", {GDEXTENSION_VARIANT_TYPE_FLOAT}, GDEXTENSION_VARIANT_TYPE_NIL);
  add_method(kSetBypass, "set_bypass", {GDEXTENSION_VARIANT_TYPE_BOOL}, GDEXTENSION_VARIANT_TYPE_NIL);
}

void deinitialize(void*, GDExtensionInitializationLevel level) {
  if (level != GDEXTENSION_INITIALIZATION_SCENE || names == nullptr) return;
  godot.unregister_class(godot.library, &names->effect.data);
  godot.unregister_class(godot.library, &names->instance.data);
  delete names;
  names = nullptr;
}

}  // namespace

EXPORT GDExtensionBool rtvoice_godot4_init(GDExtensionInterfaceGetProcAddress get, GDExtensionClassLibraryPtr library,
                                           GDExtensionInitialization* initialization) {
  godot.library = library;
  initialization->minimum_initialization_level = GDEXTENSION_INITIALIZATION_SCENE;
  initialization->initialize = initialize;
  initialization->deinitialize = deinitialize;
  return find(get, "string_new_with_utf8_chars", &godot.string_new) &&
         find(get, "variant_get_ptr_constructor", &godot.constructor) &&
         find(get, "variant_get_ptr_destructor", &godot.destructor) &&
         find(get, "variant_get_ptr_builtin_method", &godot.builtin_method) &&
         find(get, "get_variant_from_type_constructor", &godot.from_type) &&
         find(get, "get_variant_to_type_constructor", &godot.to_type) &&
         find(get, "packed_byte_array_operator_index_const", &godot.byte_at) &&
         find(get, "classdb_register_extension_class", &godot.register_class) &&
         find(get, "classdb_register_extension_class_method", &godot.register_method) &&
         find(get, "classdb_unregister_extension_class", &godot.unregister_class) &&
         find(get, "classdb_construct_object", &godot.construct) &&
         find(get, "object_set_instance", &godot.set_instance) && find(get, "ref_set_object", &godot.ref_set);
}
