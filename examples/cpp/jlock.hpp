// jlock for C++17: one header over <jlock.h>.
//
//     journal_lock::journal journal{"build/.codegraph"};
//     journal.append_stamped({journal_lock::changed("src/main.cpp"), journal_lock::deleted("src/old.cpp")}); // both or none
//     {
//       journal_lock::guard held{journal};                        // or std::scoped_lock, std::unique_lock
//       journal.append({journal_lock::changed("src/lock.cpp")});  // no other program writes meanwhile
//     }                                                           // released
//
// (The namespace cannot be called jlock, because the C interface has a struct of that name.)
//
// Failures are thrown as error, a std::system_error: an errno is in std::system_category(), the library's own states (errc)
// are in category(). Its what() is the library's message in full. A new journal cannot be read before it has been stamped:
// until then read() throws errc::unstamped. A journal object may be used from any thread, and is one participant, whichever
// thread calls; threads that should exclude each other need one each. An event loop calls start(), waits until wait_fd()
// polls readable, and calls poll(), until one of the two returns true.
#ifndef JLOCK_HPP
#define JLOCK_HPP

#include <jlock.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

namespace journal_lock {

// ------------------------------------------------------------------------------------------------------------ errors

enum class errc {
  lost = JLOCK_ELOST,
  not_held = JLOCK_ENOTHELD,
  forked = JLOCK_EFORKED,
  header = JLOCK_EHEADER,
  entry = JLOCK_EENTRY,
  not_lock = JLOCK_ENOTLOCK,
  panic = JLOCK_EPANIC,
  unstamped = JLOCK_EUNSTAMPED,
};

inline const std::error_category &category() noexcept {
  static const struct : std::error_category {
    const char *name() const noexcept override { return "jlock"; }
    std::string message(int rc) const override { return jlock_strerror(rc); }
  } instance;
  return instance;
}

inline std::error_code make_error_code(errc code) noexcept { return {static_cast<int>(code), category()}; }

// The error code for a return value. An errno belongs to the system's category, so that it compares with std::errc.
inline std::error_code to_error_code(int rc) noexcept {
  if (rc >= 0) return {};
  return rc > -4096 ? std::error_code(-rc, std::system_category()) : std::error_code(rc, category());
}

class error : public std::system_error {
public:
  error(int rc, std::string message) : std::system_error(to_error_code(rc)), message_(std::move(message)) {}
  const char *what() const noexcept override { return message_.c_str(); }

private:
  std::string message_;
};

// ------------------------------------------------------------------------------------------------------------ options

class options {
public:
  using milliseconds = std::chrono::milliseconds;

  options() noexcept { jlock_options_init(&raw_, sizeof raw_); }

  options &create(bool yes) noexcept { return flag(JLOCK_NO_CREATE, !yes); }
  options &sync(bool yes) noexcept { return flag(JLOCK_SYNC, yes); }
  options &keepalive(bool yes) noexcept { return flag(JLOCK_KEEPALIVE, yes); }
  options &timeout(milliseconds time) noexcept { return raw_.timeout_ms = clamp<std::int32_t>(time), *this; }
  options &wait_forever() noexcept { return raw_.timeout_ms = -1, *this; }
  options &retry(milliseconds time) noexcept { return raw_.retry_ms = clamp<std::uint32_t>(time), *this; }
  options &stale(milliseconds time) noexcept { return raw_.stale_ms = clamp<std::uint32_t>(time), *this; }
  options &settle(milliseconds time) noexcept { return raw_.settle_ms = clamp<std::uint32_t>(time), *this; }

  const jlock_options *get() const noexcept { return &raw_; }

  // A time for the C interface: a negative one becomes 0, and one that is too long becomes the longest that it can take.
  template <class Integer> static Integer clamp(milliseconds time) noexcept {
    constexpr std::int64_t most = std::numeric_limits<std::int32_t>::max();
    std::int64_t count = time.count();
    return static_cast<Integer>(count < 0 ? 0 : count > most ? most : count);
  }

private:
  options &flag(std::uint32_t bit, bool on) noexcept {
    raw_.flags = on ? raw_.flags | bit : raw_.flags & ~bit;
    return *this;
  }

