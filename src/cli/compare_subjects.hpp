#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "base/progress.hpp"
#include "base/thread_pool.hpp"
#include "convert/convert.hpp"
#include "report/report.hpp"

namespace assay {

/// What a comparison is made of: the reference first, then outputs built from it, files of whatever origin,
/// and endpoints, which are known by their text alone.
struct SubjectRequest {
  std::string source;
  std::string recipes;  ///< separated by commas, or empty
  std::filesystem::path output;
  std::vector<std::string> paths, endpoints;
  bool overwrite = false;
};

/// Makes the outputs that are missing, or all with `overwrite`; one that is there and in the manifest is else
/// used as it is. Everything is inspected and hashed; outputs, and other files made from this source, are
/// held to it by verify. Labels are unique: a recipe's name, a file's own name, else its path.
std::vector<Subject> gather_subjects(const SubjectRequest& request, const ConversionSource& source,
                                     ThreadPool& pool, Progress& progress);

}  // namespace assay
