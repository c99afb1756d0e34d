/** The commands in front of a client that only notes what it is asked. */
import { argumentsOf } from '../../cli/inspect.ts';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { runCommandLine } from '../../cli/program.ts';
import type { AnyHandle, Shelfcast } from '../../client/client.ts';
import type { PipelineInput, PipelineResult } from '../../contracts/pipeline.ts';
import type { PipelineProgress } from '../../contracts/progress.ts';
import { STAGES } from '../../contracts/stages.ts';
import { backtest, featured, load, model, version } from '../workflows/fake-activities.ts';

const PIPELINE_RESULT: PipelineResult = {
  modelName: 'sales-forecast',
  dataset: 'generated',
  verdict: 'promoted',
  reason: 'version 2 promoted; all steps passed',
  ingest: load,
  features: featured,
  train: model,
  evaluate: backtest,
  gate: {
    verdict: 'pass',
    checks: [{ name: 'slices', passed: true, reason: 'clearly within its margin in 40 of 42 comparisons' }],
    comparisons: [],
  },
  registered: version('sales-forecast', 2),
  rollout: null,
  monitor: null,
  stageSeconds: { ingest: 1 },
};

let home: string;
let output: string;
let asked: unknown[];
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'shelfcast-cli-'));
  vi.stubEnv('SHELFCAST_HOME', home);
  output = '';
  asked = [];
  const keep = (text: string | Uint8Array): boolean => {
    output += text.toString();
    return true;
  };
  vi.spyOn(process.stdout, 'write').mockImplementation(keep);
  vi.spyOn(process.stderr, 'write').mockImplementation(keep);
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  rmSync(home, { recursive: true });
});

function note<T>(answer: T) {
  return (...args: unknown[]): Promise<T> => {
    asked.push(...args.filter((arg) => arg !== undefined));
    return Promise.resolve(answer);
  };
}

function runWith(result: Promise<PipelineResult>): AnyHandle {
  const stages = Object.fromEntries(
    STAGES.map((stage) => [stage, { status: 'waiting', startedAt: null, endedAt: null, summary: null }]),
  );
  return {
    workflowId: 'pipeline:sales-forecast',
    result: () => result,
    progress: () =>
      Promise.resolve({ stage: null, stages, waitingFor: null, verdict: null } as PipelineProgress),
    pendingWork: () => Promise.resolve([]),
    approve: note('approved'),
    abort: note('aborting'),
    cancel: () => note(undefined)('cancel'),
  } as unknown as AnyHandle;
}

/** Runs a command in front of a client with this run; `current` is the run that it finds under way. */
function shelfcast(args: string[], run: AnyHandle, current: AnyHandle | null = run): Promise<number> {
  const schedule = { id: 'schedule:bread' };
  const client = {
    startPipeline: (input: PipelineInput) => {
      asked.push(input);
      return Promise.resolve(run);
    },
    currentRun: note(current),
    schedules: {
      show: note(schedule),
      trigger: note(undefined),
      pause: note(undefined),
      resume: note(undefined),
      delete: note(undefined),
    },
    close: note(undefined),
  } as unknown as Shelfcast;
  return runCommandLine(args, () => Promise.resolve(client));
}
const ended = (result: Partial<PipelineResult> = {}) =>
  runWith(Promise.resolve({ ...PIPELINE_RESULT, ...result }));

describe('a run that is followed', () => {
  test('ends with 0 and its report when the candidate was promoted', async () => {
    expect(await shelfcast(['run'], ended())).toBe(0);
    expect(output).toContain('sales-forecast: version 2 promoted; all steps passed\n');
    expect(output).toContain('seasonal naive forecast (last year)');
    expect(output).toContain('clearly within its margin in 40 of 42 comparisons');
  });

  test.each([
    ['a network', { parameterCount: 1_234 }, {}, 'the model has 1234 parameters'],
    ['a simple preset', { parameterCount: 0 }, {}, 'the model is a simple forecast'],
    [
      'a replacement',
      { parameterCount: 1_234 },
      { instead: 'simple' as const },
      'the model is a simple forecast',
    ],
  ])('tells what the model is: %s', async (_name, train, gate, sentence) => {
    const changed = { train: { ...model, ...train }, gate: { ...PIPELINE_RESULT.gate, ...gate } };
    await shelfcast(['run'], ended(changed));
    expect(output).toContain(sentence);
  });

  test('ends with 3 and the gate’s reason when the candidate was rejected', async () => {
    const reason = 'not better than the naive forecast (last week)';
    const gate = {
      verdict: 'fail' as const,
      checks: [
        { name: 'naive', passed: false, reason },
        { name: 'slices', passed: false, reason: 'worse in 3 slices' },
      ],
      comparisons: [],
    };
    expect(await shelfcast(['watch'], ended({ verdict: 'rejected', reason, gate }))).toBe(3);
    expect(output).toContain(`sales-forecast: ${reason}\n`);
    // The reason tells the gate's checks already.
    expect(output).not.toContain('worse in 3 slices');
  });

  test('ends with 3 when the candidate was rolled back', async () => {
    const reason = 'version 2 rolled back: WAPE 0.30 against 0.10';
    expect(await shelfcast(['run'], ended({ verdict: 'rolled-back', reason }))).toBe(3);
    expect(output).toContain(reason);
  });

  test('goes on without the command that an interrupt ends, with 130', async () => {
    const exit = vi.spyOn(process, 'exit').mockImplementation(() => undefined as never);
    let end: (result: PipelineResult) => void = () => undefined;
    const run = runWith(new Promise((resolve) => (end = resolve)));
    const listeners = process.listenerCount('SIGINT');
    const command = shelfcast(['run'], run);
    await vi.waitFor(() => {
      expect(process.listenerCount('SIGINT')).toBe(listeners + 1);
    });
    const [stopFollowing] = process.listeners('SIGINT').slice(-1);
    stopFollowing?.('SIGINT');
    expect(exit).toHaveBeenCalledWith(130);
    expect(output).toContain('the run pipeline:sales-forecast continues; `npx shelfcast watch` follows it');
    expect(asked).toEqual([{}]);
    end(PIPELINE_RESULT);
    await command;
    expect(process.listenerCount('SIGINT')).toBe(listeners);
  });
});

