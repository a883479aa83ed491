// pair.mjs FILE: proper-lockfile's synchronous lock and unlock, which are its fastest.

import lockfile from 'proper-lockfile';
import { meter } from './meter.mjs';

const [file] = process.argv.slice(2);
await meter(() => lockfile.lockSync(file, { realpath: false })());
