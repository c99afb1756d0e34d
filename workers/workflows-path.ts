import { fileURLToPath } from 'node:url';

/** The module whose exports are the workflows. */
export const WORKFLOWS_PATH = fileURLToPath(new URL('../workflows/index.ts', import.meta.url));
