/** Rules that every pod's specification must satisfy. */
/** The fields that the rules read. */
export interface PodSpec {
  automountServiceAccountToken?: boolean;
  enableServiceLinks?: boolean;
  hostNetwork?: boolean;
  hostPID?: boolean;
  hostIPC?: boolean;
  securityContext?: SecurityContext;
  initContainers?: Container[];
  containers: Container[];
  volumes?: { name: string; emptyDir?: { sizeLimit?: string }; [source: string]: unknown }[];
}

interface SecurityContext {
  runAsNonRoot?: boolean;
  seccompProfile?: { type: string };
  allowPrivilegeEscalation?: boolean;
  privileged?: boolean;
  readOnlyRootFilesystem?: boolean;
  capabilities?: { add?: string[]; drop?: string[] };
  [field: string]: unknown;
}

interface Container {
  name: string;
  image?: string;
  command?: string[];
  args?: string[];
  env?: { name: string; value?: string }[];
  ports?: { hostPort?: number }[];
  resources?: { requests?: Record<string, string>; limits?: Record<string, string> };
  securityContext?: SecurityContext;
  volumeMounts?: { name: string; mountPath: string }[];
  startupProbe?: object;
  livenessProbe?: object;
  readinessProbe?: object;
}

/** Kinds of volumes that the restricted pod security standard, and OpenShift's restricted-v2, admit. */
const VOLUMES = [
  'configMap',
  'csi',
  'downwardAPI',
  'emptyDir',
  'ephemeral',
  'persistentVolumeClaim',
  'projected',
  'secret',
];

const containersOf = (pod: PodSpec): Container[] => [...(pod.initContainers ?? []), ...pod.containers];

/**
 * Rules of the pod security standard `restricted`, and beyond it a file system that is read-only.
 * @returns A sentence for each rule that is broken.
 */
export function brokenSecurityRules(pod: PodSpec): string[] {
  const broken: string[] = [];
  if (pod.hostNetwork === true || pod.hostPID === true || pod.hostIPC === true) broken.push('uses the host');
  for (const { name, ...source } of pod.volumes ?? []) {
    const kinds = Object.keys(source).filter((kind) => !VOLUMES.includes(kind));
    if (kinds.length > 0) broken.push(`volume ${name} is a ${kinds.join()}`);
  }
  for (const container of containersOf(pod)) {
    const own = container.securityContext ?? {};
    const says = (what: string) => broken.push(`container ${container.name} ${what}`);
    if ((own.runAsNonRoot ?? pod.securityContext?.runAsNonRoot) !== true) says('may run as root');
    if ((own.seccompProfile ?? pod.securityContext?.seccompProfile)?.type !== 'RuntimeDefault')
      says('has no seccomp profile');
    if (own.allowPrivilegeEscalation !== false) says('may gain privileges');
    if (own.privileged === true) says('is privileged');
    if (own.capabilities?.drop?.join() !== 'ALL' || own.capabilities.add !== undefined)
      says('keeps capabilities');
    if (own.readOnlyRootFilesystem !== true) says('may write to its image');
    if ((container.ports ?? []).some(({ hostPort }) => hostPort !== undefined))
      says('takes a port of the host');
  }
  return broken;
}

/** Fields that OpenShift's restricted-v2 refuses beyond that: a chosen user or group. */
export function fixedUsers(pod: PodSpec): string[] {
  const contexts = [pod.securityContext, ...containersOf(pod).map(({ securityContext }) => securityContext)];
  const chosen = ['runAsUser', 'runAsGroup', 'fsGroup', 'supplementalGroups', 'seLinuxOptions'] as const;
  return contexts.flatMap((context) =>
    chosen.filter((field) => context !== undefined && field in context).map((field) => `sets ${field}`),
  );
}

/** Good practice on a cluster: limits, probes, pinned images, no needless mounts. */
export function brokenCare(pod: PodSpec, options: { usesApi: boolean }): string[] {
  const broken: string[] = [];
  if ((pod.automountServiceAccountToken ?? true) !== options.usesApi) {
    broken.push(options.usesApi ? 'lacks its token' : 'mounts a token that it does not use');
  }
  if (pod.enableServiceLinks !== false) broken.push('gets variables of every Service');
  for (const { name, image = '', resources, volumeMounts } of containersOf(pod)) {
    const says = (what: string) => broken.push(`container ${name} ${what}`);
    if (!/(:[^:/]+|@sha256:[0-9a-f]{64})$/.test(image) || image.endsWith(':latest'))
      says(`has the image ${image}`);
    // No limit of the processor: it would only slow down what could use an idle one.
    if (resources?.requests?.['cpu'] === undefined) says('requests no processor');
    if (resources?.requests?.['memory'] === undefined) says('requests no memory');
    if (resources?.limits?.['memory'] === undefined) says('may take all memory');
    if (!(volumeMounts ?? []).some(({ mountPath }) => mountPath === '/tmp')) says('has no /tmp to write to');
  }
  for (const volume of pod.volumes ?? []) {
    if (volume.emptyDir !== undefined && volume.emptyDir.sizeLimit === undefined) {
      broken.push(`volume ${volume.name} may fill the node`);
    }
  }
  return broken;
}

export function missingProbes(pod: PodSpec): string[] {
  return pod.containers.flatMap((container) =>
    (['startupProbe', 'livenessProbe', 'readinessProbe'] as const)
      .filter((probe) => container[probe] === undefined)
      .map((probe) => `container ${container.name} has no ${probe}`),
  );
}
