/** Python modules for the jobs of the contract's tests. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

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

export const JOB_MODULES = { writes: 'job_writes', fails: 'job_fails', sleeps: 'job_sleeps' };

/** Writes them into a new folder, for PYTHONPATH. */
export function writeJobModules(folder: string): void {
  mkdirSync(folder);
  for (const [name, source] of Object.entries(MODULES)) writeFileSync(join(folder, `job_${name}.py`), source);
}

export const readLines = (path: string): string[] =>
  existsSync(path) ? readFileSync(path, 'utf8').split('\n').slice(0, -1) : [];
