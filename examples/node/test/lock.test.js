// The Lock excludes, waits without being in anybody's way, and leaves nothing behind.

import assert from 'node:assert/strict';
import { readdirSync, readlinkSync } from 'node:fs';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'node:test';
import { setImmediate as soon } from 'node:timers/promises';
import { Lock } from 'jlock';
import { appendJournalEntries, readJournal } from 'jlock/journal';
import { holder, isSettled, lockFiles, open, run, temporaryDirectory } from './support.js';

/** How many open files are the journal, or were it once, like a snapshot's. */
const openJournals = (dir) =>
  readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).replace(' (deleted)', '') === join(dir, 'changes.journal');
    } catch {
      return false; // the descriptor of the listing itself
    }
  }).length;

test('two handles in one process exclude each other', async (t) => {
  const dir = temporaryDirectory(t);
  const [a, b] = [await open(t, dir), await open(t, dir)];
  await a.acquire();
  const waiting = b.acquire();
  assert.equal(await isSettled(waiting), false);
  await a.release();
  await waiting;
  await assert.rejects(a.acquire({ timeoutMs: 0 }), { code: 'ETIMEDOUT' });
  await b.release();
});

test('a release wakes the waiter, without another look at the clock', { timeout: 120_000 }, async (t) => {
  const dir = temporaryDirectory(t);
  const [a, b] = [await open(t, dir), await open(t, dir, { retryMs: 3_600_000, timeoutMs: Infinity })];
  await a.acquire();
  const waiting = b.acquire();
  assert.equal(await isSettled(waiting), false);
  await a.release();
  await waiting;
});

test('one lock serves the calls that come while it waits in turn', async (t) => {
  const dir = temporaryDirectory(t);
  const [a, b] = [await open(t, dir), await open(t, dir)];
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
      const lock = await open(t, dir, { timeoutMs: Infinity });
      for (let n = 0; n < 50; n++) await lock.hold(increment);
    }),
  );
  assert.equal(await readFile(file, 'utf8'), '400');
});

test('while locks wait, the only thread of the pool is free', { timeout: 120_000 }, async (t) => {
  const dir = temporaryDirectory(t);
  const program = `
    import { readdirSync } from 'node:fs';
    import { readFile } from 'node:fs/promises';
    import { Lock } from 'jlock';
    const dir = ${JSON.stringify(dir)};
    const threads = () => readdirSync('/proc/self/task').length;
    const first = await Lock.open(dir);
    await first.acquire();
    const locks = await Promise.all(Array.from({ length: 40 }, () => Lock.open(dir, { timeoutMs: Infinity })));
    const before = threads();
    let waiting = locks.length;
    const turns = locks.map((lock) => lock.hold(() => waiting--));
    await readFile('/proc/self/stat');
    console.log(waiting, threads() - before);
    await first.release();
    await Promise.all(turns);
    console.log(waiting);`;
  const { stdout, stderr } = await run(['--input-type=module', '--eval', program], {
    prefix: ['env', 'UV_THREADPOOL_SIZE=1'],
  });
  assert.equal(stdout, '40 0\n0\n', stderr);
});

test('a program that only acquires and releases lets its timers fire', async (t) => {
  const lock = await open(t, temporaryDirectory(t));
  let fired = false;
  setTimeout(() => (fired = true), 1);
  let holds = 0;
  while (!fired && holds < 100_000) await lock.hold(() => holds++);
  assert.ok(fired, `${holds} holds, and no turn of the event loop`);
});

test('fake timers stop no wait', { timeout: 120_000 }, async (t) => {
  const dir = temporaryDirectory(t);
  const [a, b] = [await open(t, dir), await open(t, dir)];
  const real = { setImmediate, setTimeout, now: performance.now };
  // In Node 18 it cannot be assigned to.
  const replaceNow = (now) => Object.defineProperty(performance, 'now', { value: now, configurable: true });
  t.after(() => {
    Object.assign(globalThis, { setImmediate: real.setImmediate, setTimeout: real.setTimeout });
    replaceNow(real.now);
  });
  await a.acquire();
  const never = () => ({ unref() {}, ref() {} });
  Object.assign(globalThis, { setImmediate: never, setTimeout: never });
  replaceNow(() => 0);
  await assert.rejects(b.acquire({ timeoutMs: 100 }), { code: 'ETIMEDOUT' });
  const waiting = b.acquire({ timeoutMs: 60_000 });
  await a.release();
  await waiting;
  await b.release();
});

