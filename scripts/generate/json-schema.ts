/** JSON Schema of a type or a field from `z.toJSONSchema`, with the keys that the generators read. */
export interface JsonSchema {
  $ref?: string;
  type?: string | string[];
  format?: string;
  description?: string;
  properties?: Record<string, JsonSchema>;
  required?: string[];
  additionalProperties?: boolean | JsonSchema;
  propertyNames?: JsonSchema;
  items?: JsonSchema | false;
  prefixItems?: JsonSchema[];
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  enum?: string[];
  const?: string | number;
  default?: unknown;
  oneOf?: JsonSchema[];
  anyOf?: JsonSchema[];
}

/** Names of the types that a schema refers to. */
export const referencesOf = (schema: JsonSchema): string[] =>
  [...JSON.stringify(schema).matchAll(/#\/\$defs\/(\w+)/g)].map(([, name]) => name ?? '');
