/**
 * The least that proves the adapters on the real operators: `npm run test:cluster -- --smoke` runs the tests with the tag `smoke` in
 * these files. The whole run among them starts jobs in each of the three ways. Other files are not loaded, because some build images
 * when they load.
 */
import { defineConfig } from 'vitest/config';
import cluster from './vitest.config.ts';

export default defineConfig({
  test: {
    ...cluster.test,
    include: ['test/cluster/contract/serving-kubernetes.test.ts', 'test/cluster/pipeline/pipeline.test.ts'],
  },
});
