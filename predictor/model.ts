/** Loading of a model: model.json is checked, model.onnx is compared with its hash, and one inference runs before first use. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { z } from 'zod';
import { modelManifestSchema } from '../contracts/model.ts';
import type { ModelManifest } from '../contracts/model.ts';

/** The model's files cannot be served. A retry cannot help: the files must be repaired. */
class ModelError extends Error {
  override readonly name = 'ModelError';
}

interface ModelInput {
  /** Row-major [N, F], columns in the order of `manifest.features`; NaN where a value is missing. */
  features: Float64Array;
  store: BigInt64Array;
  dept: BigInt64Array;
  horizon: BigInt64Array;
}

export interface Model {
  readonly manifest: ModelManifest;
  /** Quantiles in US dollars, row-major [N, Q], columns in the order of `manifest.quantiles`. */
  predict(input: ModelInput): Promise<Float32Array>;
  close(): Promise<void>;
}

const INPUTS = ['features', 'store', 'dept', 'horizon'] as const;
const OUTPUT = 'quantiles';

function folderOf(modelUri: string): string {
  if (!modelUri.startsWith('file://')) {
    throw new ModelError(`Cannot read the model at ${modelUri}: only file:// folders are supported.`);
  }
  return fileURLToPath(modelUri);
}

async function readManifest(folder: string): Promise<ModelManifest> {
  const path = join(folder, 'model.json');
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new ModelError(`Cannot read ${path}: ${(cause as Error).message}.`, { cause });
  });
  try {
    return modelManifestSchema.parse(JSON.parse(text));
  } catch (cause) {
    const reason = cause instanceof z.ZodError ? z.prettifyError(cause) : (cause as Error).message;
    throw new ModelError(`${path} does not follow contracts/model.ts: ${reason}`, { cause });
  }
}

async function readGraph(
  folder: string,
  manifest: ModelManifest,
  registeredSha256: string | undefined,
): Promise<Uint8Array> {
  const path = join(folder, 'model.onnx');
  const bytes = await readFile(path).catch((cause: unknown) => {
    throw new ModelError(`Cannot read ${path}: ${(cause as Error).message}.`, { cause });
  });
  const hash = createHash('sha256').update(bytes).digest('hex');
  if (hash !== manifest.onnxSha256) {
    throw new ModelError(
      `${path} is damaged or is not the file that was evaluated: its SHA-256 is ${hash}, ` +
        `model.json says ${manifest.onnxSha256}. Restore the model's folder.`,
    );
  }
  if (registeredSha256 !== undefined && hash !== registeredSha256) {
    throw new ModelError(
      `${path} is not the model that was registered: its SHA-256 is ${hash}, the registry's is ${registeredSha256}. ` +
        "Restore the model's folder.",
    );
  }
  return bytes;
}

async function openSession(bytes: Uint8Array, folder: string, threads: number): Promise<InferenceSession> {
  // Created from the hashed bytes, so that the file cannot change in between.
  const session = await InferenceSession.create(bytes, {
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    logSeverityLevel: 3,
  }).catch((cause: unknown) => {
    throw new ModelError(`onnxruntime cannot load ${folder}/model.onnx: ${(cause as Error).message}`, {
      cause,
    });
  });
  const inputs = [...session.inputNames].sort().join(', ');
  if (inputs !== [...INPUTS].sort().join(', ') || !session.outputNames.includes(OUTPUT)) {
    throw new ModelError(
      `${folder}/model.onnx has the inputs ${inputs} and the outputs ${session.outputNames.join(', ')}; ` +
        `contracts/model.ts wants the inputs ${INPUTS.join(', ')} and the output ${OUTPUT}.`,
    );
  }
  return session;
}

async function infer(
  session: InferenceSession,
  manifest: ModelManifest,
  input: ModelInput,
): Promise<Float32Array> {
  const rows = input.store.length;
  const output = await session.run(
    {
      features: new Tensor('float64', input.features, [rows, manifest.features.length]),
      store: new Tensor('int64', input.store, [rows]),
      dept: new Tensor('int64', input.dept, [rows]),
      horizon: new Tensor('int64', input.horizon, [rows]),
    },
    [OUTPUT],
  );
  const quantiles = output[OUTPUT];
  const expected = [rows, manifest.quantiles.length];
  if (quantiles?.type !== 'float32' || quantiles.dims.join() !== expected.join()) {
    throw new ModelError(
      `The graph's output ${OUTPUT} is ${quantiles?.type ?? 'absent'} [${quantiles?.dims.join(', ') ?? ''}]; ` +
        `contracts/model.ts wants float32 [${expected.join(', ')}].`,
    );
  }
  return quantiles.data as Float32Array;
}

interface LoadOptions {
  /** Threads of one inference; few, since requests already run in parallel. */
  threads: number;
  /** SHA-256 of the registered model.onnx; undefined when model.json alone decides. */
  sha256?: string | undefined;
}

/**
 * Loads the model of a folder and runs one row through it.
 * @throws ModelError when a file is missing, damaged, not the registered one, or breaks contracts/model.ts
 */
export async function loadModel(modelUri: string, { threads, sha256 }: LoadOptions): Promise<Model> {
  const folder = folderOf(modelUri);
  const manifest = await readManifest(folder);
  const session = await openSession(await readGraph(folder, manifest, sha256), folder, threads);
  const one = (): BigInt64Array => BigInt64Array.of(1n);
  const dummy = {
    features: new Float64Array(manifest.features.length),
    store: one(),
    dept: one(),
    horizon: one(),
  };
  try {
    await infer(session, manifest, dummy);
  } catch (cause) {
    if (cause instanceof ModelError) throw cause;
    throw new ModelError(`${folder}/model.onnx failed on a first row: ${(cause as Error).message}`, {
      cause,
    });
  }
  return {
    manifest,
    predict: (input) => infer(session, manifest, input),
    close: () => session.release(),
  };
}
