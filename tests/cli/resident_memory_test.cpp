#include "cli/resident_memory.hpp"

#include "cli/checkpoint.hpp"
#include "cli/process.hpp"

namespace assay {
namespace {

/// An encoder converted to int8, whose weights take a quarter of what f32 would.
class ResidentMemory : public testing::Test {
 protected:
  void SetUp() override {
    test::expect_success({"quantize", source_, "--to", "int8,int4", "-o", folder_ / "out"});
  }
  const std::string source_ = test::source_file("tests/models/encoders/bert-sequence").string();
  test::TemporaryFolder folder_;
};

TEST_F(ResidentMemory, QuantizedWeightsStayQuantized) {
  for (const char* name : {"out/int8", "out/int4"}) {
    const Check check = check_resident_memory(folder_ / name, {.threads = 1});
    EXPECT_TRUE(check.ok) << check.detail;
    EXPECT_EQ(check.name, "resident memory");
  }
}

TEST_F(ResidentMemory, AnEngineThatExpandsThemIsSeen) {
  for (const char* name : {"out/int8", "out/int4"})
    EXPECT_FALSE(check_resident_memory(folder_ / name, {.threads = 1, .compute = Compute::kExact}).ok)
        << name;
}

TEST_F(ResidentMemory, FloatsThatAreCalledInt8DoNotVerify) {
  std::filesystem::copy_file(source_ + "/model.safetensors", folder_ / "out/int8/model.safetensors",
                             std::filesystem::copy_options::overwrite_existing);
  const nlohmann::json document =
      test::run_assay({"verify", folder_ / "out/int8", "--against", source_, "--json"}).json();
  EXPECT_EQ(document.at("ok"), false);
  for (const nlohmann::json& check : document.at("checks")) {
    const bool sees = check.at("name") == "resident memory" || check.at("name") == "opens";
    EXPECT_TRUE(!sees || !check.at("ok").get<bool>()) << check;
  }
}

TEST_F(ResidentMemory, WhatCannotRunFailsTheCheck) {
  std::filesystem::remove(folder_ / "out/int8/tokenizer.json");
  EXPECT_FALSE(check_resident_memory(folder_ / "out/int8", {.threads = 1}).ok);
}

}  // namespace
}  // namespace assay
