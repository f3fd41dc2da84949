// embed and classify as people call them, on the tiny encoders of tests/models/encoders.
#include <cmath>
#include <cstring>
#include <fstream>
#include <sstream>

#include "cli/checkpoint.hpp"
#include "cli/process.hpp"

namespace assay {
namespace {

using nlohmann::json;
using test::expect_fault;
using test::expect_one_line;
using test::expect_success;
using test::Outcome;

std::string encoder(const std::string& name) {
  return test::source_file("tests/models/encoders/" + name).string();
}

json golden_texts(const std::string& name) {
  std::ifstream in(encoder(name) + "/golden.json");
  return json::parse(in).at("texts");
}

double worst_difference(const json& a, const json& b) {
  if (a.size() != b.size()) return INFINITY;
  double worst = 0.0;
  for (size_t i = 0; i < a.size(); ++i)
    worst = std::max(worst, std::abs(a[i].get<double>() - b[i].get<double>()));
  return worst;
}

class EncoderVerbs : public testing::Test {
 protected:
  std::string write(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / name, std::ios::binary) << text;
    return folder_ / name;
  }
  std::string read(const std::string& name) const {
    std::ifstream in(folder_ / name, std::ios::binary);
    std::ostringstream out;
    out << in.rdbuf();
    return out.str();
  }
  test::TemporaryFolder folder_;
};

TEST_F(EncoderVerbs, VerifyProvesEveryOutputOfAnEncoder) {
  const std::string out = folder_ / "out";
  expect_success({"quantize", encoder("bert-sentence"), "--to", "int8,int4-g32,npz:int8", "-o", out});
  for (const char* name : {"int8", "int4-g32", "bert-sentence-mlx-q8-v2"})
    expect_success({"verify", out + "/" + name, "--against", encoder("bert-sentence")});
  const Outcome other =
      test::run_assay({"verify", out + "/int8", "--against", encoder("bert-sequence"), "--json"});
  EXPECT_EQ(other.status, 1);
}

TEST_F(EncoderVerbs, GenerateRefusesAnEncoder) {
  expect_fault({"generate", encoder("bert-sentence"), "-p", "x"}, {"an encoder writes no text", "embed"});
}

TEST_F(EncoderVerbs, CompareRefusesAnEncoderBeforeItConverts) {
  const std::string source = encoder("bert-sentence"), out = folder_ / "out";
  expect_fault({"compare", source, "--to", "int8", "-o", out},
               {"an encoder writes no text", "eval encoder OUTPUT --reference " + source});
  EXPECT_FALSE(std::filesystem::exists(out));
}

TEST_F(EncoderVerbs, EmbedEqualsTheReference) {
  const json texts = golden_texts("bert-sentence");
  int checked = 0;
  for (const json& entry : texts) {
    if (entry.contains("pair")) continue;
    const json document = expect_success({"embed", encoder("bert-sentence"), "--text", entry.at("text"),
                                          "--json", "--compute", "exact"})
                              .json();
    EXPECT_EQ(document.at("pooling"), "cls+mean");
    EXPECT_EQ(document.at("normalized"), true);
    EXPECT_EQ(document.at("fingerprint").get<std::string>().size(), 16U);
    EXPECT_LT(worst_difference(document.at("embeddings").at(0), entry.at("embedding")), 1e-5)
        << entry.at("text");
    EXPECT_GT(worst_difference(document["embeddings"][0], texts[checked == 0 ? 1 : 0].at("embedding")), 1e-3);
    ++checked;
  }
  EXPECT_GE(checked, 4);
}

TEST_F(EncoderVerbs, EveryFormInAndOutGivesTheSameNumbers) {
  const std::string path = encoder("bert-sentence");
  const std::string lines = write("t.txt", "It moves.\n\nsay \"so\", twice\n");
  const std::string jsonl =
      write("t.jsonl",
            "{\"text\":\"It moves.\",\"id\":7}\n{\"text\":\"\",\"id\":\"b\"}\n{\"text\":\"say \\\"so\\\", "
            "twice\"}\n");
  const std::string csv = write("t.csv", "n,text\n1,It moves.\n2,\n3,\"say \"\"so\"\", twice\"\n");
  const json document = expect_success({"embed", path, "--file", lines, "--json"}).json();
  ASSERT_EQ(document.at("embeddings").size(), 3U);
  EXPECT_EQ(expect_success({"embed", path, "--file", jsonl, "--json"}).json(), document);
  EXPECT_EQ(expect_success({"embed", path, "--file", csv, "--json"}).json(), document);
  EXPECT_EQ(expect_success({"embed", path, "--file", csv, "--column", "2", "--json"}).json(), document);
  EXPECT_EQ(expect_success({"embed", path, "--json"}, {.input = lines}).json(), document);
  EXPECT_EQ(expect_success({"embed", path, "--json", "--threads", "3", "--file", lines}).json(), document);

  std::istringstream out(expect_success({"embed", path, "--file", jsonl}).out);
  std::string line;
  for (size_t i = 0; std::getline(out, line); ++i) {
    EXPECT_EQ(json::parse(line).at("embedding"), document["embeddings"][i]);
    const json names[] = {{"id", 7}, {"id", "b"}, {"index", 2}};
    EXPECT_EQ(json::parse(line).at(names[i][0].get<std::string>()), names[i][1]);
  }
  expect_success({"embed", path, "--file", lines, "-o", folder_ / "v.npy"});
  const std::string npy = read("v.npy");
  ASSERT_EQ(npy.size() % 64, (3 * 24 * 4) % 64U);
  EXPECT_NE(npy.find("'shape': (3, 24)"), std::string::npos);
  float first = 0.0F;
  std::memcpy(&first, npy.data() + npy.size() - 3 * 24 * 4, 4);
  EXPECT_EQ(first, document["embeddings"][0][0].get<float>());
  expect_success({"embed", path, "--file", lines, "-o", folder_ / "v.csv"});
  EXPECT_TRUE(read("v.csv").starts_with("e0,e1,"));
  expect_fault({"embed", path, "--file", lines, "-o", folder_ / "v.csv"}, {"v.csv", "exist"});
  expect_success({"embed", path, "--file", lines, "-o", folder_ / "v.csv", "--overwrite"});
}

TEST_F(EncoderVerbs, ResultsOfManyBatchesStandInOrder) {
  const std::vector<std::string> words = {"It", "moves.", "The owner", "is gone.", "A value", "is dropped."};
  std::string rows;
  const size_t count = 4100;  // more than are worked on at once
  const auto text = [&](size_t i) { return words[i % 6] + " " + words[i / 6 % 6] + " " + words[i / 36 % 6]; };
  for (size_t i = 0; i < count; ++i) rows += text(i) + "\n";
  const std::string file = write("many.txt", rows);
  std::istringstream vectors(expect_success({"embed", encoder("bert-sentence"), "--file", file}).out);
  expect_success({"classify", encoder("bert-sequence"), "--file", file, "-o", folder_ / "labels.csv"});
  std::istringstream table(read("labels.csv"));
  std::vector<json> embeddings;
  std::vector<std::string> lines;
  std::string line;
  while (std::getline(vectors, line)) {
    EXPECT_EQ(json::parse(line).at("index"), embeddings.size());
    embeddings.push_back(json::parse(line).at("embedding"));
  }
  while (std::getline(table, line)) lines.push_back(line);
  ASSERT_EQ(embeddings.size(), count);
  ASSERT_EQ(lines.size(), count + 1);
  for (const size_t i : {size_t{4095}, size_t{4096}, count - 1}) {
    EXPECT_EQ(embeddings[i], embeddings[i % 216]) << "the same text";
    EXPECT_NE(embeddings[i], embeddings[(i + 1) % 216]) << "another text";
    const std::string same = lines[1 + i % 216];
    EXPECT_EQ(lines[1 + i], std::to_string(i) + same.substr(same.find(',')));
  }
  const json document =
      expect_success({"classify", encoder("bert-sequence"), "--file", file, "--json"}).json();
  ASSERT_EQ(document.at("results").size(), count);
  EXPECT_EQ(document["results"][4096]["text"], text(4096));
}

TEST_F(EncoderVerbs, BenchKnowsAnEncoder) {
  const json document =
      expect_success({"bench", encoder("bert-sentence"), "--repeats", "1", "--json"}).json();
  EXPECT_EQ(document.at("runs").at(0).at("unit"), "s");
  expect_fault({"bench", encoder("bert-sentence"), test::source_file("tests/models/llama-tied").string()},
               {"a language model beside an encoder"});
}

TEST_F(EncoderVerbs, PoolingPromptAndFingerprint) {
  const std::string path = encoder("bert-model");
  const auto run = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"embed", path, "--text", "The owner is gone.", "--json"});
    return expect_success(more).json();
  };
  const json plain = run({});
  EXPECT_EQ(plain.at("pooling"), "mean");
  EXPECT_EQ(plain.at("normalized"), false);
  const json unit = run({"--normalize"});
  double length = 0.0;
  for (const json& value : unit.at("embeddings")[0]) length += value.get<double>() * value.get<double>();
  EXPECT_NEAR(length, 1.0, 1e-5);
  const json both = run({"--pooling", "cls+max"});
  EXPECT_EQ(both.at("dimensions"), 64);
  const json prompted = run({"--prompt", "a "});
  EXPECT_NE(prompted.at("embeddings"), plain.at("embeddings"));
  for (const json* other : {&unit, &both, &prompted})
    EXPECT_NE((*other)["fingerprint"], plain["fingerprint"]);
  EXPECT_EQ(run({"--threads", "2"})["fingerprint"], plain["fingerprint"]);
  expect_one_line({"embed", path, "--text", "a", "--pooling", "median"}, 2, {"median"});
  expect_one_line({"embed", path, "--text", "a", "--normalize", "--no-normalize"}, 2, {"contradict"});
}

