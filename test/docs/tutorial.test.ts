/**
 * The tutorial's commands, one after the other, and the queries of docs/database.md on what they leave. Four whole pipelines that
 * the drills run too: by hand, before a release, with SHELFCAST_TEST_TUTORIAL=1.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { TestPlatform } from '../platform.ts';
import { PROJECT_DIR, startTestPlatform } from '../platform.ts';

const SERIES = 40;
const NOT_PROMOTED = 3;

const page = (name: string): string => readFileSync(join(PROJECT_DIR, 'docs', name), 'utf8');
const blocks = (text: string, language: string): string[] =>
  [...text.matchAll(new RegExp(`^\`\`\`${language}\n([^]*?)^\`\`\`$`, 'gm'))].map(([, block]) => block ?? '');

/** The commands of one section, by its heading. */
function section(heading: string): string[] {
  const found = page('tutorial.md')
    .split(/^## /m)
    .find((text) => text.startsWith(`${heading}\n`));
  if (found === undefined) throw new Error(`the tutorial has no section "${heading}"`);
  return blocks(found, 'sh');
}

describe.runIf(process.env['SHELFCAST_TEST_TUTORIAL'] !== undefined)(
  'the tutorial',
  { timeout: 600_000 },
  () => {
    let platform: TestPlatform;
    let home: string;

    beforeAll(async () => {
      home = mkdtempSync(join(tmpdir(), 'shelfcast-tutorial-'));
      platform = await startTestPlatform('tutorial');
    }, 240_000);
    afterAll(async () => {
      await platform.stop();
      rmSync(home, { recursive: true, force: true });
    });

    /** Runs a block in a shell of its own. The services are up already, in another state folder than the page's. */
    const shell = (block: string) =>
      execa(
        'bash',
        [
          '-c',
          block
            .replaceAll('npm start --', 'npx shelfcast run')
            .replaceAll(' .shelfcast/', ` ${platform.state.dir}/`),
        ],
        {
          cwd: PROJECT_DIR,
          env: {
            HOME: home,
            XDG_CACHE_HOME: process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'),
            SHELFCAST_HOME: platform.state.dir,
          },
          reject: false,
          all: true,
        },
      );
    async function runAll(heading: string): Promise<string> {
      let printed = '';
      for (const block of section(heading)) {
        const { all, exitCode } = await shell(block);
        expect(exitCode, all).toBe(0);
        printed += all;
      }
      return printed;
    }
    /** Runs the block of the first terminal and, when it waits for approval, that of the second one. */
    async function runInTwoTerminals(heading: string) {
      const [first = '', second = ''] = section(heading);
      const run = shell(first);
      await new Promise<void>((resolve, reject) => {
        run.stderr.on('data', (chunk: Buffer) => {
          if (chunk.toString().includes('waiting for approval')) resolve();
        });
        void run.then(({ all }) => {
          reject(new Error(`the run did not wait for a person: ${all}`));
        });
      });
      const approval = await shell(second);
      expect(approval.stdout, approval.all).toContain('approved by ada');
      return await run;
    }

    test('week one: a shop, its model, and a forecast', async () => {
      await runAll('A shop');
      const printed = await runAll('Week one: the first forecasts');
      expect(printed).toContain('version 1 promoted');
      expect(printed).toMatch(/"modelVersion": ?"1"/);
    });

    test('week two: new forecasts, without a training', async () => {
      const printed = await runAll('Week two: the new week comes');
      expect(printed).toContain(`${SERIES} rows of sales are new or changed`);
      expect(printed).toContain(`${SERIES} earlier forecasts of the new weeks`);
      expect(printed).toContain('Next week, by version 1');
    });

    test('a new model takes the traffic after an approval', async () => {
      const run = await runInTwoTerminals('A new model, with your approval');
      expect(run.exitCode, run.all).toBe(0);
      expect(run.stdout).toContain('version 2 promoted, approved by ada');
    });

    test('a candidate that breaks is rolled back, and the champion answers', async () => {
      const run = await runInTwoTerminals('A candidate that breaks');
      expect(run.exitCode, run.all).toBe(NOT_PROMOTED);
      expect(run.stdout).toMatch(/version 3 rolled back: at 10 %: .*could not be reached/s);
      const [, , question = ''] = section('A candidate that breaks');
      expect((await shell(question)).stdout).toMatch(/"modelVersion": ?"2"/);
    });

    test('every query of docs/database.md finds rows of the shop', async () => {
      const client = new pg.Client({ connectionString: platform.environment['DATABASE_URL'] });
      await client.connect();
      try {
        const queries = blocks(page('database.md'), 'sql').map((sql) =>
          sql.replaceAll("'generated'", "'shop'"),
        );
        expect(queries.length).toBeGreaterThan(3);
        for (const sql of queries) expect((await client.query(sql)).rowCount, sql).toBeGreaterThan(0);
      } finally {
        await client.end();
      }
    });
  },
);
