import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { freePort } from '../../infra/local/ports.ts';
import { processStartTicks } from '../../infra/local/processes.ts';
import { rayProgram } from '../../infra/local/programs.ts';
import { RayJobs } from '../../infra/local/ray-jobs.ts';
import { hasRayNode, waitUntilReady } from '../../infra/local/readiness.ts';
import { choosePorts, localState, prepareState, readSecrets } from '../../infra/local/state.ts';
import { ensureProgram, ensureSupervisor, stopSupervisor } from '../../infra/local/supervisor.ts';
import { PROJECT_DIR } from '../platform.ts';
import { jobPlatformContract } from './jobs.ts';

const MODULES = {
  writes: `
import sys
with open(sys.argv[1], "a") as file:
    file.write("started\\n")
for number in range(1, 151):
    print(f"line {number}")
`,
  fails: `
import sys
print("about to fail", flush=True)
sys.exit(3)
`,
  sleeps: `
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
shell = ["setsid", "sh", "-c", "sleep 600 >/dev/null 2>&1 & echo $!"]
orphan = int(subprocess.run(shell, capture_output=True, check=True).stdout)
with open(sys.argv[1], "a") as file:
    file.write(f"{os.getpid()}\\n{orphan}\\n")
time.sleep(600)
`,
};

jobPlatformContract('Ray Jobs', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'shelfcast-jobs-'));
  const state = localState(PROJECT_DIR, join(dir, 'state'));
  prepareState(state);
  const ports = await choosePorts(state, true);
  const token = readSecrets(state).rayToken;
  const modulesDir = join(dir, 'modules');
  mkdirSync(modulesDir);
  for (const [name, source] of Object.entries(MODULES))
    writeFileSync(join(modulesDir, `job_${name}.py`), source);
  await ensureSupervisor(state);
  await ensureProgram(state, rayProgram(state, ports, token, { PYTHONPATH: modulesDir }));
  const address = `http://127.0.0.1:${ports.rayDashboard}`;
  await waitUntilReady(state, 'ray', hasRayNode(address, token), 120_000);
  return {
    connect: () => new RayJobs({ address, token, python: join(state.venvDir, 'bin', 'python') }),
    modules: { writes: 'job_writes', fails: 'job_fails', sleeps: 'job_sleeps' },
    newFile: () => join(dir, `file-${randomUUID()}`),
    readLines: (path) => (existsSync(path) ? readFileSync(path, 'utf8').split('\n').slice(0, -1) : []),
    isAlive: (pid) => processStartTicks(pid) !== null,
    close: async () => {
      await stopSupervisor(state);
      rmSync(dir, { recursive: true, force: true });
    },
  };
});

it('names the service and its address when Ray does not answer', async () => {
  const address = `http://127.0.0.1:${await freePort()}`;
  const jobs = new RayJobs({ address, python: 'python' });
  const observation = jobs.observe('any', new AbortController().signal);
  await expect(observation).rejects.toThrow(`Ray at ${address} did not answer GET /api/jobs/any`);
});
