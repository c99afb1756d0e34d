// Bundles the programs with esbuild, once for each state of the sources.
//
// A build is a folder dist/HASH, named after its sources, so it is never stale. It appears by one rename, so it is never
// half written, and processes that build at the same time agree on the first.
import { createHash, randomUUID } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';

/** Folders of the product's TypeScript. */
export const SOURCE_FOLDERS = [
  'activities',
  'cli',
  'client',
  'config',
  'contracts',
  'infra',
  'predictor',
  'workers',
  'workflows',
];
/** Source of each program; an image may lack some. */
const PROGRAMS = [
  'cli/main.ts',
  'predictor/main.ts',
  'predictor/router-main.ts',
  'workers/main.ts',
  'workers/schema-main.ts',
];
/** Age from which an unused build is removed. A younger one may be used again after a change of branches. */
const KEPT_MS = 24 * 3_600_000;

/** Resolves to the path of a program's bundle; builds first when these sources have no build yet. */
export async function bundlePath(projectDir, program) {
  const build = await ensureBuild(projectDir);
  // Never closed, because a build that a process holds open is not removed: the process may load more of it.
  openSync(build, 'r');
  return join(build, program.replace(/\.ts$/, '.js'));
}

/** Resolves to the build of the current sources; writes it when there is none. */
export async function ensureBuild(projectDir) {
  const sources = readSources(projectDir);
  const build = join(projectDir, 'dist', hashOf(projectDir, sources));
  if (!existsSync(build)) await writeBuild(projectDir, sources, build);
  return build;
}

/** Returns the text of each source, by path. */
function readSources(projectDir) {
  const sources = new Map();
  for (const folder of SOURCE_FOLDERS) {
    if (!existsSync(join(projectDir, folder))) continue;
    for (const file of readdirSync(join(projectDir, folder), { recursive: true }).sort()) {
      const path = join(projectDir, folder, file);
      if (/\.(ts|json)$/.test(file)) sources.set(path, readFileSync(path, 'utf8'));
    }
  }
  return sources;
}

/** Hash of the sources, the package versions and this file: all that decides what esbuild writes. */
function hashOf(projectDir, sources) {
  const hash = createHash('sha256').update(readFileSync(import.meta.filename));
  hash.update(readFileSync(join(projectDir, 'package-lock.json')));
  for (const [path, text] of sources) hash.update(`\0${path}\0${text}`);
  return hash.digest('hex').slice(0, 16);
}

async function writeBuild(projectDir, sources, build) {
  const dist = dirname(build);
  const temporary = join(dist, `new-${randomUUID()}`);
  try {
    mkdirSync(temporary, { recursive: true });
    await runEsbuild(projectDir, sources, temporary);
    flush(temporary);
    publish(temporary, build);
  } catch (cause) {
    throw new Error(
      `cannot build ${relative(projectDir, build)}: ${cause.message}. ` +
        '`node --import tsx cli/main.ts` runs the sources without a build.',
      { cause },
    );
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
  removeOldBuilds(dist);
}

async function runEsbuild(projectDir, sources, outdir) {
  const { build } = await import('esbuild');
  await build({
    absWorkingDir: projectDir,
    entryPoints: PROGRAMS.filter((program) => sources.has(join(projectDir, program))),
    outbase: projectDir,
    outdir,
    bundle: true,
    // Packages stay in node_modules: some are native, and Temporal's must not exist twice.
    packages: 'external',
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20.19',
    sourcemap: true,
    sourcesContent: false,
    logLevel: 'silent',
    plugins: [readFrom(sources)],
  });
}

/** esbuild plugin that bundles exactly the hashed text and keeps each module's own `import.meta` paths. */
const readFrom = (sources) => ({
  name: 'sources',
  setup({ onLoad }) {
    onLoad({ filter: /.*/ }, ({ path }) => {
      const text = sources.get(path);
      if (text === undefined) throw new Error(`${path} is in none of ${SOURCE_FOLDERS.join(', ')}`);
      const contents = text
        .replaceAll('import.meta.dirname', JSON.stringify(dirname(path)))
        .replaceAll('import.meta.url', JSON.stringify(pathToFileURL(path).href));
      return { contents, loader: path.endsWith('.ts') ? 'ts' : 'json' };
    });
  },
});

/** Flushes the files, so that they are not empty if the machine loses power after the rename. */
function flush(folder) {
  for (const file of readdirSync(folder, { recursive: true })) {
    const descriptor = openSync(join(folder, file), 'r');
    fsyncSync(descriptor);
    closeSync(descriptor);
  }
}

function publish(temporary, build) {
  try {
    renameSync(temporary, build);
  } catch (error) {
    // Another process was faster; both built the same sources.
    if (!existsSync(build)) throw error;
  }
}

function removeOldBuilds(dist) {
  const old = readdirSync(dist)
    .map((name) => join(realpathSync(dist), name))
    .filter(
      (path) => (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Infinity) < Date.now() - KEPT_MS,
    );
  if (old.length === 0) return;
  const open = openPaths();
  for (const path of old) if (!open.has(path)) rmSync(path, { recursive: true, force: true });
}

/** Returns the paths that this user's processes hold open (Linux, /proc). */
function openPaths() {
  const processes = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  const descriptors = processes.flatMap((pid) =>
    unlessGone(() => readdirSync(`/proc/${pid}/fd`).map((fd) => `/proc/${pid}/fd/${fd}`), []),
  );
  return new Set(descriptors.map((path) => unlessGone(() => readlinkSync(path), '')));
}

/** Returns the result of `read`, or `otherwise` when the process has ended or belongs to another user. */
function unlessGone(read, otherwise) {
  try {
    return read();
  } catch (error) {
    if (['ENOENT', 'ESRCH', 'EACCES', 'EPERM'].includes(error.code)) return otherwise;
    throw error;
  }
}
