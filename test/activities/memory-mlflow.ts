/** The part of MLflow that the registry's activities use, in memory. */
import type { Mlflow, MlflowRun } from '../../infra/mlflow/mlflow.ts';

interface Version {
  version: number;
  runId: string;
  /** Address of the model in the run's artifacts. */
  source?: string;
  tags: Record<string, string>;
}

export class MemoryMlflow {
  readonly aliases = new Map<string, number>();
  readonly versions: Version[] = [];

  add(version: Version): void {
    this.versions.push(version);
  }

  /** The fake where the whole client is expected; a method that it lacks fails the test that calls it. */
  asMlflow(): Mlflow {
    return this as unknown as Mlflow;
  }

  ensureRun(experiment: string, runKey: string): Promise<MlflowRun> {
    const runId = `${experiment}/${runKey}`;
    return Promise.resolve({ runId, experimentId: 'e', artifactUri: 'mlflow-artifacts:/r', startTime: 0 });
  }

  ensureVersion(wanted: Omit<Version, 'version'>): Promise<Version> {
    const found = this.versions.find(({ runId }) => runId === wanted.runId);
    const version = found ?? { ...wanted, version: this.versions.length + 1 };
    if (found === undefined) this.add(version);
    return Promise.resolve(version);
  }

  versionByAlias(_name: string, alias: string): Promise<Version | null> {
    const holder = this.aliases.get(alias);
    return Promise.resolve(this.versions.find(({ version }) => version === holder) ?? null);
  }

  setAlias(_name: string, alias: string, version: number): Promise<void> {
    this.aliases.set(alias, version);
    return Promise.resolve();
  }

  deleteAlias(_name: string, alias: string): Promise<void> {
    this.aliases.delete(alias);
    return Promise.resolve();
  }

  tagVersion(_name: string, version: number, tags: Record<string, string>): Promise<void> {
    Object.assign(this.versions.find((found) => found.version === version)?.tags ?? {}, tags);
    return Promise.resolve();
  }
}
