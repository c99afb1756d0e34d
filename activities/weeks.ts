/** Weeks of a data set, and those that a run keeps for validation and test. */
import { LEAST_TRAINING_WEEKS } from '../contracts/job-specs.ts';
import type { Snapshot } from '../contracts/jobs.ts';
import type { ResolvedPipelineInput } from '../contracts/pipeline.ts';

const WEEK_MS = 7 * 24 * 60 * 60 * 1_000;

/** Number of weeks from one ISO date to another, both included. */
export const weeksFromTo = (first: string, last: string): number =>
  Math.round((Date.parse(last) - Date.parse(first)) / WEEK_MS) + 1;

/**
 * Weeks that are kept for the test and for validation: as many as asked for, but at most a quarter of the data set each where
 * nothing would be left for training.
 */
export function keptWeeks(
  { testWeeks, validationWeeks }: Pick<ResolvedPipelineInput, 'testWeeks' | 'validationWeeks'>,
  { firstWeek, lastWeek }: Pick<Snapshot, 'firstWeek' | 'lastWeek'>,
): { testWeeks: number; validationWeeks: number } {
  const weeks = weeksFromTo(firstWeek, lastWeek);
  if (weeks - testWeeks - validationWeeks >= LEAST_TRAINING_WEEKS) return { testWeeks, validationWeeks };
  const most = Math.max(1, Math.floor(weeks / 4));
  return { testWeeks: Math.min(testWeeks, most), validationWeeks: Math.min(validationWeeks, most) };
}
