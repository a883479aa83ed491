// example DIR: appends, waits for its turn, reads, and drops what it has processed.
#include <iostream>
#include <mutex>

#include "jlock.hpp"

using namespace std::chrono_literals;

static void run(const std::string &directory) {
  journal_lock::journal journal{directory, journal_lock::options{}.timeout(1s).sync(true)};
  journal.append_stamped({journal_lock::changed("src/main.cpp"), journal_lock::deleted("src/old.cpp")});

  {
    std::scoped_lock held{journal}; // no other program writes now
    journal.append({journal_lock::changed("src/lock.cpp")});
  }

  auto snapshot = journal.read();
  for (std::string_view path : snapshot.changed()) std::cout << "changed " << path << '\n';
  for (std::string_view path : snapshot.deleted()) std::cout << "deleted " << path << '\n';
  // What was appended since the read stays. If somebody replaced the journal meanwhile, everything stays.
  std::cout << (journal.checkpoint(snapshot) ? "dropped\n" : "kept\n");

  try {
    journal.append({journal_lock::changed("two\nlines")});
  } catch (const journal_lock::error &refused) {
    if (refused.code() != journal_lock::errc::entry) throw;
    std::cout << "refused: " << refused.what() << '\n';
  }
}

int main(int argc, char **argv) {
  if (argc != 2) {
    std::cerr << "usage: example DIR\n";
    return 1;
  }
  try {
    run(argv[1]);
  } catch (const std::system_error &error) {
    std::cerr << "example: " << error.what() << '\n';
    return 1;
  }
}
