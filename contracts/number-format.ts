/** Number formats of messages and tables. Free of Node's modules, because workflows import it. */

/** Unit of sales that declare none. */
export const DEFAULT_UNIT = 'USD';

/** Amounts below this have two decimals: the sales of a small series would all be 0 or 1. */
const SMALL_AMOUNT = 10;

/** Returns for example `-$1344` (US dollars, where `unit` is undefined), `-1344 EUR` or `2.50 pieces`. */
export function amount(value: number, unit?: string): string {
  const size = Math.abs(value);
  const digits = size.toFixed(0 < size && size < SMALL_AMOUNT ? 2 : 0);
  const sign = value < 0 ? '-' : '';
  return unit === undefined || unit === DEFAULT_UNIT ? `${sign}$${digits}` : `${sign}${digits} ${unit}`;
}

/** Returns for example `6.8 %` for the share 0.068. */
export const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;

/** Returns for example `+6.8 %`; zero is positive. */
export const signedPercent = (share: number): string => `${share < 0 ? '' : '+'}${percent(share)}`;
