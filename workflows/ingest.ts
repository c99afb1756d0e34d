import { proxyActivities } from '@temporalio/workflow';
import type { IngestActivities } from '../activities/ingest.ts';
import type { IngestResult } from '../contracts/jobs.ts';
import type { PipelineInput, ResolvedPipelineInput } from '../contracts/pipeline.ts';
import { withJobCleanup, JOB } from './job-stage.ts';
import type { SetSummary } from './run.ts';
import { INPUT_CHECK } from './service-call.ts';

const checks = proxyActivities<Pick<IngestActivities, 'resolveInput'>>(INPUT_CHECK);
const jobs = proxyActivities<Pick<IngestActivities, 'ingest'>>({ ...JOB, summary: 'Loads the sales' });

export const resolveInput = (raw: PipelineInput | undefined): Promise<ResolvedPipelineInput> =>
  checks.resolveInput(raw ?? {});

/** Validates the sales data and loads them; the snapshot in the result names the loaded rows. */
export async function ingest(setSummary: SetSummary, input: ResolvedPipelineInput): Promise<IngestResult> {
  const load = await withJobCleanup('ingest', () => jobs.ingest(input));
  const { snapshot, insertedRows, unchangedRows, badRows } = load;
  setSummary(
    `${snapshot.id}: ${snapshot.rowCount} rows of ${snapshot.seriesCount} series to ${snapshot.lastWeek} ` +
      `(${insertedRows} new, ${unchangedRows} unchanged, ${badRows} bad)`,
  );
  return load;
}
