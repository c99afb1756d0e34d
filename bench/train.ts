/**
 * What durable training costs: an epoch of our trainer with 1 and 2 ranks beside a bare PyTorch loop over the same model and
 * batches, the checkpoint's share of it, and what a killed rank loses. `npm run bench -- train`
 */
import { join } from 'node:path';
import Table from 'cli-table3';
import { execa } from 'execa';
import { z } from 'zod';
import { config, state } from './measure/platform.ts';

/** Stores, departments and weeks of generated sales. */
const SIZE = [45, 14, 104];

const loopsSchema = z.object({
  /** Of our trainer, checkpoint included. */
  epochSeconds: z.number(),
  checkpointSeconds: z.number(),
  bareSeconds: z.number(),
});
const measuredSchema = z.object({
  /** Of the training; an epoch takes 65,536 of them. */
  samples: z.number(),
  rowsPerSecond: z.number(),
  ranks: z.object({ 1: loopsSchema, 2: loopsSchema }),
  resumeLostSeconds: z.number(),
});

const { samples, rowsPerSecond, ranks, resumeLostSeconds } = await measure();
const table = new Table({
  head: ['', 'epoch', 'bare loop', 'times as long', 'checkpoint', 'of an epoch'],
  style: { head: [], border: [], compact: true },
});
for (const number of [1, 2] as const) {
  const { epochSeconds, checkpointSeconds, bareSeconds } = ranks[number];
  table.push([
    number === 1 ? '1 rank' : '2 ranks',
    `${epochSeconds.toFixed(2)} s`,
    `${bareSeconds.toFixed(2)} s`,
    (epochSeconds / bareSeconds).toFixed(2),
    `${(checkpointSeconds * 1_000).toFixed(0)} ms`,
    `${(checkpointShare(number) * 100).toFixed(1)} %`,
  ]);
}
process.stdout.write(
  [
    `${samples} samples to train on, each rank with one thread`,
    table.toString(),
    `${rowsPerSecond} rows of training data read per second by one rank`,
    `${resumeLostSeconds.toFixed(1)} s lost by a rank killed in the middle of an epoch, started again at once`,
    '',
  ].join('\n'),
);
const line = {
  bench: 'train',
  epochVsBareLoop1: round(ranks[1].epochSeconds / ranks[1].bareSeconds),
  epochVsBareLoop2: round(ranks[2].epochSeconds / ranks[2].bareSeconds),
  checkpointShare: round(Math.max(checkpointShare(1), checkpointShare(2))),
  resumeLostSeconds: round(resumeLostSeconds),
};
process.stdout.write(`${JSON.stringify(line)}\n`);

function checkpointShare(number: 1 | 2): number {
  return ranks[number].checkpointSeconds / ranks[number].epochSeconds;
}

async function measure(): Promise<z.infer<typeof measuredSchema>> {
  const { stdout } = await execa(
    join(state.venvDir, 'bin', 'python'),
    [join(config.projectDir, 'bench', 'measure', 'train.py'), ...SIZE.map(String)],
    { stdin: 'ignore', stderr: 'inherit' },
  );
  return measuredSchema.parse(JSON.parse(stdout.slice(stdout.lastIndexOf('\n') + 1)));
}

function round(value: number): number {
  return Number(value.toFixed(3));
}
