/**
 * What orchestration costs: a pipeline run of the generator's 65,520 rows, beside the same stages' commands run one
 * after the other by hand on the same services. `npm run bench -- pipeline`
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import Table from 'cli-table3';
import { execa } from 'execa';
import type { Stage } from '../contracts/stages.ts';
import { STAGES } from '../contracts/stages.ts';
import { feastProject, TASK_QUEUE } from '../contracts/names.ts';
import type { PipelineResult } from '../contracts/pipeline.ts';
import type { LocalConfig } from '../infra/local/services.ts';
import { down, localEnvironment, up } from '../infra/local/services.ts';
import type { LocalState } from '../infra/local/state.ts';
import { localState, readPorts } from '../infra/local/state.ts';
import { connect } from '../workers/client.ts';
import { watchMemory } from './measure/memory.ts';

const projectDir = fileURLToPath(new URL('..', import.meta.url));
const config: LocalConfig = { projectDir, stateDir: join(projectDir, '.shelfcast', 'bench'), addresses: {} };
const state = localState(projectDir, config.stateDir);

await down(config);
rmSync(state.dir, { recursive: true, force: true });
try {
  const memory = watchMemory(state);
  const servicesSeconds = await secondsOf(async () => {
    await up(config, () => undefined);
  });
  const { result, seconds: totalSeconds } = await runPipeline();
  const bare = await runByHand(state, result);
  const peakMemoryMiB = memory.stop();
  print(result, bare, { servicesSeconds, totalSeconds, peakMemoryMiB });
} finally {
  await down(config);
}

async function runPipeline(): Promise<{ result: PipelineResult; seconds: number }> {
  const environment = localEnvironment(config);
  const shelfcast = await connect({
    address: environment['TEMPORAL_ADDRESS'] ?? '',
    namespace: 'default',
    taskQueue: TASK_QUEUE,
  });
  try {
    const begin = performance.now();
    const run = await shelfcast.startPipeline();
    return { result: await run.result(), seconds: (performance.now() - begin) / 1_000 };
  } finally {
    await shelfcast.close();
  }
}

/** The jobs' commands with the run's own specs, on a data set of their own. */
async function runByHand(
  { artifactsDir, venvDir }: LocalState,
  { train }: PipelineResult,
): Promise<Partial<Record<Stage, number>>> {
  const runFolder = fileURLToPath(new URL('..', train.modelUri));
  const bareFolder = join(artifactsDir, 'bare');
  const environment = {
    ...localEnvironment(config),
    RAY_ADDRESS: `127.0.0.1:${readPorts(state).ray}`,
    RAY_AUTH_MODE: 'token',
    RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER: '0',
  };
  const python = join(venvDir, 'bin', 'python');
  const seconds: Partial<Record<Stage, number>> = {};
  let results: Record<string, unknown> = {};
  for (const stage of ['ingest', 'features', 'train', 'evaluate'] as const) {
    const folder = join(bareFolder, stage);
    mkdirSync(folder, { recursive: true });
    const spec = JSON.parse(readFileSync(join(runFolder, stage, 'spec.json'), 'utf8')) as Record<
      string,
      unknown
    >;
    writeFileSync(join(folder, 'spec.json'), JSON.stringify(bareSpec(spec, results)));
    const launcher =
      stage === 'train'
        ? ['-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', String(spec['processes'])]
        : [];
    seconds[stage] = await secondsOf(async () => {
      await execa(python, [...launcher, '-m', `shelfcast.${stage}`, '--dir', pathToFileURL(folder).href], {
        env: { ...environment, OMP_NUM_THREADS: '1', OPENBLAS_NUM_THREADS: '1', MKL_NUM_THREADS: '1' },
        stdin: 'ignore',
      });
    });
    const result = JSON.parse(readFileSync(join(folder, 'result.json'), 'utf8')) as Record<string, unknown>;
    results = { ...results, ...result };
  }
  return seconds;
}

/** The spec with what the stages before gave by hand, so that nothing is found done. */
function bareSpec(spec: Record<string, unknown>, results: Record<string, unknown>): Record<string, unknown> {
  const replaced = Object.keys(spec).filter((key) => Object.hasOwn(results, key));
  return {
    ...spec,
    ...Object.fromEntries(replaced.map((key) => [key, results[key]])),
    ...('dataset' in spec ? { dataset: 'bare', requestId: 'bare' } : {}),
    ...('feastProject' in spec ? { feastProject: feastProject('bare') } : {}),
    ...('candidateUri' in spec ? { candidateUri: results['modelUri'] } : {}),
  };
}

async function secondsOf(work: () => Promise<void>): Promise<number> {
  const begin = performance.now();
  await work();
  return (performance.now() - begin) / 1_000;
}

function print(
  result: PipelineResult,
  bare: Partial<Record<Stage, number>>,
  measured: { servicesSeconds: number; totalSeconds: number; peakMemoryMiB: number },
): void {
  const { servicesSeconds, totalSeconds, peakMemoryMiB } = measured;
  const bareSeconds = Object.values(bare).reduce((sum, value) => sum + value, 0);
  const overheadRatio = (totalSeconds - bareSeconds) / totalSeconds;
  const table = new Table({ head: ['', 'in the run', 'by hand'], style: { head: [], border: [] } });
  for (const stage of STAGES) {
    table.push([stage, seconds(result.stageSeconds[stage]), seconds(bare[stage])]);
  }
  table.push(['all', seconds(totalSeconds), seconds(bareSeconds)]);
  process.stdout.write(
    `${result.ingest.snapshot.rowCount} rows, ${result.verdict}; services start in ${seconds(servicesSeconds)}\n${table.toString()}\n` +
      `overhead ${(overheadRatio * 100).toFixed(1)} % of the run; all processes together at most ${peakMemoryMiB} MiB\n`,
  );
  const line = {
    bench: 'pipeline',
    totalSeconds: round(totalSeconds),
    bareSeconds: round(bareSeconds),
    overheadRatio: round(overheadRatio),
    peakMemoryMiB,
  };
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

const seconds = (value: number | undefined): string => (value === undefined ? '' : `${value.toFixed(1)} s`);
const round = (value: number): number => Number(value.toFixed(3));
