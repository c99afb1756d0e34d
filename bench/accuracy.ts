/**
 * How good the forecasts are, beside the baselines, with the defaults: of generated sales, or of a folder in the Walmart
 * layout. `npm run bench -- accuracy [--data DIR]`
 */
import { parseArgs } from 'node:util';
import { report } from '../workers/report.ts';
import { inputOf } from '../workers/run-input.ts';
import { onFreshPlatform, runPipeline } from './measure/platform.ts';

const { values } = parseArgs({ options: { data: { type: 'string' } } });
const input = inputOf(values);
await onFreshPlatform(async () => {
  const { result } = await runPipeline(input);
  const { overall, testFirstWeek, testLastWeek } = result.evaluate;
  process.stdout.write(`${report(result, null)}\n`);
  const line = { bench: 'accuracy', dataset: result.dataset, testFirstWeek, testLastWeek, overall };
  process.stdout.write(`${JSON.stringify(line)}\n`);
});
