// The examples in README.md run as they stand there.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { readJournal } from 'jlock';
import { lockFiles, run, temporaryDirectory } from './support.js';

const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
const examples = [...readme.matchAll(/^```js\n([^]*?)^```/gm)].map(([, code]) => code);

test('README.md has three examples', () => assert.equal(examples.length, 3));

examples.forEach((code, index) => {
  test(`example ${index + 1} of README.md runs`, async (t) => {
    const root = temporaryDirectory(t);
    const dir = join(root, '.codegraph');
    const given = `const [root, dir] = ${JSON.stringify([root, dir])};\n`;
    const { code: status, stderr } = await run(['--input-type=module', '--eval', given + code]);
    assert.equal(status, 0, stderr);
    assert.equal(readJournal(dir).valid, index === 0, 'the first one stamps');
    assert.deepEqual(lockFiles(dir), []);
  });
});
