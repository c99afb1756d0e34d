/** Lines and bar that a person sees while a run goes on. */
import { setTimeout as sleep } from 'node:timers/promises';
import { PassThrough } from 'node:stream';
import { ServiceError } from '@temporalio/client';
import { describe, expect, test } from 'vitest';
import type { PipelineProgress } from '../../contracts/progress.ts';
import { STAGES } from '../../contracts/stages.ts';
import type { PendingWork, RunHandle } from '../../client/client.ts';
import { follow } from '../../cli/follow.ts';
import { createProgressPrinter } from '../../cli/output.ts';

const training = (fraction: number | null, progress: string | null, lastFailure: string | null = null) => ({
  activity: 'train',
  attempt: 1,
  progress,
  fraction,
  lastFailure,
});

/** A stream that keeps what the person in front of it sees, and the lines below which it was drawn. */
function screen(isTTY: boolean, columns = 200) {
  let text = '';
  const drawn: string[] = [];
  const stream = new PassThrough();
  stream.on('data', (chunk: Buffer) => {
    for (const part of chunk.toString().split(/(\u001B\[1G|\u001B\[2K)/)) {
      // The cursor goes to the start of its line; then the line is cleared.
      if (part === '\u001B[2K') text = text.slice(0, text.lastIndexOf('\n') + 1);
      else if (part !== '\u001B[1G') text += part;
    }
    const last = text.slice(text.lastIndexOf('\n') + 1);
    if (last !== '' && drawn.at(-1) !== last) drawn.push(last);
  });
  return {
    stream: Object.assign(stream, { isTTY, columns }) as unknown as NodeJS.WriteStream,
    drawn,
    lines: () => text.split('\n').map((line) => line.replace(/^ +[\d.]+ s {2}/, '')),
  };
}

/** A run; each poll shows the next piece of work. */
function runOf(looks: PendingWork[][], waitingFor: PipelineProgress['waitingFor'] = null): RunHandle<string> {
  let look = -1;
  let end: (value: string) => void = () => undefined;
  const ended = new Promise<string>((resolve) => (end = resolve));
  const idle = { startedAt: null, endedAt: null, summary: null };
  return {
    result: () => ended,
    progress: () => {
      look += 1;
      if (look >= looks.length - 1) end('promoted');
      const stages = Object.fromEntries(STAGES.map((stage) => [stage, { status: 'waiting', ...idle }]));
      stages['train'] = { status: 'running', ...idle };
      return Promise.resolve({ stage: 'train', stages, waitingFor, verdict: null } as PipelineProgress);
    },
    pendingWork: () => Promise.resolve(looks[Math.min(look, looks.length - 1)] ?? []),
  } as unknown as RunHandle<string>;
}

const LOOKS = [
  [training(null, null)],
  [training(0.254, 'epoch 3 of at most 12')],
  [training(0.5, 'epoch 6 of at most 12', 'the worker went away')],
  [],
];

describe('while a run goes on', () => {
  test('a terminal has a bar below the lines until the end', async () => {
    const seen = screen(true);
    expect(await follow(runOf(LOOKS), createProgressPrinter(seen.stream), 'milk')).toBe('promoted');
    await sleep(0);
    expect(seen.drawn).toContain('train');
    expect(seen.drawn).toContain('train  [######------------------]  25 %  epoch 3 of at most 12');
    expect(seen.drawn).toContain('train  [############------------]  50 %  epoch 6 of at most 12');
    expect(seen.lines()).toEqual(['train running', '  train, attempt 1: the worker went away', '']);
  });

  test('a bar is cut to the width of the terminal, because a wrapped line cannot be removed', async () => {
    const seen = screen(true, 20);
    await follow(runOf(LOOKS), createProgressPrinter(seen.stream), 'milk');
    await sleep(0);
    expect(seen.drawn).toContain('train  [######-----');
    expect(Math.max(...seen.drawn.filter((line) => line.includes('[')).map((line) => line.length))).toBe(19);
  });

  test('a terminal of unknown width counts as 80 columns', async () => {
    const seen = screen(true, 0);
    await follow(runOf([[training(0.5, 'x'.repeat(200))], []]), createProgressPrinter(seen.stream), 'milk');
    await sleep(0);
    expect(Math.max(...seen.drawn.map((line) => line.length))).toBe(79);
  });

  test('without a terminal each event is a line, printed once', async () => {
    const seen = screen(false);
    await follow(
      runOf([...LOOKS.slice(0, 2), ...LOOKS.slice(1)]),
      createProgressPrinter(seen.stream),
      'milk',
    );
    await sleep(0);
    expect(seen.lines()).toEqual([
      'train running',
      '  epoch 3 of at most 12',
      '  epoch 6 of at most 12',
      '  train, attempt 1: the worker went away',
      '',
    ]);
  });

  test('a run that waits for approval shows the commands once', async () => {
    const seen = screen(false);
    await follow(runOf([[], []], 'approval'), createProgressPrinter(seen.stream), 'milk');
    await sleep(0);
    expect(seen.lines()).toEqual([
      'train running',
      '  waiting for approval: `npx shelfcast approve --model milk`, or `npx shelfcast abort --model milk --reason "..."`',
      '',
    ]);
  });

  test('an unanswered poll is repeated', async () => {
    const seen = screen(false);
    const run = runOf(LOOKS);
    const { progress } = run;
    run.progress = () => {
      run.progress = progress;
      return Promise.reject(new ServiceError('Failed to query Workflow'));
    };
    expect(await follow(run, createProgressPrinter(seen.stream), 'milk')).toBe('promoted');
  });

  test('an unanswered wait for the result is repeated', async () => {
    const seen = screen(false);
    const run = runOf(LOOKS);
    const { result } = run;
    run.result = () => {
      run.result = result;
      return Promise.reject(new ServiceError('Failed to get Workflow execution history'));
    };
    expect(await follow(run, createProgressPrinter(seen.stream), 'milk')).toBe('promoted');
    expect(seen.lines()).toContain('Temporal does not answer; waiting for it');
  });

  test('any other error of a poll ends the following', async () => {
    const run = runOf(LOOKS);
    run.progress = () => Promise.reject(new TypeError('a bug'));
    await expect(follow(run, createProgressPrinter(screen(false).stream), 'milk')).rejects.toThrow('a bug');
  });
});
