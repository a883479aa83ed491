/* The published interface as its users' object files know it: values, layouts and prototypes, which must never change.
 * New ones may be added. This file is compiled, not run. */
#include <jlock.h>

#define SAME_TYPE(expression, type) _Generic((expression), type: 1, default: 0)

#define VALUE(name, type, value) \
  _Static_assert((name) == (value), #name " has another value"); \
  _Static_assert(SAME_TYPE(name, type), #name " has another type")

VALUE(JLOCK_NO_CREATE, unsigned, 1);
VALUE(JLOCK_SYNC, unsigned, 2);
VALUE(JLOCK_KEEPALIVE, unsigned, 4);

VALUE(JLOCK_ELOST, int, -4097);
VALUE(JLOCK_ENOTHELD, int, -4098);
VALUE(JLOCK_EFORKED, int, -4099);
VALUE(JLOCK_EHEADER, int, -4100);
VALUE(JLOCK_EENTRY, int, -4101);
VALUE(JLOCK_ENOTLOCK, int, -4102);
VALUE(JLOCK_EPANIC, int, -4103);
VALUE(JLOCK_EUNSTAMPED, int, -4104);

VALUE(JLOCK_FREE, int, 0);
VALUE(JLOCK_HELD, int, 1);
VALUE(JLOCK_MINE, int, 2);
VALUE(JLOCK_ABANDONED, int, 3);

VALUE(JLOCK_PEER_NONE, int, 0);
VALUE(JLOCK_PEER_LIBRARY, int, 1);
VALUE(JLOCK_PEER_SHIPPED, int, 2);
VALUE(JLOCK_PEER_UNKNOWN, int, 3);

VALUE(JLOCK_WITHOUT_LINK, unsigned, 1);
VALUE(JLOCK_WITHOUT_FLOCK, unsigned, 2);
VALUE(JLOCK_WITHOUT_LEASE, unsigned, 4);
VALUE(JLOCK_WITHOUT_INOTIFY, unsigned, 8);
VALUE(JLOCK_WITHOUT_NOREPLACE, unsigned, 16);

VALUE(JLOCK_PLACE_PROCESSES_OF_MOUNT, unsigned, 1);
VALUE(JLOCK_PLACE_PROCESSES_OF_MACHINE, unsigned, 2);
VALUE(JLOCK_PLACE_OTHER_MACHINES, unsigned, 4);
VALUE(JLOCK_PLACE_TAKEOVER, unsigned, 8);
VALUE(JLOCK_PLACE_DURABLE, unsigned, 16);
VALUE(JLOCK_PLACE_ORDER, unsigned, 32);

VALUE(JLOCK_CHANGED, unsigned, 0);
VALUE(JLOCK_DELETED, unsigned, 1);

/* ------------------------------------------------------------------------------------------------------- layouts */

#define FIELD(structure, field, type, offset) \
  _Static_assert(offsetof(struct structure, field) == (offset), #structure "." #field " is at another offset"); \
  _Static_assert(SAME_TYPE(((struct structure *)0)->field, type), #structure "." #field " has another type")

FIELD(jlock_options, flags, uint32_t, 0);
FIELD(jlock_options, timeout_ms, int32_t, 4);
FIELD(jlock_options, retry_ms, uint32_t, 8);
FIELD(jlock_options, stale_ms, uint32_t, 12);
FIELD(jlock_options, settle_ms, uint32_t, 16);
_Static_assert(sizeof(struct jlock_options) >= 20, "jlock_options has shrunk");

FIELD(jlock_holder, state, int32_t, 0);
FIELD(jlock_holder, peer, int32_t, 4);
FIELD(jlock_holder, pid, int32_t, 8);
FIELD(jlock_holder, age_ms, int64_t, 16);
FIELD(jlock_holder, nonce, char *, 24); /* an array, decayed */
FIELD(jlock_holder, host, char *, 88);
FIELD(jlock_holder, held_ms, int64_t, 152);
FIELD(jlock_holder, fallback, uint32_t, 160);
FIELD(jlock_holder, reserved, uint32_t, 164);
_Static_assert(sizeof ((struct jlock_holder *)0)->nonce == 64, "jlock_holder.nonce has another size");
_Static_assert(sizeof ((struct jlock_holder *)0)->host == 64, "jlock_holder.host has another size");
_Static_assert(sizeof(struct jlock_holder) >= 168, "jlock_holder has shrunk");

FIELD(jlock_place, promises, uint32_t, 0);
FIELD(jlock_place, missing, uint32_t, 4);
FIELD(jlock_place, file_system, char *, 8);
FIELD(jlock_place, reason, char *, 40);
_Static_assert(sizeof ((struct jlock_place *)0)->file_system == 32, "jlock_place.file_system has another size");
_Static_assert(sizeof ((struct jlock_place *)0)->reason == 256, "jlock_place.reason has another size");
_Static_assert(sizeof(struct jlock_place) >= 296, "jlock_place has shrunk");

/* Passed in arrays, so it never grows. */
FIELD(jlock_entry, path, const char *, 0);
FIELD(jlock_entry, path_len, size_t, sizeof(void *));
FIELD(jlock_entry, kind, uint32_t, 2 * sizeof(void *));
FIELD(jlock_entry, reserved, uint32_t, 2 * sizeof(void *) + 4);
_Static_assert(sizeof(struct jlock_entry) == 2 * sizeof(void *) + 8, "jlock_entry has another size");

/* ---------------------------------------------------------------------------------------------------- prototypes */

#define FUNCTION(name, type) _Static_assert(SAME_TYPE(&name, type), #name " has another prototype")

FUNCTION(jlock_options_init, void (*)(struct jlock_options *, size_t));
FUNCTION(jlock_open, int (*)(const char *, const struct jlock_options *, size_t, struct jlock **));
FUNCTION(jlock_open_at, int (*)(int, const char *, const struct jlock_options *, size_t, struct jlock **));
FUNCTION(jlock_close, int (*)(struct jlock *));
FUNCTION(jlock_acquire, int (*)(struct jlock *));
FUNCTION(jlock_acquire_for, int (*)(struct jlock *, int32_t));
FUNCTION(jlock_try_acquire, int (*)(struct jlock *));
FUNCTION(jlock_acquire_start, int (*)(struct jlock *, int32_t));
FUNCTION(jlock_acquire_poll, int (*)(struct jlock *));
FUNCTION(jlock_release, int (*)(struct jlock *));
FUNCTION(jlock_refresh, int (*)(struct jlock *));
FUNCTION(jlock_recovered, int (*)(const struct jlock *));
FUNCTION(jlock_cancel, int (*)(struct jlock *));
FUNCTION(jlock_wait_fd, int (*)(struct jlock *));
FUNCTION(jlock_inspect, int (*)(struct jlock *, struct jlock_holder *, size_t));
FUNCTION(jlock_probe, int (*)(const char *, struct jlock_place *, size_t));
FUNCTION(jlock_append, int (*)(struct jlock *, const struct jlock_entry *, size_t));
FUNCTION(jlock_append_stamped, int (*)(struct jlock *, const struct jlock_entry *, size_t, int64_t));
FUNCTION(jlock_write_header, int (*)(struct jlock *, int64_t));
FUNCTION(jlock_checkpoint, int (*)(struct jlock *, const struct jlock_snapshot *, int64_t));
FUNCTION(jlock_read, int (*)(struct jlock *, struct jlock_snapshot **));
FUNCTION(jlock_snapshot_timestamp, double (*)(const struct jlock_snapshot *));
FUNCTION(jlock_snapshot_count, size_t (*)(const struct jlock_snapshot *, uint32_t));
FUNCTION(jlock_snapshot_entry, int (*)(const struct jlock_snapshot *, uint32_t, size_t, struct jlock_entry *));
FUNCTION(jlock_snapshot_free, void (*)(struct jlock_snapshot *));
FUNCTION(jlock_strerror, const char *(*)(int));
FUNCTION(jlock_message, int (*)(struct jlock *, char *, size_t));
FUNCTION(jlock_version, uint32_t (*)(void));
FUNCTION(jlock_version_string, const char *(*)(void));
