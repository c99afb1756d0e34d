/**
 * Runs a command that needs a Kubernetes with the operators: `cluster-main.ts [--if-built] COMMAND ARG...`.
 *
 * The cluster is the one of KUBECONFIG, where that is set; otherwise the dev cluster, which is built once, brought up, and taken down
 * again unless it was up before. Where neither is possible (or, with --if-built, it would have to be built first) the program says why
 * and succeeds without running the command.
 */
import { execa } from 'execa';
import { bringUp, DEV_KUBECONFIG, isBuilt, takeDown, whyImpossible } from './dev-cluster.ts';

const args = process.argv.slice(2);
const mustBeBuilt = args[0] === '--if-built';
const [command, ...commandArgs] = mustBeBuilt ? args.slice(1) : args;
if (command === undefined) throw new Error('usage: cluster-main.ts [--if-built] COMMAND ARG...');

process.exitCode = await main(command, commandArgs);

async function main(program: string, programArgs: string[]): Promise<number> {
  const own = process.env['KUBECONFIG'] ?? '';
  if (own !== '' && own !== DEV_KUBECONFIG) {
    process.stdout.write(`cluster tests: on the cluster of KUBECONFIG=${own}\n`);
    return run(program, programArgs, own);
  }
  const why = whyImpossible() ?? (mustBeBuilt ? whyNotBuilt() : null);
  if (why !== null) {
    process.stdout.write(`cluster tests: skipped, since ${why}. KUBECONFIG may name another cluster.\n`);
    return 0;
  }
  process.stdout.write('cluster tests: on the dev cluster\n');
  const wasDown = await bringUp();
  try {
    return await run(program, programArgs, DEV_KUBECONFIG);
  } finally {
    if (wasDown) await takeDown();
  }
}

function whyNotBuilt(): string | null {
  return isBuilt()
    ? null
    : "the dev cluster's programs are not built here (`npm run test:cluster` builds them, in a quarter of an hour)";
}

async function run(program: string, programArgs: string[], kubeconfig: string): Promise<number> {
  const { exitCode } = await execa(program, programArgs, {
    stdio: 'inherit',
    reject: false,
    env: { KUBECONFIG: kubeconfig },
  });
  return exitCode ?? 1;
}
