// A writer that uses the shipped peer's own code, unmodified. The journal is ROOT/.codegraph/changes.journal.
//
//   shipped-writer.mjs ROOT PREFIX N        appends PREFIX/1 … PREFIX/N
//   shipped-writer.mjs ROOT PREFIX < PATHS  appends PREFIX/path for each line of its standard input
//
//   --stamped         every entry also stamps the header
//   --stamp-every K   every Kth entry does
//
// There is one call for each entry. Prints `ack ENTRY` as soon as a call has returned and, at the end, `wait MS` for the
// longest call. If the shipped code throws, the exit code is 1.

import { performance } from 'node:perf_hooks';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { appendJournalEntries, appendJournalEntriesAndStampHeader } from './peer.mjs';

function usage() {
  console.error('usage: shipped-writer.mjs [--stamped | --stamp-every K] ROOT PREFIX [N]');
  process.exit(2);
}

function commandLine() {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: { stamped: { type: 'boolean' }, 'stamp-every': { type: 'string' } },
    });
    const [root, prefix, count] = positionals;
    const every = values.stamped ? 1 : Number(values['stamp-every'] ?? Infinity);
    if (prefix === undefined || positionals.length > 3 || !(every >= 1) || !(Number(count ?? 0) >= 0)) usage();
    return { root, prefix, every, paths: count === undefined ? lines(process.stdin) : numbers(Number(count)) };
  } catch (error) {
    console.error(error.message);
    return usage();
  }
}

const lines = (input) => createInterface({ input, crlfDelay: Infinity });

function* numbers(count) {
  for (let n = 1; n <= count; n++) yield n;
}

function append(root, file, stamped) {
  if (stamped) appendJournalEntriesAndStampHeader(root, [{ file }], Date.now());
  else appendJournalEntries(root, [{ file }]);
}

const { root, prefix, every, paths } = commandLine();
let done = 0;
let longest = 0;
try {
  for await (const path of paths) {
    const entry = `${prefix}/${path}`;
    const start = performance.now();
    append(root, entry, ++done % every === 0);
    longest = Math.max(longest, performance.now() - start);
    process.stdout.write(`ack ${entry}\n`);
  }
  process.stdout.write(`wait ${longest.toFixed(3)}\n`);
} catch (error) {
  console.error(`shipped-writer: ${error.message}`);
  process.exitCode = 1;
}
