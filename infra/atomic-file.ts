/** Writing of a file by one rename, so that a reader sees either the old file or the complete new one. */
import { randomUUID } from 'node:crypto';
import { renameSync, rmSync, writeFileSync } from 'node:fs';

export function writeFileAtomically(path: string, text: string, mode = 0o644): void {
  // Writers of one file may be in containers that count their process ids alike.
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
