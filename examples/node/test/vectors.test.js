// The test vectors (tests/vectors, whose README explains them) through this module: one test for each.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, fstatSync, linkSync, lstatSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { readdirSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { Lock } from 'jlock';
import * as journal from 'jlock/journal';
import koffi from 'koffi';
import { journalText, temporaryDirectory } from './support.js';

const VECTORS = new URL('../../../tests/vectors/', import.meta.url);
const LOCK = 'changes.journal.lock';
const SETTLE_MS = 100;

// The members that this program knows. Any other in a vector is an error, so that none is silently ignored.
const KNOWN = {
  'stamps.json': ['text', 'base64', 'kind', 'pid', 'nonce', 'fields'],
  'journals.json': ['text', 'base64', 'timestamp', 'changed', 'deleted'],
  'entries.json': ['path', 'kind', 'line'],
  'appends.json': ['before', 'append', 'stamp', 'after', 'rewritten'],
  'directories.json': ['files', 'lock', 'acquire'],
};
const KNOWN_OF_FILES = ['name', 'text', 'base64', 'age_s', 'flock', 'writer', 'same_as', 'type', 'swept'];
const KNOWN_OF_LOCKS = ['state', 'kind', 'pid'];

function only(names, object, where) {
  const unknown = Object.keys(object).filter((name) => !names.includes(name));
  assert.deepEqual(unknown, [], `${where}: not known`);
}

test('no file of vectors is forgotten', () => {
  const found = readdirSync(VECTORS).filter((name) => name.endsWith('.json'));
  assert.deepEqual(found.sort(), Object.keys(KNOWN).sort());
});

/** Makes a test with a subtest for each vector in a file. */
function vectors(file, check) {
  test(file, async (t) => {
    const all = JSON.parse(readFileSync(new URL(file, VECTORS), 'utf8'));
    assert.ok(all.length > 0);
    for (const vector of all) {
      only(['name', ...KNOWN[file]], vector, vector.name);
      await t.test(vector.name, (t) => check(vector, temporaryDirectory(t), t));
    }
    t.diagnostic(`${file}: ${all.length} vectors`);
  });
}

/** The bytes that a value stands for. */
function bytes(value) {
  if (Array.isArray(value)) return Buffer.concat(value.map(bytes));
  if (typeof value === 'string') return Buffer.from(value);
  only(['text', 'base64', 'times'], value, 'bytes');
  return content(value);
}

const content = ({ text, base64, times = 1 }) =>
  base64 === undefined ? Buffer.from(text.repeat(times)) : Buffer.from(base64, 'base64');

/** A value as Node reads it, with U+FFFD in place of what is not UTF-8. */
const string = (value) => bytes(value).toString('utf8');

const strings = (values) => values.map(string);

/** A path to append: as bytes if no string can name it. */
function fileOf(value) {
  const text = string(value);
  return Buffer.from(text).equals(bytes(value)) ? text : bytes(value);
}

function setAge(path, seconds) {
  const changed = Date.now() / 1000 - seconds;
  utimesSync(path, changed, changed);
}

/** Opens a lock that the test closes. */
async function open(t, dir, options) {
  const lock = await Lock.open(dir, options);
  t.after(() => lock.close());
  return lock;
}

// ------------------------------------------------------------------------------------------------- stamps, the journal

/** What a stamp is read as, in a lock that is 10 s old and has no living PID. */
function kindOf({ peer, state }) {
  if (peer !== 'unknown') return peer;
  return state === 'abandoned' ? 'cut short' : 'foreign';
}

vectors('stamps.json', async (vector, dir, t) => {
  writeFileSync(join(dir, LOCK), content(vector));
  setAge(join(dir, LOCK), 10);
  const holder = await (await open(t, dir)).inspect();
  const { kind, pid = 0, nonce = '', fields: { host = '' } = {} } = vector;
  assert.deepEqual([kindOf(holder), holder.pid, holder.nonce, holder.host], [kind, pid, nonce, host]);
});

