import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // They need a Kubernetes: `npm run test:cluster`.
    exclude: ['test/cluster/**'],
    // Most files start services of their own, and some kill them: side by side they would time each other out.
    fileParallelism: false,
    testTimeout: 60_000,
    hookTimeout: 180_000,
  },
});
