// Bundles the programs with esbuild, once for each state of the sources.
//
// A build is a folder dist/HASH, named after the sources it was made from, so it is never stale. It appears by one
// rename, so it is never half written, and processes that build at the same time agree on the first.
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
/** Programs by the source of each; an image may lack some. */
const PROGRAMS = [
  'cli/main.ts',
  'predictor/main.ts',
  'predictor/router-main.ts',
  'workers/main.ts',
  'workers/schema-main.ts',
];
/** Age from which a build that no process uses is removed; a change of branches finds a younger one again. */
const KEPT_MS = 24 * 3_600_000;

/** Resolves to the path of a program's bundle for this process to run; makes the build when there is none of these sources. */
export async function bundleOf(projectDir, program) {
  const build = await makeBundles(projectDir);
  // Never closed: a build that a process holds open is not removed, since the process may load more of it.
  openSync(build, 'r');
  return join(build, program.replace(/\.ts$/, '.js'));
}

/** Resolves to the folder with the bundles of the sources as they are now. */
export async function makeBundles(projectDir) {
  const sources = readSources(projectDir);
  const build = join(projectDir, 'dist', hashOf(projectDir, sources));
  if (!existsSync(build)) await makeBuild(projectDir, sources, build);
  return build;
}

/** Text of each source, by path. */
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

/** Also of the packages' versions and of this file, which decide what esbuild makes. */
function hashOf(projectDir, sources) {
  const hash = createHash('sha256').update(readFileSync(import.meta.filename));
  hash.update(readFileSync(join(projectDir, 'package-lock.json')));
  for (const [path, text] of sources) hash.update(`\0${path}\0${text}`);
  return hash.digest('hex').slice(0, 16);
}

async function makeBuild(projectDir, sources, build) {
  const dist = dirname(build);
  const temporary = join(dist, `new-${randomUUID()}`);
  try {
    mkdirSync(temporary, { recursive: true });
    await bundle(projectDir, sources, temporary);
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

async function bundle(projectDir, sources, outdir) {
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

/** Bundles the very text that was hashed, in which a module still finds files beside its source. */
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

/** A machine that loses power after the rename must not find empty files. */
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

/** Paths that this user's processes hold open (Linux, /proc). */
function openPaths() {
  const processes = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  const descriptors = processes.flatMap((pid) =>
    unlessGone(() => readdirSync(`/proc/${pid}/fd`).map((fd) => `/proc/${pid}/fd/${fd}`), []),
  );
  return new Set(descriptors.map((path) => unlessGone(() => readlinkSync(path), '')));
}

/** Returns what `read` reads, or `otherwise` of a process that ended meanwhile or is another user's. */
function unlessGone(read, otherwise) {
  try {
    return read();
  } catch (error) {
    if (['ENOENT', 'ESRCH', 'EACCES', 'EPERM'].includes(error.code)) return otherwise;
    throw error;
  }
}
