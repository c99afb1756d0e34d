/** The Mlflow port over MLflow's REST API. */
import { readdir, readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import type {
  Mlflow,
  MlflowBatch,
  MlflowRun,
  MlflowRunStatus,
  MlflowVersion,
  NewMlflowVersion,
} from './mlflow.ts';
import { MlflowError, MlflowRest } from './rest.ts';

/** Tag that identifies the MLflow run of a pipeline run. */
const RUN_KEY_TAG = 'shelfcast.run_key';
/** Limits of MLflow's log-batch. */
const MAX_PARAMS = 100;
const MAX_TAGS = 100;
const MAX_METRICS = 1_000;
const MAX_VALUE_LENGTH = 5_000;

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

export class MlflowClient implements Mlflow {
  readonly #rest: MlflowRest;
  /** Searches for runs that have not ended yet, by experiment and key. */
  readonly #opening = new Map<string, Promise<MlflowRun>>();

  /** @param server Base URL of the tracking server, for example `http://127.0.0.1:5000`, with its user and password or a token */
  constructor({ url, token }: { url: string; token?: string | undefined }) {
    this.#rest = new MlflowRest(url, token);
  }

  async ensureExperiment(name: string): Promise<string> {
    const found = await unlessCode(['RESOURCE_DOES_NOT_EXIST'], () => this.#experiment(name));
    if (found !== null) return found;
    const operation = `creating the experiment "${name}"`;
    const created = await unlessCode(['RESOURCE_ALREADY_EXISTS'], () =>
      this.#rest.call<{ experiment_id: string }>(operation, 'POST', 'experiments/create', { name }),
    );
    return created?.experiment_id ?? (await this.#experiment(name));
  }

  async #experiment(name: string): Promise<string> {
    const { experiment } = await this.#rest.call<{ experiment: { experiment_id: string } }>(
      `looking for the experiment "${name}"`,
      'GET',
      `experiments/get-by-name?experiment_name=${encodeURIComponent(name)}`,
    );
    return experiment.experiment_id;
  }

  /**
   * Concurrent calls share one search, because MLflow would create two runs with one key. Such calls happen: the epochs of a training
   * may follow each other faster than MLflow answers.
   */
  ensureRun(experiment: string, runKey: string, runName: string): Promise<MlflowRun> {
    const key = JSON.stringify([experiment, runKey]);
    const run =
      this.#opening.get(key) ??
      this.#findOrCreateRun(experiment, runKey, runName).finally(() => {
        this.#opening.delete(key);
      });
    this.#opening.set(key, run);
    return run;
  }

  async #findOrCreateRun(experiment: string, runKey: string, runName: string): Promise<MlflowRun> {
    const experimentId = await this.ensureExperiment(experiment);
    const { runs } = await this.#rest.call<{ runs?: { info: RunInfo }[] }>(
      `looking for the run ${runKey} in "${experiment}"`,
      'POST',
      'runs/search',
      { experiment_ids: [experimentId], filter: `tags."${RUN_KEY_TAG}" = '${runKey}'`, max_results: 1 },
    );
    const { info } = runs?.[0] ?? (await this.#createRun(experimentId, runKey, runName));
    return {
      runId: info.run_id,
      experimentId: info.experiment_id,
      artifactUri: info.artifact_uri,
      startTime: Number(info.start_time),
    };
  }

  async #createRun(experimentId: string, runKey: string, runName: string): Promise<{ info: RunInfo }> {
    const { run } = await this.#rest.call<{ run: { info: RunInfo } }>(
      `creating the run ${runKey}`,
      'POST',
      'runs/create',
      {
        experiment_id: experimentId,
        run_name: runName,
        start_time: Date.now(),
        tags: [{ key: RUN_KEY_TAG, value: runKey }],
      },
    );
    return run;
  }

  async logBatch(runId: string, { params = {}, metrics = [], tags = {} }: MlflowBatch): Promise<void> {
    const send = (part: object) =>
      this.#rest.call(`logging to the run ${runId}`, 'POST', 'runs/log-batch', { run_id: runId, ...part });
    for (const part of chunks(keyValues(params), MAX_PARAMS)) await send({ params: part });
    for (const part of chunks(keyValues(tags), MAX_TAGS)) await send({ tags: part });
    for (const part of chunks(metrics, MAX_METRICS)) await send({ metrics: part });
  }

  async endRun(runId: string, status: MlflowRunStatus): Promise<void> {
    const body = { run_id: runId, status, end_time: Date.now() };
    await this.#rest.call(`ending the run ${runId}`, 'POST', 'runs/update', body);
  }

  async uploadFile(artifactUri: string, path: string, bytes: Uint8Array): Promise<void> {
    const match = /^mlflow-artifacts:\/*(?:[^/]+:\d+\/)?(.*)$/.exec(artifactUri);
    if (match === null) {
      throw new Error(
        `MLflow: cannot upload ${path} to ${artifactUri}: start the server with --serve-artifacts, so that it takes uploads`,
      );
    }
    const target = `${match[1] ?? ''}/${path}`.split('/').map(encodeURIComponent).join('/');
    await this.#rest.uploadArtifact(`uploading ${path}`, target, bytes);
  }

  async uploadFolder(artifactUri: string, prefix: string, folder: string): Promise<number> {
    const entries = await readdir(folder, { recursive: true, withFileTypes: true });
    const files = entries.filter((entry) => entry.isFile());
    for (const file of files) {
      const absolute = join(file.parentPath, file.name);
      const path = relative(folder, absolute);
      await this.uploadFile(
        artifactUri,
        prefix === '' ? path : `${prefix}/${path}`,
        await readFile(absolute),
      );
    }
    return files.length;
  }

  async ensureVersion({ name, runId, source, tags }: NewMlflowVersion): Promise<MlflowVersion> {
    await unlessCode(['RESOURCE_ALREADY_EXISTS'], () =>
      this.#rest.call(`creating the registered model ${name}`, 'POST', 'registered-models/create', { name }),
    );
    const found = await this.#findVersion(name, `run_id='${runId}'`);
    if (found !== null) return found;
    const { model_version } = await this.#rest.call<{ model_version: VersionJson }>(
      `registering a version of ${name}`,
      'POST',
      'model-versions/create',
      { name, source, run_id: runId, tags: Object.entries(tags).map(([key, value]) => ({ key, value })) },
    );
    return versionOf(model_version);
  }

  async #findVersion(name: string, filter: string): Promise<MlflowVersion | null> {
    const query = new URLSearchParams({ filter: `name='${name}' and ${filter}`, max_results: '1' });
    const { model_versions } = await this.#rest.call<{ model_versions?: VersionJson[] }>(
      `looking for a version of ${name}`,
      'GET',
      `model-versions/search?${query.toString()}`,
    );
    const [version] = model_versions ?? [];
    return version === undefined ? null : versionOf(version);
  }

  async tagVersion(name: string, version: number, tags: Record<string, string>): Promise<void> {
    for (const [key, value] of Object.entries(tags)) {
      const body = { name, version: String(version), key, value };
      await this.#rest.call(`tagging ${name} version ${version}`, 'POST', 'model-versions/set-tag', body);
    }
  }

  async versionByAlias(name: string, alias: string): Promise<MlflowVersion | null> {
    const found = await unlessCode(NO_ALIAS, () =>
      this.#rest.call<{ model_version: VersionJson }>(
        `reading the alias ${alias} of ${name}`,
        'GET',
        aliasPath(name, alias),
      ),
    );
    return found === null ? null : versionOf(found.model_version);
  }

  async setAlias(name: string, alias: string, version: number): Promise<void> {
    const operation = `giving version ${version} of ${name} the alias ${alias}`;
    const body = { name, alias, version: String(version) };
    await this.#rest.call(operation, 'POST', 'registered-models/alias', body);
  }

  async deleteAlias(name: string, alias: string): Promise<void> {
    const operation = `removing the alias ${alias} of ${name}`;
    await unlessCode(NO_ALIAS, () =>
      this.#rest.call(operation, 'DELETE', aliasPath(name, alias), { name, alias }),
    );
  }
}

/** Codes for a missing model, and for a missing alias of an existing model. */
const NO_ALIAS = ['RESOURCE_DOES_NOT_EXIST', 'INVALID_PARAMETER_VALUE'];

const aliasPath = (name: string, alias: string): string =>
  `registered-models/alias?${new URLSearchParams({ name, alias }).toString()}`;

/** Returns null when MLflow answers with one of the codes. */
async function unlessCode<T>(codes: readonly string[], call: () => Promise<T>): Promise<T | null> {
  try {
    return await call();
  } catch (error) {
    if (error instanceof MlflowError && codes.includes(error.code)) return null;
    throw error;
  }
}

const keyValues = (record: Record<string, string>) =>
  Object.entries(record).map(([key, value]) => ({ key, value: value.slice(0, MAX_VALUE_LENGTH) }));

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
