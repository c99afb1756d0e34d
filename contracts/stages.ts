/** The six stages of the pipeline, in order. The same word names each stage's file in every folder. */
export const STAGES = ['ingest', 'features', 'train', 'evaluate', 'rollout', 'monitor'] as const;
export type Stage = (typeof STAGES)[number];

/**
 * Outcome of a pipeline run.
 * - `promoted`: the candidate serves all traffic and holds the alias `champion`.
 * - `rejected`: the gate, or a person, decided against the candidate before it got traffic.
 * - `rolled-back`: the candidate failed while it had traffic; the champion has all of it again.
 */
export type Verdict = 'promoted' | 'rejected' | 'rolled-back';
