/** Client of MLflow's tracking server and model registry over REST. Every method may be repeated. */
import { readdir, readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';

/** MLflow answered with an error. */
export class MlflowError extends Error {
  readonly status: number;
  /** MLflow's `error_code`, for example `RESOURCE_DOES_NOT_EXIST`. */
  readonly code: string;

  constructor(operation: string, url: string, status: number, body: string) {
    super(`MLflow: ${operation} failed: ${url} answered ${status}: ${body.slice(0, 500)}`);
    this.name = 'MlflowError';
    this.status = status;
    this.code = /"error_code":\s*"(\w+)"/.exec(body)?.[1] ?? '';
  }
}

export interface MlflowRun {
  runId: string;
  experimentId: string;
  artifactUri: string;
  /** Milliseconds since 1970. */
  startTime: number;
}

export interface MlflowMetric {
  key: string;
  value: number;
  timestamp: number;
  step: number;
}

interface MlflowVersion {
  version: number;
  runId: string;
  tags: Record<string, string>;
}

type RunStatus = 'RUNNING' | 'FINISHED' | 'FAILED' | 'KILLED';
export type Mlflow = ReturnType<typeof createMlflow>;

/** Tag by which the MLflow run of a pipeline run is found again. */
const RUN_KEY_TAG = 'shelfcast.run_key';

interface RunInfo {
  run_id: string;
  experiment_id: string;
  artifact_uri: string;
  start_time: number | string;
}
interface VersionJson {
  version: string;
  run_id: string;
  tags?: { key: string; value: string }[];
}

/** @param url Base URL of the tracking server, for example `http://127.0.0.1:5000`. */
export function createMlflow(url: string) {
  const request = createRequest(url.replace(/\/+$/, ''));
  return {
    url,
    ...runMethods(request),
    ...artifactMethods(request),
    ...registryMethods(request),
  };
}

type Request = ReturnType<typeof createRequest>;

function createRequest(baseUrl: string) {
  async function send(operation: string, method: string, path: string, body?: unknown): Promise<string> {
    const target = `${baseUrl}${path}`;
    const isFile = body instanceof Uint8Array;
    const response = await fetch(target, {
      method,
      ...(body === undefined
        ? {}
        : { body: isFile ? (body as Uint8Array<ArrayBuffer>) : JSON.stringify(body) }),
      headers: { 'content-type': isFile ? 'application/octet-stream' : 'application/json' },
      signal: AbortSignal.timeout(60_000),
    });
    const text = await response.text();
    if (!response.ok) throw new MlflowError(operation, `${method} ${target}`, response.status, text);
    return text;
  }
  return {
    send,
    post: (operation: string, path: string, body: unknown) =>
      send(operation, 'POST', `/api/2.0/mlflow/${path}`, body),
    /** Parses the answer as T: the shapes used here are stable in MLflow's REST API. */
    json: async <T>(operation: string, method: string, path: string, body?: unknown) =>
      JSON.parse(await send(operation, method, `/api/2.0/mlflow/${path}`, body)) as T,
  };
}

const hasCode = (error: unknown, ...codes: string[]): boolean =>
  error instanceof MlflowError && codes.includes(error.code);

function runMethods({ post, json }: Request) {
  async function ensureExperiment(name: string): Promise<string> {
    const get = async () => {
      const found = await json<{ experiment: { experiment_id: string } }>(
        `looking for the experiment "${name}"`,
        'GET',
        `experiments/get-by-name?experiment_name=${encodeURIComponent(name)}`,
      );
      return found.experiment.experiment_id;
    };
    try {
      return await get();
    } catch (error) {
      if (!hasCode(error, 'RESOURCE_DOES_NOT_EXIST')) throw error;
    }
    try {
      const operation = `creating the experiment "${name}"`;
      return (await json<{ experiment_id: string }>(operation, 'POST', 'experiments/create', { name }))
        .experiment_id;
    } catch (error) {
      if (hasCode(error, 'RESOURCE_ALREADY_EXISTS')) return await get();
      throw error;
    }
  }

  async function findOrCreateRun(experiment: string, runKey: string, runName: string): Promise<MlflowRun> {
    const experimentId = await ensureExperiment(experiment);
    const found = await json<{ runs?: { info: RunInfo }[] }>(
      `looking for the run ${runKey} in "${experiment}"`,
      'POST',
      'runs/search',
      { experiment_ids: [experimentId], filter: `tags."${RUN_KEY_TAG}" = '${runKey}'`, max_results: 1 },
    );
    const run =
      found.runs?.[0] ??
      (
        await json<{ run: { info: RunInfo } }>(`creating the run ${runKey}`, 'POST', 'runs/create', {
          experiment_id: experimentId,
          run_name: runName,
          start_time: Date.now(),
          tags: [{ key: RUN_KEY_TAG, value: runKey }],
        })
      ).run;
    return {
      runId: run.info.run_id,
      experimentId: run.info.experiment_id,
      artifactUri: run.info.artifact_uri,
      startTime: Number(run.info.start_time),
    };
  }

  const opening = new Map<string, Promise<MlflowRun>>();
  return {
    ensureExperiment,

    /**
     * Finds the run with this key in the experiment, or creates it. MLflow itself would create two runs of one key, so
     * simultaneous calls share one search: a training's epochs may come faster than MLflow answers.
     */
    ensureRun(experiment: string, runKey: string, runName: string): Promise<MlflowRun> {
      const key = JSON.stringify([experiment, runKey]);
      const run =
        opening.get(key) ??
        findOrCreateRun(experiment, runKey, runName).finally(() => {
          opening.delete(key);
        });
      opening.set(key, run);
      return run;
    },

    /** Logs in batches below MLflow's limits. The same metric (key, step, timestamp, value) is stored once. */
    async logBatch(
      runId: string,
      batch: { params?: Record<string, string>; metrics?: MlflowMetric[]; tags?: Record<string, string> },
    ): Promise<void> {
      const pairs = (record: Record<string, string> = {}) =>
        Object.entries(record).map(([key, value]) => ({ key, value: value.slice(0, 5_000) }));
      const send = (part: object) =>
        post(`logging to the run ${runId}`, 'runs/log-batch', { run_id: runId, ...part });
      for (const params of chunks(pairs(batch.params), 100)) await send({ params });
      for (const tags of chunks(pairs(batch.tags), 100)) await send({ tags });
      for (const metrics of chunks(batch.metrics ?? [], 1_000)) await send({ metrics });
    },

    async endRun(runId: string, status: RunStatus): Promise<void> {
      await post(`ending the run ${runId}`, 'runs/update', { run_id: runId, status, end_time: Date.now() });
    },
  };
}

function artifactMethods({ send }: Request) {
  async function uploadFile(artifactUri: string, path: string, bytes: Uint8Array): Promise<void> {
    const match = /^mlflow-artifacts:\/*(?:[^/]+:\d+\/)?(.*)$/.exec(artifactUri);
    if (match === null) {
      throw new Error(
        `MLflow: cannot upload ${path} to ${artifactUri}: start the server with --serve-artifacts, so that it takes uploads`,
      );
    }
    const target = `${match[1] ?? ''}/${path}`.split('/').map(encodeURIComponent).join('/');
    await send(`uploading ${path}`, 'PUT', `/api/2.0/mlflow-artifacts/artifacts/${target}`, bytes);
  }

  return {
    uploadFile,

    /** Uploads all files below `folder` to `prefix` (a path, or '' for the run's root) and returns their number. */
    async uploadFolder(artifactUri: string, prefix: string, folder: string): Promise<number> {
      const entries = await readdir(folder, { recursive: true, withFileTypes: true });
      const files = entries.filter((entry) => entry.isFile());
      for (const file of files) {
        const absolute = join(file.parentPath, file.name);
        const path = relative(folder, absolute);
        await uploadFile(artifactUri, prefix === '' ? path : `${prefix}/${path}`, await readFile(absolute));
      }
      return files.length;
    },
  };
}

function registryMethods({ post, json }: Request) {
  async function findVersion(name: string, filter: string): Promise<MlflowVersion | null> {
    const query = new URLSearchParams({ filter: `name='${name}' and ${filter}`, max_results: '1' });
    const found = await json<{ model_versions?: VersionJson[] }>(
      `looking for a version of ${name}`,
      'GET',
      `model-versions/search?${query.toString()}`,
    );
    const version = found.model_versions?.[0];
    return version === undefined ? null : versionOf(version);
  }

  return {
    /** Returns the version that came from this run; creates it when there is none. */
    async ensureVersion(model: {
      name: string;
      runId: string;
      source: string;
      tags: Record<string, string>;
    }): Promise<MlflowVersion> {
      try {
        await post(`creating the registered model ${model.name}`, 'registered-models/create', {
          name: model.name,
        });
      } catch (error) {
        if (!hasCode(error, 'RESOURCE_ALREADY_EXISTS')) throw error;
      }
      const found = await findVersion(model.name, `run_id='${model.runId}'`);
      if (found !== null) return found;
      const { model_version } = await json<{ model_version: VersionJson }>(
        `registering a version of ${model.name}`,
        'POST',
        'model-versions/create',
        {
          name: model.name,
          source: model.source,
          run_id: model.runId,
          tags: Object.entries(model.tags).map(([key, value]) => ({ key, value })),
        },
      );
      return versionOf(model_version);
    },

    async tagVersion(name: string, version: number, tags: Record<string, string>): Promise<void> {
      for (const [key, value] of Object.entries(tags)) {
        const body = { name, version: String(version), key, value };
        await post(`tagging ${name} version ${version}`, 'model-versions/set-tag', body);
      }
    },

    /** Returns the version that holds the alias, or null when there is none (or no such model). */
    async versionByAlias(name: string, alias: string): Promise<MlflowVersion | null> {
      const query = new URLSearchParams({ name, alias });
      try {
        const { model_version } = await json<{ model_version: VersionJson }>(
          `reading the alias ${alias} of ${name}`,
          'GET',
          `registered-models/alias?${query.toString()}`,
        );
        return versionOf(model_version);
      } catch (error) {
        // A missing alias of an existing model answers INVALID_PARAMETER_VALUE.
        if (hasCode(error, 'RESOURCE_DOES_NOT_EXIST', 'INVALID_PARAMETER_VALUE')) return null;
        throw error;
      }
    },

    async setAlias(name: string, alias: string, version: number): Promise<void> {
      const body = { name, alias, version: String(version) };
      await post(`giving version ${version} of ${name} the alias ${alias}`, 'registered-models/alias', body);
    },

    /** Deletes the alias; an alias without a version is no error. */
    async deleteAlias(name: string, alias: string): Promise<void> {
      const query = new URLSearchParams({ name, alias });
      try {
        await json(
          `removing the alias ${alias} of ${name}`,
          'DELETE',
          `registered-models/alias?${query.toString()}`,
          {
            name,
            alias,
          },
        );
      } catch (error) {
        if (!hasCode(error, 'RESOURCE_DOES_NOT_EXIST', 'INVALID_PARAMETER_VALUE')) throw error;
      }
    },
  };
}

const versionOf = (json: VersionJson): MlflowVersion => ({
  version: Number(json.version),
  runId: json.run_id,
  tags: Object.fromEntries((json.tags ?? []).map((tag) => [tag.key, tag.value])),
});

function chunks<T>(items: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, i) =>
    items.slice(i * size, (i + 1) * size),
  );
}
