// robbed.mjs MODULE ROOT CALL  writes through this journal module, and is robbed in the midst of it, as by a peer as it is
// shipped: that takes the lock by a rename, puts a journal in place that it copied before, with an entry of its own, and
// lets the lock go.
//
// CALL is append, stamp or header. Prints how often the call's own write was made.

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

// Robbed after its first write, which is in nothing that the robber has copied.
const own = call === 'append' ? 'appendFileSync' : 'writeFileSync';
const real = fs[own];
let writes = 0;
fs[own] = (path, content) => {
  const copied = fs.readFileSync(journalPath, 'utf8');
  real(path, content);
  if (writes++ === 0) rob(copied);
};

if (call === 'append') journal.appendJournalEntries(root, [{ file: 'ours' }]);
else if (call === 'stamp') journal.appendJournalEntriesAndStampHeader(root, [{ file: 'ours' }], 1_800_000_000_000);
else journal.writeJournalHeader(root, 1_800_000_000_000);
console.log(writes);