TEST_F(EncoderVerbs, ClassifyEqualsTheReference) {
  for (const std::string name :
       {"bert-sequence", "distilbert-sequence", "roberta-sequence", "bert-multilabel"}) {
    for (const json& entry : golden_texts(name)) {
      std::vector<std::string> arguments = {"classify", encoder(name), "--json",        "--compute",
                                            "exact",    "--text",      entry.at("text")};
      if (entry.contains("pair")) arguments.insert(arguments.end(), {"--pair", entry["pair"]});
      const json document = expect_success(arguments).json();
      std::vector<double> expected = entry.at("logits").get<std::vector<double>>();
      double sum = 0.0;
      for (double& value : expected) sum += value = std::exp(value);
      for (double& value : expected) value /= name == "bert-multilabel" ? 1.0 + value : sum;
      const json& result = document.at("results").at(0);
      EXPECT_LT(worst_difference(result.at("probabilities"), expected), 1e-5) << name << entry.at("text");
      const auto best = std::max_element(expected.begin(), expected.end()) - expected.begin();
      EXPECT_EQ(result.at("label"), document.at("labels")[static_cast<size_t>(best)]);
      EXPECT_EQ(document.at("exclusive"), name != "bert-multilabel");
    }
  }
}

TEST_F(EncoderVerbs, OneLabelIsASigmoid) {
  const json entry = golden_texts("bert-reranker").at(2);
  const json document = expect_success({"classify", encoder("bert-reranker"), "--json", "--compute", "exact",
                                        "--text", entry.at("text"), "--pair", entry.at("pair")})
                            .json();
  const double logit = entry.at("logits")[0].get<double>();
  EXPECT_NEAR(document.at("results")[0].at("probabilities")[0].get<double>(), 1.0 / (1.0 + std::exp(-logit)),
              1e-5);
}