test('--detach prints the id and does not wait', async () => {
  const never = runWith(sleep(60_000, PIPELINE_RESULT, { ref: false }));
  expect(await shelfcast(['run', '--detach'], never)).toBe(0);
  expect(output).toBe('pipeline:sales-forecast\n');
});

test('inspect hands files, URLs and queries to Python, with the declaration of the flags', () => {
  expect(argumentsOf('https://host/sales', { column: ['week=date'], write: '/d.json' })).toEqual([
    ...['--data', 'https://host/sales', '--declaration', '{"columns":{"week":"date"}}', '--write', '/d.json'],
  ]);
  expect(argumentsOf('/data/sales.csv', {})).toEqual(['--data', '/data/sales.csv']);
  expect(argumentsOf(undefined, { query: 'select 1', addressVariable: 'SALES_URL' })).toEqual([
    ...['--query', 'select 1', '--address-variable', 'SALES_URL'],
  ]);
});

test.each([
  [['--approval'], { rollout: { approval: 'required' } }],
  [['--allow', 'future-week', '--allow', 'row-count-change'], { allow: ['future-week', 'row-count-change'] }],
  [['--acknowledge', '0123456789ab'], { acknowledge: '0123456789ab' }],
  [['--model', 'bread', '--dataset', 'shop'], { modelName: 'bread', dataset: 'shop' }],
  [['--input', '{"horizonWeeks": 3}'], { horizonWeeks: 3 }],
])('run %j starts a pipeline with %j', async (args, input) => {
  expect(await shelfcast(['run', '--detach', ...args], ended())).toBe(0);
  expect(asked[0]).toEqual(input);
});

describe('the current run', () => {
  test.each([
    [['approve', '--by', 'ada'], ['sales-forecast', 'ada'], 'approved\n'],
    [['abort', '--reason', 'enough', '--model', 'bread'], ['bread', 'enough'], 'aborting\n'],
    [['cancel'], ['sales-forecast', 'cancel'], 'cancelling pipeline:sales-forecast\n'],
  ])('%j', async (args, told, printed) => {
    expect(await shelfcast(args, ended())).toBe(0);
    expect(asked).toEqual(told);
    expect(output).toBe(printed);
  });

  test.each([['watch'], ['approve'], ['cancel']])(
    '%s ends with 1 where no run is in progress',
    async (command) => {
      expect(await shelfcast([command, '--model', 'bread'], ended(), null)).toBe(1);
      expect(output).toBe('no run of bread is in progress: start one with `npx shelfcast run`\n');
    },
  );
});

test.each(['trigger', 'pause', 'resume', 'delete'])('schedule %s names its model', async (action) => {
  expect(await shelfcast(['schedule', action, '--model', 'bread'], ended())).toBe(0);
  expect(asked).toEqual(['bread']);
  expect(output).toBe(`schedule of bread: ${action} done\n`);
});

test.each([
  [['fly'], "error: unknown command 'fly'"],
  [['run', '--wings'], "error: unknown option '--wings'"],
  [['abort'], "error: required option '--reason <sentence>' not specified"],
  [['run', '--input', '{"horizonWeeks": 0}'], 'invalid input: horizonWeeks'],
  [['ingest', '/nowhere.csv'], '/nowhere.csv is neither a folder nor a file of sales'],
])('%j ends with 2 and a sentence, and nothing is started', async (args, sentence) => {
  expect(await shelfcast(args, ended())).toBe(2);
  expect(output).toContain(sentence);
  expect(asked).toEqual([]);
});

test('--help ends with 0', async () => {
  expect(await shelfcast(['backtest', '--help'], ended())).toBe(0);
  expect(output).toContain('preset of the model');
});
