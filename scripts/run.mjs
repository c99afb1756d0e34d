// `node scripts/run.mjs PROGRAM [ARGUMENTS]`: runs the bundle of a program of the project, such as workers/main.ts.
import { dirname } from 'node:path';
import { pathToFileURL } from 'node:url';
import { bundlePath } from './build.mjs';

const [program] = process.argv.splice(2, 1);
if (program === undefined) throw new Error('usage: node scripts/run.mjs PROGRAM [ARGUMENTS]');
process.setSourceMapsEnabled(true);
await import(pathToFileURL(await bundlePath(dirname(import.meta.dirname), program)).href);
