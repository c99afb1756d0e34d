import { proxyActivities } from '@temporalio/workflow';
import type { MonitorActivities } from '../activities/monitor.ts';
import type { IngestResult } from '../contracts/jobs.ts';
import { percent } from '../contracts/number-format.ts';
import type { MonitorResult, ResolvedPipelineInput } from '../contracts/pipeline.ts';
import type { RegisteredVersion } from '../contracts/rollout.ts';
import type { SetSummary } from './run.ts';
import { SERVICE_CALL } from './service-call.ts';

const { recordForecasts, compareWithActuals } = proxyActivities<MonitorActivities>({
  ...SERVICE_CALL,
  // Tens of thousands of series need many requests, each of which takes seconds.
  startToCloseTimeout: '20 minutes',
  // A heartbeat follows every request, which may take 90 seconds (TIMEOUT_MS in activities/endpoint.ts).
  heartbeatTimeout: '2 minutes',
});

/** Compares the champion's earlier forecasts with the new actuals and records its forecasts of the coming weeks. */
export async function monitor(
  setSummary: SetSummary,
  input: ResolvedPipelineInput,
  { snapshot }: IngestResult,
  champion: RegisteredVersion,
): Promise<MonitorResult> {
  const request = { champion, snapshot, horizonWeeks: input.horizonWeeks };
  const compared = await compareWithActuals(request);
  const recorded = await recordForecasts(request);
  setSummary(
    `version ${champion.version}: ${recorded.forecastsRecorded} forecasts of ${recorded.seriesForecast} series recorded` +
      (recorded.seriesLeftOut > 0 ? ` (${recorded.seriesLeftOut} series have no recent sales)` : '') +
      `, ${compared.actualsCompared} earlier ones compared` +
      (compared.wape === null ? '' : `, WAPE ${percent(compared.wape)}`),
  );
  return { ...recorded, ...compared };
}
