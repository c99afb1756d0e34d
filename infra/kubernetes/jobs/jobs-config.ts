/** Configuration of the jobs on a cluster. */
import { z } from 'zod';
import { kubernetesNameSchema } from '../names.ts';
import { resourcesSchema } from '../resources.ts';

/** Schema of resources with a limit of memory but none of CPU: a job may use idle CPU time, but never the memory of others. */
const resources = (cpu: string, memory: string, memoryLimit: string) =>
  resourcesSchema.default({ requests: { cpu, memory }, limits: { memory: memoryLimit } });

const ownClusterSchema = z.strictObject({
  /** Ray's head, which runs the job's program and a share of its tasks. */
  head: z.strictObject({ resources: resources('1', '3Gi', '4Gi') }).prefault({}),
  /** Pods beside the head. */
  workers: z.int().min(0).max(1_000).default(1),
  worker: z.strictObject({ resources: resources('1', '2Gi', '4Gi') }).prefault({}),
});

const runningClusterSchema = z.strictObject({
  /**
   * An existing RayCluster. Its pods must have what a job needs: the ml image, DATABASE_URL, the artifacts volume. This project
   * does not manage it: no queue holds a job back, and Ray alone ends a stopped job, within seconds.
   */
  selector: z.strictObject({ 'ray.io/cluster': z.string().min(1) }),
});

/** Schema of either cluster. The key `selector` decides between the two, so that errors are about the cluster that was meant. */
const clusterSchema = z
  .looseObject({})
  .transform((written, context): z.output<typeof runningClusterSchema | typeof ownClusterSchema> => {
    const parsed = ('selector' in written ? runningClusterSchema : ownClusterSchema).safeParse(written);
    if (parsed.success) return parsed.data;
    for (const issue of parsed.error.issues)
      context.issues.push({ ...issue, input: written } as z.core.$ZodRawIssue);
    return z.NEVER;
  });

const trainingSchema = z
  .strictObject({
    /** Processes of each node, which is a pod; must divide the number of a training's processes. */
    processesPerNode: z.int().min(1).max(16).default(1),
    /** 0, or one for each process: two processes cannot share a GPU. */
    gpusPerNode: z.int().min(0).max(16).default(0),
    /** Resources of each node, without its GPUs. */
    resources: resources('1', '2Gi', '4Gi'),
    /** Name of the ClusterTrainingRuntime (infra/manifests/base/training-runtime.yaml), which sets its own pull policy. */
    runtime: z.string().min(1).default('shelfcast-torch'),
  })
  .refine(
    ({ gpusPerNode, processesPerNode }) => gpusPerNode === 0 || gpusPerNode === processesPerNode,
    'gpusPerNode must be 0 or equal to processesPerNode, since each process uses one GPU',
  );

/** An object that Kubernetes validates. */
const passedOn = z.looseObject({ name: z.string().min(1) });

export const jobsConfigSchema = z.strictObject({
  /** Service account of the jobs; the namespace's default when absent. No job uses its rights. */
  serviceAccount: z.string().min(1).optional(),
  nodeSelector: z.record(z.string(), z.string()).default({}),
  tolerations: z.array(z.looseObject({})).default([]),
  /** Name of a LocalQueue of Kueue, which then decides when a job starts. */
  queue: z.string().min(1).optional(),
  /** Time after which a pending job reports why it does not run. */
  pendingAfterSeconds: z.int().min(1).default(60),
  /** More volumes for every job, e.g. a company's certificates; as in a pod's specification. */
  volumes: z.array(passedOn).default([]),
  volumeMounts: z.array(passedOn).default([]),
  ingest: z
    .strictObject({
      /**
       * Name of a Secret, each key of which is a variable of ingest's jobs alone: addresses of sources with a password, keys of an
       * object store.
       */
      secret: kubernetesNameSchema.optional(),
    })
    .prefault({}),
  /** Jobs that need no cluster: ingest and evaluate. */
  programs: z.strictObject({ resources: resources('500m', '1Gi', '4Gi') }).prefault({}),
  features: z.strictObject({ cluster: clusterSchema.prefault({}) }).prefault({}),
  training: trainingSchema.prefault({}),
});
