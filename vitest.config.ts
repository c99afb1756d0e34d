import { defineConfig } from 'vitest/config';

/** Files that run whole pipelines on all services and kill what can die. */
const DRILLS = 'test/drills/**/*.test.ts';
/** Other files that start processes or services; test/no-processes.ts fails any file beyond both lists that does. */
const SERVICES = [
  'test/activities/records.test.ts',
  'test/client/**',
  'test/config/**',
  'test/contract/**',
  'test/contracts/**',
  'test/docs/**',
  'test/infra/{http,images,migrations,mlflow,postgres,services,state,supervisor,toolchain}.test.ts',
  'test/infra/kubernetes/{config,doctor,job-manifests}.test.ts',
  'test/infra/manifests/**',
  'test/predictor/**',
  'test/replay/**',
  'test/scripts/{build,cli,lint}.test.ts',
  'test/workers/search-attributes.test.ts',
  'test/workflows/**',
];
/** Files that need a Kubernetes: `npm run test:cluster`. */
const CLUSTER = 'test/cluster/**';

export default defineConfig({
  test: {
    testTimeout: 60_000,
    hookTimeout: 180_000,
    projects: [
      {
        extends: true,
        test: {
          name: 'pure',
          include: ['test/**/*.test.ts'],
          exclude: [CLUSTER, DRILLS, ...SERVICES],
          setupFiles: ['test/no-processes.ts'],
          // Importing the packages anew for each file would take most of the time.
          pool: 'threads',
          isolate: false,
        },
      },
      {
        extends: true,
        test: {
          name: 'services',
          include: SERVICES.map((files) => (files.endsWith('**') ? `${files}/*.test.ts` : files)),
          // Side by side they would time each other out.
          fileParallelism: false,
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          name: 'drills',
          include: [DRILLS],
          fileParallelism: false,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
