/**
 * Cost of orchestration: a pipeline run of the generator's 65,520 rows, compared with the commands of its stages run by
 * hand on the same services. `npm run bench -- pipeline`
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { execa } from 'execa';
import type { Stage } from '../contracts/stages.ts';
import { STAGES } from '../contracts/stages.ts';
import { percent } from '../contracts/number-format.ts';
import { feastProject } from '../contracts/names.ts';
import type { PipelineResult } from '../contracts/pipeline.ts';
import { pythonCommand } from '../infra/job-command.ts';
import { watchMemory } from './measure/memory.ts';
import { onFreshPlatform, rayEnvironment, runPipeline, secondsOf, state } from './measure/platform.ts';
import { inSeconds, newTable, round } from './measure/table.ts';

/** Data set and folder of the commands that are run by hand. */
const BY_HAND = 'by_hand';

await onFreshPlatform(async (servicesSeconds) => {
  const memory = watchMemory(state);
  const { result, seconds: totalSeconds } = await runPipeline();
  const bare = await runByHand(result);
  const peakMemoryMiB = memory.stop();
  print(result, bare, { servicesSeconds, totalSeconds, peakMemoryMiB });
});

/** Runs the jobs' commands one by one, with the run's specs and a separate data set; returns the seconds of each. */
async function runByHand({ train }: PipelineResult): Promise<Partial<Record<Stage, number>>> {
  const runFolder = fileURLToPath(new URL('..', train.modelUri));
  const seconds: Partial<Record<Stage, number>> = {};
  let results: Record<string, unknown> = {};
  for (const stage of ['ingest', 'features', 'train', 'evaluate'] as const) {
    const folder = join(state.artifactsDir, BY_HAND, stage);
    mkdirSync(folder, { recursive: true });
    const spec = readJson(join(runFolder, stage, 'spec.json'));
    writeFileSync(join(folder, 'spec.json'), JSON.stringify(ownSpec(spec, results)));
    const processes = stage === 'train' ? Number(spec['processes']) : undefined;
    seconds[stage] = await secondsOf(() => command(stage, ['--dir', pathToFileURL(folder).href], processes));
    results = { ...results, ...readJson(join(folder, 'result.json')) };
  }
  return seconds;
}

/** Runs a stage's command as a person would type it. */
async function command(stage: Stage, args: string[], trainingProcesses: number | undefined): Promise<void> {
  const [program = '', ...programArgs] = pythonCommand(join(state.venvDir, 'bin', 'python'), {
    name: BY_HAND,
    module: `shelfcast.${stage}`,
    args,
    ...(trainingProcesses === undefined ? {} : { trainingProcesses }),
  });
  await execa(program, programArgs, {
    env: {
      ...rayEnvironment(),
      OMP_NUM_THREADS: '1',
      OPENBLAS_NUM_THREADS: '1',
      MKL_NUM_THREADS: '1',
    },
    stdin: 'ignore',
  });
}

function readJson(path: string): Record<string, unknown> {
  return JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
}

/** Returns the spec with the results of the earlier commands, so that no stage finds its work done. */
function ownSpec(spec: Record<string, unknown>, results: Record<string, unknown>): Record<string, unknown> {
  const replaced = Object.keys(spec).filter((key) => Object.hasOwn(results, key));
  return {
    ...spec,
    ...Object.fromEntries(replaced.map((key) => [key, results[key]])),
    ...('dataset' in spec ? { dataset: BY_HAND, requestId: BY_HAND } : {}),
    ...('feastProject' in spec ? { feastProject: feastProject(BY_HAND) } : {}),
    ...('candidateUri' in spec ? { candidateUri: results['modelUri'] } : {}),
  };
}

function print(
  result: PipelineResult,
  bare: Partial<Record<Stage, number>>,
  measured: { servicesSeconds: number; totalSeconds: number; peakMemoryMiB: number },
): void {
  const { servicesSeconds, totalSeconds, peakMemoryMiB } = measured;
  const bareSeconds = Object.values(bare).reduce((total, value) => total + value, 0);
  const overheadRatio = (totalSeconds - bareSeconds) / totalSeconds;
  const table = newTable('', 'in the run', 'by hand');
  for (const stage of STAGES) {
    table.push([stage, inSeconds(result.stageSeconds[stage], 1), inSeconds(bare[stage], 1)]);
  }
  table.push(['all', inSeconds(totalSeconds, 1), inSeconds(bareSeconds, 1)]);
  process.stdout.write(
    `${result.ingest.snapshot.rowCount} rows, ${result.verdict}; services start in ${inSeconds(servicesSeconds, 1)}\n${table.toString()}\n` +
      `${percent(overheadRatio)} of the run is spent outside the stages' commands; ` +
      `all processes together take at most ${peakMemoryMiB} MiB\n`,
  );
  const line = {
    bench: 'pipeline',
    totalSeconds: round(totalSeconds, 3),
    bareSeconds: round(bareSeconds, 3),
    overheadRatio: round(overheadRatio, 3),
    peakMemoryMiB,
  };
  process.stdout.write(`${JSON.stringify(line)}\n`);
}