test('taking over from a dead holder is reported', async (t) => {
  const dir = temporaryDirectory(t);
  const { kill } = await holder(t, dir);
  await kill();
  const lock = await open(t, dir);
  assert.equal((await lock.inspect()).state, 'abandoned');
  await lock.acquire();
  assert.equal(lock.recovered, true);
  await lock.release();
  await lock.acquire();
  assert.equal(lock.recovered, false);
});

test('taking over from a dead holder blocks nothing', async (t) => {
  const dir = temporaryDirectory(t);
  const { kill } = await holder(t, dir);
  await kill();
  const lock = await open(t, dir);
  assert.equal((await lock.inspect()).state, 'abandoned');
  let ticks = 0;
  const timer = setInterval(() => ticks++, 5);
  await lock.acquire();
  clearInterval(timer);
  assert.ok(ticks > 0, 'no timer fired while it settled');
});

test('a holder in another process is waited for', async (t) => {
  const dir = temporaryDirectory(t);
  const { pid, release } = await holder(t, dir);
  const lock = await open(t, dir);
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

test('hold releases when its work fails', async (t) => {
  const dir = temporaryDirectory(t);
  const lock = await open(t, dir);
  await assert.rejects(
    lock.hold(() => Promise.reject(new Error('work'))),
    { message: 'work' },
  );
  assert.equal(await lock.hold(() => 'result'), 'result');
});

test('the error of the work is not hidden by that of the release', async (t) => {
  const lock = await open(t, temporaryDirectory(t));
  const work = async () => {
    await lock.release();
    throw new Error('work');
  };
  await assert.rejects(lock.hold(work), { message: 'work' });
  await assert.rejects(
    lock.hold(() => lock.release()),
    { code: 'ENOTHELD' },
  );
});

test('holds of one lock take their turns in the order of the calls', async (t) => {
  const dir = temporaryDirectory(t);
  const [lock, other] = [await open(t, dir), await open(t, dir)];
  await other.acquire();
  const order = [];
  let inside = 0;
  const holds = ['a', 'b', 'c', 'd'].map((name) =>
    lock.hold(async () => {
      assert.equal(inside++, 0);
      await lock.append([{ file: name }]); // under this hold, however many wait behind it
      await soon();
      order.push(name);
      inside--;
    }),
  );
  await other.release();
  await Promise.all(holds);
  assert.deepEqual(order, ['a', 'b', 'c', 'd']);
});

test('a hold waits for another of the same lock no longer than its time', async (t) => {
  const lock = await open(t, temporaryDirectory(t));
  await lock.hold(async () => {
    const late = { code: 'ETIMEDOUT', message: /another hold\(\) of this Lock is not over; gave up after \d+\.\d s$/ };
    await assert.rejects(
      lock.hold(() => assert.fail('within another'), { timeoutMs: 20 }),
      late,
    );
    await assert.rejects(
      lock.hold(() => assert.fail('within another'), { timeoutMs: 0 }),
      late,
    );
  });
  assert.equal(await lock.hold(() => 'next'), 'next');
});

test('an acquire waits for an earlier call of the same lock no longer than its time', async (t) => {
  const dir = temporaryDirectory(t);
  const [a, b] = [await open(t, dir), await open(t, dir)];
  await a.acquire();
  const first = b.acquire({ timeoutMs: Infinity });
  const message = /an earlier call on this Lock is not over; gave up after \d+\.\d s$/;
  await assert.rejects(b.acquire({ timeoutMs: 20 }), { code: 'ETIMEDOUT', message });
  await a.release();
  await first;
});

test('acquiring twice is EDEADLK, releasing twice ENOTHELD', async (t) => {
  const lock = await open(t, temporaryDirectory(t));
  await lock.acquire();
  await assert.rejects(lock.acquire(), { code: 'EDEADLK' });
  await lock.release();
  await assert.rejects(lock.release(), { code: 'ENOTHELD', errno: -4098 });
  await assert.rejects(lock.refresh(), { code: 'ENOTHELD' });
});

test('a lock that was taken away is ELOST, and the new holder keeps it', async (t) => {
  const dir = temporaryDirectory(t);
  const lock = await open(t, dir);
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
  const lock = await open(t, dir);
  assert.deepEqual(await lock.read(), { valid: false, code: 'ENOENT' });
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
  const lock = await open(t, dir);
  assert.equal(await lock.snapshot(), undefined);
  await lock.appendStamped([{ file: 'seen' }, { file: 'gone', deleted: true }], 5);
  const before = openJournals(dir);
  const snapshot = await lock.snapshot();
  assert.equal(openJournals(dir), before + 1);
  const { timestamp, changed, removed } = snapshot;
  assert.deepEqual({ timestamp, changed, removed }, { timestamp: 5, changed: ['seen'], removed: ['gone'] });
  appendJournalEntries(dir, [{ file: 'since' }]);
  assert.equal(await lock.checkpoint(snapshot, 7), true);
  assert.equal(openJournals(dir), before);
  assert.deepEqual(await lock.read(), { valid: true, timestamp: 7, changed: ['since'], removed: [] });
  await assert.rejects(lock.checkpoint(snapshot, 8), TypeError);
});

test('a checkpoint says that it has dropped nothing if the journal was replaced', async (t) => {
  const dir = temporaryDirectory(t);
  const lock = await open(t, dir);
  await lock.appendStamped([{ file: 'seen' }], 5);
  const snapshot = await lock.snapshot();
  await writeFile(join(dir, 'new'), '# codegraph-journal v1 6\nseen\n');
  await rename(join(dir, 'new'), join(dir, 'changes.journal'));
  assert.equal(await lock.checkpoint(snapshot, 7), false);
  assert.deepEqual(await lock.read(), { valid: true, timestamp: 7, changed: ['seen'], removed: [] });
});

test('a snapshot that is closed during its checkpoint is freed after it', async (t) => {
  const dir = temporaryDirectory(t);
  const [a, b] = [await open(t, dir), await open(t, dir)];
  await a.writeHeader(5);
  await a.acquire();
  const snapshot = await b.snapshot();
  const checkpoint = b.checkpoint(snapshot, 7);
  assert.equal(await isSettled(checkpoint), false);
  const before = openJournals(dir);
  snapshot[Symbol.dispose]();
  snapshot.close();
  assert.equal(openJournals(dir), before);
  await a.release();
  await checkpoint;
  assert.equal(openJournals(dir), before - 1);
  assert.equal((await b.read()).timestamp, 7);
});

test('close releases, ends what waits, and leaves no file', { timeout: 120_000 }, async (t) => {
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

test('close says that the lock had been taken away, and closes', async (t) => {
  const dir = temporaryDirectory(t);
  const lock = await Lock.open(dir);
  await lock.acquire();
  await writeFile(join(dir, 'stolen'), `${process.pid}\n${process.pid}-0123456789abcdef\n`);
  await rename(join(dir, 'stolen'), join(dir, 'changes.journal.lock'));
  await assert.rejects(lock.close(), { code: 'ELOST', errno: -4097, path: dir });
  await assert.rejects(lock.inspect(), { code: 'EBADF' });
  assert.deepEqual(lockFiles(dir), ['changes.journal.lock']);
});

test('close ends the holds that wait for another of the same lock', async (t) => {
  const dir = temporaryDirectory(t);
  const lock = await Lock.open(dir);
  const closed = { code: 'EBADF' };
  let waiting;
  const hold = lock.hold(() => {
    waiting = assert.rejects(
      lock.hold(() => assert.fail('closed')),
      closed,
    );
    return lock.close();
  });
  await assert.rejects(hold, closed); // the lock was closed during it
  await waiting;
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

// It stays until the next program takes over: unlinking it would make room for another lock, which a peer that has judged
// this one could then hit.
test('close while a dead holder is being taken over leaves a dead lock to the next one', async (t) => {
  const dir = temporaryDirectory(t);
  const { kill } = await holder(t, dir);
  await kill();
  const lock = await Lock.open(dir, { settleMs: 5000 });
  const acquiring = lock.acquire().catch(({ code }) => code);
  while (!(await readFile(join(dir, 'changes.journal.lock'), 'utf8')).startsWith(`${process.pid}\n`)) await soon();
  await lock.close();
  assert.equal(await acquiring, 'EBADF');
  assert.deepEqual(lockFiles(dir), ['changes.journal.lock']);
  const next = await open(t, dir);
  const { state, pid } = await next.inspect();
  assert.deepEqual({ state, pid }, { state: 'abandoned', pid: process.pid });
  await next.acquire();
  assert.equal(next.recovered, true);
  await next.release();
  assert.deepEqual(lockFiles(dir), []);
});
