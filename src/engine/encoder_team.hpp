#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "base/thread_pool.hpp"

namespace assay {

/// Who shares a piece of work: all threads of a pool, or the calling thread alone. The same code then runs
/// one batch on all threads, or one batch on each.
class Team {
 public:
  /// The calling thread alone.
  Team() = default;
  /// All threads of `pool`, which must outlive the team; not for use inside one of its loops.
  explicit Team(ThreadPool& pool) : pool_(pool.size() > 1 ? &pool : nullptr) {}

  int size() const noexcept { return pool_ == nullptr ? 1 : pool_->size(); }

  template <class Task>
  void run(int64_t count, const Task& task) const {
    if (pool_ != nullptr && count > 1) {
      pool_->run(count, task);
    } else {
      for (int64_t i = 0; i < count; ++i) task(i);
    }
  }
  template <class Task>
  void run_ranges(int64_t count, int64_t grain, const Task& task) const {
    if (pool_ != nullptr && count > grain) {
      pool_->run_ranges(count, grain, task);
    } else if (count > 0) {
      task(int64_t{0}, count);
    }
  }

 private:
  ThreadPool* pool_ = nullptr;
};

/// Buffers that outlive the tasks which borrow them, so that no task allocates once all have their size.
template <class T>
class Shelf {
 public:
  /// Gives its item back at the end of the scope.
  class Loan {
   public:
    Loan(Shelf& shelf, std::unique_ptr<T> item) : shelf_(&shelf), item_(std::move(item)) {}
    Loan(Loan&&) noexcept = default;
    Loan& operator=(Loan&&) = delete;
    ~Loan() {
      if (item_ != nullptr) shelf_->give_back(std::move(item_));
    }
    T& operator*() const noexcept { return *item_; }
    T* operator->() const noexcept { return item_.get(); }

   private:
    Shelf* shelf_;
    std::unique_ptr<T> item_;
  };

  Loan borrow() {
    {
      const std::lock_guard lock(mutex_);
      if (!items_.empty()) {
        Loan loan(*this, std::move(items_.back()));
        items_.pop_back();
        return loan;
      }
    }
    return Loan(*this, std::make_unique<T>());
  }

 private:
  void give_back(std::unique_ptr<T> item) {
    const std::lock_guard lock(mutex_);
    items_.push_back(std::move(item));
  }

  std::mutex mutex_;
  std::vector<std::unique_ptr<T>> items_;
};

}  // namespace assay
