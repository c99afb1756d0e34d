/** Generated files by path, from the schemas in contracts/ and config/. */
import { join } from 'node:path';
import { execa } from 'execa';
import { format, resolveConfig } from 'prettier';
import { z } from 'zod';
import {
  evaluateSpecSchema,
  featuresSpecSchema,
  ingestSpecSchema,
  LEAST_TRAINING_WEEKS,
  trainSpecSchema,
} from '../../contracts/job-specs.ts';
import { AVAILABLE_ROWS, MAX_DESCRIPTION, MISSING_WEEKS_ROW } from '../../contracts/declaration.ts';
import {
  analysisRowSchema,
  GATE_BASELINES,
  evaluateResultSchema,
  featuresResultSchema,
  FORECASTER_LABELS,
  ingestResultSchema,
  jobErrorSchema,
  jobProgressSchema,
  skewSampleSchema,
  trainResultSchema,
} from '../../contracts/jobs.ts';
import { AGE_FEATURE, modelManifestSchema, SERVED_QUANTILES } from '../../contracts/model.ts';
import { DEFAULT_UNIT } from '../../contracts/number-format.ts';
import { MAX_AGE_DAYS } from '../../contracts/predict.ts';
import { pipelineInputSchema } from '../../contracts/pipeline.ts';
import { environmentSections, PROJECT_DIR } from '../../config/environment.ts';
import { updateInputSchema } from '../../contracts/update.ts';
import { configurationPage } from './configuration.ts';
import type { JsonSchema } from './json-schema.ts';
import { referencesOf } from './json-schema.ts';
import type { Definitions, PythonModule } from './python.ts';
import { pythonModule } from './python.ts';

/** Python modules below ml/shelfcast/contracts, each with its schemas and constants; a later one imports from earlier ones. */
const MODULES = [
  {
    name: 'specs',
    description: 'Job specs: the contents of ``spec.json``.',
    schemas: [ingestSpecSchema, featuresSpecSchema, trainSpecSchema, evaluateSpecSchema],
    constants: {
      LEAST_TRAINING_WEEKS: {
        type: 'int',
        description: 'Weeks that a training needs besides those for validation and test.',
        value: LEAST_TRAINING_WEEKS,
      },
      MAX_DESCRIPTION: {
        type: 'int',
        description: 'Maximum number of characters of the description of a covariate.',
        value: MAX_DESCRIPTION,
      },
      DEFAULT_UNIT: {
        type: 'str',
        description: 'Unit of sales that declare none.',
        value: DEFAULT_UNIT,
      },
      AVAILABLE_ROWS: {
        type: 'str',
        description:
          'Name of the rows of raw.extra with the share of a week in which a series was not out of stock.',
        value: AVAILABLE_ROWS,
      },
      MISSING_WEEKS_ROW: {
        type: 'str',
        description: 'Name of the row of raw.extra that declares the meaning of weeks without a row.',
        value: MISSING_WEEKS_ROW,
      },
    },
  },
  {
    name: 'results',
    description: 'Files that jobs write: results, errors, progress, and samples for the rollout.',
    schemas: [
      ingestResultSchema,
      featuresResultSchema,
      trainResultSchema,
      evaluateResultSchema,
      skewSampleSchema,
      analysisRowSchema,
      jobProgressSchema,
      jobErrorSchema,
    ],
    constants: {
      GATE_BASELINES: {
        type: 'tuple[Forecaster, ...]',
        description: 'Baselines that the gate compares the candidate with.',
        value: GATE_BASELINES,
      },
      FORECASTER_LABELS: {
        type: 'dict[Forecaster, str]',
        description: 'Names of the forecasters in tables, plots and sentences.',
        value: FORECASTER_LABELS,
      },
    },
  },
  {
    name: 'model',
    description: 'Model manifest: the content of ``model.json``.',
    schemas: [modelManifestSchema],
    constants: {
      SERVED_QUANTILES: {
        type: 'tuple[float, ...]',
        description: 'Quantiles of an answer: p10, p50 and p90.',
        value: SERVED_QUANTILES,
      },
      MAX_AGE_DAYS: {
        type: 'int',
        description:
          'Days by which the newest week of a series may be older than that of all: an older series has ended.',
        value: MAX_AGE_DAYS,
      },
      AGE_FEATURE: {
        type: 'str',
        description:
          'Feature, and column of the view sales_history, that is null where the history of the series is estimated.',
        value: AGE_FEATURE,
      },
    },
  },
];

