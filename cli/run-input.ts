/** Input of a pipeline or an update, from the options of a command. */
import { readdirSync, statSync } from 'node:fs';
import type { PipelineInput } from '../contracts/pipeline.ts';
import { resolvePipelineInput } from '../contracts/pipeline.ts';
import { isUrl, SALES_FILE } from '../contracts/source.ts';
import type { UpdateInput } from '../contracts/update.ts';
import { resolveUpdateInput } from '../contracts/update.ts';
import { userPath } from '../config/environment.ts';
import type { DeclarationOptions } from './declaration.ts';
import { splitDeclaration } from './declaration.ts';
import { flagOf, inputError, readJsonObject } from './input-error.ts';

export interface InputOptions extends DeclarationOptions {
  data?: string;
  dataset?: string;
  model?: string;
  approval?: boolean;
  /** Data-quality rules that this load may break. */
  allow?: string[];
  /** Key of a stopped load, whose rows this run loads. */
  acknowledge?: string;
  input?: string;
}

/**
 * Returns the input of a pipeline; an option overrides the same value of `--input`.
 *
 * @throws ShelfcastError `InvalidInput` with one sentence for each invalid value
 */
export function inputOf(options: InputOptions): PipelineInput {
  const merged = mergedInput(options);
  const resolved = resolvePipelineInput(merged);
  if ('input' in resolved) return merged;
  throw invalidInput(resolved.issues);
}

/**
 * Returns the input of an update, which needs a source.
 *
 * @throws ShelfcastError `InvalidInput` with one sentence for each invalid value
 */
export function updateInputOf(options: InputOptions): UpdateInput {
  const merged = mergedInput(options);
  if (!('source' in merged))
    throw invalidInput(['source: an update has no default; give the new weeks with --data']);
  const resolved = resolveUpdateInput(merged);
  if ('update' in resolved) return merged as UpdateInput;
  throw invalidInput(resolved.issues);
}

const invalidInput = (issues: string[]) => inputError(`invalid input: ${issues.join('; ')}`);

function mergedInput({
  data,
  dataset,
  model,
  approval,
  allow,
  acknowledge,
  input,
  ...declarationOptions
}: InputOptions): Record<string, unknown> {
  const base = input === undefined ? {} : readJsonObject('--input', input, '{"horizonWeeks": 4}');
  const { declaration } = splitDeclaration(declarationOptions);
  const source = data === undefined ? base['source'] : sourceOf(data, declaration !== undefined);
  if (source === undefined) refuseDeclaration(declarationOptions);
  return {
    ...base,
    ...(model === undefined ? {} : { modelName: model }),
    ...(dataset === undefined ? {} : { dataset }),
    ...(source === undefined ? {} : { source: withDeclaration(source, declaration) }),
    ...(allow === undefined ? {} : { allow }),
    ...(acknowledge === undefined ? {} : { acknowledge }),
    ...(approval === true
      ? { rollout: { ...(base['rollout'] as object | undefined), approval: 'required' } }
      : {}),
  };
}

/** Refuses options that declare the columns of nothing: the run would take generated sales. */
function refuseDeclaration(options: DeclarationOptions): void {
  const given = Object.entries(options).flatMap(([name, value]) =>
    value === undefined ? [] : [flagOf(name)],
  );
  if (given.length === 0) return;
  throw inputError(
    `${given.join(', ')}: there are no columns to declare; name the sales with --data or as source in --input`,
  );
}

function withDeclaration(source: unknown, declaration: object | undefined): unknown {
  if (declaration === undefined) return source;
  const given = source as { declaration?: object };
  return { ...given, declaration: { ...given.declaration, ...declaration } };
}

/**
 * Finds the layout of a source by its files (docs/data.md). The job refuses a folder that has the files of neither layout.
 */
function sourceOf(data: string, isDeclared: boolean): PipelineInput['source'] {
  if (isUrl(data)) return { kind: 'long', path: data };
  const path = userPath(data);
  const found = statSync(path, { throwIfNoEntry: false });
  if (found?.isFile() === true && SALES_FILE.test(path)) return { kind: 'long', path };
  if (found?.isDirectory() !== true) {
    throw inputError(
      `${path} is neither a folder nor a file of sales (.csv, .csv.gz, .csv.bz2, .csv.zst, .csv.zip, .parquet, .xlsx or .xlsm); save another workbook as .xlsx`,
    );
  }
  const names = readdirSync(path).map((name) => name.toLowerCase());
  const isLong = names.some((name) => name.replace(SALES_FILE, '') === 'sales');
  if (isLong && names.includes('train.csv')) {
    throw inputError(
      `${path} has train.csv of the Walmart layout and sales of the long layout; keep one of them`,
    );
  }
  return { kind: isLong || isDeclared || names.includes('shelfcast.json') ? 'long' : 'walmart-csv', path };
}
