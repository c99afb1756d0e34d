import { randomUUID } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { freePort } from '../../infra/local/ports.ts';
import { processesWithVariable, processStartTicks } from '../../infra/local/processes.ts';
import { ProgramJobs } from '../../infra/local/program-jobs.ts';
import { rayProgram } from '../../infra/local/programs.ts';
import { RayJobs } from '../../infra/local/ray-jobs.ts';
import { hasRayNode, waitUntilReady } from '../../infra/local/readiness.ts';
import { choosePorts, localState, prepareState, readSecrets } from '../../infra/local/state.ts';
import { ensureProgram, ensureSupervisor, stopSupervisor } from '../../infra/local/supervisor.ts';
import { PROJECT_DIR } from '../platform.ts';
import { JOB_MODULES, readLines, writeJobModules } from './job-modules.ts';
import { jobPlatformContract } from './jobs.ts';

jobPlatformContract('Ray Jobs', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'shelfcast-jobs-'));
  const state = localState(PROJECT_DIR, join(dir, 'state'));
  prepareState(state);
  const ports = await choosePorts(state, true);
  const token = readSecrets(state).rayToken;
  const modulesDir = join(dir, 'modules');
  writeJobModules(modulesDir);
  await ensureSupervisor(state);
  await ensureProgram(state, rayProgram(state, ports, token, { PYTHONPATH: modulesDir }));
  const address = `http://127.0.0.1:${ports.rayDashboard}`;
  await waitUntilReady(state, 'ray', hasRayNode(address, token), 120_000);
  return {
    connect: () => new RayJobs({ address, token, python: join(state.venvDir, 'bin', 'python') }),
    modules: JOB_MODULES,
    newFile: () => join(dir, `file-${randomUUID()}`),
    readLines,
    isAlive: (pid) => processStartTicks(pid) !== null,
    close: async () => {
      await stopSupervisor(state);
      rmSync(dir, { recursive: true, force: true });
    },
  };
});

jobPlatformContract('Programs', () => {
  const dir = mkdtempSync(join(tmpdir(), 'shelfcast-programs-'));
  const modulesDir = join(dir, 'modules');
  writeJobModules(modulesDir);
  const python = join(PROJECT_DIR, 'ml', '.venv', 'bin', 'python');
  return Promise.resolve({
    connect: () =>
      new ProgramJobs({
        dir: join(dir, 'jobs'),
        python,
        environment: { ...process.env, PYTHONPATH: modulesDir },
      }),
    modules: JOB_MODULES,
    newFile: () => join(dir, `file-${randomUUID()}`),
    readLines,
    isAlive: (pid: number) => processStartTicks(pid) !== null,
    close: () => {
      rmSync(dir, { recursive: true, force: true });
      return Promise.resolve();
    },
  });
});

it('reports that a program was killed, and that a folder without a process never started', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'shelfcast-programs-'));
  const python = join(PROJECT_DIR, 'ml', '.venv', 'bin', 'python');
  const jobs = new ProgramJobs({ dir, python, environment: process.env });
  await jobs.ensure({ name: 'killed', module: 'http.server', args: ['--bind', '127.0.0.1', '0'] });
  await expect.poll(() => processesWithVariable('SHELFCAST_JOB', `killed@${dir}`).length).toBe(2);
  for (const pid of processesWithVariable('SHELFCAST_JOB', `killed@${dir}`)) process.kill(pid, 'SIGKILL');
  await expect.poll(() => jobs.observe('killed')).toMatchObject({ status: 'failed' });
  mkdirSync(join(dir, 'half'));
  expect(await jobs.observe('half')).toMatchObject({ status: 'pending' });
  rmSync(dir, { recursive: true, force: true });
});

it('names the service and its address when Ray does not answer', async () => {
  const address = `http://127.0.0.1:${await freePort()}`;
  const jobs = new RayJobs({ address, python: 'python' });
  const observation = jobs.observe('any', new AbortController().signal);
  await expect(observation).rejects.toThrow(`Ray at ${address} did not answer GET /api/jobs/any`);
});
