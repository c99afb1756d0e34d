import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';

/** Environment of one activity, in a run whose key is `pipeline-m-583fe520`. Failures that a test provokes are not logged. */
export const activityEnvironment = (): MockActivityEnvironment =>
  new MockActivityEnvironment(
    { workflowExecution: { workflowId: 'pipeline:m', runId: '01a2112e-6edf-739b-bbdf-5470583fe520' } },
    { logger: new DefaultLogger('ERROR') },
  );
