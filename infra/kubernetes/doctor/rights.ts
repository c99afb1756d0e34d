/** Check of the workers' permissions. */
import { z } from 'zod';
import type { Finding, CheckContext } from './finding.ts';
import { isForbidden, runCheck, ok, wrong } from './finding.ts';

type Verb = 'create' | 'delete' | 'get' | 'list' | 'patch';

export interface Right {
  /** '' for the core group. */
  group: string;
  /** Plural, with the subresource: `pods/log`. */
  resource: string;
  verbs: readonly Verb[];
}

/** Permissions that the adapters use, in one namespace. The Role in infra/manifests/base/worker-rights.yaml grants exactly these. */
export const WORKER_RIGHTS: readonly Right[] = [
  { group: 'batch', resource: 'jobs', verbs: ['create', 'delete', 'get'] },
  { group: 'ray.io', resource: 'rayjobs', verbs: ['create', 'delete', 'get'] },
  { group: 'trainer.kubeflow.org', resource: 'trainjobs', verbs: ['create', 'delete', 'get'] },
  { group: 'jobset.x-k8s.io', resource: 'jobsets', verbs: ['get'] },
  { group: '', resource: 'events', verbs: ['list'] },
  { group: '', resource: 'pods', verbs: ['list'] },
  { group: '', resource: 'pods/log', verbs: ['get'] },
  { group: '', resource: 'configmaps', verbs: ['create', 'delete', 'get'] },
  {
    group: 'serving.kserve.io',
    resource: 'inferenceservices',
    verbs: ['create', 'delete', 'get', 'list', 'patch'],
  },
  { group: 'gateway.networking.k8s.io', resource: 'httproutes', verbs: ['create', 'delete', 'get', 'patch'] },
  { group: 'policy', resource: 'poddisruptionbudgets', verbs: ['create', 'delete', 'patch'] },
  { group: 'autoscaling', resource: 'horizontalpodautoscalers', verbs: ['create', 'delete', 'patch'] },
];

const APPLY = 'apply the Role of infra/manifests/base/worker-rights.yaml and its RoleBinding';

export async function checkRights(context: CheckContext): Promise<Finding[]> {
  return runCheck('permissions of the workers', async () => {
    const subject = await subjectOf(context);
    const missing = await Promise.all(
      WORKER_RIGHTS.map(async ({ group, resource, verbs }) => {
        const answers = await Promise.all(
          verbs.map((verb) => isAllowed(context, subject, { group, resource, verb })),
        );
        const refused = verbs.filter((_, i) => answers[i] !== true);
        return refused.length === 0
          ? []
          : `${refused.join(', ')} ${resource}${group === '' ? '' : `.${group}`}`;
      }),
    );
    if (missing.flat().length === 0) return ok('workers have every permission they need');
    return wrong('permissions of the workers', `missing: ${missing.flat().join('; ')}; ${APPLY}`);
  });
}

/** Account for a review of permissions, in the API's form. */
interface Subject {
  kind: 'SubjectAccessReview' | 'SelfSubjectAccessReview';
  spec: object;
}

const selfSchema = z.object({ status: z.object({ userInfo: z.object({ username: z.string() }) }) });
const reviewSchema = z.object({ status: z.object({ allowed: z.boolean() }) });

/** Returns the workers' service account where the user may review its permissions, otherwise the user. */
async function subjectOf(context: CheckContext): Promise<Subject> {
  const { api, config, worker } = context;
  const currentUser: Subject = { kind: 'SelfSubjectAccessReview', spec: {} };
  const account = `system:serviceaccount:${config.namespace}:${worker}`;
  const self = await api.create({
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'SelfSubjectReview',
    metadata: { name: '' },
  });
  if (selfSchema.parse(self).status.userInfo.username === account) return currentUser;
  const groups = [
    'system:serviceaccounts',
    `system:serviceaccounts:${config.namespace}`,
    'system:authenticated',
  ];
  const workers: Subject = { kind: 'SubjectAccessReview', spec: { user: account, groups } };
  try {
    await isAllowed(context, workers, { group: '', resource: 'pods', verb: 'list' });
    return workers;
  } catch (error) {
    if (!isForbidden(error)) throw error;
    return currentUser;
  }
}

async function isAllowed(
  { api, config }: CheckContext,
  { kind, spec }: Subject,
  { group, resource, verb }: { group: string; resource: string; verb: Verb },
): Promise<boolean> {
  const [name = '', subresource = ''] = resource.split('/');
  const resourceAttributes = { namespace: config.namespace, group, resource: name, subresource, verb };
  const review = {
    apiVersion: 'authorization.k8s.io/v1',
    kind,
    metadata: { name: '' },
    spec: { ...spec, resourceAttributes },
  };
  return reviewSchema.parse(await api.create(review)).status.allowed;
}
