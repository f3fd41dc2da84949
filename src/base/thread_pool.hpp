#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

namespace assay {

/// Number of physical cores this process may run on; at least 1.
int count_physical_cores();

/// A fixed team of threads for short, frequent parallel loops. The caller takes part. Work is split by
/// index, so results never depend on the number of threads as long as tasks write to disjoint places.
class ThreadPool {
 public:
  /// `threads` >= 1, including the calling thread. Throws Error when the system starts no more of them.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const noexcept;

  /// Calls task(i) once for every i in [0, count), each on some thread, and returns when all are done.
  /// The first exception thrown by a task is rethrown here. Not reentrant.
  void run(int64_t count, const std::function<void(int64_t)>& task);

  /// Splits [0, count) into contiguous ranges of at least `grain` (a multiple of `grain` except the last)
  /// and calls task(begin, end) for each.
  void run_ranges(int64_t count, int64_t grain, const std::function<void(int64_t, int64_t)>& task);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace assay
