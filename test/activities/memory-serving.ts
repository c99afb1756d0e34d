/** Serving in memory: versions get ready when the test says so. */
import type { ServedVersion, Serving, VersionState } from '../../infra/platform.ts';

export class MemoryServing implements Serving {
  readonly #versions = new Map<number, VersionState>();
  /** Calls that change something, in order. */
  readonly calls: string[] = [];
  readonly url: string;

  constructor(versions: VersionState[] = [], url = 'http://nowhere') {
    for (const state of versions) this.#versions.set(state.version, state);
    this.url = url;
  }

  set(state: VersionState): void {
    this.#versions.set(state.version, state);
  }

  ensureVersion({ modelName, version }: ServedVersion): Promise<void> {
    this.calls.push(`ensure ${modelName} ${version}`);
    if (!this.#versions.has(version)) this.set({ version, ready: false, weightPercent: 0 });
    return Promise.resolve();
  }

  observe(): Promise<VersionState[]> {
    return Promise.resolve([...this.#versions.values()]);
  }

  setTraffic(modelName: string, weights: ReadonlyMap<number, number>): Promise<void> {
    this.calls.push(`traffic ${modelName} ${JSON.stringify(Object.fromEntries(weights))}`);
    for (const state of this.#versions.values()) state.weightPercent = weights.get(state.version) ?? 0;
    return Promise.resolve();
  }

  removeVersion(modelName: string, version: number): Promise<void> {
    this.calls.push(`remove ${modelName} ${version}`);
    this.#versions.delete(version);
    return Promise.resolve();
  }
}
