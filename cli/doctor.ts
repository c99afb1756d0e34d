/** The command `doctor`, which checks a Kubernetes cluster. */
import { clusterFile } from '../config/environment.ts';
import { readKubernetesConfig } from '../infra/kubernetes/config.ts';
import { loadKubeConfig } from '../infra/kubernetes/connection.ts';
import { exitCodeOf, lineOf, runDoctor } from '../infra/kubernetes/doctor/doctor.ts';
import { print } from './output.ts';

/** Prints a line for each finding and resolves to the exit code. */
export async function checkCluster(configFile: string | undefined): Promise<number> {
  const config = readKubernetesConfig(clusterFile(configFile));
  const findings = await runDoctor(loadKubeConfig(), config, {
    onFinding: (finding) => {
      print(lineOf(finding));
    },
  });
  return exitCodeOf(findings);
}
