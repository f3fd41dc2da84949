#include "cli/judge_options.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "base/error.hpp"
#include "base/file.hpp"

namespace assay {
namespace {

/// "https://host:port" of an address.
std::string origin_of(const std::string& url) {
  const std::string shown = shown_url(url);
  const size_t scheme = shown.find("://");
  return scheme == std::string::npos ? "" : shown.substr(0, shown.find('/', scheme + 3));
}

std::string label_of(const std::string& address) {
  if (address.starts_with("http")) return address.substr(address.find('#') + 1);
  std::filesystem::path path = address;
  if (path.filename().empty()) path = path.parent_path();
  return path.filename().string();
}

}  // namespace

void JudgeCliOptions::declare_judge(CLI::App& command) {
  command.add_option("--judge-url", judge_url, "the judge's OpenAI-compatible address, e.g. https://host/v1");
  command.add_option("--judge-model", judge_model, "the judge's name there, with its version");
  command.add_option("--judge", judge_path, "a local model as the judge, instead of --judge-url");
  command.add_option("--judge-replies", judge_replies,
                     "recorded replies (JSONL with key and reply): with them alone nothing is asked");
  command.add_option("--judge-requests", judge_requests,
                     "write what has no reply yet to this JSONL file and ask nothing");
  command.add_option("--api-key-env", api_key_env, "environment variable with the judge's key")
      ->capture_default_str()
      ->each([this](const std::string&) { api_key_named = true; });
  command.add_option("--endpoint-key-env", endpoint_key_env, "the same for candidates that are endpoints");
  command.add_option("--mode", mode, "pairwise against the reference, or pointwise by the old rubric")
      ->check(CLI::IsMember({"pairwise", "pointwise"}))
      ->capture_default_str();
  command.add_option("--prompts", prompts,
                     "JSONL, JSON or CSV of id, prompt, category, expected_qualities, or MT-Bench's and "
                     "Vicuna's question.jsonl (default: seven built in)");
  command.add_option("--turns", turns, "of prompts with several turns: first or all")
      ->check(CLI::IsMember({"first", "all"}));
  command.add_option("--limit", limit, "the first prompts only")->check(kCount);
  command.add_option("--repeats", repeats, "verdicts for each prompt, in each order")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  command.add_option("--control", control, "prompts of the control: the reference against itself")
      ->check(CLI::Range(0, 1 << 20))
      ->capture_default_str();
  command.add_option("--planted", planted, "bad answers planted to see whether the judge notices")
      ->check(CLI::Range(0, 1 << 20))
      ->capture_default_str();
  command.add_option("--judge-temperature", judge_temperature, "default: the judge's own")
      ->check(CLI::Range(0.0, 2.0));
  command.add_option("--judge-max-tokens", judge_max_tokens, "of a reply; doubled after a cut one")
      ->check(CLI::Range(16, 1 << 20))
      ->capture_default_str();
  command.add_option("--attempts", attempts, "calls until a reply is valid, else it is missing")
      ->check(CLI::Range(1, 100))
      ->capture_default_str();
  command.add_option("--parallel", parallel, "calls of an endpoint at a time")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  command.add_option("--retries", retries, "after rate limits and lost connections")
      ->check(CLI::Range(0, 100))
      ->capture_default_str();
  command.add_option("--timeout", timeout, "seconds for one call")
      ->check(CLI::Range(0.1, 86400.0))
      ->capture_default_str();
  command.add_option("--price-input", price_input, "of a million tokens")->check(CLI::NonNegativeNumber);
  command.add_option("--price-output", price_output, "of a million tokens")->check(CLI::NonNegativeNumber);
  command.add_option("--price-cached", price_cached, "of a million input tokens the judge had cached")
      ->check(CLI::NonNegativeNumber);
  command.add_option("--prices", prices, "YAML or JSON table of prices by model");
  command.add_option("--budget", budget, "stop before this is spent, in the prices' currency")
      ->check(CLI::NonNegativeNumber);
}

void JudgeCliOptions::declare_decoding(CLI::App& command) {
  command.add_option("--max-tokens", decoding.max_tokens, "of an answer")
      ->check(kCount)
      ->capture_default_str();
  command.add_option("--temp", decoding.temperature, "0: greedy")
      ->check(CLI::Range(0.0, 100.0))
      ->capture_default_str();
  command.add_option("--top-p", decoding.top_p)->check(CLI::Range(0.0, 1.0));
  command.add_option("--top-k", decoding.top_k, "0: all")->check(CLI::Range(0, 1 << 30));
  command.add_option("--seed", seed, "of sampling, planted answers and intervals");
  command.add_option("--stop", decoding.stop, "a text that ends an answer; may be given several times")
      ->expected(1)
      ->take_all();
  command.add_option("--thinking", thinking, "on or off, for chat templates that know it")
      ->check(CLI::IsMember({"on", "off"}));
  command.add_option("--system", decoding.system, "message of the system, for the chat template");
  command.add_flag("--no-chat-template", no_chat_template, "prompts as they are, without the chat template");
}

JudgeTask JudgeCliOptions::task() const {
  JudgeTask task{
      .mode = mode == "pairwise" ? JudgeMode::kPairwise : JudgeMode::kPointwise,
      .prompts = prompts.empty() ? builtin_prompts() : read_prompt_set(expand_path(prompts), turns == "all"),
      .decoding = decoding,
      .repeats = repeats,
      .control_prompts = static_cast<size_t>(control),
      .planted_answers = static_cast<size_t>(planted),
      .seed = seed};
  task.decoding.seed = seed;
  task.decoding.chat_template = !no_chat_template;
  if (!thinking.empty()) task.decoding.thinking = thinking == "on";
  if (limit > 0 && static_cast<size_t>(limit) < task.prompts.prompts.size())
    task.prompts = first_prompts(task.prompts, static_cast<size_t>(limit));
  return task;
}

JudgeOptions JudgeCliOptions::options() const {
  const bool remote = !judge_url.empty() && !is_loopback_url(judge_url);
  JudgeOptions options{.model = judge_model,
                       .attempts = attempts,
                       .max_tokens = judge_max_tokens,
                       .temperature = judge_temperature,
                       .parallel = judge_path.empty() ? parallel : 1,
                       .budget = budget};
  if (options.model.empty() && !judge_path.empty()) options.model = label_of(judge_path);
  if (price_input.has_value() != price_output.has_value())
    throw UsageError("--price-input and --price-output belong together");
  if (price_input && !prices.empty()) throw UsageError("give prices either by hand or by --prices");
  if (price_input)
    options.price = TokenPrice{
        .input = *price_input, .output = *price_output, .cached_input = price_cached, .version = "by hand"};
  else if (!prices.empty())
    options.price = read_token_price(expand_path(prices), options.model);
  else if (!remote && (!judge_url.empty() || !judge_path.empty()))
    options.price = TokenPrice{.version = "a judge on this machine"};
  return options;
}

HttpOptions JudgeCliOptions::http() const {
  return {.total_seconds = timeout, .retries = retries};
}

/// Over plain http to another machine the key of the default variable stays here; one named by the user goes
/// where the user says.
std::string JudgeCliOptions::judge_key() const {
  const bool open_line = judge_url.starts_with("http://") && !is_loopback_url(judge_url);
  return open_line && !api_key_named ? "" : read_api_key(api_key_env);
}

std::unique_ptr<Respondent> JudgeCliOptions::respondent(const EngineOptions& engine) const {
  if (!judge_requests.empty()) return nullptr;
  if (!judge_url.empty() && !judge_path.empty()) throw UsageError("give either --judge-url or --judge");
  if (!judge_path.empty()) return open_local_respondent(expand_path(judge_path), engine);
  if (judge_url.empty() && !judge_replies.empty()) return nullptr;
  if (judge_url.empty()) throw UsageError("name a judge: --judge-url, --judge or --judge-replies");
  if (judge_model.empty()) throw UsageError("--judge-url needs a --judge-model");
  return std::make_unique<EndpointRespondent>(EndpointOptions{.url = judge_url,
                                                              .model = judge_model,
                                                              .api_key = judge_key(),
                                                              .json_reply = true,
                                                              .default_sampling = !judge_temperature,
                                                              .may_drop_parameters = true,
                                                              .http = http()});
}

AnswerSource JudgeCliOptions::source(const std::string& label, const std::string& address,
                                     const EngineOptions& engine) const {
  const auto endpoint = parse_endpoint_address(address);
  if (!endpoint) return local_source(label, expand_path(address), engine);
  if (no_chat_template)
    throw UsageError({"a server applies its own chat template", address, {}, "--no-chat-template", {}});
  const bool same_host = !judge_url.empty() && origin_of(judge_url) == origin_of(endpoint->url);
  const std::string key = !endpoint_key_env.empty() ? read_api_key(endpoint_key_env)
                          : same_host               ? judge_key()
                                                    : "";
  return endpoint_source(label,
                         {.url = endpoint->url, .model = endpoint->model, .api_key = key, .http = http()});
}

std::vector<nlohmann::ordered_json> JudgeCliOptions::recorded_replies() const {
  if (judge_replies.empty()) return {};
  std::string text = read_text_file(expand_path(judge_replies), size_t{4} << 30);
  if (!text.ends_with('\n')) text += '\n';
  size_t used = 0;
  return parse_records(text, judge_replies, used);
}

std::unique_ptr<RecordLog> open_record_log(const std::filesystem::path& folder, const char* name) {
  if (folder.empty()) return std::make_unique<RecordLog>();
  std::filesystem::create_directories(folder);
  return std::make_unique<RecordLog>(folder / name);
}

std::vector<std::string> subject_labels(const std::vector<std::string>& addresses) {
  std::vector<std::string> labels;
  for (const std::string& address : addresses) labels.push_back(label_of(address));
  for (size_t i = 0; i < addresses.size(); ++i)
    if (std::count_if(addresses.begin(), addresses.end(), [&](const std::string& other) {
          return label_of(other) == label_of(addresses[i]);
        }) > 1)
      labels[i] = addresses[i].starts_with("http") ? shown_url(addresses[i]) + "#" + labels[i] : addresses[i];
  return labels;
}

}  // namespace assay
