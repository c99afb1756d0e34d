/** The dev cluster's gateway as a process that may crash. */
import { spawn } from 'node:child_process';
import { openSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { processStartTicks } from '../../../infra/local/processes.ts';
import { componentPid, componentPidFile } from '../dev-cluster.ts';

/** Kills the gateway without warning and starts it again, as its supervisor would. Does not wait until it answers. */
export function crashGateway(): void {
  const pid = componentPid('traefik');
  const read = (file: string): string[] =>
    readFileSync(`/proc/${pid}/${file}`, 'utf8').split('\0').slice(0, -1);
  const [command, environment] = [read('cmdline'), read('environ')];
  const log = openSync(readlinkSync(`/proc/${pid}/fd/1`), 'a');
  process.kill(pid, 'SIGKILL');
  const child = spawn('nsenter', ['-t', String(componentPid('holder')), '-m', '-n', '--', ...command], {
    detached: true,
    stdio: ['ignore', log, log],
    env: Object.fromEntries(environment.map((line) => line.split(/=(.*)/s).slice(0, 2) as [string, string])),
  });
  child.unref();
  if (child.pid === undefined) throw new Error(`could not start ${command.join(' ')}`);
  // nsenter becomes the program, so the id stays.
  writeFileSync(componentPidFile('traefik'), `${child.pid} ${processStartTicks(child.pid) ?? ''}\n`);
}
