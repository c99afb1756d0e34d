/** Progress of a run, for the query and for the Temporal UI. */
import type { PipelineProgress, StageProgress } from '../contracts/progress.ts';
import type { Stage } from '../contracts/stages.ts';
import { STAGES } from '../contracts/stages.ts';

const waiting = (): StageProgress => ({ status: 'waiting', startedAt: null, endedAt: null, summary: null });

export const newProgress = (): PipelineProgress => ({
  stage: null,
  stages: Object.fromEntries(STAGES.map((stage) => [stage, waiting()])) as Record<Stage, StageProgress>,
  waitingFor: null,
  verdict: null,
});

const seconds = ({ startedAt, endedAt }: StageProgress): number | null =>
  startedAt === null || endedAt === null ? null : (Date.parse(endedAt) - Date.parse(startedAt)) / 1_000;

/** Seconds of each stage that has ended. */
export function stageSeconds(progress: PipelineProgress): Partial<Record<Stage, number>> {
  return Object.fromEntries(
    STAGES.flatMap((stage) => {
      const value = seconds(progress.stages[stage]);
      return value === null ? [] : [[stage, value]];
    }),
  );
}

/** Escapes text for a table cell. The UI reads text between two dollar signs as a formula, and a bar ends a cell. */
const plain = (text: string): string => text.replace(/\$([\d,.]+)/g, '$1 USD').replaceAll('|', '/');

/** Current details for the Temporal UI. */
export function asMarkdown(progress: PipelineProgress): string {
  const rows = STAGES.map((stage) => {
    const entry = progress.stages[stage];
    return `| ${stage} | ${entry.status} | ${seconds(entry)?.toFixed(1) ?? ''} | ${plain(entry.summary ?? '')} |`;
  });
  const notes = [
    ...(progress.waitingFor === 'approval' ? ['**Waits for the update `approve` or `abort`.**', ''] : []),
    ...(progress.verdict === null ? [] : [`**${progress.verdict}**`, '']),
  ];
  return [...notes, '| stage | status | seconds | |', '| --- | --- | --- | --- |', ...rows].join('\n');
}
