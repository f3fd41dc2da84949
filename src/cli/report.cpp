#include "report/report.hpp"

#include <fmt/format.h>

#include <deque>
#include <memory>
#include <sstream>

#include "base/error.hpp"
#include "base/file.hpp"
#include "cli/options.hpp"
#include "cli/verb.hpp"

namespace assay {
namespace {

namespace fs = std::filesystem;

struct Options {
  std::string path, formats = "html,md", output;
  bool json = false, overwrite = false;
};

/// What a format draws, or UsageError.
std::string draw(const Report& report, const std::string& format) {
  if (format == "html") return to_html(report);
  if (format == "md") return to_markdown(report);
  throw UsageError({"no such format", "--format", "html, md or both", "\"" + format + "\"", {}});
}

int run_report(const Options& options) {
  const fs::path path = expand_path(options.path);
  if (!fs::exists(path)) throw Error({"no such file or directory", path.string(), {}, {}, {}});
  const Report report = read_report(path);
  const fs::path beside = fs::is_directory(path) ? path : path.parent_path();
  const fs::path folder = options.output.empty() ? beside : expand_path(options.output);
  std::vector<std::pair<fs::path, std::string>> pages;
  std::stringstream formats(options.formats);
  for (std::string format; std::getline(formats, format, ',');)
    pages.emplace_back(folder / ("report." + format), draw(report, format));
  if (pages.empty()) throw UsageError({"no format", "--format", "html, md or both", "none", {}});
  fs::create_directories(folder.empty() ? "." : folder);
  std::deque<AtomicFile> files;
  for (const auto& [file, content] : pages) files.emplace_back(file, options.overwrite).write(content);
  for (AtomicFile& file : files) file.commit();
  nlohmann::ordered_json written = nlohmann::ordered_json::array();
  for (const auto& [file, content] : pages) written.push_back(file.string());
  if (options.json) {
    print_json({{"report", path.string()}, {"files", written}});
  } else {
    for (const auto& [file, content] : pages) fmt::print("{}\n", file.string());
  }
  return 0;
}

}  // namespace

RunVerb declare_report(CLI::App& command) {
  auto options = std::make_shared<Options>();
  command.add_option("path", options->path, "directory that compare wrote, or its report.json")->required();
  command.add_option("--format", options->formats, "html, md or both, separated by a comma (default both)");
  command.add_option("-o,--output", options->output, "directory for the pages (default: beside report.json)");
  command.add_flag("--overwrite", options->overwrite, "replace pages that exist");
  command.add_flag("--json", options->json, "print one JSON document");
  add_examples(command,
               "  assay report out --overwrite\n"
               "  assay report out/report.json --format html -o pages");
  return [options] { return run_report(*options); };
}

}  // namespace assay
