#include <gtest/gtest.h>

#include <cstdlib>

#include "base/error.hpp"
#include "kernels/kernels.hpp"

namespace assay::test {
namespace {

TEST(KernelDispatch, ScalarComesFirstAndNamesDiffer) {
  const auto tables = available_kernels();
  ASSERT_FALSE(tables.empty());
  EXPECT_EQ(tables.front()->isa, "scalar");
  for (size_t i = 0; i < tables.size(); ++i)
    for (size_t j = 0; j < i; ++j) EXPECT_NE(tables[i]->isa, tables[j]->isa);
}

/// kernels() decides once per process, so each choice is tried in a process of its own.
[[noreturn]] void report_choice(const char* isa) {
  setenv("ASSAY_ISA", isa, 1);
  try {
    std::fprintf(stderr, "chose %s\n", std::string(kernels().isa).c_str());
  } catch (const Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
  }
  std::exit(0);
}

TEST(KernelDispatch, EnvironmentNamesTheTable) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  for (const KernelTable* table : available_kernels()) {
    const std::string name(table->isa);
    EXPECT_EXIT(report_choice(name.c_str()), testing::ExitedWithCode(0), "chose " + name);
  }
  const std::string best(available_kernels().back()->isa);
  EXPECT_EXIT(report_choice(""), testing::ExitedWithCode(0), "chose " + best);
}

TEST(KernelDispatch, UnknownNamesAreRefused) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(report_choice("mmx"), testing::ExitedWithCode(0), "ASSAY_ISA.*scalar.*mmx");
}

}  // namespace
}  // namespace assay::test
