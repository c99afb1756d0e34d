/**
 * Do an object's fields exist, with values of the right kind? By the types that the Kubernetes client library brings for the built-in
 * kinds; a cluster checks the others (test/cluster/manifests).
 */
import * as k8s from '@kubernetes/client-node';

interface Attribute {
  name: string;
  baseName: string;
  type: string;
}
const types = k8s as unknown as Record<string, { getAttributeTypeMap?: () => Attribute[] } | undefined>;

/** API groups whose kinds the library knows, and what its classes' names begin with. */
const CLASSES: Record<string, string> = {
  v1: 'V1',
  'apps/v1': 'V1',
  'networking.k8s.io/v1': 'V1',
  'policy/v1': 'V1',
  'rbac.authorization.k8s.io/v1': 'V1',
};

export const isBuiltIn = (apiVersion: string): boolean => apiVersion in CLASSES;

/** @returns A sentence for each field that is unknown or of another type. */
export function wrongFields({ apiVersion, kind, ...fields }: { apiVersion: string; kind: string }): string[] {
  const prefix = CLASSES[apiVersion] ?? '';
  // The library marks those that stand in for a word of a language.
  const type = [`${prefix}${kind}`, `Core${prefix}${kind}`, `Rbac${prefix}${kind}`].find(
    (name) => name in types,
  );
  return type === undefined
    ? [`${kind} of ${apiVersion} is unknown`]
    : check({ apiVersion, kind, ...fields }, type, kind);
}

function check(value: unknown, type: string, path: string): string[] {
  const list = /^Array<(.*)>$/.exec(type)?.[1];
  if (list !== undefined) {
    if (!Array.isArray(value)) return [`${path} must be a list`];
    return value.flatMap((item, i) => check(item, list, `${path}[${i}]`));
  }
  const map = /^\{ \[key: string\]: (.*); \}$/.exec(type)?.[1];
  if (map !== undefined) {
    if (!isRecord(value)) return [`${path} must be a map`];
    return Object.entries(value).flatMap(([key, item]) => check(item, map, `${path}.${key}`));
  }
  const attributes = types[type]?.getAttributeTypeMap?.();
  if (attributes === undefined) return checkPlain(value, type, path);
  if (!isRecord(value)) return [`${path} must be an object`];
  return Object.entries(value).flatMap(([key, item]) => {
    const attribute = attributes.find(({ baseName }) => baseName === key);
    return attribute === undefined
      ? [`${path}.${key} does not exist`]
      : check(item, attribute.type, `${path}.${key}`);
  });
}

function checkPlain(value: unknown, type: string, path: string): string[] {
  const is = typeof value;
  switch (type) {
    case 'string':
    case 'number':
    case 'boolean':
      return is === type ? [] : [`${path} must be a ${type}, not ${JSON.stringify(value)}`];
    case 'IntOrString':
      return is === 'string' || is === 'number' ? [] : [`${path} must be a number or a text`];
    default:
      return [];
  }
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
