// A program that uses every export, to be compiled with --strict and never run.

import { JlockError, Lock, Snapshot, version } from 'jlock';
import type { Holder, JournalEntry, JournalResult, Options, ValidJournal, Wait } from 'jlock';
import * as dropIn from 'jlock/codegraph';
import { JOURNAL_FILENAME, appendJournalEntries, readJournal, writeJournalHeader } from 'jlock/journal';

const entries: JournalEntry[] = [{ file: 'a' }, { file: 'b', deleted: true }];

export function synchronous(dir: string): number {
  appendJournalEntries(dir, entries);
  writeJournalHeader(dir, Date.now());
  dropIn.appendJournalEntriesAndStampHeader(dir, entries, Date.now());
  const journal: JournalResult = readJournal(dir);
  // @ts-expect-error: an invalid journal has no lists
  journal.changed.length;
  return journal.valid ? journal.changed.length + journal.timestamp : JOURNAL_FILENAME.length;
}

export async function asynchronous(dir: string, signal: AbortSignal): Promise<Holder> {
  const options: Options = { timeoutMs: Infinity, sync: true };
  const wait: Wait = { signal, timeoutMs: 5 };
  await using lock = await Lock.open(dir, options);
  await lock.acquire(wait);
  await lock.refresh();
  await lock.append(entries);
  await lock.appendStamped(entries, 1, { signal });
  await lock.writeHeader(1);
  const journal = await lock.read();
  if (journal.valid) journal satisfies ValidJournal;
  using snapshot = await lock.snapshot();
  if (snapshot) await lock.checkpoint(snapshot, snapshot.timestamp + snapshot.changed.length);
  await lock.release();
  const length: number = await lock.hold(() => version.length);
  // @ts-expect-error: a file is a string
  await lock.append([{ file: length }]);
  // @ts-expect-error: locks are opened, not constructed
  new Lock(dir);
  // @ts-expect-error: snapshots are taken from a lock
  new Snapshot(5n);
  return lock.inspect();
}

export function codeOf(error: unknown): string {
  return error instanceof JlockError ? `${error.code} ${error.errno} ${error.path}: ${error.message}` : 'other';
}
