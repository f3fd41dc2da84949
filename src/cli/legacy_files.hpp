#pragma once
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/file.hpp"
#include "eval/judge_legacy.hpp"

namespace assay {

/// Files of one folder that are opened before the work, so that one in the way is told then and not after it.
/// Those that are never written leave nothing behind.
class ReservedFiles {
 public:
  /// Makes the folder where it is missing.
  ReservedFiles(std::filesystem::path folder, bool overwrite);
  /// Throws Error where the file exists and may not be replaced.
  void reserve(const std::string& name);
  /// The document under a name that was reserved.
  void write(const std::string& name, const nlohmann::ordered_json& document);

 private:
  std::filesystem::path folder_;
  bool overwrite_;
  std::map<std::string, std::unique_ptr<AtomicFile>> files_;
};

/// LlamaPajamas' evaluation_baseline.json, evaluation_mlx.json, evaluation_gguf.json of a pointwise
/// judgement. The old names have room for one file of a format; further ones add their label.
class LegacyEvaluations {
 public:
  struct Address {
    std::string path;   ///< or the endpoint's address
    std::string label;  ///< as the judgement names it
    bool is_reference = false;
  };
  /// Looks at every file and reserves its name. In the order of results: the reference, then the candidates.
  LegacyEvaluations(std::filesystem::path folder, bool overwrite, const std::vector<Address>& subjects);
  void write(const JudgeTask& task, const JudgeTaskResult& result, const std::string& judge_model);

 private:
  struct Entry {
    std::string name;
    LegacySubject facts;
  };
  ReservedFiles files_;
  std::vector<Entry> entries_;
};

/// `text` as a part of a file's name: "/", ":" and "#" become "_".
std::string file_name_of(std::string text);

}  // namespace assay
