// What several tests use: temporary directories, child processes, and the shipped peer.

import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setImmediate as soon } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Lock } from 'jlock';

const INTEROP = new URL('../../../tests/interop/', import.meta.url);

export const WRITER = fileURLToPath(new URL('../writer.mjs', import.meta.url));
export const SHIPPED_WRITER = fileURLToPath(new URL('shipped-writer.mjs', INTEROP));
const PACKAGE = fileURLToPath(new URL('..', import.meta.url));
const HOLDER = fileURLToPath(new URL('holder.mjs', import.meta.url));

/** The journal module of codegraph, as published. */
export async function shippedPeer() {
  execFileSync(fileURLToPath(new URL('fetch-peer.sh', INTEROP)), { stdio: 'inherit' });
  return import(new URL('peer.mjs', INTEROP).href);
}

export function temporaryDirectory(t) {
  const dir = mkdtempSync(join(tmpdir(), 'jlock-node-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** A lock that the test closes. */
export async function open(t, dir, options) {
  const lock = await Lock.open(dir, options);
  t.after(() => lock.close().catch(() => {})); // whatever the test did to it
  return lock;
}

/** Whether a promise is settled once everything that is ready has run. */
export async function isSettled(promise) {
  let settled = false;
  const settle = () => (settled = true);
  promise.then(settle, settle);
  for (let turn = 0; turn < 20; turn++) await soon();
  return settled;
}

/** The journal's text; undefined if there is none. */
export function journalText(dir) {
  try {
    return readFileSync(join(dir, 'changes.journal'), 'utf8');
  } catch (error) {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  }
}

/** The lock, and the other files of locking. None of them is left once everybody has closed. */
export const lockFiles = (dir) => readdirSync(dir).filter((name) => name.startsWith('changes.journal.lock'));

/** Runs a program with Node; returns what it wrote, and how it ended. */
export async function run(argv, { input = '', prefix = [] } = {}) {
  const [command, ...args] = [...prefix, process.execPath, ...argv];
  const child = spawn(command, args, { cwd: PACKAGE });
  const kill = () => child.kill('SIGKILL');
  process.once('exit', kill); // a test that gives up leaves no program behind
  const stdout = text(child.stdout);
  const stderr = text(child.stderr);
  child.stdin.on('error', () => {}); // it may end before it has read everything
  child.stdin.end(input);
  const [code, signal] = await once(child, 'close');
  process.removeListener('exit', kill);
  return { code, signal, stdout: await stdout, stderr: await stderr };
}

async function text(stream) {
  stream.setEncoding('utf8');
  let all = '';
  for await (const part of stream) all += part;
  return all;
}

/** The entries that a writer acknowledged. */
export const acknowledged = (stdout) => stdout.split('\n').flatMap((line) => /^ack (.*)$/.exec(line)?.[1] ?? []);

/** Starts another process that holds the lock until it is ended or killed. */
export async function holder(t, dir) {
  const child = spawn(process.execPath, [HOLDER, dir], { stdio: ['pipe', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  const [line] = await once(createInterface(child.stdout), 'line');
  if (line !== 'held') throw new Error(`the holder said ${line}`);
  const end = async (stop) => {
    stop();
    await once(child, 'close');
  };
  return {
    pid: child.pid,
    release: () => end(() => child.stdin.end()),
    kill: () => end(() => child.kill('SIGKILL')),
  };
}
