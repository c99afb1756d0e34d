/** `toolchain-main.ts PROJECT CACHE python|temporal...`: installs the named parts concurrently. */
import { ensurePython, ensureTemporal } from './toolchain.ts';

const [projectDir, cacheDir, ...parts] = process.argv.slice(2);
if (projectDir === undefined || cacheDir === undefined)
  throw new Error('usage: toolchain-main.ts PROJECT CACHE PART...');
const place = { projectDir, cacheDir: cacheDir === '' ? undefined : cacheDir };
const report = (line: string): void => {
  process.stderr.write(`${line}\n`);
};
const installers: Record<string, () => Promise<unknown>> = {
  python: () => ensurePython(place, report),
  temporal: () => ensureTemporal(place, report),
};
try {
  await Promise.all(
    parts.map((part) => {
      const install = installers[part];
      if (install === undefined)
        throw new Error(`${part} is not one of ${Object.keys(installers).join(', ')}`);
      return install();
    }),
  );
} catch (error) {
  report((error as Error).message);
  process.exitCode = 1;
}
