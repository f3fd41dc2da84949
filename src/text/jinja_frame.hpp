#pragma once
#include <exception>

#include "text/jinja_evaluator.hpp"

namespace assay::jinja {

/// While it lives, statements run in another scope and, when given, write to another output.
class Evaluator::Frame {
 public:
  Frame(Evaluator& evaluator, std::shared_ptr<Scope> scope, std::string* out = nullptr)
      : evaluator_(evaluator),
        scope_(std::exchange(evaluator.scope_, std::move(scope))),
        out_(evaluator.out_),
        line_(evaluator.line_) {
    if (out) evaluator.out_ = out;
  }
  ~Frame() {
    evaluator_.scope_ = std::move(scope_);
    evaluator_.out_ = out_;
    // While an error passes through, the line of its origin stays.
    if (std::uncaught_exceptions() == 0) evaluator_.line_ = line_;
  }
  Frame(const Frame&) = delete;
  Frame& operator=(const Frame&) = delete;

 private:
  Evaluator& evaluator_;
  std::shared_ptr<Scope> scope_;
  std::string* out_;
  int line_;
};

}  // namespace assay::jinja
