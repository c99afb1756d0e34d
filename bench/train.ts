/**
 * Cost of durable training: an epoch of the trainer with 1 and 2 ranks compared with a bare PyTorch loop over the same model
 * and batches, the checkpoint's share of the epoch, and the time that a killed rank loses. `npm run bench -- train`
 */
import { join } from 'node:path';
import { execa } from 'execa';
import { z } from 'zod';
import { percent } from '../contracts/number-format.ts';
import { config, state } from './measure/platform.ts';
import { inSeconds, newTable, round } from './measure/table.ts';

/** Stores, departments and weeks of generated sales. */
const SIZE = [45, 14, 104];

const loopsSchema = z.object({
  device: z.enum(['cpu', 'cuda']),
  /** Seconds of an epoch of the trainer, checkpoint included. */
  epochSeconds: z.number(),
  checkpointSeconds: z.number(),
  bareSeconds: z.number(),
  /** Share of the epoch in which the GPU computes or copies; absent without one. */
  gpuShare: z.number().optional(),
  /** Seconds of the bare loop with matrix products in bfloat16; absent without a GPU. */
  bfloat16Seconds: z.number().optional(),
});
type Loops = z.infer<typeof loopsSchema>;
const measuredSchema = z.object({
  /** Number of training samples; an epoch takes 65,536 of them. */
  samples: z.number(),
  rowsPerSecond: z.number(),
  ranks: z.object({ 1: loopsSchema, 2: loopsSchema }),
  /** Loops of one rank with a GPU, with minibatches of 8,192 samples instead of 1,024. */
  largeBatches: loopsSchema.nullable(),
  resumeLostSeconds: z.number(),
});

const { samples, rowsPerSecond, ranks, largeBatches, resumeLostSeconds } = await measure();
const columns = ['', 'on', 'epoch', 'bare loop', 'times as long', 'checkpoint', 'of an epoch'];
const table = newTable(...columns, ...(largeBatches === null ? [] : ['GPU busy', 'bare, in bfloat16']));
table.push(row('1 rank', ranks[1]), row('2 ranks', ranks[2]));
if (largeBatches !== null) {
  table.push(row('1 rank, large batches', largeBatches));
}
process.stdout.write(
  [
    `${samples} samples to train on, each rank with one thread`,
    table.toString(),
    `${rowsPerSecond} rows of training data read per second by one rank`,
    `${inSeconds(resumeLostSeconds, 1)} lost when a rank is killed in the middle of an epoch and restarted at once`,
    '',
  ].join('\n'),
);
const line = {
  bench: 'train',
  epochVsBareLoop1: round(ranks[1].epochSeconds / ranks[1].bareSeconds, 3),
  epochVsBareLoop2: round(ranks[2].epochSeconds / ranks[2].bareSeconds, 3),
  checkpointShare: round(Math.max(checkpointShare(ranks[1]), checkpointShare(ranks[2])), 3),
  resumeLostSeconds: round(resumeLostSeconds, 3),
  ...(ranks[1].gpuShare === undefined ? {} : { gpuShare: round(ranks[1].gpuShare, 3) }),
};
process.stdout.write(`${JSON.stringify(line)}\n`);

function row(name: string, loops: Loops): string[] {
  const { device, epochSeconds, checkpointSeconds, bareSeconds, gpuShare, bfloat16Seconds } = loops;
  return [
    name,
    device === 'cuda' ? 'GPU' : 'CPU',
    inSeconds(epochSeconds),
    inSeconds(bareSeconds),
    (epochSeconds / bareSeconds).toFixed(2),
    `${(checkpointSeconds * 1_000).toFixed(0)} ms`,
    percent(checkpointShare(loops)),
    ...(gpuShare === undefined ? [] : [percent(gpuShare)]),
    ...(bfloat16Seconds === undefined ? [] : [inSeconds(bfloat16Seconds)]),
  ];
}

function checkpointShare({ checkpointSeconds, epochSeconds }: Loops): number {
  return checkpointSeconds / epochSeconds;
}

async function measure(): Promise<z.infer<typeof measuredSchema>> {
  const { stdout } = await execa(
    join(state.venvDir, 'bin', 'python'),
    [join(config.projectDir, 'bench', 'measure', 'train.py'), ...SIZE.map(String)],
    { stdin: 'ignore', stderr: 'inherit' },
  );
  return measuredSchema.parse(JSON.parse(stdout.slice(stdout.lastIndexOf('\n') + 1)));
}
