// `node scripts/run.mjs PROGRAM [ARGUMENTS]`: runs a program of the project, such as workers/main.ts, from its bundle.
import { dirname } from 'node:path';
import { pathToFileURL } from 'node:url';
import { bundleOf } from './build.mjs';

const [program] = process.argv.splice(2, 1);
if (program === undefined) throw new Error('usage: node scripts/run.mjs PROGRAM [ARGUMENTS]');
process.setSourceMapsEnabled(true);
await import(pathToFileURL(await bundleOf(dirname(import.meta.dirname), program)).href);
