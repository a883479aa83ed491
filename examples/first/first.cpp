#include <iostream>
#include <mutex>
#include "jlock.hpp"

int main() {
  journal_lock::journal journal{".codegraph"};
  journal.append_stamped({journal_lock::changed("src/main.cpp")});
  std::scoped_lock held{journal}; // no other program writes now
  auto seen = journal.read();
  for (auto path : seen.changed()) std::cout << path << '\n';
}
