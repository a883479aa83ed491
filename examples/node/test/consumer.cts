// A CommonJS program, to be compiled with --strict and never run.

import jlock = require('jlock');
import dropIn = require('jlock/codegraph');
const { readJournal }: typeof import('jlock/journal') = require('jlock/journal');

export async function use(dir: string): Promise<number> {
  const options: jlock.Options = { timeoutMs: 5 };
  const lock: jlock.Lock = await jlock.Lock.open(dir, options);
  const entries: jlock.JournalEntry[] = [{ file: 'a' }];
  await lock.append(entries);
  dropIn.appendJournalEntries(dir, entries);
  const raw = readJournal(dir, { encoding: 'buffer' });
  // @ts-expect-error: a timestamp is a number
  await lock.writeHeader('5');
  await lock.close();
  return raw.valid ? raw.timestamp : 0;
}
