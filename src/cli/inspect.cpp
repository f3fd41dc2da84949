#include "convert/inspect.hpp"

#include <fmt/format.h>

#include <memory>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/memory.hpp"
#include "cli/options.hpp"
#include "cli/size_table.hpp"
#include "cli/verb.hpp"
#include "formats/format.hpp"
#include "models/model_file.hpp"
#include "report/table.hpp"

namespace assay {
namespace {

struct Options {
  std::vector<std::string> paths;
  std::string expect, dump, output;
  bool tensors = false, json = false, overwrite = false;
};

void print_inspection(const Inspection& inspection, bool with_tensors) {
  fmt::print("{}\n", inspection.path.string());
  fmt::print("{}{}{}\n", inspection.container, inspection.architecture.empty() ? "" : " · ",
             inspection.architecture);
  fmt::print("{} parameters in {}, {:.4f} bits per weight\n", format_count(inspection.parameters),
             format_bytes(inspection.bytes), inspection.bits_per_weight());
  fmt::print("declares {}\n\n", inspection.declared.empty() ? "nothing" : inspection.declared.dump());
  Table formats({"format", "tensors", "parameters", "bytes"});
  for (const auto& [name, totals] : inspection.formats())
    formats.add_row(
        {name, format_count(totals.tensors), format_count(totals.parameters), format_count(totals.bytes)});
  fmt::print("{}\n", formats.to_text());
  if (with_tensors) {
    Table table({"tensor", "shape", "format", "bytes", "bits/weight", "note"});
    for (const InspectedTensor& tensor : inspection.tensors)
      table.add_row({tensor.name, format_shape(tensor.shape), tensor.format, format_count(tensor.bytes),
                     fmt::format("{:.4g}", tensor.bits_per_weight()), tensor.suspicion});
    fmt::print("{}\n", table.to_text());
  }
  fmt::print("verdict: {}\n", verdict_name(inspection.verdict));
  for (const std::string& reason : inspection.reasons) fmt::print("  because {}\n", reason);
}

/// Writes one tensor decoded to f32, row after row: what other tools' decoders are compared with.
void dump_tensor(const Options& options) {
  if (options.paths.size() != 1) throw UsageError("--dump reads one path");
  const std::string& path = options.paths[0];
  const ModelFile model = ModelFile::open(expand_path(path));
  const auto& tensors = model.tensors();
  const auto found = std::find_if(tensors.begin(), tensors.end(), [&](const ModelTensor& tensor) {
    return tensor.stored_name == options.dump || tensor.slot.hf_name == options.dump;
  });
  if (found == tensors.end())
    throw Error({"no such tensor", path, {}, options.dump, "assay inspect --tensors lists them"});
  const WeightView& weight = found->weight;
  const FormatOps& ops = format_ops(weight.format);
  AtomicFile file(expand_path(options.output), options.overwrite);
  std::vector<float> row(static_cast<size_t>(weight.cols));
  for (int64_t r = 0; r < weight.rows; ++r) {
    ops.dequantize_row(weight.format, packed_row(weight, r), weight.cols, row.data());
    file.write(std::as_bytes(std::span(row)));
  }
  file.commit();
}

/// One path: its own document. Several: all of them, and their sizes side by side.
nlohmann::ordered_json inspections_json(const std::vector<Inspection>& inspections) {
  if (inspections.size() == 1) return inspection_json(inspections[0]);
  nlohmann::ordered_json results = nlohmann::ordered_json::array();
  for (const Inspection& inspection : inspections)
    results.push_back(nlohmann::ordered_json(inspection_json(inspection)));
  return {{"results", std::move(results)}, {"sizes", sizes_json(inspections)}};
}

void print_inspections(const std::vector<Inspection>& inspections, bool with_tensors) {
  for (const Inspection& inspection : inspections) {
    print_inspection(inspection, with_tensors);
    if (inspections.size() > 1) fmt::print("\n");
  }
  if (inspections.size() > 1) print_sizes(inspections);
}

void expect_verdict(const std::string& expected, const Inspection& inspection) {
  if (parse_verdict(expected) == inspection.verdict) return;
  throw Error({"the verdict is another", inspection.path.string(), expected,
               std::string(verdict_name(inspection.verdict)),
               inspection.reasons.empty() ? "" : inspection.reasons.front()});
}

int run_inspect(const Options& options) {
  if (options.dump.empty() != options.output.empty())
    throw UsageError("--dump NAME and -o FILE belong together");
  if (!options.dump.empty()) {
    dump_tensor(options);
    return 0;
  }
  if (!options.expect.empty()) parse_verdict(options.expect);  // a wrong word fails before the work
  std::vector<Inspection> inspections;
  for (const std::string& path : options.paths) inspections.push_back(inspect_path(expand_path(path)));
  if (options.json)
    print_json(inspections_json(inspections));
  else
    print_inspections(inspections, options.tensors);
  if (!options.expect.empty())
    for (const Inspection& inspection : inspections) expect_verdict(options.expect, inspection);
  return 0;
}

}  // namespace

RunVerb declare_inspect(CLI::App& command) {
  auto options = std::make_shared<Options>();
  command
      .add_option("path", options->paths,
                  "safetensors, GGUF or npz files, checkpoint, MLX or other model directories; the sizes of "
                  "several are set side by side")
      ->required();
  command.add_flag("--tensors", options->tensors, "list every tensor");
  command.add_option("--expect", options->expect,
                     "fail unless the verdict is quantized, unquantized, mixed or fake");
  command.add_option("--dump", options->dump, "decode this tensor to raw little-endian f32 (with -o)");
  command.add_option("-o,--output", options->output, "file for --dump");
  command.add_flag("--overwrite", options->overwrite, "let -o replace a file that exists");
  command.add_flag("--json", options->json, "print one JSON document");
  add_examples(command,
               "  assay inspect out/mlx-4bit\n"
               "  assay inspect model-q4.gguf --expect quantized\n"
               "  assay inspect weights.npz --json\n"
               "  assay inspect old-q8 new-q8\n"
               "  assay inspect model.gguf --dump blk.0.attn_q.weight -o q.f32");
  return [options] { return run_inspect(*options); };
}

}  // namespace assay
