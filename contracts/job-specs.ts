/**
 * Job specs: `spec.json` in a job's folder, written before the stage's Python program starts.
 *
 * Options that a user sets keep their type, default and description from the pipeline's input. `npm run generate` makes
 * Python dataclasses of these schemas (ml/shelfcast/contracts). Keys are camelCase in JSON; weeks are ISO dates.
 */
import { z } from 'zod';
import { snapshotSchema } from './jobs.ts';
import { pipelineInputSchema, trainOptions } from './pipeline.ts';
import { sourceSchema } from './source.ts';

/** Weeks that a training needs besides those for validation and test: one to forecast from, and one to train on. */
export const LEAST_TRAINING_WEEKS = 2;

const input = pipelineInputSchema.shape;
const feastProject = z.string().describe('Feast project of the data set.');
const trainingDataUri = z.string().describe('Folder that the features job wrote.');

export const ingestSpecSchema = z
  .strictObject({
    dataset: z.string().describe('Name of the data set.'),
    requestId: z
      .string()
      .describe(
        'Key of the run: a second job with the same id finds the load batch of the first job and adds no other.',
      ),
    source: sourceSchema,
    maxBadRowShare: input.maxBadRowShare,
    allow: input.allow,
    acknowledge: input.acknowledge,
  })
  .meta({ id: 'IngestSpec', description: 'Spec of the ingest job.' });
export type IngestSpec = z.output<typeof ingestSpecSchema>;

export const featuresSpecSchema = z
  .strictObject({
    snapshot: snapshotSchema,
    feastProject,
    horizonWeeks: input.horizonWeeks,
    featureSetVersion: z
      .string()
      .optional()
      .describe(
        'Expected version of the feature definitions; the job stops before it writes if its own version differs.',
      ),
    testWeeks: input.testWeeks
      .unwrap()
      .optional()
      .describe('Test weeks of the training that follows; absent if none does.'),
    validationWeeks: input.validationWeeks
      .unwrap()
      .optional()
      .describe('Validation weeks of the training that follows; absent if none does.'),
  })
  .meta({ id: 'FeaturesSpec', description: 'Spec of the features job.' });
export type FeaturesSpec = z.output<typeof featuresSpecSchema>;

export const trainSpecSchema = z
  .strictObject({
    snapshot: snapshotSchema,
    feastProject,
    featureSetVersion: z.string().describe('Version of the feature definitions of the training data.'),
    trainingDataUri,
    horizonWeeks: input.horizonWeeks,
    testWeeks: input.testWeeks,
    validationWeeks: input.validationWeeks,
    withReplacements: z
      .boolean()
      .optional()
      .describe(
        'Whether the job also exports the replacements that the gate may choose: ' +
          'the simple forecasts, and the model with wider intervals.',
      ),
    ...trainOptions.shape,
  })
  .meta({ id: 'TrainSpec', description: 'Spec of the train job.' });
export type TrainSpec = z.output<typeof trainSpecSchema>;

export const evaluateSpecSchema = z
  .strictObject({
    snapshot: snapshotSchema,
    trainingDataUri,
    oracleUri: z
      .string()
      .nullable()
      .describe("Parquet file of the generator's noise-free means; null for real data."),
    horizonWeeks: input.horizonWeeks,
    testWeeks: input.testWeeks,
    candidateUri: z.string().describe("The candidate's model folder."),
    championUri: z
      .string()
      .nullable()
      .describe("The champion's model folder; null unless it was trained on the same data set."),
    simpleUris: z
      .array(z.string())
      .optional()
      .describe(
        'Model folders of the simple forecasts, the best one on the validation weeks first, if the training made them.',
      ),
    wideUri: z
      .string()
      .optional()
      .describe("The candidate's model folder with wider intervals, if the training made one."),
    leastCoverage80: z
      .number()
      .optional()
      .describe(
        'Share of actuals in the 80 % interval below which the candidate with wider intervals is scored.',
      ),
  })
  .meta({ id: 'EvaluateSpec', description: 'Spec of the evaluate job.' });
export type EvaluateSpec = z.output<typeof evaluateSpecSchema>;
