/** All activities, as the worker registers them. */
import type { AuditActivities } from './audit.ts';
import { createAuditActivities } from './audit.ts';
import type { CleanUpActivities } from './clean-up.ts';
import { createCleanUpActivities } from './clean-up.ts';
import type { Dependencies } from './dependencies.ts';
import type { EvaluateActivities } from './evaluate.ts';
import { createEvaluateActivities } from './evaluate.ts';
import type { TrainingServingSkewActivities } from './training-serving-skew.ts';
import { createTrainingServingSkewActivities } from './training-serving-skew.ts';
import type { FeaturesActivities } from './features.ts';
import { createFeaturesActivities } from './features.ts';
import type { IngestActivities } from './ingest.ts';
import { createIngestActivities } from './ingest.ts';
import type { MonitorActivities } from './monitor.ts';
import { createMonitorActivities } from './monitor.ts';
import type { RegistryActivities } from './registry.ts';
import { createRegistryActivities } from './registry.ts';
import type { RolloutActivities } from './rollout.ts';
import { createRolloutActivities } from './rollout.ts';
import { withServiceErrors } from './service-errors.ts';
import type { TrainActivities } from './train.ts';
import { createTrainActivities } from './train.ts';
import type { UpdateActivities } from './update.ts';
import { createUpdateActivities } from './update.ts';

export type Activities = IngestActivities &
  FeaturesActivities &
  TrainActivities &
  EvaluateActivities &
  RegistryActivities &
  RolloutActivities &
  AuditActivities &
  TrainingServingSkewActivities &
  MonitorActivities &
  UpdateActivities &
  CleanUpActivities;

export function createActivities(deps: Dependencies): Activities {
  return withServiceErrors({
    ...createIngestActivities(deps),
    ...createFeaturesActivities(deps),
    ...createTrainActivities(deps),
    ...createEvaluateActivities(deps),
    ...createRegistryActivities(deps),
    ...createRolloutActivities(deps),
    ...createAuditActivities(deps),
    ...createTrainingServingSkewActivities(deps),
    ...createMonitorActivities(deps),
    ...createUpdateActivities(deps),
    ...createCleanUpActivities(deps),
  });
}
