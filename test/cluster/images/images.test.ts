/** Each image starts as a user that it does not know, on a file system that it cannot write, in a namespace that is `restricted`. */
import { randomBytes, randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { kubectl, kubectlJson, kubectlWith } from '../kubectl.ts';
import { loadImages } from './images.ts';

const namespace = `images-${randomBytes(3).toString('hex')}`;
/** User id from the range of OpenShift. */
const userId = randomInt(1_000_000_000, 2_000_000_000);

beforeAll(async () => {
  await kubectl('create', 'namespace', namespace);
  await kubectl('label', 'namespace', namespace, 'pod-security.kubernetes.io/enforce=restricted');
});
afterAll(async () => {
  await kubectl('delete', 'namespace', namespace, '--wait=false');
});

interface Program {
  command?: string[];
  args?: string[];
}
interface Ended {
  exitCode: number;
  log: string;
}

/** Runs a pod to its end. */
async function run(image: string, program: Program = {}): Promise<Ended> {
  const name = `pod-${randomBytes(4).toString('hex')}`;
  await kubectlWith(JSON.stringify(pod(name, image, program)), 'create', '-f', '-');
  for (;;) {
    const { status } = await kubectlJson<PodStatus>('get', 'pod', name, '--namespace', namespace);
    const terminated = status.containerStatuses?.[0]?.state.terminated;
    if (terminated !== undefined) {
      const log = await kubectl('logs', name, '--namespace', namespace);
      await kubectl('delete', 'pod', name, '--namespace', namespace, '--wait=false');
      return { exitCode: terminated.exitCode, log };
    }
    await sleep(500);
  }
}
interface PodStatus {
  status: { containerStatuses?: { state: { terminated?: { exitCode: number } } }[] };
}

function pod(name: string, image: string, program: Program): object {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace },
    spec: {
      restartPolicy: 'Never',
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      securityContext: {
        runAsNonRoot: true,
        runAsUser: userId,
        runAsGroup: 0,
        seccompProfile: { type: 'RuntimeDefault' },
      },
      containers: [
        {
          name: 'program',
          image,
          ...program,
          securityContext: {
            allowPrivilegeEscalation: false,
            readOnlyRootFilesystem: true,
            capabilities: { drop: ['ALL'] },
          },
          volumeMounts: [
            { name: 'tmp', mountPath: '/tmp' },
            { name: 'shm', mountPath: '/dev/shm' },
          ],
        },
      ],
      volumes: [
        { name: 'tmp', emptyDir: {} },
        { name: 'shm', emptyDir: { medium: 'Memory', sizeLimit: '256Mi' } },
      ],
    },
  };
}

const javascript = (source: string): Program => ({
  command: ['node', '--input-type=module', '--eval', source],
});
const shell = (...lines: string[]): Program => ({ command: ['bash', '-ec', lines.join('\n')] });

describe('the image of the worker', () => {
  let image: string;
  beforeAll(async () => {
    image = (await loadImages(['worker'])).worker;
  });

  it('reports the missing variables of an empty environment', async () => {
    const { exitCode, log } = await run(image);
    expect(exitCode).toBe(1);
    expect(log).toContain('invalid environment: TEMPORAL_ADDRESS');
  });

  it('contains the bundle of its workflows, because bundling needs a writable disk', async () => {
    const { log } = await run(
      image,
      shell('grep -o -m 1 "async function forecastPipeline" "$SHELFCAST_WORKFLOW_BUNDLE"'),
    );
    expect(log).toBe('async function forecastPipeline');
  });

  it('has the command of users', async () => {
    const { exitCode, log } = await run(image, { command: ['shelfcast', '--help'] });
    expect(log).toContain('Usage: shelfcast');
    expect(exitCode).toBe(0);
  });

  it("contains its sources, and none of the predictor's", async () => {
    const { log } = await run(image, {
      command: ['ls', '/app', '/app/node_modules', '/var/lib/dpkg/status'],
    });
    const lines = log.split('\n');
    expect(lines).toEqual(expect.arrayContaining(['package-lock.json', 'LICENSE', '/var/lib/dpkg/status']));
    expect(lines).not.toContain('onnxruntime-node');
    expect(lines).not.toContain('vitest');
  });
});

describe('the image of the predictor', () => {
  let image: string;
  beforeAll(async () => {
    image = (await loadImages(['predictor'])).predictor;
  });

  it('reports the missing variables of an empty environment', async () => {
    const { exitCode, log } = await run(image);
    expect(exitCode).toBe(1);
    expect(log).toContain('The predictor cannot start: MODEL_NAME is not set');
  });

  it('has the native library of its runtime, and no Temporal', async () => {
    const { log } = await run(
      image,
      javascript(
        `import { InferenceSession } from 'onnxruntime-node';
        await import('@temporalio/client').catch(({ code }) => console.log(code));
        console.log(typeof InferenceSession.create);`,
      ),
    );
    expect(log).toBe('ERR_MODULE_NOT_FOUND\nfunction');
  });
});

describe('the image of the Python jobs', () => {
  let image: string;
  beforeAll(async () => {
    image = (await loadImages(['ml'])).ml;
  });

  it('imports every stage and what they use, compiled ahead', async () => {
    const { log } = await run(
      image,
      shell(
        'python -c "import shelfcast.ingest.load, shelfcast.features.build, shelfcast.train.training, shelfcast.evaluate.report"',
        'python -c "import ray, torch, mlflow, feast, getpass; print(getpass.getuser(), torch.cuda.is_available())"',
        'python -c "import shelfcast.train.training as module; print(module.__cached__)" | xargs ls',
      ),
    );
    expect(log.split('\n').slice(-2)).toEqual([
      'shelfcast False',
      expect.stringMatching(/shelfcast\/train\/__pycache__\/training\.cpython-311\.pyc$/),
    ]);
  });

  it("starts Ray, and has the programs of KubeRay's probes", async () => {
    const { log } = await run(
      image,
      shell(
        'ray start --head --num-cpus 1 --object-store-memory 100000000 >/dev/null 2>&1',
        'until ray status >/tmp/status 2>&1 && grep -q node_ /tmp/status; do sleep 1; done',
        "python -c \"import ray; ray.init('auto', logging_level='ERROR'); print(ray.get(ray.remote(lambda: 42).remote()))\"",
        'wget --tries 1 -T 2 -q -O- http://localhost:52365/api/local_raylet_healthz',
        'echo; bash -lc "command -v ray"',
      ),
    );
    expect(log.split('\n').filter((line) => line !== '')).toEqual(['42', 'success', '/app/.venv/bin/ray']);
  });

  it('trains with torchrun', async () => {
    const { log } = await run(
      image,
      shell(
        'echo "import torch, torch.distributed as group',
        "group.init_process_group('gloo')",
        'total = torch.ones(1)',
        'group.all_reduce(total)',
        'print(total.item())" >/tmp/sum.py',
        'python -m torch.distributed.run --standalone --nproc-per-node 1 /tmp/sum.py',
      ),
    );
    expect(log).toMatch(/^1\.0$/m);
  });

  it('starts the server of MLflow', async () => {
    const { log } = await run(
      image,
      shell(
        'mlflow server --port 5000 --workers 1 --backend-store-uri sqlite:////tmp/mlflow.db >/tmp/log 2>&1 &',
        'for i in $(seq 90); do wget -q -O- http://127.0.0.1:5000/health && exit 0; sleep 1; done; cat /tmp/log',
      ),
    );
    expect(log).toBe('OK');
  });
});
