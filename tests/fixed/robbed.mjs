// robbed.mjs MODULE ROOT CALL  writes through this journal module, and is robbed in the middle of it, as by an unfixed
// shipped peer: that takes the lock by a rename, puts a journal in place that it copied before, with an additional
// entry, and releases the lock.
//
// CALL is append, stamp or header, which is robbed after its first write; or create, an append without a journal, which
// is robbed before it. Prints how often the call wrote.

import fs from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [module, root, call] = process.argv.slice(2);
const journal = await import(pathToFileURL(module));
const journalPath = join(root, '.codegraph/changes.journal');
const lockPath = `${journalPath}.lock`;

const { writeFileSync } = fs;
const write = (path, content) => (writeFileSync(path, content), path);

function rob(copied) {
  const nonce = `${process.ppid}-0123456789abcdef`;
  const [thief, theirs] = [`${lockPath}.${nonce}.tmp`, `${journalPath}.tmp`];
  fs.renameSync(write(thief, `${process.ppid}\n${nonce}\n`), lockPath);
  fs.renameSync(write(theirs, `${copied}theirs\n`), journalPath);
  fs.unlinkSync(lockPath);
}

const own = call === 'stamp' || call === 'header' ? 'writeFileSync' : 'appendFileSync';
const real = fs[own];
let writes = 0;
fs[own] = (path, content) => {
  const isFirst = writes++ === 0;
  if (isFirst && call === 'create') rob('# codegraph-journal v1 1700000000000\n');
  const copied = fs.readFileSync(journalPath, 'utf8');
  real(path, content);
  if (isFirst && call !== 'create') rob(copied);
};

if (call === 'stamp') journal.appendJournalEntriesAndStampHeader(root, [{ file: 'ours' }], 1_800_000_000_000);
else if (call === 'header') journal.writeJournalHeader(root, 1_800_000_000_000);
else journal.appendJournalEntries(root, [{ file: 'ours' }]);
console.log(writes);
