#include "base/thread_pool.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <vector>

#include "base/error.hpp"

namespace assay {
namespace {

TEST(ThreadPool, RunsEveryTaskExactlyOnce) {
  for (const int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    EXPECT_EQ(threads, pool.size());
    for (const int64_t count : {0, 1, 2, 7, 1000}) {
      std::vector<std::atomic<int>> calls(static_cast<size_t>(count));
      pool.run(count, [&](int64_t i) { calls[static_cast<size_t>(i)].fetch_add(1); });
      for (const auto& n : calls) ASSERT_EQ(1, n.load());
    }
  }
}

TEST(ThreadPool, ManyShortLoopsInARowAllComplete) {
  ThreadPool pool(4);
  std::atomic<int64_t> sum{0};
  for (int loop = 0; loop < 300; ++loop) pool.run(4, [&](int64_t i) { sum += i; });
  EXPECT_EQ(300 * 6, sum.load());
}

TEST(ThreadPool, RangesCoverWithoutOverlapOnGrainBorders) {
  ThreadPool pool(3);
  for (const int64_t count : {1, 4, 5, 63, 64, 65, 1001}) {
    std::vector<std::atomic<int>> calls(static_cast<size_t>(count));
    pool.run_ranges(count, 4, [&](int64_t begin, int64_t end) {
      EXPECT_EQ(0, begin % 4);
      EXPECT_TRUE(end % 4 == 0 || end == count);
      for (int64_t i = begin; i < end; ++i) calls[static_cast<size_t>(i)].fetch_add(1);
    });
    for (const auto& n : calls) ASSERT_EQ(1, n.load());
  }
}

TEST(ThreadPool, RethrowsTheFirstExceptionAndStaysUsable) {
  ThreadPool pool(3);
  EXPECT_THROW(pool.run(100,
                        [](int64_t i) {
                          if (i == 42) throw std::runtime_error("planted");
                        }),
               std::runtime_error);
  std::atomic<int> calls{0};
  pool.run(10, [&](int64_t) { ++calls; });
  EXPECT_EQ(10, calls.load());
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // their shadow memory needs the room
TEST(ThreadPoolDeathTest, ThreadsThatCannotBeStartedAreAnErrorAndTheOthersAreJoined) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  const auto start_too_many = [] {
    const rlimit room{size_t{1} << 30, size_t{1} << 30};  // for some hundred stacks of 8 MiB at most
    setrlimit(RLIMIT_AS, &room);
    try {
      ThreadPool pool(1024);
    } catch (const Error& error) {
      std::fputs(error.what(), stderr);
      std::exit(7);
    }
    std::exit(0);
  };
  EXPECT_EXIT(start_too_many(), testing::ExitedWithCode(7), "cannot start 1024 threads: found [0-9]+, then");
}
#endif

TEST(CountPhysicalCores, IsAtLeastOne) {
  EXPECT_GE(count_physical_cores(), 1);
}

}  // namespace
}  // namespace assay
