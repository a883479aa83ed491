// pair.mjs FILE: proper-lockfile's synchronous lock and unlock, which are its faster ones.

import lockfile from 'proper-lockfile';
import { meter } from './meter.mjs';

const [file] = process.argv.slice(2);
await meter(() => lockfile.lockSync(file, { realpath: false })());
