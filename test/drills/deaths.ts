/** One death for each service, and for a rank of the training, in the stage that needs it most. */
import { expect, vi } from 'vitest';
import type { PipelineResult } from '../../contracts/pipeline.ts';
import type { Lab } from './pipeline-lab.ts';
import type { Run } from './pipelines.ts';
import { MODEL } from './pipelines.ts';

export interface Death {
  /** Program or process that dies, and the stage. */
  name: string;
  /** Waits for its moment and kills. */
  kill: (lab: Lab, run: Run) => Promise<unknown>;
  /** Lowest epoch from which the training may go on, where the death ends its processes. */
  resumesFrom?: number;
  /** Check of the run's result: what the death must have left. */
  check?: (result: PipelineResult) => void;
}

/** In the order of the stages, so that all of them fit into one run. */
export const DEATHS: Death[] = [
  {
    name: 'PostgreSQL in features',
    async kill(lab, run) {
      await run.whenJobSays('features', () => true);
      await lab.platform.kill('postgres');
    },
  },
  {
    // The training belongs to Ray, not to the worker: it is not started again.
    name: 'the worker in train',
    async kill(lab, run) {
      await run.whenJobSays('train', ({ epoch }) => epoch !== undefined);
      await lab.platform.kill('worker');
    },
  },
  {
    name: 'a rank of the training',
    async kill(lab, run) {
      await run.whenJobSays('train', ({ epoch }) => (epoch?.epoch ?? 0) >= 2);
      const rank = lab.trainingRanks().find((one) => one.rank === '1');
      if (rank === undefined) throw new Error('no rank 1 is running');
      process.kill(rank.pid, 'SIGKILL');
    },
    resumesFrom: 2,
  },
  {
    name: 'the Ray head in train',
    async kill(lab, run) {
      await run.whenJobSays('train', ({ epoch }) => (epoch?.epoch ?? 0) >= 4);
      await lab.platform.kill('ray');
    },
    resumesFrom: 4,
  },
  {
    name: 'Temporal in evaluate',
    async kill(lab, run) {
      await run.whenStage('evaluate');
      await lab.platform.kill('temporal');
      await lab.platform.waitUntilUp();
    },
  },
  {
    name: "the candidate's predictor under canary",
    async kill(lab, run) {
      await run.whenStage('rollout');
      const program = `predictor-${MODEL}-${await versionOf(lab, run.key())}`;
      await run.whenSummary('rollout', /has 10 % of the traffic/);
      await lab.platform.kill(program);
    },
    check: ({ registered, rollout }) => {
      const steps = rollout?.steps ?? [];
      expect(steps.some((step) => (step.unreachable[registered.version] ?? 0) > 0)).toBe(true);
      expect(steps.length).toBeGreaterThan(3);
    },
  },
];

const versionOf = (lab: Lab, key: string): Promise<number> =>
  vi.waitFor(
    async () => {
      const [mlflowRun] = await lab.mlflowRuns(key);
      const [version] = await lab.versions(mlflowRun?.id ?? '');
      if (version === undefined) throw new Error(`no version of ${key} yet`);
      return version;
    },
    { timeout: 60_000 },
  );
