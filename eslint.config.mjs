import tseslint from 'typescript-eslint';
import { docComments } from './scripts/lint/doc-comments.mjs';

/** Top-level folders that a folder may import: dependencies point one way (docs/architecture.md). */
const mayImport = {
  contracts: [],
  workflows: ['contracts'],
  activities: ['contracts', 'infra'],
  infra: ['contracts'],
  predictor: ['contracts'],
  config: ['contracts', 'infra'],
  client: ['contracts', 'workflows', 'config'],
  cli: ['contracts', 'activities', 'infra', 'config', 'client'],
  workers: ['contracts', 'activities', 'infra', 'config'],
};
const folders = [...Object.keys(mayImport), 'bench', 'test'];

const boundary = (folder) => ({
  files: [`${folder}/**/*.ts`],
  rules: {
    '@typescript-eslint/no-restricted-imports': [
      'error',
      {
        patterns: [
          {
            group: folders
              .filter((other) => other !== folder && !mayImport[folder].includes(other))
              .map((other) => `**/${other}/**`),
            allowTypeImports: folder === 'workflows',
            message: `${folder}/ may import only: ${mayImport[folder].join(', ') || 'nothing of this project'}.`,
          },
          ...(folder === 'workflows'
            ? [
                {
                  regex: '^(?!@temporalio/workflow$|\\.\\.?/)',
                  allowTypeImports: true,
                  message: 'A workflow imports only @temporalio/workflow and contracts; all else is a type.',
                },
                {
                  group: ['pipeline', 'update', 'jobs', 'model', 'predict', 'routes'].map(
                    (name) => `**/contracts/${name}.ts`,
                  ),
                  allowTypeImports: true,
                  message: 'This contract holds zod schemas; inside a workflow import its types only.',
                },
              ]
            : []),
        ],
      },
    ],
  },
});

/** Rules of this project alone. */
const house = {
  files: ['**/*.{ts,mjs}'],
  plugins: { house: { rules: { 'doc-comments': docComments } } },
  rules: { 'house/doc-comments': 'error' },
};

export default tseslint.config(
  { ignores: ['node_modules', '.shelfcast', 'dist', 'ml'] },
  house,
  { files: ['**/*.ts'], extends: tseslint.configs.strictTypeChecked },
  {
    files: ['**/*.ts'],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true },
      ],
      'no-restricted-syntax': [
        'error',
        { selector: 'TSEnumDeclaration', message: 'Use a union of string literals.' },
      ],
    },
  },
  ...Object.keys(mayImport).map(boundary),
  {
    // Only config/ (and the tools around the product) read the environment; everything else is handed its config.
    files: ['contracts', 'workflows', 'activities', 'infra', 'client', 'cli', 'workers'].map(
      (folder) => `${folder}/**/*.ts`,
    ),
    rules: {
      'no-restricted-properties': [
        'error',
        { object: 'process', property: 'env', message: 'Read the environment in config/environment.ts.' },
      ],
    },
  },
);
