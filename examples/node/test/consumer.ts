// A program that uses every export, to be compiled with --strict and never run.

import { AbortError, JlockError, Lock, Snapshot, probe, version } from 'jlock';
import type { Holder, JournalEntry, JournalResult, Options, PathLike, Place, ValidJournal, Wait } from 'jlock';
import * as dropIn from 'jlock/codegraph';
import { JOURNAL_FILENAME, appendJournalEntries, readJournal, writeJournalHeader } from 'jlock/journal';

const entries: JournalEntry[] = [{ file: 'a' }, { file: new Uint8Array(5), deleted: true }];

export function synchronous(dir: PathLike): number {
  appendJournalEntries(dir, entries);
  writeJournalHeader(dir, Date.now());
  writeJournalHeader(dir, 5n);
  dropIn.appendJournalEntriesAndStampHeader('root', entries, Date.now());
  const journal: JournalResult = readJournal(dir);
  const raw: JournalResult<Buffer> = readJournal(dir, { encoding: 'buffer' });
  if (raw.valid) raw.changed[0]?.readUInt8(0);
  // @ts-expect-error: an invalid journal has no lists
  journal.changed.length;
  // @ts-expect-error: a directory is not a number
  readJournal(5);
  return journal.valid ? journal.changed.length + journal.timestamp : JOURNAL_FILENAME.length;
}

export async function asynchronous(dir: PathLike, signal: AbortSignal): Promise<Holder> {
  const options: Options = { timeoutMs: Infinity, sync: true, journal: 'other.journal' };
  const wait: Wait = { signal, timeoutMs: 5 };
  await using lock = await Lock.open(dir, options);
  await lock.acquire(wait);
  await lock.refresh();
  await lock.append(entries);
  await lock.appendStamped(entries, 1n, { signal });
  await lock.writeHeader(1);
  const journal = await lock.read();
  if (journal.valid) journal satisfies ValidJournal;
  else journal.code satisfies 'ENOENT' | 'ENOTDIR' | 'EHEADER' | 'EUNSTAMPED';
  const raw = await lock.read({ encoding: 'buffer' });
  if (raw.valid) raw satisfies ValidJournal<Buffer>;
  using snapshot = await lock.snapshot();
  if (snapshot) {
    const dropped: boolean = await lock.checkpoint(snapshot, snapshot.timestamp + snapshot.changed.length);
    if (!dropped) snapshot.changed[0]?.toUpperCase();
  }
  const bytes: Snapshot<Buffer> | undefined = await lock.snapshot({ encoding: 'buffer' });
  if (bytes) await lock.checkpoint(bytes, 5n);
  await lock.release();
  const length: number = await lock.hold(() => version.length);
  // @ts-expect-error: a file is a string or bytes
  await lock.append([{ file: length }]);
  // @ts-expect-error: locks are opened, not constructed
  new Lock(dir);
  // @ts-expect-error: snapshots are taken from a lock
  new Snapshot(5n);
  const holder = await lock.inspect();
  const seconds: number | undefined = holder.heldMs && holder.heldMs / 1000;
  return seconds !== undefined && holder.fallback.includes('flock') ? holder : lock.inspect();
}

export async function place(dir: PathLike): Promise<string> {
  const { promises, missing, fileSystem }: Place = await probe(dir);
  return promises.durable && !missing.includes('lease') ? fileSystem : '';
}

export function codeOf(error: unknown): string {
  if (error instanceof AbortError) return `${error.code}: ${String(error.cause)}`;
  return error instanceof JlockError ? `${error.code} ${error.errno} ${error.path}: ${error.message}` : 'other';
}
