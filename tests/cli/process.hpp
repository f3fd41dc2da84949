#pragma once
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

namespace assay::test {

/// What a finished process left: its exit status (128 + signal when one ended it) and all it wrote.
struct Outcome {
  int status = -1;
  std::string out, err;

  /// Lines on stderr that are no progress ("gguf:Q8_0: 100 %  43.1 Mweight/s, 0:00").
  std::vector<std::string> complaints() const {
    std::vector<std::string> lines;
    for (size_t begin = 0; begin < err.size();) {
      const size_t end = std::min(err.find('\n', begin), err.size());
      const std::string line = err.substr(begin, end - begin);
      begin = end + 1;
      if (line.find(" %  ") == std::string::npos) lines.push_back(line);
    }
    return lines;
  }

  /// stdout as one JSON document and nothing else; a failure of the test when it is not.
  nlohmann::json json() const {
    nlohmann::json document = nlohmann::json::parse(out, nullptr, false);
    EXPECT_FALSE(document.is_discarded()) << "not one JSON document: " << out << err;
    return document;
  }
};

/// The circumstances of a run.
struct Surroundings {
  std::filesystem::path folder = {};                    ///< working directory; empty: the test's own
  std::filesystem::path input = {};                     ///< file that stdin reads; empty: nothing to read
  std::map<std::string, std::string> environment = {};  ///< added to the test's own
  uint64_t largest_file = 0;                            ///< bytes any file may grow to; 0: no limit
  std::function<void(pid_t)> meanwhile = {};            ///< called once, in the parent, after the start
};

/// A running assay, its stdout and stderr on pipes.
class Process {
 public:
  Process(const std::vector<std::string>& arguments, const Surroundings& around) {
    std::vector<std::string> owned = {ASSAY_BINARY};
    owned.insert(owned.end(), arguments.begin(), arguments.end());
    std::vector<char*> pointers;
    for (std::string& argument : owned) pointers.push_back(argument.data());
    pointers.push_back(nullptr);
    if (pipe2(out_.data(), O_CLOEXEC) != 0 || pipe2(err_.data(), O_CLOEXEC) != 0) std::abort();
    child_ = fork();
    if (child_ == 0) become(pointers, around);
    close(out_[1]);
    close(err_[1]);
  }

  Outcome finish() {
    Outcome outcome;
    std::array<pollfd, 2> polled{pollfd{out_[0], POLLIN, 0}, pollfd{err_[0], POLLIN, 0}};
    std::array<std::string*, 2> texts{&outcome.out, &outcome.err};
    for (int open = 2; open > 0;) {
      if (poll(polled.data(), polled.size(), -1) < 0) continue;
      for (size_t i = 0; i < polled.size(); ++i) {
        if (polled[i].revents == 0) continue;
        std::array<char, 1 << 14> chunk;
        const ssize_t got = read(polled[i].fd, chunk.data(), chunk.size());
        if (got > 0) {
          texts[i]->append(chunk.data(), static_cast<size_t>(got));
          continue;
        }
        close(polled[i].fd);
        polled[i].fd = -1;
        --open;
      }
    }
    int status = 0;
    waitpid(child_, &status, 0);
    outcome.status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    return outcome;
  }

  pid_t id() const noexcept { return child_; }

 private:
  [[noreturn]] void become(const std::vector<char*>& pointers, const Surroundings& around) {
    dup2(out_[1], STDOUT_FILENO);
    dup2(err_[1], STDERR_FILENO);
    dup2(open(around.input.empty() ? "/dev/null" : around.input.c_str(), O_RDONLY), STDIN_FILENO);
    for (const auto& [name, value] : around.environment) setenv(name.c_str(), value.c_str(), 1);
    if (!around.folder.empty() && chdir(around.folder.c_str()) != 0) _exit(99);
    if (around.largest_file != 0) {
      // Ignored, the signal of the limit lets write() fail with EFBIG: the way a full disk fails.
      std::signal(SIGXFSZ, SIG_IGN);
      const rlimit limit{around.largest_file, around.largest_file};
      if (setrlimit(RLIMIT_FSIZE, &limit) != 0) _exit(98);
    }
    execv(pointers[0], pointers.data());
    _exit(97);
  }

  std::array<int, 2> out_{}, err_{};
  pid_t child_ = -1;
};

/// Runs the real binary to its end.
inline Outcome run_assay(const std::vector<std::string>& arguments, const Surroundings& around = {}) {
  Process process(arguments, around);
  if (around.meanwhile) around.meanwhile(process.id());
  return process.finish();
}

/// Exit 0 and nothing on stderr but progress.
inline Outcome expect_success(const std::vector<std::string>& arguments, const Surroundings& around = {}) {
  Outcome outcome = run_assay(arguments, around);
  EXPECT_EQ(outcome.status, 0) << testing::PrintToString(arguments) << "\n" << outcome.err;
  return outcome;
}

/// `status`, nothing on stdout, and one line on stderr that holds every one of `parts`.
inline void expect_one_line(const std::vector<std::string>& arguments, int status,
                            const std::vector<std::string>& parts, const Surroundings& around = {}) {
  const Outcome outcome = run_assay(arguments, around);
  SCOPED_TRACE(testing::PrintToString(arguments) + "\n" + outcome.err);
  EXPECT_EQ(outcome.status, status);
  EXPECT_EQ(outcome.out, "");
  const std::vector<std::string> lines = outcome.complaints();
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_TRUE(lines[0].starts_with("assay: "));
  for (const std::string& part : parts) EXPECT_NE(lines[0].find(part), std::string::npos) << part;
}

/// A fault of a file or of the user's data: exit 1.
inline void expect_fault(const std::vector<std::string>& arguments, const std::vector<std::string>& parts,
                         const Surroundings& around = {}) {
  expect_one_line(arguments, 1, parts, around);
}

}  // namespace assay::test
