/** Tables and figures of the benchmarks. */
import Table from 'cli-table3';

export const newTable = (...head: string[]): Table.Table =>
  new Table({ head, style: { head: [], border: [], compact: true } });

/** Returns for example `1.25 s`; empty for an unknown time. */
export const inSeconds = (seconds: number | undefined, digits = 2): string =>
  seconds === undefined ? '' : `${seconds.toFixed(digits)} s`;

export const round = (value: number, digits: number): number => Number(value.toFixed(digits));
