/* rtvoice_godot3.c: the class Rtvoice for Godot 3 (GDNative): a voice for the PoolVector2Arrays that Godot's audio capture and generator exchange.
 *
 *   var voice = preload("res://rtvoice/rtvoice.gdns").new()
 *   var error = voice.open("res://rtvoice/voice.rtv", AudioServer.get_mix_rate(), 1)     # or a PoolByteArray; "" when it went well
 *   playback.push_buffer(voice.process(frames))
 */
#include <gdnative_api_struct.gen.h>
#include <stdlib.h>
#include <string.h>

#include "voice.h"

/* Godot's own macro leaves a name hidden where hidden is the default. */
#if defined(_WIN32)
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif

static const godot_gdnative_core_api_struct* api;
static const godot_gdnative_ext_nativescript_api_struct* scripts;

typedef struct stream {
  rtv_voice voice;
  float mix;
  int bypass;
  float* room; /* VOICE_MAX_FRAME frames of up to two channels */
} stream;

/* ---- Values to and from Godot ---- */

static godot_variant nothing(void) {
  godot_variant value;
  api->godot_variant_new_nil(&value);
  return value;
}

static godot_variant whole(int64_t number) {
  godot_variant value;
  api->godot_variant_new_int(&value, number);
  return value;
}

static godot_variant text(const char* utf8) {
  godot_variant value;
  godot_string string;
  api->godot_string_new(&string);
  api->godot_string_parse_utf8(&string, utf8);
  api->godot_variant_new_string(&value, &string);
  api->godot_string_destroy(&string);
  return value;
}

/* A malloc'ed UTF-8 string, or NULL. */
static char* utf8_of(const godot_variant* value) {
  godot_string string = api->godot_variant_as_string(value);
  godot_char_string chars = api->godot_string_utf8(&string);
  const char* data = api->godot_char_string_get_data(&chars);
  const size_t length = strlen(data);
  char* copy = malloc(length + 1);
  if (copy != NULL) memcpy(copy, data, length + 1);
  api->godot_char_string_destroy(&chars);
  api->godot_string_destroy(&string);
  return copy;
}

/* ---- Methods ---- */

static rtv_status open_bytes(stream* s, const godot_variant* value, uint32_t rate, uint32_t channels) {
  godot_pool_byte_array bytes = api->godot_variant_as_pool_byte_array(value);
  godot_pool_byte_array_read_access* access = api->godot_pool_byte_array_read(&bytes);
  const rtv_status status = voice_open_memory(&s->voice, api->godot_pool_byte_array_read_access_ptr(access),
                                              (size_t)api->godot_pool_byte_array_size(&bytes), rate, channels);
  api->godot_pool_byte_array_read_access_destroy(access);
  api->godot_pool_byte_array_destroy(&bytes);
  return status;
}

static rtv_status open_path(stream* s, const godot_variant* value, uint32_t rate, uint32_t channels) {
  char* path = utf8_of(value);
  const rtv_status status = path == NULL ? RTV_ERROR_MEMORY : voice_open(&s->voice, path, rate, channels);
  free(path);
  return status;
}

/* open(model: PoolByteArray or a path of the file system, rate, channels) -> String */
static godot_variant do_open(godot_object* object, void* method, void* user, int count, godot_variant** values) {
  stream* s = user;
  int64_t rate, channels;
  rtv_status status;
  (void)object;
  (void)method;
  if (count != 3) return text("open needs a model, a sample rate and 1 or 2 channels");
  rate = api->godot_variant_as_int(values[1]);
  channels = api->godot_variant_as_int(values[2]);
  if (channels < 1 || channels > 2 || rate < 1 || rate > 192000)
    return text("open needs a model, a sample rate and 1 or 2 channels");
  voice_close(&s->voice);
  status = api->godot_variant_get_type(values[0]) == GODOT_VARIANT_TYPE_POOL_BYTE_ARRAY
               ? open_bytes(s, values[0], (uint32_t)rate, (uint32_t)channels)
               : open_path(s, values[0], (uint32_t)rate, (uint32_t)channels);
  if (status != RTV_OK) return text(rtv_last_error());
  voice_control(&s->voice, s->mix, s->bypass);
  return text("");
}

/* One channel is what both of Godot's carry, the left one; two are a stream each. */
static void run(stream* s, const godot_vector2* in, godot_vector2* out, uint32_t frames) {
  const uint32_t channels = s->voice.channels == 0 ? 1 : s->voice.channels;
  uint32_t done, i;
  for (done = 0; done < frames;) {
    const uint32_t now = frames - done < VOICE_MAX_FRAME ? frames - done : VOICE_MAX_FRAME;
    for (i = 0; i < now; ++i) {
      s->room[i * channels] = api->godot_vector2_get_x(&in[done + i]);
      if (channels == 2) s->room[i * 2 + 1] = api->godot_vector2_get_y(&in[done + i]);
    }
    if (s->voice.engine == NULL)
      memset(s->room, 0, sizeof(float) * channels * now);
    else
      voice_process_interleaved(&s->voice, s->room, s->room, now);
    for (i = 0; i < now; ++i)
      api->godot_vector2_new(&out[done + i], s->room[i * channels], s->room[i * channels + channels - 1]);
    done += now;
  }
}

