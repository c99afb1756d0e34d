/** Folder of a stage's job (decision 3): the spec, then progress, logs, and result or error. */
import { mkdir, open, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { ApplicationFailure } from '@temporalio/common';
import type { z } from 'zod';
import { ERROR_TYPES } from '../contracts/errors.ts';
import type { JobProgress } from '../contracts/jobs.ts';
import { jobErrorSchema, jobProgressSchema } from '../contracts/jobs.ts';
import type { Stage } from '../contracts/stages.ts';
import { writeFileAtomically, writeJsonAtomically } from '../infra/atomic-file.ts';

export interface JobFolder {
  /** `file://` URL that is passed to the job. */
  url: string;
  path: string;
}

/** Path of the job folder of a run's stage. */
const jobFolderPath = (artifactsUrl: string, runKey: string, stage: Stage): string =>
  join(fileURLToPath(artifactsUrl), 'runs', runKey, stage);

/** Creates the folder and writes the spec; a retry writes the same bytes. */
export async function openJobFolder(
  artifactsUrl: string,
  runKey: string,
  stage: Stage,
  spec: object,
): Promise<JobFolder> {
  const path = jobFolderPath(artifactsUrl, runKey, stage);
  await mkdir(path, { recursive: true });
  writeJsonAtomically(join(path, 'spec.json'), spec);
  return { path, url: pathToFileURL(path).href };
}

/**
 * Returns the job's result, or null while there is none.
 * @throws ApplicationFailure with the type in error.json, when the job left one.
 */
export async function readOutcome<T>(folder: JobFolder, resultSchema: z.ZodType<T>): Promise<T | null> {
  const result = await readAs(resultSchema, join(folder.path, 'result.json'));
  if (result !== null) return result;
  const error = await readAs(jobErrorSchema, join(folder.path, 'error.json'));
  if (error === null) return null;
  throw ApplicationFailure.nonRetryable(error.message, error.type);
}

async function readAs<T>(schema: z.ZodType<T>, path: string): Promise<T | null> {
  const value = await readJson(path);
  if (value === null) return null;
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw ApplicationFailure.nonRetryable(
    `cannot read ${path}: ${parsed.error.message}; run workers and jobs with the same version of shelfcast`,
    ERROR_TYPES.jobFailed,
  );
}

/** Path of the n-th job's log. */
export const logPath = (folder: JobFolder, n: number): string => join(folder.path, `log-${n}.txt`);

/** Writes the n-th job's log into the folder, because the platform may delete its own copy. */
export function keepLog(folder: JobFolder, n: number, log: string): void {
  writeFileAtomically(logPath(folder, n), log);
}

/** Returns the kept log of the n-th job; empty when there is none. */
export async function readKeptLog(folder: JobFolder, n: number): Promise<string> {
  try {
    return await readFile(logPath(folder, n), 'utf8');
  } catch (error) {
    if (isMissing(error)) return '';
    throw error;
  }
}

/** Returns the largest n of a kept log, which means that the n-th job has ended; 0 when there is no log. */
export async function lastKeptLog(folder: JobFolder): Promise<number> {
  const numbers = (await readdir(folder.path)).map((name) => Number(/^log-(\d+)\.txt$/.exec(name)?.[1] ?? 0));
  return Math.max(0, ...numbers);
}

/** Returns a function that reads the lines added to progress.jsonl since its last call. */
export function createProgressReader(folder: JobFolder): () => Promise<JobProgress[]> {
  let position = 0;
  return async () => {
    let file;
    try {
      file = await open(join(folder.path, 'progress.jsonl'));
    } catch (error) {
      if (isMissing(error)) return [];
      throw error;
    }
    try {
      const { size } = await file.stat();
      if (size <= position) return [];
      const { buffer, bytesRead } = await file.read(
        Buffer.alloc(size - position),
        0,
        size - position,
        position,
      );
      // The job may be in the middle of writing the last line.
      const end = buffer.subarray(0, bytesRead).lastIndexOf(0x0a) + 1;
      position += end;
      const lines = buffer.subarray(0, end).toString('utf8').split('\n');
      return lines.filter((line) => line !== '').map((line) => jobProgressSchema.parse(JSON.parse(line)));
    } finally {
      await file.close();
    }
  };
}

async function readJson(path: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as unknown;
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}

const isMissing = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === 'ENOENT';
