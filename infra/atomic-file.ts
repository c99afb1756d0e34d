/** Files that are replaced by one rename, so that a reader sees either the old file or the complete new one. */
import { randomUUID } from 'node:crypto';
import { renameSync, rmSync, writeFileSync } from 'node:fs';

export function writeFileAtomically(path: string, text: string, mode = 0o644): void {
  // Writers in different containers may have the same process id.
  const temporary = `${path}.${randomUUID()}`;
  try {
    writeFileSync(temporary, text, { mode, flush: true });
    renameSync(temporary, path);
  } finally {
    rmSync(temporary, { force: true });
  }
}

export function writeJsonAtomically(path: string, value: unknown, mode?: number): void {
  writeFileAtomically(path, `${JSON.stringify(value, null, 2)}\n`, mode);
}
