// Compares the journal modules with the one that codegraph ships.

import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { Lock } from 'jlock';
import * as dropIn from 'jlock/codegraph';
import * as module from 'jlock/journal';
import { journal, random } from './generate.js';
import { journalText, lockFiles, shippedPeer, temporaryDirectory } from './support.js';

const shipped = await shippedPeer();
const JOURNALS = 3000;

function roots(t) {
  const base = temporaryDirectory(t);
  return { ours: join(base, 'ours'), theirs: join(base, 'theirs') };
}

const textIn = (root) => journalText(join(root, '.codegraph'));

test('the modules export what the shipped one does', () => {
  const names = Object.keys(shipped).sort();
  assert.deepEqual(Object.keys(dropIn).sort(), names);
  assert.deepEqual(Object.keys(module).sort(), names);
  assert.equal(dropIn.JOURNAL_FILENAME, shipped.JOURNAL_FILENAME);
  for (const name of names) assert.equal(dropIn[name].length, shipped[name].length, name);
});

test(`${JOURNALS} generated journals are read as the shipped module reads them`, (t) => {
  const root = temporaryDirectory(t);
  const dir = join(root, '.codegraph');
  mkdirSync(dir);
  let valid = 0;
  for (let seed = 0; seed < JOURNALS; seed++) {
    const text = journal(random(seed));
    writeFileSync(join(dir, 'changes.journal'), text);
    const expected = shipped.readJournal(root);
    const where = `seed ${seed}: ${JSON.stringify(text)}`;
    assert.deepEqual(dropIn.readJournal(root), expected, where);
    assert.deepEqual(module.readJournal(dir), expected, where);
    if (expected.valid) valid++;
  }
  assert.ok(valid > JOURNALS / 4 && valid < JOURNALS, `${valid} valid ones are too few, or too many, to show anything`);
});

test('a NUL inside is damage, though codegraph takes it for text', (t) => {
  const root = temporaryDirectory(t);
  const dir = join(root, '.codegraph');
  mkdirSync(dir);
  writeFileSync(join(dir, 'changes.journal'), '# codegraph-journal v1 1\na\0b\n');
  assert.equal(shipped.readJournal(root).valid, true);
  assert.deepEqual(dropIn.readJournal(root), { valid: false });
  assert.deepEqual(module.readJournal(dir), { valid: false });
});

test('what is written is byte for byte what the shipped module writes', (t) => {
  const { ours, theirs } = roots(t);
  const changed = [{ file: 'a b/ü.js' }, { file: 'gone.js', deleted: true }];
  const steps = [
    ['appendJournalEntries', changed],
    ['appendJournalEntriesAndStampHeader', [{ file: 'c' }], 1700000000001],
    ['appendJournalEntries', [{ file: 'd', deleted: false }]],
    ['appendJournalEntriesAndStampHeader', [], 1700000000002],
    ['appendJournalEntriesAndStampHeader', [{ file: 'e' }], 17],
    ['writeJournalHeader', 1700000000003],
    ['appendJournalEntries', changed],
  ];
  for (const [name, ...args] of steps) {
    assert.equal(dropIn[name](ours, ...args), shipped[name](theirs, ...args), name);
    assert.equal(textIn(ours), textIn(theirs), name);
    assert.deepEqual(shipped.readJournal(ours), dropIn.readJournal(theirs), name);
  }
  assert.deepEqual(lockFiles(join(ours, '.codegraph')), []);
});

test('a first header is written as the shipped module writes it', (t) => {
  const { ours, theirs } = roots(t);
  dropIn.writeJournalHeader(ours, 5);
  shipped.writeJournalHeader(theirs, 5);
  assert.equal(textIn(ours), textIn(theirs));
});

test('both modules write the same journal; one of them finds it beneath the root', (t) => {
  const root = temporaryDirectory(t);
  module.appendJournalEntriesAndStampHeader(join(root, '.codegraph'), [{ file: 'x' }], 1);
  assert.deepEqual(dropIn.readJournal(root), { valid: true, timestamp: 1, changed: ['x'], removed: [] });
});

