import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    root: fileURLToPath(new URL('../..', import.meta.url)),
    include: ['test/cluster/**/*.test.ts'],
    tags: [{ name: 'smoke', description: 'belongs to `npm run test:cluster -- --smoke`' }],
    // They share two cores and one gateway.
    fileParallelism: false,
    // A pod takes seconds to start, a Ray cluster half a minute.
    testTimeout: 300_000,
    hookTimeout: 300_000,
  },
});
