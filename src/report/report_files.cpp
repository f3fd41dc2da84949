#include <deque>
#include <utility>

#include "base/error.hpp"
#include "base/file.hpp"
#include "io/json_text.hpp"
#include "report/report.hpp"

namespace assay {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

void write_report(const Report& report, const fs::path& directory, bool overwrite) {
  fs::create_directories(directory);
  // All three are drawn and opened before the first appears: a fault leaves what was there.
  const std::pair<const char*, std::string> contents[] = {
      {"report.json", to_json(report).dump(2, ' ', false, Json::error_handler_t::replace) + "\n"},
      {"report.md", to_markdown(report)},
      {"report.html", to_html(report)}};
  std::deque<AtomicFile> files;
  for (const auto& [name, content] : contents) files.emplace_back(directory / name, overwrite).write(content);
  for (AtomicFile& file : files) file.commit();
}

Report read_report(const fs::path& path) {
  const fs::path file = fs::is_directory(path) ? path / "report.json" : path;
  const std::string text = read_text_file(file);
  parse_json(text, file.string());  // bounds the depth and says where a fault stands, but forgets the order
  try {
    return report_from_json(Json::parse(text.starts_with("\xef\xbb\xbf") ? text.substr(3) : text));
  } catch (const Error& error) {
    Fault fault = error.fault();
    fault.where = file.string() + (fault.where.empty() ? "" : ": " + fault.where);
    throw Error(std::move(fault));
  }
}

}  // namespace assay