  jlock_options raw_;
};

// ------------------------------------------------------------------------------------------------------------ entries

// A line to append. It refers to the path's bytes, which must live until the call returns.
struct entry {
  std::string_view path;
  std::uint32_t kind;
};

inline entry changed(std::string_view path) noexcept { return {path, JLOCK_CHANGED}; }
inline entry deleted(std::string_view path) noexcept { return {path, JLOCK_DELETED}; }

// ----------------------------------------------------------------------------------------------------------- snapshots

// What a journal held when it was read. It does not change, whatever happens to the journal object or the file.
class snapshot {
public:
  // The distinct paths of one kind, in the order of first mention: a random-access range of std::string_view, which is
  // valid as long as the snapshot lives.
  class paths {
  public:
    class iterator {
    public:
      using iterator_category = std::random_access_iterator_tag;
      using value_type = std::string_view;
      using difference_type = std::ptrdiff_t;
      using pointer = const std::string_view *;
      using reference = std::string_view;

      iterator() = default;
      iterator(const jlock_snapshot *snapshot, std::uint32_t kind, std::size_t index) noexcept
          : snapshot_(snapshot), kind_(kind), index_(index) {}

      reference operator*() const noexcept { return (*this)[0]; }
      reference operator[](difference_type offset) const noexcept {
        jlock_entry entry{};
        jlock_snapshot_entry(snapshot_, kind_, index_ + static_cast<std::size_t>(offset), &entry);
        return {entry.path, entry.path_len};
      }
      iterator &operator+=(difference_type n) noexcept { return index_ += static_cast<std::size_t>(n), *this; }
      iterator &operator-=(difference_type n) noexcept { return *this += -n; }
      iterator &operator++() noexcept { return *this += 1; }
      iterator &operator--() noexcept { return *this -= 1; }
      iterator operator++(int) noexcept { return std::exchange(*this, *this + 1); }
      iterator operator--(int) noexcept { return std::exchange(*this, *this - 1); }
      friend iterator operator+(iterator it, difference_type n) noexcept { return it += n; }
      friend iterator operator+(difference_type n, iterator it) noexcept { return it += n; }
      friend iterator operator-(iterator it, difference_type n) noexcept { return it -= n; }
      friend difference_type operator-(iterator a, iterator b) noexcept {
        return static_cast<difference_type>(a.index_ - b.index_);
      }
      friend bool operator==(iterator a, iterator b) noexcept { return a.index_ == b.index_; }
      friend bool operator!=(iterator a, iterator b) noexcept { return a.index_ != b.index_; }
      friend bool operator<(iterator a, iterator b) noexcept { return a.index_ < b.index_; }
      friend bool operator>(iterator a, iterator b) noexcept { return a.index_ > b.index_; }
      friend bool operator<=(iterator a, iterator b) noexcept { return a.index_ <= b.index_; }
      friend bool operator>=(iterator a, iterator b) noexcept { return a.index_ >= b.index_; }

    private:
      const jlock_snapshot *snapshot_ = nullptr;
      std::uint32_t kind_ = JLOCK_CHANGED;
      std::size_t index_ = 0;
    };

    paths(const jlock_snapshot *snapshot, std::uint32_t kind) noexcept : snapshot_(snapshot), kind_(kind) {}
    iterator begin() const noexcept { return {snapshot_, kind_, 0}; }
    iterator end() const noexcept { return {snapshot_, kind_, size()}; }
    std::size_t size() const noexcept { return jlock_snapshot_count(snapshot_, kind_); }
    bool empty() const noexcept { return size() == 0; }
    std::string_view operator[](std::size_t index) const noexcept { return *(begin() + static_cast<std::ptrdiff_t>(index)); }

  private:
    const jlock_snapshot *snapshot_;
    std::uint32_t kind_;
  };

