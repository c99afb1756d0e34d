/** Names and labels of the objects that this project creates. */
import { createHash } from 'node:crypto';
import { z } from 'zod';

/** Labels of every object and every pod. */
export const LABELS = {
  'app.kubernetes.io/part-of': 'shelfcast',
  'app.kubernetes.io/managed-by': 'shelfcast',
} as const;

export const kubernetesNameSchema = z
  .string()
  .regex(/^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/, 'must be a Kubernetes name');

const HASH_DIGITS = 8;

/**
 * Returns the name itself when it is a DNS label of at most `maxLength` characters, else its beginning and a hash, so that two names
 * never become the same. The label follows RFC 1035, because operators name Services after it.
 */
export function kubernetesName(name: string, maxLength: number): string {
  if (name.length <= maxLength && /^[a-z]([-a-z0-9]*[a-z0-9])?$/.test(name)) return name;
  const hash = createHash('sha256').update(name).digest('hex').slice(0, HASH_DIGITS);
  const readable = name.toLowerCase().replace(/[^a-z0-9]+/g, '-');
  const letterFirst = readable.replace(/^(?=[^a-z])/, 'x');
  return `${letterFirst.slice(0, maxLength - HASH_DIGITS - 1).replace(/-+$/, '')}-${hash}`;
}
