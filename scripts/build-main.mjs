// Bundles the programs ahead of their first start, for an image whose folders its user cannot write.
import { dirname } from 'node:path';
import { makeBundles } from './build.mjs';

await makeBundles(dirname(import.meta.dirname));
