// What is made from the code is what was committed, and strict programs of both kinds can use it.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

/** Fails with what the program printed. */
function node(...args) {
  try {
    execFileSync(process.execPath, args, { cwd: here('..') });
  } catch (error) {
    assert.fail(String(error.stdout));
  }
}

const contents = (dir) =>
  Object.fromEntries(readdirSync(dir).map((name) => [name, readFileSync(join(dir, name), 'utf8')]));

test('the code passes the strict checker, and types/ and cjs/ are made from it (npm run build)', (t) => {
  const made = mkdtempSync(here('../node_modules/.made-'));
  t.after(() => rmSync(made, { recursive: true }));
  node('build.js', made);
  for (const dir of ['types', 'cjs']) assert.deepEqual(contents(here(`../${dir}`)), contents(join(made, dir)), dir);
});

// With node16, a declaration for require() cannot use types of a package that has types only for import, such as koffi.
for (const module of ['nodenext', 'node16']) {
  test(`strict TypeScript programs can use everything, by import and by require (${module})`, () => {
    node('node_modules/typescript/bin/tsc', '--project', 'test/tsconfig.json', '--module', module);
  });
}
