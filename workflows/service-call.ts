import type { ActivityOptions } from '@temporalio/workflow';

/** Options of activities that make a few calls to MLflow, PostgreSQL, Ray or the router. */
export const SERVICE_CALL: ActivityOptions = {
  // A call takes milliseconds and an upload seconds. A call that is still open after two minutes is stuck.
  startToCloseTimeout: '2 minutes',
  // Time for a service to restart or to be repaired. After that a person must look.
  scheduleToCloseTimeout: '30 minutes',
  retry: { initialInterval: '500 milliseconds', backoffCoefficient: 2, maximumInterval: '10 seconds' },
};

/** Options of the activities that check an input. */
export const INPUT_CHECK: ActivityOptions = {
  // The check is pure computation: an attempt that is open after 10 seconds has lost its worker.
  startToCloseTimeout: '10 seconds',
  summary: 'Checks the input',
};
