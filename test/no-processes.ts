/** Set-up of the project `pure`, whose files run side by side: starting a process is an error there. */
import childProcess from 'node:child_process';
import { syncBuiltinESMExports } from 'node:module';

const refuse = (): never => {
  throw new Error('this file starts a process: list it under SERVICES in vitest.config.ts');
};
const names = ['spawn', 'spawnSync', 'exec', 'execSync', 'execFile', 'execFileSync', 'fork'];
Object.assign(childProcess, Object.fromEntries(names.map((name) => [name, refuse])));
syncBuiltinESMExports();
