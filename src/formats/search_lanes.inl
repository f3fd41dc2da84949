// The searches, written once for vectors of kLanes floats. A file per instruction set defines kLanes and
// includes this inside its own anonymous namespace; nothing here may come from a header with inline
// functions, or the linker could hand one instruction set's copy to another.
//
// Vector arithmetic is lane by lane and never contracted (-ffp-contract=off), so lane width changes speed
// only.

typedef float Lanes __attribute__((vector_size(kLanes * sizeof(float))));
typedef int32_t Mask __attribute__((vector_size(kLanes * sizeof(float))));

constexpr int kMaxBlockLen = 32;

inline Lanes all(float value) {
  return value - Lanes{};
}

inline Lanes magnitude(Lanes v) {
  return reinterpret_cast<Lanes>(reinterpret_cast<Mask>(v) & 0x7fffffff);
}

/// clamp(round_even(v), low, high); NaN gives low.
inline Lanes round_code(Lanes v, Lanes low, Lanes high) {
  const Lanes shift = all(12582912.0f);
  const Lanes rounded = (v + shift) - shift;
  const Lanes raised = rounded > low ? rounded : low;
  return raised < high ? raised : high;
}

/// Blocks [first, first + kLanes) side by side: out[i][lane] = value i of block first + lane. Lanes beyond
/// the last block repeat it.
inline void interleave(const float* x, int block_len, int first, int n_blocks, Lanes* out) {
  for (int lane = 0; lane < kLanes; ++lane) {
    const int block = first + lane < n_blocks ? first + lane : n_blocks - 1;
    const float* from = x + block * block_len;
    for (int i = 0; i < block_len; ++i) out[i][lane] = from[i];
  }
}

struct LineState {
  Lanes x[kMaxBlockLen], weights[kMaxBlockLen], codes[kMaxBlockLen];
  Lanes sum_w, sum_x;  // sums of w and w * x
  Lanes max;
  Lanes scale, min, code_scale, code_base, error;  // the best so far
};

template <int kLen>
inline void weigh_by_magnitude(LineState& s) {
  Lanes sum{};
  for (int i = 0; i < kLen; ++i) sum += s.x[i] * s.x[i];
  Lanes rms{};
  for (int lane = 0; lane < kLanes; ++lane) rms[lane] = __builtin_sqrtf(sum[lane] / static_cast<float>(kLen));
  for (int i = 0; i < kLen; ++i) s.weights[i] = rms + magnitude(s.x[i]);
}

/// Sum of w * (scale * code + min - x)^2, or of w * |scale * code + min - x|.
template <int kLen, bool kAbsolute>
inline Lanes line_error(const LineState& s, Lanes scale, Lanes min) {
  Lanes error{};
  for (int i = 0; i < kLen; ++i) {
    const Lanes rest = scale * s.codes[i] + min - s.x[i];
    error += s.weights[i] * (kAbsolute ? magnitude(rest) : rest * rest);
  }
  return error;
}

/// Range and weight sums of the blocks, and the plain fit from smallest to largest value.
template <int kLen, bool kAbsolute>
inline void start_line(LineState& s, Lanes max_code) {
  s.min = s.max = s.x[0];
  s.sum_w = s.sum_x = Lanes{};
  for (int i = 0; i < kLen; ++i) {
    s.min = s.x[i] < s.min ? s.x[i] : s.min;
    s.max = s.x[i] > s.max ? s.x[i] : s.max;
    s.sum_w += s.weights[i];
    s.sum_x += s.weights[i] * s.x[i];
  }
  s.min = s.min > 0.0f ? Lanes{} : s.min;
  s.code_scale = max_code / (s.max - s.min);
  s.code_base = s.min;
  s.scale = 1.0f / s.code_scale;
  for (int i = 0; i < kLen; ++i) {
    s.codes[i] = round_code(s.code_scale * (s.x[i] - s.min), Lanes{}, max_code);
  }
  s.error = line_error<kLen, kAbsolute>(s, s.scale, s.min);
}

