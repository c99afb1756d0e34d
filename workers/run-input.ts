/** From command line options to the pipeline's input. */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { PipelineInput } from '../contracts/pipeline.ts';
import { resolvePipelineInput } from '../contracts/pipeline.ts';
import { ERROR_TYPES } from '../contracts/errors.ts';
import { userPath } from './config.ts';
import { PipelineError } from './pipeline-error.ts';

export interface InputOptions {
  data?: string;
  dataset?: string;
  model?: string;
  approval?: boolean;
  input?: string;
}

/**
 * Options win over what `--input` holds.
 * @throws PipelineError `InvalidInput` with a sentence for each wrong value
 */
export function inputOf({ data, dataset, model, approval, input }: InputOptions): PipelineInput {
  const base = input === undefined ? {} : readInput(input);
  const merged = {
    ...base,
    ...(model === undefined ? {} : { modelName: model }),
    ...(dataset === undefined ? {} : { dataset }),
    ...(data === undefined ? {} : { source: sourceOf(data) }),
    ...(approval === true
      ? { rollout: { ...(base['rollout'] as object | undefined), approval: 'required' } }
      : {}),
  };
  const resolved = resolvePipelineInput(merged);
  if ('input' in resolved) return merged as PipelineInput;
  throw new PipelineError(ERROR_TYPES.invalidInput, `wrong input: ${resolved.issues.join('; ')}`);
}

/** JSON itself, or the path of a file with it. */
function readInput(input: string): Record<string, unknown> {
  try {
    const text = input.trimStart().startsWith('{') ? input : readFileSync(userPath(input), 'utf8');
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value };
  } catch (cause) {
    throw new PipelineError(
      ERROR_TYPES.invalidInput,
      `--input is neither JSON nor a file with it: ${(cause as Error).message}`,
      {
        cause,
      },
    );
  }
  throw new PipelineError(
    ERROR_TYPES.invalidInput,
    '--input must be a JSON object, for example {"horizonWeeks": 4}',
  );
}

/** A folder's files tell its layout (docs/data.md); one without those of either is left for the job to refuse. */
function sourceOf(data: string): PipelineInput['source'] {
  if (/^(https?|s3):\/\//.test(data)) return { kind: 'long', path: data };
  const path = existingFolder(data);
  const hasOneOf = (...names: string[]) => names.some((name) => existsSync(join(path, name)));
  const isLong = hasOneOf('sales.csv', 'sales.parquet');
  if (isLong && hasOneOf('train.csv')) {
    throw new PipelineError(
      ERROR_TYPES.invalidInput,
      `--data ${data}: ${path} has train.csv of the Walmart layout and sales of the long one; keep one of them`,
    );
  }
  return { kind: isLong ? 'long' : 'walmart-csv', path };
}

function existingFolder(data: string): string {
  const path = userPath(data);
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === true) return path;
  throw new PipelineError(ERROR_TYPES.invalidInput, `--data ${data}: there is no folder ${path}`);
}
