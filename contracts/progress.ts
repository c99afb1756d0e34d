/** Answer of the query `progress`, and details of the heartbeats. */
import type { Stage, Verdict } from './stages.ts';

export interface StageProgress {
  status: 'waiting' | 'running' | 'done' | 'failed' | 'skipped';
  startedAt: string | null;
  endedAt: string | null;
  /** One line about the stage. */
  summary: string | null;
}

export interface PipelineProgress {
  stage: Stage | null;
  stages: Record<Stage, StageProgress>;
  /** Set while the run waits for `approve` or `abort`. */
  waitingFor: 'approval' | null;
  verdict: Verdict | null;
}

/** Heartbeat details of an activity that follows a job. */
export interface JobHeartbeat {
  job: string;
  /** The job's newest line. */
  progress: string | null;
  /** Share of the job that is done, 0 to 1; null while the job has not reported it. */
  fraction: number | null;
}
