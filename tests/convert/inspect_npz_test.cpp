#include <fstream>

#include "base/error.hpp"
#include "base/file.hpp"
#include "convert/conversion_metadata.hpp"
#include "convert/inspect.hpp"
#include "support/test_data.hpp"

namespace assay {
namespace {

// Archives of tests/golden/npz/make_npz.py.
Inspection inspect_golden(const std::string& name) {
  return inspect_path(test::source_file("tests/golden/npz/" + name));
}

std::string all_reasons(const Inspection& inspection) {
  std::string text;
  for (const std::string& reason : inspection.reasons) text += reason + "\n";
  return text;
}

const InspectedTensor& tensor_named(const Inspection& inspection, const std::string& name) {
  for (const InspectedTensor& tensor : inspection.tensors)
    if (tensor.name == name) return tensor;
  throw std::runtime_error("no tensor " + name);
}

const std::string kQuery = "transformer.layer.0.attention.q_lin.weight";

TEST(InspectNpz, FloatsBesideAScaleAndAZeroPointAreFake) {
  const Inspection inspection = inspect_golden("v1.npz");
  EXPECT_EQ(inspection.verdict, Verdict::kFake);
  EXPECT_EQ(inspection.tensors.size(), 5u);  // the companions are no weights
  const InspectedTensor& query = tensor_named(inspection, kQuery);
  EXPECT_EQ(query.evidence["stored"], "float32");
  EXPECT_EQ(query.evidence["bytes"], 24 * 32 * 4);
  EXPECT_LE(query.evidence["distinct_values"], 256);
  EXPECT_GT(query.evidence["distinct_values"], 64);
  EXPECT_NE(all_reasons(inspection).find("nothing saved"), std::string::npos);
  EXPECT_TRUE(tensor_named(inspection, "embeddings.word_embeddings.weight").evidence.is_null());
}

TEST(InspectNpz, TrueCodesAreQuantizedAndCounted) {
  const Inspection inspection = inspect_golden("v2.npz");
  EXPECT_EQ(inspection.verdict, Verdict::kMixed);  // the embeddings are floats
  const InspectedTensor& query = tensor_named(inspection, kQuery);
  EXPECT_TRUE(query.quantized);
  EXPECT_EQ(query.format, "int8");
  EXPECT_EQ(query.bytes, 24u * 32 + 4);
  EXPECT_GT(query.evidence["codes_used"], 100);
  EXPECT_EQ(std::max(-query.evidence["lowest_code"].get<int>(), query.evidence["highest_code"].get<int>()),
            127);
  EXPECT_TRUE(query.evidence["scale"].is_number());
  EXPECT_NE(all_reasons(inspection).find("2 tensors are int8 codes"), std::string::npos);
  EXPECT_EQ(inspection_json(inspection)["tensors"][1]["evidence"]["stored"], "int8");
}

TEST(InspectNpz, FourBitsThatLieInBytesAreFakeWhereFourArePromised) {
  const test::TemporaryFolder folder;
  const std::filesystem::path model = folder / "distilbert-mlx-q4-v2";
  std::filesystem::create_directory(model);
  std::filesystem::copy_file(test::source_file("tests/golden/npz/v2-4bit.npz"), model / "weights.npz");
  const Inspection named = inspect_path(model);
  EXPECT_EQ(named.verdict, Verdict::kFake);
  EXPECT_NE(all_reasons(named).find("codes of 8 bits"), std::string::npos);
  EXPECT_EQ(tensor_named(named, kQuery).evidence["codes_used"], 15);
  // The same where only the configuration says so.
  std::filesystem::rename(model, folder / "model");
  EXPECT_NE(inspect_path(folder / "model").verdict, Verdict::kFake);
  std::ofstream(folder / "model/config.json")
      << R"({"model_type": "distilbert", "quantization": {"bits": 4, "group_size": 64}})";
  EXPECT_EQ(inspect_path(folder / "model").verdict, Verdict::kFake);
}

TEST(InspectNpz, CodesThatSayNothingAreFake) {
  const Inspection inspection = inspect_golden("v2-dead.npz");
  EXPECT_EQ(inspection.verdict, Verdict::kFake);
  EXPECT_NE(all_reasons(inspection).find("2 of 255 codes"), std::string::npos);
}

TEST(InspectNpz, ImpossibleCodesAndScalesAreNamed) {
  const Inspection inspection = inspect_golden("v2-faults.npz");
  EXPECT_EQ(inspection.verdict, Verdict::kFake);
  ASSERT_EQ(inspection.contradictions.size(), 3u);
  EXPECT_NE(inspection.contradictions[0].find("q_lin.weight: its scale is nan"), std::string::npos);
  EXPECT_NE(inspection.contradictions[1].find("v_lin.weight: holds the code -128"), std::string::npos);
  EXPECT_NE(inspection.contradictions[2].find("v_lin.bias: a scale lies beside it"), std::string::npos);
}

TEST(InspectNpz, AToldSizeIsHeldToTheStoredOne) {
  const test::TemporaryFolder folder;
  std::filesystem::copy_file(test::source_file("tests/golden/npz/v2.npz"), folder / "weights.npz");
  const auto tell = [&](double mib) {
    std::ofstream(folder / kConversionMetadataName)
        << nlohmann::json{{"quantization", {{"actual_size_mb", mib}}}}.dump();
    return inspect_path(folder.path()).verdict;
  };
  const double stored = to_mib(inspect_golden("v2.npz").bytes);
  EXPECT_EQ(tell(stored), Verdict::kMixed);
  EXPECT_EQ(tell(stored + 1.0), Verdict::kFake);
}

TEST(ConversionMetadata, MeasurementsAreAppendedAndNothingElseMoves) {
  const test::TemporaryFolder folder;
  const std::filesystem::path path = folder / kConversionMetadataName;
  // Keys in an order that no sorting gives, as the old tool wrote them.
  std::ofstream(path)
      << R"({"model_name": "m", "quantization": {"bits": 8, "actual_size_mb": 65.5}, "device": "x"})";
  const auto before = nlohmann::ordered_json::parse(read_text_file(path));
  append_measurements(path, {{"cosine_mean", 0.999}});
  append_measurements(path, {{"cosine_mean", 0.998}});
  auto after = nlohmann::ordered_json::parse(read_text_file(path));
  ASSERT_EQ(after["measurements"].size(), 2u);
  EXPECT_EQ(after["measurements"][0]["cosine_mean"], 0.999);
  EXPECT_EQ(after["measurements"][1]["cosine_mean"], 0.998);
  EXPECT_TRUE(after["measurements"][0].contains("timestamp"));
  after.erase("measurements");
  EXPECT_EQ(after.dump(), before.dump());
}

TEST(ConversionMetadata, RefusesToAppendToWhatIsNoArray) {
  const test::TemporaryFolder folder;
  const std::filesystem::path path = folder / kConversionMetadataName;
  std::ofstream(path) << R"({"measurements": "none"})";
  EXPECT_THROW(append_measurements(path, {{"a", 1}}), Error);
  EXPECT_EQ(read_text_file(path), R"({"measurements": "none"})");
  EXPECT_THROW(append_measurements(folder / "absent.json", {{"a", 1}}), Error);
}

TEST(ConversionMetadata, BothGenerationsAreRead) {
  const test::TemporaryFolder folder;
  EXPECT_FALSE(read_size_claims(folder.path()));
  std::ofstream(folder / kConversionMetadataName)
      << R"({"quantization": {"bits": 8, "target_size_mb": 125, "actual_size_mb": 253.15},
             "size_accuracy_ratio": 2.0252})";
  const SizeClaims v1 = *read_size_claims(folder.path());
  EXPECT_EQ(v1.version, "v1");
  EXPECT_EQ(v1.actual_mb, 253.15);
  EXPECT_EQ(v1.size_accuracy_ratio, 2.0252);
  EXPECT_FALSE(v1.compression_ratio || v1.original_mb || v1.on_disk_bytes);
  std::ofstream(folder / kConversionMetadataName) << "[1]";
  EXPECT_THROW(read_size_claims(folder.path()), Error);
}

}  // namespace
}  // namespace assay
