import { appendFile, link, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { z } from 'zod';
import type { JobFolder } from '../../activities/job-folder.ts';
import {
  createProgressReader,
  keepLog,
  lastKeptLog,
  openJobFolder,
  readKeptLog,
  readOutcome,
} from '../../activities/job-folder.ts';
import { ERROR_TYPES } from '../../contracts/errors.ts';

const resultSchema = z.object({ rows: z.int() });
const spec = { dataset: 'generated', source: { kind: 'generated', seed: 7 } };

let home: string;
let folder: JobFolder;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'shelfcast a job '));
  folder = await openJobFolder(pathToFileURL(home).href, 'run-1', 'ingest', spec);
});
afterEach(() => rm(home, { recursive: true, force: true }));

const write = (name: string, text: string) => writeFile(join(folder.path, name), text);
const append = (text: string) => appendFile(join(folder.path, 'progress.jsonl'), text);
const line = (message: string) => `${JSON.stringify({ message })}\n`;

test('the folder is named after run and stage, and its URL leads to it', () => {
  expect(folder.path).toBe(join(home, 'runs', 'run-1', 'ingest'));
  expect(folder.url).toMatch(/^file:\/\/\/.*shelfcast%20a%20job/);
  expect(fileURLToPath(folder.url)).toBe(folder.path);
});

test('opening a folder writes the spec; opening it again keeps the files of the job', async () => {
  const bytes = await readFile(join(folder.path, 'spec.json'), 'utf8');
  expect(JSON.parse(bytes)).toEqual(spec);
  await write('result.json', '{"rows": 3}');
  const again = await openJobFolder(pathToFileURL(home).href, 'run-1', 'ingest', spec);
  expect(again).toEqual(folder);
  expect(await readFile(join(folder.path, 'spec.json'), 'utf8')).toBe(bytes);
  expect((await readdir(folder.path)).sort()).toEqual(['result.json', 'spec.json']);
});

test('spec and logs are replaced, never written in place, so that a crash leaves no half of a file', async () => {
  keepLog(folder, 1, 'the whole log');
  for (const name of ['spec.json', 'log-1.txt']) await link(join(folder.path, name), join(home, name));
  const before = await readFile(join(home, 'spec.json'), 'utf8');
  await openJobFolder(pathToFileURL(home).href, 'run-1', 'ingest', { other: true });
  keepLog(folder, 1, 'another');
  expect(await readFile(join(home, 'spec.json'), 'utf8')).toBe(before);
  expect(await readFile(join(home, 'log-1.txt'), 'utf8')).toBe('the whole log');
  expect(await readKeptLog(folder, 1)).toBe('another');
  expect(await lastKeptLog(folder)).toBe(1);
  expect((await readdir(folder.path)).sort()).toEqual(['log-1.txt', 'spec.json']);
});

test('the outcome is null until there is a result', async () => {
  expect(await readOutcome(folder, resultSchema)).toBeNull();
  await write('result.json', '{"rows": 3}');
  expect(await readOutcome(folder, resultSchema)).toEqual({ rows: 3 });
});

test('a result of another shape ends the stage; the error names the file and the field', async () => {
  await write('result.json', '{"rows": "three"}');
  await expect(readOutcome(folder, resultSchema)).rejects.toMatchObject({
    type: ERROR_TYPES.jobFailed,
    nonRetryable: true,
    message: expect.stringMatching(/^cannot read .*ingest\/result\.json.*number.*rows/s) as string,
  });
});

test("the job's own error is thrown with its type and message, and not retried", async () => {
  await write('error.json', JSON.stringify({ type: 'BadData', message: '3 of 10 rows are bad' }));
  await expect(readOutcome(folder, resultSchema)).rejects.toMatchObject({
    type: 'BadData',
    nonRetryable: true,
    message: '3 of 10 rows are bad',
  });
});

test('an error of another shape or type, and a torn file, are errors too', async () => {
  await write('error.json', '{"type": "BadData"}');
  await expect(readOutcome(folder, resultSchema)).rejects.toThrow(/message/);
  await write('error.json', '{"type": "BadDate", "message": "3 of 10 rows are bad"}');
  await expect(readOutcome(folder, resultSchema)).rejects.toMatchObject({
    type: ERROR_TYPES.jobFailed,
    nonRetryable: true,
    message: expect.stringMatching(/^cannot read .*error\.json/) as string,
  });
  await write('result.json', '{"rows":');
  await expect(readOutcome(folder, resultSchema)).rejects.toThrow(SyntaxError);
});

test('each whole line of progress comes once', async () => {
  const read = createProgressReader(folder);
  expect(await read()).toEqual([]);
  await append(line('one') + line('two') + '{"message": "thr');
  expect(await read()).toEqual([{ message: 'one' }, { message: 'two' }]);
  expect(await read()).toEqual([]);
  await append('ee", "fraction": 0.5}\n');
  expect(await read()).toEqual([{ message: 'three', fraction: 0.5 }]);
  expect(await read()).toEqual([]);
  // A character of several bytes may be cut in two as well.
  const bytes = Buffer.from(line('Übergröße – 3 €'));
  const cut = bytes.indexOf('€') + 1;
  await appendFile(join(folder.path, 'progress.jsonl'), bytes.subarray(0, cut));
  expect(await read()).toEqual([]);
  await appendFile(join(folder.path, 'progress.jsonl'), bytes.subarray(cut));
  expect(await read()).toEqual([{ message: 'Übergröße – 3 €' }]);
});

test('another reader starts from the first line', async () => {
  await append(line('one'));
  await createProgressReader(folder)();
  await append(line('two'));
  expect(await createProgressReader(folder)()).toEqual([{ message: 'one' }, { message: 'two' }]);
});

test.each(['not JSON\n', '{"fraction": 0.5}\n', '{"message": "half", "fraction": 1.5}\n'])(
  'a line that is no progress is an error: %j',
  async (wrong) => {
    await append(line('one') + wrong);
    await expect(createProgressReader(folder)()).rejects.toThrow();
  },
);
