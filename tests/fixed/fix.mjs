// fix.mjs OUT: makes copies of the shipped peer's journal module, as docs/codegraph.md describes them:
//
//   OUT/shipped  unchanged
//   OUT/fixed    with docs/codegraph-lock.js as its lock
//   OUT/adopted  the module that adopts the library, with the fixed one to fall back on
//
// The first two also export their lock's functions.

import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const HERE = new URL('.', import.meta.url);
const DIST = fileURLToPath(new URL('../interop/node_modules/@optave/codegraph/dist', HERE));
const FIXED_LOCK = fileURLToPath(new URL('../../docs/codegraph-lock.js', HERE));
const EXPORT = '\nexport { acquireJournalLock, releaseJournalLock };\n';

/** The source without these functions and the comments that belong to them. */
function without(source, names) {
  for (const name of names) {
    const declared = new RegExp(`(/\\*\\*(?:(?!\\*/)[^])*\\*/\\n)?^function ${name}\\([^]*?^}\\n`, 'm');
    if (!declared.test(source)) throw new Error(`the shipped module has no function ${name}`);
    source = source.replace(declared, '');
  }
  return source;
}

/** The source with `from` replaced, which must occur `count` times. */
function replaced(source, count, from, to) {
  if (source.split(from).length !== count + 1) throw new Error(`not ${count} times in the shipped module: ${from}`);
  return source.replaceAll(from, to);
}

function write(out, name, journal) {
  const root = join(out, name);
  mkdirSync(join(root, 'domain/graph'), { recursive: true });
  cpSync(join(DIST, 'infrastructure/logger.js'), join(root, 'infrastructure/logger.js'));
  cpSync(FIXED_LOCK, join(root, 'domain/graph/journal-lock.js'));
  writeFileSync(join(root, 'package.json'), '{ "type": "module" }\n');
  writeFileSync(join(root, 'domain/graph/journal.js'), journal);
}

/** The module in the page's section on adopting the library. */
function adopting() {
  const page = readFileSync(fileURLToPath(new URL('../../docs/codegraph.md', HERE)), 'utf8');
  return /<!-- the module -->\n```js\n([^]*?)```/.exec(page)[1];
}

const [out] = process.argv.slice(2);
const shipped = readFileSync(join(DIST, 'domain/graph/journal.js'), 'utf8');
const lock = ['trySteal', 'tryFreshAcquire', 'isLockStale', 'acquireJournalLock', 'releaseJournalLock'];
let fixed = without(shipped, [...lock, 'isPidAlive', 'sleepSync']);
const locked = `const lock = acquireJournalLock(lockPath);
    try {
        return fn();
    }
    finally {
        releaseJournalLock(lockPath, lock);
    }`;
const opening = (parameters, name) => `withJournalLock(rootDir, ${parameters} => {
        const journalPath = path.join(rootDir, '.codegraph', JOURNAL_FILENAME);
        const tmpPath = \`\${journalPath}.${name}\`;`;
const prefix = (end) => `const prefix = \`\${JOURNAL_FILENAME}${end}.\`;`;
fixed = replaced(fixed, 1, locked, 'return runUnderLock(lockPath, fn);');
fixed = replaced(fixed, 2, opening('()', 'tmp'), opening('(isHeld)', '${process.pid}.tmp'));
fixed = replaced(fixed, 2, 'fs.renameSync(tmpPath, journalPath)', 'if (isHeld()) fs.renameSync(tmpPath, journalPath)');
fixed = replaced(fixed, 1, 'fs.writeFileSync(journalPath', 'fs.appendFileSync(journalPath');
fixed = replaced(fixed, 1, prefix('${LOCK_SUFFIX}'), prefix(''));
fixed = `import { acquireJournalLock, releaseJournalLock, runUnderLock } from './journal-lock.js';\n${fixed}`;
write(out, 'shipped', shipped + EXPORT);
write(out, 'fixed', fixed + EXPORT);
write(out, 'adopted', adopting());
writeFileSync(join(out, 'adopted/domain/graph/journal-own.js'), fixed);
