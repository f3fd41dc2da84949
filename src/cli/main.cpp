#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <new>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/error.hpp"
#include "base/file.hpp"
#include "cli/verb.hpp"

namespace {

constexpr assay::Verb kVerbs[] = {
    {"quantize", "write quantized MLX directories and GGUF files from a checkpoint", assay::declare_quantize},
    {"inspect", "say what is really in a file or directory", assay::declare_inspect},
    {"verify", "prove an output against its source", assay::declare_verify},
    {"generate", "continue a text, or answer a prompt", assay::declare_generate},
    {"chat", "talk with a model", assay::declare_chat},
    {"embed", "turn texts into vectors with a sentence encoder", assay::declare_embed},
    {"classify", "label texts, pairs or tokens; or choose among labels of your own", assay::declare_classify},
    {"bench", "measure load, prefill and decode", assay::declare_bench},
    {"estimate", "predict memory and decode speed before anything is loaded", assay::declare_estimate},
    {"eval", "measure quality: perplexity, divergence from a reference", assay::declare_eval},
    {"compare", "build, prove, measure and run several formats of one model side by side",
     assay::declare_compare},
    {"report", "draw the pages of a comparison again from what it stored", assay::declare_report},
};

/// The letters two words share from their start, and from their end: enough to guess what was meant.
size_t likeness(std::string_view a, std::string_view b) {
  const size_t most = std::min(a.size(), b.size());
  size_t front = 0, back = 0;
  while (front < most && a[front] == b[front]) ++front;
  while (front + back < most && a[a.size() - 1 - back] == b[b.size() - 1 - back]) ++back;
  return front + back;
}

/// CLI11 would say of a mistyped verb only that one is required.
void check_verb(int argc, char** argv) {
  if (argc < 2 || argv[1][0] == '-') return;
  const std::string_view given = argv[1];
  std::string names;
  std::string_view nearest = kVerbs[0].name;
  for (const assay::Verb& verb : kVerbs) {
    if (verb.name == given) return;
    names += (names.empty() ? "" : " ") + std::string(verb.name);
    if (likeness(verb.name, given) > likeness(nearest, given)) nearest = verb.name;
  }
  const bool close = likeness(nearest, given) >= 3;
  throw assay::UsageError({"no such verb",
                           {},
                           "one of: " + names,
                           "\"" + std::string(given) + "\"",
                           close ? "did you mean " + std::string(nearest) + "?" : "assay --help tells more"});
}

int run(int argc, char** argv) {
  check_verb(argc, argv);
  CLI::App app{"assay: quantize models, prove it, run them, and measure what it cost"};
  app.set_version_flag("--version", ASSAY_VERSION);
  app.require_subcommand(1);
  std::vector<std::pair<CLI::App*, assay::RunVerb>> verbs;
  for (const assay::Verb& verb : kVerbs) {
    CLI::App* command = app.add_subcommand(std::string(verb.name), std::string(verb.summary));
    verbs.emplace_back(command, verb.declare(*command));
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
    throw assay::UsageError({error.what(), {}, {}, {}, "--help tells more"});
  }
  for (const auto& [command, run_verb] : verbs) {
    if (command->parsed()) return run_verb();
  }
  return 2;
}

/// SIGINT, SIGTERM and SIGHUP go to a thread of their own, which removes unfinished files before the process
/// ends.
void clean_up_when_interrupted() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGHUP);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::thread([signals] {
    int signal = 0;
    sigwait(&signals, &signal);
    assay::remove_temporaries();
    std::fputs("\nassay: interrupted, nothing unfinished was left behind\n", stderr);
    _exit(128 + signal);
  }).detach();
}

int fail(const char* line, int code) {
  std::fflush(stdout);
  std::fprintf(stderr, "assay: %s\n", line);
  return code;
}

}  // namespace

int main(int argc, char** argv) {
  clean_up_when_interrupted();
  try {
    const int code = run(argc, argv);
    // What a full disk or a closed pipe swallowed shows no earlier than here.
    if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0)
      return fail("cannot write to standard output", 1);
    return code;
  } catch (const assay::UsageError& error) {
    return fail(error.what(), 2);
  } catch (const std::bad_alloc&) {
    return fail("not enough memory", 1);
  } catch (const std::exception& error) {
    return fail(error.what(), 1);
  }
}
