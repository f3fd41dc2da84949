#include "text/jinja_budget.hpp"

namespace assay::jinja {

void fail(std::string message) {
  throw Failure(std::move(message));
}

void Budget::fail_steps() const {
  fail("the template takes more than " + std::to_string(limits_.steps) + " steps");
}

void Budget::fail_text() const {
  fail("the template makes a text of more than " + std::to_string(limits_.text_bytes) + " bytes");
}

void Budget::fail_depth() const {
  fail("the template nests more than " + std::to_string(limits_.depth) + " levels of evaluation");
}

}  // namespace assay::jinja
