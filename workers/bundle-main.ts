/** `bundle-main.ts FILE`: bundles the workflows into a file for SHELFCAST_WORKFLOW_BUNDLE; the build of an image runs it. */
import { writeFileSync } from 'node:fs';
import { PROJECT_DIR } from '../config/environment.ts';
import { bundleWorkflows } from './workflow-bundle.ts';

const [file] = process.argv.slice(2);
if (file === undefined) throw new Error('usage: bundle-main.ts FILE');
writeFileSync(file, await bundleWorkflows(PROJECT_DIR));
