// hold.mjs FILE: takes the file's lock with proper-lockfile, says `held` or `busy`, and releases it at the end of its input.

import lockfile from 'proper-lockfile';

try {
  const release = await lockfile.lock(process.argv[2], { realpath: false });
  console.log('held');
  process.stdin.resume().on('end', async () => {
    await release().catch(() => {});
    process.exit();
  });
} catch (error) {
  if (error.code !== 'ELOCKED') throw error;
  console.log('busy');
}
