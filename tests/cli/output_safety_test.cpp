// Nothing half-written under a final name, nothing existing lost: refusals, a full disk, interrupted and
// killed runs.
#include "base/rng.hpp"
#include "cli/checkpoint.hpp"
#include "cli/process.hpp"

namespace assay {
namespace {

using test::expect_fault;
using test::Outcome;
using Tree = std::map<std::string, std::string>;

/// Names below `folder` that are temporaries of a run.
std::vector<std::string> find_temporaries(const std::filesystem::path& folder) {
  std::vector<std::string> found;
  for (const auto& [name, content] : test::read_tree(folder))
    if (name.starts_with(".")) found.push_back(name);
  return found;
}

class OutputTest : public testing::Test {
 protected:
  test::TemporaryFolder folder_;
  const std::string source_ = test::copy_checkpoint(folder_ / "source");
  const std::string out_ = folder_ / "out";
};

TEST_F(OutputTest, ExistingOutputsAreRefusedAndStayAsTheyAre) {
  test::expect_success({"quantize", source_, "--to", "mlx:4bit,gguf:Q8_0", "-o", out_});
  const Tree before = test::read_tree(out_);
  expect_fault({"quantize", source_, "--to", "mlx:4bit", "-o", out_},
               {"mlx-4bit", "already exists", "--overwrite"});
  expect_fault({"quantize", source_, "--to", "gguf:Q8_0", "-o", out_},
               {"source-Q8_0.gguf", "already exists", "--overwrite"});
  // One that exists stops the whole run before the first byte of the others.
  expect_fault({"quantize", source_, "--to", "gguf:F16,mlx:4bit", "-o", out_},
               {"mlx-4bit", "already exists"});
  EXPECT_EQ(test::read_tree(out_), before);
}

TEST_F(OutputTest, OverwriteReplacesWhatWasThere) {
  test::expect_success({"quantize", source_, "--to", "mlx:4bit,gguf:Q8_0", "-o", out_});
  const Tree before = test::read_tree(out_);
  test::write_file(folder_ / "out/source-Q8_0.gguf", "something else");
  test::write_file(folder_ / "out/mlx-4bit/left-over", "of an older version");
  test::expect_success({"quantize", source_, "--to", "mlx:4bit,gguf:Q8_0", "-o", out_, "--overwrite"});
  Tree after = test::read_tree(out_);
  EXPECT_FALSE(after.contains("mlx-4bit/left-over"));
  EXPECT_EQ(after.size(), before.size());
  EXPECT_EQ(after.at("source-Q8_0.gguf"), before.at("source-Q8_0.gguf"));
  EXPECT_EQ(after.at("mlx-4bit/model.safetensors"), before.at("mlx-4bit/model.safetensors"));
}

TEST_F(OutputTest, DumpsDoNotOverwriteEither) {
  const std::string file = folder_ / "values.f32";
  const std::vector<std::string> dump = {"inspect", source_, "--dump", "model.norm.weight", "-o", file};
  const std::vector<std::string> logits = {"eval", "logits", source_, "--ids", "1,2", "-o", file};
  test::write_file(file, "precious");
  expect_fault(dump, {"values.f32", "already exists"});
  expect_fault(logits, {"values.f32", "already exists"});
  EXPECT_EQ(test::read_file(file), "precious");
  std::vector<std::string> leave = dump;
  leave.emplace_back("--overwrite");
  test::expect_success(leave);
  EXPECT_EQ(test::read_file(file).size(), 256 * sizeof(float));
}

TEST_F(OutputTest, ADeviceIsNeverReplaced) {
  const std::string link = folder_ / "link";
  std::filesystem::create_symlink("/dev/null", link);
  expect_fault({"eval", "logits", source_, "--ids", "1", "-o", link, "--overwrite"}, {"cannot be replaced"});
  EXPECT_TRUE(std::filesystem::is_symlink(link));
  EXPECT_TRUE(std::filesystem::is_character_file(link));
}

TEST_F(OutputTest, AFileWhereTheFolderShouldBe) {
  test::write_file(folder_ / "out", "a file");
  expect_fault({"quantize", source_, "--to", "q4", "-o", out_}, {"out", "cannot make the folder"});
  expect_fault({"quantize", source_, "--to", "q4", "-o", out_ + "/deeper"},
               {"out/deeper", "cannot make the folder"});
  EXPECT_EQ(test::read_file(out_), "a file");
}

TEST_F(OutputTest, AFullDiskLeavesNothing) {
  for (const char* recipe : {"gguf:Q8_0", "mlx:8bit", "gguf:BF16,mlx:4bit"}) {
    expect_fault({"quantize", source_, "--to", recipe, "-o", out_}, {"cannot write", "File too large"},
                 {.largest_file = 200000});
    EXPECT_FALSE(std::filesystem::exists(out_)) << recipe;
  }
}

TEST_F(OutputTest, ADiskThatFillsUpKeepsWhatWasFinished) {
  // Q4_K_M takes 340,096 bytes, 8-bit MLX weights 526,592.
  expect_fault({"quantize", source_, "--to", "gguf:Q4_K_M,mlx:8bit", "-o", out_},
               {out_ + "/mlx-8bit/model.safetensors", "cannot write"}, {.largest_file = 400000});
  const Tree left = test::read_tree(out_);
  EXPECT_EQ(left.size(), 2u);
  EXPECT_TRUE(left.contains("assay.json"));
  EXPECT_EQ(left.at("source-Q4_K_M.gguf").size(), 340096u);
  const nlohmann::json checks =
      test::expect_success({"verify", out_ + "/source-Q4_K_M.gguf", "--against", source_, "--json"}).json();
  EXPECT_EQ(checks["ok"], true);
}

TEST_F(OutputTest, AFullDiskDoesNotHarmWhatExists) {
  test::expect_success({"quantize", source_, "--to", "mlx:8bit,gguf:Q8_0", "-o", out_});
  const Tree before = test::read_tree(out_);
  for (const char* recipe : {"mlx:8bit", "gguf:Q8_0"})
    expect_fault({"quantize", source_, "--to", recipe, "-o", out_, "--overwrite"}, {"cannot write"},
                 {.largest_file = 200000});
  EXPECT_EQ(test::read_tree(out_), before);
}

TEST_F(OutputTest, AFullDiskBehindStandardOutputIsAFailure) {
  if (!std::filesystem::is_character_file("/dev/full")) GTEST_SKIP() << "no /dev/full";
  const std::string binary = ASSAY_BINARY;
  for (const std::string& arguments : {"inspect " + source_, "inspect " + source_ + " --json",
                                       std::string("--help"), "quantize " + source_ + " --to q4 --dry-run"}) {
    const int status =
        std::system((binary + " " + arguments + " > /dev/full 2> " + (folder_ / "line").string()).c_str());
    EXPECT_EQ(WEXITSTATUS(status), 1) << arguments;
    EXPECT_EQ(test::read_file(folder_ / "line"), "assay: cannot write to standard output\n") << arguments;
  }
}

/// A checkpoint large enough that a conversion can be stopped in its middle: 21 million weights.
class InterruptTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new test::TemporaryFolder;
    const std::filesystem::path source = test::copy_checkpoint(*folder_ / "big");
    test::change_json(source / "config.json", [](nlohmann::ordered_json& config) {
      config["hidden_size"] = 1024;
      config["intermediate_size"] = 2048;
      config["num_hidden_layers"] = 2;
      config["num_key_value_heads"] = 8;
      config["head_dim"] = 128;
    });
    write_weights(source / "model.safetensors");
  }
  static void TearDownTestSuite() { delete folder_; }

