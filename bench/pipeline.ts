/**
 * What orchestration costs: a pipeline run of the generator's 65,520 rows, beside the same stages' commands run one
 * after the other by hand on the same services. `npm run bench -- pipeline`
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';
import Table from 'cli-table3';
import { execa } from 'execa';
import type { Stage } from '../contracts/stages.ts';
import { STAGES } from '../contracts/stages.ts';
import { feastProject } from '../contracts/names.ts';
import type { PipelineResult } from '../contracts/pipeline.ts';
import { RayJobs } from '../infra/local/ray-jobs.ts';
import { localEnvironment } from '../infra/local/services.ts';
import { readPorts } from '../infra/local/state.ts';
import { watchMemory } from './measure/memory.ts';
import { config, onFreshPlatform, runPipeline, secondsOf, state } from './measure/platform.ts';

await onFreshPlatform(async (servicesSeconds) => {
  const memory = watchMemory(state);
  const { result, seconds: totalSeconds } = await runPipeline();
  const bare = await runByHand('commands', result, asCommand);
  const rayJobs = await runByHand('ray_jobs', result, asRayJob);
  const peakMemoryMiB = memory.stop();
  print(result, { bare, rayJobs }, { servicesSeconds, totalSeconds, peakMemoryMiB });
});

type Launch = (stage: Stage, args: string[], processes: number | undefined, folder: string) => Promise<void>;

/** The jobs' commands with the run's own specs, on a data set of their own. */
async function runByHand(
  name: string,
  { train }: PipelineResult,
  launch: Launch,
): Promise<Partial<Record<Stage, number>>> {
  const runFolder = fileURLToPath(new URL('..', train.modelUri));
  const seconds: Partial<Record<Stage, number>> = {};
  let results: Record<string, unknown> = {};
  for (const stage of ['ingest', 'features', 'train', 'evaluate'] as const) {
    const folder = join(state.artifactsDir, name, stage);
    mkdirSync(folder, { recursive: true });
    const spec = readJson(join(runFolder, stage, 'spec.json'));
    writeFileSync(join(folder, 'spec.json'), JSON.stringify(ownSpec(name, spec, results)));
    const processes = stage === 'train' ? Number(spec['processes']) : undefined;
    seconds[stage] = await secondsOf(() =>
      launch(stage, ['--dir', pathToFileURL(folder).href], processes, folder),
    );
    results = { ...results, ...readJson(join(folder, 'result.json')) };
  }
  return seconds;
}

/** As a person types it. */
async function asCommand(stage: Stage, args: string[], processes: number | undefined): Promise<void> {
  const launcher =
    processes === undefined
      ? []
      : ['-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', String(processes)];
  await execa(join(state.venvDir, 'bin', 'python'), [...launcher, '-m', `shelfcast.${stage}`, ...args], {
    env: {
      ...localEnvironment(config),
      RAY_ADDRESS: `127.0.0.1:${readPorts(state).ray}`,
      RAY_AUTH_MODE: 'token',
      RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER: '0',
      OMP_NUM_THREADS: '1',
      OPENBLAS_NUM_THREADS: '1',
      MKL_NUM_THREADS: '1',
    },
    stdin: 'ignore',
  });
}

/** Through Ray's Jobs API, looking for the result without a pause. */
async function asRayJob(
  stage: Stage,
  args: string[],
  trainingProcesses: number | undefined,
  folder: string,
): Promise<void> {
  const { RAY_ADDRESS: address = '', RAY_AUTH_TOKEN: token } = localEnvironment(config);
  const jobs = new RayJobs({ address, token, python: join(state.venvDir, 'bin', 'python') });
  const job = { name: `by-hand-${stage}`, module: `shelfcast.${stage}`, args };
  const signal = AbortSignal.timeout(600_000);
  await jobs.ensure(trainingProcesses === undefined ? job : { ...job, trainingProcesses }, signal);
  while (!existsSync(join(folder, 'result.json'))) {
    const { status } = await jobs.observe(job.name, signal);
    if (status === 'failed') throw new Error(await jobs.logs(job.name));
    await sleep(20);
  }
}

function readJson(path: string): Record<string, unknown> {
  return JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
}

/** The spec with what the stages before gave by hand, so that nothing is found done. */
function ownSpec(
  name: string,
  spec: Record<string, unknown>,
  results: Record<string, unknown>,
): Record<string, unknown> {
  const replaced = Object.keys(spec).filter((key) => Object.hasOwn(results, key));
  return {
    ...spec,
    ...Object.fromEntries(replaced.map((key) => [key, results[key]])),
    ...('dataset' in spec ? { dataset: name, requestId: name } : {}),
    ...('feastProject' in spec ? { feastProject: feastProject(name) } : {}),
    ...('candidateUri' in spec ? { candidateUri: results['modelUri'] } : {}),
  };
}

function print(
  result: PipelineResult,
  { bare, rayJobs }: Record<'bare' | 'rayJobs', Partial<Record<Stage, number>>>,
  measured: { servicesSeconds: number; totalSeconds: number; peakMemoryMiB: number },
): void {
  const { servicesSeconds, totalSeconds, peakMemoryMiB } = measured;
  const bareSeconds = sum(bare);
  const overheadRatio = (totalSeconds - bareSeconds) / totalSeconds;
  const table = new Table({
    head: ['', 'in the run', 'as Ray jobs, by hand', 'as commands, by hand'],
    style: { head: [], border: [], compact: true },
  });
  for (const stage of STAGES) {
    table.push([stage, ...[result.stageSeconds, rayJobs, bare].map((column) => seconds(column[stage]))]);
  }
  table.push(['all', ...[totalSeconds, sum(rayJobs), bareSeconds].map(seconds)]);
  process.stdout.write(
    `${result.ingest.snapshot.rowCount} rows, ${result.verdict}; services start in ${seconds(servicesSeconds)}\n${table.toString()}\n` +
      `${percent(overheadRatio)} of the run is not the stages' commands, ` +
      `${percent((totalSeconds - sum(rayJobs)) / totalSeconds)} not their Ray jobs; ` +
      `all processes together take at most ${peakMemoryMiB} MiB\n`,
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

function sum(column: Partial<Record<Stage, number>>): number {
  return Object.values(column).reduce((total, value) => total + value, 0);
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}

function seconds(value: number | undefined): string {
  return value === undefined ? '' : `${value.toFixed(1)} s`;
}

function round(value: number): number {
  return Number(value.toFixed(3));
}
