import type { ActivityOptions } from '@temporalio/workflow';

/** For activities that are a few calls of MLflow, PostgreSQL, Ray or the router. */
export const SERVICE_CALL: ActivityOptions = {
  // One call takes milliseconds, an upload seconds; a call still open after this long is stuck.
  startToCloseTimeout: '2 minutes',
  // A service that restarts or is repaired within this time is waited for; after it, a person must look.
  scheduleToCloseTimeout: '30 minutes',
  retry: { initialInterval: '500 milliseconds', backoffCoefficient: 2, maximumInterval: '10 seconds' },
};
