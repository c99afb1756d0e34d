// `npm run bench -- NAME [ARGUMENTS]`: runs a benchmark of bench/.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { installTools } from './installation.mjs';
import { fail, PROJECT, runTypescript } from './programs.mjs';

const [name, ...args] = process.argv.slice(2);
const names = readdirSync(join(PROJECT, 'bench'))
  .filter((file) => file.endsWith('.ts'))
  .map((file) => file.slice(0, -'.ts'.length));
if (!names.includes(name)) fail(`usage: npm run bench -- NAME, where NAME is one of: ${names.join(', ')}`);
await installTools('python', 'temporal');
process.exitCode = await runTypescript(`bench/${name}.ts`, args);
