// Bundles the programs before their first start, for images with folders that their user cannot write.
import { dirname } from 'node:path';
import { ensureBuild } from './build.mjs';

await ensureBuild(dirname(import.meta.dirname));
