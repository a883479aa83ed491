// However a lock is left (its process or thread ends, or its last reference goes), it is released, and nothing is left behind.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdirSync, readlinkSync } from 'node:fs';
import test from 'node:test';
import { Worker } from 'node:worker_threads';
import { lockFiles, open, run, temporaryDirectory } from './support.js';

const evaluate = (program, { argv = [], ...rest } = {}) =>
  run([...argv, '--input-type=module', '--eval', program], rest);

for (const ending of ['', 'process.exit();', 'throw new Error();']) {
  test(`a process that ends while it holds leaves no file: ${ending || 'end of program'}`, async (t) => {
    const dir = temporaryDirectory(t);
    const program = `
      import { Lock } from 'jlock';
      const lock = await Lock.open(${JSON.stringify(dir)});
      await lock.acquire();
      console.log('held');
      ${ending}`;
    const { stdout } = await evaluate(program);
    assert.equal(stdout, 'held\n');
    assert.deepEqual(lockFiles(dir), []);
  });
}

/** Starts worker.mjs, and waits until it has done what it was asked to. `ended` is fulfilled when the thread ends. */
async function worker(dir, does) {
  const thread = new Worker(new URL('worker.mjs', import.meta.url), { workerData: { dir, does } });
  const ended = once(thread, 'exit');
  const [message] = await Promise.race([once(thread, 'message'), ended]);
  assert.equal(message, does);
  return { terminate: () => thread.terminate(), ended };
}

/** The files in a directory that this process has open. */
const openIn = (dir) =>
  readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      const path = readlinkSync(`/proc/self/fd/${fd}`);
      return path.startsWith(dir) ? [path] : [];
    } catch {
      return []; // the descriptor of the listing itself
    }
  });

test('a worker thread that ends while it holds leaves nothing', async (t) => {
  const dir = temporaryDirectory(t);
  const { ended } = await worker(dir, 'end');
  await ended;
  assert.deepEqual([lockFiles(dir), openIn(dir)], [[], []]);
});

for (const does of ['open', 'hold', 'keep', 'read', 'call']) {
  test(`a worker thread that is terminated leaves nothing: ${does}`, async (t) => {
    const dir = temporaryDirectory(t);
    const lock = await open(t, dir);
    await lock.writeHeader(5);
    await lock.close();
    const thread = await worker(dir, does);
    await thread.terminate();
    assert.deepEqual([lockFiles(dir), openIn(dir)], [[], []]);
  });
}

test('a worker thread that is terminated during calls leaves no file', async (t) => {
  const dir = temporaryDirectory(t);
  const lock = await open(t, dir);
  await lock.writeHeader(5);
  await lock.close();
  const thread = await worker(dir, 'look');
  await thread.terminate();
  assert.deepEqual(lockFiles(dir), []);
});

test('a worker thread that is terminated while it waits leaves nothing, and the holder holds', async (t) => {
  const dir = temporaryDirectory(t);
  const lock = await open(t, dir);
  await lock.acquire();
  const files = lockFiles(dir);
  // Many times, because the end hits the wait at a different point each time.
  for (let n = 0; n < 30; n++) {
    const thread = await worker(dir, 'wait');
    await thread.terminate();
    assert.deepEqual(lockFiles(dir), files);
  }
  assert.equal((await lock.inspect()).state, 'mine');
  await lock.release();
});

test('a process that exits releases what its worker threads hold', async (t) => {
  const dir = temporaryDirectory(t);
  const program = `
    import { Worker } from 'node:worker_threads';
    const thread = new Worker('./test/worker.mjs', {
      execArgv: [],
      workerData: { dir: ${JSON.stringify(dir)}, does: 'hold' },
    });
    thread.on('message', (message) => {
      console.log(message);
      process.exit();
    });`;
  const { stdout, stderr } = await evaluate(program);
  assert.equal(stdout, 'hold\n', stderr);
  assert.deepEqual(lockFiles(dir), []);
});

test('locks and snapshots that nobody refers to are closed, unless they hold', async (t) => {
  const dir = temporaryDirectory(t);
  const program = `
    import { readdirSync } from 'node:fs';
    import { setImmediate as soon } from 'node:timers/promises';
    import { Lock } from 'jlock';
    const dir = ${JSON.stringify(dir)};
    const descriptors = () => readdirSync('/proc/self/fd').length;
    console.log('begun'); // opens a descriptor
    const lock = await Lock.open(dir, { timeoutMs: 0 });
    await lock.hold(() => lock.writeHeader(5));
    await (await Lock.open(dir)).acquire();
    const before = descriptors();
    async function forget() {
      for (let n = 0; n < 200; n++) {
        await Lock.open(dir);
        await lock.snapshot();
      }
    }
    await forget();
    console.log(descriptors() > before); // not by 400: Node 26 has collected some of them already
    for (let n = 0; n < 1000 && descriptors() > before; n++) {
      gc();
      await soon();
    }
    console.log(descriptors() - before, (await lock.inspect()).state);`;
  const { stdout, stderr } = await evaluate(program, { argv: ['--expose-gc'] });
  assert.equal(stdout, 'begun\ntrue\n0 held\n', stderr);
  assert.deepEqual(lockFiles(dir), []);
});

/** How often to repeat operations (at least six, counting a hold as two); `make prove` asks for more. */
const ROUNDS = Number(process.env.JLOCK_OPERATIONS ?? 12_000) / 6;

test('thousands of operations leave memory, descriptors and threads as they were', async (t) => {
  const dir = temporaryDirectory(t);
  const program = `
    import { readdirSync } from 'node:fs';
    import { setImmediate as soon } from 'node:timers/promises';
    import { Lock, appendJournalEntries, readJournal } from 'jlock';
    const dir = ${JSON.stringify(dir)};
    const [a, b] = [await Lock.open(dir), await Lock.open(dir)];
    const count = (what) => readdirSync('/proc/self/' + what).length;
    async function round(n) {
      await a.hold(() => a.append([{ file: 'x' }]));
      await b.append([{ file: 'y' }, { file: Buffer.from('z'), deleted: true }]);
      await b.inspect();
      await a.read({ encoding: 'buffer' });
      if (n % 10) return;
      await (await Lock.open(dir)).close();
      await a.writeHeader(5);
      appendJournalEntries(dir, [{ file: 'x' }]);
      readJournal(dir);
      await a.checkpoint(await a.snapshot(), 6);
      if (n % 20) return;
      await a.acquire();
      const given = new AbortController();
      const waiting = [b.acquire({ signal: given.signal }).catch(() => {}), b.append([{ file: 'x' }])];
      given.abort();
      await waiting[0];
      await a.release();
      await waiting[1];
    }
    async function measured(rounds) {
      for (let n = 0; n < rounds; n++) await round(n);
      for (let n = 0; n < 10; n++) {
        gc();
        await soon();
      }
      return { memory: process.memoryUsage().rss, descriptors: count('fd'), threads: count('task') };
    }
    const before = await measured(300);
    const after = await measured(${ROUNDS});
    console.log(after.descriptors - before.descriptors, after.threads - before.threads);
    console.log(after.memory - before.memory < 2 ** 24 || after.memory - before.memory);`;
  const { stdout, stderr } = await evaluate(program, { argv: ['--expose-gc'] });
  assert.equal(stdout, '0 0\ntrue\n', stderr);
  assert.deepEqual(lockFiles(dir), []);
  t.diagnostic(`figure: operations in Node, with memory, threads and descriptors as before = ${6 * ROUNDS}`);
});
