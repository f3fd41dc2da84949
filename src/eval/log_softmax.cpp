#include "eval/log_softmax.hpp"

#include <algorithm>
#include <cmath>

#include "base/error.hpp"

namespace assay {

void log_softmax(std::span<const float> logits, std::vector<double>& out) {
  double highest = logits[0];
  for (const float logit : logits) {
    if (std::isnan(logit)) throw Error("the model gives NaN logits");
    highest = std::max<double>(highest, logit);
  }
  if (std::isinf(highest))
    throw Error({"the model gives infinite logits",
                 {},
                 "a finite highest one",
                 highest > 0 ? "+inf" : "-inf alone",
                 {}});
  out.resize(logits.size());
  double sum = 0.0;
  for (size_t i = 0; i < logits.size(); ++i) {
    out[i] = logits[i] - highest;
    sum += std::exp(out[i]);
  }
  const double log_sum = std::log(sum);
  for (double& value : out) value -= log_sum;
}

}  // namespace assay
