#include "eval/machine.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <vector>

#include "base/aligned.hpp"
#include "base/error.hpp"
#include "base/memory.hpp"
#include "base/thread_pool.hpp"
#include "engine/stopwatch.hpp"
#include "kernels/integer_peak.hpp"

namespace assay {
namespace {

constexpr size_t kLeast = size_t{384} << 20, kMost = size_t{1} << 30;

/// A cache line, summed as a register's lanes or as several registers, whatever the instruction set has.
typedef uint64_t Line __attribute__((vector_size(64)));
constexpr size_t kLineWords = sizeof(Line) / sizeof(uint64_t);

/// Sum of 64-bit words; only the loads matter. `count` is a multiple of kLineWords, `words` aligned to a
/// line.
__attribute__((always_inline)) inline uint64_t sum_lines(const uint64_t* words, size_t count) noexcept {
  const auto* lines = reinterpret_cast<const Line*>(words);
  Line sum = {};
  for (size_t i = 0; i < count / kLineWords; ++i) sum += lines[i];
  uint64_t total = 0;
  for (size_t lane = 0; lane < kLineWords; ++lane) total += sum[lane];
  return total;
}

uint64_t read_plain(const uint64_t* words, size_t count) noexcept {
  return sum_lines(words, count);
}

// Wider loads keep more lines under way: 42 GB/s instead of 38 on two cores of a Xeon with AVX-512.
#if defined(__x86_64__)
__attribute__((target("avx2"))) uint64_t read_avx2(const uint64_t* words, size_t count) noexcept {
  return sum_lines(words, count);
}
__attribute__((target("avx512f"))) uint64_t read_avx512(const uint64_t* words, size_t count) noexcept {
  return sum_lines(words, count);
}
auto widest_reader() noexcept {
  return __builtin_cpu_supports("avx512f") ? read_avx512
         : __builtin_cpu_supports("avx2")  ? read_avx2
                                           : read_plain;
}
#else
auto widest_reader() noexcept {
  return read_plain;
}
#endif

/// Zeroed memory, in large pages where the system has them: else its own tables would be read as well.
class Pages {
 public:
  explicit Pages(size_t bytes) : bytes_(bytes) {
    address_ = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (address_ == MAP_FAILED) throw Error({"no memory to measure its bandwidth", {}, {}, errno_text(), {}});
    madvise(address_, bytes_, MADV_HUGEPAGE);
  }
  ~Pages() { munmap(address_, bytes_); }
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;
  uint64_t* words() noexcept { return static_cast<uint64_t*>(address_); }

 private:
  size_t bytes_;
  void* address_;
};

size_t sweep_bytes() {
  const size_t wanted = std::clamp<size_t>(2 * last_level_cache_bytes(), kLeast, kMost);
  const uint64_t available = available_memory_bytes();
  return available == 0 ? wanted : std::min<size_t>(wanted, available / 4);
}

}  // namespace

double measure_read_bandwidth(int threads) {
  constexpr int kSweeps = 5;
  const auto read_words = widest_reader();
  ThreadPool pool(threads);
  const auto team = static_cast<size_t>(threads);
  const size_t part = sweep_bytes() / sizeof(uint64_t) / team / kLineWords * kLineWords;
  ASSAY_CHECK(part > 0);
  Pages pages(part * team * sizeof(uint64_t));
  std::vector<uint64_t> sums(team);
  pool.run(threads,
           [&](int64_t i) { std::fill_n(pages.words() + static_cast<size_t>(i) * part, part, uint64_t{1}); });
  double best = 0.0;
  for (int sweep = 0; sweep < kSweeps; ++sweep) {
    const Stopwatch sweeping;
    pool.run(threads, [&](int64_t i) {
      sums[static_cast<size_t>(i)] += read_words(pages.words() + static_cast<size_t>(i) * part, part);
    });
    best = std::max(best, static_cast<double>(part * team * sizeof(uint64_t)) / sweeping.seconds());
  }
  ASSAY_CHECK(sums[0] == part * kSweeps);  // keeps the loads from being optimized away
  return best;
}

double measure_integer_peak(std::string_view isa, int threads) {
  constexpr int64_t kTurns = 100'000;
  ThreadPool pool(threads);
  std::vector<int64_t> products(static_cast<size_t>(threads));
  double best = 0.0;
  for (int round = 0; round < 8; ++round) {
    const Stopwatch multiplying;
    pool.run(threads,
             [&](int64_t i) { products[static_cast<size_t>(i)] = run_integer_products(isa, kTurns); });
    const double seconds = multiplying.seconds();
    double total = 0.0;
    for (const int64_t count : products) total += static_cast<double>(count);
    if (total == 0.0) return 0.0;
    best = std::max(best, total / seconds);
  }
  return best;
}

std::string processor_name() {
  std::ifstream info("/proc/cpuinfo");
  std::string line;
  while (std::getline(info, line)) {
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  }
  return "unknown";
}

uint64_t last_level_cache_bytes() {
  long largest = 0;
  for (const int name : {_SC_LEVEL2_CACHE_SIZE, _SC_LEVEL3_CACHE_SIZE, _SC_LEVEL4_CACHE_SIZE})
    largest = std::max(largest, sysconf(name));
  return static_cast<uint64_t>(largest);
}

}  // namespace assay
