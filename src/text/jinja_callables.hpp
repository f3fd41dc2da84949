#pragma once
#include "text/jinja_evaluator.hpp"

namespace assay::jinja {

/// A {% macro %}, or the caller() of a {% call %} block, with the scope it was defined in.
class Macro : public Object {
 public:
  Macro(Evaluator& evaluator, std::shared_ptr<const MacroBody> body, std::shared_ptr<Scope> closure)
      : evaluator_(evaluator), body_(std::move(body)), closure_(std::move(closure)) {}
  std::string type_name() const override { return "Macro"; }
  std::string show(Budget& budget) const override;
  std::optional<Value> attribute(const std::string& name) override;
  bool is_callable() const override { return true; }
  Value call(Runtime& runtime, const Arguments& arguments) override;

 private:
  Evaluator& evaluator_;
  std::shared_ptr<const MacroBody> body_;
  std::shared_ptr<Scope> closure_;
};

/// The `loop` of a {% for %}. Looks ahead only when asked to (last, nextitem, length), as the items may be
/// computed while the loop runs. Source: Jinja2 3.1, runtime.LoopContext.
class Loop : public Object, public std::enable_shared_from_this<Loop> {
 public:
  Loop(Evaluator& evaluator, const For& node, std::shared_ptr<Scope> outer, Stream items,
       std::optional<int64_t> length, int depth0, int value_depth)
      : evaluator_(evaluator),
        node_(node),
        outer_(std::move(outer)),
        items_(std::move(items)),
        length_(length),
        depth0_(depth0),
        value_depth_(check_depth(value_depth + 1)) {}

  std::optional<Value> advance();
  /// The loop has ended: nothing more will be read.
  void finish();

  std::string type_name() const override { return "LoopContext"; }
  std::optional<Value> attribute(const std::string& name) override;
  bool is_callable() const override { return true; }
  /// {{ loop(children) }} of a recursive loop.
  Value call(Runtime& runtime, const Arguments& arguments) override;
  std::optional<int64_t> length() override { return total(); }
  int depth() const noexcept override { return value_depth_; }
  void release() override;

  Value cycle(const Arguments& arguments) const;
  Value changed(Runtime& runtime, const Arguments& arguments);

 private:
  int64_t total();
  const std::optional<Value>& peek();

  Evaluator& evaluator_;
  const For& node_;
  std::shared_ptr<Scope> outer_;
  Stream items_;
  std::optional<int64_t> length_;
  int depth0_;
  int value_depth_;
  int64_t index0_ = -1;
  bool peeked_ = false;
  std::optional<Value> after_;
  Value before_;
  Value current_;
  std::optional<Value> last_changed_;
};

}  // namespace assay::jinja
