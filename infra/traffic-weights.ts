/** Rules for traffic weights, the same on every platform. */
import type { VersionState } from './platform.ts';

export type Weighted = Pick<VersionState, 'version' | 'weightPercent'>;

/**
 * Returns the served versions with their new weights; versions without a given weight get 0.
 * @throws RangeError when the weights cannot be set
 */
export function reweighed<T extends Weighted>(
  modelName: string,
  served: readonly T[],
  weights: ReadonlyMap<number, number>,
): T[] {
  const versions = new Set(served.map(({ version }) => version));
  const unknown = [...weights.keys()].filter((version) => !versions.has(version));
  if (unknown.length > 0) {
    throw new RangeError(
      `Cannot give traffic to version ${unknown.join(', ')} of "${modelName}": the served versions are ${[...versions].join(', ') || 'none'}.`,
    );
  }
  const values = [...weights.values()];
  const wrong = values.find((weight) => !Number.isInteger(weight) || weight < 0 || weight > 100);
  if (wrong !== undefined)
    throw new RangeError(`A weight of "${modelName}" is ${wrong}; it must be a whole percent, 0 to 100.`);
  const sum = values.reduce((total, weight) => total + weight, 0);
  if (weights.size > 0 && sum !== 100)
    throw new RangeError(`The weights of "${modelName}" add up to ${sum}, not to 100.`);
  return served.map((one) => ({ ...one, weightPercent: weights.get(one.version) ?? 0 }));
}

/** Returns the other versions. @throws Error when this one still has traffic */
export function without<T extends Weighted>(modelName: string, served: readonly T[], version: number): T[] {
  const weight = served.find((one) => one.version === version)?.weightPercent ?? 0;
  if (weight > 0) {
    throw new Error(
      `Version ${version} of "${modelName}" has ${weight} % of the traffic; give it to another version first.`,
    );
  }
  return served.filter((one) => one.version !== version);
}
