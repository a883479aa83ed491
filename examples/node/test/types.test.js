// The type declarations are those of the code, and of use to a strict program.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const TYPES = here('../types');

/** Fails with what the compiler printed. */
function tsc(...args) {
  try {
    execFileSync(process.execPath, [here('../node_modules/typescript/bin/tsc'), ...args], { cwd: here('..') });
  } catch (error) {
    assert.fail(String(error.stdout));
  }
}

const contents = (dir) =>
  Object.fromEntries(readdirSync(dir).map((name) => [name, readFileSync(join(dir, name), 'utf8')]));

test('the code passes the strict checker, and the committed declarations are those made from it (npm run types)', (t) => {
  const made = mkdtempSync(here('../node_modules/.types-'));
  t.after(() => rmSync(made, { recursive: true }));
  tsc('--project', '.', '--outDir', made);
  assert.deepEqual(contents(TYPES), contents(made));
});

test('a strict TypeScript program can use everything', () => {
  tsc('--project', 'test/tsconfig.json');
});
