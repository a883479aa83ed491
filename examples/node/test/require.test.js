// The package loaded by require(): it has the same names, and they work the same.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import test from 'node:test';
import { lockFiles, run, temporaryDirectory } from './support.js';

const require = createRequire(import.meta.url);

for (const name of ['jlock', 'jlock/journal', 'jlock/codegraph']) {
  test(`require('${name}') has what import has`, async () => {
    const imported = await import(name);
    assert.deepEqual(Object.keys(require(name)).sort(), Object.keys(imported).sort());
  });
}

test('a CommonJS program locks, appends and reads', async (t) => {
  const dir = temporaryDirectory(t);
  const program = `
    const { JlockError, Lock, readJournal } = require('jlock');
    async function main(dir) {
      const [lock, other] = [await Lock.open(dir), await Lock.open(dir)];
      await lock.hold(() => lock.appendStamped([{ file: 'x' }], 5));
      await lock.acquire();
      await other.acquire({ timeoutMs: 0 }).catch((error) => console.log(error instanceof JlockError, error.code));
      console.log(readJournal(dir).changed, (await other.inspect()).state);
    }
    main(${JSON.stringify(dir)});`;
  const { stdout, stderr } = await run(['--input-type=commonjs', '--eval', program]);
  assert.equal(stdout, "true ETIMEDOUT\n[ 'x' ] held\n", stderr);
  assert.deepEqual(lockFiles(dir), []);
});

test('locks that were opened by import and by require exclude each other', async (t) => {
  const dir = temporaryDirectory(t);
  const [required, imported] = [require('jlock'), await import('jlock')];
  const locks = [await required.Lock.open(dir), await imported.Lock.open(dir, { timeoutMs: 0 })];
  await locks[0].acquire();
  await assert.rejects(locks[1].acquire(), { name: 'JlockError', code: 'ETIMEDOUT' });
  await Promise.all(locks.map((lock) => lock.close()));
});
