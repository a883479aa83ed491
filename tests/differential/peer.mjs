// The shipped peer's journal module as a server: peer.mjs ROOT answers each line with one line.
//
//   read                      invalid, or: valid <bits of the timestamp> <changed> <removed>
//   append ENTRIES            done
//   stamp TIMESTAMP ENTRIES   done
//   header TIMESTAMP          done
//
// ENTRIES are comma-separated: c for changed or d for deleted, then the path; `-` for none. Paths and bits are
// hexadecimal.

import { createInterface } from 'node:readline';
import {
  appendJournalEntries,
  appendJournalEntriesAndStampHeader,
  readJournal,
  writeJournalHeader,
} from '../interop/peer.mjs';

const root = process.argv[2];

function bits(number) {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, number);
  return view.getBigUint64(0).toString(16).padStart(16, '0');
}

const list = (paths) => paths.map((path) => Buffer.from(path).toString('hex')).join(',') || '-';

function read() {
  const { valid, timestamp, changed, removed } = readJournal(root);
  return valid ? `valid ${bits(timestamp)} ${list(changed)} ${list(removed)}` : 'invalid';
}

function entries(text) {
  if (text === '-') return [];
  return text.split(',').map((entry) => ({
    file: Buffer.from(entry.slice(1), 'hex').toString(),
    deleted: entry[0] === 'd',
  }));
}

const commands = {
  read,
  append: (text) => appendJournalEntries(root, entries(text)),
  stamp: (timestamp, text) => appendJournalEntriesAndStampHeader(root, entries(text), Number(timestamp)),
  header: (timestamp) => writeJournalHeader(root, Number(timestamp)),
};

for await (const line of createInterface({ input: process.stdin })) {
  const [command, ...parameters] = line.split(' ');
  process.stdout.write(`${commands[command](...parameters) ?? 'done'}\n`);
}
