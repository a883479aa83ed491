// The test vectors in C++: like vectors.c, but through the wrapper.

#include <jlock.hpp>

#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using journal_lock::errc;

namespace {

std::string to_hex(std::string_view bytes) {
  static const char digits[] = "0123456789abcdef";
  std::string hex;
  for (unsigned char byte : bytes) hex += {digits[byte >> 4], digits[byte & 15]};
  return hex;
}

std::string from_hex(std::string_view hex) {
  std::string bytes;
  for (std::size_t at = 0; at < hex.size(); at += 2) {
    bytes += static_cast<char>(std::stoi(std::string(hex.substr(at, 2)), nullptr, 16));
  }
  return bytes;
}

class hand {
public:
  explicit hand(journal_lock::journal &journal) : journal_(journal) {}

  // Answers the line if it asks for something.
  void obey(const std::string &line) {
    auto blank = line.find(' ');
    std::string word = line.substr(0, blank), rest = blank == line.npos ? "" : line.substr(blank + 1);
    if (word == "changed" || word == "deleted") {
      paths_.push_back(from_hex(rest));
      kind_ = word == "changed" ? JLOCK_CHANGED : JLOCK_DELETED;
      return;
    }
    try {
      ask(word, rest);
    } catch (const journal_lock::error &error) {
      std::cout << reason(error) << '\n';
      std::cerr << "vectors: " << error.what() << '\n';
    }
    std::cout.flush();
  }

private:
  void ask(const std::string &word, const std::string &rest) {
    if (word == "inspect") return inspect();
    if (word == "read") return read();
    if (word == "acquire") journal_.lock();
    else if (word == "release") journal_.release();
    else if (word == "append") journal_.append(take_entries());
    else if (word == "stamp") journal_.append_stamped(take_entries(), at(std::stoll(rest)));
    else std::abort();
    std::cout << "ok\n";
  }

  static const char *reason(const journal_lock::error &error) {
    if (error.code() == std::errc::timed_out) return "timed out";
    if (error.code() == errc::header || error.code() == errc::unstamped) return "no header";
    return error.code() == errc::entry ? "no entry" : "refused";
  }

  void inspect() {
    static const char *const states[] = {"free", "held", "mine", "abandoned"};
    static const char *const peers[] = {"none", "library", "shipped", "unknown"};
    jlock_holder holder = journal_.inspect();
    std::cout << states[holder.state] << '\t' << peers[holder.peer] << '\t' << holder.pid << '\t' << holder.nonce << '\t'
              << holder.host << '\n';
  }

  void read() {
    journal_lock::snapshot snapshot = journal_.read();
    std::printf("%.17g\n", snapshot.timestamp());
    std::fflush(stdout);
    for (std::string_view path : snapshot.changed()) std::cout << "changed " << to_hex(path) << '\n';
    for (std::string_view path : snapshot.deleted()) std::cout << "deleted " << to_hex(path) << '\n';
    std::cout << "end\n";
  }

  // They refer to the paths, which stay until the next ones are given.
  std::vector<journal_lock::entry> take_entries() {
    taken_ = std::move(paths_);
    paths_.clear();
    std::vector<journal_lock::entry> entries;
    for (const std::string &path : taken_) entries.push_back({path, kind_});
    return entries;
  }

  static journal_lock::journal::clock::time_point at(long long ms) {
    return journal_lock::journal::clock::time_point{std::chrono::milliseconds{ms}};
  }

  journal_lock::journal &journal_;
  std::vector<std::string> paths_, taken_;
  std::uint32_t kind_ = JLOCK_CHANGED;
};

} // namespace

int main(int argc, char **argv) {
  if (argc != 4) std::abort();
  auto how = journal_lock::options{}.timeout(std::atoi(argv[2]) * 1ms).settle(std::atoi(argv[3]) * 1ms);
  journal_lock::journal journal{argv[1], how};
  std::cout << "ok" << std::endl;
  hand hand{journal};
  for (std::string line; std::getline(std::cin, line);) hand.obey(line);
}