TEST_F(EncoderVerbs, FilesPairsAndAccuracy) {
  const std::string path = encoder("bert-sequence");
  const std::string texts = write("p.csv", "a,b\nIt moves.,A value is dropped.\na,\n");
  const json answers =
      expect_success({"classify", path, "--file", texts, "--column", "a", "--pair-column", "b", "--json"})
          .json();
  const std::string first = answers.at("results")[0].at("label"), second = answers["results"][1].at("label");
  const std::string labelled = write(
      "l.jsonl", json{{"text", "It moves."}, {"b", "A value is dropped."}, {"y", first}}.dump() + "\n" +
                     json{{"text", "a"}, {"b", ""}, {"y", first == second ? "x" : first}}.dump() + "\n");
  if (first == second) {
    expect_fault({"classify", path, "--file", labelled, "--label-field", "y"},
                 {"l.jsonl:2", "\"x\"", "entailment"});
  }
  const std::string right =
      write("r.csv", "text,b,y\nIt moves.,A value is dropped.," + first + "\na,," + second + "\n");
  const Outcome outcome =
      expect_success({"classify", path, "--file", right, "--pair-column", "b", "--label-field", "y"});
  EXPECT_NE(outcome.err.find("accuracy 1.0000 (95 % interval"), std::string::npos) << outcome.err;
  const json numbered = expect_success({"classify", path, "--file", write("n.csv", "text,y\na,0\na,1\na,2\n"),
                                        "--label-field", "y", "--json"})
                            .json();
  EXPECT_NEAR(numbered.at("accuracy").at("value").get<double>(), 1.0 / 3.0, 1e-12);
  expect_success({"classify", path, "--file", texts, "--column", "a", "-o", folder_ / "o.csv"});
  EXPECT_TRUE(read("o.csv").starts_with("index,label,contradiction,entailment,neutral\n0,"));
  expect_fault({"classify", path, "--file", write("bad.csv", "text,y\na,9\n"), "--label-field", "y"},
               {"bad.csv:2", "\"9\""});
}

