#pragma once
#include "report/markup.hpp"
#include "report/report.hpp"

/// The sections of report.html. Each writes its content, without its heading, or nothing where the report has
/// nothing to fill it with.
namespace assay {

void add_summary(Markup& out, const Report& report);
void add_advice(Markup& out, const Report& report);
void add_quality(Markup& out, const Report& report);
void add_comparisons(Markup& out, const Report& report);
/// The tables and curves of one task.
void add_task(Markup& out, const Report& report, const std::string& task);
void add_speed(Markup& out, const Report& report);
void add_matrices(Markup& out, const Report& report);
void add_flips(Markup& out, const Report& report);
void add_tensors(Markup& out, const Report& report);
void add_answers(Markup& out, const Report& report);
void add_notes(Markup& out, const Report& report);
void add_files(Markup& out, const Report& report);
void add_ledger(Markup& out, const Report& report);

/// Tasks with a section of their own: those of the measurements and series but speed, memory and size.
std::vector<std::string> section_tasks(const Report& report);

}  // namespace assay
