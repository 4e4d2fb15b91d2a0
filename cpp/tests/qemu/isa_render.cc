// isa_render [MODEL.rtv]: streams a fixed signal through a model and writes the output as raw floats. Run by isa_test with each instruction set.
#include <cstdio>

#include "../c_api/host.h"

int main(int argc, char** argv) {
  using namespace rtvoice::test;
  const ModelHandle model = argc > 1 ? open_model(std::string(argv[1])) : open_model(gru_model());
  std::fprintf(stderr, "%s\n", rtv_isa());
  if (model == nullptr) return 1;
  const Samples out = stream(make_engine(model), test_signal(48000), 480);
  return std::fwrite(out.data(), sizeof(float), out.size(), stdout) == out.size() ? 0 : 1;
}