  static void write_weights(const std::filesystem::path& path) {
    test::RawSafetensors raw;
    std::map<std::string, std::vector<int>> shapes = {{"model.embed_tokens.weight", {384, 1024}},
                                                      {"model.norm.weight", {1024}}};
    for (const std::string layer : {"model.layers.0.", "model.layers.1."}) {
      for (const char* name : {"q_proj", "k_proj", "v_proj", "o_proj"})
        shapes[layer + "self_attn." + name + ".weight"] = {1024, 1024};
      shapes[layer + "mlp.gate_proj.weight"] = shapes[layer + "mlp.up_proj.weight"] = {2048, 1024};
      shapes[layer + "mlp.down_proj.weight"] = {1024, 2048};
      shapes[layer + "input_layernorm.weight"] = shapes[layer + "post_attention_layernorm.weight"] = {1024};
    }
    for (const auto& [name, shape] : shapes) {
      size_t elements = 1;
      for (const int size : shape) elements *= static_cast<size_t>(size);
      raw.add(name, elements);
      raw.header[name]["shape"] = shape;
    }
    // Any bits of an exponent near 2^-5 make a weight: sign and significand at random.
    Rng rng(11);
    auto* words = reinterpret_cast<uint16_t*>(raw.data.data());
    for (size_t i = 0; i < raw.data.size() / 2; i += 4) {
      const uint64_t random = rng.next();
      for (size_t k = 0; k < 4; ++k)
        words[i + k] = static_cast<uint16_t>(0x3c00u | (random >> (16 * k) & 0x81ffu));
    }
    raw.save(path);
  }

