// Corpora: documents of files, conversations through the template, windows of documents.
#include "eval/corpus.hpp"

#include <gtest/gtest.h>

#include <fstream>

#include "base/error.hpp"
#include "base/sha256.hpp"
#include "eval/divergence.hpp"
#include "eval/perplexity.hpp"
#include "support/test_data.hpp"

namespace assay {
namespace {

class CorpusTest : public ::testing::Test {
 protected:
  std::filesystem::path write(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / name, std::ios::binary) << text;
    return folder_ / name;
  }

  /// The tiny llama with a chat template that marks turns.
  LanguageModel chat_model() {
    const auto path = folder_ / "model";
    std::filesystem::copy(test::source_file("tests/models/llama-rows256"), path);
    write("model/chat_template.jinja",
          "{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
          "{% if add_generation_prompt %}[assistant]{% endif %}");
    return {path, {.threads = 1, .compute = Compute::kExact}};
  }

  test::TemporaryFolder folder_;
};

TEST_F(CorpusTest, PlainTextIsOneDocument) {
  const Corpus corpus = read_corpus(write("a.txt", "{\"text\": \"no row\"}\n\nmore"));
  ASSERT_EQ(1u, corpus.documents.size());
  EXPECT_EQ("{\"text\": \"no row\"}\n\nmore", corpus.documents[0].text);
  EXPECT_EQ(sha256_of(std::as_bytes(std::span(corpus.documents[0].text))), corpus.sha256);
  EXPECT_THROW(read_corpus(folder_ / "a.txt", "text"), UsageError);
}

TEST_F(CorpusTest, RowsAreDocuments) {
  const auto path =
      write("a.jsonl", "{\"text\": \"one\", \"body\": \"1\"}\n{\"text\": \"two\", \"body\": \"2\"}\n");
  EXPECT_EQ("two", read_corpus(path).documents.at(1).text);
  EXPECT_EQ("2", read_corpus(path, "body").documents.at(1).text);
  EXPECT_EQ("b\nc", read_corpus(write("a.csv", "id,text\n1,a\n2,\"b\nc\"\n")).documents.at(1).text);
  EXPECT_EQ("x", read_corpus(write("a.json", "[{\"text\": \"x\"}]")).documents.at(0).text);
}

TEST_F(CorpusTest, ConversationsOfThreeHouses) {
  const Corpus corpus = read_corpus(
      write("chats.jsonl",
            "{\"messages\": [{\"role\": \"system\", \"content\": \"s\"}, {\"role\": \"user\", \"content\": "
            "[{\"type\": \"text\", \"text\": \"u\"}, {\"type\": \"image\"}]}]}\n"
            "{\"conversations\": [{\"from\": \"human\", \"value\": \"q\"}, {\"from\": \"gpt\", \"value\": "
            "\"a\"}]}\n"
            "{\"turns\": [\"first\", \"second\"], \"category\": \"x\"}\n"
            "{\"turns\": [\"first\", \"second\"], \"reference\": [\"r1\", \"\"]}\n"));
  const auto shown = [&](size_t i) {
    std::string text;
    for (const ChatMessage& m : corpus.documents.at(i).messages) text += m.role + ":" + m.content + " ";
    return text;
  };
  EXPECT_EQ("system:s user:u ", shown(0));
  EXPECT_EQ("user:q assistant:a ", shown(1));
  EXPECT_EQ("user:first ", shown(2)) << "nobody knows what the second turn follows on";
  EXPECT_EQ("user:first assistant:r1 user:second ", shown(3));
}

TEST_F(CorpusTest, RefusesRowsWithoutADocument) {
  const char* rows[] = {"{\"prompt\": \"x\"}",
                        "{\"messages\": []}",
                        "{\"messages\": [{\"role\": \"king\", \"content\": \"x\"}]}",
                        "{\"messages\": [{\"content\": \"x\"}]}",
                        "{\"conversations\": [{\"from\": \"human\", \"value\": 3}]}",
                        "{\"turns\": [\"a\", 1], \"reference\": [\"r\"]}",
                        "{\"text\": 5}"};
  for (const char* row : rows) EXPECT_THROW(read_corpus(write("bad.jsonl", row)), Error) << row;
  EXPECT_THROW(read_corpus(write("empty.jsonl", "")), Error);
}

TEST_F(CorpusTest, ConversationsGoThroughTheTemplateWithOneBos) {
  LanguageModel model = chat_model();
  Corpus corpus;
  corpus.documents = {{.messages = {{"user", "hi"}}},
                      {.messages = {{"user", "hi"}, {"assistant", "yes"}}},
                      {.text = "plain <s> text"}};
  const Corpus rendered = render_conversations(corpus, model);
  const std::string bos(model.tokenizer().token(model.tokenizer().bos_id().value()));
  EXPECT_EQ(bos + "[user]hi[assistant]", rendered.documents[0].text);
  EXPECT_EQ(bos + "[user]hi[assistant]yes", rendered.documents[1].text);
  EXPECT_EQ("plain <s> text", rendered.documents[2].text);
  const auto windows = cut_corpus(model.tokenizer(), rendered, {.context = 512});
  ASSERT_EQ(3u, windows.size());
  for (const Window& window : windows) {
    EXPECT_EQ(model.tokenizer().bos_id(), window.tokens[0]);
    EXPECT_EQ(1, std::count(window.tokens.begin(), window.tokens.end(), *model.tokenizer().bos_id()));
  }
  const LanguageModel plain(test::source_file("tests/models/llama-rows256"), {.threads = 1});
  EXPECT_THROW(render_conversations(corpus, plain), Error) << "no template";
}

TEST_F(CorpusTest, DocumentsAreCutApartAndTheirRestCounts) {
  const LanguageModel model(test::source_file("tests/models/llama-rows256"), {.threads = 1});
  Corpus corpus;
  std::string text;
  for (int i = 0; i < 20; ++i) text += "word " + std::to_string(i) + " ";
  corpus.documents = {{.text = text}, {.text = ""}, {.text = "short one"}};
  const auto windows = cut_corpus(model.tokenizer(), corpus, {.context = 16});
  size_t first = 0;
  for (const Window& window : windows) {
    EXPECT_LE(window.tokens.size(), 16u);
    EXPECT_GE(window.tokens.size(), 2u);
    EXPECT_EQ(model.tokenizer().bos_id(), window.tokens[0]);
    first += window.cluster == 0 ? window.tokens.size() : 0;
  }
  EXPECT_GT(first, 16u);
  EXPECT_EQ(2u, windows.back().cluster) << "an empty document has nothing to score";
  EXPECT_EQ(1u, cut_corpus(model.tokenizer(), corpus, {.context = 16, .max_windows = 1}).size());
  corpus.documents = {{.text = ""}, {.text = ""}};
  EXPECT_THROW(cut_corpus(model.tokenizer(), corpus, {.context = 16}), Error);
}

TEST_F(CorpusTest, IntervalsRestOnDocuments) {
  LanguageModel model = chat_model();
  LanguageModel other(folder_ / "model", {.threads = 1, .compute = Compute::kFast});
  Corpus corpus;
  for (int i = 0; i < 5; ++i)
    corpus.documents.push_back({.messages = {{"user", "number " + std::to_string(i)},
                                             {"assistant", "it was " + std::to_string(i * i)}}});
  const DivergenceCandidate candidates[] = {{&other}};
  const auto result =
      measure_divergences(model, candidates, corpus, {.context = 16}, silent_progress()).front();
  EXPECT_EQ("documents", result.cluster_unit);
  EXPECT_EQ(5, result.kl.n);
  EXPECT_EQ(5u, result.kl_clusters.size());
  EXPECT_GE(result.windows, 5);
  const PerplexityResult perplexity =
      measure_perplexity(model, corpus, {.context = 16, .scored = ScoredPositions::kAll}, silent_progress());
  EXPECT_EQ(5, perplexity.nll.n);
  EXPECT_NEAR(perplexity.nll.value, result.nll_reference.value, 1e-12);
}

}  // namespace
}  // namespace assay
