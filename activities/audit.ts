import type { StepAnalysis } from '../contracts/rollout.ts';
import type { Dependencies } from './dependencies.ts';
import { currentRunKey } from './run-key.ts';

interface AuditRow {
  modelName: string;
  version: number;
  /** Name of the row within its run; a repeated activity writes the row once. */
  step: string;
  action: 'traffic' | 'promoted' | 'rolled-back';
  /** Traffic in percent by version, after the change. */
  weights: Record<string, number>;
  reason: string;
  analysis?: StepAnalysis;
}

export interface AuditActivities {
  /** Records a change of traffic or alias, and its reason. */
  audit: (row: AuditRow) => Promise<void>;
}

export function createAuditActivities({ database }: Pick<Dependencies, 'database'>): AuditActivities {
  return {
    async audit({ step, modelName, version, action, weights, reason, analysis }) {
      await database.query(
        `insert into ops.rollout_audit (run_key, step, model_name, version, action, weights, reason, analysis)
         values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict (run_key, step) do nothing`,
        [
          currentRunKey(),
          ...[step, modelName, version, action],
          JSON.stringify(weights),
          reason,
          analysis === undefined ? null : JSON.stringify(analysis),
        ],
      );
    },
  };
}