test('a journal that is missing, or was never stamped, is invalid', async (t) => {
  const root = temporaryDirectory(t);
  assert.deepEqual(dropIn.readJournal(root), { valid: false });
  assert.deepEqual(dropIn.readJournal(join(root, 'nowhere')), { valid: false });
  assert.deepEqual(journalText(root), undefined, 'reading creates nothing');
  dropIn.appendJournalEntries(root, [{ file: 'x' }]);
  assert.deepEqual(dropIn.readJournal(root), { valid: false });
  assert.deepEqual(shipped.readJournal(root), { valid: false });
  const lock = await Lock.open(join(root, '.codegraph'));
  t.after(() => lock.close());
  assert.deepEqual(await lock.read(), { valid: false, code: 'EUNSTAMPED' });
  assert.equal(await lock.snapshot(), undefined);
  writeFileSync(join(root, '.codegraph', 'changes.journal'), 'no header\n');
  assert.deepEqual(await lock.read(), { valid: false, code: 'EHEADER' });
});

test('appending nothing changes nothing', (t) => {
  const dir = temporaryDirectory(t);
  module.writeJournalHeader(dir, 5);
  module.appendJournalEntries(dir, []);
  assert.equal(journalText(dir), '# codegraph-journal v1 5\n');
});

test('codegraph may pass fractions of a millisecond, which are rounded down', (t) => {
  const root = temporaryDirectory(t);
  dropIn.writeJournalHeader(root, 1700000000000.9);
  assert.equal(textIn(root), '# codegraph-journal v1 1700000000000\n');
  dropIn.appendJournalEntriesAndStampHeader(root, [], 1700000000001.9);
  assert.equal(textIn(root), '# codegraph-journal v1 1700000000001\n');
});

test('a timestamp is a whole number that C can hold, and anything else is refused', async (t) => {
  const dir = temporaryDirectory(t);
  const lock = await Lock.open(dir);
  t.after(() => lock.close());
  const good = [0, 5, 17n, Number.MAX_SAFE_INTEGER, 2n ** 63n - 1n];
  for (const timestamp of good) {
    module.writeJournalHeader(dir, timestamp);
    assert.equal(journalText(dir), `# codegraph-journal v1 ${timestamp}\n`);
    await lock.writeHeader(timestamp);
    await lock.appendStamped([], timestamp);
    assert.equal(journalText(dir), `# codegraph-journal v1 ${timestamp}\n`);
  }
  module.writeJournalHeader(dir, 5);
  const bad = [NaN, Infinity, -1, -1n, 0.5, 2 ** 53, 2n ** 63n, 2n ** 64n + 7n];
  for (const timestamp of bad) {
    const where = String(timestamp);
    assert.throws(() => module.writeJournalHeader(dir, timestamp), RangeError, where);
    assert.throws(() => module.appendJournalEntriesAndStampHeader(dir, [], timestamp), RangeError, where);
    await assert.rejects(lock.writeHeader(timestamp), RangeError, where);
    await assert.rejects(lock.appendStamped([], timestamp), RangeError, where);
  }
  for (const timestamp of [undefined, null, '5', {}, Symbol('5')]) {
    assert.throws(() => module.writeJournalHeader(dir, timestamp), TypeError);
    await assert.rejects(lock.writeHeader(timestamp), TypeError);
  }
  assert.equal(journalText(dir), '# codegraph-journal v1 5\n');
});

test('10 000 entries in one call are all there, in their order', (t) => {
  const dir = temporaryDirectory(t);
  const files = Array.from({ length: 10_000 }, (_, n) => `${n}/${'x'.repeat(n % 200)}/é`);
  module.appendJournalEntriesAndStampHeader(
    dir,
    files.map((file) => ({ file })),
    1,
  );
  assert.deepEqual(module.readJournal(dir).changed, files);
});