  explicit snapshot(jlock_snapshot *raw) noexcept : raw_(raw) {}

  // In milliseconds since 1970.
  double timestamp() const noexcept { return jlock_snapshot_timestamp(get()); }

  // Not for a temporary: they would refer to memory that is gone. (Before a range-for, give the snapshot a name.)
  paths changed() const & noexcept { return {get(), JLOCK_CHANGED}; }
  paths deleted() const & noexcept { return {get(), JLOCK_DELETED}; }
  paths changed() && = delete;
  paths deleted() && = delete;

  const jlock_snapshot *get() const noexcept { return raw_.get(); }

private:
  struct free {
    void operator()(jlock_snapshot *raw) const noexcept { jlock_snapshot_free(raw); }
  };
  std::unique_ptr<jlock_snapshot, free> raw_;
};

// --------------------------------------------------------------------------------------------------------------- place

// Finds out by trying what an existing directory can promise: JLOCK_PLACE_... in promises, JLOCK_WITHOUT_... in missing.
inline jlock_place probe(const std::string &directory) {
  jlock_place place{};
  int rc = jlock_probe(directory.c_str(), &place, sizeof place);
  if (rc < 0) throw error(rc, directory + ": " + jlock_strerror(rc));
  return place;
}

// ------------------------------------------------------------------------------------------------------------- journal

// A journal and its lock. It is TimedLockable, so std::scoped_lock and std::unique_lock accept it.
class journal {
public:
  using clock = std::chrono::system_clock;

  // The journal changes.journal in this directory.
  explicit journal(const std::string &directory, const options &how = {}) {
    jlock *raw = nullptr;
    int rc = jlock_open(directory.c_str(), how.get(), sizeof *how.get(), &raw);
    own(raw, rc, directory);
  }

  // Any other journal, in an open directory.
  journal(int directory, const std::string &name, const options &how = {}) {
    jlock *raw = nullptr;
    int rc = jlock_open_at(directory, name.c_str(), how.get(), sizeof *how.get(), &raw);
    own(raw, rc, name);
  }

  void lock() { check(jlock_acquire(get())); }
  void release() { check(jlock_release(get())); } // throws errc::lost if the lock was taken away
  void refresh() { check(jlock_refresh(get())); }
  bool recovered() const { return check(jlock_recovered(get())) == 1; }
  void cancel() { check(jlock_cancel(get())); }

  // For event loops; neither start() nor poll() ever sleeps. They return true once the lock is held, as after lock().
  // Without a time, the acquire never gives up.
  bool start() { return progressed(jlock_acquire_start(get(), -1)); }
  template <class Rep, class Period> bool start(std::chrono::duration<Rep, Period> time) {
    auto whole = std::chrono::ceil<options::milliseconds>(time);
    return progressed(jlock_acquire_start(get(), options::clamp<std::int32_t>(whole)));
  }
  bool poll() { return progressed(jlock_acquire_poll(get())); }
  int wait_fd() { return check(jlock_wait_fd(get())); } // belongs to this object: do not read from it or close it

  bool try_lock() { return taken(jlock_try_acquire(get()), std::errc::resource_unavailable_try_again); }
  template <class Rep, class Period> bool try_lock_for(std::chrono::duration<Rep, Period> time) {
    auto whole = std::chrono::ceil<options::milliseconds>(time);
    return taken(jlock_acquire_for(get(), options::clamp<std::int32_t>(whole)), std::errc::timed_out);
  }
  template <class Clock, class Duration> bool try_lock_until(std::chrono::time_point<Clock, Duration> when) {
    return try_lock_for(when - Clock::now());
  }
  // For the standard library's guards. It cannot throw, so it does not report what release() reports.
  void unlock() noexcept { jlock_release(get()); }

  // Finds out who holds the lock now.
  jlock_holder inspect() const {
    jlock_holder holder{};
    check(jlock_inspect(get(), &holder, sizeof holder));
    return holder;
  }

