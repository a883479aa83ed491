// An AbortSignal ends a wait at once, whatever it waits for, and then nothing is held.

import assert from 'node:assert/strict';
import test from 'node:test';
import { AbortError } from 'jlock';
import { isSettled, journalText, open, temporaryDirectory } from './support.js';

async function two(t) {
  const dir = temporaryDirectory(t);
  return { dir, a: await open(t, dir), b: await open(t, dir, { retryMs: 3_600_000, timeoutMs: Infinity }) };
}

const aborted = (reason) => (error) => {
  assert.ok(error instanceof AbortError);
  assert.equal(error.name, 'AbortError');
  assert.equal(error.code, 'ABORT_ERR');
  assert.equal(error.cause, reason);
  return true;
};

test('an abort ends a wait, and the lock keeps working', { timeout: 120_000 }, async (t) => {
  const { dir, a, b } = await two(t);
  await a.acquire();
  const calls = [
    (wait) => b.acquire(wait),
    (wait) => b.hold(() => assert.fail('not acquired'), wait),
    (wait) => b.append([{ file: 'x' }], wait),
    (wait) => b.appendStamped([{ file: 'x' }], 5, wait),
  ];
  for (const call of calls) {
    const controller = new AbortController();
    const waiting = call({ signal: controller.signal });
    assert.equal(await isSettled(waiting), false);
    const reason = new Error('enough');
    controller.abort(reason);
    await assert.rejects(waiting, aborted(reason));
    await assert.rejects(call({ signal: controller.signal }), aborted(reason));
  }
  const signal = AbortSignal.timeout(10);
  await assert.rejects(b.acquire({ signal }), (error) => error.cause.name === 'TimeoutError');
  assert.equal(journalText(dir), undefined);
  await a.release();
  await b.hold(() => {});
});

test('an abort ends the wait of a call that is not the first in line', { timeout: 120_000 }, async (t) => {
  const { a, b } = await two(t);
  await a.acquire();
  const controller = new AbortController();
  const { signal } = controller;
  const first = b.hold(() => 'first');
  const others = [b.hold(() => 'second', { signal }), b.append([{ file: 'x' }], { signal }), b.acquire({ signal })];
  assert.equal(await isSettled(Promise.any([first, ...others])), false);
  controller.abort();
  for (const other of others) await assert.rejects(other, { name: 'AbortError' });
  assert.equal(await isSettled(first), false);
  await a.release();
  assert.equal(await first, 'first');
});

test('whenever an abort comes, the lock is held if and only if the acquire has succeeded', async (t) => {
  const { a, b } = await two(t);
  const outcomes = new Set();
  for (let moment = 0; moment < 40; moment++) {
    const controller = new AbortController();
    const acquiring = a.acquire({ signal: controller.signal });
    for (let n = 0; n < moment; n++) await null;
    controller.abort();
    const outcome = await acquiring.then(
      () => 'held',
      ({ name }) => name,
    );
    outcomes.add(outcome);
    if (outcome === 'held') await a.release();
    await b.acquire({ timeoutMs: 0 });
    await b.release();
  }
  assert.deepEqual([...outcomes], ['AbortError', 'held']);
});

test('what is not an AbortSignal is refused', async (t) => {
  const { a } = await two(t);
  for (const signal of [5, 'x', {}, null]) await assert.rejects(a.acquire({ signal }), TypeError);
  await a.acquire();
});
