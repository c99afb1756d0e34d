// `npm start` and `npm stop`: the commands of that name of the command line, in a clone that may be fresh.
import { join } from 'node:path';
import { installNodeModules } from './installation.mjs';
import { PROJECT, run } from './programs.mjs';

await installNodeModules();
process.exitCode = await run(process.execPath, [
  join(PROJECT, 'cli/shelfcast.mjs'),
  ...process.argv.slice(2),
]);
