// Runs `shelfcast start` and `shelfcast stop`; installs node_modules first in a fresh clone.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { installNodeModules } from './installation.mjs';
import { PROJECT, run } from './programs.mjs';

const args = process.argv.slice(2);
// `stop` keeps node_modules unchanged, because the running programs load from it.
if (args[0] !== 'stop' || !existsSync(join(PROJECT, 'node_modules'))) await installNodeModules();
process.exitCode = await run(process.execPath, [join(PROJECT, 'cli/shelfcast.mjs'), ...args]);
