// shipped.mjs append|stamp ROOT
// shipped.mjs read ROOT COUNT      the shipped peer's own calls; what is read must be COUNT distinct entries

import * as peer from '../../tests/interop/peer.mjs';
import { meter } from './meter.mjs';

const [call, root, count] = process.argv.slice(2);
const entries = [{ file: 'src/module-000017/component-004711' }];
let timestamp = 1700000000000;

const calls = {
  append: () => peer.appendJournalEntries(root, entries),
  stamp: () => peer.appendJournalEntriesAndStampHeader(root, entries, ++timestamp),
  read() {
    const { changed } = peer.readJournal(root);
    if (changed.length !== Number(count)) throw new Error(`${changed.length} entries, not ${count}`);
  },
};
await meter(calls[call]);
