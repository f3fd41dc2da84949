#pragma once
#include <optional>
#include <string>
#include <vector>

#include "report/report.hpp"

/// The charts of report.html: each a function from what is shown to one SVG picture of a given width.
namespace assay {

/// Quality against bytes of one metric under one condition.
struct QualityChart {
  std::string title;      ///< "KL, mean"
  std::string condition;  ///< "corpus chat"; may be empty
  std::string unit;
  bool lower_is_better = true;
  bool logarithmic = false;
  struct Point {
    size_t measurement = 0;  ///< its subject has a size
    bool main = true;  ///< on offer for the front; the others are hollow: the same file in fast arithmetic
  };
  std::vector<Point> points;
};
/// A chart of the mean KL for every text, and of every other task's first metric.
std::vector<QualityChart> quality_charts(const Report& report);
/// Indices into chart.points of the files that no other is both smaller and better than, smallest first.
std::vector<size_t> pareto_front(const Report& report, const QualityChart& chart);
std::string draw_quality(const Report& report, const QualityChart& chart, double width, const std::string& id,
                         const std::string& css_class);

/// The series of one task and metric over the same x: a line for each subject, with its interval as a band.
struct SeriesChart {
  std::string task, metric, x_name, unit;
  std::vector<const Series*> lines;
};
std::vector<SeriesChart> series_charts(const Report& report);
std::string draw_series(const Report& report, const SeriesChart& chart, double width, const std::string& id,
                        const std::string& css_class);

/// Differences of one metric with their intervals around 0.
struct ForestChart {
  std::string task, metric, unit;
  std::vector<const PairedComparison*> pairs;
};
std::vector<ForestChart> forest_charts(const Report& report);
std::string draw_forest(const Report& report, const ForestChart& chart, double width, const std::string& id,
                        const std::string& css_class);

/// One metric of speed or memory: a bar for every measurement.
struct BarChart {
  std::string task, metric;
  std::vector<size_t> measurements;
};
std::vector<BarChart> bar_charts(const Report& report);
std::string draw_bars(const Report& report, const BarChart& chart, double width, const std::string& id,
                      const std::string& css_class);

/// The relative errors between which the shades of every tensor map run.
struct ErrorRange {
  double low = 0.0, high = 0.0;
};
/// Of all tensors of all subjects; nothing where no error above 0 is known.
std::optional<ErrorRange> tensor_error_range(const Report& report);
/// The number that stands between dots in a tensor's name: 3 of "model.layers.3.self_attn.q_proj.weight".
std::optional<int> layer_of(const std::string& tensor);
/// A strip of cells for each role, a cell for each layer; the shade is the tensor's relative error.
std::string draw_tensor_map(const Report& report, const Subject& subject, const ErrorRange& range,
                            double width, const std::string& id, const std::string& css_class);

}  // namespace assay
