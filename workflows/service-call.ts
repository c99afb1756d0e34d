import type { ActivityOptions } from '@temporalio/workflow';

/** Options of activities that make a few calls to MLflow, PostgreSQL, Ray or the router. */
export const SERVICE_CALL: ActivityOptions = {
  // One call takes milliseconds, an upload seconds; a call still open after this long is stuck.
  startToCloseTimeout: '2 minutes',
  // The run waits this long for a service that restarts or is being repaired; afterwards a person must look.
  scheduleToCloseTimeout: '30 minutes',
  retry: { initialInterval: '500 milliseconds', backoffCoefficient: 2, maximumInterval: '10 seconds' },
};
