#include "base/thread_pool.hpp"

#include <sched.h>

#include <atomic>
#include <condition_variable>
#include <exception>
#include <fstream>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/error.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace assay {
namespace {

void pause_briefly() noexcept {
#if defined(__x86_64__)
  _mm_pause();
#else
  std::this_thread::yield();
#endif
}

/// Waits until ready() holds, at most `turns` short pauses long; says whether it does.
template <class Ready>
bool spin_until(int turns, const Ready& ready) noexcept {
  for (int turn = 0; turn < turns; ++turn) {
    if (ready()) return true;
    pause_briefly();
  }
  return ready();
}

/// A pause lasts some 50 ns. A millisecond bridges the gaps within a token and between tokens. No yielding:
/// on a machine with other work a yield gives the core away for a whole time slice, and a token has a hundred
/// loops: beside other processes a 14M model decoded 840 tokens/s with yields and 2,230 without. Threads
/// without a core of their own only keep others from working, so they soon sleep.
constexpr int kSpins = 20000, kCrowdedSpins = 200;

std::string read_first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

}  // namespace

int count_physical_cores() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return 1;
  std::set<std::string> cores;  // "package:core" of every processor this process may use
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed)) continue;
    const std::string folder = "/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/";
    const std::string core = read_first_line(folder + "core_id");
    cores.insert(core.empty() ? "cpu" + std::to_string(cpu)
                              : read_first_line(folder + "physical_package_id") + ":" + core);
  }
  return cores.empty() ? 1 : static_cast<int>(cores.size());
}

/// Workers spin for a while after each loop, since decoding starts the next one within microseconds, and then
/// sleep; so does the caller until the last worker is done. `generation` counts the loops; a worker joins the
/// loop whose number it has not yet seen.
struct ThreadPool::State {
  std::vector<std::thread> workers;
  std::mutex mutex;
  std::condition_variable wake, done;
  std::atomic<bool> caller_sleeps{false};
  int spins = kSpins;
  std::atomic<uint64_t> generation{0};
  std::atomic<bool> stopping{false};

  const std::function<void(int64_t)>* task = nullptr;
  int64_t count = 0;
  std::atomic<int64_t> next{0};
  std::atomic<int> busy{0};
  std::mutex error_mutex;
  std::exception_ptr error;

  void take_tasks() noexcept {
    for (int64_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < count;) {
      try {
        (*task)(i);
      } catch (...) {
        const std::lock_guard lock(error_mutex);
        if (!error) error = std::current_exception();
      }
    }
  }

  void wait_for_loop(uint64_t seen) {
    const auto started = [&] { return generation.load(std::memory_order_acquire) != seen; };
    if (spin_until(spins, started)) return;
    std::unique_lock lock(mutex);
    wake.wait(lock, started);
  }

  void work() {
    for (uint64_t seen = 0;;) {
      wait_for_loop(seen);
      seen = generation.load(std::memory_order_acquire);
      if (stopping.load()) return;
      take_tasks();
      // Both in sequential order: either the caller sees that this was the last one, or it is seen asleep.
      if (busy.fetch_sub(1) == 1 && caller_sleeps.load()) {
        const std::lock_guard lock(mutex);
        done.notify_one();
      }
    }
  }

  void wait_for_workers() {
    const auto finished = [&] { return busy.load() == 0; };
    if (spin_until(spins, finished)) return;
    std::unique_lock lock(mutex);
    caller_sleeps.store(true);
    done.wait(lock, finished);
    caller_sleeps.store(false);
  }

  void start_loop() {
    {
      const std::lock_guard lock(mutex);
      generation.fetch_add(1, std::memory_order_release);
    }
    wake.notify_all();
  }

  void stop() {
    stopping.store(true);
    start_loop();
    for (std::thread& worker : workers) worker.join();
  }
};

ThreadPool::ThreadPool(int threads) : state_(std::make_unique<State>()) {
  ASSAY_CHECK(threads >= 1);
  State& state = *state_;
  if (threads > count_physical_cores()) state.spins = kCrowdedSpins;
  try {
    state.workers.reserve(static_cast<size_t>(threads - 1));
    for (int i = 1; i < threads; ++i) state.workers.emplace_back([&state] { state.work(); });
  } catch (const std::exception& error) {  // no memory for a stack, or a limit on threads
    const size_t started = state.workers.size() + 1;
    state.stop();
    throw Error({"cannot start " + std::to_string(threads) + " threads",
                 {},
                 {},
                 std::to_string(started) + ", then \"" + error.what() + "\"",
                 "fewer --threads need less"});
  }
}

ThreadPool::~ThreadPool() {
  state_->stop();
}

int ThreadPool::size() const noexcept {
  return static_cast<int>(state_->workers.size()) + 1;
}

void ThreadPool::run(int64_t count, const std::function<void(int64_t)>& task) {
  State& state = *state_;
  if (count <= 1 || state.workers.empty()) {
    for (int64_t i = 0; i < count; ++i) task(i);
    return;
  }
  state.task = &task;
  state.count = count;
  state.next.store(0, std::memory_order_relaxed);
  state.busy.store(static_cast<int>(state.workers.size()), std::memory_order_relaxed);
  state.start_loop();
  state.take_tasks();
  state.wait_for_workers();
  if (state.error) std::rethrow_exception(std::exchange(state.error, nullptr));
}

void ThreadPool::run_ranges(int64_t count, int64_t grain, const std::function<void(int64_t, int64_t)>& task) {
  ASSAY_CHECK(grain >= 1);
  const int64_t units = (count + grain - 1) / grain;
  // Four ranges a thread even out unequal speeds without many hand-overs.
  const int64_t ranges = std::min<int64_t>(units, size() == 1 ? 1 : int64_t{4} * size());
  run(ranges, [&](int64_t range) {
    const int64_t begin = units * range / ranges * grain;
    const int64_t end = std::min(count, units * (range + 1) / ranges * grain);
    if (begin < end) task(begin, end);
  });
}

}  // namespace assay
