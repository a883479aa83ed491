// Several processes on one journal: nothing that was acknowledged is lost.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { readJournal } from 'jlock/codegraph';
import { appendJournalEntries } from 'jlock/journal';
import {
  SHIPPED_WRITER,
  WRITER,
  acknowledged,
  journalText,
  lockFiles,
  run,
  shippedPeer,
  temporaryDirectory,
} from './support.js';

const shipped = await shippedPeer();
const paths = (count) => Array.from({ length: count }, (_, n) => `dir ${n}/ü.js\n`).join('');

function journalDirectory(t) {
  const root = temporaryDirectory(t);
  const dir = join(root, '.codegraph');
  mkdirSync(dir);
  return { root, dir };
}

/** Checks that the journal has every acknowledged line, each of them once. */
function assertAllThere(dir, entries) {
  const lines = journalText(dir).split('\n');
  assert.match(lines[0], /^# codegraph-journal v1 \d+$/);
  assert.equal(lines.pop(), '');
  assert.deepEqual(lines.slice(1).sort(), [...entries].sort());
}

test('a writer acknowledges each entry, stamps every tenth, and prints its longest wait', async (t) => {
  const { dir } = journalDirectory(t);
  const nine = await run([WRITER, dir, 'w'], { input: paths(9) });
  assert.equal(nine.code, 0, nine.stderr);
  assert.match(nine.stdout, /^(ack w\/dir \d\/ü\.js\n){9}wait \d+\.\d+\n$/);
  assert.match(journalText(dir), /^# codegraph-journal v1 0\n/);
  const ten = await run([WRITER, dir, 'w'], { input: paths(10) });
  assert.deepEqual(acknowledged(ten.stdout).length, 10);
  assert.ok(Math.abs(readJournal(join(dir, '..')).timestamp - Date.now()) < 60_000);
});

test('a writer that cannot write says why, exits with 1, and has acknowledged what went before', async (t) => {
  const { dir } = journalDirectory(t);
  const { code, stdout, stderr } = await run([WRITER, dir, 'w'], { input: 'a\nends with a blank \nb\n' });
  assert.equal(code, 1);
  assert.equal(stdout, 'ack w/a\n');
  assert.match(stderr, /^writer\.mjs: .+\n$/);
  assertAllThere(dir, ['w/a']);
});

test('four writers beside a shipped one lose nothing', async (t) => {
  const { root, dir } = journalDirectory(t);
  const writers = await Promise.all([
    ...['a', 'b', 'c', 'd'].map((name) => run([WRITER, dir, name], { input: paths(100) })),
    run([SHIPPED_WRITER, root, 's', '--stamp-every', '2'], { input: paths(60) }), // only one: two would lose entries to each other
  ]);
  for (const { code, stderr } of writers) assert.equal(code, 0, stderr);
  const entries = writers.flatMap(({ stdout }) => acknowledged(stdout));
  assert.equal(entries.length, 460);
  assertAllThere(dir, entries);
  assert.deepEqual(shipped.readJournal(root), readJournal(root));
  assert.deepEqual(lockFiles(dir), []);
});

test('a writer that is killed loses nothing that it acknowledged, and holds nobody up', async (t) => {
  const { dir } = journalDirectory(t);
  const survivor = run([WRITER, dir, 'survivor'], { input: paths(300) });
  const entries = [];
  for (let n = 0; n < 5; n++) {
    const child = spawn(process.execPath, [WRITER, dir, `killed ${n}`], { stdio: ['pipe', 'pipe', 'inherit'] });
    child.stdin.on('error', () => {}); // it dies before it has read everything
    child.stdin.end(paths(10_000));
    let stdout = '';
    child.stdout.setEncoding('utf8').on('data', (part) => {
      stdout += part;
      if (stdout.length > 1000) child.kill('SIGKILL');
    });
    await once(child, 'close');
    entries.push(...acknowledged(stdout.slice(0, stdout.lastIndexOf('\n'))));
  }
  const { code, stdout, stderr } = await survivor;
  assert.equal(code, 0, stderr);
  entries.push(...acknowledged(stdout));
  const there = new Set(journalText(dir).split('\n'));
  assert.deepEqual(
    entries.filter((entry) => !there.has(entry)),
    [],
  );
  appendJournalEntries(dir, [{ file: 'last' }]);
  // A writer that is killed between creating its private file and stamping it leaves an empty file, whose owner may still be
  // there: it is cleared away once it is 30 s old. Everything else goes at once.
  assert.deepEqual(
    lockFiles(dir).filter((name) => statSync(join(dir, name)).size > 0),
    [],
  );
});
