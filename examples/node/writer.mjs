// writer.mjs DIR PREFIX < PATHS
//
// Appends PREFIX/path to DIR/changes.journal for each line of standard input, with one call for each entry, every tenth with a
// new timestamp. Prints `ack ENTRY` as soon as a call returns, and at the end `wait MS`, the time of the longest call.

import { performance } from 'node:perf_hooks';
import { createInterface } from 'node:readline';
import { appendJournalEntries, appendJournalEntriesAndStampHeader } from './lib/journal.js';

const STAMP_EVERY = 10;

function append(dir, file, stamped) {
  if (stamped) appendJournalEntriesAndStampHeader(dir, [{ file }], Date.now());
  else appendJournalEntries(dir, [{ file }]);
}

async function write(dir, prefix, paths) {
  let count = 0;
  let longest = 0;
  for await (const path of paths) {
    const entry = `${prefix}/${path}`;
    const begun = performance.now();
    append(dir, entry, ++count % STAMP_EVERY === 0);
    longest = Math.max(longest, performance.now() - begun);
    process.stdout.write(`ack ${entry}\n`); // to a pipe, Node writes at once
  }
  process.stdout.write(`wait ${longest.toFixed(3)}\n`);
}

const [dir, prefix] = process.argv.slice(2);
if (prefix === undefined) {
  console.error('usage: writer.mjs DIR PREFIX < PATHS');
  process.exit(2);
}
try {
  await write(dir, prefix, createInterface({ input: process.stdin, crlfDelay: Infinity }));
} catch (error) {
  console.error(`writer.mjs: ${error.message}`);
  process.exitCode = 1;
}
