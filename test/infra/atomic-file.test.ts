import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { writeFileAtomically, writeJsonAtomically } from '../../infra/atomic-file.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'shelfcast-atomic-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

test('a reader that has the old file open reads it to its end; the next one reads the new file', () => {
  const path = join(folder, 'ports.json');
  writeFileAtomically(path, 'old', 0o600);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  const reader = openSync(path, 'r');
  writeJsonAtomically(path, { ray: 1 });
  expect(readFileSync(reader, 'utf8')).toBe('old');
  closeSync(reader);
  expect(JSON.parse(readFileSync(path, 'utf8'))).toEqual({ ray: 1 });
  expect(readdirSync(folder)).toEqual(['ports.json']);
});

test('a write that fails leaves what was there and nothing else', () => {
  const path = join(folder, 'taken');
  mkdirSync(path);
  expect(() => {
    writeFileAtomically(path, 'text');
  }).toThrow(/EISDIR|ENOTEMPTY/);
  expect(readdirSync(folder)).toEqual(['taken']);
});
