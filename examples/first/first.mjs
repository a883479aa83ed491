import { Lock } from 'jlock';

const lock = await Lock.open('.codegraph');
await lock.appendStamped([{ file: 'src/main.js' }], Date.now());
console.log((await lock.read()).changed);
await lock.hold(async () => console.log('no other program writes now'));
await lock.close();
