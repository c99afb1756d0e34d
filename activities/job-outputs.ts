/** Files that the jobs of earlier stages wrote: a model's manifest, and rows to ask a deployed version for. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ApplicationFailure } from '@temporalio/common';
import type { z } from 'zod';
import { ERROR_TYPES } from '../contracts/errors.ts';
import type { AnalysisRow, SkewSample } from '../contracts/jobs.ts';
import { analysisRowSchema, skewSampleSchema } from '../contracts/jobs.ts';
import type { ModelManifest } from '../contracts/model.ts';
import { modelManifestSchema } from '../contracts/model.ts';

export async function readAnalysisRows(uri: string): Promise<AnalysisRow[]> {
  const lines = (await readFile(fileURLToPath(uri), 'utf8')).split('\n').filter((line) => line !== '');
  return lines.map((line, i) => parseOutput(`${uri}:${i + 1}`, analysisRowSchema, line));
}

export const readSkewSample = async (uri: string): Promise<SkewSample> =>
  parseOutput(uri, skewSampleSchema, await readFile(fileURLToPath(uri), 'utf8'));

export async function readManifest(modelUri: string): Promise<ModelManifest> {
  const path = join(fileURLToPath(modelUri), 'model.json');
  return parseOutput(path, modelManifestSchema, await readFile(path, 'utf8'));
}

/** Parses a file's text. @throws ApplicationFailure without a retry: an unreadable file stays unreadable. */
function parseOutput<T>(where: string, schema: z.ZodType<T>, text: string): T {
  try {
    return schema.parse(JSON.parse(text));
  } catch (error) {
    throw ApplicationFailure.nonRetryable(
      `cannot read ${where}: ${(error as Error).message}; perhaps another version of shelfcast wrote it: ` +
        'train a new model with `npx shelfcast run`',
      ERROR_TYPES.candidateFailed,
    );
  }
}