/* process(frames: PoolVector2Array) -> PoolVector2Array of the same length; silence while nothing is open */
static godot_variant do_process(godot_object* object, void* method, void* user, int count, godot_variant** values) {
  stream* s = user;
  godot_pool_vector2_array in, out;
  godot_variant result;
  uint32_t frames;
  (void)object;
  (void)method;
  if (count != 1 || api->godot_variant_get_type(values[0]) != GODOT_VARIANT_TYPE_POOL_VECTOR2_ARRAY) return nothing();
  in = api->godot_variant_as_pool_vector2_array(values[0]);
  frames = (uint32_t)api->godot_pool_vector2_array_size(&in);
  api->godot_pool_vector2_array_new(&out);
  api->godot_pool_vector2_array_resize(&out, (godot_int)frames);
  if (frames != 0) {
    godot_pool_vector2_array_read_access* from = api->godot_pool_vector2_array_read(&in);
    godot_pool_vector2_array_write_access* to = api->godot_pool_vector2_array_write(&out);
    run(s, api->godot_pool_vector2_array_read_access_ptr(from), api->godot_pool_vector2_array_write_access_ptr(to),
        frames);
    api->godot_pool_vector2_array_write_access_destroy(to);
    api->godot_pool_vector2_array_read_access_destroy(from);
  }
  api->godot_variant_new_pool_vector2_array(&result, &out);
  api->godot_pool_vector2_array_destroy(&out);
  api->godot_pool_vector2_array_destroy(&in);
  return result;
}

/* latency() -> int: samples from an input to its output, 0 while nothing is open */
static godot_variant do_latency(godot_object* object, void* method, void* user, int count, godot_variant** values) {
  (void)object;
  (void)method;
  (void)count;
  (void)values;
  return whole(((stream*)user)->voice.latency);
}

/* set_mix(value: float, 0 dry to 1 wet) */
static godot_variant do_set_mix(godot_object* object, void* method, void* user, int count, godot_variant** values) {
  stream* s = user;
  (void)object;
  (void)method;
  if (count == 1) s->mix = (float)api->godot_variant_as_real(values[0]);
  voice_control(&s->voice, s->mix, s->bypass);
  return nothing();
}

/* set_bypass(on: bool) */
static godot_variant do_set_bypass(godot_object* object, void* method, void* user, int count, godot_variant** values) {
  stream* s = user;
  (void)object;
  (void)method;
  if (count == 1) s->bypass = api->godot_variant_as_bool(values[0]);
  voice_control(&s->voice, s->mix, s->bypass);
  return nothing();
}

/* set_parameter(name: String, value: float) -> bool: whether the model has it */
static godot_variant do_set_parameter(godot_object* object, void* method, void* user, int count,
                                      godot_variant** values) {
  stream* s = user;
  godot_variant result;
  int okay = 0;
  (void)object;
  (void)method;
  if (count == 2 && s->voice.engine != NULL) {
    char* name = utf8_of(values[0]);
    const float value = (float)api->godot_variant_as_real(values[1]);
    okay = name != NULL && rtv_engine_set(s->voice.engine, name, &value, 1) == RTV_OK;
    free(name);
  }
  api->godot_variant_new_bool(&result, okay != 0);
  return result;
}

/* ---- The class ---- */

static void* make(godot_object* object, void* method) {
  stream* s = calloc(1, sizeof *s);
  (void)object;
  (void)method;
  if (s == NULL) return NULL;
  s->mix = 1.0f;
  s->room = calloc(2 * VOICE_MAX_FRAME, sizeof(float));
  if (s->room != NULL) return s;
  free(s);
  return NULL;
}

static void unmake(godot_object* object, void* method, void* user) {
  stream* s = user;
  (void)object;
  (void)method;
  if (s == NULL) return;
  voice_close(&s->voice);
  free(s->room);
  free(s);
}

typedef godot_variant (*method_function)(godot_object*, void*, void*, int, godot_variant**);

static void add(void* handle, const char* name, method_function function) {
  godot_method_attributes attributes = {GODOT_METHOD_RPC_MODE_DISABLED};
  godot_instance_method method = {NULL, NULL, NULL};
  method.method = function;
  scripts->godot_nativescript_register_method(handle, "Rtvoice", name, attributes, method);
}

EXPORT void godot_gdnative_init(godot_gdnative_init_options* options) {
  unsigned i;
  api = options->api_struct;
  for (i = 0; i < api->num_extensions; ++i)
    if (api->extensions[i]->type == GDNATIVE_EXT_NATIVESCRIPT)
      scripts = (const godot_gdnative_ext_nativescript_api_struct*)api->extensions[i];
}

EXPORT void godot_gdnative_terminate(godot_gdnative_terminate_options* options) {
  (void)options;
  api = NULL;
  scripts = NULL;
}

EXPORT void godot_nativescript_init(void* handle) {
  godot_instance_create_func create = {make, NULL, NULL};
  godot_instance_destroy_func destroy = {unmake, NULL, NULL};
  if (scripts == NULL) return;
  scripts->godot_nativescript_register_class(handle, "Rtvoice", "Reference", create, destroy);
  add(handle, "open", do_open);
  add(handle, "process", do_process);
  add(handle, "latency", do_latency);
  add(handle, "set_mix", do_set_mix);
  add(handle, "set_bypass", do_set_bypass);
  add(handle, "set_parameter", do_set_parameter);
}
