// `npm run images -- [NAME...] [OPTIONS]`: builds the container images.
import { installNodeModules } from './installation.mjs';
import { runTypescript } from './programs.mjs';

await installNodeModules();
process.exitCode = await runTypescript('infra/images/build-main.ts', process.argv.slice(2));
