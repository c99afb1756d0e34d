/** Generated weights and routes: shares are exact in each 100, and no route is lost or changed by other models. */
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Route } from '../../contracts/routes.ts';
import { routesSchema } from '../../contracts/routes.ts';
import { RouteTable } from '../../predictor/routes.ts';
import { removeFolder, scratchFolder } from './processes.ts';

let folder: string;

beforeAll(async () => {
  folder = await scratchFolder();
});
afterAll(() => removeFolder(folder));

const newTable = (): RouteTable => new RouteTable(join(folder, `${crypto.randomUUID()}.json`));

const routesOf = (weights: readonly number[]): Route[] =>
  weights.map((weightPercent, i) => ({ version: 1 + i, url: `http://127.0.0.1:${1 + i}`, weightPercent }));

/** Weights that add up to 100: the gaps between sorted cuts of 0 to 100. */
const weights = fc
  .array(fc.integer({ min: 0, max: 100 }), { maxLength: 5 })
  .map((cuts) => [...cuts, 100].sort((a, b) => a - b))
  .map((cuts) => cuts.map((cut, i) => cut - (cuts[i - 1] ?? 0)));

it('gives each version exactly its percentage of 100 picks, evenly spread, for any weights', () => {
  fc.assert(
    fc.property(weights, fc.integer({ min: 1, max: 4 }), (percents, hundreds) => {
      const table = newTable();
      table.replace({ models: { m: routesOf(percents) } });
      for (let hundred = 0; hundred < hundreds; hundred += 1) {
        const picks = Array.from({ length: 100 }, () => table.next('m')?.version);
        percents.forEach((percent, i) => {
          expect(picks.filter((version) => version === 1 + i)).toHaveLength(percent);
          // After any number of picks a version is less than one pick per other version away from its share.
          picks.forEach((_pick, n) => {
            const share = (percent * (n + 1)) / 100;
            const picked = picks.slice(0, n + 1).filter((version) => version === 1 + i).length;
            expect(Math.abs(picked - share)).toBeLessThan(Math.max(1, percents.length - 1));
          });
        });
      }
    }),
    { numRuns: 60 },
  );
});

it('accepts weights that add up to 100 or to 0, and no others', () => {
  const any = fc.array(fc.integer({ min: 0, max: 100 }), { maxLength: 4 });
  fc.assert(
    fc.property(fc.oneof(any, weights), fc.integer({ min: -1, max: 1 }), (percents, change) => {
      const [first = 0, ...others] = percents;
      const changed = percents.length === 0 ? [] : [Math.max(0, first + change), ...others];
      const sum = changed.reduce((total, percent) => total + percent, 0);
      const accepted = routesSchema.safeParse({ models: { m: routesOf(changed) } }).success;
      expect(accepted).toBe(sum === 0 || sum === 100);
    }),
    { numRuns: 1_000 },
  );
});

it('returns the version with the most weight, also without a given one, and none without weight', () => {
  const table = newTable();
  table.replace({ models: { m: routesOf([20, 50, 30, 0]), idle: routesOf([0]) } });
  expect(table.heaviest('m')?.version).toBe(2);
  expect(table.heaviest('m', 2)?.version).toBe(3);
  expect(table.heaviest('idle')).toBeUndefined();
  expect([table.next('idle'), table.next('other'), table.heaviest('other')]).toEqual([
    undefined,
    undefined,
    undefined,
  ]);
});
