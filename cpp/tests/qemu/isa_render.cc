// isa_render MODEL.rtv, or the name of a made model: streams a fixed signal through a model and writes the output as raw floats. Run by isa_test with each instruction set.
#include <cstdio>

#include "../c_api/host.h"

int main(int argc, char** argv) {
  using namespace rtvoice::test;
  const std::string name = argc > 1 ? argv[1] : "gru";
  const ModelHandle model = name == "gru"         ? open_model(gru_model())
                            : name == "synthesis" ? open_model(synthesis_model())
                                                  : open_model(name);
  std::fprintf(stderr, "%s\n", rtv_isa());
  if (model == nullptr) return 1;
  const Samples out = stream(make_engine(model), test_signal(48000), 480);
  return std::fwrite(out.data(), sizeof(float), out.size(), stdout) == out.size() ? 0 : 1;
}