  // Each takes the lock and releases it, unless this object already holds it: then it works under that hold. An append adds
  // all entries or none.
  void append(std::initializer_list<entry> entries) { append<std::initializer_list<entry>>(entries); }
  template <class Entries> void append(const Entries &entries) {
    auto raw = to_raw(entries);
    check(jlock_append(get(), raw.data(), raw.size()));
  }
  void append_stamped(std::initializer_list<entry> entries, clock::time_point when = clock::now()) {
    append_stamped<std::initializer_list<entry>>(entries, when);
  }
  template <class Entries> void append_stamped(const Entries &entries, clock::time_point when = clock::now()) {
    auto raw = to_raw(entries);
    check(jlock_append_stamped(get(), raw.data(), raw.size(), to_ms(when)));
  }
  void write_header(clock::time_point when = clock::now()) { check(jlock_write_header(get(), to_ms(when))); }
  // Returns true if it dropped what the snapshot held, and false if it kept everything, because somebody had replaced the
  // journal.
  bool checkpoint(const snapshot &processed, clock::time_point when = clock::now()) {
    return check(jlock_checkpoint(get(), processed.get(), to_ms(when))) == 1;
  }

  // Takes no lock.
  snapshot read() const {
    jlock_snapshot *raw = nullptr;
    check(jlock_read(get(), &raw));
    return snapshot(raw);
  }

  // Releases and closes, and throws if the release failed (errc::lost), which the destructor cannot. After that the object is
  // empty: every other call throws std::errc::invalid_argument.
  void close() {
    int rc = jlock_close(raw_.release());
    if (rc < 0) throw error(rc, std::string("close: ") + jlock_strerror(rc));
  }

  jlock *get() const noexcept { return raw_.get(); }

private:
  struct closer {
    void operator()(jlock *raw) const noexcept { jlock_close(raw); }
  };

  void own(jlock *raw, int rc, const std::string &what) {
    raw_.reset(raw);
    if (rc < 0) throw error(rc, what + ": " + jlock_strerror(rc));
  }

  int check(int rc) const {
    if (rc < 0) throw error(rc, message(rc));
    return rc;
  }

  bool progressed(int rc) const { return taken(rc, std::errc::operation_in_progress); }

  bool taken(int rc, std::errc not_taken) const {
    if (to_error_code(rc) == not_taken) return false;
    check(rc);
    return true;
  }

  std::string message(int rc) const {
    int length = jlock_message(get(), nullptr, 0);
    if (length <= 0) return jlock_strerror(rc);
    std::string text(static_cast<std::size_t>(length) + 1, '\0');
    length = jlock_message(get(), text.data(), text.size());
    text.resize(std::min(text.size() - 1, static_cast<std::size_t>(std::max(length, 0)))); // may be another thread's by now
    return text;
  }

  template <class Entries> static std::vector<jlock_entry> to_raw(const Entries &entries) {
    std::vector<jlock_entry> raw;
    for (const entry &each : entries) {
      // The data of an empty view may be NULL, for which the library would report a different error.
      raw.push_back({each.path.data() ? each.path.data() : "", each.path.size(), each.kind, 0});
    }
    return raw;
  }

  static std::int64_t to_ms(clock::time_point when) noexcept {
    return std::chrono::duration_cast<options::milliseconds>(when.time_since_epoch()).count();
  }

  std::unique_ptr<jlock, closer> raw_;
};

// Holds the lock as long as it lives. release() throws errc::lost if the lock was taken away; the destructor cannot.
class [[nodiscard]] guard {
public:
  explicit guard(journal &held) : held_(&held) { held.lock(); }
  guard(guard &&other) noexcept : held_(std::exchange(other.held_, nullptr)) {}
  guard &operator=(guard &&) = delete;
  ~guard() {
    if (held_) held_->unlock();
  }

  void release() { std::exchange(held_, nullptr)->release(); }

private:
  journal *held_;
};

} // namespace journal_lock

template <> struct std::is_error_code_enum<journal_lock::errc> : std::true_type {};

#endif