export async function generatedFiles(): Promise<Map<string, string>> {
  const schemas = new Map<string, unknown>([['pipeline-input', jsonSchema(pipelineInputSchema)]]);
  for (const { name, schemas: roots } of MODULES) schemas.set(name, { $defs: definitionsOf(roots) });
  const files = new Map<string, string>();
  for (const [name, schema] of schemas) {
    files.set(...(await formatWithPrettier(`contracts/schemas/${name}.json`, JSON.stringify(schema))));
  }
  files.set(...(await formatWithPrettier('docs/configuration.md', configuration())));
  for (const module of pythonModules()) {
    files.set(`ml/shelfcast/contracts/${module.name}.py`, await formatWithRuff(pythonModule(module)));
  }
  return files;
}

function configuration(): string {
  const schema = jsonSchema(pipelineInputSchema) as JsonSchema & { $defs: Record<string, JsonSchema> };
  const environment = environmentSections.map((section) => ({
    ...section,
    schema: z.toJSONSchema(section.schema, { io: 'output' }) as JsonSchema,
  }));
  const updateKeys = Object.keys(updateInputSchema.shape);
  return configurationPage({ schema, updateKeys, environment, projectDir: PROJECT_DIR });
}

/** JSON Schema of the input of a schema, in which keys with a default may be absent. */
const jsonSchema = (schema: z.ZodType) => z.toJSONSchema(schema, { io: 'input' });

/** Returns the named types of the schemas, each after the types that it refers to. */
function definitionsOf(roots: z.ZodType[]): Record<string, JsonSchema> {
  const all = z.object(Object.fromEntries(roots.map((root, index) => [String(index), root])));
  const definitions = jsonSchema(all).$defs as Record<string, JsonSchema>;
  const sorted: Record<string, JsonSchema> = {};
  const add = (name: string) => {
    const schema = definitions[name];
    if (schema === undefined || name in sorted) return;
    referencesOf(schema).forEach(add);
    sorted[name] = schema;
  };
  Object.keys(definitions).forEach(add);
  return sorted;
}

function pythonModules(): (PythonModule & { name: string })[] {
  const owners = new Map<string, string>();
  return MODULES.map(({ name, description, schemas, constants }) => {
    const module = `shelfcast.contracts.${name}`;
    const all = Object.entries(definitionsOf(schemas));
    const definitions: Definitions = new Map(all.filter(([type]) => !owners.has(type)));
    for (const type of definitions.keys()) owners.set(type, module);
    const used = new Set(
      [...definitions.values()].flatMap(referencesOf).filter((type) => owners.get(type) !== module),
    );
    const imported = [...new Set(owners.values())]
      .map((owner) => ({
        module: owner,
        names: [...used].filter((type) => owners.get(type) === owner).sort(),
      }))
      .filter(({ names }) => names.length > 0);
    return { name, description, definitions, constants, imported };
  });
}

async function formatWithPrettier(path: string, text: string): Promise<[string, string]> {
  const file = join(PROJECT_DIR, path);
  return [path, await format(text, { ...(await resolveConfig(file)), filepath: file })];
}

async function formatWithRuff(text: string): Promise<string> {
  const ruff = join(PROJECT_DIR, 'ml', '.venv', 'bin', 'ruff');
  const { stdout } = await execa(
    ruff,
    ['format', '--config', join(PROJECT_DIR, 'ml', 'pyproject.toml'), '-'],
    {
      input: text,
      stripFinalNewline: false,
    },
  );
  return stdout;
}
