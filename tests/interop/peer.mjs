// The journal module of the shipped peer, as fetch-peer.sh unpacked it.

import { fileURLToPath } from 'node:url';

const SHIPPED = new URL('node_modules/@optave/codegraph/dist/domain/graph/journal.js', import.meta.url);

export const {
  JOURNAL_FILENAME,
  readJournal,
  appendJournalEntries,
  writeJournalHeader,
  appendJournalEntriesAndStampHeader,
} = await import(SHIPPED).catch((error) => {
  const fetch = fileURLToPath(new URL('fetch-peer.sh', import.meta.url));
  throw new Error(`the shipped peer is not here: run ${fetch}`, { cause: error });
});
