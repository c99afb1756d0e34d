/** Workflow interceptors of tests: timers take a hundredth of their time, and the lock of a model `slow-...` ends late. */
import type { WorkflowInterceptors } from '@temporalio/workflow';
import { sleep, workflowInfo } from '@temporalio/workflow';

export const interceptors = (): WorkflowInterceptors => ({
  inbound: [
    {
      async execute(input, next) {
        const result: unknown = await next(input);
        if (workflowInfo().workflowId.startsWith('model-lock:slow-')) await sleep('100 seconds');
        return result;
      },
    },
  ],
  outbound: [
    {
      startTimer: (input, next) => next({ ...input, durationMs: input.durationMs / 100 }),
    },
  ],
});
