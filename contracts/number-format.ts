/** Number formats of messages and tables. Free of Node's modules, because workflows import it. */

/** Returns for example `-$1344`. */
export const usd = (value: number): string => `${value < 0 ? '-' : ''}$${Math.abs(value).toFixed(0)}`;

/** Returns for example `6.8 %` for the share 0.068. */
export const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;

/** Returns for example `+6.8 %`; zero is positive. */
export const signedPercent = (share: number): string => `${share < 0 ? '' : '+'}${percent(share)}`;
