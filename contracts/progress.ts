/** What the query `progress` answers, and what heartbeats say in between. */
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

/** What the heartbeats of an activity say of the job that it follows. */
export interface JobHeartbeat {
  job: string;
  /** The job's newest line. */
  progress: string | null;
  /** Share of the job that is done, 0 to 1; null where it does not tell. */
  fraction: number | null;
}
