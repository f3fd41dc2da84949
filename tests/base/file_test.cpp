#include "base/file.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <cstdlib>
#include <fstream>

#include "base/error.hpp"
#include "base/sha256.hpp"
#include "support/test_data.hpp"

namespace assay {
namespace {
namespace fs = std::filesystem;

void write_text(const fs::path& path, std::string_view text) {
  std::ofstream(path) << text;
}

size_t count_entries(const fs::path& folder) {
  return static_cast<size_t>(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

TEST(MappedFile, ShowsTheBytesAndAnEmptyFileHasNone) {
  const test::TemporaryFolder folder;
  write_text(folder / "a", "hello");
  write_text(folder / "empty", "");
  const MappedFile file(folder / "a");
  ASSERT_EQ(5u, file.bytes().size());
  EXPECT_EQ(std::byte{'h'}, file.bytes()[0]);
  file.release(file.bytes());
  EXPECT_EQ(std::byte{'o'}, file.bytes()[4]);
  EXPECT_TRUE(MappedFile(folder / "empty").bytes().empty());
}

TEST(MappedFile, RefusesWhatIsNoRegularFile) {
  const test::TemporaryFolder folder;
  EXPECT_THROW(MappedFile(folder / "missing"), Error);
  EXPECT_THROW(MappedFile(folder.path()), Error);
}

TEST(AtomicFile, AppearsCompleteOrNotAtAll) {
  const test::TemporaryFolder folder;
  {
    AtomicFile file(folder / "out", false);
    file.write("abc");
    EXPECT_FALSE(fs::exists(folder / "out"));
  }
  EXPECT_EQ(0u, count_entries(folder.path())) << "an abandoned write must leave nothing";
  AtomicFile file(folder / "sub/out", false);
  file.write("abc");
  file.pad(32);
  EXPECT_EQ(32u, file.size());
  file.commit();
  EXPECT_EQ(32u, fs::file_size(folder / "sub/out"));
  EXPECT_EQ(1u, count_entries(folder / "sub"));
}

TEST(AtomicFile, NeverReplacesWithoutLeave) {
  const test::TemporaryFolder folder;
  write_text(folder / "out", "precious");
  EXPECT_THROW(AtomicFile(folder / "out", false), Error);
  {
    AtomicFile abandoned(folder / "out", true);
    abandoned.write("half");
  }
  EXPECT_EQ("precious", read_text_file(folder / "out"));
  AtomicFile file(folder / "out", true);
  file.write("new");
  file.commit();
  EXPECT_EQ("new", read_text_file(folder / "out"));
}

TEST(AtomicFile, SaysWhyTheWriteFailedAndLeavesNothing) {
  // A file-size limit makes write() fail half way, as a full disk does.
  const test::TemporaryFolder folder;
  struct rlimit old_limit {};
  ASSERT_EQ(0, getrlimit(RLIMIT_FSIZE, &old_limit));
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  struct rlimit limit = old_limit;
  limit.rlim_cur = 4096;
  ASSERT_EQ(0, setrlimit(RLIMIT_FSIZE, &limit));
  EXPECT_THROW(
      {
        AtomicFile file(folder / "out", false);
        file.write(std::string(8192, 'x'));
      },
      Error);
  setrlimit(RLIMIT_FSIZE, &old_limit);
  std::signal(SIGXFSZ, old_handler);
  EXPECT_EQ(0u, count_entries(folder.path()));
}

TEST(AtomicFile, ClearsWhatAKilledProcessLeftAndNothingElse) {
  const test::TemporaryFolder folder;
  write_text(folder / ".out.part-1-0", "left by a process that is gone");
  fs::create_directory(folder / ".out.part-2-0");
  write_text(folder / ".other.part-1-0", "of another name");
  AtomicFile living(folder / "out", false);
  living.write("x");
  const size_t with_living = count_entries(folder.path());
  EXPECT_EQ(2u, with_living);
  AtomicDirectory second(folder / "out", false);
  EXPECT_EQ(with_living + 1, count_entries(folder.path())) << "a temporary in use must stay";
  EXPECT_TRUE(fs::exists(folder / ".other.part-1-0"));
}

TEST(RemoveTemporaries, EmptiesTheFolderOfUnfinishedWork) {
  const test::TemporaryFolder folder;
  AtomicFile file(folder / "a", false);
  AtomicDirectory directory(folder / "b", false);
  write_text(directory.staging() / "x", "1");
  EXPECT_EQ(2u, count_entries(folder.path()));
  remove_temporaries();
  EXPECT_EQ(0u, count_entries(folder.path()));
}

TEST(AtomicDirectory, ReplacesAWholeFolderOrLeavesTheOldOne) {
  const test::TemporaryFolder folder;
  fs::create_directory(folder / "out");
  write_text(folder / "out/old", "1");
  EXPECT_THROW(AtomicDirectory(folder / "out", false), Error);
  {
    AtomicDirectory abandoned(folder / "out", true);
    write_text(abandoned.staging() / "new", "2");
  }
  EXPECT_TRUE(fs::exists(folder / "out/old"));
  AtomicDirectory directory(folder / "out/", true);
  write_text(directory.staging() / "new", "2");
  directory.commit();
  EXPECT_FALSE(fs::exists(folder / "out/old"));
  EXPECT_TRUE(fs::exists(folder / "out/new"));
  EXPECT_EQ(1u, count_entries(folder.path()));
}

TEST(ReadTextFile, RefusesMoreThanItsLimit) {
  const test::TemporaryFolder folder;
  write_text(folder / "a", "12345678");
  EXPECT_EQ("12345678", read_text_file(folder / "a", 8));
  EXPECT_THROW(read_text_file(folder / "a", 7), Error);
  EXPECT_THROW(read_text_file(folder.path()), Error);
}

TEST(ExpandPath, KnowsHomeAndVariables) {
  setenv("HOME", "/home/me", 1);
  setenv("MODELS", "/m", 1);
  EXPECT_EQ("/home/me/a", expand_path("~/a"));
  EXPECT_EQ("/m/x", expand_path("$MODELS/x"));
  EXPECT_EQ("/m/x", expand_path("${MODELS}/x"));
  EXPECT_EQ("a~b/$", expand_path("a~b/$"));
  EXPECT_THROW(expand_path("$ASSAY_NO_SUCH_VARIABLE/x"), Error);
}

TEST(RequireFreeSpace, RefusesWhatCannotFit) {
  const test::TemporaryFolder folder;
  EXPECT_NO_THROW(require_free_space(folder / "not/yet/made", 1));
  EXPECT_THROW(require_free_space(folder.path(), uint64_t{1} << 62), Error);
}

TEST(Sha256, AgreesWithThePublishedVectors) {
  // FIPS 180-2, appendix B.1 and the empty message.
  const std::string abc = "abc";
  EXPECT_EQ("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            sha256_of(std::as_bytes(std::span(abc))));
  EXPECT_EQ("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", sha256_of({}));
  const test::TemporaryFolder folder;
  write_text(folder / "abc", abc);
  EXPECT_EQ(sha256_of(std::as_bytes(std::span(abc))), sha256_of_file(folder / "abc"));
}

TEST(Error, IsOneLineThatSaysWhatWhereExpectedFoundAndCause) {
  EXPECT_STREQ("f.bin: cut off: expected 10 bytes, found 3 (incomplete download?)",
               Error({"cut off", "f.bin", "10 bytes", "3", "incomplete download?"}).what());
  EXPECT_STREQ("a b", Error("a\nb").what());
}

}  // namespace
}  // namespace assay