vectors('journals.json', async (vector, dir, t) => {
  writeFileSync(join(dir, 'changes.journal'), content(vector));
  const { timestamp } = vector;
  const lock = await open(t, dir);
  const raw = { encoding: 'buffer' };
  if (timestamp === null) {
    assert.deepEqual(journal.readJournal(dir), { valid: false });
    const { valid, code } = await lock.read();
    assert.deepEqual({ valid, known: ['EHEADER', 'EUNSTAMPED'].includes(code) }, { valid: false, known: true }, code);
    return;
  }
  const text = { valid: true, timestamp, changed: strings(vector.changed), removed: strings(vector.deleted) };
  assert.deepEqual(journal.readJournal(dir), text);
  assert.deepEqual(await lock.read(), text);
  const exact = { valid: true, timestamp, changed: vector.changed.map(bytes), removed: vector.deleted.map(bytes) };
  assert.deepEqual(journal.readJournal(dir, raw), exact);
  assert.deepEqual(await lock.read(raw), exact);
});

vectors('entries.json', async (vector, dir, t) => {
  const before = '# codegraph-journal v1 1\n';
  const file = fileOf(vector.path);
  assert.ok(['changed', 'deleted'].includes(vector.kind), vector.kind);
  const entries = [{ file, deleted: vector.kind === 'deleted' }];
  const refused = { code: 'EENTRY' };
  writeFileSync(join(dir, 'changes.journal'), before);
  const lock = await open(t, dir);
  if (vector.line === null) {
    assert.throws(() => journal.appendJournalEntries(dir, entries), refused);
    await assert.rejects(lock.append(entries), refused);
    assert.equal(journalText(dir), before);
  } else {
    journal.appendJournalEntries(dir, entries);
    await lock.append(entries);
    const line = bytes(vector.line);
    assert.deepEqual(readFileSync(join(dir, 'changes.journal')), Buffer.concat([Buffer.from(before), line, line]));
  }
});

const appenders = {
  synchronous: (dir, t, entries, stamp) =>
    stamp === undefined
      ? journal.appendJournalEntries(dir, entries)
      : journal.appendJournalEntriesAndStampHeader(dir, entries, stamp),
  promised: async (dir, t, entries, stamp) => {
    const lock = await open(t, dir);
    await (stamp === undefined ? lock.append(entries) : lock.appendStamped(entries, stamp));
  },
};

vectors('appends.json', async (vector, base, t) => {
  for (const [name, append] of Object.entries(appenders)) {
    const dir = join(base, name);
    const path = join(dir, 'changes.journal');
    mkdirSync(dir);
    if (vector.before !== null) writeFileSync(path, bytes(vector.before));
    const stood = vector.before !== null && keep(t, path);
    const entries = vector.append.map((value) => ({ file: fileOf(value) }));
    await append(dir, t, entries, vector.stamp);
    assert.deepEqual(readFileSync(path), bytes(vector.after), name);
    if ('rewritten' in vector) assert.equal(statSync(path).ino !== stood, vector.rewritten, name);
  }
});

// --------------------------------------------------------------------------------------------------------- directories

/** The inode of a file, which is kept open so that no other file gets it. */
function keep(t, path) {
  const fd = openSync(path, 'r');
  t.after(() => closeSync(fd));
  return fstatSync(fd).ino;
}

/** What the placeholders stand for. The living process is the one that started this one. */
const here = (() => {
  const living = process.ppid;
  const afterName = readFileSync(`/proc/${living}/stat`, 'latin1').replace(/^.*\) /s, '');
  return {
    living,
    start: afterName.split(' ')[19],
    dead: spawnSync('true').pid,
    boot: readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim(),
    pidns: statSync('/proc/self/ns/pid').ino,
    timens: statSync('/proc/self/ns/time').ino,
  };
})();