  /// Starts a conversion into `out`, sends `signal` as soon as it writes, and returns how it ended.
  Outcome interrupt(const std::filesystem::path& out, const char* recipe, int signal) {
    const auto send = [&](pid_t process) {
      for (int i = 0; i < 20000 && find_large_temporary(out).empty(); ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      kill(process, signal);
    };
    // The slowest kernels on one thread leave the most time.
    return test::run_assay(
        {"quantize", *folder_ / "big", "--to", recipe, "-o", out, "--threads", "1", "--overwrite"},
        {.environment = {{"ASSAY_ISA", "scalar"}}, .meanwhile = send});
  }

  /// A temporary file, or a file in a temporary folder, that holds weights already.
  static std::string find_large_temporary(const std::filesystem::path& out) {
    std::error_code ignored;
    if (!std::filesystem::exists(out)) return {};
    for (const auto& entry : std::filesystem::recursive_directory_iterator(out, ignored)) {
      const std::string name = entry.path().lexically_relative(out).string();
      if (name.starts_with(".") && entry.is_regular_file(ignored) && entry.file_size(ignored) > 100000)
        return name;
    }
    return {};
  }

  static test::TemporaryFolder* folder_;
};
test::TemporaryFolder* InterruptTest::folder_ = nullptr;

TEST_F(InterruptTest, ATerminatedRunCleansUp) {
  for (const int signal : {SIGTERM, SIGINT})
    for (const char* recipe : {"gguf:Q4_K_M", "mlx:4bit"}) {
      const test::TemporaryFolder out;
      const Outcome outcome = interrupt(out.path(), recipe, signal);
      EXPECT_EQ(outcome.status, 128 + signal) << recipe << outcome.err;
      EXPECT_NE(outcome.err.find("interrupted"), std::string::npos);
      EXPECT_TRUE(test::read_tree(out.path()).empty()) << recipe << outcome.err;
    }
}

TEST_F(InterruptTest, AKilledRunLeavesNoFinalNameAndTheNextOneClearsUp) {
  const std::pair<const char*, const char*> cases[] = {{"gguf:Q4_K_M", "big-Q4_K_M.gguf"},
                                                       {"mlx:4bit", "mlx-4bit"}};
  for (const auto& [recipe, name] : cases) {
    const test::TemporaryFolder out;
    const Outcome outcome = interrupt(out.path(), recipe, SIGKILL);
    ASSERT_EQ(outcome.status, 128 + SIGKILL) << "the conversion was faster than the signal";
    EXPECT_FALSE(std::filesystem::exists(out / name));
    EXPECT_FALSE(std::filesystem::exists(out / "assay.json"));
    EXPECT_FALSE(find_temporaries(out.path()).empty()) << "the kill came too early to prove anything";
    test::expect_success({"quantize", *folder_ / "big", "--to", recipe, "-o", out.path()});
    EXPECT_TRUE(find_temporaries(out.path()).empty());
    EXPECT_TRUE(std::filesystem::exists(out / name));
    test::expect_success({"inspect", out / name, "--expect", "quantized"});
  }
}

TEST_F(InterruptTest, AnInterruptedOverwriteLosesNothing) {
  for (const int signal : {SIGTERM, SIGKILL}) {
    const test::TemporaryFolder out;
    test::write_file(out / "big-Q4_K_M.gguf", "what was there");
    EXPECT_EQ(interrupt(out.path(), "gguf:Q4_K_M", signal).status, 128 + signal);
    EXPECT_EQ(test::read_file(out / "big-Q4_K_M.gguf"), "what was there");

    std::filesystem::create_directory(out / "mlx-4bit");
    test::write_file(out / "mlx-4bit/model.safetensors", "weights that were there");
    EXPECT_EQ(interrupt(out.path(), "mlx:4bit", signal).status, 128 + signal);
    EXPECT_EQ(test::read_file(out / "mlx-4bit/model.safetensors"), "weights that were there");
  }
}

}  // namespace
}  // namespace assay
