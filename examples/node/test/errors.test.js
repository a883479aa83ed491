// Failures reach the caller unchanged, and leave the journal as it was.

import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { JlockError, Lock } from 'jlock';
import * as dropIn from 'jlock/codegraph';
import {
  appendJournalEntries,
  appendJournalEntriesAndStampHeader,
  readJournal,
  writeJournalHeader,
} from 'jlock/journal';
import { WRITER, acknowledged, holder, journalText, lockFiles, run, temporaryDirectory } from './support.js';

const entry = [{ file: 'x' }];

/** The JlockError that a call throws. */
function failureOf(call) {
  try {
    call();
  } catch (error) {
    assert.ok(error instanceof JlockError, String(error));
    return error;
  }
  return assert.fail('it did not fail');
}

test('an entry that a line cannot carry is refused, and none of the call is written', (t) => {
  const dir = temporaryDirectory(t);
  writeJournalHeader(dir, 5);
  const before = journalText(dir);
  for (const file of ['', 'a\nb', 'a\rb', 'a\0b', ' a', 'a ', '\ufeffa', '#a', 'DELETED a']) {
    const error = failureOf(() => appendJournalEntries(dir, [{ file: 'good' }, { file }]));
    assert.equal(error.code, 'EENTRY', JSON.stringify(file));
    assert.equal(error.errno, -4101);
    assert.equal(failureOf(() => appendJournalEntriesAndStampHeader(dir, [{ file }], 9)).code, 'EENTRY');
  }
  assert.throws(() => appendJournalEntries(dir, [{ file: 5 }]), TypeError);
  assert.equal(journalText(dir), before);
});

test('an error names what is in the way', (t) => {
  const dir = temporaryDirectory(t);
  writeFileSync(join(dir, 'file'), '');
  const error = failureOf(() => appendJournalEntries(join(dir, 'file'), entry));
  assert.equal(error.code, 'ENOTDIR');
  assert.equal(error.errno, -constants.errno.ENOTDIR);
  assert.equal(error.path, join(dir, 'file'));
  assert.ok(error.message.includes(error.path), error.message);

  mkdirSync(join(dir, 'changes.journal.lock'));
  assert.equal(failureOf(() => appendJournalEntries(dir, entry)).code, 'ENOTLOCK');

  const linked = temporaryDirectory(t);
  symlinkSync('elsewhere', join(linked, 'changes.journal.lock'));
  assert.equal(failureOf(() => appendJournalEntries(linked, entry)).code, 'ELOOP');
});

test('a journal that cannot be read is an error here, and invalid in the drop-in, as it is to codegraph', (t) => {
  const root = temporaryDirectory(t);
  const dir = join(root, '.codegraph');
  mkdirSync(join(dir, 'changes.journal'), { recursive: true });
  failureOf(() => readJournal(dir));
  assert.deepEqual(dropIn.readJournal(root), { valid: false });
});

test('a lock is not opened where there is no directory, unless it is to be created', async (t) => {
  const dir = join(temporaryDirectory(t), 'none');
  await assert.rejects(Lock.open(dir, { create: false }), { name: 'JlockError', code: 'ENOENT', errno: -2, path: dir });
  await (await Lock.open(dir)).close();
});

test('options that are not valid are refused', async (t) => {
  const dir = temporaryDirectory(t);
  for (const options of [{ timeoutMs: -1 }, { timeoutMs: NaN }, { settleMs: Infinity }, { staleMs: 2 ** 32 }]) {
    await assert.rejects(Lock.open(dir, options), RangeError);
  }
  await assert.rejects(Lock.open(dir, { retryMs: 0 }), { code: 'EINVAL' });
});

test('a call that gives up names the holder and how long it waited', async (t) => {
  const dir = temporaryDirectory(t);
  const { pid, release } = await holder(t, dir);
  const lock = await Lock.open(dir, { timeoutMs: 120 });
  t.after(() => lock.close());
  const named = {
    code: 'ETIMEDOUT',
    message: new RegExp(`held by pid ${pid} \\(library peer\\).*; gave up after \\d+\\.\\d s$`),
  };
  await assert.rejects(lock.acquire(), named);
  await assert.rejects(lock.append(entry), named);
  assert.equal(journalText(dir), undefined);
  await release();
  await lock.append(entry);
});

test('a synchronous call gives up after five seconds, as codegraph does, and names the holder', async (t) => {
  const dir = temporaryDirectory(t);
  const { pid } = await holder(t, dir);
  const begun = performance.now();
  const error = failureOf(() => appendJournalEntries(dir, entry));
  assert.ok(performance.now() - begun > 4900);
  assert.equal(error.code, 'ETIMEDOUT');
  assert.match(error.message, new RegExp(`held by pid ${pid} .*; gave up after \\d+\\.\\d s$`));
});

// EFBIG comes from a limit that any user can set, and takes the same path as ENOSPC, EDQUOT and EIO.
test('a write that does not fit is undone, and what was acknowledged before stays', async (t) => {
  const dir = temporaryDirectory(t);
  const input = Array.from({ length: 200 }, (_, n) => `${n}/${'x'.repeat(100)}\n`).join('');
  const limited = await run([WRITER, dir, 'w'], { input, prefix: ['sh', '-c', 'ulimit -f 8; exec "$@"', 'sh'] });
  assert.equal(limited.code, 1, limited.stderr);
  assert.match(limited.stderr, /file too large/i);
  const acks = acknowledged(limited.stdout);
  assert.ok(acks.length > 20);
  assert.deepEqual(journalText(dir).split('\n').slice(1, -1), acks);
  assert.deepEqual(lockFiles(dir), []);
  appendJournalEntries(dir, entry);
});

test('running out of descriptors is EMFILE, and passes', async (t) => {
  const dir = temporaryDirectory(t);
  const program = `
    import { closeSync, openSync } from 'node:fs';
    import { appendJournalEntries } from 'jlock/journal';
    const append = () => appendJournalEntries(${JSON.stringify(dir)}, [{ file: 'x' }]);
    const files = [];
    try { for (;;) files.push(openSync('/dev/null')); } catch {}
    try { append(); } catch (error) { console.log(error.code, error.errno); }
    files.forEach((file) => closeSync(file));
    append();`;
  const argv = ['--input-type=module', '--eval', program];
  const { code, stdout, stderr } = await run(argv, { prefix: ['sh', '-c', 'ulimit -n 100; exec "$@"', 'sh'] });
  assert.equal(code, 0, stderr);
  assert.equal(stdout, `EMFILE ${-constants.errno.EMFILE}\n`);
  assert.equal(journalText(dir), '# codegraph-journal v1 0\nx\n');
});

test('a directory that may not be written to is EACCES, and can still be read', async (t) => {
  const dir = temporaryDirectory(t);
  writeJournalHeader(dir, 5);
  chmodSync(dir, 0o555);
  const program = `
    import { appendJournalEntries, readJournal } from 'jlock/journal';
    try { appendJournalEntries(${JSON.stringify(dir)}, [{ file: 'x' }]); } catch (error) { console.log(error.code); }
    console.log(readJournal(${JSON.stringify(dir)}).timestamp);`;
  // Root may write anywhere, unless it lacks this capability. (Debian's Node refuses setuid.)
  const prefix = process.getuid() === 0 ? ['setpriv', '--bounding-set=-dac_override', '--inh-caps=-dac_override'] : [];
  const { stdout, stderr } = await run(['--input-type=module', '--eval', program], { prefix });
  chmodSync(dir, 0o755);
  assert.equal(stdout, 'EACCES\n5\n', stderr);
  assert.equal(journalText(dir), '# codegraph-journal v1 5\n');
});