TEST_F(EncoderVerbs, ZeroShotAndTokens) {
  const json document = expect_success({"classify", encoder("bert-sequence"), "--text", "The owner is gone.",
                                        "--labels", "memory, a long walk,cooking", "--json"})
                            .json();
  EXPECT_EQ(document.at("labels"), (json{"memory", "a long walk", "cooking"}));
  const json& chances = document.at("results")[0].at("probabilities");
  EXPECT_NEAR(chances[0].get<double>() + chances[1].get<double>() + chances[2].get<double>(), 1.0, 1e-9);
  const json entry = golden_texts("bert-token").at(0);
  const json tokens = expect_success({"classify", encoder("bert-token"), "--text", entry.at("text"),
                                      "--tokens", "--json", "--compute", "exact"})
                          .json()
                          .at("results")[0]
                          .at("tokens");
  ASSERT_EQ(tokens.size(), entry.at("input_ids").size() - 2);
  for (size_t i = 0; i < tokens.size(); ++i) {
    const auto logits = entry.at("logits")[i + 1].get<std::vector<double>>();
    const auto best = std::max_element(logits.begin(), logits.end()) - logits.begin();
    const char* const names[] = {"O", "B-PER", "I-PER", "B-LOC", "I-LOC"};
    EXPECT_EQ(tokens[i].at("id"), entry["input_ids"][i + 1]);
    EXPECT_EQ(tokens[i].at("label"), names[best]);
  }
}

TEST_F(EncoderVerbs, BadInputIsOneLineOrADefinedResult) {
  const std::string sentence = encoder("bert-sentence"), sequence = encoder("bert-sequence");
  expect_fault({"classify", sentence, "--text", "a"}, {"no classification head", "assay embed"});
  expect_fault({"classify", encoder("bert-token"), "--text", "a"}, {"--tokens"});
  expect_fault({"classify", sequence, "--text", "a", "--tokens"}, {"labels texts"});
  expect_fault({"classify", encoder("bert-reranker"), "--text", "a", "--labels", "x,y"}, {"1 label"});
  expect_fault({"embed", sentence, "--file", write("b.jsonl", "{\"text\":\"a\"}\n{oops\n")}, {"b.jsonl:2"});
  expect_fault({"embed", sentence, "--file", write("m.jsonl", "{\"text\":\"a\"}\n{\"body\":\"b\"}\n")},
               {"m.jsonl:2", "\"text\"", "body"});
  expect_fault({"embed", sentence, "--file", write("c.csv", "a,b\n1,2\n")}, {"no column \"text\"", "a, b"});
  expect_fault({"embed", sentence, "--file", write("e.txt", "")}, {"no texts"});
  expect_fault({"embed", sentence, "--file", folder_ / "absent.txt"}, {"absent.txt"});
  expect_one_line({"embed", sentence, "--file", write("x.doc", "a")}, 2, {"--input-format"});
  expect_one_line({"embed", sentence, "--text", "a", "-o", folder_ / "v.bin"}, 2, {"v.bin"});
  expect_one_line({"classify", sequence, "--text", "a", "--labels", "x", "--template", "no place"}, 2,
                  {"{} once"});
  expect_one_line({"classify", sequence, "--text", "a", "--labels", "x", "--pair", "b"}, 2, {"--pair"});
  const json empty = expect_success({"embed", sentence, "--text", "", "--json"}).json();
  EXPECT_EQ(empty.at("embeddings")[0].size(), 24U);
  const std::string word(100000, 'x');
  const json longest =
      expect_success({"embed", sentence, "--file", write("w.txt", word + "\n[UNK]\n"), "--json"}).json();
  EXPECT_EQ(longest.at("embeddings")[0], longest["embeddings"][1]) << "a word too long is one unknown token";
}

TEST_F(EncoderVerbs, AForeignVocabularyIsRefused) {
  std::filesystem::copy(encoder("bert-sequence"), folder_ / "model");
  std::filesystem::copy_file(test::source_file("tests/golden/tokenizers/bert-style/tokenizer.json"),
                             folder_ / "model/tokenizer.json",
                             std::filesystem::copy_options::overwrite_existing);
  expect_fault({"classify", folder_ / "model", "--text", "a"}, {"does not fit the model", "160"});
}

}  // namespace
}  // namespace assay
