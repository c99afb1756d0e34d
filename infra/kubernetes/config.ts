/** Schema of the YAML file that describes the cluster for a worker, which reads it once at its start. */
import { readFileSync } from 'node:fs';
import { loadYaml } from '@kubernetes/client-node';
import { z } from 'zod';
import { jobsConfigSchema } from './jobs/jobs-config.ts';
import { kubernetesNameSchema } from './names.ts';
import { servingConfigSchema } from './serving/serving-config.ts';

const imagesSchema = z.strictObject({
  /** Image of the jobs: Python with the project's packages, Ray and torch. */
  ml: z.string().min(1),
  predictor: z.string().min(1),
  pullPolicy: z.enum(['Always', 'IfNotPresent', 'Never']).default('IfNotPresent'),
  /** Names of Secrets with the registry's credentials. */
  pullSecrets: z.array(kubernetesNameSchema).default([]),
});

const artifactsSchema = z.strictObject({
  /** Name of the ReadWriteMany volume claim that workers, jobs and predictors share. */
  claim: kubernetesNameSchema,
  /** The same path in every pod, so that a `file://` URL means the same everywhere. */
  mountPath: z.string().startsWith('/', 'must be an absolute path').default('/artifacts'),
});

const kubernetesConfigSchema = z.strictObject({
  namespace: kubernetesNameSchema,
  images: imagesSchema,
  artifacts: artifactsSchema,
  /** Name of the Secret with the address of PostgreSQL, under the key DATABASE_URL. */
  secret: kubernetesNameSchema.default('shelfcast'),
  /** Plain environment variables of every job, e.g. a proxy's address. No secrets: everybody who may read pods sees them. */
  environment: z.record(z.string(), z.string()).default({}),
  /**
   * Fields that are added to the security context of each pod, e.g. `fsGroup` where the volume belongs to a group. OpenShift sets them
   * itself.
   */
  podSecurityContext: z.looseObject({}).default({}),
  jobs: jobsConfigSchema.prefault({}),
  serving: servingConfigSchema,
});

export type KubernetesConfig = z.output<typeof kubernetesConfigSchema>;

/** @throws Error with one message for each invalid key */
export function readKubernetesConfig(path: string): KubernetesConfig {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    throw new Error(`cannot read the Kubernetes configuration ${path}: ${(cause as Error).message}`, {
      cause,
    });
  }
  try {
    return parseKubernetesConfig(loadYaml(text));
  } catch (cause) {
    throw new Error(`the Kubernetes configuration ${path} is invalid: ${(cause as Error).message}`, {
      cause,
    });
  }
}

/** Validates the file's content and fills in the defaults. */
export function parseKubernetesConfig(raw: unknown): KubernetesConfig {
  const parsed = kubernetesConfigSchema.safeParse(raw);
  if (parsed.success) return parsed.data;
  throw new Error(parsed.error.issues.flatMap((issue) => sentencesOf(issue, [])).join('; '));
}

function sentencesOf(issue: z.core.$ZodIssue, above: PropertyKey[]): string[] {
  const path = [...above, ...issue.path];
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => `${[...path, key].join('.')}: there is no such key`);
  }
  if (issue.code === 'invalid_union' && issue.errors.length > 0) {
    // The alternative with the fewest errors is probably the one that the author meant.
    const [closest = []] = [...issue.errors].sort((a, b) => a.length - b.length);
    return closest.flatMap((inner) => sentencesOf(inner, path));
  }
  return [`${path.join('.') || 'the file'}: ${issue.message}`];
}
