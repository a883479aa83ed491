// The Lock: it excludes, waits without standing in anyone's way, and leaves nothing behind.

import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'node:test';
import { setImmediate as soon, setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { Lock } from 'jlock';
import { appendJournalEntries, readJournal } from 'jlock/journal';
import { holder, journalText, lockFiles, run, temporaryDirectory } from './support.js';

async function opened(t, dir, options) {
  const lock = await Lock.open(dir, options);
  t.after(() => lock.close());
  return lock;
}

/** Whether a promise is settled once everything that is ready has run. */
async function isSettled(promise) {
  let settled = false;
  const settle = () => (settled = true);
  promise.then(settle, settle);
  await sleep(20);
  return settled;
}

/** How many files are open: a snapshot is one. */
const descriptors = () => readdirSync('/proc/self/fd').length;

test('two handles in one process exclude each other', async (t) => {
  const dir = temporaryDirectory(t);
  const [a, b] = [await opened(t, dir), await opened(t, dir)];
  await a.acquire();
  const waiting = b.acquire();
  assert.equal(await isSettled(waiting), false);
  await a.release();
  await waiting;
  await assert.rejects(a.acquire({ timeoutMs: 0 }), { code: 'ETIMEDOUT' });
  await b.release();
});

test('a release wakes who waits, without another look at the clock', { timeout: 20_000 }, async (t) => {
  const dir = temporaryDirectory(t);
  const [a, b] = [await opened(t, dir), await opened(t, dir, { retryMs: 3_600_000, timeoutMs: Infinity })];
  await a.acquire();
  const waiting = b.acquire();
  assert.equal(await isSettled(waiting), false);
  await a.release();
  await waiting;
});

test('what one lock is asked for while it waits, it does in turn', async (t) => {
  const dir = temporaryDirectory(t);
  const [a, b] = [await opened(t, dir), await opened(t, dir)];
  await a.writeHeader(1);
  await a.acquire();
  const calls = ['x', 'y', 'z'].map((file) => b.append([{ file }]));
  calls.push(b.acquire(), b.release());
  assert.equal(await isSettled(Promise.any(calls)), false);
  await a.release();
  await Promise.all(calls);
  assert.deepEqual(readJournal(dir).changed, ['x', 'y', 'z']);
});

test('a counter that eight handles increment loses no increment', async (t) => {
  const dir = temporaryDirectory(t);
  const file = join(dir, 'counter');
  await writeFile(file, '0');
  const increment = async () => {
    const count = Number(await readFile(file, 'utf8'));
    await soon();
    await writeFile(file, String(count + 1));
  };
  await Promise.all(
    Array.from({ length: 8 }, async () => {
      const lock = await opened(t, dir);
      for (let n = 0; n < 50; n++) await lock.hold(increment);
    }),
  );
  assert.equal(await readFile(file, 'utf8'), '400');
});

test('while more locks wait than Node has workers, timers fire and files are read', async (t) => {
  const dir = temporaryDirectory(t);
  const first = await opened(t, dir);
  await first.acquire();
  const locks = await Promise.all(Array.from({ length: 12 }, () => opened(t, dir)));
  let waiting = locks.length;
  const turns = locks.map((lock) => lock.hold(() => waiting--));
  for (let n = 0; n < 20; n++) {
    await sleep(5);
    await readFile(import.meta.filename ?? new URL(import.meta.url));
  }
  assert.equal(waiting, locks.length);
  await first.release();
  await Promise.all(turns);
  assert.equal(waiting, 0);
});

test('taking over from a dead holder blocks nothing, and is told', async (t) => {
  const dir = temporaryDirectory(t);
  const { kill } = await holder(t, dir);
  await kill();
  const lock = await opened(t, dir);
  assert.equal((await lock.inspect()).state, 'abandoned');
  let ticks = 0;
  const timer = setInterval(() => ticks++, 5);
  await lock.acquire();
  clearInterval(timer);
  assert.ok(ticks > 0, 'no timer fired while it settled');
  assert.equal(lock.recovered, true);
  await lock.release();
  await lock.acquire();
  assert.equal(lock.recovered, false);
});

test('a holder in another process is waited for', async (t) => {
  const dir = temporaryDirectory(t);
  const { pid, release } = await holder(t, dir);
  const lock = await opened(t, dir);
  const { state, peer, pid: named, nonce, ageMs } = await lock.inspect();
  assert.deepEqual({ state, peer, named }, { state: 'held', peer: 'library', named: pid });
  assert.match(nonce, new RegExp(`^${pid}-[0-9a-f]{16}$`));
  assert.ok(ageMs >= 0);
  const waiting = lock.acquire();
  assert.equal(await isSettled(waiting), false);
  await release();
  await waiting;
  assert.equal((await lock.inspect()).state, 'mine');
  await lock.release();
  assert.equal((await lock.inspect()).state, 'free');
});

test('an abort ends a wait with its reason, and the lock goes on working', { timeout: 20_000 }, async (t) => {
  const dir = temporaryDirectory(t);
  const [a, b] = [await opened(t, dir), await opened(t, dir, { retryMs: 60_000 })];
  await a.acquire();
  const controller = new AbortController();
  const waiting = b.acquire({ timeoutMs: Infinity, signal: controller.signal });
  assert.equal(await isSettled(waiting), false);
  const reason = new Error('enough');
  controller.abort(reason);
  await assert.rejects(waiting, reason);
  await assert.rejects(b.append([{ file: 'x' }], { signal: controller.signal }), reason);
  await assert.rejects(b.acquire({ signal: AbortSignal.timeout(30), timeoutMs: Infinity }), { name: 'TimeoutError' });
  await a.release();
  await b.hold(() => {});
  assert.equal(journalText(dir), undefined);
});

test('an abort that comes too late to stop an acquire leaves the lock free', async (t) => {
  const dir = temporaryDirectory(t);
  const [a, b] = [await opened(t, dir), await opened(t, dir)];
  const controller = new AbortController();
  const acquiring = a.acquire({ signal: controller.signal });
  await Promise.resolve(); // the call is with a worker now
  controller.abort();
  await assert.rejects(acquiring, { name: 'AbortError' });
  await b.acquire({ timeoutMs: 0 });
});

test('hold releases when its work fails', async (t) => {
  const dir = temporaryDirectory(t);
  const lock = await opened(t, dir);
  await assert.rejects(
    lock.hold(() => Promise.reject(new Error('work'))),
    { message: 'work' },
  );
  assert.equal(await lock.hold(() => 'result'), 'result');
});

test('acquiring twice is EDEADLK, releasing twice ENOTHELD', async (t) => {
  const lock = await opened(t, temporaryDirectory(t));
  await lock.acquire();
  await assert.rejects(lock.acquire(), { code: 'EDEADLK' });
  await lock.release();
  await assert.rejects(lock.release(), { code: 'ENOTHELD', errno: -4098 });
  await assert.rejects(lock.refresh(), { code: 'ENOTHELD' });
});

test('a lock that was taken away is ELOST, and the new holder keeps it', async (t) => {
  const dir = temporaryDirectory(t);
  const lock = await opened(t, dir);
  await lock.acquire();
  await lock.refresh();
  const theirs = `${process.pid}\n${process.pid}-0123456789abcdef\n`;
  await writeFile(join(dir, 'stolen'), theirs);
  await rename(join(dir, 'stolen'), join(dir, 'changes.journal.lock'));
  await assert.rejects(lock.refresh(), { code: 'ELOST', errno: -4097 });
  await assert.rejects(lock.append([{ file: 'x' }]), { code: 'ELOST' });
  await assert.rejects(lock.release(), { code: 'ELOST' });
  assert.equal(await readFile(join(dir, 'changes.journal.lock'), 'utf8'), theirs);
});

test('the journal is written under the hold, and without one', async (t) => {
  const dir = temporaryDirectory(t);
  const lock = await opened(t, dir);
  assert.deepEqual(await lock.read(), { valid: false });
  await lock.writeHeader(5);
  await lock.acquire();
  await Promise.all([lock.append([{ file: 'a' }]), lock.append([{ file: 'b', deleted: true }])]);
  await lock.appendStamped([{ file: 'c' }], 6);
  await lock.release();
  assert.deepEqual(await lock.read(), { valid: true, timestamp: 6, changed: ['a', 'c'], removed: ['b'] });
  assert.deepEqual(readJournal(dir), await lock.read());
});

test('a checkpoint keeps what was appended since the snapshot, and closes it', async (t) => {
  const dir = temporaryDirectory(t);
  const lock = await opened(t, dir);
  assert.equal(await lock.snapshot(), undefined);
  await lock.appendStamped([{ file: 'seen' }, { file: 'gone', deleted: true }], 5);
  const before = descriptors();
  const snapshot = await lock.snapshot();
  assert.equal(descriptors(), before + 1);
  const { timestamp, changed, removed } = snapshot;
  assert.deepEqual({ timestamp, changed, removed }, { timestamp: 5, changed: ['seen'], removed: ['gone'] });
  appendJournalEntries(dir, [{ file: 'since' }]);
  await lock.checkpoint(snapshot, 7);
  assert.equal(descriptors(), before);
  assert.deepEqual(await lock.read(), { valid: true, timestamp: 7, changed: ['since'], removed: [] });
  await assert.rejects(lock.checkpoint(snapshot, 8), TypeError);
});

test('a snapshot that is closed during its checkpoint is freed after it', async (t) => {
  const dir = temporaryDirectory(t);
  const [a, b] = [await opened(t, dir), await opened(t, dir)];
  await a.writeHeader(5);
  await a.acquire();
  const snapshot = await b.snapshot();
  const checkpoint = b.checkpoint(snapshot, 7);
  assert.equal(await isSettled(checkpoint), false);
  const before = descriptors();
  snapshot[Symbol.dispose]();
  snapshot.close();
  assert.equal(descriptors(), before);
  await a.release();
  await checkpoint;
  assert.equal(descriptors(), before - 1);
  assert.equal((await b.read()).timestamp, 7);
});

test('close releases, ends what waits, and leaves no file', { timeout: 20_000 }, async (t) => {
  const dir = temporaryDirectory(t);
  const [a, b] = [await Lock.open(dir), await Lock.open(dir, { retryMs: 3_600_000 })];
  await a.acquire();
  const waiting = b.acquire({ timeoutMs: Infinity });
  assert.equal(await isSettled(waiting), false);
  await Promise.all([b.close(), assert.rejects(waiting, { code: 'EBADF' })]);
  await b.close();
  await assert.rejects(b.acquire(), { code: 'EBADF' });
  await a[Symbol.asyncDispose]();
  assert.deepEqual(lockFiles(dir), []);
});

test('close while calls are under way waits for them', async (t) => {
  const dir = temporaryDirectory(t);
  const lock = await Lock.open(dir);
  const calls = [lock.append([{ file: 'x' }]), lock.inspect(), lock.read(), lock.acquire()];
  const [, results] = await Promise.all([lock.close(), Promise.allSettled(calls)]);
  for (const { status, reason } of results) assert.ok(status === 'fulfilled' || reason.code === 'EBADF', reason);
  assert.deepEqual(lockFiles(dir), []);
});

test('close while a worker is taking over waits until it has', async (t) => {
  const dir = temporaryDirectory(t);
  const { kill } = await holder(t, dir);
  await kill();
  const lock = await Lock.open(dir, { settleMs: 300 });
  const order = [];
  const acquiring = lock.acquire().catch(({ code }) => order.push(code));
  while (!(await readFile(join(dir, 'changes.journal.lock'), 'utf8')).startsWith(`${process.pid}\n`)) await soon();
  await lock.close();
  order.push('closed');
  await acquiring;
  assert.deepEqual(order, ['EBADF', 'closed']);
  assert.deepEqual(lockFiles(dir), []);
});

for (const ending of ['', 'process.exit();', 'throw new Error();']) {
  test(`a process that ends while it holds leaves no file: ${ending || 'end of program'}`, async (t) => {
    const dir = temporaryDirectory(t);
    const program = `
      import { Lock } from 'jlock';
      const lock = await Lock.open(${JSON.stringify(dir)});
      await lock.acquire();
      console.log('held');
      ${ending}`;
    const { stdout } = await run(['--input-type=module', '--eval', program]);
    assert.equal(stdout, 'held\n');
    assert.deepEqual(lockFiles(dir), []);
  });
}

test('a worker thread that ends while it holds leaves no file', async (t) => {
  const dir = temporaryDirectory(t);
  const worker = new Worker(new URL('worker.mjs', import.meta.url), { workerData: dir });
  const messages = [];
  worker.on('message', (message) => messages.push(message));
  await new Promise((resolve, reject) => worker.on('exit', resolve).on('error', reject));
  assert.deepEqual(messages, ['mine']);
  assert.deepEqual(lockFiles(dir), []);
});
