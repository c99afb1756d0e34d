/** Environment variables of the predictor and the router, for their main programs only. */

export function requiredText(name: string, meaning: string): string {
  const value = process.env[name];
  if (value === undefined || value === '') throw new Error(`${name} is not set; it must be ${meaning}.`);
  return value;
}

export function optionalText(name: string, fallback: string): string {
  const value = process.env[name];
  return value === undefined || value === '' ? fallback : value;
}

/** @throws Error when the variable is set but is not a whole number of 0 or more. */
export function optionalInteger(name: string, fallback: number): number {
  const value = optionalText(name, String(fallback));
  if (!/^\d+$/.test(value)) throw new Error(`${name} is "${value}"; it must be a whole number.`);
  return Number(value);
}
