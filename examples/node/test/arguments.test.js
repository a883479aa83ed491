// What callers pass: what is not valid is refused before anything is done, and bytes stay as they are.

import assert from 'node:assert/strict';
import { readFileSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { pathToFileURL } from 'node:url';
import { Lock, appendJournalEntries, probe, readJournal, writeJournalHeader } from 'jlock';
import { missing } from '../lib/probe.js';
import { journalText, open, temporaryDirectory } from './support.js';

const NOT_UTF8 = Buffer.from([0x61, 0xff, 0x62]);

test('a directory that is not a path is a TypeError', async () => {
  for (const dir of [5, 5n, undefined, null, true, {}, [], Symbol('x'), () => {}, new Uint16Array(2)]) {
    const refused = { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' };
    await assert.rejects(Lock.open(dir), refused);
    await assert.rejects(probe(dir), refused);
    assert.throws(() => readJournal(dir), refused);
    assert.throws(() => appendJournalEntries(dir, []), refused);
  }
});

test('a name is not cut at a NUL', async (t) => {
  const dir = temporaryDirectory(t);
  const refused = { name: 'TypeError', code: 'ERR_INVALID_ARG_VALUE' };
  for (const name of [`${dir}/a\0b`, Buffer.from(`${dir}/a\0b`)]) {
    await assert.rejects(Lock.open(name), refused);
    await assert.rejects(probe(name), refused);
    assert.throws(() => writeJournalHeader(name, 5), refused);
  }
  await assert.rejects(Lock.open(dir, { journal: 'a\0b' }), refused);
  assert.deepEqual(readdirSync(dir), []);
});

test('the empty path is not a directory', async () => {
  await assert.rejects(Lock.open(''), { code: 'ENOENT' });
  await assert.rejects(Lock.open('', { journal: 'x' }), { code: 'ENOENT' });
});

test('entries that are not entries are a TypeError', async (t) => {
  const dir = temporaryDirectory(t);
  const lock = await open(t, dir);
  for (const entries of [undefined, 5, 'x', { file: 'x' }, [undefined], [null], ['x'], [{}], [{ file: 5 }]]) {
    assert.throws(() => appendJournalEntries(dir, entries), TypeError);
    await assert.rejects(lock.append(entries), TypeError);
  }
  await assert.rejects(lock.checkpoint({}, 5), TypeError);
  await assert.rejects(lock.checkpoint(undefined, 5), TypeError);
  await assert.rejects(lock.read({ encoding: 'latin1' }), TypeError);
  await assert.rejects(Lock.open(dir, 5), TypeError);
  assert.equal(journalText(dir), undefined);
});

test('a directory may be bytes that are not UTF-8, or a URL', async (t) => {
  const dir = temporaryDirectory(t);
  const bytes = Buffer.concat([Buffer.from(`${dir}/`), NOT_UTF8]);
  const lock = await open(t, bytes);
  await lock.writeHeader(5);
  writeJournalHeader(new Uint8Array(bytes), 6);
  assert.equal((await lock.read()).timestamp, 6);
  assert.deepEqual(readdirSync(dir, 'buffer'), [NOT_UTF8]);
  writeJournalHeader(pathToFileURL(dir), 7);
  assert.equal(readJournal(dir).timestamp, 7);
});

test('paths may be bytes that are not UTF-8, and are read as such on request', async (t) => {
  const dir = temporaryDirectory(t);
  const lock = await open(t, dir);
  const raw = { encoding: 'buffer' };
  await lock.appendStamped([{ file: NOT_UTF8 }, { file: new Uint8Array(NOT_UTF8), deleted: true }], 5);
  appendJournalEntries(dir, [{ file: Buffer.alloc(200, 0xfe) }]);
  const line = Buffer.concat([NOT_UTF8, Buffer.from('\nDELETED '), NOT_UTF8, Buffer.from('\n')]);
  assert.deepEqual(readFileSync(join(dir, 'changes.journal')).subarray(-line.length - 201, -201), line);
  const exact = { valid: true, timestamp: 5, changed: [NOT_UTF8, Buffer.alloc(200, 0xfe)], removed: [NOT_UTF8] };
  assert.deepEqual(await lock.read(raw), exact);
  assert.deepEqual(readJournal(dir, raw), exact);
  const snapshot = await lock.snapshot(raw);
  assert.deepEqual([snapshot.changed, snapshot.removed], [exact.changed, exact.removed]);
  await lock.checkpoint(snapshot, 6);
  assert.deepEqual((await lock.read()).changed, []);
});

test('what is passed may change as soon as the call has begun', async (t) => {
  const dir = temporaryDirectory(t);
  const lock = await open(t, dir);
  const file = Buffer.from('before');
  const entries = [{ file }];
  const appended = lock.appendStamped(entries, 5);
  file.write('after!');
  entries.push({ file: 'more' });
  await appended;
  assert.deepEqual((await lock.read()).changed, ['before']);
});

test('each journal of a directory has its own lock', async (t) => {
  const dir = join(temporaryDirectory(t), 'made', 'anew');
  const [a, b] = [await open(t, dir, { journal: 'a' }), await open(t, dir, { journal: Buffer.from('b') })];
  await a.acquire();
  await b.acquire();
  await a.append([{ file: 'x' }]);
  assert.deepEqual(
    readdirSync(dir).filter((name) => !name.endsWith('.tmp')).sort(),
    ['a', 'a.lock', 'b.lock'],
  );
  const again = await open(t, dir, { journal: 'a', timeoutMs: 0 });
  await assert.rejects(again.acquire(), { code: 'ETIMEDOUT', message: /^a\.lock: held by pid/ });
});

test('a lock that was opened with the name of its journal stays with its directory', async (t) => {
  const base = temporaryDirectory(t);
  const lock = await open(t, join(base, 'old'), { journal: 'j' });
  renameSync(join(base, 'old'), join(base, 'new'));
  await lock.append([{ file: 'x' }]);
  assert.equal(readFileSync(join(base, 'new', 'j'), 'utf8'), '# codegraph-journal v1 0\nx\n');
});

test('what is not the name of a journal, or not a directory for it, is refused', async (t) => {
  const dir = temporaryDirectory(t);
  writeFileSync(join(dir, 'file'), '');
  for (const journal of ['a/b', '', '.', '..', '/']) {
    await assert.rejects(Lock.open(dir, { journal }), { code: 'EINVAL', path: dir }, journal);
  }
  await assert.rejects(Lock.open(dir, { journal: 5 }), TypeError);
  await assert.rejects(Lock.open(join(dir, 'file'), { journal: 'j' }), { name: 'JlockError', code: 'ENOTDIR' });
  await assert.rejects(Lock.open(join(dir, 'none'), { journal: 'j', create: false }), { code: 'ENOENT', errno: -2 });
  assert.deepEqual(readdirSync(dir), ['file']);
});

test('a lock says what it does without, and how long it has been held', async (t) => {
  const dir = temporaryDirectory(t);
  const lock = await open(t, dir);
  const free = await lock.inspect();
  assert.deepEqual([free.state, free.heldMs, free.fallback], ['free', undefined, []]);
  await lock.acquire();
  const { heldMs, fallback } = await lock.inspect();
  assert.ok(heldMs === undefined || heldMs >= 0, String(heldMs));
  assert.deepEqual(fallback, []);
  assert.deepEqual(missing(0b10011), ['link', 'flock', 'noreplace']);
});

test('a directory says what it can promise', async (t) => {
  const dir = temporaryDirectory(t);
  const { promises, missing, fileSystem, reason } = await probe(dir);
  assert.equal(promises.processesOfMount, true);
  for (const promise of Object.values(promises)) assert.equal(typeof promise, 'boolean');
  assert.ok(Array.isArray(missing));
  assert.ok(fileSystem.length > 0 && typeof reason === 'string');
  assert.deepEqual(readdirSync(dir), []);
  await assert.rejects(probe(join(dir, 'none')), { name: 'JlockError', code: 'ENOENT' });
});
