// Somebody else's program, which a bundler turns into one file.
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Lock, readJournal } from 'jlock';
import { appendJournalEntries } from 'jlock/codegraph';

async function main() {
  const root = mkdtempSync(join(tmpdir(), 'program-'));
  const lock = await Lock.open(join(root, '.codegraph'));
  await lock.hold(() => lock.appendStamped([{ file: 'x' }], 5));
  await lock.close();
  appendJournalEntries(root, [{ file: 'y' }]);
  console.log(readJournal(join(root, '.codegraph')).changed.join());
}

main();
