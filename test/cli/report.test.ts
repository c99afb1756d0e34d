/** Reports that show series by the user's ids. */
import { expect, test } from 'vitest';
import { updateReport } from '../../cli/report.ts';
import type { SeriesId } from '../../contracts/series-id.ts';
import type { UpdateResult } from '../../contracts/update.ts';
import type { IngestResult } from '../../contracts/jobs.ts';
import { load } from '../workflows/fake-activities.ts';

const endpoints = {
  ...{ temporal: '', temporalUi: '', mlflow: '', ray: '', postgres: '', pids: {} },
  predictor: 'http://127.0.0.1:1',
};

function reportOf(store: SeriesId, dept: SeriesId, ingest: IngestResult = load): string {
  const result: UpdateResult = {
    ...{ modelName: 'm', dataset: 'shop', ingest, stageSeconds: {} },
    monitor: {
      ...{ modelVersion: 1, forecastsRecorded: 1, seriesForecast: 1, seriesLeftOut: 0 },
      ...{ actualsCompared: 0, wape: null },
      samples: [{ store, dept, targetWeek: '2025-12-05', p10: 1, p50: 2, p90: 3 }],
    },
  } as UpdateResult;
  return updateReport(result, endpoints);
}

/** Words of a command as a shell splits it, where only single quotes are used. */
const wordsOf = (command: string): string[] =>
  [...command.matchAll(/'([^']*)'|([^\s']+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '');

test('amounts are in the unit of the data set', () => {
  expect(reportOf(1, 1)).toContain('$1.00 to $3.00');
  const inUnit = { ...load, snapshot: { ...load.snapshot, unit: 'pieces' } };
  expect(reportOf(1, 1, inUnit)).toContain('1.00 pieces to 3.00 pieces');
});

test.each<[SeriesId, SeriesId]>([
  [1, 12],
  ['CA_1', '007'],
  ["O'Neill's", 'say "A" \\ $(date) `id`'],
])(
  'the store %s and the department %s stand in the table and in a request that a shell understands',
  (store, dept) => {
    const report = reportOf(store, dept);
    expect(report).toContain(` ${store} `);
    expect(report).toContain(` ${dept} `);
    const command = report.split('\n').find((line) => line.includes('curl')) ?? '';
    expect(command.split("'")).toHaveLength(5);
    expect(JSON.parse(wordsOf(command).at(-1) ?? '')).toEqual({ instances: [{ store, dept, horizon: 1 }] });
  },
);