/// One step size: codes, least squares, and the winner kept. Like ggml, later trials start from the min of
/// the best fit so far.
template <int kLen, bool kAbsolute>
inline void try_line(LineState& s, float steps, Lanes max_code) {
  const Lanes code_scale = steps / (s.max - s.min);
  Lanes sum_l{}, sum_l2{}, sum_xl{};
  for (int i = 0; i < kLen; ++i) {
    const Lanes code = round_code(code_scale * (s.x[i] - s.min), Lanes{}, max_code);
    const Lanes weighted = s.weights[i] * code;
    s.codes[i] = code;
    sum_l += weighted;
    sum_l2 += weighted * code;
    sum_xl += weighted * s.x[i];
  }
  const Lanes determinant = s.sum_w * sum_l2 - sum_l * sum_l;
  Lanes scale = (s.sum_w * sum_xl - s.sum_x * sum_l) / determinant;
  Lanes min = (sum_l2 * s.sum_x - sum_l * sum_xl) / determinant;
  const Mask above = min > 0.0f;
  scale = above ? sum_xl / sum_l2 : scale;
  min = above ? Lanes{} : min;
  const Lanes error = line_error<kLen, kAbsolute>(s, scale, min);
  const Mask better = (determinant > 0.0f) & (error < s.error);
  s.code_scale = better ? code_scale : s.code_scale;
  s.code_base = better ? s.min : s.code_base;
  s.error = better ? error : s.error;
  s.scale = better ? scale : s.scale;
  s.min = better ? min : s.min;
}

template <int kLen, bool kAbsolute>
void fit_lines_of(const LineSearch& search, const float* x, const float* weights, int n_blocks,
                  LineFit* fits) {
  LineState s;
  for (int first = 0; first < n_blocks; first += kLanes) {
    interleave(x, kLen, first, n_blocks, s.x);
    if (weights) {
      interleave(weights, kLen, first, n_blocks, s.weights);
    } else {
      weigh_by_magnitude<kLen>(s);
    }
    const Lanes max_code = all(search.max_code);
    start_line<kLen, kAbsolute>(s, max_code);
    const Mask flat = s.max <= s.min;
    const Lanes flat_min = s.min;
    for (int t = 0; t <= search.last_trial; ++t) {
      try_line<kLen, kAbsolute>(s, search.first + search.delta * static_cast<float>(t) + search.max_code,
                                max_code);
    }
    for (int lane = 0; lane < kLanes && first + lane < n_blocks; ++lane) {
      fits[first + lane] = flat[lane]
                               ? LineFit{0.0f, flat_min[lane], 0.0f, 0.0f}
                               : LineFit{s.scale[lane], s.min[lane], s.code_scale[lane], s.code_base[lane]};
    }
  }
}

void fit_lines(const LineSearch& search, const float* x, const float* weights, int n_blocks, LineFit* fits) {
  if (search.block_len == 32) return fit_lines_of<32, false>(search, x, weights, n_blocks, fits);
  if (search.absolute) return fit_lines_of<16, true>(search, x, weights, n_blocks, fits);
  fit_lines_of<16, false>(search, x, weights, n_blocks, fits);
}

struct ScaleState {
  Lanes x[kMaxBlockLen], weights[kMaxBlockLen], weighted_x[kMaxBlockLen];
  Lanes scale, code_scale;  // the best so far
  Lanes best;               // (sum of w x code)^2 / sum of w code^2, which the best fit maximizes
};

struct ScaleSums {
  Lanes xl, l2;  // sums of w * x * code and w * code^2
};

inline ScaleSums sum_codes(const ScaleState& s, int block_len, Lanes code_scale, Lanes low, Lanes high) {
  ScaleSums sums{};
  for (int i = 0; i < block_len; ++i) {
    const Lanes code = round_code(code_scale * s.x[i], low, high);
    sums.xl += s.weighted_x[i] * code;
    sums.l2 += s.weights[i] * code * code;
  }
  return sums;
}

inline void search_scale(ScaleState& s, int block_len, float max_code, Lanes extreme) {
  const Lanes low = all(-max_code), high = all(max_code - 1);
  s.code_scale = -max_code / extreme;
  const ScaleSums start = sum_codes(s, block_len, s.code_scale, low, high);
  s.scale = start.l2 != 0.0f ? start.xl / start.l2 : Lanes{};
  s.best = s.scale * start.xl;
  for (int trial = -9; trial <= 9; ++trial) {
    if (trial == 0) continue;
    const Lanes code_scale = -(max_code + 0.1f * static_cast<float>(trial)) / extreme;
    const ScaleSums sums = sum_codes(s, block_len, code_scale, low, high);
    const Mask better = (sums.l2 > 0.0f) & (sums.xl * sums.xl > s.best * sums.l2);
    const Lanes scale = sums.xl / sums.l2;
    s.scale = better ? scale : s.scale;
    s.best = better ? scale * sums.xl : s.best;
    s.code_scale = better ? code_scale : s.code_scale;
  }
}

