/** What the query `progress` answers. */
import type { Stage, Verdict } from './stages.ts';

export interface StageProgress {
  status: 'waiting' | 'running' | 'done' | 'failed' | 'skipped';
  startedAt: string | null;
  endedAt: string | null;
  /** One line about what happened. */
  summary: string | null;
}

export interface PipelineProgress {
  stage: Stage | null;
  stages: Record<Stage, StageProgress>;
  /** Set while the run waits for `approve` or `abort`. */
  waitingFor: 'approval' | null;
  verdict: Verdict | null;
}