const fill = (text) => text.replace(/\{(\w+)\}/g, (whole, name) => String(here[name] ?? assert.fail(whole)));

const flock = koffi.load(null).func('int flock(int fd, int operation)'); // Node has none
const LOCK_EX = 2;

const others = {
  symlink: (path) => symlinkSync('nowhere', path),
  directory: (path) => mkdirSync(path),
  fifo: (path) => execFileSync('mkfifo', [path]),
};

function make(t, dir, file) {
  only(KNOWN_OF_FILES, file, file.name);
  const name = fill(file.name);
  const path = join(dir, name);
  if (file.same_as !== undefined) {
    linkSync(join(dir, fill(file.same_as)), path);
  } else if (file.type !== undefined) {
    (others[file.type] ?? assert.fail(file.type))(path);
  } else {
    writeFileSync(path, fill(content(file).toString('latin1')), 'latin1');
    setAge(path, file.age_s);
  }
  if (file.flock) {
    const fd = openSync(path, 'r');
    t.after(() => closeSync(fd));
    assert.equal(flock(fd, LOCK_EX), 0);
  }
  if (file.writer) {
    const fd = openSync(path, 'r+');
    t.after(() => closeSync(fd));
  }
  return name;
}

async function look(lock, expected) {
  if (expected === null) return assert.rejects(lock.inspect());
  only(KNOWN_OF_LOCKS, expected, 'lock');
  const { state, peer, pid } = await lock.inspect();
  const peers = { null: 'none', 'cut short': 'unknown', foreign: 'unknown' };
  const expectedPid = Number(fill(String(expected.pid ?? 0)));
  assert.deepEqual([state, peer, pid], [expected.state, peers[expected.kind] ?? expected.kind, expectedPid]);
}

/** What a name stands for: its inode, and the content of a file. */
function standing(path) {
  const found = lstatSync(path, { throwIfNoEntry: false });
  return found && { ino: found.ino, content: found.isFile() ? readFileSync(path) : undefined };
}

/** How an acquire ended, in the words of the vectors. */
async function acquire(t, lock, path) {
  const stood = standing(path);
  if (stood?.content) keep(t, path);
  const began = performance.now();
  try {
    await lock.acquire();
  } catch (error) {
    assert.deepEqual(standing(path), stood);
    return error.code === 'ETIMEDOUT' ? 'times out' : 'refuses';
  }
  const took = performance.now() - began;
  if (!stood) return 'links';
  assert.ok(took >= SETTLE_MS, `${took} ms are no settling`);
  return standing(path).ino === stood.ino ? 'claims in place' : 'claims, and moves to another inode';
}

/** What is in the directory, and in its subdirectories. */
function namesIn(dir, below = '') {
  const found = readdirSync(join(dir, below), { withFileTypes: true });
  const names = found.flatMap((entry) => {
    const name = join(below, entry.name);
    return entry.isDirectory() ? [name, ...namesIn(dir, name)] : [name];
  });
  return names.sort();
}

vectors('directories.json', async (vector, dir, t) => {
  const names = vector.files.map((file) => make(t, dir, file));
  let remaining = names.filter((_, index) => !vector.files[index].swept).sort();
  const timeoutMs = vector.acquire === 'times out' ? 300 : 60_000;
  const lock = await open(t, dir, { timeoutMs, settleMs: SETTLE_MS });
  await look(lock, vector.lock);
  assert.deepEqual(namesIn(dir), names.sort(), 'once it is looked at');
  const how = await acquire(t, lock, join(dir, LOCK));
  assert.equal(how, vector.acquire);
  if (how !== 'times out' && how !== 'refuses') {
    const { state, peer, pid } = await lock.inspect();
    assert.deepEqual([state, peer, pid], ['mine', 'library', process.pid]);
    await lock.release();
    remaining = remaining.filter((name) => name !== LOCK);
  }
  await lock.close();
  assert.deepEqual(namesIn(dir), remaining, 'once it is closed');
});
