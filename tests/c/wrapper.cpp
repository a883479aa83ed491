// Checks what examples/cpp/jlock.hpp promises: wrapper DIR
#include <jlock.hpp>

#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <mutex>
#include <vector>

#include <poll.h>

using namespace std::chrono_literals;
using journal_lock::changed;
using journal_lock::deleted;
using journal_lock::errc;
using journal_lock::journal;

#define CHECK(condition) ((condition) ? void() : fail(__LINE__, #condition))

[[noreturn]] static void fail(int line, const char *what) {
  std::fprintf(stderr, "wrapper.cpp:%d: %s\n", line, what);
  std::exit(1);
}

template <class Act> static std::error_code thrown(Act act, std::string *what = nullptr) {
  try {
    act();
  } catch (const std::system_error &error) {
    if (what) *what = error.what();
    return error.code();
  }
  return {};
}

static journal_lock::options impatient() { return journal_lock::options{}.timeout(20ms); }

static void errors_compare_with_the_standards_and_our_own(const std::string &dir) {
  journal one{dir}, two{dir, impatient()};
  journal_lock::guard held{one};
  std::string what;
  CHECK(thrown([&] { two.lock(); }, &what) == std::errc::timed_out);
  CHECK(what.find("held by pid") != std::string::npos);
  CHECK(thrown([&] { two.release(); }) == errc::not_held);
  CHECK(thrown([&] { two.append({changed("")}); }) == errc::entry);
  CHECK(thrown([&] { one.lock(); }) == std::errc::resource_deadlock_would_occur);
  CHECK(thrown([&] { journal{dir + "/none/of/it", journal_lock::options{}.create(false)}; }) ==
        std::errc::no_such_file_or_directory);
  CHECK(make_error_code(errc::lost).message() == jlock_strerror(JLOCK_ELOST));
  CHECK(!journal_lock::to_error_code(0) && !journal_lock::to_error_code(7));
}

static void the_standards_locks_take_it(const std::string &dir) {
  journal one{dir}, two{dir};
  {
    std::scoped_lock held{one};
    CHECK(one.inspect().state == JLOCK_MINE && two.inspect().state == JLOCK_HELD);
    std::unique_lock waits{two, std::try_to_lock};
    CHECK(!waits.owns_lock());
    CHECK(!waits.try_lock_for(5ms));
    CHECK(!waits.try_lock_until(std::chrono::steady_clock::now() - 1s));
  }
  std::unique_lock waits{two, 10s};
  CHECK(waits.owns_lock());
  CHECK(!one.try_lock());
}

static void a_guard_releases_once_and_says_what_was_lost(const std::string &dir) {
  journal one{dir};
  {
    journal_lock::guard held{one};
    journal_lock::guard moved{std::move(held)};
    CHECK(one.inspect().state == JLOCK_MINE);
    moved.release();
    CHECK(one.inspect().state == JLOCK_FREE);
  }
  journal_lock::guard held{one};
  CHECK(std::remove((dir + "/changes.journal.lock").c_str()) == 0);
  CHECK(thrown([&] { held.release(); }) == errc::lost);
}

static void a_snapshot_is_a_range(const std::string &dir) {
  journal one{dir};
  one.write_header();
  std::vector<journal_lock::entry> entries{changed("a"), deleted("x"), changed("b")};
  one.append(entries);
  one.append_stamped({changed("c")}, journal::clock::time_point{1234ms});
  auto snapshot = one.read();
  CHECK(snapshot.timestamp() > 1233.5 && snapshot.timestamp() < 1234.5);
  auto paths = snapshot.changed();
  CHECK((std::vector<std::string_view>{paths.begin(), paths.end()} == std::vector<std::string_view>{"a", "b", "c"}));
  CHECK(std::vector<std::string>(std::make_reverse_iterator(paths.end()), std::make_reverse_iterator(paths.begin()))[0] == "c");
  CHECK(paths.end() - paths.begin() == 3 && paths[1] == "b" && *(2 + paths.begin()) == "c");
  CHECK(snapshot.deleted().size() == 1 && !snapshot.deleted().empty());
  one.append({changed("later")});
  CHECK(one.checkpoint(snapshot));
  auto rest = one.read();
  CHECK(rest.changed().size() == 1 && rest.changed()[0] == "later" && rest.deleted().empty());
}

static void an_event_loop_starts_and_polls(const std::string &dir) {
  journal one{dir}, two{dir};
  CHECK(one.start() && one.inspect().state == JLOCK_MINE);
  CHECK(!two.start(10s));
  pollfd loop{two.wait_fd(), POLLIN, 0};
  one.release();
  while (!two.poll()) CHECK(poll(&loop, 1, -1) == 1);
  CHECK(!one.start(1ms));
  CHECK(thrown([&] {
          for (pollfd other{one.wait_fd(), POLLIN, 0}; !one.poll();) poll(&other, 1, -1);
        }) == std::errc::timed_out);
  two.release();
}

static void closing_throws_what_the_release_said(const std::string &dir) {
  journal one{dir}, two{dir};
  one.lock();
  one.close();
  CHECK(thrown([&] { one.lock(); }) == std::errc::invalid_argument);
  two.lock();
  CHECK(std::remove((dir + "/changes.journal.lock").c_str()) == 0);
  CHECK(thrown([&] { two.close(); }) == errc::lost);
}

static void a_new_journal_is_unstamped(const std::string &dir) {
  journal one{dir};
  one.append({changed("a")});
  CHECK(thrown([&] { one.read(); }) == errc::unstamped);
}

static void a_directory_is_probed(const std::string &dir) {
  CHECK(journal_lock::probe(dir).promises & JLOCK_PLACE_PROCESSES_OF_MOUNT);
  CHECK(thrown([&] { journal_lock::probe(dir + "/none"); }) == std::errc::no_such_file_or_directory);
}

static void times_are_clamped() {
  using namespace journal_lock;
  auto how = options{}.timeout(-5s).retry(std::chrono::hours{24 * 365}).settle(0ms).stale(7s).wait_forever();
  CHECK(how.get()->timeout_ms == -1 && how.get()->retry_ms == INT32_MAX);
  CHECK(how.get()->settle_ms == 0 && how.get()->stale_ms == 7000);
  CHECK(options{}.timeout(-5s).get()->timeout_ms == 0);
  CHECK(options{}.sync(true).keepalive(true).sync(false).get()->flags == JLOCK_KEEPALIVE);
}

int main(int argc, char **argv) {
  CHECK(argc == 2);
  errors_compare_with_the_standards_and_our_own(argv[1]);
  the_standards_locks_take_it(argv[1]);
  a_guard_releases_once_and_says_what_was_lost(argv[1]);
  an_event_loop_starts_and_polls(argv[1]);
  closing_throws_what_the_release_said(argv[1]);
  a_new_journal_is_unstamped(argv[1]);
  a_snapshot_is_a_range(argv[1]);
  a_directory_is_probed(argv[1]);
  times_are_clamped();
}
