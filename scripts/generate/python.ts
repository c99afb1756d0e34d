/** Python dataclasses from a JSON Schema, for the types that the contracts use; field names are in snake_case. */
import type { JsonSchema } from './json-schema.ts';

/** Types by name, each after the types that it refers to. */
export type Definitions = Map<string, JsonSchema>;

/** Constant that both languages read. */
interface Constant {
  type: string;
  description: string;
  value: unknown;
}

/** Python module: the types and constants that it defines, and the types that it imports. */
export interface PythonModule {
  description: string;
  definitions: Definitions;
  constants?: Record<string, Constant>;
  imported: { module: string; names: string[] }[];
}

const WIDTH = 110;
/** Python class that holds the lowest and the highest value of a number. */
const BOUNDS = 'Bounds';

export function pythonModule({ description, definitions, constants = {}, imported }: PythonModule): string {
  const body = [
    ...[...definitions].map(([name, schema]) => definition(name, schema)),
    ...Object.entries(constants).map(([name, constant]) => constantDeclaration(name, constant)),
  ].join('\n\n');
  const typing = ['Annotated', 'Literal'].filter((name) => body.includes(name));
  const imports = [
    ...imported,
    ...(body.includes(BOUNDS) ? [{ module: 'shelfcast.contracts.wire', names: [BOUNDS] }] : []),
  ];
  return [
    docstring(
      `${description}\n\nGenerated from contracts/ by \`\`npm run generate\`\`; never edited by hand.`,
      '',
    ),
    '',
    'from __future__ import annotations',
    '',
    'from dataclasses import dataclass',
    ...(/\bdate\b/.test(body) ? ['from datetime import date'] : []),
    ...(typing.length > 0 ? [`from typing import ${typing.join(', ')}`] : []),
    ...(imports.length > 0 ? [''] : []),
    ...imports.map(({ module, names }) => `from ${module} import ${names.join(', ')}`),
    '',
    // Import sorting wants two empty lines before a class and one before anything else.
    ...(body.startsWith('@') ? [''] : []),
    body,
  ].join('\n');
}

function definition(name: string, schema: JsonSchema): string {
  const members = schema.oneOf ?? schema.anyOf;
  if (members !== undefined) {
    return `#: ${schema.description ?? ''}\n${name} = ${members.map((member) => pythonType(member)).join(' | ')}\n`;
  }
  if (schema.enum !== undefined) return `#: ${schema.description ?? ''}\n${name} = ${pythonType(schema)}\n`;
  if (schema.properties === undefined) throw new Error(`${name}: neither an object nor a union nor an enum`);
  const fields = Object.entries(schema.properties);
  const required = new Set(schema.required);
  return [
    '@dataclass(frozen=True, slots=True, kw_only=True)',
    `class ${name}:`,
    docstring(classDescription(name, schema), '    '),
    '',
    ...fields.map(([key, field]) => `    ${fieldDeclaration(name, key, field, required.has(key))}`),
    '',
  ].join('\n');
}

const constantDeclaration = (name: string, { type, description, value }: Constant): string =>
  `#: ${description}\n${name}: ${type} = ${literal(value)}\n`;

function classDescription(name: string, schema: JsonSchema): string {
  if (schema.description === undefined) throw new Error(`${name}: no description`);
  const described = Object.entries(schema.properties ?? {}).flatMap(([key, { description }]) =>
    description === undefined ? [] : wrap(`${snakeCase(key)}: ${description}`, 8, 4),
  );
  return described.length === 0
    ? schema.description
    : `${schema.description}\n\nAttributes:\n${described.map((line) => `    ${line}`).join('\n')}`;
}

function fieldDeclaration(owner: string, key: string, field: JsonSchema, isRequired: boolean): string {
  const name = snakeCase(key);
  if (camelCase(name) !== key) throw new Error(`${owner}.${key}: ${name} does not convert back to this key`);
  const type = bounded(pythonType(field, `${owner}.${key}`), field);
  // Python would share one list or object among all instances.
  if (typeof field.default === 'object')
    throw new Error(`${owner}.${key}: no Python literal for ${JSON.stringify(field.default)}`);
  if (field.default !== undefined) return `${name}: ${type} = ${literal(field.default)}`;
  if (field.const !== undefined) return `${name}: ${type} = ${literal(field.const)}`;
  return isRequired ? `${name}: ${type}` : `${name}: ${type.replace(/ \| None$/, '')} | None = None`;
}

/** The type with the bounds of its number, if it has both; those of every exact integer in JavaScript do not count. */
function bounded(
  type: string,
  { exclusiveMinimum, minimum = exclusiveMinimum, maximum }: JsonSchema,
): string {
  if (minimum === undefined || maximum === undefined || minimum === Number.MIN_SAFE_INTEGER) return type;
  return `Annotated[${type}, ${BOUNDS}(${minimum}, ${maximum})]`;
}

function pythonType(schema: JsonSchema, path = ''): string {
  const { $ref, type, items, propertyNames, additionalProperties } = schema;
  if ($ref !== undefined) return $ref.replace('#/$defs/', '');
  if (schema.enum !== undefined) return `Literal[${schema.enum.map(literal).join(', ')}]`;
  if (schema.const !== undefined) return `Literal[${literal(schema.const)}]`;
  const members = schema.anyOf ?? schema.oneOf;
  if (members !== undefined) return members.map((member) => pythonType(member, path)).join(' | ');
  if (Array.isArray(type)) return type.map((one) => pythonType({ ...schema, type: one }, path)).join(' | ');
  switch (type) {
    case 'string':
      return schema.format === 'date' ? 'date' : 'str';
    case 'integer':
      return 'int';
    case 'number':
      return 'float';
    case 'boolean':
      return 'bool';
    case 'null':
      return 'None';
    case 'array':
      if (typeof items === 'object') return `list[${pythonType(items, path)}]`;
      break;
    case 'object':
      if (typeof additionalProperties === 'object')
        return `dict[${pythonType(propertyNames ?? {}, path)}, ${pythonType(additionalProperties, path)}]`;
      break;
    case undefined:
  }
  throw new Error(
    `${path}: no Python type for ${JSON.stringify(schema)}; name a nested object by .meta({ id })`,
  );
}

function literal(value: unknown): string {
  if (typeof value === 'string' || typeof value === 'number') return JSON.stringify(value);
  if (Array.isArray(value)) return `(${value.map(literal).join(', ')}${value.length === 1 ? ',' : ''})`;
  if (typeof value === 'object' && value !== null)
    return `{${Object.entries(value)
      .map(([key, item]) => `${literal(key)}: ${literal(item)}`)
      .join(', ')}}`;
  throw new Error(`no Python literal for ${JSON.stringify(value)}`);
}

/** Keys that Python reserves get an underscore, which `wire.py` drops. */
const snakeCase = (key: string): string =>
  key === 'from' ? 'from_' : key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

const camelCase = (name: string): string =>
  name.replace(/_$/, '').replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());

function docstring(text: string, indent: string): string {
  const lines = text
    .split('\n')
    .flatMap((line) => (line.startsWith(' ') ? [line] : wrap(line, indent.length, 0)));
  const indented = lines.map((line) => (line === '' ? '' : `${indent}${line}`));
  return lines.length === 1
    ? `${indent}"""${text}"""`
    : `${indent}"""${indented.join('\n').trimStart()}\n${indent}"""`;
}

/** Wraps a paragraph; all lines but the first are indented by `hanging`. */
function wrap(text: string, indent: number, hanging: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line.trim() !== '' && indent + line.length + 1 + word.length > WIDTH) {
      lines.push(line);
      line = ' '.repeat(hanging) + word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}
