// The journal module of the shipped peer, as fetch-peer.sh unpacked it, or the copy of it that $CODEGRAPH_JOURNAL names.

import { fileURLToPath, pathToFileURL } from 'node:url';

const UNPACKED = new URL('node_modules/@optave/codegraph/dist/domain/graph/journal.js', import.meta.url);
const SHIPPED = process.env.CODEGRAPH_JOURNAL ? pathToFileURL(process.env.CODEGRAPH_JOURNAL) : UNPACKED;

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
