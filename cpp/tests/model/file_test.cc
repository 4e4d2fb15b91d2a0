// Reading from a path: what is not a file, and what is one.
#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <fstream>

#include "test_file.h"

namespace rtvoice::test {
namespace {

namespace fs = std::filesystem;

class ModelFile : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("rtvoice_model_" + std::to_string(reinterpret_cast<uintptr_t>(this)) + "_" +
                                           testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string write(const std::string& name, const std::vector<uint8_t>& bytes) const {
    const fs::path path = folder_ / fs::u8path(name);
    std::ofstream(path, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    return path.u8string();
  }
  std::string error_of(const std::string& path) const {
    std::string error;
    EXPECT_EQ(read_model_file(path.c_str(), &error), nullptr);
    return error;
  }

  fs::path folder_;
};

TEST_F(ModelFile, IsReadAsItsBytesAre) {
  const std::vector<uint8_t> bytes = valid_file().bytes();
  std::string error;
  const auto from_file = read_model_file(write("model \xc3\xa9.rtv", bytes).c_str(), &error);
  ASSERT_NE(from_file, nullptr) << error;
  EXPECT_EQ(from_file->hash, read_model(bytes.data(), bytes.size(), &error)->hash);
}

TEST_F(ModelFile, MissingIsSaid) {
  EXPECT_NE(error_of((folder_ / "no.rtv").u8string()).find("does not exist; check the path"), std::string::npos);
}
TEST_F(ModelFile, DirectoryIsSaid) {
  EXPECT_NE(error_of(folder_.u8string()).find("is a directory"), std::string::npos);
}
TEST_F(ModelFile, EmptyFileIsSaid) { EXPECT_NE(error_of(write("empty.rtv", {})).find("is empty"), std::string::npos); }
TEST_F(ModelFile, EmptyPathIsSaid) { EXPECT_NE(error_of("").find("the path is empty"), std::string::npos); }
TEST_F(ModelFile, NullPathIsSaid) {
  std::string error;
  EXPECT_EQ(read_model_file(nullptr, &error), nullptr);
  EXPECT_NE(error.find("the path is empty"), std::string::npos);
}
TEST_F(ModelFile, OtherFileIsSaid) {
  const std::string text = "#!/bin/sh\necho this is not a model at all\n";
  EXPECT_NE(error_of(write("script.rtv", {text.begin(), text.end()})).find("this is no .rtv file"), std::string::npos);
}
TEST_F(ModelFile, TooLongIsRefusedUnread) {
  const std::string path = write("big.rtv", {0});
  fs::resize_file(fs::u8path(path), (uintmax_t{512} << 20) + 1);  // sparse
  EXPECT_NE(error_of(path).find("the limit is 536870912"), std::string::npos);
}
#ifdef __unix__
TEST_F(ModelFile, DevicesAreRefusedUnread) {
  EXPECT_NE(error_of("/dev/zero").find("is not a readable file"), std::string::npos);
}
#endif

}  // namespace
}  // namespace rtvoice::test
