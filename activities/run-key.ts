import { Context } from '@temporalio/activity';
import { runKey } from '../contracts/names.ts';

/** Key of the run that the current activity belongs to. */
export function currentRunKey(): string {
  const { workflowExecution } = Context.current().info;
  if (workflowExecution === undefined) throw new Error('this activity runs only inside a workflow');
  return runKey(workflowExecution.workflowId, workflowExecution.runId);
}
