/**
 * The Kubernetes adapter on KServe, with real pods behind the dev cluster's gateway.
 * @module-tag smoke
 */
import { servingContract } from '../../contract/serving.ts';
import { eventually } from '../../predictor/processes.ts';
import { loadImages } from '../images/images.ts';
import { crashGateway } from '../serving/gateway-process.ts';
import { startServingLab } from '../serving/serving-lab.ts';

const OFFSETS = [0, 500, -250];
// Here nothing limits the time that a first build takes.
await loadImages(['predictor']);

/** Pods share the machine with the control plane and all operators. */
const PATIENCE = 4;

servingContract(
  'Kubernetes',
  async () => {
    const lab = await startServingLab(OFFSETS);
    return {
      serving: lab.serving,
      another: lab.another,
      modelUri: (version) => `file://${lab.config.artifacts.mountPath}/models/${version}`,
      modelHash: async (version) => (await lab.served(version)).modelHash,
      offsetOf: (version) => OFFSETS[version - 1] ?? NaN,
      processes: (version) => Promise.resolve(lab.processes(version)),
      crash: async (version) => {
        const pids = lab.processes(version);
        if (pids.length === 0) throw new Error(`version ${version} has no process to end`);
        for (const pid of pids) process.kill(pid, 'SIGKILL');
        await eventually('its end', () =>
          Promise.resolve(lab.processes(version).some((pid) => pids.includes(pid)) ? undefined : true),
        );
      },
      // A plain Gateway API gateway sends a request once, and only to the version whose turn it is.
      survivesCrashes: false,
      crashRouter: async () => {
        crashGateway();
        // It answers 404 until it has read the routes.
        await eventually('the gateway', () =>
          fetch(`${lab.serving.url}/v1/models/sales-forecast`).then(
            ({ status }) => (status === 200 ? (true as const) : undefined),
            () => undefined,
          ),
        );
      },
      close: () => lab.close(),
    };
  },
  PATIENCE,
);
