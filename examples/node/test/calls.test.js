// Many calls at once, calls while others use up all the room, and calls that a thief overtakes.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import test from 'node:test';
import { lockFiles, open, run, temporaryDirectory } from './support.js';

const evaluate = (program, prefix = []) => run(['--input-type=module', '--eval', program], { prefix });

test('a thousand calls at once are all made', async (t) => {
  const dir = temporaryDirectory(t);
  const lock = await open(t, dir);
  await lock.writeHeader(5);
  const calls = Array.from({ length: 500 }, () => [lock.inspect(), lock.read()]).flat();
  for (const result of await Promise.all(calls)) assert.ok(result.state === 'free' || result.valid);
});

test('three hundred locks at once all hold, one after the other', async (t) => {
  const dir = temporaryDirectory(t);
  const locks = await Promise.all(Array.from({ length: 300 }, () => open(t, dir, { timeoutMs: Infinity })));
  let [inside, holds] = [0, 0];
  const hold = (lock) =>
    lock.hold(async () => {
      assert.equal(inside++, 0);
      await lock.appendStamped([{ file: `${holds++}` }], 5);
      inside--;
    });
  await Promise.all(locks.map(hold));
  assert.equal(holds, 300);
  assert.equal((await locks[0].read()).changed.length, 300);
  assert.equal((await locks[0].inspect()).state, 'free');
  await Promise.all(locks.map((lock) => lock.close()));
  assert.deepEqual(lockFiles(dir), []);
});

test("when somebody else's calls are all that koffi carries, the lock works nevertheless", async (t) => {
  const dir = temporaryDirectory(t);
  const program = `
    import koffi from 'koffi';
    import { Lock } from 'jlock';
    const lock = await Lock.open(${JSON.stringify(dir)});
    const usleep = koffi.load(null).func('int usleep(unsigned int)');
    let refused;
    while (!refused) try { usleep.async(1000, () => {}) } catch (error) { refused = error }
    await lock.appendStamped([{ file: 'x' }], 5);
    console.log((await lock.inspect()).state, (await lock.read()).changed);`;
  const { stdout, stderr } = await evaluate(program);
  assert.equal(stdout, "free [ 'x' ]\n", stderr);
});

// The pool has one thread, and that opens a fifo that nobody writes to. So a call that goes there stands still once its lock
// is held, and the thief has as much time as it needs.
test('a write whose lock is taken away is done again, three times', { timeout: 120_000 }, async (t) => {
  const dir = temporaryDirectory(t);
  const fifo = join(dir, 'fifo');
  execFileSync('mkfifo', [fifo]);
  const program = `
    import { closeSync, existsSync, openSync, readFile, renameSync, unlinkSync, writeFileSync } from 'node:fs';
    import { setImmediate as soon } from 'node:timers/promises';
    import { Lock } from 'jlock';
    const [dir, fifo] = ${JSON.stringify([dir, fifo])};
    const path = dir + '/changes.journal.lock';
    const lock = await Lock.open(dir, { timeoutMs: Infinity });
    async function overtaken(times) {
      const written = lock.appendStamped([{ file: String(times) }], 5).then(() => 'written', ({ code }) => code);
      for (let n = 0; n < times; n++) {
        const blocked = new Promise((resolve) => readFile(fifo, resolve));
        if (n > 0) unlinkSync(path); // what was stolen is free again
        while (!existsSync(path)) await soon();
        writeFileSync(dir + '/stolen', process.ppid + '\\n' + process.ppid + '-0123456789abcdef\\n');
        renameSync(dir + '/stolen', path);
        closeSync(openSync(fifo, 'w'));
        await blocked;
        await (await Lock.open(dir)).close(); // a call in the pool, after the one that was overtaken
      }
      unlinkSync(path);
      return written;
    }
    console.log(await overtaken(1), (await lock.read()).changed);
    console.log(await overtaken(3), (await lock.read()).changed);
    console.log(await overtaken(4));
    await lock.appendStamped([{ file: 'last' }], 6);
    console.log((await lock.inspect()).state);`;
  const { stdout, stderr } = await evaluate(program, ['env', 'UV_THREADPOOL_SIZE=1']);
  assert.equal(stdout, "written [ '1' ]\nwritten [ '1', '3' ]\nELOST\nfree\n", stderr);
});
