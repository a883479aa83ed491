// shipped-read.mjs ROOT: prints what the shipped reader finds in ROOT/.codegraph/changes.journal, as one line of JSON.

import { readJournal } from './peer.mjs';

const [root] = process.argv.slice(2);
if (root === undefined) {
  console.error('usage: shipped-read.mjs ROOT');
  process.exit(2);
}
console.log(JSON.stringify(readJournal(root)));
