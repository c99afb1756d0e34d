/** `bundle-main.ts FILE`: bundles the workflows into a file, for SHELFCAST_WORKFLOW_BUNDLE. An image that has it starts without a bundler. */
import { writeFileSync } from 'node:fs';
import { bundleWorkflowCode } from '@temporalio/worker';
import { WORKFLOWS_PATH } from './workflows-path.ts';

const [file] = process.argv.slice(2);
if (file === undefined) throw new Error('usage: bundle-main.ts FILE');
const { code } = await bundleWorkflowCode({ workflowsPath: WORKFLOWS_PATH });
writeFileSync(file, code);
