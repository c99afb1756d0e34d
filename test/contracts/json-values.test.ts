/** Values that both sides of a contract accept or refuse; test/ml/contracts/test_wire.py reads the same file. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { z } from 'zod';
import { evaluateSpecSchema, ingestSpecSchema, trainSpecSchema } from '../../contracts/job-specs.ts';
import { modelManifestSchema } from '../../contracts/model.ts';

/** Name of a schema, path of a value in its document, and JSON text of the value; null for an absent key. */
type Case = [name: string, path: string, text: string | null];

const { documents, accepted, refused } = JSON.parse(
  readFileSync(new URL('json-values.json', import.meta.url), 'utf8'),
) as { documents: Record<string, object>; accepted: Case[]; refused: Case[] };

const schemas: Record<string, z.ZodType> = {
  ModelManifest: modelManifestSchema,
  TrainSpec: trainSpecSchema,
  IngestSpec: ingestSpecSchema,
  EvaluateSpec: evaluateSpecSchema,
};

/** Text of the document with the value of one key replaced. */
function documentWith([name, path, text]: Case): string {
  const document = structuredClone(documents[name]) as Record<string, unknown>;
  const keys = path.split('.');
  const last = keys.pop() ?? '';
  const owner = keys.reduce((value, key) => value[key] as Record<string, unknown>, document);
  owner[last] = text === null ? undefined : '<value>';
  return JSON.stringify(document).replace('"<value>"', (text ?? '').replace('<400 zeros>', '0'.repeat(400)));
}

function isAccepted(name: string, text: string): boolean {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return false;
  }
  return schemas[name]?.safeParse(value).success === true;
}

describe('zod', () => {
  test.each(Object.entries(documents))('accepts a whole %s', (name, document) => {
    expect(isAccepted(name, JSON.stringify(document))).toBe(true);
  });

  test.each(accepted)('accepts %s with %s: %s', (...changed) => {
    expect(isAccepted(changed[0], documentWith(changed))).toBe(true);
  });

  test.each(refused)('refuses %s with %s: %s', (...changed) => {
    expect(isAccepted(changed[0], documentWith(changed))).toBe(false);
  });
});
