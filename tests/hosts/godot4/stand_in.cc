// stand_in.cc: as much of Godot 4's side of GDExtension as AudioEffectRtvoice touches, to run raw audio through the extension. It follows Godot's header
// and documentation; it is not Godot.
//
//   stand_in EXTENSION.so MODEL.rtv IN.f32 OUT.f32 FRAMES.txt RATE        stereo
#include <dlfcn.h>
#include <gdextension_interface.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace {

struct Bytes {
  const std::vector<char>* data;
  void* unused;
};

struct Variant {
  int64_t type;
  union {
    int64_t whole;
    double real;
    void* pointer;
    Bytes bytes;
  };
};

struct Object {
  std::string base, name;
  void* instance;
};

struct Method {
  GDExtensionClassMethodInfo info;
  uint32_t arguments;
};

std::set<std::string> interned;
std::map<std::string, GDExtensionClassCreationInfo> classes;
std::map<std::string, std::string> parents;
std::map<std::string, Method> methods;
int failures = 0;
int strings = 0;

void check(bool holds, const char* what) {
  if (!holds) {
    std::fprintf(stderr, "stand_in: %s\n", what);
    ++failures;
  }
}

const void* name_of(const char* text) { return interned.insert(text).first->c_str(); }
std::string text_of(const void* slot) { return *static_cast<const char* const*>(slot); }

void string_new(void* slot, const char* text) {
  *static_cast<char**>(slot) = strdup(text);
  ++strings;
}
void string_free(void* slot) {
  if (*static_cast<char**>(slot) != nullptr) --strings;
  std::free(*static_cast<char**>(slot));
}
void nothing_free(void*) {}
void name_new(void* slot, const GDExtensionConstTypePtr* arguments) {
  *static_cast<const void**>(slot) = name_of(text_of(arguments[0]).c_str());
}
GDExtensionPtrConstructor constructor(GDExtensionVariantType type, int32_t which) {
  check(type == GDEXTENSION_VARIANT_TYPE_STRING_NAME && which == 2, "an unexpected constructor was asked for");
  return name_new;
}
GDExtensionPtrDestructor destructor(GDExtensionVariantType type) {
  return type == GDEXTENSION_VARIANT_TYPE_STRING ? string_free : nothing_free;
}
void bytes_size(void* base, const GDExtensionConstTypePtr*, void* result, int) {
  *static_cast<int64_t*>(result) = static_cast<int64_t>(static_cast<Bytes*>(base)->data->size());
}
GDExtensionPtrBuiltInMethod builtin_method(GDExtensionVariantType type, const void* name, GDExtensionInt hash) {
  check(type == GDEXTENSION_VARIANT_TYPE_PACKED_BYTE_ARRAY && text_of(name) == "size" && hash == 3173160232,
        "an unexpected method was asked for");
  return bytes_size;
}
const uint8_t* byte_at(const void* base, GDExtensionInt index) {
  return reinterpret_cast<const uint8_t*>(static_cast<const Bytes*>(base)->data->data()) + index;
}
void from_text(void* variant, void* value) {
  string_new(&static_cast<Variant*>(variant)->pointer, *static_cast<char**>(value));
}
void from_whole(void* variant, void* value) { static_cast<Variant*>(variant)->whole = *static_cast<int64_t*>(value); }
GDExtensionVariantFromTypeConstructorFunc from_type(GDExtensionVariantType type) {
  return type == GDEXTENSION_VARIANT_TYPE_STRING ? from_text : from_whole;
}
void to_bytes(void* value, void* variant) { *static_cast<Bytes*>(value) = static_cast<Variant*>(variant)->bytes; }
void to_real(void* value, void* variant) { *static_cast<double*>(value) = static_cast<Variant*>(variant)->real; }
void to_bool(void* value, void* variant) {
  *static_cast<GDExtensionBool*>(value) = static_cast<Variant*>(variant)->whole != 0;
}
GDExtensionTypeFromVariantConstructorFunc to_type(GDExtensionVariantType type) {
  return type == GDEXTENSION_VARIANT_TYPE_PACKED_BYTE_ARRAY ? to_bytes
         : type == GDEXTENSION_VARIANT_TYPE_FLOAT           ? to_real
                                                            : to_bool;
}
void register_class(void*, const void* name, const void* parent, const GDExtensionClassCreationInfo* info) {
  classes[text_of(name)] = *info;
  parents[text_of(name)] = text_of(parent);
}
void register_method(void*, const void* owner, const GDExtensionClassMethodInfo* info) {
  check(text_of(owner) == "AudioEffectRtvoice", "a method of another class");
  methods[text_of(info->name)] = {*info, info->argument_count};
}
void unregister_class(void*, const void* name) { classes.erase(text_of(name)); }
void* construct(const void* name) { return new Object{text_of(name), "", nullptr}; }
void set_instance(void* object, const void* name, void* instance) {
  static_cast<Object*>(object)->name = text_of(name);
  static_cast<Object*>(object)->instance = instance;
}
void ref_set(void* ref, void* object) { *static_cast<void**>(ref) = object; }

