// `npm start` and `npm stop`: the commands of that name of the command line, in a clone that may be fresh.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { installNodeModules } from './installation.mjs';
import { PROJECT, run } from './programs.mjs';

const args = process.argv.slice(2);
// Programs that run are loaded from node_modules: to stop them it must stay as it is, even when package-lock.json changed.
if (args[0] !== 'stop' || !existsSync(join(PROJECT, 'node_modules'))) await installNodeModules();
process.exitCode = await run(process.execPath, [join(PROJECT, 'cli/shelfcast.mjs'), ...args]);
