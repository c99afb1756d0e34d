/** The six stages of the pipeline, in order. Each stage's file has this name in every folder. */
export const STAGES = ['ingest', 'features', 'train', 'evaluate', 'rollout', 'monitor'] as const;
export type Stage = (typeof STAGES)[number];

/**
 * Outcome of a pipeline run.
 * - `promoted`: the candidate serves all traffic and holds the alias `champion`.
 * - `rejected`: the promotion gate decided against the candidate, which was not deployed.
 * - `rolled-back`: the candidate failed during the rollout, with or without traffic; the champion has all traffic.
 */
export type Verdict = 'promoted' | 'rejected' | 'rolled-back';