GDExtensionInterfaceFunctionPtr get_proc(const char* name) {
  static const std::map<std::string, void*> kFunctions = {
      {"string_new_with_utf8_chars", reinterpret_cast<void*>(string_new)},
      {"variant_get_ptr_constructor", reinterpret_cast<void*>(constructor)},
      {"variant_get_ptr_destructor", reinterpret_cast<void*>(destructor)},
      {"variant_get_ptr_builtin_method", reinterpret_cast<void*>(builtin_method)},
      {"get_variant_from_type_constructor", reinterpret_cast<void*>(from_type)},
      {"get_variant_to_type_constructor", reinterpret_cast<void*>(to_type)},
      {"packed_byte_array_operator_index_const", reinterpret_cast<void*>(byte_at)},
      {"classdb_register_extension_class", reinterpret_cast<void*>(register_class)},
      {"classdb_register_extension_class_method", reinterpret_cast<void*>(register_method)},
      {"classdb_unregister_extension_class", reinterpret_cast<void*>(unregister_class)},
      {"classdb_construct_object", reinterpret_cast<void*>(construct)},
      {"object_set_instance", reinterpret_cast<void*>(set_instance)},
      {"ref_set_object", reinterpret_cast<void*>(ref_set)},
  };
  const auto found = kFunctions.find(name);
  return found == kFunctions.end() ? nullptr : reinterpret_cast<GDExtensionInterfaceFunctionPtr>(found->second);
}

std::vector<char> read(const char* path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// effect.open(bytes, rate) with Variants, as GDScript calls it.
std::string open(Object* effect, const std::vector<char>& model, double rate) {
  Variant bytes{}, real{}, result{};
  bytes.bytes.data = &model;
  real.real = rate;
  const void* arguments[] = {&bytes, &real};
  GDExtensionCallError error{};
  const GDExtensionClassMethodInfo& method = methods.at("open").info;
  method.call_func(method.method_userdata, effect->instance, arguments, 2, &result, &error);
  check(error.error == GDEXTENSION_CALL_OK, "open was refused");
  std::string said = static_cast<char*>(result.pointer);
  string_free(&result.pointer);
  method.call_func(method.method_userdata, effect->instance, arguments, 1, &result, &error);
  check(error.error == GDEXTENSION_CALL_ERROR_TOO_FEW_ARGUMENTS, "open with one argument was not refused");
  return said;
}

GDExtensionClassCallVirtual virtual_of(const Object* object, const char* text) {
  const void* name = name_of(text);
  return classes.at(object->name).get_virtual_func(nullptr, &name);
}

void release(Object* object) {
  classes.at(object->name).free_instance_func(nullptr, object->instance);
  delete object;
}

void run(Object* instance, std::vector<float>* samples, const std::vector<char>& sizes) {
  const GDExtensionClassCallVirtual process = virtual_of(instance, "_process");
  check(virtual_of(instance, "_nonsense") == nullptr, "an unknown virtual was found");
  const std::string text(sizes.begin(), sizes.end());
  const char* at = text.c_str();
  std::vector<float> out(samples->size());
  for (size_t done = 0, total = samples->size() / 2; done < total;) {
    char* end = nullptr;
    const unsigned long wanted = std::strtoul(at, &end, 10);
    if (end == at) {
      at = text.c_str();
      continue;
    }
    at = end;
    const int64_t now = static_cast<int64_t>(wanted < total - done ? wanted : total - done);
    const float* from = samples->data() + done * 2;
    float* to = out.data() + done * 2;
    const void* arguments[] = {&from, &to, &now};
    process(instance->instance, arguments, nullptr);
    done += static_cast<size_t>(now);
  }
  samples->swap(out);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 7) return 2;
  void* library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  auto entry = library == nullptr
                   ? nullptr
                   : reinterpret_cast<GDExtensionInitializationFunction>(dlsym(library, "rtvoice_godot4_init"));
  GDExtensionInitialization init{};
  if (entry == nullptr || !entry(get_proc, nullptr, &init)) return 1;
  for (int level = init.minimum_initialization_level; level < GDEXTENSION_MAX_INITIALIZATION_LEVEL; ++level)
    init.initialize(init.userdata, static_cast<GDExtensionInitializationLevel>(level));
  check(parents["AudioEffectRtvoice"] == "AudioEffect", "the effect is no AudioEffect");
  check(parents["AudioEffectRtvoiceInstance"] == "AudioEffectInstance", "its instance is no AudioEffectInstance");
  check(methods.size() == 4 && methods.at("open").arguments == 2, "the methods are not those described");

  auto* effect = static_cast<Object*>(classes.at("AudioEffectRtvoice").create_instance_func(nullptr));
  check(open(effect, {'n', 'o'}, 48000) != "", "bytes that are no model were opened");
  const std::vector<char> model = read(argv[2]);
  check(open(effect, model, 1) != "", "a rate of 1 Hz was taken");
  check(open(effect, model, std::strtod(argv[6], nullptr)) == "", "the model was not opened");
  int64_t latency = 0;
  methods.at("latency").info.ptrcall_func(methods.at("latency").info.method_userdata, effect->instance, nullptr,
                                          &latency);
  void* ref = nullptr;
  virtual_of(effect, "_instantiate")(effect->instance, nullptr, &ref);
  auto* instance = static_cast<Object*>(ref);
  check(instance->base == "AudioEffectInstance", "what was instantiated is no instance");
  release(effect);  // a bus keeps its instance
  const std::vector<char> raw = read(argv[3]);
  std::vector<float> samples(raw.size() / sizeof(float));
  std::memcpy(samples.data(), raw.data(), samples.size() * sizeof(float));
  run(instance, &samples, read(argv[5]));
  release(instance);
  for (int level = GDEXTENSION_MAX_INITIALIZATION_LEVEL - 1; level >= init.minimum_initialization_level; --level)
    init.deinitialize(init.userdata, static_cast<GDExtensionInitializationLevel>(level));
  check(classes.empty(), "a class stayed registered");
  check(strings == 0, "strings were not given back");
  std::ofstream(argv[4], std::ios::binary)
      .write(reinterpret_cast<const char*>(samples.data()),
             static_cast<std::streamsize>(samples.size() * sizeof(float)));
  std::printf("latency %lld\n", static_cast<long long>(latency));
  return failures != 0;
}
