/** On texts as Kubernetes 1.35 writes them; test/cluster/jobs/trouble.test.ts has the real ones. */
import { describe, expect, it } from 'vitest';
import type { KubernetesEvent } from '../../../infra/kubernetes/api.ts';
import type { Pod } from '../../../infra/kubernetes/pod-trouble.ts';
import { howFailed, whyPending } from '../../../infra/kubernetes/pod-trouble.ts';

const unscheduled = (message: string, spec: Partial<Pod['spec']> = {}): Pod => ({
  metadata: { name: 'p' },
  spec: { containers: [], ...spec },
  status: { conditions: [{ type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message }] },
});
type ContainerState = NonNullable<NonNullable<Pod['status']>['containerStatuses']>[number]['state'] & object;
const container = (state: ContainerState): Pod => ({
  metadata: { name: 'p' },
  status: {
    containerStatuses: [{ name: 'job', image: 'ml:1', imageID: '', ready: false, restartCount: 0, state }],
  },
});
const event = (kind: string, message: string, type = 'Warning'): KubernetesEvent => ({
  type,
  message,
  involvedObject: { kind, name: 'claim' },
  metadata: {},
});
const PREEMPTION =
  'no new claims to deallocate, preemption: 0/3 nodes are available: 3 Preemption is not helpful.';

describe('a pod does not start', () => {
  it('because no node has what it asks for', () => {
    const pod = unscheduled(
      `0/3 nodes are available: 1 Insufficient cpu, 2 Insufficient memory. ${PREEMPTION}`,
    );
    expect(whyPending([pod], [])).toBe(
      'no node takes pod p: 0/3 nodes are available: 1 Insufficient cpu, 2 Insufficient memory',
    );
  });

  it('because no node has the GPUs', () => {
    const resources = { limits: { 'nvidia.com/gpu': '2' } };
    const pod = unscheduled(`0/3 nodes are available: 3 Insufficient nvidia.com/gpu. ${PREEMPTION}`, {
      containers: [{ name: 'node', resources }],
    });
    expect(whyPending([pod], [])).toBe(
      'no node takes pod p: no node has the GPUs that it requests (2 nvidia.com/gpu): ' +
        '0/3 nodes are available: 3 Insufficient nvidia.com/gpu',
    );
  });

  it('because its volume claim is not bound, for the reason that the claim has', () => {
    const volumes = [{ name: 'artifacts', persistentVolumeClaim: { claimName: 'claim' } }];
    const pod = unscheduled('0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims.', {
      volumes,
    });
    const said = event('PersistentVolumeClaim', 'no class supports ReadWriteMany');
    expect(whyPending([pod], [said])).toBe(
      'pod p waits for its volume claim claim to be bound: no class supports ReadWriteMany',
    );
    expect(whyPending([pod], [])).toContain('pod has unbound immediate PersistentVolumeClaims');
  });

  it('because of its image, its Secret, or its runtime', () => {
    const waiting = (reason: string, message: string) =>
      whyPending([container({ waiting: { reason, message } })], []);
    expect(waiting('ImagePullBackOff', 'Back-off pulling image "ml:1"\n: not found')).toBe(
      'the image ml:1 of pod p is not available (ImagePullBackOff): Back-off pulling image "ml:1" : not found',
    );
    expect(waiting('CreateContainerConfigError', 'secret "shelfcast" not found')).toBe(
      'container job of pod p does not start (CreateContainerConfigError): secret "shelfcast" not found',
    );
  });

  it('because it cannot be created, or its volume cannot be mounted, which only events show', () => {
    const starting = container({ waiting: { reason: 'ContainerCreating' } });
    const said = event('Pod', 'MountVolume.SetUp failed for volume "pvc-1": no route to host.');
    expect(whyPending([starting], [said, event('Pod', 'Pulled', 'Normal')])).toBe(
      'Pod claim: MountVolume.SetUp failed for volume "pvc-1": no route to host',
    );
  });

  it('because of an image, which the event tells before the status', () => {
    const pod: Pod = {
      ...container({ waiting: { reason: 'ContainerCreating' } }),
      spec: {
        containers: [
          { name: 'sidecar', image: 'proxy:1' },
          { name: 'job', image: 'ml:1' },
        ],
      },
    };
    const said = event('Pod', 'Error: ErrImageNeverPull');
    said.involvedObject = { kind: 'Pod', name: 'p', fieldPath: 'spec.containers{job}' };
    expect(whyPending([pod], [said])).toBe('the image ml:1 of pod p is not available (ErrImageNeverPull)');
  });

  it('because no node has the GPUs, which the event tells before the status', () => {
    const resources = { limits: { 'nvidia.com/gpu': '1' } };
    const pod: Pod = { metadata: { name: 'p' }, spec: { containers: [{ name: 'node', resources }] } };
    const said: KubernetesEvent = {
      ...event('Pod', `0/1 nodes are available: 1 Insufficient nvidia.com/gpu. ${PREEMPTION}`),
      reason: 'FailedScheduling',
      involvedObject: { kind: 'Pod', name: 'p' },
    };
    expect(whyPending([pod], [said])).toBe(
      'no node takes pod p: no node has the GPUs that it requests (1 nvidia.com/gpu): ' +
        '0/1 nodes are available: 1 Insufficient nvidia.com/gpu',
    );
  });

  it('for an unknown reason', () => {
    expect(whyPending([], [])).toBe('');
    expect(whyPending([container({ waiting: { reason: 'ContainerCreating' } })], [])).toBe('');
    expect(whyPending([container({ running: {} })], [])).toBe('');
  });

  it('in one line of limited length', () => {
    const message = whyPending([], [event('Job', 'because '.repeat(200))]);
    expect(message.length).toBeLessThanOrEqual(400);
    expect(message).not.toContain('\n');
  });
});

describe('a pod failed', () => {
  const ended = (exitCode: number, finishedAt: string, reason = 'Error') =>
    container({ terminated: { exitCode, finishedAt, reason } });

  it('with the exit code of the container that failed first', () => {
    const pods = [
      ended(1, '2026-01-01T00:00:09Z'),
      ended(3, '2026-01-01T00:00:01Z'),
      ended(0, '2026-01-01T00:00:00Z'),
    ];
    expect(howFailed(pods)).toBe('container job of pod p ended with exit code 3');
  });

  it('for want of memory, or evicted', () => {
    expect(howFailed([ended(137, '2026-01-01T00:00:01Z', 'OOMKilled')])).toBe(
      'container job of pod p ended with exit code 137 (OOMKilled)',
    );
    const evicted: Pod = {
      metadata: { name: 'p' },
      status: { reason: 'Evicted', message: 'The node was low on resource: ephemeral-storage.' },
    };
    expect(howFailed([evicted])).toBe('pod p was evicted: The node was low on resource: ephemeral-storage');
  });

  it('without a trace in any pod', () => {
    expect(howFailed([ended(0, '2026-01-01T00:00:00Z')])).toBe('');
  });
});