/// Loads blocks and weights; returns the values of largest magnitude, the first where several share it.
inline Lanes load_scale_state(ScaleState& s, const float* x, const float* weights, int block_len, int first,
                              int n_blocks) {
  interleave(x, block_len, first, n_blocks, s.x);
  if (weights) interleave(weights, block_len, first, n_blocks, s.weights);
  Lanes largest{}, extreme{};
  for (int i = 0; i < block_len; ++i) {
    const Lanes size = magnitude(s.x[i]);
    extreme = size > largest ? s.x[i] : extreme;
    largest = size > largest ? size : largest;
    if (!weights) s.weights[i] = s.x[i] * s.x[i];
    s.weighted_x[i] = s.weights[i] * s.x[i];
  }
  return extreme;
}

inline void store_scale_fits(const ScaleState& s, Lanes largest, int first, int n_blocks, ScaleFit* fits) {
  for (int lane = 0; lane < kLanes && first + lane < n_blocks; ++lane) {
    const bool zeros = largest[lane] < 1e-15f;  // GROUP_MAX_EPS
    fits[first + lane] = zeros ? ScaleFit{0.0f, 0.0f} : ScaleFit{s.scale[lane], s.code_scale[lane]};
  }
}

void fit_scales(float max_code, const float* x, const float* weights, int block_len, int n_blocks,
                ScaleFit* fits) {
  ScaleState s;
  for (int first = 0; first < n_blocks; first += kLanes) {
    const Lanes extreme = load_scale_state(s, x, weights, block_len, first, n_blocks);
    search_scale(s, block_len, max_code, extreme);
    store_scale_fits(s, magnitude(extreme), first, n_blocks, fits);
  }
}

/// The level nearest to v, ties to the upper one.
inline Lanes nearest_level(Lanes v) {
  Lanes level = all(kIQ4Levels[0]);
  for (int k = 1; k < 16; ++k) {
    const float middle = static_cast<float>(kIQ4Levels[k] + kIQ4Levels[k - 1]) / 2;
    level = v >= middle ? all(kIQ4Levels[k]) : level;
  }
  return level;
}

struct LevelState : ScaleState {
  Lanes plain_error;  // sum of (x - scale * level)^2 of the best fit, without the sum of x^2
};

/// One trial. A `guarded` one wins only where it lowers the plain squared error too.
inline void try_levels(LevelState& s, Lanes code_scale, bool guarded) {
  Lanes xl{}, l2{}, plain_xl{}, plain_l2{};
  for (int i = 0; i < kMaxBlockLen; ++i) {
    const Lanes level = nearest_level(code_scale * s.x[i]);
    xl += s.weighted_x[i] * level;
    l2 += s.weights[i] * level * level;
    plain_xl += s.x[i] * level;
    plain_l2 += level * level;
  }
  const Lanes scale = xl / l2;
  const Lanes plain_error = scale * (scale * plain_l2 - 2.0f * plain_xl);
  Mask better = (l2 > 0.0f) & (xl * xl > s.best * l2);
  if (guarded) better &= plain_error <= s.plain_error;
  s.scale = better ? scale : s.scale;
  s.best = better ? scale * xl : s.best;
  s.code_scale = better ? code_scale : s.code_scale;
  s.plain_error = better ? plain_error : s.plain_error;
}

void fit_levels(const float* x, const float* weights, int n_blocks, ScaleFit* fits) {
  constexpr int kTrials = 7;
  constexpr float kLowest = kIQ4Levels[0], kHighest = kIQ4Levels[15];
  LevelState s;
  for (int first = 0; first < n_blocks; first += kLanes) {
    const Lanes extreme = load_scale_state(s, x, weights, kMaxBlockLen, first, n_blocks);
    // Where no trial counts, as with weights of 0 or an infinite value: the largest on the widest level.
    s.scale = extreme / kLowest;
    s.code_scale = kLowest / extreme;
    s.best = s.plain_error = Lanes{};
    try_levels(s, -kLowest / extreme, false);
    for (int trial = -kTrials; trial <= kTrials; ++trial)
      try_levels(s, (static_cast<float>(trial) + kLowest) / extreme, false);
    for (int trial = -kTrials; trial <= kTrials; ++trial)
      try_levels(s, (static_cast<float>(trial) + kHighest) / extreme, true);
    store_scale_fits(s, magnitude(extreme), first, n_blocks, fits);
  }
}
