#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <new>
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
    {"bench", "measure load, prefill and decode", assay::declare_bench},
    {"eval", "measure quality: perplexity, divergence from a reference", assay::declare_eval},
    {"compare", "build, prove, measure and run several formats of one model side by side",
     assay::declare_compare},
};

int run(int argc, char** argv) {
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
    const int code = app.exit(error);
    return code == 0 ? 0 : 2;
  }
  for (const auto& [command, run_verb] : verbs) {
    if (command->parsed()) return run_verb();
  }
  return 2;
}

/// SIGINT and SIGTERM go to a thread of their own, which removes unfinished files before the process ends.
void clean_up_when_interrupted() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
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
    return run(argc, argv);
  } catch (const assay::UsageError& error) {
    return fail(error.what(), 2);
  } catch (const std::bad_alloc&) {
    return fail("not enough memory", 1);
  } catch (const std::exception& error) {
    return fail(error.what(), 1);
  }
}
