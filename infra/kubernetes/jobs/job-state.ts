/** Translation of each kind of job object's status into the port's terms. */
import { z } from 'zod';
import { NODE } from './train-job.ts';

/** `suspended`: held back, by Kueue or by a person. */
export interface JobState {
  status: 'pending' | 'suspended' | 'running' | 'succeeded' | 'failed' | 'stopped';
  /** Message of the operator. */
  message: string;
}

/** Fields that the objects of all kinds share. */
export const jobObjectSchema = z.object({
  metadata: z.object({
    creationTimestamp: z.string(),
    deletionTimestamp: z.string().optional(),
    labels: z.record(z.string(), z.string()).default({}),
  }),
});

const conditions = z
  .array(
    z.object({
      type: z.string(),
      status: z.string(),
      reason: z.string().default(''),
      message: z.string().default(''),
    }),
  )
  .default([]);

const suspendable = z.object({ suspend: z.boolean().default(false) });

const jobSchema = z.object({
  spec: suspendable,
  status: z.object({ conditions, ready: z.int().default(0) }).prefault({}),
});

const trainJobSchema = z.object({
  spec: suspendable,
  status: z
    .object({
      conditions,
      jobsStatus: z.array(z.object({ name: z.string(), ready: z.int(), succeeded: z.int() })).default([]),
    })
    .prefault({}),
});

const rayJobSchema = z.object({
  spec: suspendable,
  status: z
    .object({
      jobStatus: z.enum(['', 'PENDING', 'RUNNING', 'STOPPED', 'SUCCEEDED', 'FAILED']).default(''),
      jobDeploymentStatus: z.string().default(''),
      rayClusterName: z.string().default(''),
      reason: z.string().default(''),
      message: z.string().default(''),
    })
    .prefault({}),
});

type Conditions = z.output<typeof conditions>;

function ended(all: Conditions, success: string, failure: string): JobState | undefined {
  const isTrue = (type: string) => all.find((each) => each.type === type && each.status === 'True');
  if (isTrue(success) !== undefined) return { status: 'succeeded', message: '' };
  const failed = isTrue(failure);
  return failed === undefined
    ? undefined
    : { status: 'failed', message: `${failed.reason}: ${failed.message}` };
}

/** State of a Kubernetes Job. */
export function programJobState(object: unknown): JobState {
  const { spec, status } = jobSchema.parse(object);
  return (
    ended(status.conditions, 'Complete', 'Failed') ?? {
      status: spec.suspend ? 'suspended' : status.ready > 0 ? 'running' : 'pending',
      message: '',
    }
  );
}

/** State of a TrainJob, which has no Running condition: it runs when all its nodes are ready. */
export function trainJobState(object: unknown): JobState {
  const { spec, status } = trainJobSchema.parse(object);
  const nodes = status.jobsStatus.find(({ name }) => name === NODE);
  const runs = nodes !== undefined && nodes.ready + nodes.succeeded > 0;
  return (
    ended(status.conditions, 'Complete', 'Failed') ?? {
      status: spec.suspend ? 'suspended' : runs ? 'running' : 'pending',
      message: '',
    }
  );
}

/** State of a RayJob: `jobDeploymentStatus` is KubeRay's view of the whole, `jobStatus` Ray's view of the program. */
export function rayJobState(object: unknown): JobState {
  const { spec, status } = rayJobSchema.parse(object);
  const { jobStatus, jobDeploymentStatus, reason } = status;
  // Ray appends the end of the log, which `logs` returns anyway.
  const message = status.message.replace(/, last available logs .*$/s, '');
  switch (jobDeploymentStatus) {
    case 'Complete':
      return { status: jobStatus === 'STOPPED' ? 'stopped' : 'succeeded', message };
    case 'Failed':
    // KubeRay's own list of final states omits it, but it never leaves it.
    case 'ValidationFailed':
      return { status: 'failed', message: reason === '' ? message : `${reason}: ${message}` };
    case 'Running':
      return { status: jobStatus === '' || jobStatus === 'PENDING' ? 'pending' : 'running', message: '' };
    default:
      return { status: spec.suspend ? 'suspended' : 'pending', message: '' };
  }
}

/** Name of the RayCluster that KubeRay created for the job; '' while there is none. */
export const rayClusterOf = (object: unknown): string => rayJobSchema.parse(object).status.rayClusterName;
